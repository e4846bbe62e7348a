package sandbox_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"refundworker/gateway/sandbox"
)

func seenOfVMP(r vmpReply) seen {
	if r.err != nil {
		return seen{noAnswer: true}
	}
	return seen{http: r.http, says: r.says(), verified: r.verified == nil && r.fields["sign"] != ""}
}

func TestEachFaultOfEftPayShowsAndProcessesAsDocumented(t *testing.T) {
	t.Parallel()
	ok := func(says string) seen { return seen{http: 200, says: says, verified: true} }
	refunded := ok("00 TRADE_REFUND")
	cases := []struct {
		fault sandbox.Fault
		want  seen
		// moved is how often money has moved when the client has its answer, or none.
		moved int
	}{
		{sandbox.Fault{Kind: sandbox.None}, refunded, 1},
		{sandbox.Fault{Kind: sandbox.DropBefore}, seen{noAnswer: true}, 0},
		{sandbox.Fault{Kind: sandbox.DropAfter}, seen{noAnswer: true}, 1},
		{sandbox.Fault{Kind: sandbox.DelayBefore, Delay: time.Millisecond}, refunded, 1},
		{sandbox.Fault{Kind: sandbox.DelayAfter, Delay: time.Millisecond}, refunded, 1},
		{sandbox.Fault{Kind: sandbox.Late, Delay: time.Millisecond}, refunded, 1},
		{sandbox.Fault{Kind: sandbox.SystemExceptionBefore}, ok("51"), 0},
		{sandbox.Fault{Kind: sandbox.SystemExceptionAfter}, ok("51"), 1},
		{sandbox.Fault{Kind: sandbox.ReturnBefore, Code: "51", Text: "失败,NO_MONEY"}, ok("51"), 0},
		{sandbox.Fault{Kind: sandbox.ReturnAfter, Code: "98"}, ok("98"), 1},
		{sandbox.Fault{Kind: sandbox.ReturnBefore, Code: "-7"}, seen{http: 200, says: "-7"}, 0},
		{sandbox.Fault{Kind: sandbox.ReturnAfter, Code: "-13"}, seen{http: 200, says: "-13"}, 1},
		{sandbox.Fault{Kind: sandbox.ReturnBefore, Code: "00", Status: "APPLY_SUCCESS"}, ok("00 APPLY_SUCCESS"), 0},
		{sandbox.Fault{Kind: sandbox.ReturnAfter, Code: "00", Status: "TRADE_FAIL"}, ok("00 TRADE_FAIL"), 1},
		{sandbox.Fault{Kind: sandbox.ReturnAfter, Code: "00"}, ok("00"), 1},
		{sandbox.Fault{Kind: sandbox.SloppyEcho}, refunded, 1},
		{sandbox.Fault{Kind: sandbox.Unpadded}, refunded, 1},
		{sandbox.Fault{Kind: sandbox.HTTPBefore, HTTPStatus: 429, RetryAfter: 7}, seen{http: 429}, 0},
		{sandbox.Fault{Kind: sandbox.HTTPAfter, HTTPStatus: 502}, seen{http: 502}, 1},
		{sandbox.Fault{Kind: sandbox.BadSignature}, seen{http: 200, says: "00 TRADE_REFUND"}, 1},
		{sandbox.Fault{Kind: sandbox.NoSignature}, seen{http: 200, says: "00 TRADE_REFUND"}, 1},
		{sandbox.Fault{Kind: sandbox.WrongClient}, refunded, 1},
		{sandbox.Fault{Kind: sandbox.Truncated}, seen{noAnswer: true}, 1},
		{sandbox.Fault{Kind: sandbox.ExtraFields}, refunded, 1},
		{sandbox.Fault{Kind: sandbox.Reordered}, refunded, 1},
		{sandbox.Fault{Kind: sandbox.OtherAmount}, refunded, 1},
		{sandbox.Fault{Kind: sandbox.OtherCurrency}, refunded, 1},
		{sandbox.Fault{Kind: sandbox.OtherRequestID}, refunded, 1},
		{sandbox.Fault{Kind: sandbox.OtherPaymentID}, refunded, 1},
	}
	for _, tc := range cases {
		t.Run(string(tc.fault.Kind)+" "+tc.fault.Code, func(t *testing.T) {
			t.Parallel()
			b := setupVMP(t, nil)
			if err := b.server.Script(sandbox.Refund, "R1", tc.fault); err != nil {
				t.Fatal(err)
			}
			got := b.client.refundOne(t, "R1")
			if diff := cmp.Diff(tc.want, seenOfVMP(got), cmp.AllowUnexported(seen{})); diff != "" {
				t.Errorf("%s\nbody %s", diff, got.raw)
			}
			wantVMPMoved(t, b, "R1", tc.moved)
			if calls := b.server.Calls("R1"); len(calls) != 1 || calls[0].Fault != tc.fault.Kind {
				t.Errorf("calls %+v", calls)
			}
			// The script is used up: sent again, the refund is made or replayed, and the money has moved once.
			wantSigned(t, b.client.refundOne(t, "R1"), "00 TRADE_REFUND", true)
			wantVMPMoved(t, b, "R1", 1)
		})
	}
}

func TestASystemExceptionEndsInThatCodeWhateverWasDone(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, nil)
	faults := []sandbox.Fault{
		{Kind: sandbox.SystemExceptionBefore},
		{Kind: sandbox.SystemExceptionAfter},
		{Kind: sandbox.ReturnBefore, Code: "51", Text: "退款失败,NO_MONEY"},
		{Kind: sandbox.ReturnBefore, Code: "99"},
	}
	if err := b.server.Script(sandbox.Refund, "R1", faults...); err != nil {
		t.Fatal(err)
	}
	query := []string{"26", "00 TRADE_REFUND", "00 TRADE_REFUND", "00 TRADE_REFUND"}
	for i, suffix := range []string{"SYSTEM_EXCEPTION", "SYSTEM_EXCEPTION", "NO_MONEY", "return_status 99"} {
		got := b.client.refundOne(t, "R1")
		if !strings.HasSuffix(got.fields["return_char"], suffix) || got.verified != nil {
			t.Errorf("answer %d: %s", i, got.raw)
		}
		wantVMP(t, b.client.query(t, "R1", sale), query[i])
	}
	// 51 about a refund that the sale's rules have declined.
	if err := b.server.Script(sandbox.Refund, "R2", sandbox.Fault{Kind: sandbox.SystemExceptionAfter}); err != nil {
		t.Fatal(err)
	}
	wantVMP(t, b.client.refund(t, "R2", sale, "1000.00"), "51")
	wantVMP(t, b.client.query(t, "R2", sale), "00 TRADE_FAIL")
}

func TestSpoiltAnswersOfEftPayChangeTheirFieldsAndNoOthers(t *testing.T) {
	t.Parallel()
	cases := []struct {
		kind sandbox.Kind
		want map[string]string
	}{
		{sandbox.SloppyEcho, map[string]string{"refund_no": sale, "trade_type": "SALE", "trade_time": "20000101080000"}},
		{sandbox.Unpadded, map[string]string{"transaction_amount": "10", "original_amount": "540.2"}},
		{sandbox.OtherAmount, map[string]string{"transaction_amount": "110.00"}},
		{sandbox.OtherCurrency, map[string]string{"currency": "EUR"}},
		{sandbox.OtherRequestID, map[string]string{"refund_no": "another"}},
		{sandbox.OtherPaymentID, map[string]string{"out_trade_no": "another"}},
		{sandbox.WrongClient, map[string]string{"user_confirm_key": "another"}},
	}
	for _, tc := range cases {
		for _, op := range []sandbox.Operation{sandbox.Refund, sandbox.Inquiry} {
			bubbleVMP(t, func(cfg *sandbox.Config) { cfg.Payments[0].Minor = 54_020 }, func(b vmpBundle) {
				t := b.t
				call := b.client.refundOne
				if op == sandbox.Inquiry {
					b.client.refundOne(t, "R1")
					call = func(t *testing.T, refundNo string) vmpReply { t.Helper(); return b.client.query(t, refundNo, sale) }
				}
				want := plain(call(t, "R1"))
				if err := b.server.Script(op, "R1", sandbox.Fault{Kind: tc.kind}); err != nil {
					t.Fatal(err)
				}
				got := call(t, "R1")
				maps.Copy(want, tc.want)
				if diff := cmp.Diff(want, plain(got)); diff != "" || got.verified != nil {
					t.Errorf("%s of %s: %s", tc.kind, op, diff)
				}
			})
		}
	}
}

// plain is the answer without what the server's moods change.
func plain(r vmpReply) map[string]string {
	kept := map[string]string{}
	for name, value := range r.fields {
		switch name {
		case "return_char", "refund_trade_no", "future_field", "Another_field", "sign":
		default:
			kept[name] = value
		}
	}
	return kept
}

func TestASloppySaleLooksLikeASloppyRefund(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, func(cfg *sandbox.Config) {
		cfg.EftPay.Unknown = sandbox.AnswerSale
		cfg.Rules = []sandbox.Rule{{Every: 1, Faults: []sandbox.Fault{{Kind: sandbox.SloppyEcho}}}}
	})
	wantVMP(t, b.client.refund(t, "R1", sale, "100.00"), "00 TRADE_CLOSED")
	made, absent := b.client.query(t, "R1", sale), b.client.query(t, "R2", sale)
	for _, name := range []string{"trade_status", "trade_type", "refund_no", "out_trade_no", "transaction_amount", "original_amount"} {
		if made.fields[name] != absent.fields[name] {
			t.Errorf("%s tells them apart: %q and %q", name, made.fields[name], absent.fields[name])
		}
	}
	wantSigned(t, b.client.query(t, "R1", "1"), "21", true) // an error has nothing to echo
}

func TestAnotherCurrencyOfEftPayIsNeverTheSame(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, func(cfg *sandbox.Config) {
		cfg.Merchants[0].Currency, cfg.Payments[0].Currency = "EUR", "EUR"
		cfg.Rules = []sandbox.Rule{{First: 1, Faults: []sandbox.Fault{{Kind: sandbox.OtherCurrency}}}}
	})
	if got := b.client.refundOne(t, "R1"); got.fields["currency"] != "USD" {
		t.Errorf("answer %s", got.raw)
	}
	if got := b.client.refundOne(t, "R1"); got.fields["currency"] != "EUR" {
		t.Errorf("answer %s", got.raw)
	}
}

func TestFaultsHitQueriesTooAndCountThemApart(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, nil)
	faults := []sandbox.Fault{
		{Kind: sandbox.DropBefore},
		{Kind: sandbox.ReturnBefore, Code: "51"},
		{Kind: sandbox.ReturnAfter, Code: "00", Status: "TRADE_PROCESSING"},
		{Kind: sandbox.HTTPBefore, HTTPStatus: 503},
		{Kind: sandbox.BadSignature},
		{Kind: sandbox.Truncated},
	}
	if err := b.server.Script(sandbox.Inquiry, "R1", faults...); err != nil {
		t.Fatal(err)
	}
	wantVMP(t, b.client.refundOne(t, "R1"), "00 TRADE_REFUND") // a refund does not use them up
	want := []seen{
		{noAnswer: true},
		{http: 200, says: "51", verified: true},
		{http: 200, says: "00 TRADE_PROCESSING", verified: true},
		{http: 503},
		{http: 200, says: "00 TRADE_REFUND"},
		{noAnswer: true},
		{http: 200, says: "00 TRADE_REFUND", verified: true},
	}
	for i := range want {
		if diff := cmp.Diff(want[i], seenOfVMP(b.client.query(t, "R1", sale)), cmp.AllowUnexported(seen{})); diff != "" {
			t.Errorf("query %d: %s", i, diff)
		}
	}
}

func TestExtraFieldsAreSignedAndReorderedOnesAreTurned(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, nil)
	if err := b.server.Script(sandbox.Refund, "R1", sandbox.Fault{Kind: sandbox.ExtraFields}, sandbox.Fault{Kind: sandbox.Reordered}); err != nil {
		t.Fatal(err)
	}
	got := b.client.refundOne(t, "R1")
	wantSigned(t, got, "00 TRADE_REFUND", true)
	if got.fields["future_field"] == "" || !slices.Contains(got.names, "Another_field") {
		t.Errorf("answer %s", got.raw)
	}
	got = b.client.refundOne(t, "R1")
	wantSigned(t, got, "00 TRADE_REFUND", true)
	if head, status := slices.Index(got.names, "return_status"), slices.Index(got.names, "trade_status"); head < status {
		t.Errorf("answer %s", got.raw)
	}
}

func TestAFaultsHidingReplacesTheGeneralOne(t *testing.T) {
	t.Parallel()
	bubbleVMP(t, func(cfg *sandbox.Config) { cfg.EftPay.HideFor = time.Hour }, func(b vmpBundle) {
		t := b.t
		faults := map[string]sandbox.Fault{
			"R1": {Kind: sandbox.SystemExceptionAfter, HideFor: time.Minute},
			"R2": {HideQueries: 1},
		}
		for no, fault := range faults {
			if err := b.server.Script(sandbox.Refund, no, fault); err != nil {
				t.Fatal(err)
			}
			b.client.refundOne(t, no)
			wantVMPMoved(t, b, no, 1)
			wantVMP(t, b.client.query(t, no, sale), "26")
		}
		wantVMP(t, b.client.query(t, "R2", sale), "00 TRADE_REFUND")
		wait(t, time.Minute)
		wantVMP(t, b.client.query(t, "R1", sale), "00 TRADE_REFUND")
		b.client.refundOne(t, "R3")
		wait(t, time.Hour-time.Second)
		wantVMP(t, b.client.query(t, "R3", sale), "26")
		wait(t, time.Second)
		wantVMP(t, b.client.query(t, "R3", sale), "00 TRADE_REFUND")
	})
}

func TestDelaysOfEftPayKeepTheirPromises(t *testing.T) {
	t.Parallel()
	cases := []struct {
		kind sandbox.Kind
		// moved is how often money has moved when an impatient client has left, and long after.
		soon, late int
	}{
		{sandbox.DelayBefore, 0, 0},
		{sandbox.Late, 0, 1},
		{sandbox.DelayAfter, 1, 1},
	}
	for _, tc := range cases {
		t.Run(string(tc.kind), func(t *testing.T) {
			t.Parallel()
			bubbleVMP(t, nil, func(b vmpBundle) {
				t := b.t
				if err := b.server.Script(sandbox.Refund, "R1", sandbox.Fault{Kind: tc.kind, Delay: 2 * time.Second}); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if got := b.client.refundWithin(ctx, t, "R1", sale, "10.00"); !errors.Is(got.err, context.DeadlineExceeded) {
					t.Fatalf("the call ended with %v", got.err)
				}
				wantVMPMoved(t, b, "R1", tc.soon)
				wait(t, time.Hour)
				wantVMPMoved(t, b, "R1", tc.late)
			})
		})
	}
}

func TestRulesKeepToTheirGateway(t *testing.T) {
	t.Parallel()
	every := func(gateway string, fault sandbox.Fault) sandbox.Rule {
		return sandbox.Rule{Gateway: gateway, Every: 1, Faults: []sandbox.Fault{fault}}
	}
	page := sandbox.Fault{Kind: sandbox.HTTPBefore, HTTPStatus: 418}
	cases := []struct {
		name          string
		rule          sandbox.Rule
		antom, eftpay bool
	}{
		{"either", every("", page), true, true},
		{"named antom", every("antom", page), true, false},
		{"named eftpay", every("eftpay", page), false, true},
		{"a kind of antom's", every("", sandbox.Fault{Kind: sandbox.AccessDenied}), true, false},
		{"a kind of eftpay's", every("", sandbox.Fault{Kind: sandbox.SystemExceptionBefore}), false, true},
		{"a kind of eftpay's beside another", sandbox.Rule{First: 9, Faults: []sandbox.Fault{page, {Kind: sandbox.SystemExceptionBefore}}}, false, true},
	}
	for _, tc := range cases {
		b := setup(t, func(cfg *sandbox.Config) {
			cfg.Merchants = []sandbox.Merchant{{Key: vmpKey, Secret: vmpSecret, Currency: "HKD"}}
			cfg.Rules = []sandbox.Rule{tc.rule}
		})
		web := &http.Client{Transport: handlerTransport{b.server.EftPay()}}
		hitAntom := b.client.refundOne(t, "R1").says() != "S SUCCESS"
		hitEftPay := newVMPClient("http://sandbox.invalid", web).refund(t, "R1", payment, "1.00").says() != "00 TRADE_REFUND"
		if hitAntom != tc.antom || hitEftPay != tc.eftpay {
			t.Errorf("%s: hits antom %t, eftpay %t", tc.name, hitAntom, hitEftPay)
		}
	}
}

func TestRulesThatMixTheGatewaysAreRefused(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, nil)
	for name, rule := range map[string]sandbox.Rule{
		"an unknown gateway": {Gateway: "paypal", First: 1, Faults: unknown()},
		"both kinds":         {First: 1, Faults: append(unknown(), sandbox.Fault{Kind: sandbox.Unpadded})},
		"the other's kind":   {Gateway: "eftpay", First: 1, Faults: unknown()},
		"hiding at antom":    {Gateway: "antom", First: 1, Operation: sandbox.Refund, Faults: []sandbox.Fault{{HideQueries: 1}}},
		"hiding of queries":  {First: 1, Faults: []sandbox.Fault{{HideQueries: 1}}},
		"hiding of nothing":  {First: 1, Operation: sandbox.Refund, Faults: []sandbox.Fault{{Kind: sandbox.DropBefore, HideQueries: 1}}},
		"hiding negatively":  {First: 1, Operation: sandbox.Refund, Faults: []sandbox.Fault{{HideQueries: -1}}},
		"a long code":        {First: 1, Faults: []sandbox.Fault{{Kind: sandbox.ReturnAfter, Code: "1000"}}},
		"a code of letters":  {First: 1, Faults: []sandbox.Fault{{Kind: sandbox.ReturnAfter, Code: "OK"}}},
		"no code":            {First: 1, Faults: []sandbox.Fault{{Kind: sandbox.ReturnBefore}}},
		"a long status":      {First: 1, Faults: []sandbox.Fault{{Kind: sandbox.ReturnBefore, Code: "00", Status: strings.Repeat("X", 33)}}},
		"a long text":        {First: 1, Faults: []sandbox.Fault{{Kind: sandbox.ReturnBefore, Code: "51", Text: strings.Repeat("X", 101)}}},
		"a text elsewhere":   {First: 1, Faults: []sandbox.Fault{{Kind: sandbox.DropAfter, Text: "X"}}},
		"a text at antom":    {First: 1, Faults: []sandbox.Fault{{Kind: sandbox.Answer, Status: "F", Code: "X", Text: "X"}}},
	} {
		if id, err := b.server.AddRule(rule); err == nil {
			t.Errorf("%s: accepted as %s", name, id)
		}
	}
}
