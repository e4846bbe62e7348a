package refund_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// diesBeforePublishing works on a signal in a process that cannot publish any more and dies: what it stored stays.
func (b *bundle) diesBeforePublishing(t *testing.T, m refund.Message) {
	t.Helper()
	b.broker.fail = 1_000_000
	ctx, die := context.WithTimeout(t.Context(), time.Second)
	defer die()
	if err := b.Signal(ctx, m); err == nil {
		t.Fatal("published without a broker")
	}
	b.broker.fail = 0
}

func TestAnOutcomeThatASignalHasSettledIsPublishedByItsRedelivery(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]schemas.SignalKind{"notification": schemas.SignalNotification, "redrive": schemas.SignalRedrive} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.pending(t)
				b.notifying(t, succeeded().Result, nil)
				b.gateway.inquiries = []answer{succeeded()}
				m := b.signalMessage(t, kind)
				b.diesBeforePublishing(t, m)
				b.runSignal(t, m)
				outs := b.outcomes(t)
				if last := outs[len(outs)-1]; len(outs) != 2 || last.Status != schemas.Success || !last.Final {
					t.Fatalf("outcomes: %v", status(outs))
				}
			})
		})
	}
}

// The other owner may be a pass of this very signal, in a process that was frozen and does not come back.
func TestASignalThatFindsItsRequestSettledMeanwhilePublishesTheOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.pending(t)
		b.notifying(t, succeeded().Result, nil)
		m := b.signalMessage(t, schemas.SignalNotification)
		b.store.looked = func() {
			b.store.looked = nil
			b.diesBeforePublishing(t, m)
		}
		b.runSignal(t, m)
		outs := status(b.outcomes(t))
		wantEqual(t, "last outcome", "success REFUNDED 1/1", outs[len(outs)-1])
	})
}

func TestAReviewThatASignalHasBegunIsToldByItsRedelivery(t *testing.T) {
	t.Parallel()
	for name, inquiry := range map[string]refund.Result{
		"past the horizon": {Verdict: refund.Pending},
		"contradicted":     {Verdict: refund.Unknown, Review: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.pending(t)
				pass(25 * time.Hour)
				b.gateway.inquiries = []answer{{Result: inquiry}}
				m := b.signalMessage(t, schemas.SignalRedrive)
				b.diesBeforePublishing(t, m)
				b.runSignal(t, m)
				wantEqual(t, "calls", []string{"refund", "inquire"}, b.gateway.called())
				wantEqual(t, "outcomes", []string{"retry-pending IN_PROCESS 1/1", "retry-pending NEEDS_REVIEW 2/2"}, status(b.outcomes(t)))
				wantEqual(t, "dead letters", 1, len(b.broker.on(refund.DeadLetters)))
			})
		})
	}
}

func TestASignalThatKeepsKillingItsWorkersEndsInAReviewThatIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.pending(t)
		m := b.signalMessage(t, schemas.SignalRedrive)
		b.gateway.inquiries = []answer{verdict(refund.Unknown)}
		for range 6 {
			b.store.cut.Store(true)
			ctx, die := context.WithTimeout(t.Context(), time.Second)
			if err := b.Signal(ctx, m); err == nil {
				t.Fatal("stored without a store")
			}
			die()
			b.store.cut.Store(false)
			pass(2 * lease)
		}
		b.runSignal(t, m)
		wantEqual(t, "outcomes", []string{"retry-pending IN_PROCESS 1/1", "retry-pending NEEDS_REVIEW 1/7"}, status(b.outcomes(t)))
		wantEqual(t, "dead letters", 1, len(b.broker.on(refund.DeadLetters)))
	})
}
