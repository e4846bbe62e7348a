package realtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	// sentinelStart bounds the time until every sentinel knows the others and the replicas: they tell each other of
	// themselves every 2 s.
	sentinelStart = 30 * time.Second
	// sentinelDown is how long a primary may be silent before its sentinels take it for dead.
	sentinelDown = time.Second
	// sentinelFailover bounds one attempt at a failover.
	sentinelFailover = 5 * time.Second
)

// SentinelOptions says what a test's sentinels do otherwise than the kit's default.
type SentinelOptions struct {
	// TLS makes them speak TLS only, to clients, to each other and to Redis; nil is plaintext.
	TLS *RedisTLS
	// Lines are added to each one's configuration, such as "sentinel auth-user NAME USER".
	Lines []string
	// Login is what the kit asks them with, "user password"; empty is none.
	Login string
}

// Sentinels are the processes that watch one primary and promote a replica when it is gone.
type Sentinels struct {
	// Addrs are host:port of each.
	Addrs []string
	// Master is the name they know the primary by.
	Master string

	opts SentinelOptions
}

// StartSentinels starts n sentinels of the primary, of which more than half have to agree, and returns once all of them
// know each other and the given number of replicas. They end with the test.
func StartSentinels(tb testing.TB, master string, primary *Redis, n, replicas int, opts SentinelOptions) *Sentinels {
	tb.Helper()
	parts := Available()
	require(tb, parts.RedisMissing)
	all := &Sentinels{Master: master, opts: opts}
	for range n {
		addr, err := all.start(tb, parts.redisServer, primary.port, n/2+1)
		if err != nil {
			tb.Fatalf("start redis-sentinel %s: %v", parts.Redis, err)
		}
		all.Addrs = append(all.Addrs, addr)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), sentinelStart)
	defer cancel()
	want := fmt.Sprintf("status=ok,address=%s,slaves=%d,sentinels=%d", primary.Addr, replicas, n)
	for _, addr := range all.Addrs {
		if err := all.awaitInfo(ctx, addr, want); err != nil {
			tb.Fatal(err)
		}
	}
	return all
}

// Primary asks the first sentinel for the address of the primary it believes in.
func (s *Sentinels) Primary(ctx context.Context) (string, error) {
	answer, err := s.ask(ctx, s.Addrs[0], "SENTINEL GET-MASTER-ADDR-BY-NAME "+s.Master)
	if err != nil {
		return "", err
	}
	// *2 $9 127.0.0.1 $5 26001, a line each.
	words := strings.Fields(answer)
	if len(words) != 5 {
		return "", fmt.Errorf("sentinel %s answered %q", s.Addrs[0], answer)
	}
	return words[2] + ":" + words[4], nil
}

func (s *Sentinels) ask(ctx context.Context, addr, command string) (string, error) {
	return askAs(ctx, addr, s.opts.TLS.client(), s.opts.Login, command)
}

func (s *Sentinels) start(tb testing.TB, server string, primary, quorum int) (string, error) {
	tb.Helper()
	var faults []error
	for range redisTries {
		ports, err := freePorts(tb.Context(), 1)
		if err != nil {
			return "", err
		}
		dir := tb.TempDir()
		// A sentinel writes what it learns into its own configuration.
		config := filepath.Join(dir, "sentinel.conf")
		lines := []string{
			"bind 127.0.0.1", "daemonize no", "dir " + dir,
			fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d %d", s.Master, primary, quorum),
			fmt.Sprintf("sentinel down-after-milliseconds %s %d", s.Master, sentinelDown.Milliseconds()),
			fmt.Sprintf("sentinel failover-timeout %s %d", s.Master, sentinelFailover.Milliseconds()),
		}
		for _, setting := range s.opts.TLS.listen(ports[0]) {
			lines = append(lines, setting[0]+" "+setting[1])
		}
		lines = append(append(lines, s.opts.Lines...), "")
		if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			return "", err
		}
		proc, err := startProcess(filepath.Join(dir, "sentinel.log"), "", server, config, "--sentinel")
		if err != nil {
			return "", err
		}
		addr := loopback(ports[0])
		ctx, cancel := context.WithTimeout(tb.Context(), redisStart)
		err = proc.await(ctx, func(ctx context.Context) error {
			_, err := s.ask(ctx, addr, "PING")
			return err
		})
		cancel()
		if err != nil {
			faults = append(faults, err, proc.kill())
			continue
		}
		tb.Cleanup(func() {
			if err := proc.kill(); err != nil {
				tb.Error(err)
			}
		})
		return addr, nil
	}
	return "", errors.Join(faults...)
}

// awaitInfo polls a sentinel until it says what is wanted of its primary.
func (s *Sentinels) awaitInfo(ctx context.Context, addr, want string) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		answer, err := s.ask(ctx, addr, "INFO sentinel")
		if err == nil && strings.Contains(answer, want) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("sentinel %s does not say %q: %q, %w", addr, want, answer, errors.Join(err, ctx.Err()))
		case <-ticker.C:
		}
	}
}
