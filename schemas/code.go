package schemas

// Code says why an outcome is what it is: one closed list over all gateways.
type Code string

// The codes of outcomes and rejections. What each means, who acts and whether a new request ID may be tried: [Codes].
const (
	CodeRefunded Code = "REFUNDED"

	CodePaymentNotFound             Code = "PAYMENT_NOT_FOUND"
	CodePaymentCancelled            Code = "PAYMENT_CANCELLED"
	CodePaymentNotRefundable        Code = "PAYMENT_NOT_REFUNDABLE"
	CodeAmountExceeded              Code = "AMOUNT_EXCEEDED"
	CodeCurrencyNotSupported        Code = "CURRENCY_NOT_SUPPORTED"
	CodeWindowExceeded              Code = "WINDOW_EXCEEDED"
	CodeMultipleRefundsNotSupported Code = "MULTIPLE_REFUNDS_NOT_SUPPORTED"
	CodePartialRefundNotSupported   Code = "PARTIAL_REFUND_NOT_SUPPORTED"
	CodeBalanceNotEnough            Code = "BALANCE_NOT_ENOUGH"
	CodeRefundFailed                Code = "REFUND_FAILED"
	CodeInvalidRequest              Code = "INVALID_REQUEST"
	CodeExpired                     Code = "EXPIRED"

	CodeUnknownOutcome     Code = "UNKNOWN_OUTCOME"
	CodeInProcess          Code = "IN_PROCESS"
	CodeThrottled          Code = "THROTTLED"
	CodeGatewayUnavailable Code = "GATEWAY_UNAVAILABLE"
	CodeAccountRejected    Code = "ACCOUNT_REJECTED"
	CodeNeedsReview        Code = "NEEDS_REVIEW"

	CodeUnreadable        Code = "UNREADABLE"
	CodeSchemaViolation   Code = "SCHEMA_VIOLATION"
	CodeTooLarge          Code = "TOO_LARGE"
	CodeRequestIDConflict Code = "REQUEST_ID_CONFLICT"
	CodeAlreadySettled    Code = "ALREADY_SETTLED"
)
