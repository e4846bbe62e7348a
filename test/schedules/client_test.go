package schedules

import (
	"context"
	"errors"
	"time"

	"refundworker/refund"
)

// visit is what the judge has to know about the pass that makes a call: one message in the hands of one worker, once.
type visit struct {
	// first: by the latest claim, nothing of the request was ever sent.
	first bool
	// inquired: an inquiry was answered since.
	inquired bool
	// claim is the claim that is being asked for.
	claim *refund.ClaimRequest
}

// road carries what a worker sends to the outside, or not: do is what happens when a step arrives, and an error is a step
// whose answer does not come.
type road interface {
	carry(ctx context.Context, step string, do func()) error
	visit(ctx context.Context) *visit
}

// client is one account at a model gateway, as a worker knows it.
type client struct {
	bank    *bank
	road    road
	account string
	// strict refuses what the first build let pass.
	strict bool
}

var _ refund.Client = client{}

var (
	errUnanswered = errors.New("model: no answer")
	errUnwritten  = errors.New("model: nothing was written")
)

// Check is stricter in builds that came later.
func (c client) Check(req refund.Request) string {
	if c.strict && req.Amount.Minor >= strictFrom {
		return "model: this build refuses such amounts"
	}
	return ""
}

// Refund sends one refund. Like the real clients it writes nothing once the pass's deadline is over.
func (c client) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	var res refund.Result
	var m mood
	var at *call
	defer func() { c.bank.leave(at) }()
	written := false
	err := c.road.carry(ctx, "send", func() {
		if ctx.Err() != nil {
			return
		}
		written = true
		until, _ := ctx.Deadline()
		at, res, m = c.bank.send(c.road.visit(ctx), c.account, req, until)
	})
	switch {
	case !written:
		return refund.Result{Verdict: refund.NotSent, Detail: "model: nothing was written"}, errUnwritten
	case err != nil:
		return refund.Result{Detail: "model: " + err.Error()}, err
	}
	if at == nil {
		return res, errUnwritten
	}
	return c.answer(ctx, res, m.answer)
}

// Inquire asks what became of a refund.
func (c client) Inquire(ctx context.Context, req refund.Request) (refund.Result, error) {
	var res refund.Result
	var a ask
	written := false
	err := c.road.carry(ctx, "inquire", func() {
		if ctx.Err() != nil {
			return
		}
		written = true
		res, a = c.bank.inquire(c.road.visit(ctx), c.account, req)
	})
	switch {
	case !written:
		return refund.Result{Verdict: refund.NotSent, Detail: "model: nothing was written"}, errUnwritten
	case err != nil:
		return refund.Result{Detail: "model: " + err.Error()}, err
	}
	switch a {
	case askDropped:
		return c.answer(ctx, res, dropped)
	case askHang:
		return c.answer(ctx, res, hang)
	case askPanic:
		return c.answer(ctx, res, panics)
	case askHonest, askCut, askThrottled, askRejected:
	}
	return res, nil
}

// answer lets an answer come, or not.
func (c client) answer(ctx context.Context, res refund.Result, how answering) (refund.Result, error) {
	c.bank.tally.add("answer: " + how.String())
	switch how {
	case given:
		return res, nil
	case dropped:
		return refund.Result{Detail: "model: connection cut"}, errUnanswered
	case panics:
		panic("model: the client breaks on the answer")
	case slow:
		timer := time.NewTimer(gatewayTimeout * 2 / 3)
		defer timer.Stop()
		select {
		case <-timer.C:
			return res, nil
		case <-ctx.Done():
		}
	case hang:
		<-ctx.Done()
	}
	return refund.Result{Detail: "model: timeout"}, errUnanswered
}
