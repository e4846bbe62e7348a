package refund_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"refundworker/dedupe"
	"refundworker/refund"
	"refundworker/schemas"
)

// The key was used before for another payment: an inquiry by that key would find the other refund and call it ours.
func TestAContradictedSendIsNeverTurnedIntoASuccessByAnInquiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{{Result: refund.Result{Verdict: refund.Unknown, Review: true}}}
		b.gateway.inquiries = []answer{succeeded()}
		b.run(t, b.message(t))
		wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
		wantEqual(t, "outcomes", []string{"retry-pending NEEDS_REVIEW 1/1"}, status(b.outcomes(t)))
	})
}

func TestTheCapHoldsForARefundThatWaitedUnsent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.cmd.OriginalAmount = &schemas.Money{Minor: 1500, Currency: "HKD"}
		b.gateway.refunds = []answer{verdict(refund.NotSent), succeeded()}
		b.run(t, b.message(t))
		first := b.copyMessage(t)
		b.cmd.RequestID = "rf-2"
		b.run(t, b.message(t))
		b.runCopy(t, first)
		wantEqual(t, "calls", []string{"refund", "refund"}, b.gateway.called())
		wantEqual(t, "outcomes", []string{
			"retry-pending GATEWAY_UNAVAILABLE 1/0", "success REFUNDED 0/1", "failed AMOUNT_EXCEEDED 1/0",
		}, status(b.outcomes(t)))
	})
}

// The first owner died before it stored its refusal; the takeover must not make the first send of what was refused.
func TestWhatOurSideRefusesIsNotSentByATakeoverEither(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*bundle){
		"past its deadline": func(b *bundle) { b.cmd.Deadline = &schemas.Time{Time: time.Now().Add(-time.Minute)} },
		"over the cap":      func(b *bundle) { b.cmd.OriginalAmount = &schemas.Money{Minor: 1, Currency: "HKD"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				prepare(b)
				m := b.message(t)
				b.store.cut.Store(true)
				ctx, die := context.WithTimeout(t.Context(), time.Second)
				defer die()
				if err := b.Command(ctx, m); err == nil {
					t.Fatal("settled without a store")
				}
				b.store.cut.Store(false)
				b.gateway.inquiries = []answer{verdict(refund.Absent)}
				b.gateway.refunds = []answer{succeeded()}
				b.run(t, m)
				wantEqual(t, "calls", []string{"inquire"}, b.gateway.called())
				wantEqual(t, "outcomes", []string{"retry-pending NEEDS_REVIEW 1/2"}, status(b.outcomes(t)))
			})
		})
	}
}

func TestAMessageWithAnImpossibleTimeIsStillRejected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.run(t, refund.Message{Topic: topic, Value: []byte("no"), Time: time.UnixMilli(time.Now().UnixMicro())})
		wantEqual(t, "rejections", 1, len(b.rejections(t)))
	})
}

func TestAStopDuringTheFirstInquiryBeginsNoSend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		acct := b.account()
		acct.InquireFirst = true
		b.Processor = b.processor(t, acct)
		ctx, stop := context.WithCancel(t.Context())
		absent := verdict(refund.Absent)
		absent.hook = stop
		b.gateway.inquiries = []answer{absent}
		b.gateway.refunds = []answer{succeeded()}
		m := b.message(t)
		if err := b.Command(ctx, m); !errors.Is(err, context.Canceled) {
			t.Fatalf("Command: %v", err)
		}
		wantEqual(t, "calls", []string{"inquire"}, b.gateway.called())
		b.gateway.inquiries[0].hook = nil
		b.run(t, m)
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/1"}, status(b.outcomes(t)))
	})
}

func TestAStopDuringTheSendBeginsNoConfirmingInquiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		ctx, stop := context.WithCancel(t.Context())
		b.gateway.refunds = []answer{{Result: refund.Result{Verdict: refund.Pending, InquireNow: true}, hook: stop}}
		if err := b.Command(ctx, b.message(t)); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
		wantEqual(t, "outcomes", []string{"retry-pending IN_PROCESS 1/1"}, status(b.outcomes(t)))
	})
}

// However long the gateway and the broker take, a stopped pass ends within one call and the grace.
func TestAStoppedPassEndsInBoundedTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		ctx, stop := context.WithCancel(t.Context())
		b.gateway.refunds = []answer{{delay: time.Hour, hook: stop}}
		b.broker.fail = 1 << 30
		started := time.Now()
		if err := b.Command(ctx, b.message(t)); err == nil {
			t.Fatal("done without a broker")
		}
		if took := time.Since(started); took > 15*time.Second+grace+time.Second {
			t.Errorf("ended after %v, want a gateway timeout of 15 s and %v at most", took, grace)
		}
	})
}

func TestASuccessThatMeetsAStoredFailureRaisesAnAlarmAndChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		m := b.message(t)
		late := succeeded()
		late.hook = func() {
			pass(2 * lease)
			b.gateway.mu.Lock()
			b.gateway.inquiries = []answer{verdict(refund.Declined)}
			b.gateway.mu.Unlock()
			b.run(t, m)
		}
		b.gateway.refunds = []answer{late}
		b.run(t, m)
		wantEqual(t, "outcomes", []string{"failed REFUND_FAILED 0/2", "failed REFUND_FAILED 0/2"}, status(b.outcomes(t)))
		dead := b.broker.on(refund.DeadLetters)
		if len(dead) != 1 {
			t.Fatalf("%d dead letters, want one for a person", len(dead))
		}
		if detail, _ := schemas.HeaderValue(dead[0].Headers, schemas.HeaderDetail); !strings.Contains(string(detail), "proves a success") {
			t.Errorf("detail: %s", detail)
		}
	})
}

// unreadableRecord answers with an error that waiting does not mend.
type unreadableRecord struct{ *dedupe.Memory }

var errUnreadable = errors.New("the record cannot be read")

func (unreadableRecord) Claim(context.Context, refund.ClaimRequest) (refund.Claim, error) {
	return refund.Claim{}, errUnreadable
}

func TestAnErrorThatWaitingDoesNotMendIsReturnedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		p := b.processorOn(t, b.account(), unreadableRecord{b.store.Memory})
		started := time.Now()
		if err := p.Command(t.Context(), b.message(t)); !errors.Is(err, errUnreadable) {
			t.Fatalf("Command: %v", err)
		}
		if took := time.Since(started); took > time.Second {
			t.Errorf("after %v", took)
		}
	})
}

// The record vanished between the send and the wait: the pass remembers that it has sent.
func TestAPassThatSentAndFindsItsRecordGoneDoesNotSendAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		unknown := verdict(refund.Unknown)
		unknown.hook = func() { b.store.Memory = setup(t).store.Memory }
		b.gateway.refunds = []answer{unknown, {Result: refund.Result{Verdict: refund.Declined}}}
		b.gateway.inquiries = []answer{succeeded()}
		b.run(t, b.message(t))
		wantEqual(t, "calls", []string{"refund", "inquire"}, b.gateway.called())
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/2"}, status(b.outcomes(t)))
	})
}
