package eftpay

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"refundworker/refund"
	"refundworker/schemas"
)

// The numbers are frozen: a build that came to others would ask for refunds a second time. They were made with
// sha256sum and base32.
func TestKeyIsTheSameForEver(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"rf_0001":            ourRefundNo,
		"rf_20261121_000042": "RZ3CAF7R2XCK3XR4BYBO6ELUFCOM",
		"a":                  "RZKLYCEWKDO64V6WCGGZZUI64JWT",
	} {
		got := Key(id)
		if got != want {
			t.Errorf("Key(%q) = %q, want %q", id, got, want)
		}
		if len(got) != 28 || !isRefundNo(got) {
			t.Errorf("Key(%q) = %q is no refund_no", id, got)
		}
	}
	if Key("rf_0001") == Key("rf_0002") || Key("A") == Key("a") || Key(ourRefundNo) == ourRefundNo {
		t.Error("two request IDs have one number")
	}
}

func TestARequestIsTheDocumentedBody(t *testing.T) {
	t.Parallel()
	c := newClient(t, testConfig("https://eftpay.example/VMP"))
	want := `{"buyertype":"others","out_trade_no":"20190823191819","payment_type":"ALIPAYHK","paytype":"Alipay",` +
		`"refund_no":"` + ourRefundNo + `","service":"service.alipay.qrcode.Refund","time":"20260101040000",` +
		`"transaction_amount":"10.01","user_confirm_key":"S0003469","sign":"SIGN"}`
	sign := regexp.MustCompile(`"sign":"[0-9a-f]{64}"`)
	body := c.signer.Load().body(c.refundFields(testRequest()))
	if diff := cmp.Diff(want, sign.ReplaceAllString(string(body), `"sign":"SIGN"`)); diff != "" {
		t.Errorf("refund (-want +got):\n%s", diff)
	}
	var back fields
	if err := json.Unmarshal(body, &back); err != nil || back["sign"] != stampOf(back, true) {
		t.Errorf("sign %v, want %s (%v)", back["sign"], stampOf(back, true), err)
	}

	want = `{"buyertype":"ios","out_trade_no":"20190823191819","payment_type":"UNIONPAY","paytype":"UnionPay","querytype":"OUT_TRADE",` +
		`"refund_no":"` + ourRefundNo + `","service":"service.unionpay.qrcode.csb.Query","time":"20260228235959",` +
		`"user_confirm_key":"S0003469","sign":"SIGN"}`
	req := testRequest()
	req.EftPay = &schemas.EftPayFields{PaymentType: "UNIONPAY", BuyerType: "ios"}
	body = c.signer.Load().body(c.queryFields(req, time.Date(2026, 2, 28, 15, 59, 59, 0, time.UTC)))
	if diff := cmp.Diff(want, sign.ReplaceAllString(string(body), `"sign":"SIGN"`)); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
}

// All of a refund but its time is frozen, and its time is the claim's.
func TestARefundDependsOnNothingButItsRequest(t *testing.T) {
	t.Parallel()
	c := newClient(t, testConfig("https://eftpay.example/VMP"))
	first := c.signer.Load().body(c.refundFields(testRequest()))
	other := testRequest()
	other.ClaimedAt = other.ClaimedAt.In(time.FixedZone("", -3600))
	other.RequestID, other.Reason, other.ReferenceRefundID, other.GatewayRefundID, other.OthersKnown = "x", "x", "x", "x", true
	other.EftPay = &schemas.EftPayFields{PaymentType: "ALIPAYHK", Service: "service.alipay.qrcode.Refund", PayType: "Alipay", BuyerType: "others"}
	if diff := cmp.Diff(string(first), string(c.signer.Load().body(c.refundFields(other)))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	other.ClaimedAt = other.ClaimedAt.Add(time.Minute)
	if later := string(c.signer.Load().body(c.refundFields(other))); !strings.Contains(later, `"time":"20260101040100"`) {
		t.Errorf("the time is not the claim's: %s", later)
	}
}

func TestAValueWithQuotesStaysOneString(t *testing.T) {
	t.Parallel()
	c := newClient(t, testConfig("https://eftpay.example/VMP"))
	req := testRequest()
	req.PaymentID = `a"b\c<d>'e/`
	var back map[string]string
	if err := json.Unmarshal(c.signer.Load().body(c.refundFields(req)), &back); err != nil || back["out_trade_no"] != req.PaymentID {
		t.Errorf("%q, %v", back["out_trade_no"], err)
	}
}

// The table is typed a second time: wallet, refund service, pay type, query service.
func TestEveryWalletGoesToItsServices(t *testing.T) {
	t.Parallel()
	c := newClient(t, testConfig("https://eftpay.example/VMP"))
	want := map[string][3]string{
		"ALIPAYCN":   {"service.alipay.qrcode.Refund", "Alipay", "service.alipay.qrcode.Query"},
		"ALIPAYHK":   {"service.alipay.qrcode.Refund", "Alipay", "service.alipay.qrcode.Query"},
		"ALIPAYBOTH": {"service.alipay.qrcode.Refund", "Alipay", "service.alipay.qrcode.Query"},
		"WECHATCN":   {"service.wechat.qrcode.Refund", "WeChat", "service.wechat.qrcode.Query"},
		"WECHATHK":   {"service.wechat.qrcode.Refund", "WeChat", "service.wechat.qrcode.Query"},
		"ATOME":      {"service.atome.v1.qrcode.Refund", "ATOME", "service.atome.v1.qrcode.Query"},
		"UNIONPAY":   {"service.unionpay.qrcode.csb.Refund", "UnionPay", "service.unionpay.qrcode.csb.Query"},
		"GBPAY":      {"api.service.gbpay.qrcode.cash.Refund", "GBPAY", "api.service.gbpay.qrcode.cash.Query"},
		"PAYME":      {"service.payme.qrcode.Refund", "PAYME", "service.payme.qrcode.Query"},
	}
	got := make(map[string][3]string)
	for _, w := range schemas.EftPayWallets() {
		req := testRequest()
		req.EftPay = &schemas.EftPayFields{PaymentType: w.PaymentType}
		if text := c.Check(req); text != "" {
			t.Errorf("%s: %s", w.PaymentType, text)
		}
		find := func(list []field, name string) string {
			for _, f := range list {
				if f.name == name {
					return f.value
				}
			}
			return ""
		}
		sent, asked := c.refundFields(req), c.queryFields(req, time.Now())
		got[find(sent, "payment_type")] = [3]string{find(sent, "service"), find(asked, "paytype"), find(asked, "service")}
		for _, f := range append(sent, asked...) {
			if f.value == "" {
				t.Errorf("%s: %s is empty", w.PaymentType, f.name)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCheckNamesTheFieldThatBreaksALimit(t *testing.T) {
	t.Parallel()
	c := newClient(t, testConfig("https://eftpay.example/VMP"))
	eft := func(f schemas.EftPayFields) func(r *refund.Request) { return func(r *refund.Request) { r.EftPay = &f } }
	for _, tc := range []struct {
		name    string
		change  func(r *refund.Request)
		want    string
		address bool
	}{
		{"fine", func(*refund.Request) {}, "", false},
		{"largest of everything", func(r *refund.Request) {
			r.PaymentID, r.Amount.Minor = strings.Repeat("~", 28), 9999999
		}, "", false},
		{"smallest of everything", func(r *refund.Request) { r.PaymentID, r.GatewayKey, r.Amount.Minor = "!", "R", 1 }, "", false},
		{"everything spelt out", eft(schemas.EftPayFields{
			Service: "service.alipay.qrcode.Refund", PayType: "Alipay", PaymentType: "ALIPAYHK", BuyerType: "android",
		}), "", false},
		{"no fields of eftPay", func(r *refund.Request) { r.EftPay = nil }, "eftpay", true},
		{"another wallet", eft(schemas.EftPayFields{PaymentType: "FPS"}), "eftpay.paymentType", true},
		{"another service", eft(schemas.EftPayFields{PaymentType: "ALIPAYHK", Service: "service.wechat.qrcode.Refund"}), "eftpay.service", true},
		{"another pay type", eft(schemas.EftPayFields{PaymentType: "ALIPAYHK", PayType: "WeChat"}), "eftpay.payType", true},
		{"another buyer type", eft(schemas.EftPayFields{PaymentType: "ALIPAYHK", BuyerType: "tv"}), "eftpay.buyerType", true},
		{"no refund number", func(r *refund.Request) { r.GatewayKey = "" }, "requestId", true},
		{"long refund number", func(r *refund.Request) { r.GatewayKey += "X" }, "requestId", true},
		{"refund number with a dash", func(r *refund.Request) { r.GatewayKey = "R-1" }, "requestId", true},
		{"no payment ID", func(r *refund.Request) { r.PaymentID = "" }, "paymentId", true},
		{"long payment ID", func(r *refund.Request) { r.PaymentID = strings.Repeat("1", 29) }, "paymentId", true},
		{"payment ID with a space", func(r *refund.Request) { r.PaymentID = "1 2" }, "paymentId", true},
		{"payment ID beyond ASCII", func(r *refund.Request) { r.PaymentID = "é" }, "paymentId", true},
		{"payment ID that could be cut", func(r *refund.Request) { r.PaymentID = "1&b=2" }, "paymentId", true},
		{"nothing to refund", func(r *refund.Request) { r.Amount.Minor = 0 }, "amount", false},
		{"negative amount", func(r *refund.Request) { r.Amount.Minor = -1 }, "amount", false},
		{"an amount of nine characters", func(r *refund.Request) { r.Amount.Minor = 10000000 }, "amount", false},
		{"another currency", func(r *refund.Request) { r.Amount.Currency = "CNY" }, "amount", false},
		{"no currency", func(r *refund.Request) { r.Amount.Currency = "" }, "amount", false},
	} {
		req := testRequest()
		tc.change(&req)
		got := c.Check(req)
		if tc.want == "" && got != "" || tc.want != "" && !strings.HasPrefix(got, tc.want+":") && !strings.HasPrefix(got, tc.want+" ") {
			t.Errorf("%s: %q, want something about %q", tc.name, got, tc.want)
		}
		if blocked := checkAddress(req) != ""; blocked != tc.address {
			t.Errorf("%s: a query of it is refused: %v", tc.name, blocked)
		}
	}
}
