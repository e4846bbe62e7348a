package refund

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"refundworker/schemas"
)

// settle stores the terminal outcome, then publishes what the store holds. Settle comes before publish, so that every
// publication of this request, by whomever, carries the same bytes.
func (p *Processor) settle(ctx context.Context, in input, c claimed, d decision) (done bool, err error) {
	ctx, stop := p.outlive(ctx)
	defer stop()

	out := p.outcome(in, c.Record, d, c.Record.Hop)
	value, err := encode(out)
	if err != nil {
		return true, fmt.Errorf("settle %s: %w", in.cmd.RequestID, err)
	}
	req := SettleRequest{
		RequestID: in.cmd.RequestID, Token: c.request.Token, Status: d.status, Code: d.code, Outcome: value,
		Proof: d.status == schemas.Success, Claim: c.request,
	}
	storing, step := p.startStep(ctx, stepSettle)
	settled, err := untilAvailable(storing, p, "settle", func(ctx context.Context) (Settled, error) { return p.store.Settle(ctx, req) })
	step.end(storing, err)
	if err != nil {
		return true, fmt.Errorf("settle %s: %w", in.cmd.RequestID, err)
	}
	if settled.Lost || !settled.Stored || settled.Outcome == nil {
		// Without an outcome it is a tombstone: the next claim finds it and says so.
		p.log.Warn().Str("request_id", in.cmd.RequestID).Msg("the request was taken over or settled before; looking again")
		return false, nil
	}
	if !bytes.Equal(settled.Outcome, value) {
		return true, errors.Join(p.contradiction(ctx, in, d, settled.Outcome), p.publishStored(ctx, in, settled.Outcome, schemas.Memo{}))
	}
	if err := p.publishFinal(ctx, in, out, value, in.memo(c.Record), false); err != nil {
		return true, err
	}
	p.settledLine(ctx, in, c, d)
	return true, nil
}

// contradiction tells a person that the gateway proved a success for a request that was settled otherwise before. The
// stored outcome stands: it has been published.
func (p *Processor) contradiction(ctx context.Context, in input, d decision, stored []byte) error {
	before, err := schemas.DecodeOutcome(stored)
	if d.status != schemas.Success || err != nil || before.Status == schemas.Success {
		return nil //nolint:nilerr // bytes that cannot be read are publishStored's error
	}
	detail := fmt.Sprintf("the gateway proves a success (refund ID %s); the request was settled as %s (%s) before",
		d.result.RefundID, before.Status, before.Code)
	p.metrics.alarms.WithLabelValues(string(AlarmMismatch)).Inc()
	p.log.Error().Str("request_id", in.cmd.RequestID).Str("alarm", string(AlarmMismatch)).Str("detail", detail).
		Msg("the money has moved and the outcome says otherwise")
	return p.publish(ctx, in, p.deadLetter(in, schemas.CodeNeedsReview, detail))
}

// wait puts the request to waiting or into review, then publishes its retry copy or dead letter with the progress event.
func (p *Processor) wait(ctx context.Context, in input, c claimed, d decision) (done bool, err error) {
	ctx, stop := p.outlive(ctx)
	defer stop()

	rec := c.Record
	previous := rec.Code
	if d.maybeSent && !rec.MaybeSent {
		rec.SentSince = c.Now
	}
	rec.Hop, rec.Attempt, rec.MaybeSent, rec.Code = rec.Hop+1, d.attempt, d.maybeSent, d.code
	rec.Token = c.request.Token
	rec.Due = time.Time{}
	if d.next == nextWait {
		rec.Due = time.Now().Add(d.tier)
	}
	if d.result.RefundID != "" && !d.result.Review {
		rec.GatewayRefundID = d.result.RefundID
	}
	req := WaitRequest{
		RequestID: in.cmd.RequestID, Token: c.request.Token, Hop: rec.Hop, Attempt: rec.Attempt, MaybeSent: rec.MaybeSent,
		SentSince: rec.SentSince, Code: rec.Code, Due: rec.Due, GatewayRefundID: rec.GatewayRefundID, Via: in.via(), Review: d.next == nextReview,
		Contradicted: d.contradicted, Payment: c.request.Payment,
		Message: in.command(), LookAt: p.cfg.Policy.lookAt(d, rec.Due, time.Now()),
	}
	name := stepWait
	if req.Review {
		name = stepReview
	}
	storing, step := p.startStep(ctx, name)
	waited, err := untilAvailable(storing, p, "wait", func(ctx context.Context) (Waited, error) { return p.store.Wait(ctx, req) })
	step.end(storing, err)
	if err != nil {
		return true, fmt.Errorf("wait %s: %w", in.cmd.RequestID, err)
	}
	if waited.Lost || !waited.Stored {
		p.log.Warn().Str("request_id", in.cmd.RequestID).Msg("the claim was taken over before the wait was stored; looking again")
		return false, nil
	}
	p.waitLine(ctx, in, c, d)
	if d.quiet {
		return true, nil
	}
	if d.next == nextReview {
		return true, p.publishReview(ctx, in, rec, d.result)
	}
	return true, p.publishWait(ctx, in, rec, d.result, previous != rec.Code)
}

// release gives a claim back that this pass has not used. A failure only costs time: the lease ends by itself.
func (p *Processor) release(ctx context.Context, in input, c claimed) error {
	ctx, stop := p.outlive(ctx)
	defer stop()
	err := p.store.Release(ctx, ReleaseRequest{RequestID: in.cmd.RequestID, Token: c.request.Token, Payment: c.request.Payment})
	if err != nil {
		return fmt.Errorf("release %s: %w", in.cmd.RequestID, err)
	}
	return nil
}

// outlive is ctx for what must survive a stop: it ends Config.Grace after ctx does.
func (p *Processor) outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		grace := time.NewTimer(p.cfg.Grace)
		defer grace.Stop()
		select {
		case <-grace.C:
			cancel(context.Cause(ctx))
		case <-longer.Done():
		}
	})
	return longer, func() {
		stop()
		cancel(context.Canceled)
	}
}

func (p *Processor) settledLine(ctx context.Context, in input, c claimed, d decision) {
	passOf(ctx).decided(d)
	p.metrics.outcomes.WithLabelValues(string(in.cmd.Gateway), string(d.status), string(d.code)).Inc()
	p.metrics.passes.WithLabelValues(string(in.cmd.Gateway)).Observe(time.Since(c.started).Seconds())
	p.log.Info().Str("request_id", in.cmd.RequestID).Str("gateway", string(in.cmd.Gateway)).Str("account", c.Record.Account).
		Int("attempt", d.attempt).Stringer("verdict", d.result.Verdict).Str("status", string(d.status)).Str("code", string(d.code)).
		Int64("dur_ms", time.Since(c.started).Milliseconds()).Func(inTrace(ctx)).Msg("settled")
}

func (p *Processor) waitLine(ctx context.Context, in input, c claimed, d decision) {
	passOf(ctx).decided(d)
	p.metrics.outcomes.WithLabelValues(string(in.cmd.Gateway), string(d.status), string(d.code)).Inc()
	p.metrics.passes.WithLabelValues(string(in.cmd.Gateway)).Observe(time.Since(c.started).Seconds())
	p.log.Info().Str("request_id", in.cmd.RequestID).Str("gateway", string(in.cmd.Gateway)).Str("account", c.Record.Account).
		Int("attempt", d.attempt).Stringer("verdict", d.result.Verdict).Str("status", string(d.status)).Str("code", string(d.code)).
		Bool("maybe_sent", d.maybeSent).Dur("delay", d.tier).
		Int64("dur_ms", time.Since(c.started).Milliseconds()).Func(inTrace(ctx)).Msg("waiting")
}
