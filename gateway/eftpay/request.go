package eftpay

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// The limits of the refund request, https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html.
const (
	maxOutTradeNo = 28
	maxRefundNo   = 28
)

// timeForm is that of the field time, on the wall clock of UTC+8: UTC was refused (CardTrain, oapm-fields.ts).
const timeForm = "20060102150405"

// wallClock is eftPay's time zone.
func wallClock() *time.Location { return time.FixedZone("UTC+8", 8*60*60) }

// wallet is a wallet with both of its services.
type wallet struct {
	schemas.EftPayWallet
	query string
}

// newWallets indexes the contract's wallets by payment type, and adds the query service that goes with the refund's:
// https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Query.html
func newWallets() map[string]wallet {
	queries := map[string]string{
		"service.alipay.qrcode.Refund":         "service.alipay.qrcode.Query",
		"service.wechat.qrcode.Refund":         "service.wechat.qrcode.Query",
		"service.atome.v1.qrcode.Refund":       "service.atome.v1.qrcode.Query",
		"service.unionpay.qrcode.csb.Refund":   "service.unionpay.qrcode.csb.Query",
		"api.service.gbpay.qrcode.cash.Refund": "api.service.gbpay.qrcode.cash.Query",
		"service.payme.qrcode.Refund":          "service.payme.qrcode.Query",
	}
	byType := make(map[string]wallet)
	for _, w := range schemas.EftPayWallets() {
		byType[w.PaymentType] = wallet{EftPayWallet: w, query: queries[w.Service]}
	}
	return byType
}

// Key is eftPay's refund_no for a request ID: "R" and the first 27 characters of the base32 text of its SHA-256, in
// capitals. It depends on the request ID alone, so no attempt, account or build can come to another number; 135 bits
// make two equal ones impossible in practice. refund_no takes 28 characters
// (https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html); no rule names which, so there are only
// letters and digits.
func Key(requestID string) string {
	sum := sha256.Sum256([]byte(requestID))
	return "R" + base32.StdEncoding.EncodeToString(sum[:])[:maxRefundNo-1]
}

// Check returns what breaks a documented limit of the refund request or the account's, and "" where nothing does.
// https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html
func (c *Client) Check(req refund.Request) string {
	if text := checkAddress(req); text != "" {
		return text
	}
	switch {
	case req.Amount.Minor < 1 || req.Amount.Minor > maxMinor:
		return fmt.Sprintf("amount: is not 1 to %d minor units", maxMinor)
	case req.Amount.Currency != c.currency:
		return fmt.Sprintf("amount: currency is not %s, the account's only one", c.currency)
	}
	return ""
}

// checkAddress is the part of Check that says which refund is meant. A query needs no more.
func checkAddress(req refund.Request) string {
	switch {
	case req.EftPay == nil:
		return "eftpay: is missing; eftPay needs the wallet of the sale"
	case req.EftPay.Conflict() != "":
		return req.EftPay.Conflict()
	case !isBuyerType(req.EftPay.BuyerType):
		return "eftpay.buyerType: is not ios, android or others"
	case !isRefundNo(req.GatewayKey):
		return fmt.Sprintf("requestId: its refund_no is not 1 to %d letters and digits", maxRefundNo)
	case !isOutTradeNo(req.PaymentID):
		return fmt.Sprintf("paymentId: is not 1 to %d printable characters without spaces and without &", maxOutTradeNo)
	}
	return ""
}

// isBuyerType accepts the page's three values, and none for others.
func isBuyerType(s string) bool {
	return s == "" || s == schemas.BuyerTypeOthers || s == "ios" || s == "android"
}

func isRefundNo(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != "" && len(s) <= maxRefundNo
}

// isOutTradeNo refuses the & as well: the signed text has no escapes, so an answer that repeats such a number could be
// read in two ways, and would never be proof.
func isOutTradeNo(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '&' {
			return false
		}
	}
	return s != "" && len(s) <= maxOutTradeNo
}

// refundFields are the fields of a refund. They are the same for the same request but for time, the moment of the
// claim: a write that was held up so long that another worker may have taken over carries an old time, and fails
// eftPay's own check of the clock ("12").
//
// paytype is documented with 6 characters, and "UnionPay" beside it has 8; it is sent as the table of services has it.
func (c *Client) refundFields(req refund.Request) []field {
	w := c.wallets[req.EftPay.PaymentType]
	return append(c.address(req, w), field{"service", w.Service},
		field{"time", stamp(req.ClaimedAt)}, field{fieldAmount, formatAmount(req.Amount.Minor)})
}

// queryFields are the fields of a query. querytype is fixed; "with refund_no, the state of that refund"
// (https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Query.html).
//
// time is now, and not the claim's: a query moves nothing, so nothing has to go stale with the claim; the one that
// confirms a refund is written long after it; and one that a person asks for has no claim.
func (c *Client) queryFields(req refund.Request, now time.Time) []field {
	w := c.wallets[req.EftPay.PaymentType]
	return append(c.address(req, w), field{"querytype", "OUT_TRADE"},
		field{"service", w.query}, field{"time", stamp(now)})
}

// address are the fields of both operations, of a request that checkAddress has passed: service and pay type follow from
// the payment type. The names are those of the page's table, user_confirm_key too, which its
// sample spells differently.
func (c *Client) address(req refund.Request, w wallet) []field {
	buyerType := req.EftPay.BuyerType
	if buyerType == "" {
		buyerType = schemas.BuyerTypeOthers
	}
	return []field{
		{"buyertype", buyerType},
		{"out_trade_no", req.PaymentID},
		{"payment_type", w.PaymentType},
		{"paytype", w.PayType},
		{"refund_no", req.GatewayKey},
		{"user_confirm_key", c.userConfirmKey},
	}
}

func stamp(t time.Time) string { return t.In(wallClock()).Format(timeForm) }

// body signs fields and writes them as one compact JSON object of strings, sign at its end. None of them is empty:
// whether an empty field is signed is contested. They are printable ASCII, so only quotes and backslashes need escapes.
func (s *signer) body(fields []field) []byte {
	fields = append(fields, field{signField, s.sign(fields)})
	b := append(make([]byte, 0, usualText), '{')
	for i, f := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), f.name...), `":"`...)
		for _, c := range []byte(f.value) {
			if c == '"' || c == '\\' {
				b = append(b, '\\')
			}
			b = append(b, c)
		}
		b = append(b, '"')
	}
	return append(b, '}')
}
