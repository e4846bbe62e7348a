package gateway

import (
	"context"
	"sync/atomic"
	"time"
)

// The states of a call's request. A call begins in notWritten and leaves it once, for good.
const (
	notWritten int32 = iota
	// written: a write was let through, so bytes may be on their way.
	written
	// barred: nothing was written, and every later write is refused.
	barred
)

// call is the guard of one request: the only place that decides whether its first byte may be written, and that
// remembers whether it was. It keeps the context's deadline and done channel, not the context.
type call struct {
	deadline time.Time
	done     <-chan struct{}
	state    atomic.Int32
	// tooLate: the guard refused the first write.
	tooLate atomic.Bool
	// answered: a byte of an answer was read.
	answered atomic.Bool
}

// newCall guards a request by a context that has a deadline.
func newCall(ctx context.Context) *call {
	deadline, _ := ctx.Deadline()
	return &call{deadline: deadline, done: ctx.Done()}
}

// begin is asked before every write. It lets the first one through only before the deadline; first tells that this is
// the one. A process that was frozen in between finds here that its time is over.
func (c *call) begin() (first bool, err error) {
	if c.state.Load() == written {
		return false, nil
	}
	if now := time.Now(); c.late(now, now.Round(0)) {
		c.tooLate.Store(true)
		c.state.CompareAndSwap(notWritten, barred)
	}
	if !c.state.CompareAndSwap(notWritten, written) {
		return false, ErrTooLate
	}
	return true, nil
}

// late looks at the clock itself, because the timer behind a context may not have fired yet in a process that has just
// been woken; and at the wall clock too, because the monotonic one stands still while a machine is suspended. wall is
// now without its monotonic reading.
func (c *call) late(now, wall time.Time) bool {
	select {
	case <-c.done:
		return true
	default:
		return !now.Before(c.deadline) || !wall.Before(c.deadline.Round(0))
	}
}

// undo takes the first write back: the connection took none of its bytes.
func (c *call) undo() { c.state.Store(barred) }

// bar ends the time in which the request may be written, and tells whether nothing was. It may say false of a write
// that is failing at this moment; that errs on the safe side.
func (c *call) bar() (nothingWritten bool) {
	c.state.CompareAndSwap(notWritten, barred)
	return c.state.Load() == barred
}

// stage says how far a call came whose head has not arrived.
func (c *call) stage() Stage {
	if c.answered.Load() {
		return StageHead
	}
	return StageWait
}
