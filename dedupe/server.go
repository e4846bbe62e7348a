package dedupe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// ErrUnfit is wrapped when a Redis server is set up in a way that loses records.
var ErrUnfit = errors.New("redis server is unfit for dedupe records")

// ErrNotAnswered is returned when a server does not serve what was asked for, as some managed ones do not.
var ErrNotAnswered = errors.New("not answered by the redis server")

// NotAnswered stands in a ServerReport for what the server did not tell. Nothing is guessed in its place.
const NotAnswered = "not answered"

// ServerReport is what CheckServer found, one entry per primary, ordered by address.
type ServerReport struct {
	Nodes []NodeReport
	// Warnings are what an operator should mend or know, each with the server's address in front.
	Warnings []string
}

// NodeReport describes one primary in Redis's own words; each field may be NotAnswered.
type NodeReport struct {
	Address, Version string
	// Policy is maxmemory-policy; it must be noeviction.
	Policy string
	// AppendOnly is "1" where acknowledged writes survive a restart.
	AppendOnly string
	// Replicas is the number of connected replicas.
	Replicas string
	// MinReplicas is min-replicas-to-write; "0" lets a lone primary acknowledge what a failover then loses.
	MinReplicas string
	// UsedMemory and MaxMemory are bytes; a MaxMemory of "0" is no limit.
	UsedMemory, MaxMemory string
}

// CheckServer looks at how every primary is set up, and whether the Sentinels, if any, name one. The error wraps
// ErrUnfit when one may evict records, or refund.ErrStoreUnavailable when one cannot be reached or no Sentinel answers;
// the report is filled in either way, as far as it goes.
func (r *Redis) CheckServer(ctx context.Context) (ServerReport, error) {
	var report ServerReport
	if r.cfg.MasterName != "" {
		var err error
		if report.Warnings, err = r.askSentinels(ctx); err != nil {
			return report, fmt.Errorf("check redis: %w", err)
		}
	}
	var unfit []error
	var mu sync.Mutex
	err := r.eachPrimary(ctx, func(ctx context.Context, node *redis.Client) error {
		n, err := describe(ctx, node)
		if r.cfg.MasterName != "" {
			n.Address = r.cfg.MasterName // the driver calls every primary behind Sentinels FailoverClient
		}
		if err != nil {
			return fmt.Errorf("check redis %s: %w", n.Address, unavailable(err))
		}
		mu.Lock()
		defer mu.Unlock()
		report.Nodes = append(report.Nodes, n)
		if n.Policy != "noeviction" && n.Policy != NotAnswered {
			unfit = append(unfit, fmt.Errorf("%w: %s has maxmemory-policy %s and may evict records; set noeviction", ErrUnfit, n.Address, n.Policy))
		}
		return nil
	})
	slices.SortFunc(report.Nodes, func(a, b NodeReport) int { return cmp.Compare(a.Address, b.Address) })
	for _, n := range report.Nodes {
		report.Warnings = append(report.Warnings, n.warnings()...)
	}
	return report, errors.Join(append(unfit, err)...)
}

func (n NodeReport) warnings() []string {
	var warnings []string
	warn := func(text string) { warnings = append(warnings, n.Address+": "+text) }
	var silent []string
	for _, field := range []struct{ name, value string }{
		{"version", n.Version},
		{"maxmemory-policy", n.Policy},
		{"appendonly", n.AppendOnly},
		{"replicas", n.Replicas},
		{"min-replicas-to-write", n.MinReplicas},
		{"used memory", n.UsedMemory},
		{"maxmemory", n.MaxMemory},
	} {
		if field.value == NotAnswered {
			silent = append(silent, field.name)
		}
	}
	if len(silent) > 0 {
		warn(NotAnswered + ", so not checked: " + strings.Join(silent, ", "))
	}
	if n.AppendOnly == "0" {
		warn("no append-only file: a restart forgets acknowledged records; set appendonly yes")
	}
	if n.MinReplicas == "0" && n.Replicas != "0" && n.Replicas != NotAnswered {
		warn("min-replicas-to-write is 0: a failover can lose acknowledged records; set it to 1 or more")
	}
	if n.MaxMemory == "0" {
		warn("maxmemory is not set: intake cannot be closed before the machine is full")
	}
	return warnings
}

// describe asks one primary. Only a primary that cannot be reached is an error: a refused INFO or CONFIG is an answer.
func describe(ctx context.Context, node *redis.Client) (NodeReport, error) {
	n := NodeReport{Address: node.Options().Addr}
	if err := node.Ping(ctx).Err(); err != nil {
		return n, err
	}
	info, err := readInfo(ctx, node, "server", "memory", "persistence", "replication")
	if err != nil {
		return n, err
	}
	n.Version, n.Policy = cmp.Or(info["redis_version"], NotAnswered), cmp.Or(info["maxmemory_policy"], NotAnswered)
	n.AppendOnly, n.Replicas = cmp.Or(info["aof_enabled"], NotAnswered), cmp.Or(info["connected_slaves"], NotAnswered)
	n.UsedMemory, n.MaxMemory = cmp.Or(info["used_memory"], NotAnswered), cmp.Or(info["maxmemory"], NotAnswered)

	settings, err := node.ConfigGet(ctx, "min-replicas-to-write").Result()
	if err != nil && !isReply(err) {
		return n, err
	}
	n.MinReplicas = cmp.Or(settings["min-replicas-to-write"], NotAnswered)
	return n, nil
}

// readInfo reads the named sections of INFO; a section that the server refuses is left out.
func readInfo(ctx context.Context, node *redis.Client, sections ...string) (map[string]string, error) {
	info := make(map[string]string)
	for _, section := range sections {
		text, err := node.Info(ctx, section).Result()
		if err != nil {
			if isReply(err) {
				continue
			}
			return nil, err
		}
		for line := range strings.Lines(text) {
			if name, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
				info[name] = value
			}
		}
	}
	return info, nil
}

// isReply tells an error that the server answered from one that kept it from answering.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// MemoryPressure is the used share of maxmemory of the fullest primary: 0.85 is 85 %. It is 0 where no limit is set,
// and ErrNotAnswered where a server does not tell, so that the caller decides what silence means.
func (r *Redis) MemoryPressure(ctx context.Context) (float64, error) {
	var fullest float64
	var mu sync.Mutex
	err := r.eachPrimary(ctx, func(ctx context.Context, node *redis.Client) error {
		info, err := readInfo(ctx, node, "memory")
		if err != nil {
			return fmt.Errorf("memory of redis %s: %w", node.Options().Addr, unavailable(err))
		}
		used, usedErr := strconv.ParseUint(info["used_memory"], 10, 64)
		limit, limitErr := strconv.ParseUint(info["maxmemory"], 10, 64)
		if err := errors.Join(usedErr, limitErr); err != nil {
			return fmt.Errorf("memory of redis %s: %w: %w", node.Options().Addr, ErrNotAnswered, err)
		}
		if limit == 0 {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		fullest = max(fullest, float64(used)/float64(limit))
		return nil
	})
	return fullest, err
}
