package antom

import (
	"refundworker/refund"
	"refundworker/schemas"
)

// row says what one result code of a verified answer means.
type row struct {
	code string
	// status is the resultStatus the row is for; "" means any. With another status the code proves nothing.
	status  string
	verdict refund.Verdict
	ours    schemas.Code
	alarm   refund.Alarm
	// review: another request lives under our ID; no retry can settle it.
	review bool
	// fields: the answer's other fields decide.
	fields bool
	// unsigned: Antom sends this answer without a signature, so an unverified text that holds the code raises the
	// row's alarm. It still proves nothing.
	unsigned bool
}

// fits says that the row is for a status.
func (r row) fits(status string) bool { return r.status == "" || r.status == status }

// table finds the row of a code.
type table map[string]row

func newTable(rows []row) table {
	t := make(table, len(rows))
	for _, r := range rows {
		t[r.code] = r
	}
	return t
}

// rejected are the answers that concern the account, not the refund, in both operations: our client ID, key,
// signature, clock, method or address was refused. They never fail a refund.
//
// Of INVALID_SIGNATURE the SDK of 2020 says that it comes without signature (github.com/alipay/ams-java-sdk at
// 7713d0a, SignatureUtil); an answer to an unknown client or key can hardly be signed either.
func rejected() []row {
	account := func(code string, unsigned bool) row {
		return row{
			code: code, verdict: refund.Unknown, ours: schemas.CodeAccountRejected,
			alarm: refund.AlarmConfiguration, unsigned: unsigned,
		}
	}
	return []row{
		account("ACCESS_DENIED", false),             // https://docs.antom.com/ac/ams_zh-cn/refund
		account("CLIENT_INVALID", true),             // https://docs.antom.com/ac/ams_zh-cn/refund
		account("INVALID_ACCESS_TOKEN", false),      // https://docs.antom.com/ac/aba/notifydirectrefund?lang=zh-cn
		account("INVALID_API", false),               // https://docs.rebellapp.com/openapis/v1/payments/refundApply (same platform family)
		account("INVALID_CLIENT", true),             // a third party's list of codes
		account("INVALID_SIGNATURE", true),          // https://docs.antom.com/ac/ref/INVALID_SIGNATURE_error_code
		account("KEY_NOT_FOUND", true),              // a third party's list of codes
		account("MEDIA_TYPE_NOT_ACCEPTABLE", false), // https://docs.antom.com/ac/ams_zh-cn/refund
		account("METHOD_NOT_SUPPORTED", false),      // https://docs.antom.com/ac/ams_zh-cn/refund
		account("NO_INTERFACE_DEF", false),          // a third party's list of codes
	}
}

// unfinished are the answers of both operations that leave the refund open, with any status: the status of the first is
// nowhere stated, and third parties disagree.
func unfinished() []row {
	return []row{
		// https://docs.antom.com/ac/cashierpay_zh-cn/refund, https://docs.antom.com/ac/scantopay_zh-cn/refund
		{code: "REFUND_IN_PROCESS", verdict: refund.Pending, ours: schemas.CodeInProcess},
		// https://docs.antom.com/ac/aba/notifydirectrefund?lang=zh-cn
		{code: "PAYMENT_IN_PROCESS", verdict: refund.Pending, ours: schemas.CodeInProcess},
		// "Send again with the same ID": https://docs.antom.com/ac/cashierpay_zh-cn/refund
		{code: "UNKNOWN_EXCEPTION", verdict: refund.Unknown, ours: schemas.CodeUnknownOutcome},
		// "Slow down": https://docs.rebellapp.com/openapis/v1/payments/refundApply (same platform family)
		{code: "REQUEST_TRAFFIC_EXCEED_LIMIT", verdict: refund.Unknown, ours: schemas.CodeThrottled},
	}
}

// refundRows is the table of refund answers. Antom's in-store page (https://docs.antom.com/ac/ams_zh-cn/refund) is the
// source of every row that names no other. A code that is not here is Unknown and raises an alarm, even with F: what
// a new code means for the money is for a person to find out.
func refundRows() []row {
	declined := func(code string, ours schemas.Code) row {
		return row{code: code, status: statusFailed, verdict: refund.Declined, ours: ours}
	}
	rows := []row{
		// S is also the answer of an accepted asynchronous refund; refundTime tells them apart.
		{code: "SUCCESS", status: statusSuccess, fields: true},

		declined("CURRENCY_NOT_SUPPORT", schemas.CodeCurrencyNotSupported),
		declined("MULTIPLE_REFUNDS_NOT_SUPPORTED", schemas.CodeMultipleRefundsNotSupported),
		// Final for this ID: "top up, call again with a new refundRequestId".
		declined("MERCHANT_BALANCE_NOT_ENOUGH", schemas.CodeBalanceNotEnough),
		declined("ORDER_IS_CANCELED", schemas.CodePaymentCancelled),
		declined("ORDER_NOT_EXIST", schemas.CodePaymentNotFound),
		declined("ORDER_STATUS_INVALID", schemas.CodePaymentNotRefundable),
		// Also for less than the smallest refund: https://global.alipay.com/docs/ac/apo/refund
		declined("REFUND_AMOUNT_EXCEED", schemas.CodeAmountExceeded),
		declined("REFUND_WINDOW_EXCEED", schemas.CodeWindowExceeded),
		// https://docs.antom.com/ac/aba/notifydirectrefund?lang=zh-cn, https://docs.antom.com/ac/cashierpay_zh-cn/refund
		declined("PARAM_ILLEGAL", schemas.CodeInvalidRequest),
		// https://docs.antom.com/ac/scantopay_zh-cn/refund, https://docs.antom.com/ac/u7tb7fvi/lnpp13kx
		declined("PARTIAL_REFUND_NOT_SUPPORTED", schemas.CodePartialRefundNotSupported),
		declined("PAYMENT_METHOD_NOT_SUPPORTED", schemas.CodePaymentNotRefundable),
		// https://docs.rebellapp.com/openapis/v1/payments/refundApply (same platform family)
		declined("PROCESS_FAIL", schemas.CodeRefundFailed),

		// Our ID is taken by a request of other content: https://docs.antom.com/ac/ams/idempotency
		{
			code: "REPEAT_REQ_INCONSISTENT", verdict: refund.Unknown, ours: schemas.CodeNeedsReview,
			alarm: refund.AlarmMismatch, review: true,
		},
	}
	return append(append(rows, unfinished()...), rejected()...)
}

// inquiryRows is the table of inquiryRefund's result codes, which say only whether the query worked
// (https://docs.antom.com/ac/ams/ir). Antom's own table was not to be found; the rows are those of the same platform
// family (https://docs.rebellapp.com/openapis/v1/payments/inquiryRefund).
func inquiryRows() []row {
	rows := []row{
		// refundStatus tells what became of the refund.
		{code: "SUCCESS", status: statusSuccess, fields: true},
		{code: "REFUND_NOT_EXIST", status: statusFailed, verdict: refund.Absent},
		{code: "PARAM_ILLEGAL", status: statusFailed, verdict: refund.Unknown, ours: schemas.CodeUnknownOutcome},
		{code: "PROCESS_FAIL", status: statusFailed, verdict: refund.Unknown, ours: schemas.CodeUnknownOutcome},
	}
	return append(append(rows, unfinished()...), rejected()...)
}
