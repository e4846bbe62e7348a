package eftpay

import (
	"encoding/json"
	"math/big"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"refundworker/gateway"
	"refundworker/refund"
)

// A verified answer of any shape never panics, and is final only with its proof in it.
func FuzzVerdict(f *testing.F) {
	ok := refunded()
	for _, seed := range []fields{
		ok, ok.with("trade_status", "TRADE_CLOSED"), ok.with("trade_status", "TRADE_FAIL"), ok.with("trade_status", "TRADE_PROCESSING"),
		ok.with("refund_no", sale), ok.with("refund_no", sale, "trade_type", "SALE"), ok.with("refund_no", "R2"), ok.with("refund_no", nil),
		ok.with("trade_type", "SALE", "trade_status", "TRADE_SUCCESS"), ok.with("transaction_amount", "1e1"), ok.with("currency", "CNY"),
		failing("51"), failing("12"), failing("77"), failing("-13"), failing("00"),
		{},
	} {
		for _, flags := range []uint8{0, 3} {
			f.Add([]byte(seed.text()), flags)
		}
	}
	f.Add([]byte(fields{"return_status": "00", "out_trade_no": sale, "refund_no": ourRefundNo, "trAde_stAtus": "TRADE_REFUND"}.text()), uint8(0))
	f.Add([]byte("["), uint8(0))
	f.Add([]byte("{\"a\":\xff}"), uint8(0))
	tb := newTables([]string{"77"})
	f.Fuzz(func(t *testing.T, body []byte, flags uint8) {
		obj, err := gateway.ParseObject(body)
		if err != nil {
			return
		}
		a, err := decodeAnswer(obj)
		if err != nil {
			return
		}
		req := testRequest()
		req.OthersKnown = flags&1 != 0
		if flags&2 != 0 {
			req.GatewayRefundID = "EFT0001"
		}
		// What the answer says, read a second time and plainly.
		var said struct {
			Status string `json:"return_status"`
			Trade  string `json:"trade_status"`
			Type   string `json:"trade_type"`
			Sale   string `json:"out_trade_no"`
			No     string `json:"refund_no"`
			Amount any    `json:"transaction_amount"`
		}
		if err := json.Unmarshal(body, &said); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		named := said.No == ourRefundNo
		sloppy := said.No == sale && said.Type == "REFUND" && !req.OthersKnown
		for op, res := range map[gateway.Operation]refund.Result{gateway.OpRefund: tb.refund(a, req), gateway.OpInquire: tb.inquiry(a, req)} {
			ours := named || op == gateway.OpInquire && sloppy
			switch res.Verdict {
			case refund.Succeeded:
				if said.Status != "00" || said.Trade != "TRADE_REFUND" && said.Trade != "TRADE_CLOSED" || !ours || said.Sale != sale || a.amount != 1001 ||
					op == gateway.OpInquire && said.Type != "REFUND" || said.Type == "SALE" && said.Trade == "TRADE_CLOSED" {
					t.Fatalf("%s succeeded without proof: %s", op, body)
				}
			case refund.Declined:
				if said.Status != "00" || said.Trade != "TRADE_FAIL" || !ours || said.Type == "SALE" || said.Sale != "" && said.Sale != sale ||
					op == gateway.OpInquire && (a.amount != 1001 || said.Sale != sale) {
					t.Fatalf("%s declined without proof: %s", op, body)
				}
			case refund.Absent:
				if op != gateway.OpInquire || said.Status != "77" || said.Trade != "" || said.Amount != nil && said.Amount != "" || req.GatewayRefundID != "" {
					t.Fatalf("%s absent, though there is a record: %s", op, body)
				}
			case refund.NotSent:
				t.Fatalf("an answer proves that nothing was sent: %s", body)
			case refund.Unknown, refund.Pending:
			}
			if res.Verdict != refund.Unknown && (res.Review || res.ShowsNone) {
				t.Fatalf("%s, and review %v or shows none %v: %s", res.Verdict, res.Review, res.ShowsNone, body)
			}
			if res.ShowsNone && (op != gateway.OpInquire || named && said.Trade != "" && said.Trade != "TRADE_SUCCESS" || sloppy && a.amount == 1001 && said.Trade == "TRADE_REFUND") {
				t.Fatalf("shows none, though it may be ours: %s", body)
			}
			if res.Refunded != nil && res.Verdict != refund.Succeeded {
				t.Fatalf("money without success: %s", body)
			}
		}
	})
}

// An answer of any bytes never panics, and is not taken for eftPay's unless it holds the signature that another
// implementation of the recipe makes.
func FuzzSignature(f *testing.F) {
	empty := refunded().with("return_char", "", "refund_trade_no", nil)
	for _, seed := range []string{
		refunded().signed(), empty.signed(), empty.with("sign", stampOf(empty, true)).text(), failing("51").signed(), failing("00").text(),
		refunded().with("sign", strings.Repeat("0", 64)).text(), `{"sign":{}}`, `{"sign":""}`, `{"a=b":"c","sign":"x"}`, "", "{", "\xff",
	} {
		f.Add([]byte(seed))
	}
	c := newClient(f, testConfig("https://eftpay.example/VMP"))
	f.Fuzz(func(t *testing.T, body []byte) {
		res, err := c.judge(gateway.OpInquire, gateway.Answer{Status: http.StatusOK, Header: http.Header{}, Body: body}, testRequest(), c.signer.Load())
		if err != nil {
			if res.Verdict != refund.Unknown || res.ShowsNone || res.Review {
				t.Fatalf("%s without proof: %s", short(res), body)
			}
			return
		}
		var plain fields
		dec := json.NewDecoder(strings.NewReader(string(body)))
		dec.UseNumber()
		if err := dec.Decode(&plain); err != nil {
			t.Fatalf("verified, and no JSON: %s", body)
		}
		if plain["sign"] != stampOf(plain, false) && plain["sign"] != stampOf(plain, true) {
			t.Fatalf("verified with a wrong signature: %s", body)
		}
	})
}

// An amount is read as what it says in decimals, or not at all.
func FuzzAmount(f *testing.F) {
	for _, seed := range []string{"1", "1.0", "1.00", "10.01", "99999.99", "0.1", "1e2", "-1", "+1", ".5", "5.", "007", "1.001", "", "１"} {
		f.Add(seed)
	}
	form := regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]{1,2})?$`)
	f.Fuzz(func(t *testing.T, text string) {
		minor := parseAmount(text)
		if !form.MatchString(text) || len(text) > 8 {
			if minor != 0 {
				t.Fatalf("%q is read as %d", text, minor)
			}
			return
		}
		exact, ok := new(big.Rat).SetString(text)
		if !ok || exact.Mul(exact, big.NewRat(100, 1)).Cmp(new(big.Rat).SetInt64(minor)) != 0 {
			t.Fatalf("%q is read as %d", text, minor)
		}
		if minor > 0 && minor <= maxMinor && parseAmount(formatAmount(minor)) != minor {
			t.Fatalf("%d is written as %q", minor, formatAmount(minor))
		}
	})
}
