package refund_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// overtaken leaves the request with a proof that comes late: its process is frozen in the send, a build that computes
// other keys takes the message over and puts it into review, and the first one wakes, stores what the gateway has told it
// and dies before it can publish. Nobody has the command's message any more.
func (b *bundle) overtaken(t *testing.T) {
	t.Helper()
	m := b.message(t)
	other := b.account()
	other.KeyFunc = func(id string) string { return "other-" + id }
	late := succeeded()
	late.hook = func() {
		pass(2 * lease)
		if err := b.processor(t, other).Command(t.Context(), m); err != nil {
			t.Errorf("the other build: %v", err)
		}
		b.broker.fail = 1_000_000
	}
	b.gateway.refunds = []answer{late}
	ctx, die := context.WithTimeout(t.Context(), 2*lease+time.Second)
	defer die()
	if err := b.Command(ctx, m); err == nil {
		t.Fatal("published without a broker")
	}
	b.broker.fail = 0
	wantEqual(t, "outcomes", []string{"retry-pending NEEDS_REVIEW 1/1"}, status(b.outcomes(t)))
}

func TestALateProofIsPublishedThoughItsProcessDiedAndItsMessageIsDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.overtaken(t)
		wantEqual(t, "overdue", []string{}, b.scheduled(t))
		pass(lease)
		wantEqual(t, "overdue", []string{"rf-1"}, b.scheduled(t))
		m := b.signalMessage(t, schemas.SignalRedrive)
		b.diesBeforePublishing(t, m)
		b.runSignal(t, m)
		wantEqual(t, "outcomes", []string{"retry-pending NEEDS_REVIEW 1/1", "success REFUNDED 0/1"}, status(b.outcomes(t)))
		pass(24 * time.Hour)
		wantEqual(t, "overdue", []string{}, b.scheduled(t))
	})
}

// Nothing is left to publish, so nobody has to be reminded.
func TestALateProofWhoseBytesHaveExpiredLeavesTheSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.overtaken(t)
		pass(365 * 24 * time.Hour / 2)
		b.runSignal(t, b.signalMessage(t, schemas.SignalRedrive))
		wantEqual(t, "outcomes", []string{"retry-pending NEEDS_REVIEW 1/1"}, status(b.outcomes(t)))
		wantEqual(t, "overdue", []string{}, b.scheduled(t))
	})
}

// The signal has looked, and waits for the store, when the request goes into a review that only a person closes: a claim
// of it would leave it claimed for ever, for no signal works on it again.
func TestASignalLeavesAReviewAloneThatIsContradictedSinceItLooked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.pending(t)
		b.store.looked = func() {
			b.store.looked = nil
			pass(25 * time.Hour)
			b.gateway.inquiries = []answer{{Result: refund.Result{Verdict: refund.Unknown, Review: true}}}
			b.runCopy(t, b.copyMessage(t))
		}
		b.runSignal(t, b.signalMessage(t, schemas.SignalRedrive))
		sight, err := b.store.Look(t.Context(), "rf-1")
		if err != nil || sight.State != refund.SightReview || !sight.Record.Contradicted {
			t.Fatalf("%+v, %v", sight, err)
		}
		wantEqual(t, "calls", []string{"refund", "inquire"}, b.gateway.called())
	})
}

// The signal has read the stored command. Before it claims, the copy's worker dies, and the command's second sending takes
// the request over and puts it into review: under its event ID the review is what that one said.
func TestASignalThatFindsAReviewSaysWhatItWasPutThereWith(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.pending(t)
		b.store.looked = func() {
			b.store.looked = nil
			b.store.cut.Store(true)
			ctx, die := context.WithTimeout(t.Context(), time.Second)
			defer die()
			if err := b.Copy(ctx, b.copyMessage(t)); err == nil {
				t.Error("stored without a store")
			}
			b.store.cut.Store(false)
			pass(2 * lease)
			b.gateway.inquiries = []answer{{Result: refund.Result{Verdict: refund.Unknown, Review: true}}}
			b.run(t, b.secondSending(t))
		}
		b.gateway.inquiries = []answer{verdict(refund.Unknown)}
		b.runSignal(t, b.signalMessage(t, schemas.SignalRedrive))
		told := b.broker.on(refund.Results)
		if len(told) != 3 {
			t.Fatalf("outcomes: %v", status(b.outcomes(t)))
		}
		sameEvent(t, told[1], told[2])
	})
}
