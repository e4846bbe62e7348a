// Package rebuild refills the dedupe store from the results topic after Redis has forgotten what it acknowledged. It
// reads the published outcomes, in the order of each partition, and hands them to dedupe, which decides what they may
// change. It owns the order of the steps; the safety of every step is dedupe's.
//
// Its invariant: no bucket is opened before everything that was published about it until then has been put back.
package rebuild
