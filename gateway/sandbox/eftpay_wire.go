package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Values of return_status that are attested. 00 says that the request was taken, and nothing of the trade.
const (
	returnOK      = "00"
	returnClock   = "12"
	returnChannel = "51"
	returnService = "-13"
)

// Values of trade_status.
const (
	tradeProcessing = "TRADE_PROCESSING"
	tradeSuccess    = "TRADE_SUCCESS"
	tradeRefund     = "TRADE_REFUND"
	tradeClosed     = "TRADE_CLOSED"
	tradeFail       = "TRADE_FAIL"
)

// Values of trade_type.
const (
	typeSale   = "SALE"
	typeRefund = "REFUND"
)

// Field names that are used in more than one place.
const (
	vmpStatus     = "return_status"
	vmpChar       = "return_char"
	vmpTime       = "time"
	vmpSign       = "sign"
	vmpKey        = "user_confirm_key"
	vmpOutTradeNo = "out_trade_no"
	vmpRefundNo   = "refund_no"
	vmpTradeNo    = "refund_trade_no"
	vmpTradeType  = "trade_type"
	vmpTradeTime  = "trade_time"
	vmpAmount     = "transaction_amount"
	vmpOriginal   = "original_amount"
	vmpCurrency   = "currency"
)

// Limits of the fields, in characters.
const (
	maxKey         = 12
	maxNumber      = 28
	maxAmount      = 8
	maxTradeStatus = 32
	maxReturnChar  = 100
)

const (
	stampLayout = "20060102150405"
	tradeLayout = "2006-01-02 15:04:05"
)

// inHongKong is the wall clock that eftPay's times are in.
func inHongKong(t time.Time) time.Time { return t.In(time.FixedZone("UTC+8", 8*60*60)) }

// vmpService is a wallet family of the qrcode scene, with its two services:
// https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html and …/Query.html
type vmpService struct {
	refund, query, payType string
	wallets                []string
}

func vmpServices() []vmpService {
	family := func(name, payType string, wallets ...string) vmpService {
		return vmpService{name + ".Refund", name + ".Query", payType, wallets}
	}
	return []vmpService{
		family("service.alipay.qrcode", "Alipay", "ALIPAYCN", "ALIPAYHK", "ALIPAYBOTH"),
		family("service.wechat.qrcode", "WeChat", "WECHATCN", "WECHATHK"),
		family("service.atome.v1.qrcode", "ATOME", "ATOME"),
		family("service.unionpay.qrcode.csb", "UnionPay", "UNIONPAY"),
		family("api.service.gbpay.qrcode.cash", "GBPAY", "GBPAY"),
		family("service.payme.qrcode", "PAYME", "PAYME"),
	}
}

func isWallet(name string) bool {
	return slices.ContainsFunc(vmpServices(), func(s vmpService) bool { return slices.Contains(s.wallets, name) })
}

// operationOf is AnyOperation for a service that is not known. matches says whether paytype and payment_type go with it.
func operationOf(req vmpRequest) (op Operation, matches bool) {
	for _, s := range vmpServices() {
		matches = req.payType == s.payType && slices.Contains(s.wallets, req.wallet)
		switch req.service {
		case s.refund:
			return Refund, matches
		case s.query:
			return Inquiry, matches
		}
	}
	return AnyOperation, false
}

// vmpRequest is the union of both operations' requests, as texts.
type vmpRequest struct {
	service, key, payType, wallet, buyerType, time, sign string
	outTradeNo, refundNo, amount, queryType              string
	// fields is the whole object, for the signature.
	fields map[string]json.RawMessage
}

func parseVMP(body []byte) (vmpRequest, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return vmpRequest{}, fmt.Errorf("read request: %w", err)
	}
	text := func(name string) string { return textOf(fields[name]) }
	return vmpRequest{
		service: text("service"), key: text(vmpKey), payType: text("paytype"), wallet: text("payment_type"),
		buyerType: text("buyertype"), time: text(vmpTime), sign: text(vmpSign),
		outTradeNo: text(vmpOutTradeNo), refundNo: text(vmpRefundNo), amount: text(vmpAmount), queryType: text("querytype"),
		fields: fields,
	}, nil
}

// textOf is the value as it is signed: a string's content, nothing for null, and the JSON text of anything else.
func textOf(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

// hasRightFields applies the page's limits to what both operations have. The pages do not say which fields are
// required; every client sends all of them.
func (r vmpRequest) hasRightFields() bool {
	return r.outTradeNo != "" && len(r.outTradeNo) <= maxNumber && len(r.refundNo) <= maxNumber &&
		(r.buyerType == "ios" || r.buyerType == "android" || r.buyerType == "others")
}

// isReturnStatus says whether the text can stand in return_status: up to three characters of a whole number.
func isReturnStatus(code string) bool {
	_, err := strconv.Atoi(code)
	return err == nil && len(code) <= 3 && code[0] != '+'
}

// isSigned is the page's rule: time and sign come only with a return_status of 00 and above.
func isSigned(code string) bool { return code != "" && code[0] != '-' }

// parseMajor reads an amount as the request has it, such as 10.01, in minor units: at least 0.01, two decimals at most,
// eight characters at most, no sign and no exponent.
func parseMajor(text string) (int64, error) {
	whole, fraction, dotted := strings.Cut(text, ".")
	if len(text) > maxAmount || whole == "" || len(fraction) > 2 || dotted && fraction == "" ||
		strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, fmt.Errorf("%q: %w", text, errAmount)
	}
	minor, err := strconv.ParseInt(whole+(fraction + "00")[:2], 10, 64)
	if err != nil || minor < 1 {
		return 0, fmt.Errorf("%q: %w", text, errAmount)
	}
	return minor, nil
}

func majorText(minor int64) string { return fmt.Sprintf("%d.%02d", minor/100, minor%100) }

// editText changes a text field, where there is one with something in it.
func (o object) editText(name string, edit func(string) string) object {
	for _, f := range o {
		if f.name == name && textOf(f.value) != "" {
			return o.with(name, edit(textOf(f.value)))
		}
	}
	return o
}

func (o object) text(name string) string {
	for _, f := range o {
		if f.name == name {
			return textOf(f.value)
		}
	}
	return ""
}

func (o object) vmpExtras() object {
	return o.with("future_field", "new").with("Another_field", "")
}

// vmpSloppy makes a refund and its sale look alike: the number is put in where a sale has none.
func (o object) vmpSloppy() object {
	if !o.has(vmpOutTradeNo) {
		return o
	}
	return o.with(vmpRefundNo, o.text(vmpOutTradeNo)).
		editText(vmpTradeType, func(string) string { return typeSale }).
		editText(vmpTradeTime, func(at string) string { return strings.NewReplacer("-", "", " ", "", ":", "").Replace(at) })
}

func (o object) vmpUnpadded() object {
	trim := func(amount string) string { return strings.TrimSuffix(strings.TrimRight(amount, "0"), ".") }
	return o.editText(vmpAmount, trim).editText(vmpOriginal, trim)
}

func (o object) vmpOtherAmount() object {
	return o.editText(vmpAmount, func(amount string) string { return "1" + amount })
}

func (o object) vmpOtherCurrency() object {
	return o.editText(vmpCurrency, func(currency string) string {
		if currency == "EUR" {
			return "USD"
		}
		return "EUR"
	})
}
