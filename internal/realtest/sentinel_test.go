package realtest

import (
	"context"
	"net"
	"testing"
	"time"
)

func TestSentinelsKnowThePrimaryAndPromoteItsReplica(t *testing.T) {
	t.Parallel()
	primary := StartRedis(t, RedisOptions{})
	host, port, err := net.SplitHostPort(primary.Addr)
	if err != nil {
		t.Fatal(err)
	}
	replica := StartRedis(t, RedisOptions{Args: []string{"--replicaof", host, port}})
	sentinels := StartSentinels(t, "m", primary, 3, 1, SentinelOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if addr, err := sentinels.Primary(ctx); err != nil || addr != primary.Addr {
		t.Fatalf("primary: %s, %v, want %s", addr, err, primary.Addr)
	}
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		addr, err := sentinels.Primary(ctx)
		if err == nil && addr == replica.Addr {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("primary: %s, %v, want %s", addr, err, replica.Addr)
		case <-ticker.C:
		}
	}
}
