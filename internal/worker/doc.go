// Package worker assembles a refund worker from its parts: configuration in, a running process out. It is used by
// cmd/worker and cmd/sandbox, so that the one-command demonstration runs the very worker that production runs.
//
// It owns the order of starting and stopping, the gate that closes intake while Redis is away or full, and nothing of
// what happens to a refund.
package worker
