package dedupe

import (
	"context"
	"fmt"
	"time"
)

// probeTTL lets the probe's key go once nobody probes any more.
const probeTTL = time.Minute

// Probe writes a key of its own. It finds what Ping does not: a primary that was demoted, has too few replicas, has run
// out of memory or cannot save, and so takes no claim. In a cluster it asks one primary. The error wraps
// refund.ErrStoreUnavailable.
func (r *Redis) Probe(ctx context.Context) error {
	if err := r.client.Set(ctx, r.keys.prefix+":probe", 1, probeTTL).Err(); err != nil {
		return fmt.Errorf("probe redis: %w", unavailable(err))
	}
	return nil
}
