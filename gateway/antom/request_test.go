package antom

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refundworker/refund"
	"refundworker/schemas"
)

// These bytes are frozen: a resend that differs from what an earlier build sent is another request to Antom.
func TestTheSameRequestGivesTheSameBytesForEver(t *testing.T) {
	t.Parallel()
	full := testRequest()
	full.ReferenceRefundID = "shop-778"
	full.Reason = "item \"returned\" <b>&\\ 退款\u2028 \n\t\x01\x7f\b\f/😀"
	broken := testRequest()
	broken.Reason = "a\xffb"
	for _, tc := range []struct {
		name string
		body []byte
		want string
	}{
		{
			"only what is required", refundBody(testRequest()),
			`{"paymentId":"20260101194010800100188000000000001","refundAmount":{"currency":"HKD","value":"1001"},"refundRequestId":"rf_0001"}`,
		},
		{
			"everything", refundBody(full),
			`{"paymentId":"20260101194010800100188000000000001","referenceRefundId":"shop-778","refundAmount":{"currency":"HKD","value":"1001"},` +
				`"refundReason":"item \"returned\" <b>&\\ 退款` + "\u2028" + ` \u000a\u0009\u0001` + "\x7f" + `\u0008\u000c/😀","refundRequestId":"rf_0001"}`,
		},
		{
			"invalid UTF-8", refundBody(broken),
			`{"paymentId":"20260101194010800100188000000000001","refundAmount":{"currency":"HKD","value":"1001"},"refundReason":"a` + "\uFFFD" + `b","refundRequestId":"rf_0001"}`,
		},
		{"inquiry by our ID", inquiryBody(testRequest()), `{"refundRequestId":"rf_0001"}`},
		{"inquiry by Antom's ID", inquiryBody(refund.Request{GatewayKey: "rf_0001", GatewayRefundID: "2026"}), `{"refundId":"2026"}`},
	} {
		if diff := cmp.Diff(tc.want, string(tc.body)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		if !json.Valid(tc.body) {
			t.Errorf("%s: not JSON", tc.name)
		}
	}
	var back struct {
		RefundReason string `json:"refundReason"`
	}
	if err := json.Unmarshal(refundBody(full), &back); err != nil || back.RefundReason != full.Reason {
		t.Errorf("the reason comes back as %q (%v)", back.RefundReason, err)
	}
	other := full
	other.RequestID, other.GatewayRefundID, other.EftPay = "x", "y", &schemas.EftPayFields{PaymentType: "z"}
	if string(refundBody(other)) != string(refundBody(full)) {
		t.Error("the body depends on fields that do not reach Antom")
	}
}

func TestKeyIsTheRequestID(t *testing.T) {
	t.Parallel()
	if got := Key("rf_20261121_000042"); got != "rf_20261121_000042" {
		t.Errorf("Key = %q", got)
	}
}

func TestCheckNamesTheFieldThatBreaksALimit(t *testing.T) {
	t.Parallel()
	c := &Client{}
	for _, tc := range []struct {
		name   string
		change func(r *refund.Request)
		want   string
	}{
		{"fine", func(*refund.Request) {}, ""},
		{"longest of everything", func(r *refund.Request) {
			r.GatewayKey, r.PaymentID = strings.Repeat("k", 64), strings.Repeat("p", 64)
			r.ReferenceRefundID, r.Reason = strings.Repeat("r", 64), strings.Repeat("退", 256)
			r.Amount.Minor = 1
		}, ""},
		{"no request ID", func(r *refund.Request) { r.GatewayKey = "" }, "requestId"},
		{"long request ID", func(r *refund.Request) { r.GatewayKey = strings.Repeat("k", 65) }, "requestId"},
		{"request ID with a dot", func(r *refund.Request) { r.GatewayKey = "a.b" }, "requestId"},
		{"request ID beyond ASCII", func(r *refund.Request) { r.GatewayKey = "é" }, "requestId"},
		{"no payment ID", func(r *refund.Request) { r.PaymentID = "" }, "paymentId"},
		{"long payment ID", func(r *refund.Request) { r.PaymentID = strings.Repeat("p", 65) }, "paymentId"},
		{"long reference", func(r *refund.Request) { r.ReferenceRefundID = strings.Repeat("r", 65) }, "referenceRefundId"},
		{"long reason", func(r *refund.Request) { r.Reason = strings.Repeat("退", 257) }, "reason"},
		{"reason that is not UTF-8", func(r *refund.Request) { r.Reason = "\xff" }, "reason"},
		{"nothing to refund", func(r *refund.Request) { r.Amount.Minor = 0 }, "amount"},
		{"negative amount", func(r *refund.Request) { r.Amount.Minor = -1 }, "amount"},
		{"small letters", func(r *refund.Request) { r.Amount.Currency = "hkd" }, "amount"},
		{"two letters", func(r *refund.Request) { r.Amount.Currency = "HK" }, "amount"},
		{"whole rupiah", func(r *refund.Request) { r.Amount = schemas.Money{Minor: 100, Currency: "IDR"} }, ""},
		{"part of a rupiah", func(r *refund.Request) { r.Amount = schemas.Money{Minor: 110, Currency: "IDR"} }, "amount"},
	} {
		req := testRequest()
		tc.change(&req)
		got := c.Check(req)
		if tc.want == "" && got != "" || tc.want != "" && !strings.HasPrefix(got, tc.want+":") {
			t.Errorf("%s: %q, want something about %q", tc.name, got, tc.want)
		}
	}
}
