package schedules

import (
	"encoding/json"
	"strings"

	"refundworker/refund"
	"refundworker/schemas"
)

// results is what the results topic and the dead letters hold. Every event is judged when it is acked, by what is true
// then: a success before the money has moved is false, even if it moves later.
type results struct {
	bank *bank
	// meanings are what each event ID was first used for.
	meanings map[string]string
	// rejected are the origins of rejected messages, with their codes.
	rejected map[string]schemas.Code
	dead     []refund.Event
}

func (b *results) result(e refund.Event) {
	b.bank.mu.Lock()
	defer b.bank.mu.Unlock()
	id := header(e, schemas.HeaderCEID)
	says := string(e.Value)
	if header(e, schemas.HeaderCEType) == schemas.TypeRejected {
		rejection, err := schemas.DecodeRejection(e.Value)
		if err != nil {
			b.bank.fault(nil, "a rejection cannot be read: %v", err)
			return
		}
		b.bank.tally.add("rejected: " + string(rejection.Code))
		if b.rejected == nil {
			b.rejected = make(map[string]schemas.Code)
		}
		b.rejected[rejection.Origin.String()] = rejection.Code
		b.means(id, says, b.bank.requests[rejection.RequestID])
		return
	}
	out, err := schemas.DecodeOutcome(e.Value)
	if err != nil {
		b.bank.fault(nil, "an outcome cannot be read: %v", err)
		return
	}
	r := b.bank.requests[out.RequestID]
	if out.Final {
		b.means(id, says, r)
		b.final(r, out, e.Value, id)
		return
	}
	// A repeat after a crash is made from the record, which keeps the promise and not the gateway's words.
	out.OccurredAt, out.GatewayCode, out.GatewayMessage = schemas.Time{}, "", ""
	promise, err := json.Marshal(out)
	if err != nil {
		b.bank.fault(r, "%v", err)
	}
	b.means(id, string(promise), r)
	r.announced++
	if out.NeedsReview {
		r.reviews++
	}
	b.bank.tally.add("announced: " + string(out.Code))
}

// means holds an event ID to one meaning.
func (b *results) means(id, says string, r *request) {
	before, seen := b.meanings[id]
	if seen && before != says && (r == nil || !b.bank.excused(mayContradict, r)) {
		b.bank.fault(r, "event ID %s has two meanings:\n%s\n%s", id, before, says)
	}
	b.meanings[id] = says
}

func (b *results) final(r *request, out schemas.Outcome, value []byte, id string) {
	if id != schemas.FinalEventID(r.id) {
		b.bank.fault(r, "final outcome under the event ID %s", id)
	}
	if r.final != nil && string(r.final) != string(value) && !b.bank.excused(mayContradict, r) {
		b.bank.fault(r, "two final outcomes:\n%s\n%s", r.final, value)
	}
	if r.final == nil {
		b.bank.tally.add("final: " + string(out.Status) + " " + string(out.Code))
	}
	r.final, r.finalSays = value, out
	b.bank.truthful(r)
}

// truthful holds a published final outcome against what has happened.
func (b *bank) truthful(r *request) {
	out := r.finalSays
	switch out.Status {
	case schemas.Success:
		for _, m := range r.moves {
			if m.minor == out.Amount.Minor && m.payment == out.PaymentID {
				return
			}
		}
		if !b.excused(maySucceedFalsely, r) {
			b.fault(r, "success, and no such money has moved: %+v", r.moves)
		}
	case schemas.Failed:
		if len(r.moves) > 0 && !b.excused(mayFailThoughMoved, r) {
			b.fault(r, "failed (%s), and the money has moved: %+v", out.Code, r.moves)
		}
	case schemas.RetryPending:
		b.fault(r, "a final outcome that is retry-pending")
	}
}

func (b *results) deadLetter(e refund.Event) {
	b.bank.mu.Lock()
	defer b.bank.mu.Unlock()
	b.dead = append(b.dead, e)
	cause := header(e, schemas.HeaderCause)
	b.bank.tally.add("dead letter: " + cause)
	if r := b.bank.requests[requestOf(refund.Message{Value: e.Value})]; r != nil && cause == string(schemas.CodeNeedsReview) &&
		strings.HasPrefix(header(e, schemas.HeaderDetail), "unresolved: ") {
		r.filed++
	}
}

func header(e refund.Event, key string) string {
	value, _ := schemas.HeaderValue(e.Headers, key)
	return string(value)
}

// requestOf is the request ID that a message names.
func requestOf(m refund.Message) string {
	var named struct {
		RequestID string `json:"requestId"`
	}
	if json.Unmarshal(m.Value, &named) != nil {
		return ""
	}
	return named.RequestID
}
