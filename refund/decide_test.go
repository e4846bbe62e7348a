package refund

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"refundworker/schemas"
)

var testPolicy = Policy{Tiers: []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour}, Horizon: 24 * time.Hour, LapseAfter: time.Minute, ReviewInterval: 24 * time.Hour}

// told is what a decision tells the world; the rest of it follows.
type told struct {
	Next      next
	Status    schemas.Status
	Code      schemas.Code
	Tier      time.Duration
	Attempt   int
	MaybeSent bool
	// Closed to evidence, and not to be told again.
	Contradicted, Quiet bool
}

func tell(d decision) told {
	return told{d.next, d.status, d.code, d.tier, d.attempt, d.maybeSent, d.contradicted, d.quiet}
}

func notifiedOf(by, before Result) evidence { return evidence{told: by, asked: true, before: before} }

func sentWith(r Result) evidence     { return evidence{sent: true, send: r} }
func inquiredWith(r Result) evidence { return evidence{asked: true, before: r} }
func v(verdict Verdict) Result       { return Result{Verdict: verdict} }

func TestDecideByTable(t *testing.T) {
	t.Parallel()
	const s10, m1, h1 = 10 * time.Second, time.Minute, time.Hour
	waiting := func(code schemas.Code, tier time.Duration, attempt int, maybeSent bool) told {
		return told{nextWait, schemas.RetryPending, code, tier, attempt, maybeSent, false, false}
	}
	settled := func(status schemas.Status, code schemas.Code, attempt int, maybeSent bool) told {
		return told{nextSettle, status, code, 0, attempt, maybeSent, false, false}
	}
	review := func(attempt int) told {
		return told{nextReview, schemas.RetryPending, schemas.CodeNeedsReview, 0, attempt, true, false, false}
	}
	contradicted := func(attempt int) told {
		return told{nextReview, schemas.RetryPending, schemas.CodeNeedsReview, 0, attempt, true, true, false}
	}
	stillReview := func(attempt int) told {
		return told{nextReview, schemas.RetryPending, schemas.CodeNeedsReview, 0, attempt, true, false, true}
	}
	declined := Result{Verdict: Declined, Code: schemas.CodeWindowExceeded}

	for name, tc := range map[string]struct {
		in   situation
		want told
	}{
		"a first send that succeeds settles as success": {
			situation{evidence: sentWith(v(Succeeded))}, settled(schemas.Success, schemas.CodeRefunded, 1, true),
		},
		"a first send that is declined settles as failed with its code": {
			situation{evidence: sentWith(declined)}, settled(schemas.Failed, schemas.CodeWindowExceeded, 1, true),
		},
		"a decline without a code of the list is a refund that failed": {
			situation{evidence: sentWith(v(Declined))}, settled(schemas.Failed, schemas.CodeRefundFailed, 1, true),
		},
		"a first send of unknown outcome waits and may have been sent": {
			situation{evidence: sentWith(v(Unknown))}, waiting(schemas.CodeUnknownOutcome, s10, 1, true),
		},
		"a first send that provably wrote nothing burns no attempt and stays unsent": {
			situation{evidence: sentWith(v(NotSent))}, waiting(schemas.CodeGatewayUnavailable, s10, 0, false),
		},
		"an accepted refund waits as in process": {
			situation{evidence: sentWith(v(Pending))}, waiting(schemas.CodeInProcess, s10, 1, true),
		},
		"a throttling answer is an answer: unknown, under its own code": {
			situation{evidence: sentWith(Result{Verdict: Unknown, Code: schemas.CodeThrottled})}, waiting(schemas.CodeThrottled, m1, 1, true),
		},
		"refused credentials never fail a refund": {
			situation{evidence: sentWith(Result{Verdict: Unknown, Code: schemas.CodeAccountRejected})},
			waiting(schemas.CodeAccountRejected, m1, 1, true),
		},
		"a pause the gateway asks for is kept": {
			situation{evidence: sentWith(Result{Verdict: Unknown, Code: schemas.CodeThrottled, RetryAfter: 45 * time.Second})},
			waiting(schemas.CodeThrottled, m1, 1, true),
		},
		"a pause longer than every tier takes the longest": {
			situation{evidence: sentWith(Result{Verdict: Unknown, RetryAfter: 48 * time.Hour})}, waiting(schemas.CodeUnknownOutcome, h1, 1, true),
		},
		"the delay grows by hop": {
			situation{hop: 1, attempt: 1, maybeSent: true, evidence: inquiredWith(v(Unknown))}, waiting(schemas.CodeUnknownOutcome, m1, 2, true),
		},
		"past the last tier the delay stays": {
			situation{hop: 40, attempt: 40, maybeSent: true, evidence: inquiredWith(v(Unknown))}, waiting(schemas.CodeUnknownOutcome, h1, 41, true),
		},
		"an accepted refund whose inquiry proves success settles": {
			situation{evidence: evidence{sent: true, send: Result{Verdict: Pending, InquireNow: true}, confirmed: true, after: v(Succeeded)}},
			settled(schemas.Success, schemas.CodeRefunded, 1, true),
		},
		"an accepted refund whose inquiry proves failure settles as failed": {
			situation{evidence: evidence{sent: true, send: Result{Verdict: Pending, InquireNow: true}, confirmed: true, after: v(Declined)}},
			settled(schemas.Failed, schemas.CodeRefundFailed, 1, true),
		},
		"an accepted refund whose inquiry learns nothing waits as in process": {
			situation{evidence: evidence{sent: true, send: Result{Verdict: Pending, InquireNow: true}, confirmed: true, after: v(Unknown)}},
			waiting(schemas.CodeInProcess, s10, 1, true),
		},
		"an accepted refund that an inquiry does not find yet waits": {
			situation{evidence: evidence{sent: true, send: Result{Verdict: Pending, InquireNow: true}, confirmed: true, after: v(Absent)}},
			waiting(schemas.CodeInProcess, s10, 1, true),
		},
		"a decline after an earlier send waits when the inquiry learns nothing": {
			situation{maybeSent: true, attempt: 1, hop: 1, evidence: evidence{
				asked: true, before: v(Absent), sent: true, send: declined, confirmed: true, after: v(Unknown),
			}}, waiting(schemas.CodeUnknownOutcome, m1, 2, true),
		},
		"a decline after an earlier send waits when the inquiry finds nothing": {
			situation{maybeSent: true, attempt: 1, hop: 1, evidence: evidence{
				asked: true, before: v(Absent), sent: true, send: declined, confirmed: true, after: v(Absent),
			}}, waiting(schemas.CodeUnknownOutcome, m1, 2, true),
		},
		"a decline after an earlier send settles when the inquiry agrees": {
			situation{maybeSent: true, attempt: 1, hop: 1, evidence: evidence{
				asked: true, before: v(Absent), sent: true, send: declined, confirmed: true, after: v(Declined),
			}}, settled(schemas.Failed, schemas.CodeWindowExceeded, 2, true),
		},
		"a decline that our own first send caused is a success": {
			situation{maybeSent: true, attempt: 1, hop: 1, evidence: evidence{
				asked: true, before: v(Absent), sent: true, send: declined, confirmed: true, after: v(Succeeded),
			}}, settled(schemas.Success, schemas.CodeRefunded, 2, true),
		},
		"an inquiry that proves success settles": {
			situation{maybeSent: true, attempt: 1, hop: 1, evidence: inquiredWith(v(Succeeded))},
			settled(schemas.Success, schemas.CodeRefunded, 2, true),
		},
		"an inquiry that proves failure settles": {
			situation{maybeSent: true, attempt: 1, hop: 1, evidence: inquiredWith(v(Declined))},
			settled(schemas.Failed, schemas.CodeRefundFailed, 2, true),
		},
		"an inquiry that was not sent burns no attempt and forgets nothing": {
			situation{maybeSent: true, attempt: 1, hop: 0, evidence: inquiredWith(v(NotSent))}, waiting(schemas.CodeUnknownOutcome, s10, 1, true),
		},
		"absent past the resend window goes to review": {
			situation{maybeSent: true, attempt: 3, hop: 3, resendWindow: time.Hour, evidence: inquiredWith(v(Absent))}, review(4),
		},
		"absent where no resend is ever safe is inquired again": {
			situation{maybeSent: true, attempt: 3, hop: 1, evidence: inquiredWith(v(Absent))}, waiting(schemas.CodeUnknownOutcome, m1, 4, true),
		},
		"absent where no resend is ever safe goes to review at the horizon": {
			situation{maybeSent: true, attempt: 3, hop: 1, age: 24 * time.Hour, evidence: inquiredWith(v(Absent))}, review(4),
		},
		"absent inside the window and a resend that was not sent waits, still maybe sent": {
			situation{maybeSent: true, attempt: 1, evidence: evidence{asked: true, before: v(Absent), sent: true, send: v(NotSent)}},
			waiting(schemas.CodeUnknownOutcome, s10, 2, true),
		},
		"an inquiry before a first send that finds nothing learned sends nothing": {
			situation{evidence: inquiredWith(v(Unknown))}, waiting(schemas.CodeGatewayUnavailable, s10, 1, false),
		},
		"an inquiry before a first send that finds it pending counts as sent": {
			situation{evidence: inquiredWith(v(Pending))}, waiting(schemas.CodeInProcess, s10, 1, true),
		},
		"a contradiction goes to review": {
			situation{evidence: sentWith(Result{Verdict: Unknown, Review: true})}, contradicted(1),
		},
		"a contradicted send goes to review whatever an inquiry finds under its key": {
			situation{evidence: evidence{sent: true, send: Result{Verdict: Unknown, Review: true}, confirmed: true, after: v(Succeeded)}},
			contradicted(1),
		},
		"proof of success outranks a contradicting inquiry": {
			situation{evidence: evidence{sent: true, send: v(Succeeded), confirmed: true, after: Result{Verdict: Unknown, Review: true}}},
			settled(schemas.Success, schemas.CodeRefunded, 1, true),
		},
		"a pass that did not reach the gateway does not end at the horizon": {
			situation{maybeSent: true, attempt: 3, hop: 9, age: 48 * time.Hour, evidence: inquiredWith(v(NotSent))},
			waiting(schemas.CodeUnknownOutcome, h1, 3, true),
		},
		"a contradiction outranks a decline": {
			situation{evidence: evidence{sent: true, send: Result{Verdict: Unknown, Review: true}, confirmed: true, after: v(Declined)}},
			contradicted(1),
		},
		"unknown at the horizon goes to review": {
			situation{maybeSent: true, attempt: 9, hop: 9, age: 24 * time.Hour, evidence: inquiredWith(v(Unknown))}, review(10),
		},
		"pending at the horizon goes to review": {
			situation{maybeSent: true, attempt: 9, hop: 9, age: 25 * time.Hour, evidence: inquiredWith(v(Pending))}, review(10),
		},
		"never sent has no horizon": {
			situation{attempt: 0, hop: 9, age: 48 * time.Hour, evidence: sentWith(v(NotSent))},
			waiting(schemas.CodeGatewayUnavailable, h1, 0, false),
		},
		"success at the horizon is a success": {
			situation{maybeSent: true, hop: 9, attempt: 9, age: 48 * time.Hour, evidence: inquiredWith(v(Succeeded))},
			settled(schemas.Success, schemas.CodeRefunded, 10, true),
		},
		"a throttled answer begins at the second tier": {
			situation{evidence: sentWith(Result{Code: schemas.CodeThrottled})}, waiting(schemas.CodeThrottled, m1, 1, true),
		},
		"refused credentials begin at the second tier": {
			situation{hop: 1, attempt: 1, evidence: sentWith(Result{Code: schemas.CodeAccountRejected})}, waiting(schemas.CodeAccountRejected, 10*time.Minute, 2, true),
		},
		"an unknown outcome at eftPay begins at the second tier": {
			situation{gateway: schemas.EftPay, evidence: sentWith(v(Unknown))}, waiting(schemas.CodeUnknownOutcome, m1, 1, true),
		},
		"a first send at eftPay that was held back is tried again soon": {
			situation{gateway: schemas.EftPay, evidence: inquiredWith(v(Unknown))}, waiting(schemas.CodeGatewayUnavailable, s10, 1, false),
		},
		"a notified success settles without a call": {
			situation{maybeSent: true, hop: 2, attempt: 2, evidence: evidence{told: v(Succeeded)}},
			settled(schemas.Success, schemas.CodeRefunded, 2, true),
		},
		"a notified success settles a review": {
			situation{maybeSent: true, reviewing: true, attempt: 2, evidence: evidence{told: v(Succeeded)}},
			settled(schemas.Success, schemas.CodeRefunded, 2, true),
		},
		"a notified failure with an inquiry that agrees settles with its own code": {
			situation{maybeSent: true, hop: 2, attempt: 2, evidence: notifiedOf(declined, v(Declined))},
			settled(schemas.Failed, schemas.CodeWindowExceeded, 3, true),
		},
		"a notified failure with an inquiry that learns nothing waits": {
			situation{maybeSent: true, hop: 1, attempt: 2, evidence: notifiedOf(declined, v(Unknown))},
			waiting(schemas.CodeUnknownOutcome, m1, 3, true),
		},
		"a notified failure against an inquiry that proves success is a success": {
			situation{maybeSent: true, hop: 1, attempt: 2, evidence: notifiedOf(declined, v(Succeeded))},
			settled(schemas.Success, schemas.CodeRefunded, 3, true),
		},
		"a review whose inquiry learns nothing stays one, quietly": {
			situation{maybeSent: true, reviewing: true, hop: 9, attempt: 9, age: 48 * time.Hour, evidence: inquiredWith(v(Unknown))}, stillReview(10),
		},
		"a review whose inquiry was not sent stays one": {
			situation{maybeSent: true, reviewing: true, hop: 9, attempt: 9, evidence: inquiredWith(v(NotSent))}, stillReview(9),
		},
		"a review whose inquiry finds none stays one": {
			situation{maybeSent: true, reviewing: true, hop: 9, attempt: 9, resendWindow: time.Hour, evidence: inquiredWith(v(Absent))}, stillReview(10),
		},
		"a review whose inquiry proves failure settles": {
			situation{maybeSent: true, reviewing: true, hop: 9, attempt: 9, evidence: inquiredWith(v(Declined))},
			settled(schemas.Failed, schemas.CodeRefundFailed, 10, true),
		},
		"a review whose inquiry contradicts it is told again and closed to evidence": {
			situation{maybeSent: true, reviewing: true, hop: 9, attempt: 9, evidence: inquiredWith(Result{Verdict: Unknown, Review: true})}, contradicted(10),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, tell(decide(tc.in, testPolicy))); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

var allVerdicts = []Verdict{Unknown, NotSent, Pending, Succeeded, Declined, Absent}

func genResult(inquiry bool) *rapid.Generator[Result] {
	verdicts := allVerdicts
	if !inquiry {
		verdicts = verdicts[:5] // only inquiries find nothing
	}
	return rapid.Custom(func(t *rapid.T) Result {
		return Result{
			Verdict:    rapid.SampledFrom(verdicts).Draw(t, "verdict"),
			Code:       rapid.SampledFrom([]schemas.Code{"", schemas.CodeThrottled, schemas.CodeAccountRejected, schemas.CodeWindowExceeded}).Draw(t, "code"),
			Review:     rapid.IntRange(0, 9).Draw(t, "review") == 0,
			RetryAfter: time.Duration(rapid.IntRange(0, 7200).Draw(t, "retryAfter")) * time.Second,
		}
	})
}

func genSituation() *rapid.Generator[situation] {
	return rapid.Custom(func(t *rapid.T) situation {
		s := situation{
			gateway:      rapid.SampledFrom([]schemas.Gateway{schemas.Antom, schemas.EftPay}).Draw(t, "gateway"),
			maybeSent:    rapid.Bool().Draw(t, "maybeSent"),
			reviewing:    rapid.IntRange(0, 3).Draw(t, "reviewing") == 0,
			hop:          rapid.IntRange(0, 50).Draw(t, "hop"),
			attempt:      rapid.IntRange(0, 50).Draw(t, "attempt"),
			age:          time.Duration(rapid.IntRange(0, 72).Draw(t, "age")) * time.Hour,
			resendWindow: time.Duration(rapid.IntRange(0, 2).Draw(t, "resendWindow")) * 12 * time.Hour,
		}
		s.maybeSent = s.maybeSent || s.reviewing
		if rapid.IntRange(0, 3).Draw(t, "notified") == 0 {
			s.evidence.told = v(rapid.SampledFrom([]Verdict{Succeeded, Declined}).Draw(t, "told"))
		}
		s.evidence.asked = rapid.Bool().Draw(t, "asked")
		if s.evidence.asked {
			s.evidence.before = genResult(true).Draw(t, "before")
		}
		s.evidence.sent = rapid.Bool().Draw(t, "sent")
		if s.evidence.sent {
			s.evidence.send = genResult(false).Draw(t, "send")
			s.evidence.confirmed = rapid.Bool().Draw(t, "confirmed")
			if s.evidence.confirmed {
				s.evidence.after = genResult(true).Draw(t, "after")
			}
		}
		return s
	})
}

// The promises about money, over every combination of evidence: also those the processor never produces.
func TestDecideNeverBreaksAMoneyRule(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := genSituation().Draw(t, "situation")
		d := decide(s, testPolicy)
		ev := s.evidence

		inquiryProves := func(v Verdict) bool {
			return ev.asked && ev.before.Verdict == v || ev.confirmed && ev.after.Verdict == v
		}
		sendProves := func(v Verdict) bool { return ev.sent && ev.send.Verdict == v }
		proved := inquiryProves(Succeeded) || sendProves(Succeeded) || ev.told.Verdict == Succeeded

		switch d.status {
		case schemas.Success:
			if !proved {
				t.Fatalf("success without proof: %+v", d)
			}
			if ev.sent && ev.send.Review {
				t.Fatalf("success though the gateway knows the key with other content: %+v", d)
			}
		case schemas.Failed:
			if !inquiryProves(Declined) && (s.maybeSent || !sendProves(Declined)) {
				t.Fatalf("failed without proof: %+v", d)
			}
			if proved {
				t.Fatalf("failed against a proof of success: %+v", d)
			}
		case schemas.RetryPending:
			if proved && (!ev.sent || !ev.send.Review) {
				t.Fatalf("proof of success thrown away: %+v", d)
			}
			if s.maybeSent && !d.maybeSent {
				t.Fatal("maybeSent was forgotten without proof")
			}
			if ev.sent && ev.send.Verdict != NotSent && !d.maybeSent {
				t.Fatal("a send that may have arrived was not remembered")
			}
		default:
			t.Fatalf("status %q", d.status)
		}
		if s.reviewing && d.next == nextWait {
			t.Fatal("a review went back into the tiers")
		}
		if d.next == nextWait && d.tier <= 0 {
			t.Fatal("a wait without a delay")
		}
		if d.attempt != s.attempt && d.attempt != s.attempt+1 {
			t.Fatalf("attempt went from %d to %d", s.attempt, d.attempt)
		}
		if _, ok := d.code.Info(); !ok {
			t.Fatalf("code %q is not of the list", d.code)
		}
	})
}

// Time alone never fails a refund: whatever the age, what was not failed stays not failed.
func TestDecideNeverFailsByAge(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := genSituation().Draw(t, "situation")
		young, old := s, s
		young.age, old.age = 0, 10_000*time.Hour
		if a, b := decide(young, testPolicy), decide(old, testPolicy); (a.status == schemas.Failed) != (b.status == schemas.Failed) {
			t.Fatalf("age alone turned %+v into %+v", a, b)
		}
	})
}

func TestPolicyRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]Policy{
		"no tiers":           {LapseAfter: 1, ReviewInterval: 1},
		"descending tiers":   {Tiers: []time.Duration{time.Minute, time.Second}, LapseAfter: 1, ReviewInterval: 1},
		"negative horizon":   {Tiers: []time.Duration{time.Second}, Horizon: -1, LapseAfter: 1, ReviewInterval: 1},
		"no lapse":           {Tiers: []time.Duration{time.Second}, ReviewInterval: 1},
		"no review interval": {Tiers: []time.Duration{time.Second}, LapseAfter: 1},
	} {
		if p.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := testPolicy.Validate(); err != nil {
		t.Errorf("the default policy: %v", err)
	}
}

func ExamplePolicy() {
	p := Policy{Tiers: []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour}}
	var sum time.Duration
	for hop := range 5 {
		sum += p.tier(0, hop, 0)
		fmt.Println(hop, p.tier(0, hop, 0), sum)
	}
	// Output:
	// 0 10s 10s
	// 1 1m0s 1m10s
	// 2 10m0s 11m10s
	// 3 1h0m0s 1h11m10s
	// 4 1h0m0s 2h11m10s
}
