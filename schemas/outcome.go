package schemas

import "strconv"

// Status is what an outcome says about a refund.
type Status string

// The statuses. Only the first two are final.
const (
	Success      Status = "success"
	Failed       Status = "failed"
	RetryPending Status = "retry-pending"
)

// Origin is where a command was read first.
type Origin struct {
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`
}

// String is the wire form used in headers and event IDs: topic/partition/offset.
func (o Origin) String() string {
	return o.Topic + "/" + strconv.Itoa(o.Partition) + "/" + strconv.FormatInt(o.Offset, 10)
}

// Quote is the exchange rate a gateway settled at. Pair and price are the gateway's text, unchanged.
type Quote struct {
	CurrencyPair string `json:"currencyPair"`
	Price        string `json:"price"`
	ID           string `json:"id,omitempty"`
}

// Settlement is what the gateway takes from the merchant when it settles in another currency.
type Settlement struct {
	Amount *Money `json:"amount,omitempty"`
	Quote  *Quote `json:"quote,omitempty"`
}

// Outcome is a refund.outcome.v1 event. Field by field meaning: docs/contract.md.
type Outcome struct {
	SchemaVersion   int               `json:"schemaVersion"`
	RequestID       string            `json:"requestId"`
	Status          Status            `json:"status"`
	Final           bool              `json:"final"`
	NeedsReview     bool              `json:"needsReview"`
	Code            Code              `json:"code"`
	Gateway         Gateway           `json:"gateway"`
	Account         string            `json:"account"`
	PaymentID       string            `json:"paymentId"`
	Amount          Money             `json:"amount"`
	RefundedAmount  *Money            `json:"refundedAmount,omitempty"`
	GatewayRefundID string            `json:"gatewayRefundId,omitempty"`
	GatewayCode     string            `json:"gatewayCode,omitempty"`
	GatewayMessage  string            `json:"gatewayMessage,omitempty"`
	RefundTime      *Time             `json:"refundTime,omitempty"`
	Settlement      *Settlement       `json:"settlement,omitempty"`
	Attempt         int               `json:"attempt"`
	Hop             int               `json:"hop"`
	NextAttemptAt   *Time             `json:"nextAttemptAt"`
	GiveUpAt        *Time             `json:"giveUpAt"`
	Origin          Origin            `json:"origin"`
	BatchID         string            `json:"batchId,omitempty"`
	Metadata        map[string]string `json:"metadata,omitempty"`
	OccurredAt      Time              `json:"occurredAt"`
}

// Rejection is a refund.command-rejected.v1 event: the message could not be taken as a command, or conflicts with a
// request that is already known. It never settles a request.
type Rejection struct {
	SchemaVersion int    `json:"schemaVersion"`
	RequestID     string `json:"requestId,omitempty"`
	Code          Code   `json:"code"`
	Detail        string `json:"detail"`
	// Pointer is the JSON pointer of the field at fault, where there is one.
	Pointer string `json:"pointer,omitempty"`
	Origin  Origin `json:"origin"`
	// OccurredAt is when the message was appended to its topic, so that a repeated rejection is the same bytes.
	OccurredAt Time `json:"occurredAt"`
}

// FinalEventID is the event ID of every terminal outcome of a request.
func FinalEventID(requestID string) string { return requestID + "/final" }

// ProgressEventID is the event ID of a retry-pending outcome. The claim token makes it unique even after the record
// was lost and the hops began again.
func ProgressEventID(requestID string, hop int, claimToken string) string {
	return requestID + "/" + strconv.Itoa(hop) + "/" + claimToken
}
