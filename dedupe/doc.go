// Package dedupe remembers refund requests: who works on one, what it waits for, and how it ended. It owns the records
// in Redis (one per request ID, one per payment), the scripts that move them, and an in-memory store with the same
// answers. It refuses to know what a refund is: it never decides whether to send, and reads nothing of an outcome's
// bytes.
//
// Its invariant: the states of a request only move forward (absent, claimed, waiting or review, settled, tombstone),
// every move but the first is made by the token that owns the claim, and a settled record never changes. A verified
// success is the one exception to ownership: it settles whatever is not settled.
//
// A request's record and its payment's record lie in different hash slots, so every call is one pipelined round trip of
// two scripts, each atomic by itself. What one half granted and the other refused is given back before the call
// answers, in a second round trip. Where that is not possible, because the network or the process died between, the
// leases end by themselves, and an entry that stayed in the payment's record counts against its cap until the request
// itself moves on, or a message of it finds that it has. Every call may be repeated with the same token: it then
// answers as it did the first time.
//
// The keys, with <p> the configured prefix and <n> the bucket, the hash of the ID modulo 1024:
//
//	{<p>:b<n>}:r:<request ID>            the record, one packed string (common.lua)
//	{<p>:b<n>}:o:<request ID>            the outcome's bytes, in the same bucket, with a shorter life
//	{<p>:b<n>}:p:<gateway>/<payment ID>  the payment, a hash (payment_acquire.lua)
//	{<p>:b<n>}:m:<request ID>            the command of an open request, as it was read (record_wait.lua)
//	{<p>:b<n>}:d                         the open requests by when they are looked at, a sorted set (record_wait.lua)
//	{<p>:b<n>}:x:<kind>                  what a probe writes and deletes
//	{<p>:b<n>}:epoch                     which server may be believed about the bucket (epoch.go)
//	{<p>:b<n>}:beat                      when the bucket was known to be whole last, ms
//	{<p>:b0}:watch                       whose turn it is to look for overdue requests (schedule.go)
//	{<p>:b0}:rebuild, ...:rebuild:<name> who refills, and how far a refill has come (rebuild.go)
//	<p>:layout                           what all of this looks like; written by Init, compared by CheckLayout
//
// Redis is believed within an epoch. Where it has forgotten what it acknowledged, or may have, every call that moves a
// state fails with ErrForgot until somebody has put back what was published: BeginRebuild, Restore, Finish. One thing
// survives even the loss of a request's record, because it is kept twice: a success that its payment still knows is not
// granted again.
package dedupe
