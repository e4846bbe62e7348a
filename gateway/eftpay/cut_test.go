package eftpay

import (
	"context"
	"io"
	"net/http"
	"testing"

	"refundworker/internal/cuttest"
	"refundworker/refund"
)

// eftPay's answer, cut at every byte of its head and body, in every frame, by a clean end and by a reset: never final,
// never absent, and it shows none.
func TestAnAnswerCutAnywhereIsNeverFinal(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"success": refunded().with("return_char", "").signed(),
		"failure": refunded().with("trade_status", "TRADE_FAIL", "currency", nil).signed(),
		"absent":  failing("77").signed(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := cuttest.New(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, body)
			}))
			c := newClient(t, testConfig(s.URL))
			calls := map[string]func(context.Context, refund.Request) (refund.Result, error){"refund": c.Refund, "inquire": c.Inquire}
			if name == "absent" {
				delete(calls, "refund") // to a refund, such an answer proves nothing even whole
			}
			for op, call := range calls {
				for i, frame := range cuttest.Frames() {
					s.Next(cuttest.Cut{Frame: frame, Whole: true})
					if res, err := call(t.Context(), testRequest()); res.Verdict == refund.Unknown || err != nil {
						t.Fatalf("%s, %s: the whole answer is %s, %v", op, frame, short(res), err)
					}
					for at := range s.Length() {
						// Each byte has both ends in two of the frames together.
						s.Next(cuttest.Cut{Frame: frame, At: at, Reset: (at+i)%2 == 0})
						res, err := call(t.Context(), testRequest())
						if res.Verdict != refund.Unknown || res.ShowsNone || res.Review || err == nil {
							t.Fatalf("%s, %s, cut at %d: %s, %v", op, frame, at, short(res), err)
						}
					}
				}
			}
		})
	}
}
