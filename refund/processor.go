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

// Command brings a message of a commands topic to its end. It returns nil when the message is done: its outcome,
// rejection, retry copy or dead letter is acked by all in-sync replicas and the offset may be committed. An error means
// that it is not done; it must be handed in again.
//
// While the store or the broker is away, Command waits for them. When ctx ends before anything was sent to a gateway,
// it gives its claim back and returns at once; once something was sent, it finishes its calls and stores what it
// learned, bounded by the gateway timeout and Config.Grace.
func (p *Processor) Command(ctx context.Context, m Message) error {
	return p.process(ctx, m, func() (input, error) { return readCommand(m) })
}

// Copy is Command for messages of retry tiers: copies that a worker wrote, with the state in their headers.
func (p *Processor) Copy(ctx context.Context, m Message) error {
	return p.process(ctx, m, func() (input, error) { return readCopy(m) })
}

// survive is deferred around the handling of a message: a panic is an error of this message, never the worker's end.
func (p *Processor) survive(m Message, err *error) {
	if v := recover(); v != nil {
		p.metrics.panics.Inc()
		p.log.Error().Str("topic", m.Topic).Int("partition", m.Partition).Int64("offset", m.Offset).
			Interface("panic", v).Bytes("stack", debug.Stack()).Msg("panic while handling a message; it is tried again")
		*err = fmt.Errorf("handle %s: %w", m.place(), errPanic)
	}
}

func (p *Processor) process(ctx context.Context, m Message, read func() (input, error)) (err error) {
	ctx, whole := p.startPass(ctx, m, m.Headers)
	defer func() { whole.end(ctx, err) }()
	defer p.survive(m, &err)

	in, err := p.safeRead(m, read)
	in.msg.Headers = p.adopt(ctx, in.msg.Headers)
	switch {
	case errors.Is(err, schemas.ErrNewerVersion):
		p.log.Error().Str("topic", m.Topic).Int64("offset", m.Offset).Str("alarm", "newer-schema").
			Msg("the command's schema version is newer than this build knows: parked; deploy the newer build")
		return p.park(ctx, in, "newer-schema")
	case err != nil:
		return p.reject(ctx, in, err)
	}
	return p.passes(ctx, &in)
}

// passes repeats until one pass brings the message to its end.
func (p *Processor) passes(ctx context.Context, in *input) error {
	passOf(ctx).read(*in)
	for {
		done, err := p.pass(ctx, in)
		if done || err != nil {
			return err
		}
	}
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

// pass claims the request and acts on what the claim found. It returns done=false without an error when the claim was
// lost to another owner and the request has to be looked at again.
func (p *Processor) pass(ctx context.Context, message *input) (done bool, err error) {
	in := *message
	acct, err := p.accounts.Account(in.cmd.Gateway, in.accountName())
	if err != nil {
		return true, p.parkUnknownAccount(ctx, in, in.accountName(), err)
	}
	leave, err := acct.admit(ctx)
	if err != nil {
		return true, fmt.Errorf("admit %s: %w", in.cmd.RequestID, err)
	}
	defer leave()
	passOf(ctx).account(acct)
	c, err := p.claim(ctx, in, acct)
	if err != nil {
		return true, err
	}
	if in.signal != nil && c.Status != ClaimGranted {
		return p.signalOvertaken(ctx, in, c)
	}
	switch c.Status {
	case ClaimGranted:
		return p.granted(ctx, message, acct, c)
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

// claim asks until the request is granted or answered. Busy claims are waited for in place, so that commands of one
// partition keep their order; an unreachable store is waited for as well.
func (p *Processor) claim(ctx context.Context, in input, acct Account) (_ claimed, err error) {
	ctx, step := p.startStep(ctx, stepClaim)
	defer func() { step.end(ctx, err) }()
	for {
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
			return p.store.Claim(ctx, req)
		})
		if err != nil {
			return claimed{}, fmt.Errorf("claim %s: %w", in.cmd.RequestID, err)
		}
		pause, err := p.holdup(ctx, in, c)
		if err != nil {
			return claimed{}, fmt.Errorf("claim %s: %w", in.cmd.RequestID, err)
		}
		if pause == 0 {
			return claimed{Claim: c, request: req, started: started}, nil
		}
		p.metrics.busy.WithLabelValues(busyLabel(c.Status)).Inc()
		if err := pauseFor(ctx, pause); err != nil {
			return claimed{}, fmt.Errorf("wait for %s: %w", in.cmd.RequestID, err)
		}
	}
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
