package antom

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"refundworker/refund"
	"refundworker/schemas"
)

const (
	refundIDText = "2026112119401080010018800000000009"
	success      = `"result":{"resultStatus":"S","resultCode":"SUCCESS","resultMessage":"success."}`
	echo         = `,"refundRequestId":"rf_0001","refundAmount":{"currency":"HKD","value":"1001"}`
	withID       = `,"refundId":"` + refundIDText + `"`
	at           = `,"refundTime":"2026-11-21T20:01:01+08:00"`
)

func result(status, code string) string {
	return `"result":{"resultStatus":"` + status + `","resultCode":"` + code + `","resultMessage":"m"}`
}

// short is what matters of a Result, in one line.
func short(r refund.Result) string {
	parts := []string{r.Verdict.String(), string(r.Code)}
	if r.Alarm != refund.NoAlarm {
		parts = append(parts, "!"+string(r.Alarm))
	}
	if r.Review {
		parts = append(parts, "review")
	}
	if r.InquireNow {
		parts = append(parts, "inquire-now")
	}
	if r.RefundID != "" {
		parts = append(parts, "id")
	}
	return strings.Join(parts, " ")
}

type verdictCase struct{ name, body, want string }

const mismatched = "unknown NEEDS_REVIEW !mismatch review"

func TestRefundAnswersProveWhatTheyProve(t *testing.T) {
	t.Parallel()
	check(t, newTables().refund, testRequest(), []verdictCase{
		{"success", success + echo + withID + at, "succeeded REFUNDED id"},
		{"success without refundId", success + echo + at, "succeeded REFUNDED"},
		{"success with the payment", success + echo + at + `,"paymentId":"20260101194010800100188000000000001"`, "succeeded REFUNDED"},
		{"fields in another order, unknown ones among them", `"new":{"x":[1]}` + at + echo + "," + success, "succeeded REFUNDED"},
		{"time without a colon in its offset", success + echo + `,"refundTime":"2026-11-21T20:01:01+0800"`, "succeeded REFUNDED"},
		{"time with milliseconds", success + echo + `,"refundTime":"2026-11-21T12:01:01.000Z"`, "succeeded REFUNDED"},
		{"accepted, no time", success + echo + withID, "pending IN_PROCESS inquire-now id"},
		{"accepted, time null", success + echo + `,"refundTime":null`, "pending IN_PROCESS inquire-now"},
		{"accepted, time unreadable", success + echo + `,"refundTime":"yesterday"`, "pending IN_PROCESS inquire-now"},
		{"accepted, time without offset", success + echo + `,"refundTime":"2026-11-21T20:01:01"`, "pending IN_PROCESS inquire-now"},
		{"success that names nothing", success + at, "unknown UNKNOWN_OUTCOME inquire-now"},
		{"success without our ID", success + at + `,"refundAmount":{"currency":"HKD","value":"1001"}`, "unknown UNKNOWN_OUTCOME inquire-now"},
		{"success without amount", success + at + `,"refundRequestId":"rf_0001"`, "unknown UNKNOWN_OUTCOME inquire-now"},
		{"success with nulls", success + at + `,"refundRequestId":null,"refundAmount":null`, "unknown UNKNOWN_OUTCOME inquire-now"},
		{"another request", success + strings.Replace(echo, "rf_0001", "rf_0002", 1) + at, mismatched},
		{"our ID in other letters", success + strings.Replace(echo, "rf_0001", "RF_0001", 1) + at, mismatched},
		{"another amount", success + strings.Replace(echo, "1001", "1000", 1) + at, mismatched},
		{"amount with a leading zero", success + strings.Replace(echo, "1001", "01001", 1) + at, mismatched},
		{"amount as a number", success + strings.Replace(echo, `"1001"`, `1001`, 1) + at, mismatched},
		{"amount as a decimal", success + strings.Replace(echo, "1001", "10.01", 1) + at, mismatched},
		{"another currency", success + strings.Replace(echo, "HKD", "USD", 1) + at, mismatched},
		{"no currency", success + `,"refundRequestId":"rf_0001","refundAmount":{"value":"1001"}` + at, mismatched},
		{"another payment", success + echo + at + `,"paymentId":"x"`, mismatched},
		{"accepted, another request", success + strings.Replace(echo, "rf_0001", "x", 1), mismatched},
		{"in process", result("U", "REFUND_IN_PROCESS") + withID, "pending IN_PROCESS id"},
		{"in process, accepted", result("S", "REFUND_IN_PROCESS"), "pending IN_PROCESS"},
		{"in process, failed", result("F", "REFUND_IN_PROCESS"), "pending IN_PROCESS"},
		{"in process about another request", result("U", "REFUND_IN_PROCESS") + `,"refundRequestId":"x"`, mismatched},
		{"declined", result("F", "ORDER_NOT_EXIST"), "declined PAYMENT_NOT_FOUND"},
		{"declined, with our fields and an ID", result("F", "ORDER_NOT_EXIST") + echo + withID, "declined PAYMENT_NOT_FOUND"},
		{"declined, with nulls", result("F", "ORDER_NOT_EXIST") + `,"refundRequestId":null,"refundId":null,"refundAmount":null,"refundTime":null`, "declined PAYMENT_NOT_FOUND"},
		{"declined about another request", result("F", "ORDER_NOT_EXIST") + `,"refundRequestId":"x"`, mismatched},
		{"declined about another amount", result("F", "ORDER_NOT_EXIST") + `,"refundAmount":{"currency":"HKD","value":"1"}`, mismatched},
		{"declined about another payment", result("F", "ORDER_NOT_EXIST") + `,"paymentId":"x"`, mismatched},
		{"declined with a code that is not listed", result("F", "NEW_REASON"), "unknown UNKNOWN_OUTCOME !unlisted-code"},
		{"declined without a code", `"result":{"resultStatus":"F"}`, "unknown UNKNOWN_OUTCOME !unlisted-code"},
		{"failed with SUCCESS", result("F", "SUCCESS"), "unknown UNKNOWN_OUTCOME !unlisted-code"},
		{"success with a code that declines", result("S", "ORDER_NOT_EXIST") + echo + at, "unknown UNKNOWN_OUTCOME !unlisted-code"},
		{"success with a code that is not listed", result("S", "ACCEPTED") + echo + at, "unknown UNKNOWN_OUTCOME !unlisted-code"},
		{"unknown", result("U", "UNKNOWN_EXCEPTION"), "unknown UNKNOWN_OUTCOME"},
		{"unknown with a code that declines", result("U", "ORDER_NOT_EXIST"), "unknown UNKNOWN_OUTCOME"},
		{"unknown with SUCCESS", result("U", "SUCCESS") + echo + at, "unknown UNKNOWN_OUTCOME"},
		{"unknown with a code that is not listed", result("U", "NEW_TROUBLE"), "unknown UNKNOWN_OUTCOME !unlisted-code"},
		{"slow down", result("F", "REQUEST_TRAFFIC_EXCEED_LIMIT"), "unknown THROTTLED"},
		{"our key is wrong, signed", result("F", "KEY_NOT_FOUND"), "unknown ACCOUNT_REJECTED !configuration"},
		{"our ID is taken", result("F", "REPEAT_REQ_INCONSISTENT"), mismatched},
	})
}

func TestInquiryAnswersProveWhatTheyProve(t *testing.T) {
	t.Parallel()
	status := func(s string) string { return `,"refundStatus":"` + s + `"` }
	check(t, newTables().inquiry, testRequest(), []verdictCase{
		{"done", success + echo + withID + at + status("SUCCESS"), "succeeded REFUNDED id"},
		{"done, without a time", success + echo + status("SUCCESS"), "succeeded REFUNDED"},
		{"done, without our ID", success + withID + status("SUCCESS") + `,"refundAmount":{"currency":"HKD","value":"1001"}`, "unknown UNKNOWN_OUTCOME !mismatch id"},
		{"done, without amount", success + status("SUCCESS") + `,"refundRequestId":"rf_0001"`, "unknown UNKNOWN_OUTCOME !mismatch"},
		{"done, another request", success + strings.Replace(echo, "rf_0001", "x", 1) + status("SUCCESS"), mismatched},
		{"done, another amount", success + strings.Replace(echo, "1001", "1", 1) + status("SUCCESS"), mismatched},
		{"done, another currency", success + strings.Replace(echo, "HKD", "CNY", 1) + status("SUCCESS"), mismatched},
		{"done, another payment", success + echo + status("SUCCESS") + `,"paymentId":"x"`, mismatched},
		{"open", success + echo + withID + status("PROCESSING"), "pending IN_PROCESS id"},
		{"open, another request", success + strings.Replace(echo, "rf_0001", "x", 1) + status("PROCESSING"), mismatched},
		{"failed", success + echo + withID + status("FAIL"), "declined REFUND_FAILED id"},
		{"failed, without our ID", success + withID + status("FAIL"), "unknown UNKNOWN_OUTCOME !mismatch id"},
		{"failed, another request", success + strings.Replace(echo, "rf_0001", "x", 1) + status("FAIL"), mismatched},
		{"failed, another amount", success + strings.Replace(echo, "1001", "1", 1) + status("FAIL"), mismatched},
		{"a word of another product", success + echo + status("FAILED"), "unknown UNKNOWN_OUTCOME !unlisted-code"},
		{"a word in small letters", success + echo + status("success"), "unknown UNKNOWN_OUTCOME !unlisted-code"},
		{"no record, nulls", success + `,"refundStatus":null,"refundId":null,"refundRequestId":null,"refundAmount":null`, "absent "},
		{"no record, our ID echoed", success + `,"refundRequestId":"rf_0001"`, "absent "},
		{"no record, another ID echoed", success + `,"refundRequestId":"x"`, mismatched},
		{"no status, but a record's ID", success + withID, "unknown UNKNOWN_OUTCOME !mismatch"},
		{"no status, but an amount", success + echo, "unknown UNKNOWN_OUTCOME !mismatch"},
		{"not found", result("F", "REFUND_NOT_EXIST"), "absent "},
		{"not found, but a status", result("F", "REFUND_NOT_EXIST") + status("SUCCESS"), "unknown UNKNOWN_OUTCOME !mismatch"},
		{"not found about another request", result("F", "REFUND_NOT_EXIST") + `,"refundRequestId":"x"`, mismatched},
		{"not found, accepted", result("S", "REFUND_NOT_EXIST"), "unknown UNKNOWN_OUTCOME !unlisted-code"},
		{"not found, unknown", result("U", "REFUND_NOT_EXIST"), "unknown UNKNOWN_OUTCOME"},
		{"query unknown, though a status", result("U", "UNKNOWN_EXCEPTION") + echo + status("SUCCESS"), "unknown UNKNOWN_OUTCOME"},
		{"query refused", result("F", "PARAM_ILLEGAL"), "unknown UNKNOWN_OUTCOME"},
		{"query failed with a code of refunds", result("F", "ORDER_NOT_EXIST"), "unknown UNKNOWN_OUTCOME !unlisted-code"},
		{"query failed, though a status", result("F", "SUCCESS") + echo + status("SUCCESS"), "unknown UNKNOWN_OUTCOME !unlisted-code"},
		{"slow down", result("U", "REQUEST_TRAFFIC_EXCEED_LIMIT"), "unknown THROTTLED"},
		{"denied", result("F", "ACCESS_DENIED"), "unknown ACCOUNT_REJECTED !configuration"},
	})
}

func TestAnInquiryByAntomsIDIsComparedByBothIDs(t *testing.T) {
	t.Parallel()
	req := testRequest()
	req.GatewayRefundID = refundIDText
	done := `,"refundStatus":"SUCCESS"`
	check(t, newTables().inquiry, req, []verdictCase{
		{"both are ours", success + echo + withID + done, "succeeded REFUNDED id"},
		{"another refundId", success + echo + `,"refundId":"x"` + done, mismatched},
		{"another request", success + strings.Replace(echo, "rf_0001", "x", 1) + withID + done, mismatched},
		{"only Antom's", success + withID + done + `,"refundAmount":{"currency":"HKD","value":"1001"}`, "unknown UNKNOWN_OUTCOME !mismatch id"},
		{"the ID it gave is not found", result("F", "REFUND_NOT_EXIST"), mismatched},
		{"the ID it gave has no record", success, mismatched},
	})
	check(t, newTables().refund, req, []verdictCase{
		{"a resend answered with another refundId", success + echo + at + `,"refundId":"x"`, mismatched},
	})
}

func check(t *testing.T, judge func(answer, refund.Request) refund.Result, req refund.Request, cases []verdictCase) {
	t.Helper()
	for _, tc := range cases {
		a, err := decodeAnswer([]byte("{" + strings.TrimPrefix(tc.body, ",") + "}"))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		res := judge(a, req)
		if got := short(res); got != tc.want {
			t.Errorf("%s: %q, want %q (%s)", tc.name, got, tc.want, res.Detail)
		}
		if res.Verdict != refund.Succeeded && (res.Refunded != nil || !res.RefundTime.IsZero() || res.Settlement != nil) {
			t.Errorf("%s: %s with money in it", tc.name, res.Verdict)
		}
	}
}

func TestEveryFieldOfAnAnswerArrives(t *testing.T) {
	t.Parallel()
	body := `{` + success + echo + withID + at + `,"paymentId":"20260101194010800100188000000000001",` +
		`"grossSettlementAmount":{"currency":"USD","value":"128"},` +
		`"settlementQuote":{"quoteId":"q-1","quoteCurrencyPair":"HKD/USD","quotePrice":0.1280,"quoteStartTime":"2026-11-21T20:00:00+08:00","guaranteed":true}}`
	want := refund.Result{
		Verdict: refund.Succeeded, Code: schemas.CodeRefunded, RawCode: "SUCCESS", RawMessage: "success.",
		RefundID: refundIDText, Refunded: &schemas.Money{Minor: 1001, Currency: "HKD"},
		RefundTime: time.Date(2026, 11, 21, 12, 1, 1, 0, time.UTC),
		Settlement: &schemas.Settlement{
			Amount: &schemas.Money{Minor: 128, Currency: "USD"},
			Quote:  &schemas.Quote{CurrencyPair: "HKD/USD", Price: "0.1280", ID: "q-1"},
		},
	}
	for name, text := range map[string]string{"price as number": body, "price as text": strings.Replace(body, "0.1280", `"0.1280"`, 1)} {
		a, err := decodeAnswer([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, newTables().refund(a, testRequest())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The settlement says what the merchant is charged; it proves nothing about the refund.
func TestAnUnreadableSettlementIsLeftOut(t *testing.T) {
	t.Parallel()
	for _, extra := range []string{
		`,"grossSettlementAmount":"x","settlementQuote":7`, `,"grossSettlementAmount":{"currency":"USD","value":"-1"}`,
		`,"grossSettlementAmount":{"currency":1,"value":2},"settlementQuote":{"quotePrice":true,"quoteCurrencyPair":"HKD/USD"}`,
		`,"settlementQuote":{"quotePrice":"1"}`, `,"grossSettlementAmount":null,"settlementQuote":null`,
	} {
		a, err := decodeAnswer([]byte("{" + success + echo + at + extra + "}"))
		if err != nil {
			t.Fatal(err)
		}
		if res := newTables().refund(a, testRequest()); res.Verdict != refund.Succeeded || res.Settlement != nil {
			t.Errorf("%s: %s with %+v", extra, res.Verdict, res.Settlement)
		}
	}
}

func TestWordsOfTheGatewayAreCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("長", 300)
	a, err := decodeAnswer([]byte(`{"result":{"resultStatus":"S","resultCode":"SUCCESS","resultMessage":"` + long + `"}` + echo + at +
		`,"refundId":"` + long + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	res := newTables().refund(a, testRequest())
	if n := len([]rune(res.RawMessage)); n != maxMessage {
		t.Errorf("message of %d characters", n)
	}
	if res.RefundID != "" {
		t.Error("an ID that no inquiry could ask by was passed on")
	}
}

func TestAnswersOfAnotherFormAreNotRead(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"no object":              `[]`,
		"no result":              `{"refundRequestId":"rf_0001"}`,
		"result null":            `{"result":null}`,
		"result a string":        `{"result":"S"}`,
		"no status":              `{"result":{"resultCode":"SUCCESS"}}`,
		"status in small letter": `{"result":{"resultStatus":"s","resultCode":"SUCCESS"}}`,
		"status a bool":          `{"result":{"resultStatus":true}}`,
		"code a number":          `{"result":{"resultStatus":"F","resultCode":1}}`,
		"our ID a number":        `{` + success + `,"refundRequestId":1}`,
		"amount a string":        `{` + success + `,"refundAmount":"1001"}`,
		"time a number":          `{` + success + `,"refundTime":1685599933871}`,
		"status twice":           `{"result":{"resultStatus":"U","resultStatus":"S","resultCode":"SUCCESS"}}`,
		"result twice":           `{"result":{"resultStatus":"S"},"Result":{"resultStatus":"F"}}`,
	} {
		if a, err := decodeAnswer([]byte(body)); err == nil {
			t.Errorf("%s: read as %+v", name, a)
		}
	}
}
