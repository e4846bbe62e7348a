package dedupe

import (
	"context"
	"errors"
	"testing"

	"refundworker/refund"
)

func TestAHalfThatIsCutOffIsNotDoneAndTheOtherOneIs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		cut             Half
		record, payment bool
	}{{PaymentHalf, true, false}, {RecordHalf, false, true}} {
		m := NewMemory(Config{})
		var asked []Half
		cut := m.Split(func(_ context.Context, which Half) error {
			asked = append(asked, which)
			if which == tt.cut {
				return errCut
			}
			return nil
		})
		q := request("a", "t1")
		if _, err := cut.Claim(t.Context(), q); !errors.Is(err, refund.ErrStoreUnavailable) || !errors.Is(err, errCut) {
			t.Errorf("without its %s half: error %v", tt.cut, err)
		}
		equal(t, asked, []Half{PaymentHalf, RecordHalf})
		equal(t, [2]bool{m.records["a"] != nil, m.payments[paymentName(q.Payment)] != nil}, [2]bool{tt.record, tt.payment})
	}
}

// One claim of the request has its payment, and its other half is late. Meanwhile a second claim of the same request comes
// and goes. The first is then granted, and it must still hold the payment that it believes to hold.
func TestAPaymentIsNotTakenFromAClaimWhoseOtherHalfIsStillOnItsWay(t *testing.T) {
	t.Parallel()
	m := NewMemory(Config{})
	late, other := request("a", "t1", pays("p", 1, 100)), request("a", "t2", pays("p", 1, 100))
	slow := m.Split(func(ctx context.Context, which Half) error {
		if which != RecordHalf {
			return nil
		}
		c, err := m.Claim(ctx, other)
		if err != nil {
			return err
		}
		if c.Status == refund.ClaimGranted {
			return m.Release(ctx, refund.ReleaseRequest{RequestID: "a", Token: "t2", Payment: other.Payment})
		}
		return nil
	})
	c, err := slow.Claim(t.Context(), late)
	if err != nil || c.Status != refund.ClaimGranted {
		t.Fatalf("%+v, %v", c, err)
	}
	next, err := m.Claim(t.Context(), request("b", "t3", pays("p", 1, 100)))
	if err != nil || next.Status != refund.ClaimPaymentBusy {
		t.Fatalf("another request of the payment: %+v, %v", next, err)
	}
}
