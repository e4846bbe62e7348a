package eftpay

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refundworker/gateway"
	"refundworker/refund"
	"refundworker/schemas"
)

// pinnedAnswers and pinnedTrades are the expected meaning of each code, typed a second time.
func pinnedAnswers() map[string]string {
	return map[string]string{
		"12":  "ACCOUNT_REJECTED configuration unsigned",
		"-13": "ACCOUNT_REJECTED configuration unsigned",
		"51":  "UNKNOWN_OUTCOME",
	}
}

func pinnedTrades() map[string]string {
	return map[string]string{
		"TRADE_PROCESSING": "pending IN_PROCESS",
		"APPLY_SUCCESS":    "pending IN_PROCESS",
		"TRADE_REFUND":     "succeeded REFUNDED",
		"TRADE_CLOSED":     "succeeded REFUNDED of-sale",
		"TRADE_FAIL":       "declined REFUND_FAILED of-sale",
		"TRADE_SUCCESS":    "unknown UNKNOWN_OUTCOME of-sale",
	}
}

func TestTheTablesSayWhatTheySaidWhenTheyWereChecked(t *testing.T) {
	t.Parallel()
	join := func(parts ...string) string { return strings.Join(strings.Fields(strings.Join(parts, " ")), " ") }
	flag := func(is bool, name string) string {
		if is {
			return name
		}
		return ""
	}
	answers, trades := make(map[string]string), make(map[string]string)
	for _, r := range answerRows() {
		answers[r.code] = join(string(r.ours), string(r.alarm), flag(r.unsigned, "unsigned"))
	}
	for _, tr := range tradeRows() {
		trades[tr.status] = join(tr.verdict.String(), string(tr.ours), flag(tr.ofSale, "of-sale"))
	}
	if diff := cmp.Diff(pinnedAnswers(), answers); diff != "" || len(answers) != len(answerRows()) {
		t.Errorf("return_status (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(pinnedTrades(), trades); diff != "" || len(trades) != len(tradeRows()) {
		t.Errorf("trade_status (-want +got):\n%s", diff)
	}
}

// Each return_status through both operations, signed and not: the row, a negative one that is not listed, and others.
func TestEveryReturnStatusIsTakenInBothOperations(t *testing.T) {
	t.Parallel()
	const rejected, unknown = "unknown ACCOUNT_REJECTED !configuration", "unknown UNKNOWN_OUTCOME"
	for status, want := range map[string]struct{ refund, inquiry, unsigned string }{
		"12":  {rejected, rejected, rejected},
		"-13": {rejected, rejected, rejected},
		"51":  {unknown, unknown + " shows-none", unknown + " !unverified"},
		"-1":  {rejected, rejected, rejected},
		"-99": {rejected, rejected, rejected},
		"77":  {unknown + " !unlisted-code", "absent", unknown + " !unverified"},
		"99":  {unknown + " !unlisted-code", unknown + " shows-none", unknown + " !unverified"},
		"0":   {unknown + " !unlisted-code", unknown + " shows-none", unknown + " !unverified"},
		"000": {unknown + " !unlisted-code", unknown + " shows-none", unknown + " !unverified"},
		" 00": {unknown + " !unlisted-code", unknown + " shows-none", unknown + " !unverified"},
		"-":   {unknown + " !unlisted-code", unknown + " shows-none", unknown + " !unverified"},
		"-x1": {unknown + " !unlisted-code", unknown + " shows-none", unknown + " !unverified"},
	} {
		c := newClient(t, testConfig("https://eftpay.example/VMP"))
		a := decode(t, failing(status))
		if got := short(c.tables.refund(a, testRequest())); got != want.refund {
			t.Errorf("refund %q: %q, want %q", status, got, want.refund)
		}
		if got := short(c.tables.inquiry(a, testRequest())); got != want.inquiry {
			t.Errorf("inquiry %q: %q, want %q", status, got, want.inquiry)
		}
		obj, err := gateway.ParseObject([]byte(failing(status).text()))
		if err != nil {
			t.Fatal(err)
		}
		if got := short(c.unproved(obj, "x")); got != want.unsigned {
			t.Errorf("unsigned %q: %q, want %q", status, got, want.unsigned)
		}
	}
}

// Each trade_status on a faultless record, and on the sale's.
func TestEveryTradeStatusIsTakenInBothOperations(t *testing.T) {
	t.Parallel()
	for _, tr := range tradeRows() {
		f := refunded().with("trade_status", tr.status)
		for name, judge := range map[string]func(answer, refund.Request) refund.Result{
			"refund": newTables(nil).refund, "inquiry": newTables(nil).inquiry,
		} {
			res := judge(decode(t, f), testRequest())
			if res.Verdict != tr.verdict || res.Code != tr.ours || res.RawCode != tr.status || res.RawMessage != "OK" {
				t.Errorf("%s %s: %+v", name, tr.status, res)
			}
			res = judge(decode(t, f.with("trade_type", "SALE")), testRequest())
			if final := res.Verdict == refund.Succeeded || res.Verdict == refund.Declined; final && (tr.ofSale || name == "inquiry") {
				t.Errorf("%s %s on the sale's record: %s", name, tr.status, short(res))
			}
		}
	}
}

func TestEveryCodeIsOfTheContract(t *testing.T) {
	t.Parallel()
	for _, tr := range tradeRows() {
		want := map[refund.Verdict]schemas.Status{
			refund.Succeeded: schemas.Success, refund.Declined: schemas.Failed, refund.Pending: schemas.RetryPending, refund.Unknown: schemas.RetryPending,
		}[tr.verdict]
		if info, ok := tr.ours.Info(); !ok || info.Status != want {
			t.Errorf("%s: %s is a code of %s", tr.status, tr.ours, info.Status)
		}
	}
}
