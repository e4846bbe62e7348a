package refund

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"

	"refundworker/schemas"
)

// errGatewayTimeout is the cause when one gateway call took longer than Config.GatewayTimeout.
var errGatewayTimeout = errors.New("gateway timeout")

// gatewayCall is what a call is called in the log.
type gatewayCall string

const (
	callInquire gatewayCall = "inquire"
	callRefund  gatewayCall = "refund"
)

// step is the call's name as a step of the pass.
func (c gatewayCall) step() string {
	if c == callInquire {
		return stepInquiry
	}
	return stepSend
}

// granted works on a request that this pass owns until its lease ends.
func (p *Processor) granted(ctx context.Context, message *input, acct Account, c claimed, permit Permit) (done bool, err error) {
	in, rec := *message, c.Record
	if rec.Account != acct.Name {
		// The account is frozen at the first claim; the configuration's default may have changed since.
		if _, err := p.accounts.Account(in.cmd.Gateway, rec.Account); err != nil {
			return true, errors.Join(p.release(ctx, in, c), p.parkUnknownAccount(ctx, in, rec.Account, err))
		}
		// Its limits are not the ones that this pass was admitted by, so it stands in line again, with no lease running.
		message.state.Account = rec.Account
		return false, p.release(ctx, in, c)
	}
	unsure := p.doubtOf(in, acct, c.Claim)
	if unsure.adopts(acct) {
		c.Record.MaybeSent, c.Record.FirstSeen = true, unsure.sentAfter
		rec = c.Record
	}
	code, detail := p.refusal(in, acct, c, unsure)
	refused := decision{
		next: nextSettle, status: schemas.Failed, code: code, attempt: rec.Attempt, result: Result{Verdict: NotSent, Detail: detail},
	}
	unsure.refused = code != ""
	if unsure.refused && !unsure.doubtful {
		permit.FreeFunc()
		return p.settle(ctx, in, c, refused)
	}
	if acct.KeyFunc(in.cmd.RequestID) != rec.GatewayKey {
		return p.wait(ctx, in, c, decision{
			next: nextReview, status: schemas.RetryPending, code: schemas.CodeNeedsReview, attempt: rec.Attempt,
			maybeSent: true, contradicted: true,
			result: Result{Alarm: AlarmMismatch, Detail: "the gateway key frozen at the first claim is not the one this build computes"},
		})
	}
	if err := ctx.Err(); err != nil {
		return true, errors.Join(p.release(ctx, in, c), fmt.Errorf("refund %s: %w", in.cmd.RequestID, context.Cause(ctx)))
	}

	ev, err := p.consult(ctx, acct, in, c, unsure)
	permit.FreeFunc() // storing and publishing take the gateway nothing
	if err != nil {
		return true, errors.Join(p.release(ctx, in, c), fmt.Errorf("refund %s: %w", in.cmd.RequestID, err))
	}
	if unsure.clears(ev.before) {
		return p.settle(ctx, in, c, refused)
	}
	d := decide(situation{
		gateway: acct.Gateway, maybeSent: rec.MaybeSent, reviewing: rec.inReview(), hop: rec.Hop, attempt: rec.Attempt,
		age: rec.openFor(c.Now), resendWindow: acct.ResendWindow, doubt: unsure, evidence: ev,
	}, p.cfg.Policy)
	if unsure.doubtful && !ev.sent && !d.maybeSent {
		c.Record.FirstSeen = unsure.known // no inquiry has let it go, so its copy must carry the doubt on
	}
	p.raise(in, acct, ev)
	finish := p.wait
	if d.next == nextSettle {
		finish = p.settle
	}
	done, err = finish(ctx, in, c, d)
	if !done {
		message.lost(d)
	}
	return done, err
}

// refusal finds what our own side refuses before anything is sent. Only what provably never was sent is refused, and for
// its content only a record that was absent: one that was not may have been admitted by a build with other rules. A
// request in doubt is judged as an absent one, each time until an inquiry has cleared it.
func (p *Processor) refusal(in input, acct Account, c claimed, unsure doubt) (schemas.Code, string) {
	if (c.Fresh || unsure.doubtful) && !c.Record.MaybeSent {
		if text := acct.Client.Check(in.request(c.Claim)); text != "" {
			return schemas.CodeInvalidRequest, text
		}
	}
	switch {
	case c.Record.MaybeSent:
		return "", ""
	case c.CapExceeded:
		return schemas.CodeAmountExceeded, "with this refund, the payment's settled, running and unknown refunds exceed its original amount"
	case in.expired(c.Claim):
		return schemas.CodeExpired, "the command's deadline passed before anything was sent"
	}
	return "", ""
}

// consult asks the gateway: an inquiry first where something may have been sent before, then the refund where that is
// safe, then a confirming inquiry where the answer calls for one. The calls outlive ctx, because an answer that is on
// its way must not be dropped; each has its own timeout, and all end inside the lease. But no new call is begun once ctx
// has ended: the error then is its cause, and nothing was sent in this pass.
func (p *Processor) consult(ctx context.Context, acct Account, in input, c claimed, unsure doubt) (evidence, error) {
	calls, cancel := context.WithDeadline(context.WithoutCancel(ctx), c.started.Add(p.cfg.Lease-SettleAllowance))
	defer cancel()

	var ev evidence
	req := in.request(c.Claim)
	maybeSent := c.Record.MaybeSent
	if in.notified() {
		if ev.told = in.signal.told; ev.told.Verdict == Succeeded {
			return ev, nil
		}
	}
	// A notified failure is believed once an inquiry agrees: what is told can be older than what was sent since.
	if maybeSent || acct.InquireFirst || in.notified() || unsure.doubtful {
		ev.asked, ev.before = true, p.call(calls, acct, callInquire, acct.Client.Inquire, req)
		if unsure.quarantined || unsure.refused || !maySend(acct, in, c, ev.before) {
			return ev, nil
		}
		if ctx.Err() != nil {
			return evidence{}, context.Cause(ctx)
		}
	}
	ev.sent, ev.send = true, p.call(calls, acct, callRefund, acct.Client.Refund, req)
	if confirm := ev.send.InquireNow || ev.send.Verdict == Declined && (maybeSent || unsure.running); confirm && ctx.Err() == nil {
		// By our own key, not by the gateway's new ID: so soon after the send, "not found" must stay a plain absence.
		ev.confirmed, ev.after = true, p.call(calls, acct, callInquire, acct.Client.Inquire, req)
	}
	return ev, nil
}

// maySend says whether the refund may be sent after an inquiry. A first send may follow a verified absence, or a verified
// answer that shows none: our own record says as well that nothing was sent. A resend may, as long as the gateway's own
// contract makes it safe, follow an absence, or carry on a refund that the gateway began and never said to have accepted:
// such a one may stay unfinished until it is sent again (https://docs.antom.com/ac/ams/idempotency). An accepted refund
// is left to finish by itself.
//
// What our own side refuses is not sent here either: the mark that something may have been sent can stem from a worker
// that died before it stored its refusal, and the resend would be the first send. And in review nothing is sent.
func maySend(acct Account, in input, c claimed, inquiry Result) bool {
	if !c.Record.MaybeSent {
		return inquiry.Verdict == Absent || inquiry.ShowsNone
	}
	if c.Record.inReview() || c.CapExceeded || in.expired(c.Claim) {
		return false
	}
	carryOn := inquiry.Verdict == Pending && c.Record.Code != schemas.CodeInProcess
	// The age is negative where the store's clock is behind that of the worker that saw the command first.
	inWindow := acct.ResendWindow > 0 && c.Now.Sub(c.Record.FirstSeen) < acct.ResendWindow
	return (inquiry.Verdict == Absent || carryOn) && inWindow
}

// call makes one gateway call. A panic in it is an unknown outcome with a stack, never the end of the worker.
func (p *Processor) call(ctx context.Context, acct Account, name gatewayCall, do func(context.Context, Request) (Result, error), req Request) (res Result) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.cfg.GatewayTimeout, errGatewayTimeout)
	defer cancel()
	ctx, step := p.startStep(ctx, name.step())
	started := time.Now()
	var err error
	defer func() {
		if v := recover(); v != nil {
			p.metrics.panics.Inc()
			p.log.Error().Str("request_id", req.RequestID).Str("account", acct.Name).Str("call", string(name)).
				Interface("panic", v).Bytes("stack", debug.Stack()).Msg("panic in a gateway call: outcome unknown")
			res, err = Result{Verdict: Unknown, Detail: "panic in the gateway call"}, errPanic
		}
		step.answered(acct, res)
		step.end(ctx, err)
	}()
	res, err = do(ctx, req)
	level := zerolog.DebugLevel
	if err != nil {
		level = zerolog.WarnLevel
	}
	p.log.WithLevel(level).Err(err).Str("request_id", req.RequestID).Str("gateway", string(acct.Gateway)).Str("account", acct.Name).Str("call", string(name)).
		Stringer("verdict", res.Verdict).Str("gateway_code", res.RawCode).Str("detail", res.Detail).
		Int64("dur_ms", time.Since(started).Milliseconds()).Msg("gateway call")
	return res
}

// raise reports what a person must mend.
func (p *Processor) raise(in input, acct Account, ev evidence) {
	for _, r := range ev.newestFirst() {
		if r.Alarm == NoAlarm {
			continue
		}
		p.metrics.alarms.WithLabelValues(string(r.Alarm)).Inc()
		p.log.Error().Str("request_id", in.cmd.RequestID).Str("gateway", string(acct.Gateway)).Str("account", acct.Name).
			Str("alarm", string(r.Alarm)).Str("gateway_code", r.RawCode).Str("detail", r.Detail).Msg("gateway answer needs a person's eye")
	}
}
