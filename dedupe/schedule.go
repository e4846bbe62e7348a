package dedupe

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// TakeScheduled takes up to limit request IDs of each bucket whose look is due, and puts them back for later: due again
// after again, at least a second, so that what a taker forgets is taken once more. A request leaves the schedule when it
// settles, or when a Look finds that its record is gone.
//
// Of several workers that ask, one at a time is answered: for the next interval every other one gets nothing.
func (r *Redis) TakeScheduled(ctx context.Context, limit int, interval, again time.Duration) ([]string, error) {
	turn, err := r.client.SetNX(ctx, r.keys.prefix+":watch", 1, interval).Result()
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

// Scheduled counts the open requests that are on the schedule, and tells since when the longest due one is due; the zero
// time where none is due.
func (r *Redis) Scheduled(ctx context.Context) (open int64, oldest time.Time, err error) {
	pipe := r.client.Pipeline()
	counts := make([]*redis.IntCmd, 0, bucketCount)
	firsts := make([]*redis.ZSliceCmd, 0, bucketCount)
	for bucket := range uint64(bucketCount) {
		counts = append(counts, pipe.ZCard(ctx, r.keys.schedule(bucket)))
		firsts = append(firsts, pipe.ZRangeWithScores(ctx, r.keys.schedule(bucket), 0, 0))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, time.Time{}, fmt.Errorf("count the schedule: %w", unavailable(err))
	}
	for i := range counts {
		open += counts[i].Val()
		for _, first := range firsts[i].Val() {
			if at := fromMillis(int64(first.Score)); oldest.IsZero() || at.Before(oldest) {
				oldest = at
			}
		}
	}
	return open, oldest, nil
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
