package dedupe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"refundworker/refund"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/rs/zerolog"
)

// port is what refund asks of a store.
type port interface {
	Claim(context.Context, refund.ClaimRequest) (refund.Claim, error)
	Settle(context.Context, refund.SettleRequest) (refund.Settled, error)
	Wait(context.Context, refund.WaitRequest) (refund.Waited, error)
	Release(context.Context, refund.ReleaseRequest) error
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

// kinds are the stores that must answer alike.
var kinds = []struct {
	name  string
	bench func(*testing.T) bench
}{
	{"memory", memoryBench},
	{"miniredis", miniredisBench},
	{"redis-server", serverBench},
	{"redis-cluster", clusterBench},
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
			return state{m.records, m.payments, m.outcomes}
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
		dump: func(port) any { return server.Dump() },
	}
}

func serverBench(t *testing.T) bench {
	t.Helper()
	return realBench(t, []string{sharedServer(t).address})
}

func clusterBench(t *testing.T) bench {
	t.Helper()
	return realBench(t, sharedCluster(t))
}

// state is everything a memory store holds.
type state struct {
	records  map[string]*memoryRecord
	payments map[string]*memoryPayment
	outcomes map[string]memoryOutcome
}

// realBench has a prefix of its own on servers that all tests share, and time that really passes.
func realBench(t *testing.T, addresses []string) bench {
	t.Helper()
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
	return r
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

// redisProcess is a real redis-server of the tests.
type redisProcess struct {
	address string
	dir     string
	port    int
	args    []string
	command *exec.Cmd
}

var (
	shared struct {
		mu       sync.Mutex
		server   *redisProcess
		cluster  []*redisProcess
		started  []*redisProcess
		scratch  []string
		sequence int
	}
	errNoRedis = errors.New("redis-server is not installed; install it (Debian: apt-get install redis-server) to run this test")
)

func TestMain(m *testing.M) {
	// The driver reports every refused connection; these tests refuse many.
	redis.SetLogger(&logging.VoidLogger{})
	code := m.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	for _, p := range shared.started {
		p.kill()
	}
	for _, dir := range shared.scratch {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// needRedis skips a test on a machine without redis-server, unless the run was told that there must be one.
func needRedis(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if errors.Is(err, errNoRedis) && os.Getenv("REFUND_WORKER_REQUIRE_REAL") != "1" {
		t.Skip(err)
	}
	t.Fatal(err)
}

func sharedServer(t *testing.T) *redisProcess {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		p, err := startRedis()
		needRedis(t, err)
		shared.server = p
	}
	return shared.server
}

// ownServer is a server that this test alone may restart, flush and configure.
func ownServer(t *testing.T, args ...string) *redisProcess {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	p, err := startRedis(args...)
	needRedis(t, err)
	return p
}

// sharedCluster is two primaries with half of the slots each.
func sharedCluster(t *testing.T) []string {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.cluster == nil {
		var nodes []*redisProcess
		for range 2 {
			p, err := startRedis("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
			needRedis(t, err)
			nodes = append(nodes, p)
		}
		joinCluster(t, nodes)
		shared.cluster = nodes
	}
	return []string{shared.cluster[0].address, shared.cluster[1].address}
}

func joinCluster(t *testing.T, nodes []*redisProcess) {
	t.Helper()
	ctx := t.Context()
	ranges := [][2]int{{0, 8191}, {8192, 16383}}
	clients := make([]*redis.Client, 0, len(nodes))
	for i, node := range nodes {
		client := redis.NewClient(&redis.Options{Addr: node.address, DisableIdentity: true})
		defer client.Close() //nolint:errcheck // a test's helper connection
		clients = append(clients, client)
		if err := client.ClusterAddSlotsRange(ctx, ranges[i][0], ranges[i][1]).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := clients[0].ClusterMeet(ctx, "127.0.0.1", strconv.Itoa(nodes[1].port)).Err(); err != nil {
		t.Fatal(err)
	}
	for _, client := range clients {
		until(t, "the cluster to form", func() bool {
			shards, err := client.ClusterShards(ctx).Result()
			info, infoErr := client.ClusterInfo(ctx).Result()
			return err == nil && infoErr == nil && len(shards) == 2 && len(info) > 16 && info[:16] == "cluster_state:ok"
		})
	}
}

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

// startRedis starts a server on a free port of the loopback; shared.mu is held.
func startRedis(args ...string) (*redisProcess, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, errNoRedis
	}
	dir, err := os.MkdirTemp("", "dedupe-redis-")
	if err != nil {
		return nil, err
	}
	shared.scratch = append(shared.scratch, dir)
	for range 5 {
		p := &redisProcess{dir: dir, args: args, port: freePort()}
		p.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port))
		if err = p.start(); err == nil {
			shared.started = append(shared.started, p)
			return p, nil
		}
	}
	return nil, err
}

// freePort asks the system for a port; below 55536, because a cluster's bus listens 10000 above it.
func freePort() int {
	shared.sequence++
	var ports net.ListenConfig
	for at := 21000 + (os.Getpid()*37+shared.sequence*101)%20000; ; at++ {
		l, err := ports.Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(at)))
		if err == nil {
			_ = l.Close()
			return at
		}
	}
}

func (p *redisProcess) start() error {
	args := append([]string{
		"--port", strconv.Itoa(p.port), "--bind", "127.0.0.1", "--dir", p.dir, "--save", "", "--appendonly", "yes",
		"--appendfsync", "everysec", "--daemonize", "no", "--loglevel", "warning",
	}, p.args...)
	p.command = exec.Command("redis-server", args...) //nolint:noctx // it outlives the test that started it and is stopped by TestMain
	if err := p.command.Start(); err != nil {
		return err
	}
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		client := redis.NewClient(&redis.Options{Addr: p.address, DisableIdentity: true, MaxRetries: -1, DialerRetries: 1})
		err := client.Ping(context.Background()).Err()
		_ = client.Close()
		if err == nil {
			return nil
		}
		<-time.After(10 * time.Millisecond)
	}
	p.kill()
	return errors.New("redis-server did not answer in 10s")
}

// kill ends the process by its ID, as a crash does.
func (p *redisProcess) kill() {
	if p.command == nil || p.command.Process == nil {
		return
	}
	_ = p.command.Process.Signal(syscall.SIGKILL)
	_ = p.command.Wait()
	p.command = nil
}
