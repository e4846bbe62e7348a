package sandbox

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// The result statuses: success, failed, unknown.
const (
	statusS = "S"
	statusF = "F"
	statusU = "U"
)

// Result codes of refund, https://docs.antom.com/ac/ams/refund, and those that other pages of the vendor name.
const (
	codeSuccess               = "SUCCESS"
	codeAccessDenied          = "ACCESS_DENIED"
	codeClientInvalid         = "CLIENT_INVALID"
	codeCurrencyNotSupport    = "CURRENCY_NOT_SUPPORT"
	codeMediaType             = "MEDIA_TYPE_NOT_ACCEPTABLE"
	codeMethodNotSupported    = "METHOD_NOT_SUPPORTED"
	codeMultipleRefunds       = "MULTIPLE_REFUNDS_NOT_SUPPORTED"
	codeBalanceNotEnough      = "MERCHANT_BALANCE_NOT_ENOUGH"
	codeOrderCanceled         = "ORDER_IS_CANCELED"
	codeOrderNotExist         = "ORDER_NOT_EXIST"
	codeOrderStatusInvalid    = "ORDER_STATUS_INVALID"
	codeRefundAmountExceed    = "REFUND_AMOUNT_EXCEED"
	codeRefundWindowExceed    = "REFUND_WINDOW_EXCEED"
	codeRepeatReqInconsistent = "REPEAT_REQ_INCONSISTENT"
	codePartialRefund         = "PARTIAL_REFUND_NOT_SUPPORTED"
	codeRefundInProcess       = "REFUND_IN_PROCESS"
	codeUnknownException      = "UNKNOWN_EXCEPTION"
	codeTrafficLimit          = "REQUEST_TRAFFIC_EXCEED_LIMIT"
	codeParamIllegal          = "PARAM_ILLEGAL"
	codeInvalidSignature      = "INVALID_SIGNATURE"
	codeNoInterface           = "NO_INTERFACE_DEF"
	codeRefundNotExist        = "REFUND_NOT_EXIST"
)

// Field names that are used in more than one place.
const (
	fieldRequestID    = "refundRequestId"
	fieldRefundID     = "refundId"
	fieldPaymentID    = "paymentId"
	fieldRefundAmount = "refundAmount"
	fieldRefundStatus = "refundStatus"
	fieldRefundTime   = "refundTime"
)

// isoLayout is ISO 8601 with offset, as all dates of the gateway's answers.
const isoLayout = "2006-01-02T15:04:05-07:00"

// Limits of the request's fields, in characters.
const (
	maxID     = 64
	maxReason = 256
	maxURL    = 1024
)

// result is the result object of an answer; the message follows from the code.
type result struct{ status, code string }

type wireResult struct {
	ResultCode    string `json:"resultCode"`
	ResultStatus  string `json:"resultStatus"`
	ResultMessage string `json:"resultMessage"`
}

// wireAmount is an amount as the gateway writes it: digits of minor units in a string.
type wireAmount struct {
	Currency string `json:"currency"`
	Value    string `json:"value"`
}

// wireRequest is the union of both operations' requests. Every value is a JSON string; a number is PARAM_ILLEGAL.
type wireRequest struct {
	RefundRequestID   string      `json:"refundRequestId"`
	RefundID          string      `json:"refundId"`
	PaymentID         string      `json:"paymentId"`
	ReferenceRefundID string      `json:"referenceRefundId"`
	RefundAmount      *wireAmount `json:"refundAmount"`
	RefundReason      string      `json:"refundReason"`
	RefundNotifyURL   string      `json:"refundNotifyUrl"`
}

type field struct {
	name  string
	value json.RawMessage
}

// object is a JSON object that keeps the order of its fields, so that faults can turn it round.
type object []field

// with sets a field. Only types of this package come in, and those can be encoded.
func (o object) with(name string, value any) object {
	raw, err := json.Marshal(value)
	if err != nil {
		raw = []byte("null")
	}
	if i := slices.IndexFunc(o, func(f field) bool { return f.name == name }); i >= 0 {
		changed := slices.Clone(o)
		changed[i].value = raw
		return changed
	}
	return append(slices.Clip(o), field{name, raw})
}

func (o object) has(name string) bool {
	return slices.ContainsFunc(o, func(f field) bool { return f.name == name && string(f.value) != "null" })
}

func (o object) encode() []byte {
	var buf bytes.Buffer
	buf.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			buf.WriteByte(',')
		}
		buf.WriteString(strconv.Quote(f.name))
		buf.WriteByte(':')
		buf.Write(f.value)
	}
	buf.WriteByte('}')
	return buf.Bytes()
}

func (o object) withExtras() object {
	return o.with("acquirerInfo", map[string]string{"acquirerName": "SOMEBODY", "referenceRefundId": "r-1"}).
		with("futureField", []any{1, "two", nil, map[string]bool{"three": true}})
}

func (o object) reversed() object {
	turned := slices.Clone(o)
	slices.Reverse(turned)
	return turned
}

// withOther changes a text field, where there is one.
func (o object) withOther(name string) object {
	if !o.has(name) {
		return o
	}
	return o.with(name, "another")
}

func (o object) withOtherAmount() object {
	return o.editAmount(func(a wireAmount) wireAmount { return wireAmount{a.Currency, a.Value + "1"} })
}

func (o object) withOtherCurrency() object {
	return o.editAmount(func(a wireAmount) wireAmount {
		if a.Currency == "EUR" {
			return wireAmount{"USD", a.Value}
		}
		return wireAmount{"EUR", a.Value}
	})
}

func (o object) editAmount(edit func(wireAmount) wireAmount) object {
	i := slices.IndexFunc(o, func(f field) bool { return f.name == fieldRefundAmount })
	var amount wireAmount
	if i < 0 || json.Unmarshal(o[i].value, &amount) != nil || amount.Value == "" {
		return o
	}
	return o.with(fieldRefundAmount, edit(amount))
}

func resultObject(res result) object {
	message := "success"
	if res.code != codeSuccess {
		message = "sandbox: " + res.code
	}
	return object{}.with("result", wireResult{ResultCode: res.code, ResultStatus: res.status, ResultMessage: message})
}

func amountOf(minor int64, currency string) wireAmount {
	return wireAmount{Currency: currency, Value: strconv.FormatInt(minor, 10)}
}

// withSettlement adds what only refunds settled in another currency have.
func (o object) withSettlement(entry Entry) object {
	st := entry.Settled
	if st == nil {
		return o
	}
	o = o.with("grossSettlementAmount", amountOf(st.Minor, st.Currency))
	if st.Rate.QuoteID == "" {
		return o
	}
	quote := object{}.with("quoteId", st.Rate.QuoteID).
		with("quoteCurrencyPair", entry.Currency+"/"+st.Currency)
	if st.Rate.NumericPrice {
		quote = quote.with("quotePrice", json.RawMessage(st.Rate.Price)).with("guaranteed", true)
	} else {
		quote = quote.with("quotePrice", st.Rate.Price)
	}
	return o.with("settlementQuote", json.RawMessage(quote.encode()))
}

func isoTime(t time.Time) string { return t.Format(isoLayout) }
