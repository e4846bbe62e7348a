package eftpay

import (
	"regexp"

	"refundworker/refund"
	"refundworker/schemas"
)

// The values of return_status that the code names. "return_status 00 only says that the request was taken"
// (https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/BaseInfo.html).
const (
	statusTaken = "00"
	statusClock = "12"
)

// negativeForm is a negative return_status, which has 3 characters at most. Such answers are not signed: "time and sign
// come only when return_status is 00 or more"
// (https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html).
var negativeForm = regexp.MustCompile(`^-[0-9]{1,2}$`)

// The values of trade_type, https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html. The table
// there gives REFUND for a refund's answer; the sample beside it says SALE.
const (
	tradeTypeRefund = "REFUND"
	tradeTypeSale   = "SALE"
)

// tradePaid is the trade_status of a sale that was paid, and of no refund.
const tradePaid = "TRADE_SUCCESS"

// row says what a return_status other than 00 means. None of them is final: which of them leave a refund undone is not
// documented, so a query has to say it.
type row struct {
	code  string
	ours  schemas.Code
	alarm refund.Alarm
	// unsigned: the answer comes, or has been seen, without a signature that can be verified; an unverified text that
	// holds the code raises the row's alarm. It still proves nothing.
	unsigned bool
}

// answerRows is the table of return_status, the same for refunds and queries. eftPay's appendix could not be read;
// these are the codes that somebody has seen. The two-digit codes of eftPay's terminals are another list: their 12 and
// 51 mean something else (github.com/richard38999/eftPay_developer_platform at 6af5910, response-code.md).
func answerRows() []row {
	return []row{
		// "Time mismatch": our clock is off. The live answer could not be verified (joy_, AliPayHK_EftPay.md).
		{code: statusClock, ours: schemas.CodeAccountRejected, alarm: refund.AlarmConfiguration, unsigned: true},
		// "No such service" (CardTrain, oapm-checkout/index.ts).
		{code: "-13", ours: schemas.CodeAccountRejected, alarm: refund.AlarmConfiguration, unsigned: true},
		// "Refund failed" and the wallet's own code at the end, such as SYSTEM_EXCEPTION, which is the wallet's word for
		// not knowing either (joy_, AliPayHK_EftPay.md).
		{code: "51", ours: schemas.CodeUnknownOutcome},
	}
}

// trade says what one trade_status means on the record of a refund.
type trade struct {
	status  string
	verdict refund.Verdict
	ours    schemas.Code
	// ofSale: a sale can be in this state too, so a record that calls itself a sale does not speak of the refund.
	ofSale bool
}

// tradeRows is the table of trade_status. The refund page is the source of all but the last:
// https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html
func tradeRows() []trade {
	return []trade{
		{status: "TRADE_PROCESSING", verdict: refund.Pending, ours: schemas.CodeInProcess},
		// "Applied for".
		{status: "APPLY_SUCCESS", verdict: refund.Pending, ours: schemas.CodeInProcess},
		// Part of the sale is refunded. Also a live answer (joy_, AliPayHK_EftPay.md).
		{status: "TRADE_REFUND", verdict: refund.Succeeded, ours: schemas.CodeRefunded},
		// The whole amount is refunded; of a sale also "not paid in time" (CardTrain, oapm-settle.ts).
		{status: "TRADE_CLOSED", verdict: refund.Succeeded, ours: schemas.CodeRefunded, ofSale: true},
		{status: "TRADE_FAIL", verdict: refund.Declined, ours: schemas.CodeRefundFailed, ofSale: true},
		// The sale is paid (CardTrain, oapm-settle.ts).
		{status: tradePaid, verdict: refund.Unknown, ours: schemas.CodeUnknownOutcome, ofSale: true},
	}
}
