package schemas

import "fmt"

// Header is one Kafka message header.
type Header struct {
	Key   string
	Value []byte
}

// Header keys of the contract. CloudEvents 1.0 Kafka binding, binary mode, plus our own.
const (
	HeaderContentType = "content-type"
	HeaderTraceparent = "traceparent"
	HeaderTracestate  = "tracestate"

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
	// HeaderFingerprint stands only on outcomes; see [Memo].
	HeaderFingerprint = "refund-fingerprint"

	HeaderCause  = "refund-cause"
	HeaderDetail = "refund-detail"
)

// Event types.
const (
	TypeOutcome  = "refund.outcome.v1"
	TypeRejected = "refund.command-rejected.v1"
	TypeSignal   = "refund.signal.v1"
)

// Values that headers of the contract have.
const (
	ContentTypeJSON = "application/json"
	// SpecVersion is the version of CloudEvents.
	SpecVersion = "1.0"
	// HeaderSet is the one value of headers that are there or not: refund-maybe-sent and refund-replayed.
	HeaderSet = "1"
)

// Limits of the headers of a message that a producer wrote. Copies and dead letters carry those headers and our own,
// and are not held to them.
const (
	MaxHeaders = 64
	// MaxHeaderBytes is the most that all keys and values may have together.
	MaxHeaderBytes = 16 << 10
)

// CheckHeaders holds a command's headers to [MaxHeaders] and [MaxHeaderBytes], so that its copies and its dead letter
// always fit their topics. The error is a *[DecodeError] with TOO_LARGE, without a request ID.
func CheckHeaders(hs []Header) error {
	if len(hs) > MaxHeaders {
		return &DecodeError{
			Code:   CodeTooLarge,
			Detail: fmt.Sprintf("the message has %d headers, the limit is %d", len(hs), MaxHeaders),
		}
	}
	size := 0
	for i := range hs {
		size += len(hs[i].Key) + len(hs[i].Value)
	}
	if size > MaxHeaderBytes {
		return &DecodeError{
			Code:   CodeTooLarge,
			Detail: fmt.Sprintf("the message's headers have %d bytes, the limit is %d", size, MaxHeaderBytes),
		}
	}
	return nil
}

// HeaderValue is the value of the first header with the key; false when there is none.
func HeaderValue(hs []Header, key string) ([]byte, bool) {
	for i := range hs {
		if hs[i].Key == key {
			return hs[i].Value, true
		}
	}
	return nil, false
}

// TraceHeaders are the W3C trace context of a message (https://www.w3.org/TR/trace-context/): the first traceparent and,
// beside it, the first tracestate. Without a traceparent there is none.
func TraceHeaders(hs []Header) []Header {
	parent, found := HeaderValue(hs, HeaderTraceparent)
	if !found || len(parent) == 0 {
		return nil
	}
	context := []Header{{HeaderTraceparent, parent}}
	if state, found := HeaderValue(hs, HeaderTracestate); found && len(state) > 0 {
		context = append(context, Header{HeaderTracestate, state})
	}
	return context
}

// WithoutTraceHeaders are the headers without any trace context.
func WithoutTraceHeaders(hs []Header) []Header {
	kept := make([]Header, 0, len(hs))
	for _, h := range hs {
		if h.Key != HeaderTraceparent && h.Key != HeaderTracestate {
			kept = append(kept, h)
		}
	}
	return kept
}

// OutcomeHeaders are the headers of an outcome event: CloudEvents 1.0 in Kafka's binary mode. The event ID is
// [FinalEventID] or [ProgressEventID]; the source is a URI reference that names this worker's deployment. A trace context
// is appended by whoever publishes.
func OutcomeHeaders(o Outcome, eventID, source string) []Header {
	return eventHeaders(TypeOutcome, eventID, source, o.RequestID, o.OccurredAt)
}

// RejectionHeaders are the headers of a rejection event. Its ID is the place of the rejected message, which is not the
// command's origin where a retry copy is rejected; its subject is the request ID where one could be read.
func RejectionHeaders(r Rejection, message Origin, source string) []Header {
	return eventHeaders(TypeRejected, message.String(), source, r.RequestID, r.OccurredAt)
}

func eventHeaders(eventType, id, source, subject string, at Time) []Header {
	hs := make([]Header, 0, 9) // with room for a trace context
	hs = append(hs,
		Header{HeaderCESpecVersion, []byte(SpecVersion)},
		Header{HeaderCEID, []byte(id)},
		Header{HeaderCEType, []byte(eventType)},
		Header{HeaderCESource, []byte(source)},
		Header{HeaderCETime, at.UTC().AppendFormat(nil, TimeLayout)},
		Header{HeaderContentType, []byte(ContentTypeJSON)},
	)
	if subject != "" {
		hs = append(hs, Header{HeaderCESubject, []byte(subject)})
	}
	return hs
}
