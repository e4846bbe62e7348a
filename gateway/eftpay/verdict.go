package eftpay

import (
	"refundworker/refund"
	"refundworker/schemas"
)

// tables turn answers into results.
type tables struct {
	answers map[string]row
	trades  map[string]trade
	// notFound are the configured codes of a query that found no such refund.
	notFound map[string]bool
}

func newTables(notFound []string) tables {
	t := tables{answers: make(map[string]row), trades: make(map[string]trade), notFound: make(map[string]bool)}
	for _, r := range answerRows() {
		t.answers[r.code] = r
	}
	for _, tr := range tradeRows() {
		t.trades[tr.status] = tr
	}
	for _, code := range notFound {
		t.notFound[code] = true
	}
	return t
}

// answer finds the row of a return_status; a negative one that nobody has described is a fault of ours as well.
func (t tables) answer(code string) (row, bool) {
	r, listed := t.answers[code]
	if !listed && negativeForm.MatchString(code) {
		return row{code: code, ours: schemas.CodeAccountRejected, alarm: refund.AlarmConfiguration, unsigned: true}, true
	}
	return r, listed
}

// refund is the verdict of a verified answer to a refund.
func (t tables) refund(a answer, req refund.Request) refund.Result {
	switch name := a.contradiction(req); {
	case name != "":
		return mismatch(a, name)
	case a.isOfAnother(req):
		return mismatch(a, "refund_no")
	case a.returnStatus != statusTaken:
		return t.refused(a)
	}
	res := a.result()
	tr, listed := t.trades[a.tradeStatus]
	switch {
	case a.tradeStatus == "":
		res.Detail = "taken, without trade_status"
	case !listed:
		res.Alarm, res.Detail = refund.AlarmUnlisted, "trade_status is not listed"
	case tr.verdict == refund.Pending && !a.isOurs(req):
		// It is an answer to our refund all the same, and says that nothing is final.
		res.Verdict, res.Code = tr.verdict, tr.ours
		return res
	case tr.verdict == refund.Pending:
		return a.proved(res, tr, req)
	case !a.isOurs(req):
		res.Detail = "the answer does not carry our refund_no"
	case tr.ofSale && a.tradeType == tradeTypeSale, tr.verdict == refund.Unknown:
		res.Detail = "the answer speaks of the sale"
	case tr.verdict == refund.Succeeded && !a.isAbout(req):
		res.Detail = "success without our out_trade_no and transaction_amount"
	default:
		return a.proved(res, tr, req)
	}
	res.InquireNow = true
	return res
}

// refused is the verdict of a return_status other than 00 to a refund.
func (t tables) refused(a answer) refund.Result {
	res := a.result()
	r, listed := t.answer(a.returnStatus)
	if !listed {
		res.Alarm, res.Detail = refund.AlarmUnlisted, "return_status is not listed"
		return res
	}
	res.Code, res.Alarm = r.ours, r.alarm
	return res
}

// inquiry is the verdict of a verified answer to a query with our refund_no. "With refund_no, the state of that refund;
// without, of the sale" (https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Query.html). What a query for
// an unknown refund_no gets is not documented.
func (t tables) inquiry(a answer, req refund.Request) refund.Result {
	switch name := a.contradiction(req); {
	case name != "":
		return mismatch(a, name)
	case t.notFound[a.returnStatus]:
		return absent(a, req)
	case a.returnStatus != statusTaken:
		return t.unanswered(a, req)
	}
	res := a.result()
	tr, listed := t.trades[a.tradeStatus]
	if a.isRefund(req) && listed && tr.verdict != refund.Unknown {
		return a.proved(res, tr, req)
	}
	res.ShowsNone = a.showsNone(req)
	switch {
	case a.tradeStatus != "" && !listed:
		res.Alarm, res.Detail = refund.AlarmUnlisted, "trade_status is not listed"
	case res.ShowsNone:
		res.Detail = "no record of the refund is shown"
	default:
		res.Alarm, res.Detail = refund.AlarmMismatch, "the record shown may be the refund's, and does not prove it"
	}
	return res
}

// isRefund says that a record found is the one of the request. It has to call itself a refund's and to name the payment
// and the amount; then either it carries our number, or the sale's in its place, as in the page's sample
// (https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html), and there is no other refund of the
// payment that it could speak of.
func (a answer) isRefund(req refund.Request) bool {
	echo := a.refundNo == req.PaymentID && !req.OthersKnown
	return a.tradeType == tradeTypeRefund && a.isAbout(req) && (a.isOurs(req) || echo)
}

// showsNone says that a query was answered and no record is shown that could be the request's. It is no proof of
// absence, but it lets the first send of a refund go that nobody remembers. So everything that could be a forgotten
// refund of ours holds it back: our number on whatever record; and a record without a number of its own that tells of
// money given back, unless another refund of the payment is known and the amount is not ours.
func (a answer) showsNone(req refund.Request) bool {
	switch {
	case a.tradeStatus == "":
		return a.tradeType == "" && !a.hasAmount
	case a.outTradeNo == "":
		return false
	case a.isOfAnother(req):
		return true
	case a.tradeStatus == tradePaid:
		return a.tradeType != tradeTypeRefund
	case a.isOurs(req):
		return false
	}
	return req.OthersKnown && a.amount > 0 && a.amount != req.Amount.Minor
}

// unanswered is the verdict of a query that came back with an error. That is how a query for an unknown number may be
// answered, so it shows none; it raises no alarm for a code that is not listed, or every first send would. A query
// that was refused for our own fault was not carried out and shows nothing.
func (t tables) unanswered(a answer, req refund.Request) refund.Result {
	res := a.result()
	r, listed := t.answer(a.returnStatus)
	switch {
	case listed && r.alarm != refund.NoAlarm:
		res.Code, res.Alarm = r.ours, r.alarm
	case a.tradeStatus != "" || a.isOfAnother(req):
		res.Alarm, res.Detail = refund.AlarmMismatch, "an error, but fields of a record"
	default:
		res.ShowsNone, res.Detail = true, "the query came back with an error"
	}
	return res
}

// absent is the verdict of a code that the operator has configured as not found. It is not one where the answer holds a
// record all the same, or where eftPay had given us its own number of the refund that it now does not know.
func absent(a answer, req refund.Request) refund.Result {
	res := a.result()
	switch {
	case a.tradeStatus != "" || a.hasAmount || a.refundTradeNo != "" || a.isOfAnother(req):
		res.Alarm, res.Detail = refund.AlarmMismatch, "not found, but fields of a record"
	case req.GatewayRefundID != "":
		res.Code, res.Alarm, res.Review = schemas.CodeNeedsReview, refund.AlarmMismatch, true
		res.Detail = "the refund that eftPay gave a number is not found"
	default:
		res.Verdict, res.Code = refund.Absent, ""
	}
	return res
}

// mismatch is the verdict of an answer that contradicts the request. What it says is not passed on.
func mismatch(a answer, name string) refund.Result {
	res := a.result()
	res.Code, res.Alarm, res.Review = schemas.CodeNeedsReview, refund.AlarmMismatch, true
	res.Detail = "the answer's " + name + " is not the request's"
	return res
}
