package refund

import (
	"bytes"
	"strings"
	"time"

	"refundworker/schemas"
)

// input is a message that was read: the command with the state a retry copy carries (zero for a command).
type input struct {
	msg   Message
	cmd   schemas.Command
	state schemas.RetryState
	// sent: a pass of this message has sent and then lost its claim. If the record is gone as well, what comes next must
	// not look like a first send.
	sent bool
	// signal is what brought the request up, where that was neither its command nor a retry copy.
	signal *signal
}

func readCommand(m Message) (input, error) {
	in := input{msg: m, state: schemas.RetryState{Origin: m.place()}}
	if err := schemas.CheckHeaders(m.Headers); err != nil {
		return in, err
	}
	return in.decode()
}

// readCopy reads the state first, so that a refusal still names the command's origin. Headers are not counted again: a
// copy has more of them than the command was allowed, and it may have been sent.
func readCopy(m Message) (input, error) {
	in := input{msg: m}
	state, err := schemas.ParseRetryState(m.Headers)
	if err != nil {
		in.state.Origin = m.place()
		return in, &schemas.DecodeError{Code: schemas.CodeUnreadable, Detail: "retry copy: " + err.Error()}
	}
	in.state = state
	return in.decode()
}

func (in input) decode() (input, error) {
	cmd, err := schemas.DecodeCommand(in.msg.Value)
	in.cmd = cmd
	return in, err
}

// claimedBefore tells a message of a request that was worked on (a copy, or one that lost its claim after a send) from a
// command, and from a message that was parked before anybody claimed it.
func (in input) claimedBefore() bool { return in.state.Hop > 0 || in.sent || in.signal != nil }

// lost notes what a pass did that could not be stored.
func (in *input) lost(d decision) {
	if d.maybeSent {
		in.sent, in.state.Attempt = true, d.attempt
	}
}

// accountName is the account frozen at the first claim, as far as the message knows it, else the command's own.
func (in input) accountName() string {
	if in.state.Account != "" {
		return in.state.Account
	}
	return in.cmd.Account
}

// via names the message itself, as opposed to the command's origin.
func (in input) via() string {
	if in.signal != nil {
		return in.signal.place.String()
	}
	return in.msg.place().String()
}

// command is the command's own message, as it lay at its origin.
func (in input) command() Message {
	o := in.state.Origin
	return Message{
		Topic: o.Topic, Partition: o.Partition, Offset: o.Offset, Time: in.msg.Time, Key: in.msg.Key, Value: in.msg.Value,
		Headers: in.foreignHeaders(),
	}
}

func (in input) firstSeen(now time.Time) time.Time {
	if in.state.FirstSeen.IsZero() {
		return now
	}
	return in.state.FirstSeen
}

// arrived is the message's own time. A rejection carries it, so that one that is published again after a crash is the
// same bytes under the same event ID. Producers choose it, and some choose nonsense (microseconds for milliseconds):
// what no clock of ours can have shown is replaced by now.
func (in input) arrived() time.Time {
	if at := in.msg.Time.UTC(); at.Year() >= 2000 && at.Year() < 3000 {
		return at
	}
	return time.Now().UTC()
}

// expired says that the command's deadline has passed by the store's clock.
func (in input) expired(c Claim) bool {
	return in.cmd.Deadline != nil && c.Now.After(in.cmd.Deadline.Time)
}

func (in input) payment() PaymentRef {
	ref := PaymentRef{Gateway: in.cmd.Gateway, PaymentID: in.cmd.PaymentID, Minor: in.cmd.Amount.Minor}
	if in.cmd.OriginalAmount != nil {
		ref.OriginalMinor = in.cmd.OriginalAmount.Minor
	}
	return ref
}

// memo is what an event tells the workers themselves, should the store forget the record.
func (in input) memo(rec Record) schemas.Memo {
	newest := fingerprints(in.cmd)[0]
	return schemas.Memo{FingerprintVersion: newest.Version, FingerprintSum: newest.Sum, FirstSeen: rec.FirstSeen}
}

// request is what reaches the gateway, with what the record froze.
func (in input) request(c Claim) Request {
	rec := c.Record
	return Request{
		RequestID:         in.cmd.RequestID,
		GatewayKey:        rec.GatewayKey,
		PaymentID:         in.cmd.PaymentID,
		Amount:            in.cmd.Amount,
		Reason:            in.cmd.Reason,
		ReferenceRefundID: in.cmd.ReferenceRefundID,
		EftPay:            in.cmd.EftPay,
		GatewayRefundID:   rec.GatewayRefundID,
		ClaimedAt:         c.Now,
		OthersKnown:       c.OthersKnown,
	}
}

// foreignHeaders are the message's headers without the state that a worker wrote: what a copy and a dead letter keep.
func (in input) foreignHeaders() []schemas.Header {
	kept := make([]schemas.Header, 0, len(in.msg.Headers))
	for _, h := range in.msg.Headers {
		if !strings.HasPrefix(h.Key, "refund-") {
			kept = append(kept, schemas.Header{Key: h.Key, Value: bytes.Clone(h.Value)})
		}
	}
	return kept
}
