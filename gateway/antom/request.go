package antom

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"refundworker/refund"
)

// The limits of the in-store refund request, https://docs.antom.com/ac/ams_zh-cn/refund.
const (
	maxRequestID         = 64
	maxPaymentID         = 64
	maxReferenceRefundID = 64
	maxReason            = 256
)

// Key is Antom's refundRequestId for a request ID: the request ID itself. The contract allows 1 to 64 letters, digits,
// dashes and underscores, which is what refundRequestId takes: "special characters are not supported" and at most 64
// (https://docs.antom.com/ac/ams/ir).
func Key(requestID string) string { return requestID }

// Check returns what breaks a documented limit of the refund request, and "" where nothing does. Lengths count
// characters. https://docs.antom.com/ac/ams_zh-cn/refund
func (c *Client) Check(req refund.Request) string {
	switch {
	case !isID(req.GatewayKey, maxRequestID):
		return fmt.Sprintf("requestId: is not 1 to %d letters, digits, dashes or underscores", maxRequestID)
	case !isText(req.PaymentID, maxPaymentID) || req.PaymentID == "":
		return fmt.Sprintf("paymentId: is not 1 to %d characters", maxPaymentID)
	case !isText(req.ReferenceRefundID, maxReferenceRefundID):
		return fmt.Sprintf("referenceRefundId: is longer than %d characters", maxReferenceRefundID)
	case !isText(req.Reason, maxReason):
		return fmt.Sprintf("reason: is longer than %d characters", maxReason)
	case req.Amount.Minor < 1:
		return "amount: is less than 1 minor unit"
	case !isCurrency(req.Amount.Currency):
		return "amount: currency is not three capital letters"
	case req.Amount.Currency == "IDR" && req.Amount.Minor%100 != 0:
		// Model Amount of the Java SDK: rupiah are refunded whole, the last two digits have to be 00.
		return "amount: IDR has to end in 00 minor units"
	}
	return ""
}

// isText accepts valid UTF-8 of at most limit characters.
func isText(s string, limit int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= limit
}

// isID accepts what refundRequestId and refundId may hold.
func isID(s string, limit int) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= limit
}

func isCurrency(s string) bool {
	return len(s) == 3 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// refundBody is the body of a refund request. Names are in alphabetical order, every value is a string, empty fields
// are left out, and nothing in it depends on the attempt: the same request gives the same bytes for ever, which is
// what makes sending it again safe (https://docs.antom.com/ac/ams/idempotency). It is written by hand because the
// bytes must not change with a library's taste in escapes.
func refundBody(req refund.Request) []byte {
	b := make([]byte, 0, 256+len(req.Reason))
	b = appendField(append(b, '{'), "paymentId", req.PaymentID)
	if req.ReferenceRefundID != "" {
		b = appendField(append(b, ','), "referenceRefundId", req.ReferenceRefundID)
	}
	b = appendField(append(b, `,"refundAmount":{`...), "currency", req.Amount.Currency)
	b = appendField(append(b, ','), "value", strconv.FormatInt(req.Amount.Minor, 10))
	b = append(b, '}')
	if req.Reason != "" {
		b = appendField(append(b, ','), "refundReason", req.Reason)
	}
	b = appendField(append(b, ','), "refundRequestId", req.GatewayKey)
	return append(b, '}')
}

// inquiryBody asks by refundId when it is known, else by refundRequestId. "refundId wins when both are there", so only
// one is sent. https://docs.antom.com/ac/ams/ir
func inquiryBody(req refund.Request) []byte {
	if req.GatewayRefundID != "" {
		return append(appendField([]byte{'{'}, "refundId", req.GatewayRefundID), '}')
	}
	return append(appendField([]byte{'{'}, "refundRequestId", req.GatewayKey), '}')
}

// appendField writes "name":"value", with the fewest escapes JSON allows.
func appendField(b []byte, name, value string) []byte {
	const hex = "0123456789abcdef"
	b = append(append(append(b, '"'), name...), `":"`...)
	for _, c := range value { // invalid UTF-8 comes as U+FFFD
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = utf8.AppendRune(b, c)
		}
	}
	return append(b, '"')
}
