package refund

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"

	"refundworker/schemas"
)

// Processor takes messages one at a time and brings each to its end. It is safe for concurrent use: the store's claims
// and leases keep two passes of one request or one payment apart, in this process as between processes.
type Processor struct {
	cfg       Config
	accounts  accounts
	store     store
	publisher publisher
	log       zerolog.Logger
	metrics   *Metrics
}

// New checks the configuration; it does no I/O.
func New(cfg Config, accounts accounts, store store, publisher publisher, log zerolog.Logger, metrics *Metrics) (*Processor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("refund: %w", err)
	}
	return &Processor{cfg: cfg, accounts: accounts, store: store, publisher: publisher, log: log, metrics: metrics}, nil
}

// errPanic marks a pass that panicked outside a gateway call; the message is tried again.
var errPanic = errors.New("panic")

// survive is deferred around the handling of a message: a panic is an error of this message, never the worker's end.
func (p *Processor) survive(m Message, err *error) {
	if v := recover(); v != nil {
		p.metrics.panics.Inc()
		p.log.Error().Str("topic", m.Topic).Int("partition", m.Partition).Int64("offset", m.Offset).
			Interface("panic", v).Bytes("stack", debug.Stack()).Msg("panic while handling a message; it is tried again")
		*err = fmt.Errorf("handle %s: %w", m.place(), errPanic)
	}
}

// process does the work of a command or a copy. readErr is what reading it came to.
func (p *Processor) process(ctx context.Context, in *input, readErr error, permit Permit) (err error) {
	if readErr == nil {
		if err := p.permitted(in, permit); err != nil {
			return err
		}
	}
	ctx, whole := p.startPass(ctx, in.msg, in.msg.Headers)
	defer func() { whole.end(ctx, err) }()
	defer p.survive(in.msg, &err)

	in.msg.Headers = p.adopt(ctx, in.msg.Headers)
	switch {
	case errors.Is(readErr, schemas.ErrNewerVersion):
		p.log.Error().Str("topic", in.msg.Topic).Int64("offset", in.msg.Offset).Str("alarm", "newer-schema").
			Msg("the command's schema version is newer than this build knows: parked; deploy the newer build")
		return p.park(ctx, *in, "newer-schema")
	case readErr != nil:
		return p.reject(ctx, *in, readErr)
	}
	return p.pass(ctx, in, permit)
}

// safeRead turns a panic of a decoder into a refusal of the message: the same bytes would panic again for ever.
func (p *Processor) safeRead(m Message, read func() (input, error)) (in input, err error) {
	defer func() {
		if v := recover(); v != nil {
			p.metrics.panics.Inc()
			p.log.Error().Str("topic", m.Topic).Int("partition", m.Partition).Int64("offset", m.Offset).
				Interface("panic", v).Bytes("stack", debug.Stack()).Msg("panic while decoding a message; it is filed")
			in = input{msg: m, state: schemas.RetryState{Origin: m.place()}}
			err = &schemas.DecodeError{Code: schemas.CodeUnreadable, Detail: "the decoder panicked on this message; see the worker's log"}
		}
	}()
	return read()
}

// permitted is a *NotYetError where the pass needs another account's permit: the one that is frozen at the first claim is
// not always the one that the message names.
func (p *Processor) permitted(in *input, permit Permit) error {
	acct, err := p.accounts.Account(in.cmd.Gateway, in.accountName())
	if err != nil || acct.ID() == permit.Account {
		return nil //nolint:nilerr // the pass parks what names an unknown account
	}
	return &NotYetError{RequestID: in.cmd.RequestID, Account: acct.ID()}
}

// pass makes one pass over the request, in its span.
func (p *Processor) pass(ctx context.Context, in *input, permit Permit) error {
	passOf(ctx).read(*in)
	done, err := p.attempt(ctx, in, permit)
	if !done && err == nil {
		return &NotYetError{RequestID: in.cmd.RequestID}
	}
	return err
}

// attempt claims the request and acts on what the claim found. It returns done=false without an error when the claim was
// lost to another owner and the request has to be looked at again.
func (p *Processor) attempt(ctx context.Context, message *input, permit Permit) (done bool, err error) {
	in := *message
	acct, err := p.accounts.Account(in.cmd.Gateway, in.accountName())
	if err != nil {
		return true, p.parkUnknownAccount(ctx, in, in.accountName(), err)
	}
	passOf(ctx).account(acct)
	c, err := p.claim(ctx, in, acct)
	if err != nil {
		return true, err
	}
	if c.Status != ClaimGranted {
		permit.FreeFunc()
	}
	if in.signal != nil && c.Status != ClaimGranted {
		return p.signalOvertaken(ctx, in, c)
	}
	switch c.Status {
	case ClaimGranted:
		return p.granted(ctx, message, acct, c, permit)
	case ClaimSettled:
		p.metrics.duplicates.WithLabelValues(duplicateSettled).Inc()
		return true, p.publishStored(ctx, in, c.Outcome, in.memo(c.Record))
	case ClaimTombstone:
		p.metrics.duplicates.WithLabelValues(duplicateTombstone).Inc()
		return true, p.reject(ctx, in, &schemas.DecodeError{
			Code: schemas.CodeAlreadySettled, RequestID: in.cmd.RequestID,
			Detail: fmt.Sprintf("the request is settled as %s (%s) and its outcome's bytes have expired", c.Settled.Status, c.Settled.Code),
		})
	case ClaimConflict:
		p.metrics.duplicates.WithLabelValues(duplicateConflict).Inc()
		return true, p.reject(ctx, in, &schemas.DecodeError{
			Code: schemas.CodeRequestIDConflict, RequestID: in.cmd.RequestID, Pointer: "/requestId",
			Detail: "the request ID is known with other content; the first command stands, send this one under its own request ID",
		})
	case ClaimSuperseded:
		p.metrics.duplicates.WithLabelValues(duplicateSuperseded).Inc()
		p.log.Debug().Str("request_id", in.cmd.RequestID).Int("hop", in.state.Hop).Msg("superseded copy dropped")
		return true, nil
	case ClaimRewrite:
		p.metrics.duplicates.WithLabelValues(duplicateWaiting).Inc()
		return p.asStored(ctx, in, c, func(in input, rec Record) error { return p.publishWait(ctx, in, rec, Result{}, true) })
	case ClaimInReview:
		return p.asStored(ctx, in, c, func(in input, rec Record) error {
			return p.publishReview(ctx, in, rec, Result{Detail: detailInReview})
		})
	case ClaimUnknownVersion:
		p.log.Error().Str("request_id", in.cmd.RequestID).Str("alarm", "newer-record").
			Msg("the record was written by a newer build: parked; deploy the newer build")
		return true, p.park(ctx, in, "newer-record")
	case ClaimBusy, ClaimPaymentBusy, ClaimInvalid:
	}
	return true, fmt.Errorf("claim %s: the store answered with status %d, which nothing here handles", in.cmd.RequestID, c.Status)
}

// claimed is a granted claim with all that a pass needs.
type claimed struct {
	Claim
	request ClaimRequest
	// started is when this pass asked for the claim, by this process's clock.
	started time.Time
}

// claim asks for the request, and for its payment. The error is a *NotYetError while somebody else holds one of them; an
// unreachable store is waited for.
func (p *Processor) claim(ctx context.Context, in input, acct Account) (_ claimed, err error) {
	ctx, step := p.startStep(ctx, stepClaim)
	defer func() { step.end(ctx, err) }()
	if ctx.Err() != nil {
		return claimed{}, fmt.Errorf("claim %s: %w", in.cmd.RequestID, context.Cause(ctx))
	}
	started := time.Now()
	req := ClaimRequest{
		RequestID:    in.cmd.RequestID,
		Token:        rand.Text(),
		Lease:        p.cfg.Lease,
		Fingerprints: fingerprints(in.cmd),
		Account:      acct.Name,
		GatewayKey:   acct.KeyFunc(in.cmd.RequestID),
		Payment:      in.payment(),
		Hop:          in.state.Hop,
		Copy:         in.claimedBefore(),
		Signal:       in.signal != nil,
		Attempt:      in.state.Attempt,
		FirstSeen:    in.firstSeen(started),
		Via:          in.via(),
	}
	if in.state.GatewayKey != "" {
		req.GatewayKey = in.state.GatewayKey
	}
	c, err := untilAvailable(ctx, p, "claim", func(ctx context.Context) (Claim, error) {
		// A repeat under the same token renews the lease, so the pass's time begins with the call that is answered.
		started = time.Now()
		// An answer that is on its way is waited for also when ctx ends, so that what was granted can be given back: a
		// claim that nobody knows of is one whose pass may have sent.
		ctx, stop := p.outlive(ctx)
		defer stop()
		return p.store.Claim(ctx, req)
	})
	if err != nil {
		return claimed{}, fmt.Errorf("claim %s: %w", in.cmd.RequestID, err)
	}
	pause, err := p.holdup(ctx, in, c)
	if err != nil {
		return claimed{}, fmt.Errorf("claim %s: %w", in.cmd.RequestID, err)
	}
	if pause > 0 {
		p.metrics.busy.WithLabelValues(busyLabel(c.Status)).Inc()
		return claimed{}, &NotYetError{RequestID: in.cmd.RequestID, In: pause}
	}
	return claimed{Claim: c, request: req, started: started}, nil
}

// leastPause is between two claims of a request that is held.
const leastPause = 10 * time.Millisecond

// holdup is how long to wait before the request is claimed again; 0 where the claim is an answer.
func (p *Processor) holdup(ctx context.Context, in input, c Claim) (time.Duration, error) {
	switch c.Status {
	case ClaimBusy:
		return max(min(c.RetryIn, time.Second), leastPause), nil
	case ClaimPaymentBusy:
		return max(min(c.RetryIn, 100*time.Millisecond), leastPause), nil
	case ClaimConflict:
		return p.undecided(ctx, in.cmd.RequestID)
	case ClaimInvalid, ClaimGranted, ClaimSettled, ClaimTombstone, ClaimSuperseded, ClaimRewrite, ClaimInReview,
		ClaimUnknownVersion:
	}
	return 0, nil
}

// undecided is how long to wait before a conflict is believed: while the very first pass of the other command runs. One
// that is given back unused leaves no record, and then this command may be the first, though it was rejected.
func (p *Processor) undecided(ctx context.Context, requestID string) (time.Duration, error) {
	sight, err := untilAvailable(ctx, p, "look", func(ctx context.Context) (Sight, error) { return p.store.Look(ctx, requestID) })
	switch {
	case err != nil:
		return 0, err
	case sight.State == SightAbsent:
		return leastPause, nil
	case sight.State == SightClaimed && sight.Message == nil:
		return min(sight.LeaseLeft, time.Second), nil
	}
	return 0, nil
}

func (p *Processor) parkUnknownAccount(ctx context.Context, in input, name string, cause error) error {
	p.log.Error().Str("request_id", in.cmd.RequestID).Str("gateway", string(in.cmd.Gateway)).Str("account", name).
		Err(cause).Str("alarm", "unknown-account").Msg("parked; configure the account")
	return p.park(ctx, in, "unknown-account")
}
