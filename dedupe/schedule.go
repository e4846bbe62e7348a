package dedupe

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Overdue tells the requests whose look was due before now, up to limit of each bucket, and changes nothing: it may be
// asked again. A request leaves the schedule when it settles, or when a Look finds that its record is gone; Postpone
// puts it off. One that was settled by a proof whose owner had lost the claim stays on it until it is Announced: nobody
// else may be left who would publish it.
//
// Of several workers that ask, one is answered: for the next interval every other one gets nothing.
func (r *Redis) Overdue(ctx context.Context, limit int, interval time.Duration) ([]string, error) {
	mine, err := r.takeTurn(ctx, interval)
	if err != nil || !mine {
		return nil, err
	}
	until := &redis.ZRangeBy{Min: "-inf", Max: strconv.FormatInt(time.Now().UnixMilli(), 10), Count: int64(limit)}
	pipe := r.client.Pipeline()
	due := make([]*redis.StringSliceCmd, 0, bucketCount)
	for bucket := range uint64(bucketCount) {
		due = append(due, pipe.ZRangeByScore(ctx, r.keys.schedule(bucket), until))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("look for overdue requests: %w", unavailable(err))
	}
	var ids []string
	for _, found := range due {
		ids = append(ids, found.Val()...)
	}
	return ids, nil
}

// takeTurn is true for one worker an interval. The driver may repeat the call, so its own token is no other's.
func (r *Redis) takeTurn(ctx context.Context, interval time.Duration) (bool, error) {
	token := rand.Text()
	mine, err := r.client.SetNX(ctx, r.keys.watch(), token, interval).Result()
	if err == nil && !mine {
		var held string
		held, err = r.client.Get(ctx, r.keys.watch()).Result()
		mine = held == token
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, fmt.Errorf("look for overdue requests: %w", unavailable(err))
	}
	return mine, nil
}

// Postpone puts off requests that somebody was told of: they are overdue again after the given time, at least a second,
// unless they have left the schedule meanwhile. It may be repeated.
func (r *Redis) Postpone(ctx context.Context, ids []string, by time.Duration) error {
	pipe := r.client.Pipeline()
	for _, id := range ids {
		pipe.ZAddXX(ctx, r.keys.schedule(bucket(id)), redis.Z{Score: float64(putOff(time.Now(), by)), Member: id})
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("put off %d requests: %w", len(ids), unavailable(err))
	}
	return nil
}

func putOff(now time.Time, by time.Duration) int64 { return now.Add(max(by, time.Second)).UnixMilli() }

// Scheduled counts the open requests that are on the schedule, and tells when the first of them is due; the zero time where
// there is none.
func (r *Redis) Scheduled(ctx context.Context) (open int64, first time.Time, err error) {
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
		for _, z := range firsts[i].Val() {
			if at := fromMillis(int64(z.Score)); first.IsZero() || at.Before(first) {
				first = at
			}
		}
	}
	return open, first, nil
}

// Overdue is Redis.Overdue of a store that nobody shares: the interval does not matter.
func (m *Memory) Overdue(_ context.Context, limit int, _ time.Duration) ([]string, error) {
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
	return slices.DeleteFunc(due, func(id string) bool {
		taken[bucket(id)]++
		return taken[bucket(id)] > limit
	}), nil
}

// Postpone is Redis.Postpone.
func (m *Memory) Postpone(_ context.Context, ids []string, by time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if _, open := m.schedule[id]; open {
			m.schedule[id] = putOff(m.now(), by)
		}
	}
	return nil
}

// Scheduled is Redis.Scheduled.
func (m *Memory) Scheduled(context.Context) (open int64, oldest time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, at := range m.schedule {
		if due := fromMillis(at); oldest.IsZero() || due.Before(oldest) {
			oldest = due
		}
	}
	return int64(len(m.schedule)), oldest, nil
}
