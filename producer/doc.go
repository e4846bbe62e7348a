// Package producer writes what the core publishes: outcomes, retry copies and dead letters. It owns the driver's
// settings that can lose a message, and the translation of its errors; it refuses to know what an event means.
//
// Its invariant: Publish returns nil only when every event of the call is acked by all in-sync replicas. There is no
// idempotent producer in the driver, so an event may be in the log twice: events carry an ID of their own for that.
package producer
