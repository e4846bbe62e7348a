package antom

import (
	"refundworker/gateway"
	"refundworker/refund"
	"refundworker/schemas"
)

// tables turn verified answers into results.
type tables struct{ refunds, inquiries table }

func newTables() tables {
	return tables{refunds: newTable(refundRows()), inquiries: newTable(inquiryRows())}
}

// refund is the verdict of a verified answer to a refund.
func (t tables) refund(a answer, req refund.Request) refund.Result {
	if name := a.contradiction(req); name != "" {
		return mismatch(a, name)
	}
	r, listed := t.refunds[a.code]
	if !listed || !r.fits(a.status) {
		return offTable(a, listed)
	}
	if r.fields {
		return refunded(a)
	}
	res := r.result(a)
	if r.verdict == refund.Pending {
		res = a.accepted(res)
	}
	return res
}

// refunded is the verdict of S with SUCCESS. "S on a synchronous refund = refunded; on an asynchronous one = accepted,
// ask inquiryRefund" (https://docs.antom.com/ac/ams_zh-cn/refund); refundTime is the moment of the final state, so
// only with it the refund is done.
func refunded(a answer) refund.Result {
	res := a.accepted(a.result())
	switch {
	case !a.isAbout():
		res.Verdict, res.Code, res.InquireNow = refund.Unknown, schemas.CodeUnknownOutcome, true
		res.Detail = "success without refundRequestId and refundAmount"
	case a.refundTime.IsZero():
		res.Verdict, res.Code, res.InquireNow = refund.Pending, schemas.CodeInProcess, true
		res.Detail = "accepted, no refundTime yet"
	default:
		res = a.done(res)
	}
	return res
}

// inquiry is the verdict of a verified answer to an inquiry.
func (t tables) inquiry(a answer, req refund.Request) refund.Result {
	if name := a.contradiction(req); name != "" {
		return mismatch(a, name)
	}
	r, listed := t.inquiries[a.code]
	switch {
	case !listed || !r.fits(a.status):
		return offTable(a, listed)
	case r.fields:
		return found(a, req)
	case r.verdict == refund.Absent:
		return absent(a, req)
	}
	return r.result(a)
}

// found is the verdict of a query that worked: refundStatus tells the refund's state at Antom, and is null when there
// is no record (https://docs.antom.com/ac/ams/ir). RawCode is then the refundStatus, because the result's code says
// nothing about the refund.
func found(a answer, req refund.Request) refund.Result {
	if a.refundStatus == "" {
		return absent(a, req)
	}
	res := a.accepted(a.result())
	res.RawCode = gateway.Clip(a.refundStatus, maxCode)
	switch {
	case a.refundStatus == refundProcessing:
		res.Verdict, res.Code = refund.Pending, schemas.CodeInProcess
	case a.refundStatus == refundSuccess && a.isAbout():
		res = a.done(res)
	case a.refundStatus == refundFail && a.refundRequestID != "":
		res.Verdict, res.Code = refund.Declined, schemas.CodeRefundFailed
	case a.refundStatus == refundSuccess || a.refundStatus == refundFail:
		res.Code, res.Alarm, res.Detail = schemas.CodeUnknownOutcome, refund.AlarmMismatch, "the record found does not name the refund"
	default:
		res.Code, res.Alarm, res.Detail = schemas.CodeUnknownOutcome, refund.AlarmUnlisted, "refundStatus is not listed"
	}
	return res
}

// absent is the verdict when Antom knows no such refund. It is not one where the answer holds a record all the same,
// or where Antom itself had given us the refundId that it now does not know.
func absent(a answer, req refund.Request) refund.Result {
	res := a.result()
	switch {
	case a.refundID != "" || a.hasAmount || a.refundStatus != "":
		res.Code, res.Alarm, res.Detail = schemas.CodeUnknownOutcome, refund.AlarmMismatch, "not found, but fields of a record"
	case req.GatewayRefundID != "":
		res.Code, res.Alarm, res.Review = schemas.CodeNeedsReview, refund.AlarmMismatch, true
		res.Detail = "the refundId that Antom gave is not found"
	default:
		res.Verdict = refund.Absent
	}
	return res
}

// mismatch is the verdict of an answer that speaks of something else. What it says is not passed on.
func mismatch(a answer, name string) refund.Result {
	res := a.result()
	res.Code, res.Alarm, res.Review = schemas.CodeNeedsReview, refund.AlarmMismatch, true
	res.Detail = "the answer's " + name + " is not the request's"
	return res
}

// offTable is the verdict of a code that is not listed, or not with this status. U needs no explanation of its own:
// the outcome is unknown, whatever the code.
func offTable(a answer, listed bool) refund.Result {
	res := a.result()
	res.Code = schemas.CodeUnknownOutcome
	if a.status == statusUnknown && listed {
		return res
	}
	res.Alarm, res.Detail = refund.AlarmUnlisted, "result code is not listed with resultStatus "+a.status
	return res
}

// result is the row's verdict in the answer's words.
func (r row) result(a answer) refund.Result {
	res := a.result()
	res.Verdict, res.Code, res.Alarm, res.Review = r.verdict, r.ours, r.alarm, r.review
	return res
}
