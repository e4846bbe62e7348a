// Command sandbox runs the whole product on one machine with nothing installed: an embedded Kafka and Redis, a fake
// gateway with a ledger, and the very worker that production runs. It feeds the worker a file of refund commands, prints
// each outcome as it arrives, and ends with a table that holds commands, outcomes and the gateway's ledger against each
// other.
//
// Exit codes: 0 everything agrees and every expectation of the file holds; 1 it does not, or something failed; 2 usage.
package main
