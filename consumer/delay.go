package consumer

import (
	"context"
	"strconv"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// due is when a message of a tier with the given delay may be handled. The header's time counts, but never beyond the
// delay after the message was first seen here: a bogus due time must not block the partition's head. Without a readable
// header the delay runs from the message's own time, unless that lies in the future.
func due(m refund.Message, delay time.Duration, seen time.Time) time.Time {
	latest := seen.Add(delay)
	at := m.Time.Add(delay)
	for _, h := range m.Headers {
		if h.Key == schemas.HeaderDue {
			if ms, err := strconv.ParseInt(string(h.Value), 10, 64); err == nil {
				at = time.UnixMilli(ms)
			}
		}
	}
	if at.Before(latest) {
		return at
	}
	return latest
}

// wait returns nil after d, or the context's cause when that ends first.
func wait(ctx context.Context, d time.Duration) error {
	if err := context.Cause(ctx); err != nil || d <= 0 {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
