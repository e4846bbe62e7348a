package refund_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// notifying is an account whose gateway's notifications say what the test wants.
func (b *bundle) notifying(t *testing.T, res refund.Result, err error) {
	t.Helper()
	acct := b.account()
	acct.NotifiedFunc = func(n schemas.Notification, req refund.Request) (refund.Result, error) {
		if string(n.Body) != "{}" || req.RequestID != "rf-1" || req.GatewayKey != "rf-1" || req.Amount != b.cmd.Amount || req.PaymentID != "pay-1" {
			t.Errorf("judged %+v for %+v", n, req)
		}
		return res, err
	}
	b.Processor = b.processor(t, acct)
}

func (b *bundle) signalMessage(t *testing.T, kind schemas.SignalKind) refund.Message {
	t.Helper()
	s := schemas.Signal{RequestID: b.cmd.RequestID, Kind: kind, OccurredAt: schemas.Time{Time: time.Now()}}
	if kind == schemas.SignalNotification {
		s.Notification = &schemas.Notification{
			Gateway: schemas.Antom, Account: "hk", Path: "/antom/hk", Headers: map[string]string{"client-id": "C1"}, Body: []byte("{}"),
		}
	}
	value, err := schemas.EncodeSignal(s)
	if err != nil {
		t.Fatal(err)
	}
	b.offset++
	return refund.Message{Topic: "refunds.signals", Partition: 2, Offset: b.offset, Key: []byte("rf-1"), Value: value}
}

func (b *bundle) runSignal(t *testing.T, m refund.Message) {
	t.Helper()
	if err := b.Signal(t.Context(), m); err != nil {
		t.Fatalf("Signal: %v", err)
	}
}

// pending leaves the bundle's request accepted and waiting.
func (b *bundle) pending(t *testing.T) {
	t.Helper()
	b.gateway.refunds = []answer{verdict(refund.Pending)}
	b.run(t, b.message(t))
	wantEqual(t, "outcomes", []string{"retry-pending IN_PROCESS 1/1"}, status(b.outcomes(t)))
}

// inReview leaves it in review.
func (b *bundle) inReview(t *testing.T) {
	t.Helper()
	b.pending(t)
	pass(25 * time.Hour)
	b.gateway.inquiries = []answer{verdict(refund.Pending)}
	b.runCopy(t, b.copyMessage(t))
	wantEqual(t, "outcomes", []string{"retry-pending IN_PROCESS 1/1", "retry-pending NEEDS_REVIEW 2/2"}, status(b.outcomes(t)))
}

func (b *bundle) scheduled(t *testing.T) []string {
	t.Helper()
	ids, err := b.store.Overdue(t.Context(), 10, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestANotifiedSuccessClosesAWaitingRefundWithoutACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.pending(t)
		b.notifying(t, succeeded().Result, nil)
		m := b.signalMessage(t, schemas.SignalNotification)
		b.runSignal(t, m)
		wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
		wantEqual(t, "outcomes", []string{"retry-pending IN_PROCESS 1/1", "success REFUNDED 1/1"}, status(b.outcomes(t)))
		wantEqual(t, "origin", schemas.Origin{Topic: topic, Partition: 3, Offset: 1}, b.outcomes(t)[1].Origin)
		wantEqual(t, "metadata", b.cmd.Metadata, b.outcomes(t)[1].Metadata)

		b.runSignal(t, m) // again, and the copy that is still in its tier
		b.runCopy(t, b.copyMessage(t))
		wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
		wantEqual(t, "dead letters", 0, len(b.broker.on(refund.DeadLetters)))
		wantEqual(t, "scheduled", []string{}, b.scheduled(t))
	})
}

func TestANotifiedFailureIsBelievedOnlyWithAnInquiryThatAgrees(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		inquiry answer
		want    string
	}{
		"agrees":      {verdict(refund.Declined), "failed WINDOW_EXCEEDED 1/2"},
		"disagrees":   {succeeded(), "success REFUNDED 1/2"},
		"no answer":   {verdict(refund.Unknown), "retry-pending UNKNOWN_OUTCOME 2/2"},
		"in progress": {verdict(refund.Pending), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.pending(t)
				b.notifying(t, refund.Result{Verdict: refund.Declined, Code: schemas.CodeWindowExceeded}, nil)
				b.gateway.inquiries = []answer{tc.inquiry}
				b.runSignal(t, b.signalMessage(t, schemas.SignalNotification))
				wantEqual(t, "calls", []string{"refund", "inquire"}, b.gateway.called())
				got := status(b.outcomes(t))[1:]
				if tc.want == "" {
					wantEqual(t, "outcomes", []string{}, got)
					return
				}
				wantEqual(t, "outcomes", []string{tc.want}, got)
			})
		})
	}
}

func TestANotificationThatProvesNothingChangesNothing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		res refund.Result
		err error
	}{
		"forged":                  {refund.Result{Alarm: refund.AlarmUnverified}, errors.New("signature does not match")},
		"about another amount":    {refund.Result{Review: true, Alarm: refund.AlarmMismatch}, nil},
		"about another success":   {refund.Result{Verdict: refund.Succeeded, Review: true}, nil},
		"neither success nor not": {refund.Result{Verdict: refund.Pending}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.pending(t)
				before, err := b.store.Look(t.Context(), "rf-1")
				if err != nil {
					t.Fatal(err)
				}
				b.notifying(t, tc.res, tc.err)
				m := b.signalMessage(t, schemas.SignalNotification)
				b.runSignal(t, m)
				after, err := b.store.Look(t.Context(), "rf-1")
				if err != nil {
					t.Fatal(err)
				}
				wantEqual(t, "record", before, after)
				wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
				dead := b.broker.on(refund.DeadLetters)
				if len(dead) != 1 || string(dead[0].Value) != string(m.Value) {
					t.Fatalf("dead letters: %+v", dead)
				}
			})
		})
	}
}

func TestANotificationForAnAccountWithoutAnyIsFiled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.pending(t)
		b.runSignal(t, b.signalMessage(t, schemas.SignalNotification))
		wantEqual(t, "dead letters", 1, len(b.broker.on(refund.DeadLetters)))
		wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
	})
}

func TestANotificationThatContradictsAFinalOutcomeRaisesAnAlarmAndChangesNothing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		first refund.Verdict
		told  refund.Verdict
		dead  int
	}{
		"success after failed": {refund.Declined, refund.Succeeded, 1},
		"failed after success": {refund.Succeeded, refund.Declined, 1},
		"success after itself": {refund.Succeeded, refund.Succeeded, 0},
		"failed after itself":  {refund.Declined, refund.Declined, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.gateway.refunds = []answer{verdict(tc.first)}
				b.run(t, b.message(t))
				before := len(b.broker.on(refund.Results))
				b.notifying(t, refund.Result{Verdict: tc.told, RefundID: "g-1"}, nil)
				b.runSignal(t, b.signalMessage(t, schemas.SignalNotification))
				wantEqual(t, "dead letters", tc.dead, len(b.broker.on(refund.DeadLetters)))
				wantEqual(t, "outcomes", before+1, len(b.broker.on(refund.Results)))
				wantEqual(t, "the outcome", string(b.broker.on(refund.Results)[0].Value), string(b.broker.on(refund.Results)[before].Value))
				wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
			})
		})
	}
}

func TestASignalAboutNothingKnownIsDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.notifying(t, succeeded().Result, nil)
		b.runSignal(t, b.signalMessage(t, schemas.SignalNotification))
		b.runSignal(t, b.signalMessage(t, schemas.SignalRedrive))
		wantEqual(t, "calls", []string{}, b.gateway.called())
		wantEqual(t, "events", 0, len(b.broker.events))
	})
}

func TestAnUnreadableSignalIsFiledAndNoRejectionIsPublished(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.runSignal(t, refund.Message{Topic: "refunds.signals", Value: []byte(`{"schemaVersion":1}`)})
		dead := b.broker.on(refund.DeadLetters)
		if len(dead) != 1 || len(b.broker.events) != 1 {
			t.Fatalf("events: %+v", b.broker.events)
		}
		cause, _ := schemas.HeaderValue(dead[0].Headers, schemas.HeaderCause)
		wantEqual(t, "cause", "SCHEMA_VIOLATION", string(cause))
	})
}

// L2: the copy is lost, or its tier was removed; nobody sends the command again.
func TestALostCopyIsDrivenAgainBySignalAndTheOldCopyDiesWhenItTurnsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.pending(t)
		lost := b.copyMessage(t)
		wantEqual(t, "scheduled at once", []string{}, b.scheduled(t))
		pass(10*time.Second + lapseAfter + time.Second)
		wantEqual(t, "scheduled", []string{"rf-1"}, b.scheduled(t))

		b.gateway.inquiries = []answer{verdict(refund.Pending), succeeded()}
		b.runSignal(t, b.signalMessage(t, schemas.SignalRedrive))
		wantEqual(t, "calls", []string{"refund", "inquire"}, b.gateway.called())
		wantEqual(t, "copies", 2, len(b.broker.on(refund.Retry)))
		fresh := b.copyMessage(t)
		b.runCopy(t, lost)
		wantEqual(t, "calls after the old copy", []string{"refund", "inquire"}, b.gateway.called())
		b.runCopy(t, fresh)
		wantEqual(t, "outcomes", []string{"retry-pending IN_PROCESS 1/1", "success REFUNDED 2/3"}, status(b.outcomes(t)))
	})
}

func TestAReviewIsInquiredAgainFromTimeToTimeAndClosedByProof(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		acct := b.account()
		acct.ResendWindow = 10_000 * time.Hour // not even then is anything sent from a review
		b.Processor = b.processor(t, acct)
		b.inReview(t)
		for range 2 {
			pass(24*time.Hour + time.Second)
			wantEqual(t, "scheduled", []string{"rf-1"}, b.scheduled(t))
			b.gateway.inquiries = []answer{verdict(refund.Absent)}
			b.runSignal(t, b.signalMessage(t, schemas.SignalRedrive))
		}
		wantEqual(t, "calls", []string{"refund", "inquire", "inquire", "inquire"}, b.gateway.called())
		wantEqual(t, "dead letters", 1, len(b.broker.on(refund.DeadLetters)))
		wantEqual(t, "copies", 1, len(b.broker.on(refund.Retry)))
		b.run(t, b.message(t)) // a duplicate of the command tells of the review again, and asks nothing
		wantEqual(t, "dead letters", 2, len(b.broker.on(refund.DeadLetters)))

		b.gateway.inquiries = []answer{succeeded()}
		b.runSignal(t, b.signalMessage(t, schemas.SignalRedrive))
		outs := status(b.outcomes(t))
		wantEqual(t, "last outcome", "success REFUNDED 4/5", outs[len(outs)-1])
		wantEqual(t, "calls", 5, len(b.gateway.called()))
	})
}

// The gateway knows our key with other content: what an inquiry by it finds is somebody else's refund.
func TestAContradictedRequestIsClosedToEveryAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{{Result: refund.Result{Verdict: refund.Unknown, Review: true}}}
		b.gateway.inquiries = []answer{succeeded()}
		b.run(t, b.message(t))
		pass(30 * 24 * time.Hour)
		wantEqual(t, "scheduled", []string{}, b.scheduled(t))
		b.notifying(t, succeeded().Result, nil)
		b.runSignal(t, b.signalMessage(t, schemas.SignalNotification))
		b.runSignal(t, b.signalMessage(t, schemas.SignalRedrive))
		wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
		wantEqual(t, "outcomes", []string{"retry-pending NEEDS_REVIEW 1/1"}, status(b.outcomes(t)))
	})
}

func TestASignalWaitsForTheFirstPassAndThenSettles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.notifying(t, succeeded().Result, nil)
		slow := verdict(refund.Pending)
		slow.delay = 5 * time.Second
		b.gateway.refunds = []answer{slow}
		done := make(chan error, 1)
		m := b.message(t)
		go func() { done <- b.Command(t.Context(), m) }()
		pass(time.Second)
		b.runSignal(t, b.signalMessage(t, schemas.SignalNotification))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "outcomes", []string{"retry-pending IN_PROCESS 1/1", "success REFUNDED 1/1"}, status(b.outcomes(t)))
	})
}

// A worker that died in its first pass leaves no command behind; its redelivery brings it.
func TestASignalAboutAClaimWithoutACommandIsFiledOnceTheLeaseHasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.notifying(t, succeeded().Result, nil)
		b.store.cut.Store(true)
		ctx, die := context.WithTimeout(t.Context(), time.Second)
		defer die()
		b.gateway.refunds = []answer{verdict(refund.Unknown)}
		m := b.message(t)
		if err := b.Command(ctx, m); err == nil {
			t.Fatal("waited without a store")
		}
		b.store.cut.Store(false)
		b.runSignal(t, b.signalMessage(t, schemas.SignalNotification))
		wantEqual(t, "dead letters", 1, len(b.broker.on(refund.DeadLetters)))
		b.gateway.inquiries = []answer{succeeded()}
		b.run(t, m)
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/2"}, status(b.outcomes(t)))
	})
}

func TestASignalIsKeptWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.pending(t)
		b.notifying(t, succeeded().Result, nil)
		b.store.away.Store(true)
		time.AfterFunc(time.Minute, func() { b.store.away.Store(false) })
		b.runSignal(t, b.signalMessage(t, schemas.SignalNotification))
		wantEqual(t, "outcomes", []string{"retry-pending IN_PROCESS 1/1", "success REFUNDED 1/1"}, status(b.outcomes(t)))
	})
}
