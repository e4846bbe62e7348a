package eftpay

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"refundworker/gateway"
	"refundworker/refund"
	"refundworker/schemas"
)

func decode(tb testing.TB, f fields) answer {
	tb.Helper()
	obj, err := gateway.ParseObject([]byte(f.text()))
	if err != nil {
		tb.Fatal(err)
	}
	a, err := decodeAnswer(obj)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

const (
	mismatched = "unknown NEEDS_REVIEW !mismatch review"
	inquireNow = "unknown UNKNOWN_OUTCOME inquire-now"
	showsNone  = "unknown UNKNOWN_OUTCOME shows-none"
	heldBack   = "unknown UNKNOWN_OUTCOME !mismatch"
)

type verdictCase struct {
	name   string
	answer fields
	want   string
}

func check(t *testing.T, judge func(answer, refund.Request) refund.Result, req refund.Request, cases []verdictCase) {
	t.Helper()
	for _, tc := range cases {
		res := judge(decode(t, tc.answer), req)
		if got := short(res); got != tc.want {
			t.Errorf("%s: %q, want %q (%s)", tc.name, got, tc.want, res.Detail)
		}
		if res.Verdict != refund.Succeeded && (res.Refunded != nil || !res.RefundTime.IsZero()) {
			t.Errorf("%s: %s with money in it", tc.name, res.Verdict)
		}
	}
}

func TestRefundAnswersProveWhatTheyProve(t *testing.T) {
	t.Parallel()
	ok := refunded()
	check(t, newTables([]string{"77"}).refund, testRequest(), []verdictCase{
		{"part refunded", ok, "succeeded REFUNDED id"},
		{"wholly refunded", ok.with("trade_status", "TRADE_CLOSED"), "succeeded REFUNDED id"},
		{"without eftPay's own number", ok.with("refund_trade_no", nil), "succeeded REFUNDED"},
		{"amount with three decimals", ok.with("transaction_amount", "10.010"), mismatched},
		{"amount as a number", ok.with("transaction_amount", 10.01), "succeeded REFUNDED id"},
		{"no currency", ok.with("currency", ""), "succeeded REFUNDED id"},
		{"no trade_type", ok.with("trade_type", "-"), "succeeded REFUNDED"},
		{"part refunded, SALE as in the page's sample", ok.with("trade_type", "SALE"), "succeeded REFUNDED"},
		{"another user_confirm_key, as in the page's sample", ok.with("user_confirm_key", "S0000001"), "succeeded REFUNDED id"},
		{"closed, and a sale", ok.with("trade_type", "SALE", "trade_status", "TRADE_CLOSED"), inquireNow},
		{"part refunded, SALE, another amount", ok.with("trade_type", "SALE", "transaction_amount", "50.00"), inquireNow},
		{"part refunded, SALE, another currency", ok.with("trade_type", "SALE", "currency", "CNY"), inquireNow},
		{"paid", ok.with("trade_status", "TRADE_SUCCESS"), inquireNow},
		{"the sale's number echoed", ok.with("refund_no", sale), inquireNow},
		{"the sale's number echoed, closed", ok.with("refund_no", sale, "trade_status", "TRADE_CLOSED"), inquireNow},
		{"the page's sample", ok.with("refund_no", sale, "trade_type", "SALE", "trade_time", "20190824094950"), inquireNow},
		{"no refund_no", ok.with("refund_no", "-"), inquireNow},
		{"refund_no null", ok.with("refund_no", nil), inquireNow},
		{"another refund_no", ok.with("refund_no", "R2"), mismatched},
		{"our number in small letters", ok.with("refund_no", strings.ToLower(ourRefundNo)), mismatched},
		{"another payment", ok.with("out_trade_no", "x"), mismatched},
		{"another payment and its number echoed", ok.with("out_trade_no", "x", "refund_no", "x"), mismatched},
		{"no out_trade_no", ok.with("out_trade_no", "-"), inquireNow},
		{"no amount", ok.with("transaction_amount", ""), inquireNow},
		{"another amount", ok.with("transaction_amount", "10.00"), mismatched},
		{"an amount in minor units", ok.with("transaction_amount", "1001"), mismatched},
		{"an amount with a sign", ok.with("transaction_amount", "-10.01"), mismatched},
		{"another currency", ok.with("currency", "CNY"), mismatched},
		{"another currency, in process", ok.with("currency", "CNY", "trade_status", "TRADE_PROCESSING"), mismatched},
		{"no trade_status", ok.with("trade_status", ""), inquireNow},
		{"a new trade_status", ok.with("trade_status", "REFUNDED"), "unknown UNKNOWN_OUTCOME !unlisted-code inquire-now"},
		{"a trade_status in small letters", ok.with("trade_status", "trade_refund"), "unknown UNKNOWN_OUTCOME !unlisted-code inquire-now"},
		{"in process", ok.with("trade_status", "TRADE_PROCESSING"), "pending IN_PROCESS id"},
		{"applied for", ok.with("trade_status", "APPLY_SUCCESS"), "pending IN_PROCESS id"},
		{"in process, the sale's number echoed", ok.with("trade_status", "TRADE_PROCESSING", "refund_no", sale), "pending IN_PROCESS"},
		{"in process, nothing named", fields{"return_status": "00", "trade_status": "TRADE_PROCESSING"}, "pending IN_PROCESS"},
		{"in process, another refund_no", ok.with("trade_status", "TRADE_PROCESSING", "refund_no", "R2"), mismatched},
		{"failed", ok.with("trade_status", "TRADE_FAIL"), "declined REFUND_FAILED"},
		{"failed, no amount", ok.with("trade_status", "TRADE_FAIL", "transaction_amount", "-"), "declined REFUND_FAILED"},
		{"failed, another amount", ok.with("trade_status", "TRADE_FAIL", "transaction_amount", "1"), mismatched},
		{"failed, the sale's number echoed", ok.with("trade_status", "TRADE_FAIL", "refund_no", sale), inquireNow},
		{"failed, no refund_no", ok.with("trade_status", "TRADE_FAIL", "refund_no", nil), inquireNow},
		{"failed, another refund_no", ok.with("trade_status", "TRADE_FAIL", "refund_no", "R2"), mismatched},
		{"failed, and a sale", ok.with("trade_status", "TRADE_FAIL", "trade_type", "SALE"), inquireNow},
		{"taken, and nothing else", failing("00"), inquireNow},
		{"refused by the channel", failing("51").with("return_char", "退款失敗SYSTEM_EXCEPTION"), "unknown UNKNOWN_OUTCOME"},
		{"refused, though a success beside it", ok.with("return_status", "51"), "unknown UNKNOWN_OUTCOME"},
		{"refused, about another refund", failing("51").with("refund_no", "R2"), mismatched},
		{"refused, about another payment", failing("51").with("out_trade_no", "x"), mismatched},
		{"our clock", failing("12"), "unknown ACCOUNT_REJECTED !configuration"},
		{"a code of not found, which is for queries", failing("77"), "unknown UNKNOWN_OUTCOME !unlisted-code"},
	})
}

func TestInquiryAnswersProveWhatTheyProve(t *testing.T) {
	t.Parallel()
	ok := refunded()
	tb := newTables([]string{"77"})
	check(t, tb.inquiry, testRequest(), []verdictCase{
		{"part refunded", ok, "succeeded REFUNDED id"},
		{"wholly refunded", ok.with("trade_status", "TRADE_CLOSED"), "succeeded REFUNDED id"},
		{"failed", ok.with("trade_status", "TRADE_FAIL"), "declined REFUND_FAILED"},
		{"in process", ok.with("trade_status", "TRADE_PROCESSING"), "pending IN_PROCESS id"},
		{"applied for", ok.with("trade_status", "APPLY_SUCCESS"), "pending IN_PROCESS id"},
		{"another amount", ok.with("transaction_amount", "10"), mismatched},
		{"an amount that is none", ok.with("transaction_amount", "ten"), mismatched},
		{"another currency", ok.with("currency", "CNY"), mismatched},
		{"another payment", ok.with("out_trade_no", "x"), mismatched},
		{"failed, another amount", ok.with("trade_status", "TRADE_FAIL", "transaction_amount", "10"), mismatched},
		{"no amount", ok.with("transaction_amount", nil), heldBack},
		{"no out_trade_no", ok.with("out_trade_no", nil), heldBack},
		{"no trade_type", ok.with("trade_type", ""), heldBack},
		{"our number, no trade_status", ok.with("trade_status", nil), heldBack},
		{"our number, paid, and not a sale", ok.with("trade_status", "TRADE_SUCCESS"), heldBack},
		{"a new trade_status", ok.with("trade_status", "REFUNDED"), "unknown UNKNOWN_OUTCOME !unlisted-code"},

		// Our number on the sale's record: an echo of the question, or our refund.
		{"our number on the paid sale", ok.with("trade_type", "SALE", "trade_status", "TRADE_SUCCESS", "transaction_amount", "50"), showsNone},
		{"our number on the sale, part refunded", ok.with("trade_type", "SALE", "transaction_amount", "50"), heldBack},
		{"our number and amount on the sale, part refunded", ok.with("trade_type", "SALE"), heldBack},
		{"our number on the sale, closed", ok.with("trade_type", "SALE", "trade_status", "TRADE_CLOSED", "transaction_amount", "50"), heldBack},
		{"our number on the sale, failed", ok.with("trade_type", "SALE", "trade_status", "TRADE_FAIL"), heldBack},

		// The sale's number in place of ours.
		{"echo of a refund, our amount", ok.with("refund_no", sale), "succeeded REFUNDED id"},
		{"echo of a refund that failed, our amount", ok.with("refund_no", sale, "trade_status", "TRADE_FAIL"), "declined REFUND_FAILED"},
		{"echo of a refund in process, our amount", ok.with("refund_no", sale, "trade_status", "TRADE_PROCESSING"), "pending IN_PROCESS id"},
		{"echo of a refund, another amount", ok.with("refund_no", sale, "transaction_amount", "10"), heldBack},
		{"echo of a refund, another currency", ok.with("refund_no", sale, "currency", "CNY"), heldBack},
		{"echo of a refund, no out_trade_no", ok.with("refund_no", sale, "out_trade_no", nil), heldBack},
		{"the page's sample", ok.with("refund_no", sale, "trade_type", "SALE", "trade_time", "20190824094950"), heldBack},

		// The sale.
		{"the paid sale", ok.with("refund_no", sale, "trade_type", "SALE", "trade_status", "TRADE_SUCCESS", "transaction_amount", "50"), showsNone},
		{"the paid sale, of our amount", ok.with("refund_no", nil, "trade_type", "SALE", "trade_status", "TRADE_SUCCESS"), showsNone},
		{"the sale, part refunded, though no refund is known", ok.with("refund_no", nil, "trade_type", "SALE", "transaction_amount", "50"), heldBack},
		{"the sale, closed, though no refund is known", ok.with("refund_no", nil, "trade_type", "SALE", "trade_status", "TRADE_CLOSED"), heldBack},
		{"a refund without number", ok.with("refund_no", nil), heldBack},
		{"the sale of another payment", ok.with("trade_type", "SALE", "out_trade_no", "x", "refund_no", "x"), mismatched},

		{"another refund's record", ok.with("refund_no", "R2"), showsNone},
		{"another refund's record, of another amount", ok.with("refund_no", "R2", "transaction_amount", "1"), showsNone},
		{"another refund's record, of no payment", ok.with("refund_no", "R2", "out_trade_no", nil), heldBack},

		{"taken, and nothing else", failing("00"), showsNone},
		{"taken, and nulls", failing("00").with("trade_status", nil, "refund_no", nil, "transaction_amount", nil, "out_trade_no", sale), showsNone},
		{"taken, our number, and nothing else", failing("00").with("refund_no", ourRefundNo), showsNone},
		{"an error", failing("51"), showsNone},
		{"an error that repeats the question", failing("99").with("refund_no", ourRefundNo, "out_trade_no", sale), showsNone},
		{"an error with a status", failing("99").with("trade_status", "TRADE_REFUND"), heldBack},
		{"an error about another refund", failing("99").with("refund_no", "R2"), heldBack},
		{"an error about another payment", failing("99").with("out_trade_no", "x"), mismatched},
		{"our clock", failing("12"), "unknown ACCOUNT_REJECTED !configuration"},
		{"our service, signed all the same", failing("-13"), "unknown ACCOUNT_REJECTED !configuration"},

		{"not found", failing("77"), "absent"},
		{"not found, repeating the question", failing("77").with("refund_no", ourRefundNo, "out_trade_no", sale), "absent"},
		{"not found, but a status", failing("77").with("trade_status", "TRADE_REFUND"), heldBack},
		{"not found, but an amount", failing("77").with("transaction_amount", "10.01"), heldBack},
		{"not found, but a number", failing("77").with("refund_trade_no", "EFT0001"), heldBack},
		{"not found, about another refund", failing("77").with("refund_no", "R2"), heldBack},
		{"not found, about another payment", failing("77").with("out_trade_no", "x"), mismatched},
	})

	known := testRequest()
	known.GatewayRefundID = "EFT0001"
	check(t, tb.inquiry, known, []verdictCase{
		{"done", ok, "succeeded REFUNDED id"},
		{"the refund that has a number is not found", failing("77"), mismatched},
		{"an error", failing("51"), showsNone},
	})
}

// With another refund of the payment known, only our own number makes a record ours.
func TestARecordWithoutOurNumberMayBeThatOfAnotherRefund(t *testing.T) {
	t.Parallel()
	ok := refunded()
	req := testRequest()
	req.OthersKnown = true
	check(t, newTables(nil).inquiry, req, []verdictCase{
		{"our number", ok, "succeeded REFUNDED id"},
		{"our number, failed", ok.with("trade_status", "TRADE_FAIL"), "declined REFUND_FAILED"},
		{"echo of a refund, our amount", ok.with("refund_no", sale), heldBack},
		{"echo of a refund that failed, our amount", ok.with("refund_no", sale, "trade_status", "TRADE_FAIL"), heldBack},
		{"echo of a refund in process, our amount", ok.with("refund_no", sale, "trade_status", "TRADE_PROCESSING"), heldBack},
		{"echo of a refund, another amount", ok.with("refund_no", sale, "transaction_amount", "10"), showsNone},
		{"echo of a refund, no amount", ok.with("refund_no", sale, "transaction_amount", nil), heldBack},
		{"echo of a refund, an amount that is none", ok.with("refund_no", sale, "transaction_amount", "ten"), heldBack},
		{"the sale, part refunded", ok.with("refund_no", nil, "trade_type", "SALE", "transaction_amount", "50"), showsNone},
		{"the sale, part refunded, of our amount", ok.with("refund_no", nil, "trade_type", "SALE"), heldBack},
		{"our number on the sale, part refunded", ok.with("trade_type", "SALE", "transaction_amount", "50"), heldBack},
		{"another refund's record", ok.with("refund_no", "R2"), showsNone},
	})
	check(t, newTables(nil).refund, req, []verdictCase{
		{"our number", ok, "succeeded REFUNDED id"},
		{"the sale's number echoed", ok.with("refund_no", sale), inquireNow},
	})
}

func TestAmountsAreComparedByTheirValue(t *testing.T) {
	t.Parallel()
	req := testRequest()
	req.Amount.Minor = 54020
	ok := refunded()
	for _, judge := range []func(answer, refund.Request) refund.Result{newTables(nil).refund, newTables(nil).inquiry} {
		check(t, judge, req, []verdictCase{
			{"padded", ok.with("transaction_amount", "540.20"), "succeeded REFUNDED id"},
			{"not padded", ok.with("transaction_amount", "540.2"), "succeeded REFUNDED id"},
			{"a cent less", ok.with("transaction_amount", "540.19"), mismatched},
			{"whole", ok.with("transaction_amount", "540"), mismatched},
		})
	}
}

func TestEveryFieldOfAnAnswerArrives(t *testing.T) {
	t.Parallel()
	want := refund.Result{
		Verdict: refund.Succeeded, Code: schemas.CodeRefunded, RawCode: "TRADE_REFUND", RawMessage: "OK",
		RefundID: "EFT0001", Refunded: &schemas.Money{Minor: 1001, Currency: "HKD"},
		RefundTime: time.Date(2026, 1, 1, 4, 0, 1, 0, time.UTC),
	}
	untimed := want
	untimed.RefundTime = time.Time{}
	ofSale := untimed
	ofSale.RefundID = ""
	for name, tc := range map[string]struct {
		answer fields
		want   refund.Result
	}{
		"time as in the table":       {refunded(), want},
		"time as in the sample":      {refunded().with("trade_time", "20260101120001"), want},
		"no time":                    {refunded().with("trade_time", nil), untimed},
		"time that is none":          {refunded().with("trade_time", "yesterday"), untimed},
		"the sale's time and number": {refunded().with("trade_type", "SALE"), ofSale},
	} {
		if diff := cmp.Diff(tc.want, newTables(nil).refund(decode(t, tc.answer), testRequest())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTheRawCodeIsTheWordThatDecided(t *testing.T) {
	t.Parallel()
	tb := newTables(nil)
	for want, f := range map[string]fields{
		"TRADE_REFUND": refunded(), "51": refunded().with("return_status", "51"), "00": failing("00"),
	} {
		a := decode(t, f)
		if sent, asked := tb.refund(a, testRequest()).RawCode, tb.inquiry(a, testRequest()).RawCode; sent != want || asked != want {
			t.Errorf("raw codes %q and %q, want %q", sent, asked, want)
		}
	}
}

func TestWordsOfTheGatewayAreCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("長", 300)
	tb := newTables(nil)
	res := tb.refund(decode(t, refunded().with("return_char", long, "refund_trade_no", long)), testRequest())
	if n := len([]rune(res.RawMessage)); n != maxMessage || res.RefundID != "" {
		t.Errorf("a message of %d characters, refund ID %q", n, res.RefundID)
	}
	for _, f := range []fields{refunded().with("trade_status", long), failing(long)} {
		if n := len([]rune(tb.inquiry(decode(t, f), testRequest()).RawCode)); n != maxCode {
			t.Errorf("a code of %d characters", n)
		}
	}
}

func TestAnswersOfAnotherFormAreNotRead(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fields{
		"no return_status":        refunded().with("return_status", "-"),
		"return_status null":      refunded().with("return_status", nil),
		"return_status empty":     refunded().with("return_status", ""),
		"return_status a number":  refunded().with("return_status", 0),
		"trade_status a number":   refunded().with("trade_status", 1),
		"refund_no a number":      refunded().with("refund_no", 1),
		"out_trade_no a number":   refunded().with("out_trade_no", 20190823191819),
		"trade_type a bool":       refunded().with("trade_type", true),
		"amount an object":        refunded().with("transaction_amount", map[string]any{"value": "10.01"}),
		"amount a list":           refunded().with("transaction_amount", []any{"10.01"}),
		"currency a list":         refunded().with("currency", []any{"HKD"}),
		"return_char an object":   refunded().with("return_char", map[string]any{}),
		"refund_trade_no a bool":  refunded().with("refund_trade_no", false),
		"trade_time a number":     refunded().with("trade_time", 20260101120001),
		"nothing but a signature": {},
		"trade_status misspelt":   refunded().with("trade_status", "-", "trAde_stAtus", "TRADE_REFUND"),
		"amount misspelt":         refunded().with("transaction_amount", "-", "Transaction_Amount", "10.01"),
		"return_status, long s":   refunded().with("return_status", "-", "return_\u017ftatus", "00"),
	} {
		obj, err := gateway.ParseObject([]byte(f.text()))
		if err != nil {
			t.Fatal(err)
		}
		if a, err := decodeAnswer(obj); err == nil {
			t.Errorf("%s: read as %+v", name, a)
		}
	}
}
