package schemas

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
)

// SignalVersion is the version of signals this build writes and the newest it reads.
const SignalVersion = 1

// MaxNotificationBytes is the largest body of a gateway's notification that a signal carries.
const MaxNotificationBytes = 64 << 10

// SignalKind says what a signal brings.
type SignalKind string

// The kinds.
const (
	// SignalNotification: a gateway's own message about the refund.
	SignalNotification SignalKind = "notification"
	// SignalRedrive: the request is open and nobody looked at it in time.
	SignalRedrive SignalKind = "redrive"
)

// Signal is a refund.signal.v1 message: something happened to a refund outside of its command and its retry copies.
// Whoever learns of it writes a signal and touches no record; a worker that reads it acts by the rules of any message.
type Signal struct {
	SchemaVersion int        `json:"schemaVersion"`
	RequestID     string     `json:"requestId"`
	Kind          SignalKind `json:"kind"`
	// Notification is there with [SignalNotification] only.
	Notification *Notification `json:"notification,omitempty"`
	OccurredAt   Time          `json:"occurredAt"`
}

// Notification is a gateway's message as it came over the wire: all that its signature covers, so that whoever acts on
// it can verify it, and need not trust whoever wrote the signal.
type Notification struct {
	Gateway Gateway `json:"gateway"`
	// Account is the account at whose address it arrived.
	Account string `json:"account"`
	// Path is path and query, as in the request line.
	Path string `json:"path"`
	// Headers are the ones that the signature needs, by their names in small letters.
	Headers map[string]string `json:"headers"`
	// Body is at most [MaxNotificationBytes].
	Body []byte `json:"body"`
}

// EncodeSignal writes a signal. A zero SchemaVersion means [SignalVersion]. The error wraps a *[DecodeError] with
// pointer, because what an outsider sent can break the schema.
func EncodeSignal(s Signal) ([]byte, error) {
	if s.SchemaVersion == 0 {
		s.SchemaVersion = SignalVersion
	}
	raw, err := json.Marshal(&s)
	if err != nil {
		return nil, fmt.Errorf("encode signal of %q: %w", s.RequestID, err)
	}
	if _, err := DecodeSignal(raw); err != nil {
		return nil, fmt.Errorf("encode signal of %q: %w", s.RequestID, err)
	}
	return raw, nil
}

// DecodeSignal reads a signal by the rules of signal.schema.json, otherwise as [DecodeOutcome].
func DecodeSignal(raw []byte) (Signal, error) {
	root, e := parseEvent(raw, SignalVersion)
	if e != nil {
		return Signal{}, e
	}
	if err := validate(SignalSchema, root.tree()); err != nil {
		return Signal{}, err
	}
	// The schema has judged; the rules here only have to let pass what it let pass.
	r := fieldReader{object: &root}
	s := Signal{
		SchemaVersion: r.version(SignalVersion),
		RequestID:     r.text("requestId", required, anyText()),
		Kind:          SignalKind(r.text("kind", required, anyText())),
	}
	if at := r.time("occurredAt", required); at != nil {
		s.OccurredAt = *at
	}
	if s.Kind == SignalNotification {
		var n Notification
		r.nested("notification", required, func(in *fieldReader) { n = readNotification(in) })
		s.Notification = &n
	}
	if r.fault != nil {
		return Signal{}, refuse(CodeSchemaViolation, r.fault)
	}
	return s, nil
}

func readNotification(in *fieldReader) Notification {
	n := Notification{
		Gateway: Gateway(in.text("gateway", required, anyText())),
		Account: in.text("account", required, anyText()),
		Path:    in.text("path", required, anyText()),
		Headers: in.texts("headers"),
	}
	text := in.text("body", required, anyText())
	body, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		in.fail("body", "base64 with padding is needed")
	}
	if len(body) > MaxNotificationBytes {
		in.fail("body", fmt.Sprintf("the notification has %d bytes, the limit is %d", len(body), MaxNotificationBytes))
	}
	n.Body = body
	return n
}

// SignalHeaders are the headers of a signal. A notification that a gateway sends again has the event ID of the first:
// its ID is made of what was sent, and a redrive's of its time.
func SignalHeaders(s Signal, source string) []Header {
	id := strconv.FormatInt(s.OccurredAt.UnixMilli(), 10)
	if n := s.Notification; n != nil {
		sum := sha256.Sum256(n.Body)
		id = hex.EncodeToString(sum[:16])
	}
	return eventHeaders(TypeSignal, s.RequestID+"/"+string(s.Kind)+"/"+id, source, s.RequestID, s.OccurredAt)
}
