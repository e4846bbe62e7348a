package sandbox

import (
	"cmp"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// antomAnswer is what an operation comes to. Seq is the entry it rests on; 0 means none.
type antomAnswer struct {
	result result
	body   object
	seq    int64
}

func onlyResult(status, code string) antomAnswer {
	res := result{status, code}
	return antomAnswer{result: res, body: resultObject(res)}
}

func paramIllegal() antomAnswer { return onlyResult(statusF, codeParamIllegal) }

// order is a refund request that passed the field rules.
type order struct {
	clientID, requestID, paymentID string
	minor                          int64
	currency                       string
	notifyURL                      string
	// halfway accepts the refund and leaves it unfinished.
	halfway bool
}

// parseOrder applies the field rules of https://docs.antom.com/ac/ams/refund. Not ok is PARAM_ILLEGAL.
func parseOrder(clientID string, req wireRequest) (order, bool) {
	if !isID(req.RefundRequestID) || !isID(req.PaymentID) || req.RefundAmount == nil ||
		utf8.RuneCountInString(req.ReferenceRefundID) > maxID ||
		utf8.RuneCountInString(req.RefundReason) > maxReason ||
		!isNotifyURL(req.RefundNotifyURL) || !isCurrency(req.RefundAmount.Currency) {
		return order{}, false
	}
	minor, err := parseMinor(req.RefundAmount.Value)
	// Rupiah have minor units by ISO 4217, but none that are paid.
	if err != nil || req.RefundAmount.Currency == "IDR" && minor%100 != 0 {
		return order{}, false
	}
	return order{
		clientID: clientID, requestID: req.RefundRequestID, paymentID: req.PaymentID,
		minor: minor, currency: req.RefundAmount.Currency, notifyURL: req.RefundNotifyURL,
	}, true
}

func isID(text string) bool { return text != "" && utf8.RuneCountInString(text) <= maxID }

// isNotifyURL accepts an absent address too: the Dashboard's holds then.
func isNotifyURL(text string) bool {
	if text == "" {
		return true
	}
	u, err := url.Parse(text)
	return err == nil && len(text) <= maxURL && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// refund is the operation. The order of the checks is the gateway's: idempotency before the rules of the payment, so
// that a final answer is repeated whatever has become of the payment since.
func (b *antomBook) refund(o order, now time.Time) antomAnswer {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r, ok := b.requests[requestKey{o.clientID, o.requestID}]; ok && !b.forget {
		return b.again(r, o, now)
	}
	entry := Entry{
		Gateway: gatewayAntom, ClientID: o.clientID, RequestID: o.requestID, PaymentID: o.paymentID,
		Minor: o.minor, Currency: o.currency, Time: now.UTC(),
	}
	payment := b.payments.find(o.paymentID)
	if entry.Code = b.decline(o, payment, now); entry.Code != "" {
		entry.State = Failed
		return refundAnswer(b.enter(entry, ""), payment)
	}
	entry.State = Succeeded
	notifyURL := ""
	if payment.Async != nil {
		notifyURL = cmp.Or(o.notifyURL, b.notifyURLs[o.clientID])
	}
	if payment.Async != nil || o.halfway {
		entry.State = Processing
	}
	settle(&entry, payment)
	r := b.enter(entry, notifyURL)
	if notifyURL != "" && payment.Async.Delay > 0 {
		b.announceFunc(r.entry, notifyURL, payment.Async.Delay)
	}
	return refundAnswer(r, payment)
}

// again answers a request ID that is known: https://docs.antom.com/ac/ams/idempotency
func (b *antomBook) again(r *antomRefund, o order, now time.Time) antomAnswer {
	if r.entry.Minor != o.minor || r.entry.Currency != o.currency || r.entry.PaymentID != o.paymentID {
		return onlyResult(statusF, codeRepeatReqInconsistent)
	}
	if !o.halfway {
		b.look(r, true, now)
	}
	return refundAnswer(r, b.payments.find(o.paymentID))
}

// decline is the first rule of the payment that the order breaks, as its result code; empty when there is none.
func (b *antomBook) decline(o order, p *Payment, now time.Time) string {
	used := b.used[o.paymentID]
	funds, limited := b.funds[fundsKey{o.clientID, o.currency}]
	switch {
	case p == nil || p.ClientID != "" && p.ClientID != o.clientID:
		return codeOrderNotExist
	case p.Status == Cancelled:
		return codeOrderCanceled
	case p.Status == Unpaid:
		return codeOrderStatusInvalid
	case p.Currency != o.currency:
		return codeCurrencyNotSupport
	case !p.WindowEnd.IsZero() && now.After(p.WindowEnd):
		return codeRefundWindowExceed
	case p.SingleRefund && used.refunds > 0:
		return codeMultipleRefunds
	case p.FullOnly && o.minor < p.Minor:
		return codePartialRefund
	// The subtraction cannot overflow, the sum could.
	case o.minor < p.MinRefund || o.minor > p.Minor-used.minor:
		return codeRefundAmountExceed
	case limited && o.minor > funds-b.taken[fundsKey{o.clientID, o.currency}]:
		return codeBalanceNotEnough
	}
	return ""
}

// refundAnswer says where the refund stands. A repeated final answer is built from the same entry and is the same.
func refundAnswer(r *antomRefund, payment *Payment) antomAnswer {
	entry := r.entry
	res := result{statusS, codeSuccess}
	switch {
	case entry.State == Failed:
		res = result{statusF, entry.Code}
	case entry.State == Processing && (payment == nil || payment.Async == nil):
		res = result{statusU, codeUnknownException}
	case entry.State == Processing && !payment.Async.PlainSuccess:
		status := payment.Async.Status
		if status == "" {
			status = statusU
		}
		res = result{status, codeRefundInProcess}
	}
	body := resultObject(res).
		with(fieldRequestID, entry.RequestID).
		with(fieldRefundID, entry.RefundID).
		with(fieldPaymentID, entry.PaymentID).
		with(fieldRefundAmount, amountOf(entry.Minor, entry.Currency))
	if entry.State != Processing {
		body = body.with(fieldRefundTime, isoTime(entry.Time))
	}
	return antomAnswer{result: res, body: body.withSettlement(entry), seq: entry.Seq}
}

// inquire is the operation inquiryRefund, https://docs.antom.com/ac/ams/ir: the result says only whether the query
// worked. refundId wins over refundRequestId.
func (b *antomBook) inquire(clientID string, req wireRequest, cfg Config, now time.Time) antomAnswer {
	if req.RefundID == "" && req.RefundRequestID == "" || !isPlainID(req.RefundID) || !isPlainID(req.RefundRequestID) {
		return paramIllegal()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.requests[requestKey{clientID, req.RefundRequestID}]
	if req.RefundID != "" {
		r = b.refunds[req.RefundID]
	}
	if r == nil || r.entry.ClientID != clientID || cfg.HideDeclined && r.declined {
		ans := onlyResult(statusF, codeRefundNotExist)
		if cfg.UnknownIsNull {
			ans = onlyResult(statusS, codeSuccess)
		}
		for _, name := range []string{fieldRefundID, fieldRequestID, fieldRefundAmount, fieldRefundStatus, fieldRefundTime} {
			ans.body = ans.body.with(name, nil)
		}
		return ans
	}
	b.look(r, false, now)
	entry := r.entry
	ans := onlyResult(statusS, codeSuccess)
	ans.seq = entry.Seq
	ans.body = ans.body.
		with(fieldRefundID, entry.RefundID).
		with(fieldRequestID, entry.RequestID).
		with(fieldRefundAmount, amountOf(entry.Minor, entry.Currency)).
		with(fieldRefundStatus, entry.State)
	if entry.State == Succeeded {
		ans.body = ans.body.with(fieldRefundTime, isoTime(entry.Time)).withSettlement(entry)
	}
	return ans
}

// isPlainID holds for an absent ID too. The inquiry page rules special characters out without listing them; letters,
// digits, '-' and '_' are what every integration uses.
func isPlainID(text string) bool {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return len(text) <= maxID && strings.Trim(text, plain) == ""
}
