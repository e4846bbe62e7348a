package cutpoints

import (
	"context"
	"errors"

	"refundworker/dedupe"
	"refundworker/refund"
)

var errHalf = errors.New("this half is cut off")

// half is asked before each half of a call to the store.
func (p *process) half(ctx context.Context, which dedupe.Half) error {
	ways := []how{before, after, apart}
	if which == dedupe.RecordHalf {
		ways = []how{before, after, frozen}
	}
	switch p.reach(ctx, callName(ctx)+" "+string(which), ways...) {
	case after:
		p.mark(ctx, p.leaving) // the half is done behind this call
	case apart:
		p.mark(ctx, p.giving)
		return errHalf
	case before, inFlight, held, frozen:
	}
	return nil
}

// callKey is the context key of the store call's name.
type callKey struct{}

func callName(ctx context.Context) string {
	name, _ := ctx.Value(callKey{}).(string)
	return name
}

// claims is the way of a process to the store.
type claims struct{ *process }

func asked[Q, A any](ctx context.Context, p *process, name string, call func(context.Context, Q) (A, error), q Q) (A, error) {
	a, err := call(context.WithValue(ctx, callKey{}, name), q)
	p.mu.Lock()
	giving := p.giving[lane(ctx)]
	p.mu.Unlock()
	if giving {
		p.die(ctx)
	}
	p.live(ctx)
	return a, err
}

func (c claims) Claim(ctx context.Context, q refund.ClaimRequest) (refund.Claim, error) {
	return asked(ctx, c.process, "claim", c.store.Claim, q)
}

func (c claims) Settle(ctx context.Context, q refund.SettleRequest) (refund.Settled, error) {
	return asked(ctx, c.process, "settle", c.store.Settle, q)
}

func (c claims) Wait(ctx context.Context, q refund.WaitRequest) (refund.Waited, error) {
	return asked(ctx, c.process, "wait", c.store.Wait, q)
}

func (c claims) Release(ctx context.Context, q refund.ReleaseRequest) error {
	_, err := asked(ctx, c.process, "release", func(ctx context.Context, q refund.ReleaseRequest) (struct{}, error) {
		return struct{}{}, c.store.Release(ctx, q)
	}, q)
	return err
}

func (c claims) Look(ctx context.Context, requestID string) (refund.Sight, error) {
	return asked(ctx, c.process, "look", c.store.Look, requestID)
}

func (c claims) Announced(ctx context.Context, requestID string) error {
	_, err := asked(ctx, c.process, "announced", func(ctx context.Context, requestID string) (struct{}, error) {
		return struct{}{}, c.store.Announced(ctx, requestID)
	}, requestID)
	return err
}

// publisher is the way of a process to the broker.
type publisher struct{ *process }

// Publish appends the events one by one; a real broker may take any of them and not the others.
func (p publisher) Publish(ctx context.Context, events ...refund.Event) error {
	skipped := false
	for i, e := range events {
		ways := []how{before, after, frozen}
		if i == 0 && len(events) > 1 {
			ways = append(ways, apart)
		}
		topic := p.w.log.topic(e)
		switch p.reach(ctx, "publish "+topic, ways...) {
		case after:
			p.w.published(topic, e)
			p.die(ctx)
		case apart:
			skipped = true
			continue
		case before, inFlight, held, frozen:
		}
		p.w.published(topic, e)
		p.live(ctx)
	}
	if skipped {
		p.die(ctx)
	}
	return nil
}
