package antom

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"refundworker/internal/cuttest"
	"refundworker/refund"
)

// Antom's answer, cut at every byte of its head and body, in every frame, by a clean end and by a reset: never final,
// never absent.
func TestAnAnswerCutAnywhereIsNeverFinal(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, body string
		inquire    bool
		want       refund.Verdict
		// again: only in the frame in which nothing but the signature tells a cut body from a whole one.
		again bool
	}{
		{"success", successBody, false, refund.Succeeded, false},
		{"decline", errorBody("ORDER_NOT_EXIST"), false, refund.Declined, true},
		{"found", foundBody, true, refund.Succeeded, false},
		{"found as failed", strings.Replace(foundBody, `"refundStatus":"SUCCESS"`, `"refundStatus":"FAIL"`, 1), true, refund.Declined, true},
		{"absent", errorBody("REFUND_NOT_EXIST"), true, refund.Absent, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			path := productionAPI + refundPath
			if tc.inquire {
				path = productionAPI + inquiryPath
			}
			head := signedHeader(t, shortKeyPair(), path, []byte(tc.body))
			s := cuttest.New(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				maps.Copy(w.Header(), head)
				_, _ = io.WriteString(w, tc.body)
			}))
			c := newQuickClient(t, s.URL)
			call := c.Refund
			if tc.inquire {
				call = c.Inquire
			}
			frames := cuttest.Frames()
			if tc.again {
				frames = []cuttest.Frame{cuttest.ToTheEnd}
			}
			for i, frame := range frames {
				s.Next(cuttest.Cut{Frame: frame, Whole: true})
				if res, err := call(t.Context(), testRequest()); res.Verdict != tc.want || err != nil {
					t.Fatalf("%s: the whole answer is %s, %v", frame, res.Verdict, err)
				}
				for at := range s.Length() {
					// Each byte has both ends in two of the frames together.
					s.Next(cuttest.Cut{Frame: frame, At: at, Reset: (at+i)%2 == 0})
					res, err := call(t.Context(), testRequest())
					if res.Verdict != refund.Unknown || res.Review || err == nil {
						t.Fatalf("%s, cut at %d: %s, review %v, %v", frame, at, res.Verdict, res.Review, err)
					}
				}
			}
		})
	}
}
