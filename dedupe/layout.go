package dedupe

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// layoutText is what the layout key holds: the version of keys and records, then bucketCount and bucketHash.
const layoutText = "2 1024 " + bucketHash

// ErrLayoutMissing is returned by CheckLayout when Redis was never prepared under this key prefix, or has forgotten it.
var ErrLayoutMissing = errors.New("redis has no dedupe layout: run `worker init`, or `worker rebuild` if it was flushed")

// LayoutError is returned when the keys in Redis were laid out by other rules than this build's: every request would
// look new.
type LayoutError struct {
	// Stored and Wanted are layout version, bucket count and hash.
	Stored, Wanted string
}

// Error names both layouts.
func (e *LayoutError) Error() string {
	return fmt.Sprintf("redis holds the dedupe layout %q, this build needs %q: use another key prefix or the build that wrote it", e.Stored, e.Wanted)
}

// Init writes the layout under the key prefix. It may be repeated; where another layout is stored it changes nothing
// and returns a *LayoutError.
func (r *Redis) Init(ctx context.Context) error {
	if err := r.client.SetNX(ctx, r.keys.layout(), layoutText, 0).Err(); err != nil {
		return fmt.Errorf("init dedupe layout: %w", unavailable(err))
	}
	return r.CheckLayout(ctx)
}

// CheckLayout compares the stored layout with this build's: ErrLayoutMissing or a *LayoutError when they do not agree.
func (r *Redis) CheckLayout(ctx context.Context) error {
	stored, err := r.client.Get(ctx, r.keys.layout()).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return fmt.Errorf("check dedupe layout: %w", ErrLayoutMissing)
	case err != nil:
		return fmt.Errorf("check dedupe layout: %w", unavailable(err))
	case stored != layoutText:
		return fmt.Errorf("check dedupe layout: %w", &LayoutError{Stored: stored, Wanted: layoutText})
	}
	return nil
}
