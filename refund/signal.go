package refund

import (
	"context"
	"errors"
	"fmt"
	"time"

	"refundworker/schemas"
)

// signal is what brought a request up without its command or its retry copy.
type signal struct {
	kind schemas.SignalKind
	// place is where the signal was read.
	place schemas.Origin
	// told is what a verified notification proves; Unknown for a signal that brings no evidence.
	told Result
}

// notified says that the message brings evidence of its own.
func (in input) notified() bool { return in.signal != nil && in.signal.told.Verdict != Unknown }

// errNoNotifications is the fault of a notification for an account whose gateway sends none.
var errNoNotifications = errors.New("the account's gateway sends no notifications")

// errNoEvidence is the fault of a verified notification that proves nothing about the request.
var errNoEvidence = errors.New("the notification proves nothing about the request")

// signalWork is the work of a signal, from one call of its DoFunc to the next.
type signalWork struct {
	msg    Message
	signal schemas.Signal
	// fault is what reading the signal came to.
	fault error
	// begun is the pass that had to wait: it may have sent and lost its claim, and must not forget it.
	begun *input
}

// signal does the work of a signal.
func (p *Processor) signal(ctx context.Context, w *signalWork, permit Permit) (err error) {
	m, s := w.msg, w.signal
	defer p.survive(m, &err)
	if w.begun != nil {
		return p.signalPass(ctx, w, w.begun, permit)
	}
	if w.fault != nil {
		return p.fileSignal(ctx, m, "", signalRefused, fmt.Errorf("read signal: %w", w.fault))
	}
	sight, err := untilAvailable(ctx, p, "look", func(ctx context.Context) (Sight, error) { return p.store.Look(ctx, s.RequestID) })
	if err != nil {
		return fmt.Errorf("signal %s: %w", s.RequestID, err)
	}
	switch sight.State {
	case SightSettled:
		return p.signalSettled(ctx, m, s, sight.Outcome)
	case SightClaimed, SightWaiting, SightReview:
		if sight.Message != nil {
			return p.signalOpen(ctx, w, sight, permit)
		}
		if sight.State == SightClaimed && sight.LeaseLeft > 0 {
			// Its first pass is running; what it will wait with is what a signal works on.
			return &NotYetError{RequestID: s.RequestID, In: min(sight.LeaseLeft, time.Second)}
		}
		return p.signalWithoutCommand(ctx, m, s, sight)
	case SightTombstone:
		if err := p.announced(ctx, s.RequestID); err != nil {
			return err
		}
	case SightInvalid, SightAbsent, SightUnknownVersion:
	}
	p.signalled(s, signalNotOpen, "")
	return nil
}

// signalOpen makes a pass of an open request.
func (p *Processor) signalOpen(ctx context.Context, w *signalWork, sight Sight, permit Permit) (err error) {
	m, s, rec := w.msg, w.signal, sight.Record
	in := input{msg: *sight.Message, signal: &signal{kind: s.Kind, place: m.place()}, state: schemas.RetryState{
		Hop: rec.Hop, Attempt: rec.Attempt, FirstSeen: rec.FirstSeen, Origin: sight.Message.place(), MaybeSent: rec.MaybeSent,
		Account: rec.Account, GatewayKey: rec.GatewayKey,
	}}
	in, err = in.decode()
	if err != nil {
		return p.fileSignal(ctx, m, s.RequestID, signalRefused, fmt.Errorf("read the stored command: %w", err))
	}
	if sight.State == SightReview && rec.Via == in.via() {
		// A pass of this very signal put it there, and died before the signal was done: nobody may know yet.
		return p.publishReview(ctx, in, rec, Result{Detail: detailInReview})
	}
	if rec.Contradicted {
		p.signalled(s, signalContradicted, "evidence about the request contradicts itself: only a person closes it")
		return nil
	}
	if s.Notification != nil {
		req := in.request(Claim{Record: rec})
		if in.signal.told, err = p.told(*s.Notification, in.cmd.Gateway, rec.Account, req); err != nil {
			return p.fileSignal(ctx, m, s.RequestID, signalRefused, err)
		}
	} else if sight.State == SightWaiting {
		p.metrics.lapsed.Inc()
		p.log.Warn().Str("request_id", s.RequestID).Time("due", rec.Due).Int("hop", rec.Hop).Str("alarm", "lapsed").
			Msg("the promised attempt did not happen in time; its retry copy is late or lost")
	}
	return p.signalPass(ctx, w, &in, permit)
}

// signalPass makes one pass of the refund, so it is under its producer's span as well.
func (p *Processor) signalPass(ctx context.Context, w *signalWork, in *input, permit Permit) (err error) {
	w.begun = in
	defer func() {
		if _, held := errors.AsType[*NotYetError](err); !held {
			w.begun = nil
		}
	}()
	if err := p.permitted(in, permit); err != nil {
		return err
	}
	ctx, whole := p.startPass(ctx, w.msg, in.msg.Headers)
	defer func() { whole.end(ctx, err) }()
	defer p.survive(w.msg, &err)
	in.msg.Headers = p.adopt(ctx, in.msg.Headers)
	if err := p.pass(ctx, in, permit); err != nil {
		return err
	}
	p.signalled(w.signal, signalWorked, "")
	return nil
}

// told verifies a notification and says what it proves. Only proof of a success or a failure of this very refund is
// passed on; anything else is an error, and nothing happens.
func (p *Processor) told(n schemas.Notification, gateway schemas.Gateway, account string, req Request) (Result, error) {
	acct, err := p.accounts.Account(gateway, account)
	if err != nil {
		return Result{}, fmt.Errorf("notification: %w", err)
	}
	if acct.NotifiedFunc == nil || n.Gateway != gateway {
		return Result{}, fmt.Errorf("notification: account %s: %w", account, errNoNotifications)
	}
	res, err := acct.NotifiedFunc(n, req)
	if res.Alarm != NoAlarm {
		p.metrics.alarms.WithLabelValues(string(res.Alarm)).Inc()
	}
	if err != nil {
		return Result{}, fmt.Errorf("notification: %w", err)
	}
	if res.Review || res.Verdict != Succeeded && res.Verdict != Declined {
		return Result{}, fmt.Errorf("notification: %w: %s", errNoEvidence, res.Detail)
	}
	return res, nil
}

// ownOutcome is how much later than an outcome a signal may have been made by another clock, and still have led to it.
const ownOutcome = time.Minute

// signalSettled compares a notification with a stored outcome, which stands, whatever was told. And it publishes the
// outcome, because it may be a pass of this very signal that has stored it and died, or one whose claim had been lost. It
// does not for a notification that was made after it, or those that are sent again would repeat it without end.
func (p *Processor) signalSettled(ctx context.Context, m Message, s schemas.Signal, stored []byte) error {
	out, err := schemas.DecodeOutcome(stored)
	if err != nil {
		return fmt.Errorf("signal %s: the stored outcome cannot be read: %w", s.RequestID, err)
	}
	if s.Notification == nil || s.OccurredAt.Before(out.OccurredAt.Add(ownOutcome)) {
		in := input{msg: m, cmd: schemas.Command{RequestID: s.RequestID}}
		if err := p.publishStored(ctx, in, stored, schemas.Memo{}); err != nil {
			return fmt.Errorf("signal %s: %w", s.RequestID, err)
		}
		if err := p.announced(ctx, s.RequestID); err != nil {
			return err
		}
	}
	if s.Notification == nil {
		p.signalled(s, signalNotOpen, "")
		return nil
	}
	acct, err := p.accounts.Account(out.Gateway, out.Account)
	if err != nil {
		return p.fileSignal(ctx, m, s.RequestID, signalRefused, err)
	}
	told, err := p.told(*s.Notification, out.Gateway, out.Account, Request{
		RequestID: out.RequestID, GatewayKey: acct.KeyFunc(out.RequestID), PaymentID: out.PaymentID, Amount: out.Amount,
		GatewayRefundID: out.GatewayRefundID,
	})
	if err != nil {
		return p.fileSignal(ctx, m, s.RequestID, signalRefused, err)
	}
	if (told.Verdict == Succeeded) == (out.Status == schemas.Success) {
		p.signalled(s, signalNotOpen, "")
		return nil
	}
	return p.fileSignal(ctx, m, s.RequestID, signalContradicted, fmt.Errorf(
		"the gateway notifies %s (refund ID %s); the request was settled as %s (%s) before", told.Verdict, told.RefundID, out.Status, out.Code))
}

// announced tells the store that nobody has to be reminded of a settled request any more.
func (p *Processor) announced(ctx context.Context, requestID string) error {
	_, err := untilAvailable(ctx, p, "announced", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, p.store.Announced(ctx, requestID)
	})
	if err != nil {
		return fmt.Errorf("signal %s: %w", requestID, err)
	}
	return nil
}

// signalOvertaken ends a signal whose request was not claimed: it was settled in the meantime, is in review, or cannot be
// worked on by this build. Whoever settled it, or put it there, may have been a pass of this very signal. It returns
// done=false when the request has moved on again.
func (p *Processor) signalOvertaken(ctx context.Context, in input, c claimed) (done bool, err error) {
	if c.Status == ClaimInReview {
		return p.asStored(ctx, in, c, func(in input, rec Record) error {
			return p.publishReview(ctx, in, rec, Result{Detail: detailInReview})
		})
	}
	if c.Status == ClaimSettled {
		d := decision{result: in.signal.told}
		if in.signal.told.Verdict == Succeeded {
			d.status = schemas.Success
		}
		return true, errors.Join(p.contradiction(ctx, in, d, c.Outcome), p.publishStored(ctx, in, c.Outcome, in.memo(c.Record)))
	}
	p.log.Debug().Str("request_id", in.cmd.RequestID).Uint8("claim", uint8(c.Status)).Msg("the request was overtaken; the signal is done")
	return true, nil
}

// signalWithoutCommand ends a signal about a request that is open and whose command the store does not hold: nobody but
// the command's own message, or its dead letter, can bring it on.
func (p *Processor) signalWithoutCommand(ctx context.Context, m Message, s schemas.Signal, sight Sight) error {
	return p.fileSignal(ctx, m, s.RequestID, signalNoCommand, fmt.Errorf(
		"the request is open since %s (hop %d) and its command is not in the store; send the command again under its request ID",
		sight.Record.FirstSeen.Format(schemas.TimeLayout), sight.Record.Hop))
}

// fileSignal puts a signal that could not be used where a person finds it, with the reason.
func (p *Processor) fileSignal(ctx context.Context, m Message, requestID string, result string, cause error) (err error) {
	code := schemas.CodeNeedsReview
	if fault, ok := errors.AsType[*schemas.DecodeError](cause); ok {
		code = fault.Code
	}
	p.metrics.signals.WithLabelValues(result).Inc()
	p.log.Error().Str("request_id", requestID).Stringer("origin", m.place()).Str("alarm", "signal").Err(cause).
		Msg("a signal could not be used; it is filed and nothing was changed")
	in := input{msg: m, state: schemas.RetryState{Origin: m.place()}}
	ctx, whole := p.startPass(ctx, m, m.Headers)
	defer func() { whole.end(ctx, err) }()
	in.msg.Headers = p.adopt(ctx, m.Headers)
	passOf(ctx).rejected(&schemas.DecodeError{Code: code, RequestID: requestID})
	return p.publish(ctx, in, p.deadLetter(in, code, cause.Error()))
}

func (p *Processor) signalled(s schemas.Signal, result, detail string) {
	p.metrics.signals.WithLabelValues(result).Inc()
	p.log.Info().Str("request_id", s.RequestID).Str("kind", string(s.Kind)).Str("result", result).Str("detail", detail).Msg("signal")
}
