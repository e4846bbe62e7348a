package dedupe

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"refundworker/refund"

	"github.com/redis/go-redis/v9"
)

// roomRequests is over how many requests their room is measured; a quarter of it, for what has no limit to keep, fills the
// server's tables as far.
const roomRequests = 100_000

// figure reads one number of what the server tells.
func figure(t *testing.T, client *redis.Client, section, name string) int {
	t.Helper()
	info, err := client.Info(t.Context(), section).Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(info) {
		if text, found := strings.CutPrefix(strings.TrimSpace(line), name+":"); found {
			n, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("the server does not tell %s", name)
	return 0
}

// roomOf is a request as they really are, with IDs of some twenty characters.
func roomOf(i int) refund.ClaimRequest {
	id := fmt.Sprintf("rf-20261125-%08d", i)
	q := request(id, fmt.Sprintf("TOKEN-OF-26-CHARS-%08d", i), pays(fmt.Sprintf("20261125194010%08d", i), 1001, 1001))
	q.GatewayKey, q.Fingerprints[0].Sum = id, strings.Repeat("f", 64)
	return q
}

// Measured is what the server takes for many of a kind and nothing else, its own tables included; the connections that
// brought them are closed by then. The limits are what docs/operations.md plans with.
func TestARequestTakesNoMoreRoomInRedisThanIsPlannedWith(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		n, most int
		// settled: the request is. Without kinds ('r', 'o', 'p') of keys that another measure is about.
		settled bool
		without string
	}{
		"claimed":                            {roomRequests / 4, 340, false, "p"},
		"settled, with 400 bytes of outcome": {roomRequests, 800, true, "p"},
		"tombstone":                          {roomRequests, 200, true, "op"},
		"payment with one refund":            {roomRequests / 4, 240, true, "ro"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startServer(t)
			r := openRedis(t, Config{Addresses: []string{server.Addr}})
			client := redis.NewClient(&redis.Options{Addr: server.Addr, DisableIdentity: true, PoolSize: 1})
			t.Cleanup(func() { _ = client.Close() })
			before := figure(t, client, "memory", "used_memory")
			const clients = 16
			var group sync.WaitGroup
			for c := range clients {
				group.Go(func() {
					for i := c; i < tc.n && !t.Failed(); i += clients {
						q := roomOf(i)
						_, err := r.Claim(t.Context(), q)
						if tc.settled && err == nil {
							_, err = r.Settle(t.Context(), proven(q, strings.Repeat("o", 400)))
						}
						gone := map[byte]string{'r': r.keys.record(q.RequestID), 'o': r.keys.outcome(q.RequestID), 'p': r.keys.payment(q.Payment)}
						for _, kind := range []byte(tc.without) {
							err = errors.Join(err, r.client.Del(t.Context(), gone[kind]).Err())
						}
						if err != nil {
							t.Errorf("request %d: %v", i, err)
						}
					}
				})
			}
			group.Wait()
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			until(t, "the store's connections to be gone", func() bool { return figure(t, client, "clients", "connected_clients") == 1 })
			each := (figure(t, client, "memory", "used_memory") - before) / tc.n
			t.Logf("%s: %d B", name, each)
			if each > tc.most {
				t.Errorf("%s: %d B, planned are %d", name, each, tc.most)
			}
		})
	}
}
