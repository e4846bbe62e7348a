package consumer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"refundworker/refund"
)

// panicError is a panic of a handler or of a work as an error.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// readMessage asks the handler what a message is. One that panics is work that fails: the partition waits for a build that can
// read it.
func (c *Consumer) readMessage(m refund.Message) (work refund.Work) {
	defer func() {
		if value := recover(); value != nil {
			err := c.panicked(m, value)
			work = refund.Work{DoFunc: func(context.Context, refund.Permit) error { return err }}
		}
	}()
	return c.handler(m)
}

// do runs a work once and, when it is done, moves the watermark.
func (c *Consumer) do(ctx context.Context, s *slot, permit refund.Permit) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = c.panicked(s.message, value)
		}
	}()
	if err := s.work.DoFunc(ctx, permit); err != nil {
		return err
	}
	s.mark.finish(s.place)
	c.metrics.done.WithLabelValues(s.message.Topic).Inc()
	return nil
}

func (c *Consumer) panicked(m refund.Message, value any) error {
	c.metrics.panics.WithLabelValues(m.Topic).Inc()
	return &panicError{value: value, stack: debug.Stack()}
}

// pause says how long a work waits that was not done. When ctx has ended the slot stays open for the partition's next
// owner.
func (c *Consumer) pause(ctx context.Context, s *slot, err error) (d time.Duration, again bool) {
	if ctx.Err() != nil {
		return 0, false
	}
	if notYet, ok := errors.AsType[*refund.NotYetError](err); ok {
		return notYet.In, true
	}
	m, pause := s.message, retryPause(c.cfg.RetryMin, c.cfg.RetryMax, s.tries)
	s.tries++
	c.metrics.retried.WithLabelValues(m.Topic).Inc()
	c.log.Warn().Err(err).Str("topic", m.Topic).Int("partition", m.Partition).Int64("offset", m.Offset).
		Int("attempt", s.tries).Dur("pause_ms", pause).Msg("a message could not be handled and will be tried again")
	return pause, true
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
