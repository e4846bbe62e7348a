package refund

import (
	"context"
	"errors"
	"fmt"
	"time"

	"refundworker/schemas"
)

// detailInReview is what is filed of a review that is told again: why it began is in its first dead letter.
const detailInReview = "in review: only evidence closes it"

// publishFinal publishes a terminal outcome's bytes; out is what they say, and memo is the record's.
func (p *Processor) publishFinal(ctx context.Context, in input, out schemas.Outcome, value []byte, memo schemas.Memo, replayed bool) error {
	headers := append(schemas.OutcomeHeaders(out, schemas.FinalEventID(out.RequestID), p.cfg.Source), memo.Headers()...)
	if replayed {
		headers = append(headers, schemas.Header{Key: schemas.HeaderReplayed, Value: []byte("1")})
	}
	return p.publish(ctx, in, Event{Channel: Results, Key: []byte(out.RequestID), Value: value, Headers: headers})
}

// publishStored answers a duplicate with the outcome that was stored first, byte for byte. The memo is empty where it is
// not known whether the outcome is this command's.
func (p *Processor) publishStored(ctx context.Context, in input, value []byte, memo schemas.Memo) error {
	if len(value) == 0 {
		p.log.Warn().Str("request_id", in.cmd.RequestID).Msg("settled before, and its outcome's bytes have expired: nothing to publish")
		return nil
	}
	out, err := schemas.DecodeOutcome(value)
	if err != nil {
		return fmt.Errorf("publish %s: the stored outcome cannot be read: %w", in.cmd.RequestID, err)
	}
	passOf(ctx).told(out.Status, out.Code)
	p.log.Debug().Str("request_id", in.cmd.RequestID).Msg("settled before; publishing the stored outcome")
	return p.publishFinal(ctx, in, out, value, memo, true)
}

// publishWait writes the retry copy and, when the reason is new, the retry-pending event beside it.
func (p *Processor) publishWait(ctx context.Context, in input, rec Record, r Result, tell bool) error {
	events := []Event{p.copyOf(in, rec)}
	if tell {
		progress, err := p.progress(in, rec, decision{
			next: nextWait, status: schemas.RetryPending, code: rec.Code, result: r, attempt: rec.Attempt, maybeSent: rec.MaybeSent,
		})
		if err != nil {
			return err
		}
		events = append(events, progress)
	}
	return p.publish(ctx, in, events...)
}

// asStored publishes again what a record stands for, with the command that put it there: a duplicate has an origin of its
// own, and may have other metadata, and one event ID must not get two meanings. Where the record has moved on meanwhile,
// the request has to be looked at again. Where no command is stored, which is a request whose owners died before it ever
// waited, each message tells what it knows under an ID of its own.
func (p *Processor) asStored(ctx context.Context, in input, c claimed, publish func(input, Record) error) (done bool, err error) {
	sight, err := untilAvailable(ctx, p, "look", func(ctx context.Context) (Sight, error) { return p.store.Look(ctx, in.cmd.RequestID) })
	if err != nil {
		return true, fmt.Errorf("look at %s: %w", in.cmd.RequestID, err)
	}
	open := sight.State == SightWaiting || sight.State == SightReview
	if !open || sight.Record.Token != c.Record.Token || sight.Record.Hop != c.Record.Hop {
		return false, nil
	}
	if sight.Message == nil {
		rec := c.Record
		rec.Token += "/" + in.state.Origin.String()
		return true, publish(in, rec)
	}
	state := in.state
	state.Origin = sight.Message.place()
	stored, err := input{msg: *sight.Message, state: state}.decode()
	if err != nil {
		return true, fmt.Errorf("read the stored command of %s: %w", in.cmd.RequestID, err)
	}
	return true, publish(stored, c.Record)
}

// publishReview tells that only evidence closes the request, and files it where people look.
func (p *Processor) publishReview(ctx context.Context, in input, rec Record, r Result) error {
	progress, err := p.progress(in, rec, decision{
		next: nextReview, status: schemas.RetryPending, code: schemas.CodeNeedsReview, result: r, attempt: rec.Attempt, maybeSent: true,
	})
	if err != nil {
		return err
	}
	p.log.Error().Str("request_id", in.cmd.RequestID).Str("account", rec.Account).Str("alarm", "review").
		Str("detail", r.Detail).Msg("the request needs a person's look")
	return p.publish(ctx, in, p.deadLetter(in, schemas.CodeNeedsReview, "unresolved: "+r.Detail), progress)
}

func (p *Processor) progress(in input, rec Record, d decision) (Event, error) {
	out := p.outcome(in, rec, d, rec.Hop)
	value, err := encode(out)
	if err != nil {
		return Event{}, fmt.Errorf("publish %s: %w", in.cmd.RequestID, err)
	}
	memo := in.memo(rec)
	memo.GatewayKey = rec.GatewayKey
	headers := schemas.OutcomeHeaders(out, schemas.ProgressEventID(out.RequestID, rec.Hop, rec.Token), p.cfg.Source)
	return Event{Channel: Results, Key: []byte(out.RequestID), Value: value, Headers: append(headers, memo.Headers()...)}, nil
}

// copyOf is the retry copy of a waiting record: the command's own bytes with the record's state in the headers.
func (p *Processor) copyOf(in input, rec Record) Event {
	state := schemas.RetryState{
		Hop: rec.Hop, Attempt: rec.Attempt, Due: rec.Due, FirstSeen: rec.FirstSeen, Origin: in.state.Origin,
		MaybeSent: rec.MaybeSent, Account: rec.Account, GatewayKey: rec.GatewayKey,
	}
	return p.retryEvent(in, state, p.cfg.Policy.tierFor(time.Until(rec.Due)))
}

func (p *Processor) retryEvent(in input, state schemas.RetryState, tier time.Duration) Event {
	return Event{
		Channel: Retry, Tier: tier, Key: in.msg.Key, Value: in.msg.Value,
		Headers: append(in.foreignHeaders(), state.Headers()...),
	}
}

// park puts a message aside that this build cannot take, without touching any record: whatever state it carries, it
// carries on.
func (p *Processor) park(ctx context.Context, in input, reason string) error {
	p.metrics.parked.WithLabelValues(reason).Inc()
	now := time.Now()
	tier := p.cfg.Policy.parkTier()
	state := in.state
	state.Due, state.FirstSeen = now.Add(tier), in.firstSeen(now)
	return p.publish(ctx, in, p.retryEvent(in, state, tier))
}

// reject says that the message is no command we can take, and files its bytes. It never touches a record. The event's ID
// is the place of the message itself: a copy and its command may both be rejected, each at its time.
func (p *Processor) reject(ctx context.Context, in input, cause error) error {
	var fault *schemas.DecodeError
	if !errors.As(cause, &fault) {
		return fmt.Errorf("read %s: %w", in.state.Origin, cause)
	}
	passOf(ctx).rejected(fault)
	p.metrics.rejected.WithLabelValues(string(fault.Code)).Inc()
	p.log.Warn().Str("request_id", fault.RequestID).Stringer("origin", in.state.Origin).Str("code", string(fault.Code)).
		Str("pointer", fault.Pointer).Str("detail", fault.Detail).Msg("command rejected")
	rejection := schemas.Rejection{
		SchemaVersion: schemas.RejectionVersion, RequestID: fault.RequestID, Code: fault.Code, Detail: fault.Detail,
		Pointer: fault.Pointer, Origin: in.state.Origin, OccurredAt: schemas.Time{Time: in.arrived()},
	}
	value, err := schemas.EncodeRejection(rejection)
	if err != nil {
		return fmt.Errorf("reject %s: %w", in.state.Origin, err)
	}
	key := fault.RequestID
	if key == "" {
		key = in.state.Origin.String()
	}
	return p.publish(ctx, in,
		p.deadLetter(in, fault.Code, fault.Detail),
		Event{
			Channel: Results, Key: []byte(key), Value: value,
			Headers: schemas.RejectionHeaders(rejection, in.msg.place(), p.cfg.Source),
		})
}

// deadLetter keeps the message's bytes, key and headers as they came, and says why and from where.
func (p *Processor) deadLetter(in input, cause schemas.Code, detail string) Event {
	headers := make([]schemas.Header, 0, len(in.msg.Headers)+3)
	for _, h := range in.msg.Headers {
		switch h.Key {
		case schemas.HeaderCause, schemas.HeaderDetail, schemas.HeaderOrigin:
			// Ours replace what a retry copy, or a dead letter that was sent in again, has of them already.
		default:
			headers = append(headers, h)
		}
	}
	return Event{
		Channel: DeadLetters, Key: in.msg.Key, Value: in.msg.Value,
		Headers: append(headers,
			schemas.Header{Key: schemas.HeaderCause, Value: []byte(cause)},
			schemas.Header{Key: schemas.HeaderDetail, Value: []byte(detail)},
			schemas.Header{Key: schemas.HeaderOrigin, Value: []byte(in.state.Origin.String())}),
	}
}
