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
