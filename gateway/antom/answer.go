package antom

import (
	"encoding/json"
	"errors"
	"time"

	"refundworker/gateway"
	"refundworker/refund"
	"refundworker/schemas"
)

// The limits of an answer's texts, https://docs.antom.com/ac/ams_zh-cn/refund. Longer ones are cut.
const (
	maxCode     = 64
	maxMessage  = 256
	maxRefundID = 64
)

// The values of result.resultStatus, https://docs.antom.com/ac/ams_zh-cn/refund.
const (
	statusSuccess = "S"
	statusFailed  = "F"
	statusUnknown = "U"
)

// The values of refundStatus, https://docs.antom.com/ac/ams/ir. The omnichannel product has other words (SUCCESS,
// FAILED, PENDING: https://docs.antom.com/ac/omnichannel/inquiryRefund); they are not taken for these.
const (
	refundSuccess    = "SUCCESS"
	refundProcessing = "PROCESSING"
	refundFail       = "FAIL"
)

// answer is a verified answer of either operation, decoded. An empty text is a field that is missing, null or empty.
type answer struct {
	// status, code and message are the result: S, F or U, and for an inquiry only whether the query worked.
	status, code, message                string
	refundRequestID, refundID, paymentID string
	// hasAmount: refundAmount is there; amount is nil if it is no positive whole number with a currency.
	hasAmount bool
	amount    *schemas.Money
	// refundTime is the moment of the final state; zero when missing or unreadable.
	refundTime time.Time
	// refundStatus is of an inquiry: SUCCESS, PROCESSING or FAIL.
	refundStatus string
	settlement   *schemas.Settlement
}

// decodeAnswer reads the fields of https://docs.antom.com/ac/ams_zh-cn/refund and https://docs.antom.com/ac/ams/ir.
// Unknown fields and any order are fine. A field of the wrong type is an error, except in the settlement, which proves
// nothing and is left out where it cannot be read.
func decodeAnswer(body []byte) (answer, error) {
	obj, err := gateway.ParseObject(body)
	if err != nil {
		return answer{}, err
	}
	result, err := obj.Object("result")
	if err != nil {
		return answer{}, err
	}
	if result == nil {
		return answer{}, errors.New("result is missing")
	}
	var a answer
	var refundTime string
	for _, f := range []struct {
		in   gateway.Object
		name string
		to   *string
	}{
		{result, "resultStatus", &a.status},
		{result, "resultCode", &a.code},
		{result, "resultMessage", &a.message},
		{obj, "refundRequestId", &a.refundRequestID},
		{obj, "refundId", &a.refundID},
		{obj, "paymentId", &a.paymentID},
		{obj, "refundStatus", &a.refundStatus},
		{obj, "refundTime", &refundTime},
	} {
		if *f.to, err = f.in.Text(f.name); err != nil {
			return answer{}, err
		}
	}
	if a.status != statusSuccess && a.status != statusFailed && a.status != statusUnknown {
		return answer{}, errors.New("resultStatus is not S, F or U")
	}
	amount, err := obj.Object("refundAmount")
	if err != nil {
		return answer{}, err
	}
	a.hasAmount = amount != nil
	a.amount = money(amount)
	a.refundTime = moment(refundTime)
	a.settlement = settlement(obj)
	return a, nil
}

// money reads an Amount: an ISO 4217 currency and a whole number of its smallest unit, as a string
// (https://docs.antom.com/ac/ams_zh-cn/refund). nil for anything else.
func money(o gateway.Object) *schemas.Money {
	currency, _ := o["currency"].(string)
	value, _ := o["value"].(string)
	minor, err := schemas.ParseMinor(value)
	if err != nil || !isCurrency(currency) {
		return nil
	}
	return &schemas.Money{Minor: minor, Currency: currency}
}

// moment reads ISO 8601 with an offset, with or without a colon in it; the zero time for anything else.
func moment(s string) time.Time {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// settlement reads grossSettlementAmount, whose currency may differ from the refund's, and settlementQuote
// (https://docs.antom.com/ac/ams_zh-cn/refund). Pair and price stay the gateway's text. The price may be a JSON number,
// as in Quote.quotePrice of the Java SDK; its digits are kept as they are written.
func settlement(obj gateway.Object) *schemas.Settlement {
	var s schemas.Settlement
	if amount, ok := obj["grossSettlementAmount"].(gateway.Object); ok {
		s.Amount = money(amount)
	}
	if quote, ok := obj["settlementQuote"].(gateway.Object); ok {
		pair, _ := quote["quoteCurrencyPair"].(string)
		id, _ := quote["quoteId"].(string)
		var price string
		switch v := quote["quotePrice"].(type) {
		case string:
			price = v
		case json.Number:
			price = v.String()
		}
		if pair != "" && price != "" {
			s.Quote = &schemas.Quote{CurrencyPair: gateway.Clip(pair, maxCode), Price: gateway.Clip(price, maxCode), ID: gateway.Clip(id, maxCode)}
		}
	}
	if s.Amount == nil && s.Quote == nil {
		return nil
	}
	return &s
}

// contradiction names the first field that is there and speaks of something other than the request; "" when there is
// none. refundId is one-to-one with refundRequestId (https://docs.antom.com/ac/ams_zh-cn/refund), so a known one has
// to stay the same.
func (a answer) contradiction(req refund.Request) string {
	switch {
	case a.refundRequestID != "" && a.refundRequestID != req.GatewayKey:
		return "refundRequestId"
	case a.paymentID != "" && a.paymentID != req.PaymentID:
		return "paymentId"
	case a.refundID != "" && req.GatewayRefundID != "" && a.refundID != req.GatewayRefundID:
		return "refundId"
	case a.hasAmount && (a.amount == nil || *a.amount != req.Amount):
		return "refundAmount"
	}
	return ""
}

// isAbout says that the answer names the refund and its amount, which a success has to. Without a contradiction both
// are the request's.
func (a answer) isAbout() bool { return a.refundRequestID != "" && a.hasAmount }

// result begins a Result with the gateway's own words.
func (a answer) result() refund.Result {
	return refund.Result{RawCode: gateway.Clip(a.code, maxCode), RawMessage: gateway.Clip(a.message, maxMessage)}
}

// accepted adds the ID of a refund that Antom has taken. Of a refund that was refused it is not passed on: an inquiry
// by it could not be told from one about a refund that vanished.
func (a answer) accepted(res refund.Result) refund.Result {
	if isText(a.refundID, maxRefundID) {
		res.RefundID = a.refundID
	}
	return res
}

// done adds what an answer says about money that has moved.
func (a answer) done(res refund.Result) refund.Result {
	res.Verdict, res.Code = refund.Succeeded, schemas.CodeRefunded
	res.Refunded, res.RefundTime, res.Settlement = a.amount, a.refundTime, a.settlement
	return res
}
