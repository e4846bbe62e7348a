package gateway

import (
	"context"
	"fmt"
	"math"
	"time"

	"golang.org/x/time/rate"
)

// Limit keeps one account within what its gateway takes: so many refunds at once, so many begun per second, both of
// this process. It is safe for concurrent use.
type Limit struct {
	slots chan struct{}
	pace  *rate.Limiter
}

// NewLimit admits inFlight (at least 1) at once and perSecond of them a second; 0 per second means no pace.
func NewLimit(inFlight int, perSecond float64) *Limit {
	pace := rate.NewLimiter(rate.Inf, 0)
	if perSecond > 0 {
		pace = rate.NewLimiter(rate.Limit(perSecond), max(1, int(math.Ceil(perSecond/10))))
	}
	return &Limit{slots: make(chan struct{}, max(1, inFlight)), pace: pace}
}

// Admit waits for a slot and a token, in this order, and returns what gives the slot back. It is asked before the
// request is claimed, so that no lease runs down while a refund stands in line. The error is the context's.
func (l *Limit) Admit(ctx context.Context) (func(), error) {
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a slot: %w", context.Cause(ctx))
	}
	free := func() { <-l.slots }
	// Not Wait: it refuses at once when the context would end first, and a refund has nothing better to do than wait.
	turn := l.pace.Reserve()
	if delay := turn.Delay(); delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			turn.Cancel()
			free()
			return nil, fmt.Errorf("wait for a token: %w", context.Cause(ctx))
		}
	}
	return free, nil
}
