package eftpay

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"refundworker/gateway"
	"refundworker/refund"
	"refundworker/schemas"
)

// wrongType stands for a field that is no text. encoding/json gives no such text.
const wrongType = "\xff"

// plainText is a field as encoding/json reads it; "" where it is missing or null.
func (f fields) plainText(name string) string {
	switch v := f[name].(type) {
	case nil:
		return ""
	case string:
		return v
	}
	return wrongType
}

var plainAmount = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]{1,2})?$`)

// plainMinor is an amount in minor units, as exact arithmetic has it; 0 for none.
func plainMinor(v any) int64 {
	text := fmt.Sprint(v)
	if !plainAmount.MatchString(text) || len(text) > 8 {
		return 0
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0
	}
	return exact.Mul(exact, big.NewRat(100, 1)).Num().Int64()
}

// proves is what a signed answer to the test request proves: the rules of verdict.go written a second time, over what
// encoding/json reads. Unknown stands for all that is not final.
func (f fields) proves(op gateway.Operation, req refund.Request) refund.Verdict {
	for name, v := range f {
		switch v.(type) {
		case map[string]any, []any:
			return refund.Unknown // nobody knows how it would be signed
		}
		if _, rest, found := strings.Cut(fmt.Sprint(v), "&"); strings.ContainsAny(name, "&=") || found && strings.Contains(rest, "=") {
			return refund.Unknown // it can be read in two ways
		}
	}
	var text [9]string
	for i, name := range []string{
		"return_status", "trade_status", "trade_type", "out_trade_no", "refund_no", "currency", "refund_trade_no", "return_char", "trade_time",
	} {
		if text[i] = f.plainText(name); text[i] == wrongType {
			return refund.Unknown
		}
	}
	status, trade, kind, payment, number, currency, theirs := text[0], text[1], text[2], text[3], text[4], text[5], text[6]
	amount, hasAmount := plainMinor(f["transaction_amount"]), f["transaction_amount"] != nil && f["transaction_amount"] != ""

	named, ofSale := number == req.GatewayKey, kind == "SALE" || trade == "TRADE_SUCCESS"
	ofAnother := number != "" && !named && number != req.PaymentID
	money := currency == "" || currency == req.Amount.Currency
	whole := payment == req.PaymentID && amount == req.Amount.Minor && money
	if payment != "" && payment != req.PaymentID || named && !ofSale && (hasAmount && amount != req.Amount.Minor || !money) {
		return refund.Unknown
	}
	if op == gateway.OpInquire && status == "77" {
		if trade == "" && !hasAmount && theirs == "" && !ofAnother && req.GatewayRefundID == "" {
			return refund.Absent
		}
		return refund.Unknown
	}
	ours := named && op == gateway.OpRefund ||
		op == gateway.OpInquire && kind == "REFUND" && whole && (named || number == req.PaymentID && !req.OthersKnown)
	switch {
	case status != "00" || !ours:
	case trade == "TRADE_REFUND" && whole, trade == "TRADE_CLOSED" && whole && kind != "SALE":
		return refund.Succeeded
	case trade == "TRADE_FAIL" && kind != "SALE":
		return refund.Declined
	}
	return refund.Unknown
}

// fault says what is wrong with the result of a signed answer; "" when nothing is.
func (f fields) fault(op gateway.Operation, req refund.Request, res refund.Result, err error) string {
	final := res.Verdict == refund.Succeeded || res.Verdict == refund.Declined || res.Verdict == refund.Absent
	switch want := f.proves(op, req); {
	case final && res.Verdict != want:
		return fmt.Sprintf("%s, and it proves %s", res.Verdict, want)
	case res.Verdict == refund.NotSent, res.Verdict != refund.Unknown && (err != nil || res.Review || res.ShowsNone):
		return fmt.Sprintf("%s, %v", short(res), err)
	case res.ShowsNone && (err != nil || op != gateway.OpInquire || f.plainText("refund_no") == req.GatewayKey && f.plainText("trade_status") == "TRADE_REFUND"):
		return "shows none, and it may be ours"
	case (res.Refunded != nil) != (res.Verdict == refund.Succeeded), res.Refunded != nil && *res.Refunded != req.Amount:
		return fmt.Sprintf("%s with %v", res.Verdict, res.Refunded)
	}
	return ""
}

// signedAs signs with the empty fields kept or skipped, and has the client judge it.
func (f fields) signedAs(c *Client, keep bool, op gateway.Operation, req refund.Request) (refund.Result, error) {
	body := f.with("sign", stampOf(f, keep)).text()
	return c.judge(op, gateway.Answer{Status: http.StatusOK, Header: http.Header{}, Body: []byte(body)}, req, c.signer.Load())
}

// flagged is the test request as two flags want it.
func flagged(othersKnown, knowsID bool) refund.Request {
	req := testRequest()
	req.OthersKnown = othersKnown
	if knowsID {
		req.GatewayRefundID = "EFT0001"
	}
	return req
}

// drawField draws a field: mostly its first value, else another, or something strange; or it is missing.
func drawField(t *rapid.T, to fields, name string, values ...any) {
	switch n := rapid.IntRange(0, 19).Draw(t, name+" choice"); {
	case n < 15:
		to[name] = values[0]
	case n < 17:
		to[name] = rapid.SampledFrom(values).Draw(t, name)
	case n < 18:
		to[name] = rapid.SampledFrom([]any{nil, "", json.Number("7"), true, []any{}, map[string]any{}, "a&b=c", " "}).Draw(t, name+" strange")
	}
}

// drawAnswer draws an answer around one that proves something.
func drawAnswer(t *rapid.T) fields {
	f := fields{}
	drawField(t, f, "return_status", rapid.SampledFrom([]any{"00", "00", "00", "77", "51"}).Draw(t, "return"), "12", "-1", "0", "99")
	drawField(t, f, "return_char", "OK", "退&款")
	if rapid.IntRange(0, 4).Draw(t, "empty") == 0 {
		return f
	}
	drawField(t, f, "out_trade_no", sale, "20190823191818", ourRefundNo)
	drawField(t, f, "refund_no", ourRefundNo, sale, sale, "R2", strings.ToLower(ourRefundNo))
	drawField(t, f, "trade_status", rapid.SampledFrom([]any{"TRADE_REFUND", "TRADE_CLOSED", "TRADE_FAIL"}).Draw(t, "trade"),
		"TRADE_PROCESSING", "APPLY_SUCCESS", "TRADE_SUCCESS", "trade_refund", "NEW")
	drawField(t, f, "trade_type", "REFUND", "SALE", "refund")
	drawField(t, f, "transaction_amount", "10.01", json.Number("10.01"), "10.010", "10.0", "1001", "1e1", "50.00", "010.01", "-10.01")
	drawField(t, f, "currency", "HKD", "CNY", "hkd")
	drawField(t, f, "refund_trade_no", "EFT0001", "EFT0002", strings.Repeat("9", 29))
	drawField(t, f, "trade_time", "2026-01-01 12:00:01", "20260101120001", "soon")
	return f
}

// Whatever eftPay signs, it is final exactly where it proves it.
func TestASignedAnswerIsFinalExactlyWhereItIsProof(t *testing.T) {
	t.Parallel()
	c := newClient(t, testConfig("https://eftpay.example/VMP"))
	for i := range 20 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				op := rapid.SampledFrom([]gateway.Operation{gateway.OpRefund, gateway.OpInquire}).Draw(rt, "operation")
				req := flagged(rapid.Bool().Draw(rt, "others known"), rapid.IntRange(0, 3).Draw(rt, "knows the number") == 0)
				f := drawAnswer(rt)
				res, err := f.signedAs(c, rapid.Bool().Draw(rt, "empty fields kept"), op, req)
				if text := f.fault(op, req, res, err); text != "" {
					rt.Fatalf("%s: %s: %s", op, text, f.text())
				}
				if want := f.proves(op, req); want != refund.Unknown && res.Verdict != want {
					rt.Fatalf("%s proves %s, and is taken as %s: %s", op, want, short(res), f.text())
				}
			})
		})
	}
}

// The same for any fields: no shape of a signed answer panics, and none is final without its proof.
func FuzzSignedAnswer(f *testing.F) {
	ok := refunded()
	for _, seed := range []fields{
		ok, ok.with("trade_status", "TRADE_FAIL"), ok.with("trade_status", "TRADE_CLOSED", "trade_type", "SALE"), ok.with("refund_no", sale),
		ok.with("transaction_amount", json.Number("10.01")), ok.with("transaction_amount", "10.010"), ok.with("currency", "CNY"),
		ok.with("return_char", nil, "refund_trade_no", ""), ok.with("x", []any{}), ok.with("a=b", "c"), failing("77"), failing("51"), failing("00"),
		{},
	} {
		for _, flags := range []uint8{0, 1, 7, 15} {
			f.Add([]byte(seed.text()), flags)
		}
	}
	f.Add([]byte("null"), uint8(0))
	c := newClient(f, testConfig("https://eftpay.example/VMP"))
	f.Fuzz(func(t *testing.T, body []byte, flags uint8) {
		dec := json.NewDecoder(strings.NewReader(string(body)))
		dec.UseNumber()
		var all fields
		if dec.Decode(&all) != nil || all == nil {
			return // nothing that could be signed
		}
		delete(all, "sign")
		op := gateway.OpRefund
		if flags&1 != 0 {
			op = gateway.OpInquire
		}
		req := flagged(flags&2 != 0, flags&4 != 0)
		res, err := all.signedAs(c, flags&8 != 0, op, req)
		if text := all.fault(op, req, res, err); text != "" {
			t.Fatalf("%s: %s: %s", op, text, all.text())
		}
	})
}

// What is written for a wallet's page is read back as the same number of minor units, for every amount there can be.
func TestEveryAmountGoesBothWays(t *testing.T) {
	t.Parallel()
	c := newClient(t, testConfig("https://eftpay.example/VMP"))
	rapid.Check(t, func(rt *rapid.T) {
		req := testRequest()
		req.Amount = schemas.Money{Minor: rapid.Int64Range(1, maxMinor).Draw(rt, "minor"), Currency: "HKD"}
		if text := c.Check(req); text != "" {
			rt.Fatalf("%s is refused: %s", req.Amount, text)
		}
		obj, err := gateway.ParseObject(c.signer.Load().body(c.refundFields(req)))
		if err != nil {
			rt.Fatal(err)
		}
		text, err := obj.Text("transaction_amount")
		if err != nil || len(text) > maxAmountText || parseAmount(text) != req.Amount.Minor || plainMinor(text) != req.Amount.Minor {
			rt.Fatalf("%s is sent as %q (%v), and read as %d", req.Amount, text, err, parseAmount(text))
		}
	})
}
