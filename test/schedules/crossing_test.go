package schedules

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"refundworker/dedupe"
	"refundworker/refund"
)

// crossing is the road of one worker of the whole stack: its calls to the store and to the gateways, which chance delays
// and drops. A worker whose crossing is shut has died or is frozen, as far as anybody else can see.
type crossing struct {
	mu     sync.Mutex
	chance *rand.Rand
	// calm: nothing is delayed or dropped.
	calm bool
	// shut is closed when it opens again; nil while it is open.
	shut chan struct{}
}

var _ road = (*crossing)(nil)

type visitKey struct{}

// visiting marks a message in the hands of a worker.
func visiting(ctx context.Context) context.Context {
	return context.WithValue(ctx, visitKey{}, new(visit))
}

func (c *crossing) visit(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

func (c *crossing) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut == nil {
		c.shut = make(chan struct{})
	}
}

func (c *crossing) open() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut != nil {
		close(c.shut)
		c.shut = nil
	}
}

func (c *crossing) soothe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calm = true
}

// pass waits while the crossing is shut.
func (c *crossing) pass(ctx context.Context) error {
	for {
		c.mu.Lock()
		shut := c.shut
		c.mu.Unlock()
		if shut == nil {
			return nil
		}
		select {
		case <-shut:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// draw is the fate of the next call, and how long it takes.
func (c *crossing) draw() (fate, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calm {
		return passes, 0
	}
	delay := time.Duration(0)
	if c.chance.IntN(6) == 0 {
		delay = time.Duration(c.chance.IntN(20_000)) * time.Millisecond
	}
	fates := []fate{failsBefore, failsAfter, failsHalf, failsOtherHalf, arrivesTwice}
	if n := c.chance.IntN(40); n < len(fates) {
		return fates[n], delay
	}
	return passes, delay
}

// exchange makes one call, or a part of it.
func (c *crossing) exchange(ctx context.Context, do func(dedupe.Halves)) error {
	f, delay := c.draw()
	if err := wait(ctx, delay); err != nil {
		return err
	}
	if err := c.pass(ctx); err != nil {
		return err
	}
	both := dedupe.Halves{Payment: true, Record: true}
	switch f {
	case failsAfter:
		do(both)
		return errOutage
	case failsHalf:
		do(dedupe.Halves{Payment: true})
		return errOutage
	case failsOtherHalf:
		do(dedupe.Halves{Record: true})
		return errOutage
	case failsBefore:
		return errOutage
	case arrivesTwice:
		do(both)
		do(both)
	case passes, held, diesBefore, diesAfter, diesHalf, diesOtherHalf:
		do(both)
	}
	// An answer does not reach a process that has died meanwhile.
	return c.pass(ctx)
}

// carry is for calls to gateways, which arrive whole and once, or not at all.
func (c *crossing) carry(ctx context.Context, _ string, do func()) error {
	made := false
	return c.exchange(ctx, func(dedupe.Halves) {
		if !made {
			made = true
			do()
		}
	})
}

// publisher lets a worker publish while its crossing is open.
func (c *crossing) publisher(to interface {
	Publish(ctx context.Context, events ...refund.Event) error
},
) publisherFunc {
	return func(ctx context.Context, events ...refund.Event) error {
		if err := c.pass(ctx); err != nil {
			return err
		}
		return to.Publish(ctx, events...)
	}
}

// wait lets time pass.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
