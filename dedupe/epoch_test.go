package dedupe

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"refundworker/internal/realtest"
	"refundworker/refund"

	"github.com/redis/go-redis/v9"
)

// refuses wants every call that moves a state to be refused as by a store that is away, and told why.
func refuses(t *testing.T, s port) {
	t.Helper()
	q := request("other", "t9")
	_, claimErr := s.Claim(t.Context(), q)
	_, settleErr := s.Settle(t.Context(), failed(q, "x"))
	_, waitErr := s.Wait(t.Context(), waits(q, 1, 1, true))
	for call, err := range map[string]error{"claim": claimErr, "settle": settleErr, "wait": waitErr} {
		if !errors.Is(err, ErrForgot) || !errors.Is(err, refund.ErrStoreUnavailable) {
			t.Errorf("%s: %v", call, err)
		}
	}
}

// forgetting is a server, and what makes it forget.
type forgetting struct {
	addr   string
	forget func(*testing.T) error
	// kept: what was stored before is still there, and only not to be believed.
	kept bool
}

func forgettings() map[string]func(*testing.T) forgetting {
	alone := func(do func(*testing.T, *realtest.Redis, *redis.Client) error, kept bool, args ...string) func(*testing.T) forgetting {
		return func(t *testing.T) forgetting {
			t.Helper()
			server := startServer(t, args...)
			client := redis.NewClient(&redis.Options{Addr: server.Addr, DisableIdentity: true})
			t.Cleanup(func() { _ = client.Close() })
			return forgetting{server.Addr, func(t *testing.T) error { t.Helper(); return do(t, server, client) }, kept}
		}
	}
	return map[string]func(*testing.T) forgetting{
		"a flush": alone(func(t *testing.T, _ *realtest.Redis, client *redis.Client) error {
			t.Helper()
			return client.FlushAll(t.Context()).Err()
		}, false),
		"a restart with an append-only file": alone(func(_ *testing.T, server *realtest.Redis, _ *redis.Client) error {
			return errors.Join(server.Kill(), server.Start())
		}, true, "--appendfsync", "always"),
		"a restart without one": alone(func(_ *testing.T, server *realtest.Redis, _ *redis.Client) error {
			return errors.Join(server.Kill(), server.Start())
		}, false, "--appendonly", "no"),
		"the restore of a snapshot": alone(func(t *testing.T, server *realtest.Redis, client *redis.Client) error {
			t.Helper()
			return errors.Join(client.Save(t.Context()).Err(), server.Kill(), server.Start())
		}, true, "--appendonly", "no"),
	}
}

func TestNothingIsClaimedWhereTheEpochIsMissingOrOfAnotherServer(t *testing.T) {
	t.Parallel()
	for name, start := range forgettings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			how := start(t)
			r := openRedis(t, Config{Addresses: []string{how.addr}})
			p := play{t: t, port: r}
			p.claims(request("a", "t1"), refund.ClaimGranted)
			if err := r.Remembers(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := how.forget(t); err != nil {
				t.Fatal(err)
			}
			if err := r.Remembers(t.Context()); !errors.Is(err, ErrForgot) || !errors.Is(err, refund.ErrStoreUnavailable) {
				t.Errorf("remembers: %v", err)
			}
			refuses(t, r)
			if err := r.Beat(t.Context()); err != nil {
				t.Error(err)
			}
			if last, err := r.LastBeat(t.Context()); err != nil || !last.IsZero() {
				t.Errorf("a beat of %v in an epoch that is over, %v", last, err)
			}
			renew(t, r)
			found := refund.ClaimGranted
			if how.kept {
				found = refund.ClaimBusy
			}
			p.claims(request("a", "t2"), found)
			if c := p.claims(request("b", "t3"), refund.ClaimGranted); c.Epoch.Began.IsZero() {
				t.Errorf("a second epoch looks like the first: %+v", c.Epoch)
			}
		})
	}
}

// M4: the primary dies with a claim that its replica has not got, and the replica has got the epoch.
func TestAFailoverThatKeepsTheEpochIsNoticed(t *testing.T) {
	t.Parallel()
	primary := startServer(t, "--repl-diskless-sync-delay", "0")
	host, port, err := net.SplitHostPort(primary.Addr)
	if err != nil {
		t.Fatal(err)
	}
	replica := startServer(t, "--replicaof", host+" "+port)
	promoted := redis.NewClient(&redis.Options{Addr: replica.Addr, DisableIdentity: true})
	t.Cleanup(func() { _ = promoted.Close() })
	// A primary takes a new replication ID when its first replica comes, and epochs of before would be of another server.
	until(t, "the replica to follow", func() bool {
		return strings.Contains(promoted.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
	first := openRedis(t, Config{Addresses: []string{primary.Addr}})
	beatErr := first.Beat(t.Context())
	until(t, "the replica to have the epochs and the beats", func() bool {
		return promoted.Exists(t.Context(), "{refund:b1023}:epoch", "{refund:b1023}:beat").Val() == 2
	})
	cut := promoted.ReplicaOf(t.Context(), host, "1").Err()
	play{t: t, port: first}.claims(request("a", "t1"), refund.ClaimGranted)
	if err := errors.Join(beatErr, cut, primary.Kill(), promoted.ReplicaOf(t.Context(), "NO", "ONE").Err()); err != nil {
		t.Fatal(err)
	}

	second := openRedis(t, Config{Addresses: []string{replica.Addr}})
	refuses(t, second)
	report, err := second.Epochs(t.Context())
	if err != nil || report.Other != bucketCount || report.Untold {
		t.Errorf("%+v, %v", report, err)
	}
	refill, err := second.BeginRebuild(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if since := refill.Since(); since.IsZero() || time.Since(since) < tailMargin || time.Since(since) > tailMargin+time.Minute {
		t.Errorf("the tail begins at %v", since)
	}
	if err := errors.Join(refill.Finish(t.Context()), refill.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	c := play{t: t, port: second}.claims(request("a", "t2"), refund.ClaimGranted)
	if c.Epoch.Began.IsZero() || !c.Epoch.Since.Equal(refill.Since()) {
		t.Errorf("the claim that was lost is granted as if nothing had been: %+v", c.Epoch)
	}
}

func TestAClusterForgetsByItsPrimaries(t *testing.T) {
	t.Parallel()
	addresses := startCluster(t)
	r := openRedis(t, Config{Addresses: addresses})
	one := redis.NewClient(&redis.Options{Addr: addresses[0], DisableIdentity: true})
	t.Cleanup(func() { _ = one.Close() })
	if err := one.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	report, err := r.Epochs(t.Context())
	if err != nil || report.Missing == 0 || report.Current == 0 || report.Missing+report.Current != bucketCount {
		t.Fatalf("%+v, %v", report, err)
	}
	renew(t, r)
	if err := r.Remembers(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Beat(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// One half of a claim lies where nothing was forgotten: what it granted goes back.
func TestAClaimOfWhichOneHalfForgotHoldsNothing(t *testing.T) {
	t.Parallel()
	for _, half := range []string{"record", "payment"} {
		t.Run(half, func(t *testing.T) {
			t.Parallel()
			r, _ := miniStore(t)
			q := request("a", "t1")
			n := bucket(q.RequestID)
			if half == "payment" {
				n = bucket(paymentName(q.Payment))
			}
			stored, err := r.client.Get(t.Context(), r.keys.epoch(n)).Result()
			if err != nil {
				t.Fatal(err)
			}
			if err := r.client.Del(t.Context(), r.keys.epoch(n)).Err(); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Claim(t.Context(), q); !errors.Is(err, ErrForgot) {
				t.Fatal(err)
			}
			if err := r.client.Set(t.Context(), r.keys.epoch(n), stored, 0).Err(); err != nil {
				t.Fatal(err)
			}
			if c := (play{t: t, port: r}).claims(request("a", "t2"), refund.ClaimGranted); !c.Fresh {
				t.Errorf("the refused claim has left something: %+v", c)
			}
		})
	}
}

func TestWhereTheReplicationIDIsNotToldTheEpochsPresenceCounts(t *testing.T) {
	t.Parallel()
	r, server := miniStore(t)
	report, err := r.Epochs(t.Context())
	if err != nil || !report.Untold || report.Current != bucketCount {
		t.Fatalf("%+v, %v", report, err)
	}
	if err := r.Beat(t.Context()); err != nil || server.Exists("{refund:b0}:beat") {
		t.Errorf("a beat that nobody will read: %v", err)
	}
	server.FlushAll()
	refuses(t, r)
	renew(t, r)
	play{t: t, port: r}.claims(request("a", "t1"), refund.ClaimGranted)
}

func TestTheFirstEpochsAreBegunOnce(t *testing.T) {
	t.Parallel()
	r, server := miniStore(t)
	before := server.Dump()
	if err := r.FirstEpochs(t.Context()); err != nil || server.Dump() != before {
		t.Errorf("a second init has changed something: %v", err)
	}
	if c := (play{t: t, port: r}).claims(request("a", "t1"), refund.ClaimGranted); c.Epoch != (refund.Epoch{}) {
		t.Errorf("the first epoch is %+v", c.Epoch)
	}
}

func TestAnEpochThatCannotBeReadIsNone(t *testing.T) {
	t.Parallel()
	r, _ := miniStore(t)
	q := request("a", "t1")
	for _, raw := range []string{"", "e", "e - 1", "e - x 0 1", "e - 1 0 2", "f - 1 0 1", "r name - e - 1 0 1", "e - 1 0 1 "} {
		if err := r.client.Set(t.Context(), r.keys.epoch(bucket(q.RequestID)), raw, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Claim(t.Context(), q); !errors.Is(err, ErrForgot) {
			t.Errorf("%q: %v", raw, err)
		}
		if (sight{raw: raw, server: noReplicationID}).current() {
			t.Errorf("%q is current", raw)
		}
	}
	e := parseEpoch("r name abc e def 5 3 0")
	equal(t, [3]string{e.refill, e.server, e.before}, [3]string{"name", "abc", "e def 5 3 0"})
	if parseEpoch("r name abc ").before != "" || !strings.HasPrefix(firstEpoch("abc", time.UnixMilli(7)), "e abc 7 0 1") {
		t.Error("the forms of an epoch")
	}
}

// A doubt that is less than a day old goes on in the next epoch.
func TestWhatAnEpochMayHaveForgottenIsCarriedIntoTheNext(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--appendfsync", "always")
	r := openRedis(t, Config{Addresses: []string{server.Addr}})
	if err := r.Beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	var since []time.Time
	for _, id := range []string{"a", "b"} {
		if err := errors.Join(server.Kill(), server.Start()); err != nil {
			t.Fatal(err)
		}
		renew(t, r)
		c := play{t: t, port: r}.claims(request(id, "t1"), refund.ClaimGranted)
		since = append(since, c.Epoch.Since)
		if err := r.Beat(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if since[0].IsZero() || !since[1].Equal(since[0]) {
		t.Errorf("the second epoch doubts from %v on, the first did from %v", since[1], since[0])
	}
}
