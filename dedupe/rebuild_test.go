package dedupe

import (
	"errors"
	"testing"
	"time"

	"refundworker/internal/realtest"

	"github.com/redis/go-redis/v9"
)

func TestOnlyOneOfTwoRefillsWorks(t *testing.T) {
	t.Parallel()
	r, server := miniStore(t)
	server.FlushAll()
	first, err := r.BeginRebuild(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.BeginRebuild(t.Context(), false); !errors.Is(err, ErrRebuilding) {
		t.Fatalf("the second: %v", err)
	}
	if err := first.Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.FastForward(lockTTL - time.Second)
	if _, err := r.BeginRebuild(t.Context(), false); !errors.Is(err, ErrRebuilding) {
		t.Fatalf("within the lock: %v", err)
	}
	// The first is silent for too long, and the second takes over; the first can end nothing any more.
	server.FastForward(2 * time.Second)
	second, err := r.BeginRebuild(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Keep(t.Context()); !errors.Is(err, ErrOvertaken) {
		t.Errorf("keep: %v", err)
	}
	if err := first.Finish(t.Context()); !errors.Is(err, ErrOvertaken) {
		t.Errorf("finish: %v", err)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Error(err)
	}
	refuses(t, r)
	if err := errors.Join(second.Keep(t.Context()), second.Finish(t.Context()), second.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, err := r.BeginRebuild(t.Context(), false); !errors.Is(err, ErrRemembers) {
		t.Errorf("after it: %v", err)
	}
}

// A refill that does not notice would open buckets of which it has restored one half before they were emptied.
func TestARefillDuringWhichRedisForgetsAgainOpensNothing(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(*testing.T, *realtest.Redis, *redis.Client) error{
		"a flush": func(t *testing.T, _ *realtest.Redis, client *redis.Client) error {
			t.Helper()
			return client.FlushAll(t.Context()).Err()
		},
		"a restart": func(_ *testing.T, server *realtest.Redis, _ *redis.Client) error {
			return errors.Join(server.Kill(), server.Start())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startServer(t, "--appendfsync", "always")
			r := openRedis(t, Config{Addresses: []string{server.Addr}})
			client := redis.NewClient(&redis.Options{Addr: server.Addr, DisableIdentity: true})
			t.Cleanup(func() { _ = client.Close() })
			flush := client.FlushAll(t.Context()).Err()
			refill, err := r.BeginRebuild(t.Context(), false)
			if err := errors.Join(flush, err); err != nil {
				t.Fatal(err)
			}
			if err := again(t, server, client); err != nil {
				t.Fatal(err)
			}
			if err := refill.Finish(t.Context()); !errors.Is(err, ErrOvertaken) {
				t.Errorf("finish: %v", err)
			}
			refuses(t, r)
		})
	}
}

func TestARefillGoesOnWhereADeadOneStopped(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	r := openRedis(t, Config{Addresses: []string{server.Addr}})
	flush := func() {
		t.Helper()
		if err := r.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	begin := func() *Rebuild {
		t.Helper()
		// A process that dies gives no lock back: its lock runs out.
		if err := r.client.Del(t.Context(), r.keys.lock()).Err(); err != nil {
			t.Fatal(err)
		}
		refill, err := r.BeginRebuild(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		return refill
	}
	progress := func(b *Rebuild) map[int]int64 {
		t.Helper()
		done, err := b.Progress(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	flush()
	if err := begin().Done(t.Context(), 3, 700); err != nil {
		t.Fatal(err)
	}
	resumed := begin()
	equal(t, progress(resumed), map[int]int64{3: 700})
	flush()
	equal(t, progress(begin()), map[int]int64{})
	if err := resumed.Finish(t.Context()); !errors.Is(err, ErrOvertaken) {
		t.Errorf("a refill of before the flush: %v", err)
	}
}

func TestNoRefillIsResumedWhereARestartCannotBeSeen(t *testing.T) {
	t.Parallel()
	r, server := miniStore(t)
	server.FlushAll()
	refill, err := r.BeginRebuild(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(refill.Done(t.Context(), 1, 5), refill.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	again, err := r.BeginRebuild(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	done, err := again.Progress(t.Context())
	if err != nil || len(done) != 0 {
		t.Errorf("%v, %v", done, err)
	}
}
