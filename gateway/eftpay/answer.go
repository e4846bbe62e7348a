package eftpay

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"refundworker/gateway"
	"refundworker/refund"
	"refundworker/schemas"
)

// The limits of an answer's texts, https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html. Longer
// ones are cut, a longer refund_trade_no is left out.
const (
	maxCode          = 32
	maxMessage       = 100
	maxRefundTradeNo = 28
)

// fieldAmount is the name of the amount, in a refund's request and in both answers.
const fieldAmount = "transaction_amount"

// The forms of trade_time: the first is the table's, the second the sample's
// (https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html).
const (
	tradeTimeForm        = "2006-01-02 15:04:05"
	tradeTimeCompactForm = "20060102150405"
)

// answer is a verified answer of either operation, decoded. An empty text is a field that is missing, null or empty.
// user_confirm_key is not among them: the page's sample answers with another one than was sent, and the secret that
// signed the answer already names the account.
type answer struct {
	returnStatus, returnChar string
	outTradeNo, refundNo     string
	tradeStatus, tradeType   string
	currency                 string
	// refundTradeNo is eftPay's own number of the refund, "by configuration".
	refundTradeNo string
	// hasAmount: transaction_amount is there; amount is it in minor units, 0 if it cannot be read.
	hasAmount bool
	amount    int64
	// tradeTime is zero when missing or unreadable.
	tradeTime time.Time
}

// decodeAnswer reads the fields of https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html; those
// of a query are the same, as far as its page could be read. Unknown fields are fine; a known one of the wrong type, or in
// other letter case, is an error: passed over, it could make a refund's record one that shows none. An amount may be a
// JSON number: its digits are taken as they are written.
func decodeAnswer(obj gateway.Object) (answer, error) {
	var a answer
	var tradeTime string
	texts := []struct {
		name string
		to   *string
	}{
		{"return_status", &a.returnStatus},
		{"return_char", &a.returnChar},
		{"out_trade_no", &a.outTradeNo},
		{"refund_no", &a.refundNo},
		{"trade_status", &a.tradeStatus},
		{"trade_type", &a.tradeType},
		{"currency", &a.currency},
		{"refund_trade_no", &a.refundTradeNo},
		{"trade_time", &tradeTime},
	}
	var err error
	for _, f := range texts {
		if err = miswritten(obj, f.name); err != nil {
			return answer{}, err
		}
		if *f.to, err = obj.Text(f.name); err != nil {
			return answer{}, err
		}
	}
	if err = miswritten(obj, fieldAmount); err != nil {
		return answer{}, err
	}
	if a.returnStatus == "" {
		return answer{}, errors.New("return_status is missing")
	}
	amount, ok := scalar(obj[fieldAmount])
	if !ok {
		return answer{}, errors.New("transaction_amount is not a number")
	}
	a.hasAmount = amount != ""
	a.amount = parseAmount(amount)
	a.tradeTime = moment(tradeTime)
	return a, nil
}

// miswritten is the error for a name in the answer that differs from a known one in letter case only.
func miswritten(obj gateway.Object, known string) error {
	for name := range obj {
		if name != known && strings.EqualFold(name, known) {
			return fmt.Errorf("%w: %s is written in other letter case", gateway.ErrAmbiguous, known)
		}
	}
	return nil
}

// moment reads a wall clock of UTC+8, eftPay's own; the zero time for anything else.
func moment(s string) time.Time {
	for _, layout := range []string{tradeTimeForm, tradeTimeCompactForm} {
		if t, err := time.ParseInLocation(layout, s, wallClock()); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// isOurs says that the answer carries our refund number. No other refund has it: it is a hash of the request ID.
func (a answer) isOurs(req refund.Request) bool { return a.refundNo == req.GatewayKey }

// isOfAnother says that the answer carries a refund number that is not ours. The sale's number in its place is none: the
// page's own sample has it there (https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html).
func (a answer) isOfAnother(req refund.Request) bool {
	return a.refundNo != "" && a.refundNo != req.GatewayKey && a.refundNo != req.PaymentID
}

// isOfSale says that the record calls itself the sale's. Its amount is the sale's then, whichever number it carries.
func (a answer) isOfSale() bool { return a.tradeType == tradeTypeSale || a.tradeStatus == tradePaid }

// contradiction names the first field that cannot be there in an answer to the request; "" when there is none. Amount
// and currency are compared where a refund's record is ours by its number; any other may rightly have its own.
//
// The amount is transaction_amount, the name of the refund's amount in the request. A gateway that put the sale's amount
// there would send partial refunds to review, and none to a wrong end.
func (a answer) contradiction(req refund.Request) string {
	switch {
	case a.outTradeNo != "" && a.outTradeNo != req.PaymentID:
		return "out_trade_no"
	case !a.isOurs(req) || a.isOfSale():
		return ""
	case a.hasAmount && a.amount != req.Amount.Minor:
		return fieldAmount
	case a.currency != "" && a.currency != req.Amount.Currency:
		return "currency"
	}
	return ""
}

// isAbout says that the answer names the request's payment and amount, which proof has to; the currency too, where there
// is one.
func (a answer) isAbout(req refund.Request) bool {
	return a.outTradeNo == req.PaymentID && a.amount == req.Amount.Minor && (a.currency == "" || a.currency == req.Amount.Currency)
}

// result begins a Result, of unknown outcome, with the gateway's own words. RawCode is the trade_status where there is
// one: 00 says nothing about the refund.
func (a answer) result() refund.Result {
	res := refund.Result{Code: schemas.CodeUnknownOutcome, RawCode: gateway.Clip(a.returnStatus, maxCode), RawMessage: gateway.Clip(a.returnChar, maxMessage)}
	if a.returnStatus == statusTaken && a.tradeStatus != "" {
		res.RawCode = gateway.Clip(a.tradeStatus, maxCode)
	}
	return res
}

// proved is the result of a record that is the request's, with the verdict of its trade_status. Time and eftPay's own
// number are taken from a refund's record only; a sale has others.
func (a answer) proved(res refund.Result, t trade, req refund.Request) refund.Result {
	res.Verdict, res.Code = t.verdict, t.ours
	ofRefund := a.tradeType == tradeTypeRefund
	if ofRefund && t.verdict != refund.Declined && utf8.RuneCountInString(a.refundTradeNo) <= maxRefundTradeNo {
		res.RefundID = a.refundTradeNo
	}
	if t.verdict == refund.Succeeded {
		res.Refunded = &schemas.Money{Minor: a.amount, Currency: req.Amount.Currency}
		if ofRefund {
			res.RefundTime = a.tradeTime
		}
	}
	return res
}
