// Package schedules searches for a schedule that breaks a promise: an order of messages, crashes, faults and delays after
// which money has moved twice, a refund is lost, or an outcome is false. rapid draws the schedules and makes the failing
// ones small; each runs in a testing/synctest bubble, so that days pass in milliseconds.
//
// The search has two levels, with the same model of two gateways (bank), the same store in memory and the same audit.
//
//   - Of the core: the refund.Processor of several workers. Every step that a worker makes to the outside, be it one exchange
//     with the store, one gateway call or one publication, stops until the driver (world) lets it go on, and meets the fate
//     that the driver has drawn. So a schedule is nothing but the draws, runs the same way each time, and shrinks.
//   - Of the whole stack: the real consumer and the real producer too, on an embedded broker over a virtual network. The
//     deeds are drawn beforehand; what happens between them is up to the goroutines, so a seed need not repeat a failure.
//
// What the judge does not excuse is a fault. The excuses are a table (excuse) whose rows name the place in the documents
// that takes the promise back; a rule that a later build closes is one row less.
//
// A failing schedule is written to testdata/rapid and is run first by the next run. What it leads to is mended with a
// small test of its own beside the rule, because a seed means another schedule as soon as the harness changes.
//
// It has no code of its own outside its tests.
package schedules
