package schemas

import "slices"

// Actor is who should act on a code.
type Actor string

// The actors.
const (
	// ActNobody: nothing to do; done, or the worker goes on by itself.
	ActNobody Actor = "nobody"
	// ActProducer: the system that sent the command.
	ActProducer Actor = "producer"
	// ActMerchant: the people who own the account at the gateway and its money.
	ActMerchant Actor = "merchant"
	// ActOperator: the people who run the worker.
	ActOperator Actor = "operator"
)

// NewID says whether the same refund may be asked for again under a new request ID.
type NewID string

// The policies on a new request ID.
const (
	// NewIDNever: the money has moved or may have moved; a new ID could pay twice.
	NewIDNever NewID = "never"
	// NewIDUseless: nothing has moved, and a new ID would fail in the same way.
	NewIDUseless NewID = "useless"
	// NewIDAfterChange: nothing has moved; a new ID may be tried once what the code names has been changed.
	NewIDAfterChange NewID = "after-change"
	// NewIDLater: nothing has moved; a new ID with the same content may be tried later.
	NewIDLater NewID = "later"
	// NewIDNotNeeded: the message was never taken, so that its own request ID is free and stays the right one.
	NewIDNotNeeded NewID = "same-id"
)

// CodeInfo is what a reader of a code must know.
type CodeInfo struct {
	Code Code
	// Status is the one status the code goes with; empty for the codes of rejections.
	Status       Status
	WhoActs      Actor
	NewRequestID NewID
	Meaning      string
}

// Codes is the closed list, in a stable order: success, failed, retry-pending, rejections.
func Codes() []CodeInfo { return slices.Clone(codeList) }

// Info finds a code in the list; false for a code that is not of this contract.
func (c Code) Info() (CodeInfo, bool) {
	i, known := codeIndex[c]
	if !known {
		return CodeInfo{}, false
	}
	return codeList[i], true
}

//nolint:gochecknoglobals // a constant table
var codeList = []CodeInfo{
	{CodeRefunded, Success, ActNobody, NewIDNever, "The money has moved."},

	{CodePaymentNotFound, Failed, ActProducer, NewIDAfterChange, "The gateway knows no such payment; correct the payment ID or the account."},
	{CodePaymentCancelled, Failed, ActProducer, NewIDUseless, "The payment was cancelled; there is nothing to refund."},
	{CodePaymentNotRefundable, Failed, ActMerchant, NewIDAfterChange, "The payment's state forbids a refund, such as not paid or disputed."},
	{CodeAmountExceeded, Failed, ActProducer, NewIDAfterChange, "More than is left of the payment, at the gateway or by the stated original amount."},
	{CodeCurrencyNotSupported, Failed, ActProducer, NewIDAfterChange, "The gateway does not refund this payment in this currency."},
	{CodeWindowExceeded, Failed, ActMerchant, NewIDUseless, "The gateway's time for refunds of this payment is over; refund by other means."},
	{CodeMultipleRefundsNotSupported, Failed, ActMerchant, NewIDUseless, "The payment method takes one refund only and has had it; refund by other means."},
	{CodePartialRefundNotSupported, Failed, ActProducer, NewIDAfterChange, "The payment method refunds whole payments only."},
	{CodeBalanceNotEnough, Failed, ActMerchant, NewIDLater, "The merchant's balance at the gateway does not cover the refund; top it up first."},
	{CodeRefundFailed, Failed, ActMerchant, NewIDLater, "The gateway proved a failure without a reason of this list, or the answer with the reason was lost; its raw code is attached."},
	{CodeInvalidRequest, Failed, ActProducer, NewIDAfterChange, "Valid by the schema, but outside the gateway's or the account's limits; nothing was sent."},
	{CodeExpired, Failed, ActProducer, NewIDLater, "The command's deadline passed before anything was sent."},

	{CodeUnknownOutcome, RetryPending, ActNobody, NewIDNever, "The outcome is not known yet; the worker finds out."},
	{CodeInProcess, RetryPending, ActNobody, NewIDNever, "The gateway has accepted the refund and has not finished it."},
	{CodeThrottled, RetryPending, ActNobody, NewIDNever, "The gateway told the worker to slow down."},
	{CodeGatewayUnavailable, RetryPending, ActNobody, NewIDNever, "Nothing was sent: the gateway could not be reached or is being spared."},
	{CodeAccountRejected, RetryPending, ActOperator, NewIDNever, "The gateway refused the worker's credentials, signature or clock; mend them, the worker goes on."},
	{CodeNeedsReview, RetryPending, ActOperator, NewIDNever, "Past the horizon or contradictory; only evidence closes it."},

	{CodeUnreadable, "", ActProducer, NewIDNotNeeded, "Not one JSON text in strict UTF-8."},
	{CodeSchemaViolation, "", ActProducer, NewIDNotNeeded, "Breaks the command's schema; the pointer names the field."},
	{CodeTooLarge, "", ActProducer, NewIDNotNeeded, "The message, its metadata or its headers are beyond the limits."},
	{CodeRequestIDConflict, "", ActProducer, NewIDAfterChange, "The request ID belongs to another command, which is untouched; only a truly different refund takes a new ID."},
	{CodeAlreadySettled, "", ActNobody, NewIDNever, "The request was settled long ago; the detail tells its status and code."},
}

//nolint:gochecknoglobals // the index of a constant table
var codeIndex = func() map[Code]int {
	index := make(map[Code]int, len(codeList))
	for i, info := range codeList {
		index[info.Code] = i
	}
	return index
}()
