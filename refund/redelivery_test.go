package refund_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

func TestAStopBetweenClaimAndSendGivesTheClaimBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		ctx, stop := context.WithCancel(t.Context())
		b.store.claimed = stop
		m := b.message(t)
		if err := b.Command(ctx, m); !errors.Is(err, context.Canceled) {
			t.Fatalf("Command after a stop: %v", err)
		}
		b.store.claimed = nil
		b.gateway.refunds = []answer{succeeded()}
		started := time.Now()
		b.run(t, m)
		wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/1"}, status(b.outcomes(t)))
		if time.Since(started) > time.Second {
			t.Error("the stopped pass still held its claim")
		}
	})
}

// A crash between storing the wait and publishing it: the very message comes again.
func TestARedeliveryOfTheMessageThatWaitsWritesItsCopyAndPromiseAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{verdict(refund.Unknown)}
		m := b.message(t)
		b.run(t, m)
		b.run(t, m)
		wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
		copies, results := b.broker.on(refund.Retry), b.broker.on(refund.Results)
		if len(copies) != 2 || len(results) != 2 {
			t.Fatalf("%d copies and %d promises, want 2 each", len(copies), len(results))
		}
		wantEqual(t, "copies' headers", copies[0].Headers, copies[1].Headers)
		first, _ := schemas.HeaderValue(results[0].Headers, schemas.HeaderCEID)
		again, _ := schemas.HeaderValue(results[1].Headers, schemas.HeaderCEID)
		wantEqual(t, "event IDs", string(first), string(again))
	})
}

func TestARepeatedCopyDiesOnceItsHopIsPast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{verdict(refund.Unknown)}
		b.gateway.inquiries = []answer{verdict(refund.Unknown)}
		b.run(t, b.message(t))
		first, twin := b.copyMessage(t), b.copyMessage(t)
		b.runCopy(t, first)
		published := len(b.broker.events)
		b.runCopy(t, twin)
		wantEqual(t, "calls", []string{"refund", "inquire"}, b.gateway.called())
		wantEqual(t, "events of the repeated copy", 0, len(b.broker.events)-published)
	})
}

// The copy was lost (a removed tier, a retention too short): the producer's repeat brings the request back to life.
func TestADuplicateOfAWaitingRequestWritesItsCopyAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{verdict(refund.Unknown)}
		b.gateway.inquiries = []answer{succeeded()}
		b.run(t, b.message(t))
		b.broker.events = nil // lost
		b.run(t, b.message(t))
		b.runCopy(t, b.copyMessage(t))
		wantEqual(t, "calls", []string{"refund", "inquire"}, b.gateway.called())
		wantEqual(t, "the end", "success REFUNDED 1/2", status(b.outcomes(t))[len(b.outcomes(t))-1])
	})
}

// Redis has forgotten everything; the copy still knows that something may have been sent.
func TestACopyWhoseRecordIsGoneIsInquiredNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{verdict(refund.Unknown)}
		b.gateway.inquiries = []answer{succeeded()}
		b.run(t, b.message(t))
		m := b.copyMessage(t)
		forgetful := setup(t)
		forgetful.gateway, forgetful.broker = b.gateway, b.broker
		forgetful.Processor = forgetful.processor(t, forgetful.account())
		forgetful.runCopy(t, m)
		wantEqual(t, "calls", []string{"refund", "inquire"}, b.gateway.called())
		wantEqual(t, "outcomes", []string{"retry-pending UNKNOWN_OUTCOME 1/1", "success REFUNDED 1/2"}, status(b.outcomes(t)))
	})
}

func TestACommandThatKeepsKillingItsWorkersEndsInReview(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		m := b.message(t)
		for range 6 {
			b.deadOwner(t, m)
		}
		b.run(t, m)
		outs := b.outcomes(t)
		if len(outs) != 1 || outs[0].Code != schemas.CodeNeedsReview || !outs[0].NeedsReview || outs[0].Final {
			t.Fatalf("outcomes: %+v", outs)
		}
		wantEqual(t, "dead letters", 1, len(b.broker.on(refund.DeadLetters)))
		wantEqual(t, "calls", []string{}, b.gateway.called())
	})
}

// The pass was frozen past its lease; another worker has settled meanwhile. What the store holds is what is published.
func TestALateDeclineDoesNotContradictTheOutcomeOfTheNewOwner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		m := b.message(t)
		declined := answer{Result: refund.Result{Verdict: refund.Declined, Code: schemas.CodeWindowExceeded}}
		declined.hook = func() {
			pass(2 * lease) // SIGSTOP
			b.gateway.mu.Lock()
			b.gateway.refunds = nil
			b.gateway.inquiries = []answer{succeeded()}
			b.gateway.mu.Unlock()
			b.run(t, m)
		}
		b.gateway.refunds = []answer{declined}
		b.run(t, m)
		events := b.broker.on(refund.Results)
		if len(events) != 2 || string(events[0].Value) != string(events[1].Value) {
			t.Fatalf("results: %q", events)
		}
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/2", "success REFUNDED 0/2"}, status(b.outcomes(t)))
	})
}

// The other way round: the new owner still waits, and the frozen pass holds the proof.
func TestALateSuccessSettlesOverTheNewOwner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		m := b.message(t)
		late := succeeded()
		late.hook = func() {
			pass(2 * lease)
			b.gateway.mu.Lock()
			b.gateway.refunds = nil
			b.gateway.inquiries = []answer{verdict(refund.Unknown)}
			b.gateway.mu.Unlock()
			b.run(t, m)
		}
		b.gateway.refunds = []answer{late}
		b.run(t, m)
		wantEqual(t, "outcomes", []string{"retry-pending UNKNOWN_OUTCOME 1/2", "success REFUNDED 0/1"}, status(b.outcomes(t)))
		b.runCopy(t, b.copyMessage(t))
		wantEqual(t, "calls", []string{"refund", "inquire"}, b.gateway.called())
	})
}

// A wait that was overtaken is dropped, and the message looked at again.
func TestALateUnknownLooksAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		m := b.message(t)
		late := verdict(refund.Unknown)
		late.hook = func() {
			pass(2 * lease)
			b.gateway.mu.Lock()
			b.gateway.inquiries = []answer{succeeded()}
			b.gateway.mu.Unlock()
			b.run(t, m)
		}
		b.gateway.refunds = []answer{late}
		b.run(t, m)
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/2", "success REFUNDED 0/2"}, status(b.outcomes(t)))
	})
}

// Antom answered U, and its inquiry shows the refund as begun: only the same refund sent again brings it to its end.
func TestARefundThatTheGatewayBeganAndNeverAcceptedIsCarriedOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{verdict(refund.Unknown), succeeded()}
		b.gateway.inquiries = []answer{verdict(refund.Pending)}
		b.run(t, b.message(t))
		b.runCopy(t, b.copyMessage(t))
		wantEqual(t, "calls", []string{"refund", "inquire", "refund"}, b.gateway.called())
		wantEqual(t, "outcomes", []string{"retry-pending UNKNOWN_OUTCOME 1/1", "success REFUNDED 1/2"}, status(b.outcomes(t)))
	})
}

func TestAGatewayThatPromisesNothingAboutRepeatsIsNeverSentTheRefundAgain(t *testing.T) {
	t.Parallel()
	for _, inquiry := range []refund.Verdict{refund.Absent, refund.Pending, refund.Unknown, refund.NotSent} {
		synctest.Test(t, func(t *testing.T) {
			b := setup(t)
			acct := b.account()
			acct.ResendWindow = 0
			b.Processor = b.processor(t, acct)
			b.gateway.refunds = []answer{verdict(refund.Unknown), succeeded()}
			b.gateway.inquiries = []answer{verdict(inquiry)}
			b.run(t, b.message(t))
			b.runCopy(t, b.copyMessage(t))
			wantEqual(t, "calls after an inquiry that says "+inquiry.String(), []string{"refund", "inquire"}, b.gateway.called())
		})
	}
}

func TestAStoreWhoseClockIsBehindOpensNoResendWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.store.SetClock(func() time.Time { return time.Now().Add(-5 * time.Minute) })
		acct := b.account()
		acct.ResendWindow = 0
		b.Processor = b.processor(t, acct)
		b.gateway.refunds = []answer{verdict(refund.Unknown), succeeded()}
		b.gateway.inquiries = []answer{verdict(refund.Absent)}
		b.run(t, b.message(t))
		b.runCopy(t, b.copyMessage(t))
		wantEqual(t, "calls", []string{"refund", "inquire"}, b.gateway.called())
	})
}

func TestAGatewayThatIsInquiredFirstIsSentOnlyWhatItDoesNotShow(t *testing.T) {
	t.Parallel()
	sent, notSent := []string{"inquire", "refund"}, []string{"inquire"}
	for name, tc := range map[string]struct {
		inquiry refund.Result
		calls   []string
		end     string
	}{
		"a verified absence":                    {refund.Result{Verdict: refund.Absent}, sent, "success REFUNDED 0/1"},
		"a verified answer that shows none":     {refund.Result{Verdict: refund.Unknown, ShowsNone: true}, sent, "success REFUNDED 0/1"},
		"nothing verified":                      {refund.Result{Verdict: refund.Unknown}, notSent, "retry-pending GATEWAY_UNAVAILABLE 1/1"},
		"no connection":                         {refund.Result{Verdict: refund.NotSent}, notSent, "retry-pending GATEWAY_UNAVAILABLE 1/0"},
		"a refund that somebody sent before us": {succeeded().Result, notSent, "success REFUNDED 0/1"},
		"a refund that is under way":            {refund.Result{Verdict: refund.Pending}, notSent, "retry-pending IN_PROCESS 1/1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				acct := b.account()
				acct.InquireFirst, acct.ResendWindow = true, 0
				b.Processor = b.processor(t, acct)
				b.gateway.refunds = []answer{succeeded()}
				b.gateway.inquiries = []answer{{Result: tc.inquiry}}
				b.run(t, b.message(t))
				wantEqual(t, "calls", tc.calls, b.gateway.called())
				wantEqual(t, "outcomes", []string{tc.end}, status(b.outcomes(t)))
			})
		})
	}
}

// The first inquiry failed, so the request waited unsent; the next one shows none.
func TestARequestThatWaitedUnsentIsSentOnceAnInquiryShowsNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		acct := b.account()
		acct.InquireFirst, acct.ResendWindow = true, 0
		b.Processor = b.processor(t, acct)
		b.gateway.inquiries = []answer{verdict(refund.Unknown), {Result: refund.Result{Verdict: refund.Unknown, ShowsNone: true}}}
		b.gateway.refunds = []answer{succeeded()}
		b.run(t, b.message(t))
		b.runCopy(t, b.copyMessage(t))
		wantEqual(t, "calls", []string{"inquire", "inquire", "refund"}, b.gateway.called())
		wantEqual(t, "outcomes", []string{"retry-pending GATEWAY_UNAVAILABLE 1/1", "success REFUNDED 1/2"}, status(b.outcomes(t)))
	})
}

func TestTheFrozenAccountIsKeptWhenTheDefaultChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{verdict(refund.Unknown)}
		b.gateway.inquiries = []answer{succeeded()}
		m := b.message(t)
		b.run(t, m)

		// The account was renamed in the configuration: the old name is not there.
		renamed := b.account()
		renamed.Name = "hongkong"
		c := b.copyMessage(t)
		if err := b.processor(t, renamed).Copy(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "calls after the rename", []string{"refund"}, b.gateway.called())
		parked := b.copyMessage(t)
		wantEqual(t, "parked headers keep the state", header(t, c, schemas.HeaderHop), header(t, parked, schemas.HeaderHop))

		// And a duplicate that names no account meets the record: parked as well, and the claim given back.
		b.offset++
		dup := m
		dup.Offset = b.offset
		b.store.answer = func(c refund.Claim) refund.Claim {
			c.Status, c.Record.Account = refund.ClaimGranted, "hk"
			return c
		}
		if err := b.processor(t, renamed).Command(t.Context(), dup); err != nil {
			t.Fatal(err)
		}
		b.store.answer = nil
		wantEqual(t, "calls while the account is not configured", []string{"refund"}, b.gateway.called())

		b.runCopy(t, parked)
		wantEqual(t, "calls", []string{"refund", "inquire"}, b.gateway.called())
	})
}

func header(t *testing.T, m refund.Message, key string) string {
	t.Helper()
	value, ok := schemas.HeaderValue(m.Headers, key)
	if !ok {
		t.Errorf("no header %s", key)
	}
	return string(value)
}

func TestAnotherGatewayKeyThanTheFrozenOneGoesToReview(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{verdict(refund.Unknown)}
		b.run(t, b.message(t))
		changed := b.account()
		changed.KeyFunc = func(id string) string { return "new-" + id }
		if err := b.processor(t, changed).Copy(t.Context(), b.copyMessage(t)); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
		wantEqual(t, "outcomes", []string{"retry-pending UNKNOWN_OUTCOME 1/1", "retry-pending NEEDS_REVIEW 2/1"}, status(b.outcomes(t)))
	})
}

func TestADuplicateAfterTheOutcomesBytesExpiredIsRejectedWithItsStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{succeeded()}
		b.run(t, b.message(t))
		pass(721 * time.Hour)
		b.run(t, b.message(t))
		wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
		rejected := b.rejections(t)
		if len(rejected) != 1 || rejected[0].Code != schemas.CodeAlreadySettled || !strings.Contains(rejected[0].Detail, "success (REFUNDED)") {
			t.Fatalf("rejections: %+v", rejected)
		}
	})
}

func TestARecordOfANewerBuildIsParked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.store.answer = func(c refund.Claim) refund.Claim {
			c.Status = refund.ClaimUnknownVersion
			return c
		}
		b.run(t, b.message(t))
		wantEqual(t, "calls", []string{}, b.gateway.called())
		wantEqual(t, "parked", 1, len(b.broker.on(refund.Retry)))
	})
}

func TestAnAnswerTheStoreShouldNeverGiveIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.store.answer = func(c refund.Claim) refund.Claim {
			c.Status = refund.ClaimInvalid
			return c
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.Command(ctx, b.message(t)); err == nil {
			t.Fatal("accepted")
		}
	})
}

func TestARetryCopyWithABadHeaderIsFiledNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{verdict(refund.Unknown)}
		b.run(t, b.message(t))
		m := b.copyMessage(t)
		for i, h := range m.Headers {
			if h.Key == schemas.HeaderHop {
				m.Headers[i].Value = []byte("minus one")
			}
		}
		b.runCopy(t, m)
		dead := b.broker.on(refund.DeadLetters)
		if len(dead) != 1 || string(dead[0].Value) != string(m.Value) {
			t.Fatalf("dead letters: %+v", dead)
		}
		if r := b.rejections(t); len(r) != 1 || !strings.Contains(r[0].Detail, schemas.HeaderHop) {
			t.Fatalf("rejections: %+v", r)
		}
	})
}

// A command may carry as many headers as are allowed; its copy then carries more, and must not be refused for it.
func TestACopyOfACommandWithManyHeadersIsWorked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{verdict(refund.Unknown)}
		b.gateway.inquiries = []answer{succeeded()}
		m := b.message(t)
		for range schemas.MaxHeaders {
			m.Headers = append(m.Headers, schemas.Header{Key: "x", Value: []byte("y")})
		}
		b.run(t, m)
		b.runCopy(t, b.copyMessage(t))
		wantEqual(t, "rejections", 0, len(b.rejections(t)))
		wantEqual(t, "calls", []string{"refund", "inquire"}, b.gateway.called())

		m.Headers = append(m.Headers, m.Headers[0])
		b.run(t, m)
		if r := b.rejections(t); len(r) != 1 || r[0].Code != schemas.CodeTooLarge {
			t.Fatalf("a command with one header too many: %+v", r)
		}
	})
}

func TestAPanicOutsideTheGatewayIsAnErrorAndTheMessageIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.store.claimed = func() { panic("boom") }
		m := b.message(t)
		if err := b.Command(t.Context(), m); err == nil {
			t.Fatal("a panic was taken for done")
		}
		b.store.claimed = nil
		b.gateway.inquiries = []answer{verdict(refund.Absent)}
		b.gateway.refunds = []answer{succeeded()}
		b.run(t, m)
		wantEqual(t, "calls", []string{"inquire", "refund"}, b.gateway.called())
	})
}

func TestAGatewayTextThatFitsNoOutcomeDoesNotStopTheOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		a := succeeded()
		a.RawMessage = strings.Repeat("\xff\x00", 100_000)
		a.Settlement = &schemas.Settlement{Amount: &schemas.Money{Minor: -1, Currency: "not a currency"}}
		b.gateway.refunds = []answer{a}
		b.run(t, b.message(t))
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/1"}, status(b.outcomes(t)))
	})
}
