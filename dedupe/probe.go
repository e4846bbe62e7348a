package dedupe

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// probeTTL lets a probe's keys go that its user may not delete.
const probeTTL = time.Minute

// RightsError says what the Redis user may not do though every claim needs it. No waiting mends it: a person has to.
type RightsError struct {
	// Commands are what was refused inside a script, in capitals. Never empty.
	Commands []string
	// Reply is the server's answer to the first of them.
	Reply string
}

// Error names the commands.
func (e *RightsError) Error() string {
	return fmt.Sprintf("the redis user may not call %s in scripts: %s", strings.Join(e.Commands, ", "), e.Reply)
}

// Probe runs a script that calls all that claims call, on keys of its own, at every primary. It finds what Ping does
// not: a user without a right that claims need, and a primary that was demoted, has too few replicas, has run out of
// memory or cannot save, and so takes no claim. The error wraps refund.ErrStoreUnavailable, and a *RightsError if
// rights inside the scripts are what is missing.
func (r *Redis) Probe(ctx context.Context) error {
	buckets, err := r.probeBuckets(ctx)
	if err != nil {
		return fmt.Errorf("probe redis: %w", unavailable(err))
	}
	calls := make([]scriptCall, len(buckets))
	for i, bucket := range buckets {
		calls[i] = scriptCall{r.scripts.probe, r.keys.probe(bucket), []any{probeTTL.Milliseconds()}}
	}
	replies, err := r.batches.do(ctx, calls)
	for i := 0; err == nil && i < len(replies); i++ {
		err = readProbe(replies[i])
	}
	if err != nil {
		return fmt.Errorf("probe redis: %w", unavailable(err))
	}
	return nil
}

// CheckRights is a Probe that also loads the scripts, which Probe does only where they are missing. It lets a start
// find out at once what would show at the next restart or failover of a server.
func (r *Redis) CheckRights(ctx context.Context) error {
	if err := r.load(ctx); err != nil {
		return fmt.Errorf("check rights: %w", unavailable(err))
	}
	return r.Probe(ctx)
}

// probeBuckets are one bucket of every primary of a cluster, or any bucket of the one server there is.
func (r *Redis) probeBuckets(ctx context.Context) ([]uint64, error) {
	cluster, ok := r.client.(*redis.ClusterClient)
	if !ok {
		return []uint64{0}, nil
	}
	var buckets []uint64
	asked := make(map[*redis.Client]struct{})
	for bucket := range uint64(bucketCount) {
		node, err := cluster.MasterForKey(ctx, r.keys.probe(bucket)[0])
		if err != nil {
			return nil, fmt.Errorf("find the primaries: %w", err)
		}
		if _, known := asked[node]; !known {
			asked[node] = struct{}{}
			buckets = append(buckets, bucket)
		}
	}
	return buckets, nil
}

// states are the replies by which a server says that it takes no command of this kind now. Every other refusal of a
// plain command is about the user: old servers give no code for it, and newer ones ERR or NOPERM.
//
//nolint:gochecknoglobals // a constant list
var states = []string{"READONLY", "OOM", "MISCONF", "NOREPLICAS", "MASTERDOWN", "LOADING", "BUSY", "CLUSTERDOWN", "TRYAGAIN"}

func readProbe(reply []string) error {
	if len(reply)%2 != 0 {
		return fmt.Errorf("%w: a probe's answer of %d fields", ErrCorrupt, len(reply))
	}
	var refused RightsError
	for i := 0; i < len(reply); i += 2 {
		code, _, _ := strings.Cut(reply[i+1], " ")
		if slices.Contains(states, code) {
			return fmt.Errorf("%s in a script: %s", reply[i], reply[i+1])
		}
		refused.Commands = append(refused.Commands, reply[i])
		if refused.Reply == "" {
			refused.Reply = reply[i+1]
		}
	}
	if len(refused.Commands) > 0 {
		return &refused
	}
	return nil
}
