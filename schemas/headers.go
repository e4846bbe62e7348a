package schemas

import "time"

// Header is one Kafka message header.
type Header struct {
	Key   string
	Value []byte
}

// Header keys of the contract. CloudEvents 1.0 Kafka binding, binary mode, plus our own.
const (
	HeaderContentType = "content-type"
	HeaderTraceparent = "traceparent"

	HeaderCEID          = "ce_id"
	HeaderCEType        = "ce_type"
	HeaderCESource      = "ce_source"
	HeaderCESubject     = "ce_subject"
	HeaderCETime        = "ce_time"
	HeaderCESpecVersion = "ce_specversion"

	HeaderHop        = "refund-hop"
	HeaderAttempt    = "refund-attempt"
	HeaderDue        = "refund-due"
	HeaderFirstSeen  = "refund-first-seen"
	HeaderOrigin     = "refund-origin"
	HeaderMaybeSent  = "refund-maybe-sent"
	HeaderAccount    = "refund-account"
	HeaderGatewayKey = "refund-gateway-key"
	HeaderReplayed   = "refund-replayed"
	HeaderCause      = "refund-cause"
	HeaderDetail     = "refund-detail"
)

// Event types.
const (
	TypeOutcome  = "refund.outcome.v1"
	TypeRejected = "refund.command-rejected.v1"
)

// RetryState is what a retry copy carries beside the command's own bytes.
type RetryState struct {
	// Hop is the schedule generation: every copy into a tier raises it by one.
	Hop int
	// Attempt counts the passes that may have reached the gateway.
	Attempt int
	// Due is when the copy may be worked on; FirstSeen when the command was first read.
	Due, FirstSeen time.Time
	Origin         Origin
	// MaybeSent is sticky: true once a send was not provably unsent.
	MaybeSent bool
	// Account and GatewayKey are frozen at the first claim; empty on parked copies that were never claimed.
	Account, GatewayKey string
}
