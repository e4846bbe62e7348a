package consumer

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"refundworker/refund"
)

// slot is one message on its way to the handler, with its place in the watermark of the partition it came from.
type slot struct {
	message refund.Message
	place   *place
	mark    *watermark
}

// executor runs the handler. It decides what runs at the same time; the watermark does not mind any order.
type executor interface {
	// submit hands a slot over in the order of the log and blocks while there is no room, until ctx ends.
	submit(ctx context.Context, s slot) error
}

// serial is the executor of one partition that has one message in flight, first in, first out.
type serial struct {
	queue chan slot
	// work handles one slot until it is done or ctx ends.
	work func(ctx context.Context, s slot)
}

var _ executor = (*serial)(nil)

func newSerial(work func(context.Context, slot)) *serial {
	return &serial{queue: make(chan slot), work: work}
}

func (l *serial) submit(ctx context.Context, s slot) error {
	select {
	case l.queue <- s:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run works through the queue until ctx ends. A slot that was handed over is always begun.
func (l *serial) run(ctx context.Context) {
	for {
		select {
		case s := <-l.queue:
			l.work(ctx, s)
		case <-ctx.Done():
			return
		}
	}
}

// handle calls the handler until it returns nil, with a growing pause between, and then marks the slot done. When ctx
// ends it gives up, and the slot stays open for the partition's next owner.
func (c *Consumer) handle(ctx context.Context, s slot) {
	m := s.message
	for attempt := 0; ; attempt++ {
		err := c.call(ctx, m)
		if err == nil {
			s.mark.finish(s.place)
			c.metrics.done.WithLabelValues(m.Topic).Inc()
			return
		}
		if ctx.Err() != nil {
			return
		}
		pause := retryPause(c.cfg.RetryMin, c.cfg.RetryMax, attempt)
		c.metrics.retried.WithLabelValues(m.Topic).Inc()
		c.log.Warn().Err(err).Str("topic", m.Topic).Int("partition", m.Partition).Int64("offset", m.Offset).
			Int("attempt", attempt+1).Dur("pause_ms", pause).Msg("a message could not be handled and will be tried again")
		if wait(ctx, pause) != nil {
			return
		}
	}
}

// panicError is a panic of the handler as an error.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("handler panic: %v\n%s", e.value, e.stack) }

// call runs the handler once. One message's panic must not end the partitions beside it.
func (c *Consumer) call(ctx context.Context, m refund.Message) (err error) {
	defer func() {
		if value := recover(); value != nil {
			c.metrics.panics.WithLabelValues(m.Topic).Inc()
			err = &panicError{value: value, stack: debug.Stack()}
		}
	}()
	return c.handler(ctx, m)
}

// retryPause doubles from least to most.
func retryPause(least, most time.Duration, attempt int) time.Duration {
	pause := least
	for range attempt {
		if pause >= most/2 {
			return most
		}
		pause *= 2
	}
	return min(pause, most)
}
