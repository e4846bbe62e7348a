package refund

import (
	"time"

	"refundworker/schemas"
)

// Verdict is what one call to a gateway proved about a refund. Only proof moves it away from Unknown.
type Verdict uint8

// The verdicts. The zero value is the safe one.
const (
	// Unknown: money may have moved. Inquire before anything is sent again.
	Unknown Verdict = iota
	// NotSent: not one byte of the request was written; nothing can have happened.
	NotSent
	// Pending: the gateway has accepted the refund and has not finished it.
	Pending
	// Succeeded: a verified answer about this very refund says the money has moved.
	Succeeded
	// Declined: a verified answer about this very refund says it failed for good.
	Declined
	// Absent: a verified inquiry found no refund under this request's gateway key. Only inquiries give it.
	Absent
)

// String is the verdict's name in logs and metric labels.
func (v Verdict) String() string {
	switch v {
	case Unknown:
		return "unknown"
	case NotSent:
		return "not-sent"
	case Pending:
		return "pending"
	case Succeeded:
		return "succeeded"
	case Declined:
		return "declined"
	case Absent:
		return "absent"
	}
	return "unknown"
}

// Alarm names a condition that a person must mend; it is a metric label and a log key, so the set is closed.
type Alarm string

// The alarms a gateway's answer can raise.
const (
	NoAlarm Alarm = ""
	// AlarmConfiguration: our client ID, key, signature, clock or method was refused.
	AlarmConfiguration Alarm = "configuration"
	// AlarmMismatch: a verified answer speaks of another refund, payment, amount or currency.
	AlarmMismatch Alarm = "mismatch"
	// AlarmUnverified: an answer could not be verified and therefore proves nothing.
	AlarmUnverified Alarm = "unverified"
	// AlarmUnlisted: a code that the gateway's table does not hold.
	AlarmUnlisted Alarm = "unlisted-code"
)

// Result is the value of one gateway call: what was proved, and what the outcome event should tell.
type Result struct {
	Verdict Verdict
	// Code is our code for the answer; empty when the verdict alone decides it.
	Code schemas.Code
	// RawCode and RawMessage are the gateway's own words.
	RawCode, RawMessage string
	// RefundID is the gateway's ID of the refund, when it gave one.
	RefundID string
	// Refunded is the amount the gateway says it refunded.
	Refunded   *schemas.Money
	RefundTime time.Time
	Settlement *schemas.Settlement
	// InquireNow: the refund was accepted and is probably finished; one inquiry at once, in place, can prove it.
	InquireNow bool
	// ShowsNone: a verified inquiry that shows no refund of ours, and does not prove that there is none. It lets the first
	// send of a request go that was never sent by its record, and nothing else. Its verdict is Unknown.
	ShowsNone bool
	// Review: evidence contradicts itself; no retry can settle it, only a person's look.
	Review bool
	// RetryAfter is the pause the gateway asked for; 0 when it asked for none.
	RetryAfter time.Duration
	Alarm      Alarm
	// Detail explains the verdict for the log. It never holds a secret, a signature or a body.
	Detail string
}
