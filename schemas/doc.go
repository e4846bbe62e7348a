// Package schemas is the contract: the messages that producers, workers and ledger consumers exchange, as Go types, as
// JSON Schema 2020-12 documents and as strict decoders. It imports nothing else of this module.
//
// Its invariant: what DecodeCommand accepts is a command in which every field obeys the published schema, and what it
// refuses is refused with a code, a JSON pointer and a text that says what to mend.
package schemas
