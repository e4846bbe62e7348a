package refund

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// untilAvailable repeats a store call while the store cannot be asked, until ctx ends. Nothing new is begun meanwhile:
// the caller sits on its message.
func untilAvailable[T any](ctx context.Context, p *Processor, what string, call func(context.Context) (T, error)) (T, error) {
	answer, err := call(ctx)
	if err == nil || !errors.Is(err, ErrStoreUnavailable) {
		return answer, err // waiting does not mend a record that cannot be read
	}
	return backoff.Retry(ctx, after(err, func() (T, error) {
		answer, err := call(ctx)
		if err != nil && !errors.Is(err, ErrStoreUnavailable) {
			return answer, backoff.Permanent(err)
		}
		return answer, err
	}), p.patience(what)...)
}

// after is call with a first failure that has happened already: the schedule of repeats is made only where one is needed.
func after[T any](failed error, call func() (T, error)) func() (T, error) {
	return func() (T, error) {
		if err := failed; err != nil {
			failed = nil
			var none T
			return none, err
		}
		return call()
	}
}

// publish repeats until every event is acked. A repeat can write an event twice; its event ID stays the same.
func (p *Processor) publish(ctx context.Context, in input, events ...Event) error {
	ctx, step := p.startStep(ctx, stepPublish)
	p.carry(ctx, in, events)
	err := p.publisher.Publish(ctx, events...)
	if err != nil {
		_, err = backoff.Retry(ctx, after(err, func() (struct{}, error) {
			return struct{}{}, p.publisher.Publish(ctx, events...)
		}), p.patience("publish")...)
	}
	step.end(ctx, err)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// patience is the schedule of calls to our own dependencies: 50 ms, doubling to 2 s with jitter, without end.
func (p *Processor) patience(what string) []backoff.RetryOption {
	schedule := backoff.NewExponentialBackOff()
	schedule.InitialInterval, schedule.MaxInterval, schedule.Multiplier = 50*time.Millisecond, 2*time.Second, 2
	return []backoff.RetryOption{
		backoff.WithBackOff(schedule),
		backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, next time.Duration) {
			p.metrics.retries.WithLabelValues(what).Inc()
			p.log.Warn().Err(err).Str("call", what).Dur("next", next).Msg("a dependency does not take the call; trying again")
		}),
	}
}

// pauseFor waits, or ends with ctx.
func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
