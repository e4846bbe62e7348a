package dedupe

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"refundworker/internal/realtest"
	"refundworker/refund"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// port is what refund asks of a store.
type port interface {
	Claim(context.Context, refund.ClaimRequest) (refund.Claim, error)
	Settle(context.Context, refund.SettleRequest) (refund.Settled, error)
	Wait(context.Context, refund.WaitRequest) (refund.Waited, error)
	Release(context.Context, refund.ReleaseRequest) error
	Look(context.Context, string) (refund.Sight, error)
	Announced(ctx context.Context, requestID string) error
	Overdue(ctx context.Context, limit int, interval time.Duration) ([]string, error)
	Postpone(ctx context.Context, ids []string, by time.Duration) error
}

var (
	_ port = (*Redis)(nil)
	_ port = (*Memory)(nil)
)

// bench is one empty store of some kind, and the means to let its time pass.
type bench struct {
	// brief is a lease that pass can outwait.
	brief time.Duration
	// open makes a store over the bench's data; nothing of another bench is seen through it.
	open func(*testing.T, Config) port
	// pass lets at least d go by on the store's clock.
	pass func(*testing.T, time.Duration)
	// dump is everything the store holds, to be compared; nil where tests share a server.
	dump func(port) any
}

// kinds are the stores that must answer alike. What start starts lives as long as the test it was given, whose subtests
// may share it: each takes a bench of its own.
var kinds = []struct {
	name  string
	start func(*testing.T) func(*testing.T) bench
}{
	{"memory", func(*testing.T) func(*testing.T) bench { return memoryBench }},
	{"miniredis", func(*testing.T) func(*testing.T) bench { return miniredisBench }},
	{"redis-server", func(t *testing.T) func(*testing.T) bench { t.Helper(); return realBench(startServer(t).Addr) }},
	{"redis-cluster", func(t *testing.T) func(*testing.T) bench { t.Helper(); return realBench(startCluster(t)...) }},
}

func memoryBench(*testing.T) bench {
	clock := newClock()
	return bench{
		brief: time.Minute,
		open: func(_ *testing.T, cfg Config) port {
			m := NewMemory(cfg)
			m.now = clock.now
			return m
		},
		pass: func(_ *testing.T, d time.Duration) { clock.move(d) },
		dump: func(s port) any {
			m, ok := s.(*Memory)
			if !ok {
				return "not a memory store"
			}
			return state{m.records, m.payments, m.outcomes, m.messages, m.schedule}
		},
	}
}

func miniredisBench(t *testing.T) bench {
	t.Helper()
	server := miniredis.RunT(t)
	clock := newClock()
	server.SetTime(clock.now())
	return bench{
		brief: time.Minute,
		open: func(t *testing.T, cfg Config) port {
			t.Helper()
			cfg.Addresses = []string{server.Addr()}
			return openRedis(t, cfg)
		},
		pass: func(_ *testing.T, d time.Duration) {
			clock.move(d)
			server.SetTime(clock.now())
			server.FastForward(d)
		},
		dump: func(port) any { return withoutEpochs(server.Dump()) },
	}
}

// withoutEpochs leaves out of a dump what is the same in every store, but for the time: each key is a line "- key", and
// its value the lines below it.
func withoutEpochs(dump string) string {
	var kept strings.Builder
	for entry := range strings.SplitSeq(dump, "\n- ") {
		if key, _, _ := strings.Cut(entry, "\n"); !strings.HasSuffix(key, "}:epoch") {
			kept.WriteString(entry + "\n")
		}
	}
	return kept.String()
}

// state is everything a memory store holds.
type state struct {
	records  map[string]*memoryRecord
	payments map[string]*memoryPayment
	outcomes map[string]memoryOutcome
	messages map[string]memoryOutcome
	schedule map[string]int64
}

// realBench has a prefix of its own on servers that several tests share, and time that really passes.
func realBench(addresses ...string) func(*testing.T) bench {
	return func(*testing.T) bench {
		prefix := "test-" + rand.Text()
		return bench{
			brief: 30 * time.Millisecond,
			open: func(t *testing.T, cfg Config) port {
				t.Helper()
				cfg.Addresses, cfg.KeyPrefix = addresses, prefix
				return openRedis(t, cfg)
			},
			pass: func(t *testing.T, d time.Duration) {
				t.Helper()
				outwait(t, d+5*time.Millisecond)
			},
		}
	}
}

func outwait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("the test ended while it waited")
	}
}

func openRedis(t *testing.T, cfg Config) *Redis {
	t.Helper()
	r, err := New(cfg, zerolog.Nop(), NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	// A machine busy with the race detector may pause for longer than a server in trouble would.
	opts := clientOptions(r.cfg)
	opts.ReadTimeout, opts.WriteTimeout, opts.DialTimeout = 5*time.Second, 5*time.Second, 5*time.Second
	if err := r.client.Close(); err != nil {
		t.Fatal(err)
	}
	r.client = redis.NewUniversalClient(opts)
	t.Cleanup(func() {
		if err := r.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			t.Error(err)
		}
	})
	beginEpochs(t, r)
	return r
}

// beginEpochs is what `worker init` does; a server that is not there has none.
func beginEpochs(t *testing.T, r *Redis) {
	t.Helper()
	if err := r.FirstEpochs(t.Context()); err != nil && !errors.Is(err, refund.ErrStoreUnavailable) {
		t.Fatal(err)
	}
}

// renew is a refill without anything to restore: what the server knows is believed again.
func renew(t *testing.T, r *Redis) {
	t.Helper()
	b, err := r.BeginRebuild(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Finish(t.Context()), b.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// clock is a time that only tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// startServer starts a real redis-server that ends with the test, or with the test process if that dies.
func startServer(t *testing.T, args ...string) *realtest.Redis {
	t.Helper()
	return realtest.StartRedis(t, realtest.RedisOptions{Args: args})
}

// startCluster starts two primaries with half of the slots each, and returns their addresses.
func startCluster(t *testing.T) []string {
	t.Helper()
	silenceDriver()
	ctx := t.Context()
	var addresses []string
	var clients []*redis.Client
	for _, slots := range [][2]int{{0, 8191}, {8192, 16383}} {
		node := startServer(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
		client := redis.NewClient(&redis.Options{Addr: node.Addr, DisableIdentity: true})
		defer client.Close() //nolint:errcheck // a test's helper connection
		if err := client.ClusterAddSlotsRange(ctx, slots[0], slots[1]).Err(); err != nil {
			t.Fatal(err)
		}
		addresses, clients = append(addresses, node.Addr), append(clients, client)
	}
	if err := clients[0].ClusterMeet(ctx, "127.0.0.1", portOf(addresses[1])).Err(); err != nil {
		t.Fatal(err)
	}
	for _, client := range clients {
		until(t, "the cluster to form", func() bool {
			shards, err := client.ClusterShards(ctx).Result()
			info, infoErr := client.ClusterInfo(ctx).Result()
			return err == nil && infoErr == nil && len(shards) == 2 && strings.HasPrefix(info, "cluster_state:ok")
		})
	}
	return addresses
}

func portOf(address string) string { return address[strings.LastIndex(address, ":")+1:] }

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 20s for %s", what)
		}
		outwait(t, 10*time.Millisecond)
	}
}
