package schemas

import "time"

// Gateway names a payment gateway.
type Gateway string

// The gateways of the contract.
const (
	Antom  Gateway = "antom"
	EftPay Gateway = "eftpay"
)

// CommandVersion is the newest command schema this build understands. A newer one is parked, not failed.
const CommandVersion = 1

// Command asks for one refund. Its rules are in command.schema.json; the fields' meaning is in docs/contract.md.
type Command struct {
	SchemaVersion int `json:"schemaVersion"`
	// RequestID names this refund for ever: 1 to 64 of A-Z a-z 0-9 - _.
	RequestID string  `json:"requestId"`
	Gateway   Gateway `json:"gateway"`
	// Account is a configured account of the gateway; empty means the gateway's only one.
	Account   string `json:"account,omitempty"`
	PaymentID string `json:"paymentId"`
	Amount    Money  `json:"amount"`
	// OriginalAmount is the payment's full amount; when present it arms the cap per payment.
	OriginalAmount    *Money `json:"originalAmount,omitempty"`
	Reason            string `json:"reason,omitempty"`
	ReferenceRefundID string `json:"referenceRefundId,omitempty"`
	// Deadline is the time after which no first send may happen; nil means none.
	Deadline *Time             `json:"deadline,omitempty"`
	BatchID  string            `json:"batchId,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	EftPay   *EftPayFields     `json:"eftpay,omitempty"`
}

// EftPayFields are the fields only eftPay needs.
type EftPayFields struct {
	Service     string `json:"service,omitempty"`
	PayType     string `json:"payType,omitempty"`
	PaymentType string `json:"paymentType"`
	// BuyerType is ios, android or others; empty means others.
	BuyerType string `json:"buyerType,omitempty"`
}

// Time is a moment on the wire: RFC 3339 in UTC with exactly three digits of milliseconds.
type Time struct{ time.Time }

// TimeLayout is the one layout times are written in.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// MarshalJSON writes the moment in [TimeLayout], in UTC.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.UTC().Format(TimeLayout) + `"`), nil
}

// UnmarshalJSON reads any RFC 3339 moment and keeps it in UTC.
func (t *Time) UnmarshalJSON(raw []byte) error {
	var std time.Time
	if err := std.UnmarshalJSON(raw); err != nil {
		return err
	}
	t.Time = std.UTC()
	return nil
}

// TimePtr is a helper for optional times: nil for the zero time.
func TimePtr(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	return &Time{Time: t.UTC()}
}
