package antom

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"refundworker/gateway"
	"refundworker/refund"
	"refundworker/schemas"
)

// shortKeyPair signs for both sides where thousands of signatures are wanted: eight times as fast as one of the length that
// is asked of accounts.
var shortKeyPair = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // it guards nothing
	if err != nil {
		panic(err)
	}
	return key
})

func newQuickClient(tb testing.TB, baseURL string) *Client {
	tb.Helper()
	c := newClient(tb, testConfig(tb, baseURL))
	c.signer.Store(&signer{
		clientID: ourClientID, keyVersion: DefaultKeyVersion,
		keys: keys{private: shortKeyPair(), public: []*rsa.PublicKey{&shortKeyPair().PublicKey}},
	})
	return c
}

// judged signs an answer as Antom and has the client judge it.
func judged(tb testing.TB, c *Client, op gateway.Operation, body []byte, req refund.Request) (refund.Result, error) {
	tb.Helper()
	path := productionAPI + refundPath
	if op == gateway.OpInquire {
		path = productionAPI + inquiryPath
	}
	return c.judge(op, path, gateway.Answer{Status: http.StatusOK, Header: signedHeader(tb, shortKeyPair(), path, body), Body: body}, req, c.signer.Load())
}

// wrongType stands for a field that is no text. encoding/json gives no such text.
const wrongType = "\xff"

// plainText is a field as encoding/json reads it; "" where it is missing or null.
func plainText(m map[string]any, name string) string {
	switch v := m[name].(type) {
	case nil:
		return ""
	case string:
		return v
	}
	return wrongType
}

// proves is what a signed answer to the test request proves: the rules of verdict.go written a second time, over what
// encoding/json reads. Unknown stands for all that is not final.
func proves(op gateway.Operation, body []byte, req refund.Request) refund.Verdict {
	var all map[string]any
	if json.Unmarshal(body, &all) != nil {
		return refund.Unknown
	}
	result, _ := all["result"].(map[string]any)
	status, code := plainText(result, "resultStatus"), plainText(result, "resultCode")
	id, refundID, found := plainText(all, "refundRequestId"), plainText(all, "refundId"), plainText(all, "refundStatus")
	for _, pair := range [][2]string{
		{id, req.GatewayKey}, {plainText(all, "paymentId"), req.PaymentID}, {refundID, req.GatewayRefundID},
	} {
		if pair[0] != "" && pair[1] != "" && pair[0] != pair[1] {
			return refund.Unknown
		}
	}
	if slices.Contains([]string{status, code, plainText(result, "resultMessage"), refundID, found, plainText(all, "refundTime")}, wrongType) {
		return refund.Unknown
	}
	amount := all["refundAmount"]
	if m, _ := amount.(map[string]any); amount != nil &&
		(plainText(m, "currency") != req.Amount.Currency || plainText(m, "value") != strconv.FormatInt(req.Amount.Minor, 10)) {
		return refund.Unknown
	}
	ours, record := id == req.GatewayKey, refundID != "" || amount != nil || found != ""
	switch said := status + " " + code; {
	case op == gateway.OpRefund && said == "S SUCCESS" && ours && amount != nil && isMoment(plainText(all, "refundTime")):
		return refund.Succeeded
	case op == gateway.OpRefund && status == "F" && strings.HasPrefix(pinnedRefunds()[code], "F declined"):
		return refund.Declined
	case op == gateway.OpRefund:
		return refund.Unknown
	case said == "S SUCCESS" && found == "SUCCESS" && ours && amount != nil:
		return refund.Succeeded
	case said == "S SUCCESS" && found == "FAIL" && ours:
		return refund.Declined
	case (said == "S SUCCESS" || said == "F REFUND_NOT_EXIST") && !record && req.GatewayRefundID == "":
		return refund.Absent
	}
	return refund.Unknown
}

func isMoment(text string) bool {
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700"} {
		if at, err := time.Parse(form, text); err == nil {
			return !at.IsZero()
		}
	}
	return false
}

// fault says what is wrong with the result of a signed answer; "" when nothing is.
func fault(op gateway.Operation, body []byte, req refund.Request, res refund.Result, err error) string {
	final := res.Verdict == refund.Succeeded || res.Verdict == refund.Declined || res.Verdict == refund.Absent
	switch want := proves(op, body, req); {
	case final && res.Verdict != want:
		return fmt.Sprintf("%s, and it proves %s", res.Verdict, want)
	case res.Verdict == refund.NotSent, err != nil && res.Verdict != refund.Unknown, res.Review && res.Verdict != refund.Unknown:
		return fmt.Sprintf("%s, review %v, %v", res.Verdict, res.Review, err)
	case (res.Refunded != nil || res.Settlement != nil) && res.Verdict != refund.Succeeded:
		return "money without success"
	case res.Verdict == refund.Succeeded && (res.Refunded == nil || *res.Refunded != req.Amount):
		return fmt.Sprintf("success with %v", res.Refunded)
	}
	return ""
}

// drawField draws a field: mostly its first value, else another, or something that is no text at all; or it is missing.
func drawField(t *rapid.T, to map[string]any, name string, values ...any) {
	switch n := rapid.IntRange(0, 19).Draw(t, name+" choice"); {
	case n < 15:
		to[name] = values[0]
	case n < 17:
		to[name] = rapid.SampledFrom(values).Draw(t, name)
	case n < 18:
		to[name] = rapid.SampledFrom([]any{nil, "", 7, true, []any{}, map[string]any{}, "\u0000", " "}).Draw(t, name+" strange")
	}
}

// drawAnswer draws an answer around one that proves something.
func drawAnswer(t *rapid.T, op gateway.Operation) []byte {
	codes := slices.Concat(slices.Sorted(maps.Keys(pinnedRefunds())), slices.Sorted(maps.Keys(pinnedInquiries())))
	result, all := map[string]any{}, map[string]any{}
	if rapid.Bool().Draw(t, "well") {
		drawField(t, result, "resultStatus", "S", "F", "U", "s")
		drawField(t, result, "resultCode", "SUCCESS", "REFUND_NOT_EXIST", "NEW", "ORDER_NOT_EXIST")
	} else {
		drawField(t, result, "resultStatus", "F", "S", "U")
		drawField(t, result, "resultCode", rapid.SampledFrom(codes).Draw(t, "code"), "REFUND_NOT_EXIST")
	}
	drawField(t, result, "resultMessage", "m")
	drawField(t, all, "result", result)
	if rapid.IntRange(0, 3).Draw(t, "empty") > 0 {
		drawField(t, all, "refundRequestId", "rf_0001", "rf_0002", "RF_0001")
		drawField(t, all, "refundId", refundIDText, "2026", strings.Repeat("9", 65))
		drawField(t, all, "paymentId", testRequest().PaymentID, "2026")
		amount := map[string]any{}
		drawField(t, amount, "currency", "HKD", "USD", "hkd")
		drawField(t, amount, "value", "1001", "1000", "01001", "1001.0", "+1001", "10010")
		drawField(t, all, "refundAmount", amount)
		drawField(t, all, "refundTime", "2026-11-21T20:01:01+08:00", "2026-11-21T20:01:01", "0001-01-01T00:00:00Z", "soon")
		drawField(t, all, "grossSettlementAmount", amount)
		drawField(t, all, "settlementQuote", map[string]any{"quoteCurrencyPair": "HKD/USD", "quotePrice": 0.12})
		if op == gateway.OpInquire || rapid.IntRange(0, 9).Draw(t, "stray status") == 0 {
			drawField(t, all, "refundStatus", rapid.SampledFrom([]any{"FAIL", "SUCCESS"}).Draw(t, "found"), "PROCESSING", "FAILED", "success")
		}
	}
	body, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// Whatever Antom signs, it is final exactly where it proves it.
func TestASignedAnswerIsFinalExactlyWhereItIsProof(t *testing.T) {
	t.Parallel()
	c := newQuickClient(t, "https://antom.example")
	for i := range 10 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				op := rapid.SampledFrom([]gateway.Operation{gateway.OpRefund, gateway.OpInquire}).Draw(rt, "operation")
				req := testRequest()
				if rapid.IntRange(0, 3).Draw(rt, "knows the ID") == 0 {
					req.GatewayRefundID = refundIDText
				}
				body := drawAnswer(rt, op)
				res, err := judged(t, c, op, body, req)
				if text := fault(op, body, req, res, err); text != "" {
					rt.Fatalf("%s: %s: %s", op, text, body)
				}
				if want := proves(op, body, req); want != refund.Unknown && res.Verdict != want {
					rt.Fatalf("%s proves %s, and is taken as %s: %s", op, want, res.Verdict, body)
				}
			})
		})
	}
}

// The same for any bytes: no shape of a signed answer panics, and none is final without its proof.
func FuzzSignedAnswer(f *testing.F) {
	for _, seed := range []string{
		successBody, foundBody, errorBody("ORDER_NOT_EXIST"), errorBody("REFUND_NOT_EXIST"), errorBody("REPEAT_REQ_INCONSISTENT"),
		strings.Replace(foundBody, `"refundStatus":"SUCCESS"`, `"refundStatus":"FAIL"`, 1),
		strings.Replace(successBody, "rf_0001", "rf_0002", 1), strings.Replace(successBody, `"1001"`, `1001`, 1),
		strings.Replace(successBody, "{", `{"Result":{},`, 1), `{"result":{"resultStatus":"S","resultCode":"SUCCESS"}}`, `{"result":[]}`, "{", "\xff",
	} {
		for _, flags := range []uint8{0, 1, 2, 3} {
			f.Add([]byte(seed), flags)
		}
	}
	c := newQuickClient(f, "https://antom.example")
	f.Fuzz(func(t *testing.T, body []byte, flags uint8) {
		op, req := gateway.OpRefund, testRequest()
		if flags&1 != 0 {
			op = gateway.OpInquire
		}
		if flags&2 != 0 {
			req.GatewayRefundID = refundIDText
		}
		res, err := judged(t, c, op, body, req)
		if text := fault(op, body, req, res, err); text != "" {
			t.Fatalf("%s: %s: %s", op, text, body)
		}
	})
}

// What is written into a request is read back out of an answer as the same money, in every currency.
func TestEveryAmountGoesBothWays(t *testing.T) {
	t.Parallel()
	c := newClient(t, testConfig(t, "https://antom.example"))
	rapid.Check(t, func(rt *rapid.T) {
		req := testRequest()
		req.Amount = schemas.Money{
			Minor:    rapid.Int64Range(1, 999_999_999_999_999).Draw(rt, "minor"),
			Currency: rapid.SampledFrom([]string{"HKD", "JPY", "KWD", "IDR", "CLF", "USD"}).Draw(rt, "currency"),
		}
		if text := c.Check(req); (text != "") != (req.Amount.Currency == "IDR" && req.Amount.Minor%100 != 0) {
			rt.Fatalf("%s: %q", req.Amount, text)
		}
		obj, err := gateway.ParseObject(refundBody(req))
		if err != nil {
			rt.Fatal(err)
		}
		amount, err := obj.Object("refundAmount")
		if got := money(amount); err != nil || got == nil || *got != req.Amount {
			rt.Fatalf("%s is sent as %v (%v), and read as %v", req.Amount, amount, err, got)
		}
	})
}
