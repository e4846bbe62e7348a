package dedupe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// TakeScheduled takes up to limit request IDs of each bucket whose look is due, and puts them back for later: due again
// after again, at least a second, so that what a taker forgets is taken once more. A request leaves the schedule when it
// settles, or when a Look finds that its record is gone.
//
// Of several workers that ask, one at a time is answered: for the next interval every other one gets nothing.
func (r *Redis) TakeScheduled(ctx context.Context, limit int, interval, again time.Duration) ([]string, error) {
	turn, err := r.client.SetNX(ctx, r.keys.watch(), 1, interval).Result()
	if err != nil {
		return nil, fmt.Errorf("take from the schedule: %w", unavailable(err))
	}
	if !turn {
		return nil, nil
	}
	calls := make([]scriptCall, 0, bucketCount)
	for bucket := range uint64(bucketCount) {
		calls = append(calls, scriptCall{
			r.scripts.scheduleTake, []string{r.keys.schedule(bucket)}, []any{limit, max(again, time.Second).Milliseconds()},
		})
	}
	replies, err := r.run(ctx, calls)
	if err != nil {
		return nil, fmt.Errorf("take from the schedule: %w", unavailable(err))
	}
	return slices.Concat(replies...), nil
}

// Scheduled counts the open requests that are on the schedule, and tells when the first of them is due; the zero time where
// there is none.
func (r *Redis) Scheduled(ctx context.Context) (open int64, first time.Time, err error) {
	calls := make([]scriptCall, 0, bucketCount)
	for bucket := range uint64(bucketCount) {
		calls = append(calls, scriptCall{r.scripts.scheduleCount, []string{r.keys.schedule(bucket)}, nil})
	}
	replies, err := r.run(ctx, calls)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("count the schedule: %w", unavailable(err))
	}
	for _, reply := range replies {
		if len(reply) != 2 {
			return 0, time.Time{}, fmt.Errorf("count the schedule: %w: an answer of %d fields", ErrCorrupt, len(reply))
		}
		count, countErr := strconv.ParseInt(reply[0], 10, 64)
		due, dueErr := strconv.ParseInt(reply[1], 10, 64)
		if err := errors.Join(countErr, dueErr); err != nil {
			return 0, time.Time{}, fmt.Errorf("count the schedule: %w: %w", ErrCorrupt, err)
		}
		open += count
		if at := fromMillis(due); !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return open, first, nil
}

// TakeScheduled is Redis.TakeScheduled of a store that nobody shares: the interval does not matter.
func (m *Memory) TakeScheduled(_ context.Context, limit int, _, again time.Duration) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now().UnixMilli()
	due := make([]string, 0, len(m.schedule))
	for id, at := range m.schedule {
		if at <= now {
			due = append(due, id)
		}
	}
	slices.SortFunc(due, func(a, b string) int {
		return cmp.Or(cmp.Compare(m.schedule[a], m.schedule[b]), cmp.Compare(a, b))
	})
	taken := make(map[uint64]int)
	var ids []string
	for _, id := range due {
		if taken[bucket(id)] == limit {
			continue
		}
		taken[bucket(id)]++
		m.schedule[id] = now + max(again, time.Second).Milliseconds()
		ids = append(ids, id)
	}
	return ids, nil
}
