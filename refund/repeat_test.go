package refund_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// eventIDs are those of the events of one type.
func (b *bundle) eventIDs(kind string) []string {
	ids := []string{}
	for _, e := range b.broker.on(refund.Results) {
		if of, _ := schemas.HeaderValue(e.Headers, schemas.HeaderCEType); string(of) == kind {
			id, _ := schemas.HeaderValue(e.Headers, schemas.HeaderCEID)
			ids = append(ids, string(id))
		}
	}
	return ids
}

// A producer's duplicate lies elsewhere and may carry other metadata. What is told again is what was told first.
func TestADuplicateTellsAgainWhatTheFirstCommandWasTold(t *testing.T) {
	t.Parallel()
	for name, review := range map[string]bool{"waiting": false, "in review": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.gateway.refunds = []answer{{Result: refund.Result{Verdict: refund.Pending, Review: review}}}
				b.run(t, b.message(t))
				b.cmd.Metadata = map[string]string{"orderId": "another"}
				b.run(t, b.message(t))
				outs, ids := b.outcomes(t), b.eventIDs(schemas.TypeOutcome)
				wantEqual(t, "IDs", []string{ids[0], ids[0]}, ids)
				outs[1].OccurredAt = outs[0].OccurredAt
				wantEqual(t, "repeat", outs[0], outs[1])
				if !review {
					c := b.broker.on(refund.Retry)[1]
					origin, _ := schemas.HeaderValue(c.Headers, schemas.HeaderOrigin)
					wantEqual(t, "copy's origin", outs[0].Origin.String(), string(origin))
				}
			})
		})
	}
}

// Owners that die in their first pass leave no stored command, so two messages of the request cannot tell the same.
func TestAReviewAfterTooManyTakeoversIsToldByEachMessageUnderItsOwnID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		first, second := b.message(t), b.message(t)
		for range 6 {
			b.deadOwner(t, first)
			pass(2 * lease)
		}
		for _, m := range []refund.Message{first, second, first} {
			b.run(t, m)
		}
		ids := b.eventIDs(schemas.TypeOutcome)
		if len(ids) != 3 || ids[0] == ids[1] || ids[0] != ids[2] {
			t.Errorf("event IDs %v, want one for each message", ids)
		}
	})
}

func TestARejectedCopyAndItsRejectedCommandAreTwoEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{verdict(refund.Unknown)}
		b.gateway.inquiries = []answer{succeeded()}
		m := b.message(t)
		b.run(t, m)
		c := b.copyMessage(t)
		b.runCopy(t, c)
		pass(721 * time.Hour) // the outcome's bytes expire
		c.Time = time.Now()
		b.runCopy(t, c)
		b.run(t, m)
		wantEqual(t, "IDs", []string{"refunds.retry.10s/1/2", topic + "/3/1"}, b.eventIDs(schemas.TypeRejected))
		for _, r := range b.rejections(t) {
			wantEqual(t, "rejection", [2]string{string(schemas.CodeAlreadySettled), topic + "/3/1"}, [2]string{string(r.Code), r.Origin.String()})
		}
	})
}

// unheard stores one settle without an answer, and answers again only after the outcome's bytes have expired.
type unheard struct {
	*flaky
	heard bool
}

func (u *unheard) Settle(ctx context.Context, r refund.SettleRequest) (refund.Settled, error) {
	s, err := u.flaky.Settle(ctx, r)
	if u.heard {
		return s, err
	}
	u.heard = true
	pass(721 * time.Hour)
	return refund.Settled{}, fmt.Errorf("test: %w", refund.ErrStoreUnavailable)
}

func TestAnOutcomeThatExpiredBeforeItCouldBePublishedIsNotPassedOverInSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.Processor = b.processorOn(t, b.account(), &unheard{flaky: b.store})
		b.gateway.refunds = []answer{succeeded()}
		b.run(t, b.message(t))
		wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
		rejections := b.rejections(t)
		if len(rejections) != 1 || rejections[0].Code != schemas.CodeAlreadySettled {
			t.Errorf("told %+v, want that it is settled", rejections)
		}
	})
}

// A first pass that is given back unused leaves nothing, so that its rival is the first command after all.
func TestARivalIsRejectedOnlyOnceTheFirstCommandStands(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		stopped bool
		rival   string
	}{"the first is carried out": {false, "rejected"}, "the first is given back": {true, "success REFUNDED 0/1"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.gateway.refunds = []answer{{Result: succeeded().Result, delay: 5 * time.Second}}
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				first := b.message(t)
				b.cmd.Amount.Minor++
				rival := b.message(t)
				done := make(chan error, 1)
				claimed := make(chan struct{})
				b.store.claimed = func() {
					b.store.claimed = nil
					close(claimed)
					if tc.stopped {
						pass(2 * time.Second)
						stop()
					}
				}
				go func() { done <- b.Command(ctx, first) }()
				<-claimed
				b.run(t, rival)
				if err := <-done; (err != nil) != tc.stopped {
					t.Errorf("first: %v", err)
				}
				got := status(b.outcomes(t))
				if len(b.rejections(t)) == 1 {
					got = append(got, "rejected")
				}
				wantEqual(t, "rival", tc.rival, got[len(got)-1])
			})
		})
	}
}
