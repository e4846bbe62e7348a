package secure

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"refundworker/internal/kafka/kafkatest"
	"refundworker/internal/realtest"
)

const (
	failoverCommands = 300
	master           = "refunds"
)

// Replication is asynchronous: a promoted replica may lack what the primary had acknowledged. How many records that were
// is logged. All commands are then sent once more: a request ID that Redis has forgotten goes to the gateway again,
// whose idempotency has to keep it from becoming a second refund.
func TestAFailoverBySentinelLosesNoRefundAndRepeatsNone(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	for name, tc := range map[string]struct {
		// syncDelay is how many seconds the primary waits before it sends a new replica its data.
		syncDelay string
		inStep    bool
	}{
		"with a replica in step":                    {"0", true},
		"with a replica that never got the records": {"600", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary, replica, sentinels := startSentinels(t, tc.syncDelay)
			i := install(t, broker.Addr, kafkatest.Name(t), fmt.Sprintf("brokers: [%q]", broker.Addr),
				fmt.Sprintf("addresses: [%q, %q, %q], master_name: %s", sentinels.Addrs[0], sentinels.Addrs[1], sentinels.Addrs[2], master))
			if tc.inStep {
				until(t, "the replica's link", 20*time.Second, func(ctx context.Context) bool {
					return strings.Contains(info(ctx, t, replica), "master_link_status:up")
				})
			}
			i.must(t, "init")
			i.must(t, "check")
			p := i.run(t)
			ids := make([]string, failoverCommands)
			for n := range ids {
				ids[n] = fmt.Sprintf("rf-%03d", n)
			}
			i.command(t, ids...)
			until(t, "a fifth of the refunds", 45*time.Second, func(context.Context) bool {
				return len(i.gateway.Summary().Refunds) >= failoverCommands/5
			})
			if err := primary.Kill(); err != nil {
				t.Fatal(err)
			}
			killed := time.Now()
			before := len(i.gateway.Summary().Refunds)
			until(t, "the promotion", 30*time.Second, func(ctx context.Context) bool {
				addr, err := sentinels.Primary(ctx)
				return err == nil && addr == replica.Addr
			})
			promoted := time.Since(killed)
			i.succeed(t, p, ids)
			if before >= failoverCommands {
				t.Error("every refund was done before the failover: the test proved nothing")
			}
			lost, again := failoverCommands-records(t, replica), i.again(ids)

			i.command(t, ids...)
			each := int64(2 * failoverCommands / partitions)
			ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
			defer cancel()
			if err := i.admin.AwaitCommitted(ctx, i.prefix, i.prefix+".commands", map[int]int64{0: each, 1: each, 2: each, 3: each}); err != nil {
				t.Fatal(err)
			}
			i.succeed(t, p, ids)
			t.Logf("killed after %d of %d refunds, promoted %v later: %d records lost; %d refunds called again in the failover, %d in all after all commands came twice",
				before, failoverCommands, promoted.Round(time.Millisecond), lost, again, i.again(ids))
			if !tc.inStep && i.again(ids) == 0 {
				t.Error("no forgotten refund was called again: the test proved nothing")
			}
			p.stop(t)
			if !tc.inStep {
				i.do(t, "check").refused(t, 2, "no dedupe layout", "worker init")
			}
		})
	}
}

func startSentinels(t *testing.T, syncDelay string) (primary, replica *realtest.Redis, sentinels *realtest.Sentinels) {
	t.Helper()
	primary = realtest.StartRedis(t, realtest.RedisOptions{Args: []string{"--repl-diskless-sync-delay", syncDelay}})
	host, port, err := net.SplitHostPort(primary.Addr)
	if err != nil {
		t.Fatal(err)
	}
	replica = realtest.StartRedis(t, realtest.RedisOptions{Args: []string{"--replicaof", host, port}})
	return primary, replica, realtest.StartSentinels(t, master, primary, 3, 1)
}

// again counts the refunds of which the gateway saw more than one call.
func (i *installation) again(ids []string) int {
	n := 0
	for _, id := range ids {
		if len(i.gateway.Calls(id)) > 1 {
			n++
		}
	}
	return n
}

func info(ctx context.Context, t *testing.T, server *realtest.Redis) string {
	t.Helper()
	store := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer func() { _ = store.Close() }()
	text, err := store.Info(ctx, "replication").Result()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// records counts the refunds that a Redis knows.
func records(t *testing.T, server *realtest.Redis) int {
	t.Helper()
	store := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer func() { _ = store.Close() }()
	found := make(map[string]struct{})
	scan := store.Scan(t.Context(), 0, "{refund:b*}:r:*", 1000).Iterator()
	for scan.Next(t.Context()) {
		found[scan.Val()] = struct{}{} // a scan may show a key twice
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	return len(found)
}
