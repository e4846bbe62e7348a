// Package refund is the core: it turns one command into one settled outcome or one kept promise. It owns the state
// machine (claim, send, inquire, settle, wait), the decision table and the small interfaces it calls; it knows no
// broker, no store and no HTTP.
//
// Its invariant: a request is settled before its outcome is published, and Process returns nil only after the outcome,
// the retry copy or the dead letter is acked. Unknown is never failed.
package refund
