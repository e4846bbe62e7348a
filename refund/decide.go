package refund

import (
	"time"

	"refundworker/schemas"
)

// evidence is what one pass learned, in the order in which it learned it. The zero value of each part means "not asked".
type evidence struct {
	// told is what a verified notification says that brought the request up; its zero value proves nothing.
	told Result
	// asked: an inquiry went before any send; before is its answer.
	asked  bool
	before Result
	// sent: the refund call was made; send is its answer.
	sent bool
	send Result
	// confirmed: an inquiry followed the send; after is its answer.
	confirmed bool
	after     Result
}

// situation is everything decide looks at.
type situation struct {
	gateway schemas.Gateway
	// maybeSent is the record's sticky mark as it was before this pass.
	maybeSent bool
	// reviewing: the request is in review, and this pass only looks whether the gateway knows more by now.
	reviewing bool
	// hop and attempt are the record's, before this pass.
	hop, attempt int
	// age is the time since the first send that may have arrived before this pass, or where that is not known since the
	// command was first seen, by the store's clock.
	age time.Duration
	// resendWindow is the account's: how long after the first sight a resend is safe; 0 where it never is.
	resendWindow time.Duration
	doubt        doubt
	evidence     evidence
}

// next is the state a decision leads to.
type next uint8

const (
	nextWait next = iota
	nextSettle
	nextReview
)

// decision is what becomes of the request after a pass.
type decision struct {
	next   next
	status schemas.Status
	code   schemas.Code
	// result is the answer that decided; the outcome event is filled from it.
	result Result
	// tier is the delay before the next pass; only for nextWait.
	tier time.Duration
	// attempt and maybeSent are the record's after this pass.
	attempt   int
	maybeSent bool
	// contradicted: what was learned contradicts itself, so no answer of a gateway closes the request any more.
	contradicted bool
	// quiet: it was in review before, and nobody needs to hear of it again.
	quiet bool
}

// decide turns what a pass learned into the request's next state. It is pure, and it is the only place where a verdict
// becomes a status.
//
// The order of its rules is what keeps it safe: a contradicted send first, then proof of success, then other
// contradictions, then proof of failure, and everything else waits. No rule and no length of time leads from an unknown outcome to failed.
func decide(s situation, policy Policy) decision {
	ev := s.evidence
	d := decision{attempt: s.attempt, maybeSent: s.maybeSent}
	if ev.reached() && (ev.sent || !s.doubt.holds(s.maybeSent)) {
		d.attempt++
	}
	if ev.sent && ev.send.Verdict != NotSent {
		d.maybeSent = true
	}
	if ev.asked && ev.before.Verdict == Pending {
		d.maybeSent = true // the gateway works on it, whoever sent it
	}
	d.result = ev.last()

	if ev.sent && ev.send.Review {
		// The gateway knows our key with other content. An inquiry by that key would find the other content and call it
		// a success: nothing it says can speak of this request.
		return d.contradiction(ev.send)
	}
	for _, r := range ev.newestFirst() {
		if r.Verdict == Succeeded {
			return d.settle(schemas.Success, schemas.CodeRefunded, r)
		}
	}
	for _, r := range ev.newestFirst() {
		if r.Review {
			return d.contradiction(r)
		}
	}
	earlier := s.maybeSent || s.doubt.running || ev.asked && ev.before.Verdict == Pending
	if r, proved := ev.failure(earlier); proved {
		return d.settle(schemas.Failed, failureCode(r), r)
	}
	if s.reviewing {
		d.quiet = true
		return d.review(d.result)
	}
	if s.maybeSent && ev.asked && ev.before.Verdict == Absent && !ev.sent && s.resendWindow > 0 {
		// The window in which the gateway's contract makes a resend safe is over: nothing may be sent, and "not
		// found" cannot be told from "forgotten". Where there never was a window, the refund may still appear: it is
		// inquired until the horizon.
		return d.review(ev.before)
	}
	if d.maybeSent && ev.reached() && policy.Horizon > 0 && s.age >= policy.Horizon {
		// A pass that did not reach the gateway has learned nothing that a person could look at.
		return d.review(d.result)
	}
	d.next, d.status = nextWait, schemas.RetryPending
	d.code = waitCode(d.result, d.maybeSent)
	d.tier = policy.tier(firstTier(s.gateway, d.code), s.hop, d.result.RetryAfter)
	if !ev.sent && s.doubt.holds(d.maybeSent) {
		d.tier = policy.tier(0, s.hop, max(d.result.RetryAfter, s.doubt.left))
	}
	return d
}

// reached tells whether the pass may have reached the gateway; only such a pass is an attempt.
func (ev evidence) reached() bool {
	return ev.asked && ev.before.Verdict != NotSent ||
		ev.sent && ev.send.Verdict != NotSent ||
		ev.confirmed && ev.after.Verdict != NotSent
}

// newestFirst lists the answers, the latest first.
func (ev evidence) newestFirst() []Result {
	var list []Result
	if ev.confirmed {
		list = append(list, ev.after)
	}
	if ev.sent {
		list = append(list, ev.send)
	}
	if ev.asked {
		list = append(list, ev.before)
	}
	if ev.told.Verdict != Unknown {
		list = append(list, ev.told)
	}
	return list
}

// last is the answer that explains a wait best: a confirming inquiry only where it learned something.
func (ev evidence) last() Result {
	switch {
	case ev.confirmed && ev.after.Verdict == Pending:
		return ev.after
	case ev.sent:
		return ev.send
	case ev.asked:
		return ev.before
	}
	return Result{}
}

// failure returns the answer that proves the refund failed for good. A decline of a send proves it only when no earlier
// send can have caused it; otherwise a later inquiry has to say the same.
func (ev evidence) failure(earlier bool) (Result, bool) {
	switch {
	case ev.sent && ev.send.Verdict == Declined && !earlier:
		return ev.send, true
	case ev.sent && ev.send.Verdict == Declined && ev.confirmed && ev.after.Verdict == Declined:
		return ev.send, true
	case ev.sent && ev.send.Verdict == Declined:
		return Result{}, false
	case ev.confirmed && ev.after.Verdict == Declined:
		return ev.after, true
	case !ev.sent && ev.asked && ev.before.Verdict == Declined && ev.told.Verdict == Declined:
		return ev.told, true // it says why; an inquiry does not
	case !ev.sent && ev.asked && ev.before.Verdict == Declined:
		return ev.before, true
	}
	return Result{}, false
}

func (d decision) settle(status schemas.Status, code schemas.Code, r Result) decision {
	d.next, d.status, d.code, d.result = nextSettle, status, code, r
	return d
}

func (d decision) review(r Result) decision {
	d.next, d.status, d.code, d.result = nextReview, schemas.RetryPending, schemas.CodeNeedsReview, r
	d.maybeSent = true // whatever led here, nothing may be sent before a person has looked
	return d
}

// contradiction is a review that only a person closes. It is told again if it comes up in a review.
func (d decision) contradiction(r Result) decision {
	d = d.review(r)
	d.contradicted, d.quiet = true, false
	return d
}

// failureCode is the code of a proved failure; a client that proves one without a code of the list gets the general one.
func failureCode(r Result) schemas.Code {
	if r.Code == "" {
		return schemas.CodeRefundFailed
	}
	return r.Code
}

// waitCode is the reason a retry-pending event gives.
func waitCode(r Result, maybeSent bool) schemas.Code {
	switch {
	case r.Verdict == Pending:
		return schemas.CodeInProcess
	case r.Code == schemas.CodeThrottled, r.Code == schemas.CodeAccountRejected:
		return r.Code
	case !maybeSent:
		return schemas.CodeGatewayUnavailable
	}
	return schemas.CodeUnknownOutcome
}
