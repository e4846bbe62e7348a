// Package notify takes the notifications that gateways send by themselves when a refund has come to its end, and writes
// each as a signal.
//
// It owns the listener that gateways reach: its paths, its limits, and what is answered when. It refuses to know what a
// notification means: the gateway's client verifies it, and the worker that reads the signal verifies it again and acts.
//
// Its invariant: a gateway hears that a notification was taken only when every in-sync replica has its signal, or when
// it is proved to be about no refund of ours. No record is touched.
package notify
