package sandbox_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"refundworker/gateway/sandbox"
)

// seen is what a client can tell of an answer.
type seen struct {
	noAnswer bool
	http     int
	says     string
	verified bool
}

func seenOf(r reply) seen {
	if r.err != nil {
		return seen{noAnswer: true}
	}
	return seen{http: r.http, says: strings.TrimSpace(r.says()), verified: r.verified == nil}
}

func TestEachFaultShowsAndProcessesAsDocumented(t *testing.T) {
	t.Parallel()
	ok := func(says string) seen { return seen{http: 200, says: says, verified: true} }
	cases := []struct {
		fault sandbox.Fault
		want  seen
		// moved is how often money has moved when the client has its answer, or none.
		moved int
	}{
		{sandbox.Fault{Kind: sandbox.None}, ok("S SUCCESS"), 1},
		{sandbox.Fault{}, ok("S SUCCESS"), 1},
		{sandbox.Fault{Kind: sandbox.DropBefore}, seen{noAnswer: true}, 0},
		{sandbox.Fault{Kind: sandbox.DropAfter}, seen{noAnswer: true}, 1},
		{sandbox.Fault{Kind: sandbox.DelayBefore, Delay: time.Millisecond}, ok("S SUCCESS"), 1},
		{sandbox.Fault{Kind: sandbox.DelayAfter, Delay: time.Millisecond}, ok("S SUCCESS"), 1},
		{sandbox.Fault{Kind: sandbox.Late, Delay: time.Millisecond}, ok("S SUCCESS"), 1},
		{sandbox.Fault{Kind: sandbox.UnknownBefore}, ok("U UNKNOWN_EXCEPTION"), 0},
		{sandbox.Fault{Kind: sandbox.UnknownAfter}, ok("U UNKNOWN_EXCEPTION"), 1},
		{sandbox.Fault{Kind: sandbox.UnknownHalfway}, ok("U UNKNOWN_EXCEPTION"), 0},
		{sandbox.Fault{Kind: sandbox.ThrottleBefore}, ok("U REQUEST_TRAFFIC_EXCEED_LIMIT"), 0},
		{sandbox.Fault{Kind: sandbox.ThrottleAfter}, ok("U REQUEST_TRAFFIC_EXCEED_LIMIT"), 1},
		{sandbox.Fault{Kind: sandbox.AccessDenied}, ok("F ACCESS_DENIED"), 0},
		{sandbox.Fault{Kind: sandbox.InvalidSignature}, seen{http: 200, says: "F INVALID_SIGNATURE"}, 0},
		{sandbox.Fault{Kind: sandbox.Answer, Status: "F", Code: "KEY_NOT_FOUND"}, ok("F KEY_NOT_FOUND"), 0},
		{sandbox.Fault{Kind: sandbox.HTTPBefore, HTTPStatus: 500}, seen{http: 500}, 0},
		{sandbox.Fault{Kind: sandbox.HTTPAfter, HTTPStatus: 502}, seen{http: 502}, 1},
		{sandbox.Fault{Kind: sandbox.HTTPBefore, HTTPStatus: 200}, seen{http: 200}, 0},
		{sandbox.Fault{Kind: sandbox.HTTPBefore, HTTPStatus: 429, RetryAfter: 7}, seen{http: 429}, 0},
		{sandbox.Fault{Kind: sandbox.BadSignature}, seen{http: 200, says: "S SUCCESS"}, 1},
		{sandbox.Fault{Kind: sandbox.NoSignature}, seen{http: 200, says: "S SUCCESS"}, 1},
		{sandbox.Fault{Kind: sandbox.WrongClient}, seen{http: 200, says: "S SUCCESS"}, 1},
		{sandbox.Fault{Kind: sandbox.Truncated}, seen{noAnswer: true}, 1},
		{sandbox.Fault{Kind: sandbox.ExtraFields}, ok("S SUCCESS"), 1},
		{sandbox.Fault{Kind: sandbox.Reordered}, ok("S SUCCESS"), 1},
		{sandbox.Fault{Kind: sandbox.OtherAmount}, ok("S SUCCESS"), 1},
		{sandbox.Fault{Kind: sandbox.OtherCurrency}, ok("S SUCCESS"), 1},
		{sandbox.Fault{Kind: sandbox.OtherRequestID}, ok("S SUCCESS"), 1},
		{sandbox.Fault{Kind: sandbox.OtherPaymentID}, ok("S SUCCESS"), 1},
	}
	for _, tc := range cases {
		t.Run(string(tc.fault.Kind)+" "+tc.fault.Code, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			if err := b.server.Script(sandbox.Refund, "rf_1", tc.fault); err != nil {
				t.Fatal(err)
			}
			got := b.client.refundOne(t, "rf_1")
			if diff := cmp.Diff(tc.want, seenOf(got), cmp.AllowUnexported(seen{})); diff != "" {
				t.Errorf("%s\nbody %s", diff, got.raw)
			}
			if tc.fault.RetryAfter > 0 && got.header.Get("Retry-After") != "7" {
				t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
			}
			wantMoved(t, b, "rf_1", tc.moved)
			calls := b.server.Calls("rf_1")
			if kind := tc.fault.Kind; len(calls) != 1 || calls[0].Fault != kind && kind != "" {
				t.Errorf("calls %+v", calls)
			}
			// The script is used up: sent again, the refund is carried to its end, and the money has moved once.
			wantSays(t, b.client.refundOne(t, "rf_1"), "S SUCCESS")
			wantMoved(t, b, "rf_1", 1)
		})
	}
}

func TestFaultsHitInquiriesToo(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	wantSays(t, b.client.refundOne(t, "rf_1"), "S SUCCESS")
	faults := []sandbox.Fault{
		{Kind: sandbox.DropBefore},
		{Kind: sandbox.UnknownAfter},
		{Kind: sandbox.HTTPBefore, HTTPStatus: 503},
		{Kind: sandbox.OtherAmount},
		{Kind: sandbox.BadSignature},
	}
	if err := b.server.Script(sandbox.Inquiry, "rf_1", faults...); err != nil {
		t.Fatal(err)
	}
	wantSays(t, b.client.refundOne(t, "rf_1"), "S SUCCESS") // a refund does not use them up
	want := []seen{
		{noAnswer: true},
		{http: 200, says: "U UNKNOWN_EXCEPTION", verified: true},
		{http: 503},
		{http: 200, says: "S SUCCESS", verified: true},
		{http: 200, says: "S SUCCESS"},
		{http: 200, says: "S SUCCESS", verified: true},
	}
	for i := range want {
		got := b.client.inquire(t, "rf_1")
		if diff := cmp.Diff(want[i], seenOf(got), cmp.AllowUnexported(seen{})); diff != "" {
			t.Errorf("inquiry %d: %s", i, diff)
		}
		if i == 3 && got.RefundAmount.Value == "1000" {
			t.Errorf("inquiry %d echoes our amount: %s", i, got.raw)
		}
	}
}

func TestSpoiltEchoesChangeTheirFieldAndNoOther(t *testing.T) {
	t.Parallel()
	type echo struct{ RequestID, PaymentID, Currency, Value string }
	ours := echo{"rf_1", payment, "HKD", "1000"}
	cases := map[sandbox.Kind]func(*echo){
		sandbox.OtherAmount:    func(e *echo) { e.Value = "10001" },
		sandbox.OtherCurrency:  func(e *echo) { e.Currency = "EUR" },
		sandbox.OtherRequestID: func(e *echo) { e.RequestID = "another" },
		sandbox.OtherPaymentID: func(e *echo) { e.PaymentID = "another" },
	}
	for kind, edit := range cases {
		b := setup(t, nil)
		if err := b.server.Script(sandbox.Refund, "rf_1", sandbox.Fault{Kind: kind}); err != nil {
			t.Fatal(err)
		}
		got := b.client.refundOne(t, "rf_1")
		want := ours
		edit(&want)
		if diff := cmp.Diff(want, echo{got.RefundRequestID, got.PaymentID, got.RefundAmount.Currency, got.RefundAmount.Value}); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
	}
}

func TestAnotherCurrencyIsNeverTheSame(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *sandbox.Config) { cfg.Payments[0].Currency = "EUR" })
	if err := b.server.Script(sandbox.Refund, "rf_1", sandbox.Fault{Kind: sandbox.OtherCurrency}); err != nil {
		t.Fatal(err)
	}
	if got := b.client.refund(t, "rf_1", payment, "EUR", "1"); got.RefundAmount.Currency == "EUR" {
		t.Errorf("answer %s", got.raw)
	}
}

func TestEchoFaultsLeaveAnswersWithoutTheFieldAlone(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	faults := []sandbox.Fault{{Kind: sandbox.OtherAmount}, {Kind: sandbox.OtherRequestID}, {Kind: sandbox.OtherPaymentID}}
	if err := b.server.Script(sandbox.Inquiry, "rf_1", faults...); err != nil {
		t.Fatal(err)
	}
	for range faults {
		got := b.client.inquire(t, "rf_1")
		wantSays(t, got, "F REFUND_NOT_EXIST")
		if got.RefundRequestID != "" || got.PaymentID != "" || got.RefundAmount != nil {
			t.Errorf("answer %s", got.raw)
		}
	}
}

func TestHarmlessFaultsChangeFieldsAsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	names := func(raw []byte) []string {
		var list []string
		dec := json.NewDecoder(bytes.NewReader(raw))
		for depth := 0; ; {
			token, err := dec.Token()
			if errors.Is(err, io.EOF) {
				return list
			}
			if err != nil {
				t.Fatal(err)
			}
			if delim, ok := token.(json.Delim); ok {
				if delim == '{' || delim == '[' {
					depth++
				} else {
					depth--
				}
				continue
			}
			if name, ok := token.(string); ok && depth == 1 && strings.HasPrefix(string(raw[dec.InputOffset():]), ":") {
				list = append(list, name)
			}
		}
	}
	if err := b.server.Script(sandbox.Refund, "rf_1", sandbox.Fault{}, sandbox.Fault{Kind: sandbox.Reordered}, sandbox.Fault{Kind: sandbox.ExtraFields}); err != nil {
		t.Fatal(err)
	}
	plain := names(b.client.refundOne(t, "rf_1").raw)
	want := []string{"result", "refundRequestId", "refundId", "paymentId", "refundAmount", "refundTime"}
	if diff := cmp.Diff(want, plain); diff != "" {
		t.Error(diff)
	}
	turned := []string{"refundTime", "refundAmount", "paymentId", "refundId", "refundRequestId", "result"}
	if diff := cmp.Diff(turned, names(b.client.refundOne(t, "rf_1").raw)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(append(want, "acquirerInfo", "futureField"), names(b.client.refundOne(t, "rf_1").raw)); diff != "" {
		t.Error(diff)
	}
}

func TestWrongClientAnswersWithASignatureThatFitsTheWrongName(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if err := b.server.Script(sandbox.Refund, "rf_1", sandbox.Fault{Kind: sandbox.WrongClient}); err != nil {
		t.Fatal(err)
	}
	got := b.client.refundOne(t, "rf_1")
	other := b.client
	other.id = got.header.Get("client-id")
	if other.id == clientID || other.id == "" {
		t.Fatalf("client-id %q", other.id)
	}
	if err := other.verify(http.MethodPost, refundPath, got.header, got.raw); err != nil {
		t.Errorf("verify under the wrong name: %v", err)
	}
}

func TestNoSignatureLeavesTheHeaderOutAndBadSignatureDoesNot(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if err := b.server.Script(sandbox.Refund, "rf_1", sandbox.Fault{Kind: sandbox.NoSignature}, sandbox.Fault{Kind: sandbox.BadSignature}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true} {
		if got := b.client.refundOne(t, "rf_1"); (got.header.Get("signature") != "") != want {
			t.Errorf("answer %d: signature %q", i, got.header.Get("signature"))
		}
	}
}

func TestAHalfwayRefundIsUnfinishedUntilItIsSentAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if err := b.server.Script(sandbox.Refund, "rf_1", sandbox.Fault{Kind: sandbox.UnknownHalfway}, sandbox.Fault{Kind: sandbox.UnknownHalfway}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		wantSays(t, b.client.refundOne(t, "rf_1"), "U UNKNOWN_EXCEPTION")
		if got := b.client.inquire(t, "rf_1"); got.RefundStatus != "PROCESSING" {
			t.Fatalf("inquiry %s", got.raw)
		}
	}
	// It holds its share of the payment meanwhile.
	wantSays(t, b.client.refund(t, "rf_2", payment, "HKD", "9001"), "F REFUND_AMOUNT_EXCEED")
	wantMoved(t, b, "rf_1", 0)
	wantSays(t, b.client.refundOne(t, "rf_1"), "S SUCCESS")
	wantMoved(t, b, "rf_1", 1)
}
