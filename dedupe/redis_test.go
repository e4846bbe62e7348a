package dedupe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"refundworker/refund"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

func miniStore(t *testing.T) (*Redis, *miniredis.Miniredis) {
	t.Helper()
	server := miniredis.RunT(t)
	return openRedis(t, Config{Addresses: []string{server.Addr()}}), server
}

func TestScriptsAreLoadedOnceAndAgainAfterAFlush(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"redis-server", "redis-cluster"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var addresses []string
			if kind == "redis-cluster" {
				addresses = startCluster(t)
			} else {
				addresses = []string{startServer(t).Addr}
			}
			r := openRedis(t, Config{Addresses: addresses, KeyPrefix: "flush-" + kind})
			p := play{t: t, port: r}
			p.claims(request("a", "t1"), refund.ClaimGranted)
			loads := testutil.ToFloat64(r.metrics.reloads)
			if kind == "redis-server" {
				equal(t, loads, 1)
			}
			p.claims(request("b", "t2"), refund.ClaimGranted)
			equal(t, testutil.ToFloat64(r.metrics.reloads), loads)
			if err := r.client.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			if c := p.claims(request("c", "t3"), refund.ClaimGranted); !c.Fresh {
				t.Fatalf("%+v", c)
			}
			equal(t, testutil.ToFloat64(r.metrics.reloads), loads+1)
		})
	}
}

func TestAClaimThatHalfAServerKnewIsRepeatedUnderItsToken(t *testing.T) {
	t.Parallel()
	r, _ := miniStore(t)
	if err := r.scripts.paymentAcquire.Load(t.Context(), r.client).Err(); err != nil {
		t.Fatal(err)
	}
	c := play{t: t, port: r}.claims(request("a", "t1", pays("p", 100, 100)), refund.ClaimGranted)
	equal(t, [3]bool{c.Fresh, c.CapExceeded, c.OthersKnown}, [3]bool{true, false, false})
}

func TestRecordsSurviveTheDeathOfTheServer(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--appendfsync", "always")
	r := openRedis(t, Config{Addresses: []string{server.Addr}})
	p := play{t: t, port: r}
	q := request("a", "t1")
	p.claims(q, refund.ClaimGranted)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Settle(t.Context(), failed(q, "done")); !errors.Is(err, refund.ErrStoreUnavailable) {
		t.Fatalf("error %v", err)
	}
	if err := r.Ping(t.Context()); !errors.Is(err, refund.ErrStoreUnavailable) {
		t.Fatalf("ping: %v", err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	renew(t, r)
	p.settles(failed(q, "done"), "done")
	p.claims(request("a", "t2"), refund.ClaimSettled)
	if err := r.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestEveryCallOfAStoreThatIsAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	r, server := miniStore(t)
	server.Close()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	q := request("a", "t1")
	for name, s := range map[string]port{"redis": r, "memory": NewMemory(Config{})} {
		ctx := t.Context()
		if name == "memory" {
			ctx = cancelled
		}
		_, claimErr := s.Claim(ctx, q)
		_, settleErr := s.Settle(ctx, failed(q, "x"))
		_, waitErr := s.Wait(ctx, waits(q, 1, 1, true))
		releaseErr := s.Release(ctx, refund.ReleaseRequest{RequestID: "a", Token: "t", Payment: q.Payment})
		for call, err := range map[string]error{"claim": claimErr, "settle": settleErr, "wait": waitErr, "release": releaseErr} {
			if !errors.Is(err, refund.ErrStoreUnavailable) || !strings.HasPrefix(err.Error(), call+" a: ") {
				t.Errorf("%s of %s: %v", call, name, err)
			}
		}
	}
	for name, err := range map[string]error{"init": r.Init(t.Context()), "check layout": r.CheckLayout(t.Context()), "ping": r.Ping(t.Context())} {
		if !errors.Is(err, refund.ErrStoreUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.CheckServer(t.Context()); !errors.Is(err, refund.ErrStoreUnavailable) {
		t.Errorf("check server: %v", err)
	}
	if _, err := r.MemoryPressure(t.Context()); !errors.Is(err, refund.ErrStoreUnavailable) {
		t.Errorf("memory pressure: %v", err)
	}
}

func TestARefusalByTheServerIsUnavailable(t *testing.T) {
	t.Parallel()
	r, server := miniStore(t)
	server.SetError("OOM command not allowed when used memory > 'maxmemory'.")
	if _, err := r.Claim(t.Context(), request("a", "t1")); !errors.Is(err, refund.ErrStoreUnavailable) {
		t.Fatalf("error %v", err)
	}
}

func TestARecordOfANewerBuildIsLeftAlone(t *testing.T) {
	t.Parallel()
	r, server := miniStore(t)
	p := play{t: t, port: r}
	q := request("a", "t1")
	if err := server.Set(r.keys.record("a"), "2|c|anything"); err != nil {
		t.Fatal(err)
	}
	p.claims(q, refund.ClaimUnknownVersion)
	equal(t, p.settle(proven(q, "x")), refund.Settled{Lost: true})
	equal(t, p.wait(waits(q, 1, 1, true)), refund.Waited{Lost: true})
	p.release(q)
	stored, err := server.Get(r.keys.record("a"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, stored, "2|c|anything")
}

func TestACorruptEntryIsAnErrorOfItsOwn(t *testing.T) {
	t.Parallel()
	sum := fingerprintDigest(request("a", "").Fingerprints[0])
	for name, raw := range map[string]string{
		"too few fields":      "1|r|1|" + sum + "|pay|",
		"too few unsettled":   "1|r|1|" + sum + "|pay|t|0|1|1|1|0|a|g|",
		"a hop of letters":    "1|r|1|" + sum + "|pay|t|0|x|1|1|0|a|g||5|CODE|0|via|",
		"a settled of letter": "1|s|1|" + sum + "|pay|success|CODE|1|x|5|gw|",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, server := miniStore(t)
			if err := server.Set(r.keys.record("a"), raw); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Claim(t.Context(), request("a", "t1")); !errors.Is(err, ErrCorrupt) || errors.Is(err, refund.ErrStoreUnavailable) {
				t.Fatalf("error %v", err)
			}
		})
	}
}

func TestAnswersThatNoScriptGivesAreCorrupt(t *testing.T) {
	t.Parallel()
	claimed, settled := recordCall{claim: &refund.ClaimRequest{}}, recordCall{settle: &refund.SettleRequest{}}
	for name, read := range map[string]func() error{
		"payment, short":    func() error { _, err := readPayment([]string{"a", "b"}); return err },
		"payment, no time":  func() error { _, err := readPayment([]string{"busy", "soon", "0", "0"}); return err },
		"claim, short":      func() error { _, err := readRecord(claimed, []string{"granted"}); return err },
		"claim, no time":    func() error { _, err := readRecord(claimed, []string{"busy", "now", "0", "", ""}); return err },
		"settle, short":     func() error { _, err := readRecord(settled, []string{"mine"}); return err },
		"release, short":    func() error { _, err := readRecord(recordCall{release: &refund.ReleaseRequest{}}, nil); return err },
		"claim, unheard of": func() error { _, err := deniedStatus("perhaps"); return err },
	} {
		if err := read(); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestALeaseNeverCountsForLongerThanTheLongest(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	clock := newClock()
	server.SetTime(clock.now())
	memory := NewMemory(Config{MaxLease: time.Minute})
	memory.now = clock.now
	for name, s := range map[string]port{
		"scripts": openRedis(t, Config{Addresses: []string{server.Addr()}, MaxLease: time.Minute}), "memory": memory,
	} {
		p := play{t: t, port: s}
		p.claims(request("a", "t1", pays("p", 1, 0)), refund.ClaimGranted)
		clock.move(-time.Hour)
		server.SetTime(clock.now())
		equal(t, p.claims(request("a", "t2", pays("p", 1, 0)), refund.ClaimBusy).RetryIn, time.Minute)
		equal(t, p.claims(request("b", "t3", pays("p", 1, 0)), refund.ClaimPaymentBusy).RetryIn, time.Minute)
		clock.move(time.Minute)
		server.SetTime(clock.now())
		late := request("b", "t3", pays("p", 1, 0))
		p.claims(late, refund.ClaimGranted)
		p.release(late)
		if c := p.claims(request("a", "t4", pays("p", 1, 0)), refund.ClaimGranted); c.Record.Takeovers != 1 {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestTheMemoryStoreRunsInVirtualTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := play{t: t, port: NewMemory(Config{})}
		p.claims(request("a", "t1", lease(5*time.Minute)), refund.ClaimGranted)
		c := p.claims(request("a", "t2"), refund.ClaimBusy)
		equal(t, c.RetryIn, 5*time.Minute)
		outwait(t, c.RetryIn)
		p.claims(request("a", "t2"), refund.ClaimGranted)
	})
}

func TestMetricsCountEveryAnswer(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	reg := prometheus.NewRegistry()
	r, err := New(Config{Addresses: []string{server.Addr()}}, zerolog.Nop(), NewMetrics(reg))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	beginEpochs(t, r)
	created, err := testutil.GatherAndCount(reg, "refund_worker_dedupe_calls_total")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, created, 26)
	p := play{t: t, port: r}
	p.claims(request("a", "t1"), refund.ClaimGranted)
	p.claims(request("a", "t2"), refund.ClaimBusy)
	if _, err := r.Claim(t.Context(), refund.ClaimRequest{}); !errors.Is(err, ErrRequest) {
		t.Fatalf("error %v", err)
	}
	p.settle(failed(request("a", "t9"), "x"))
	p.settle(failed(request("a", "t1"), "x"))
	p.wait(waits(request("a", "t1"), 1, 1, true))
	p.release(request("a", "t1"))
	server.Close()
	if err := r.Release(t.Context(), refund.ReleaseRequest{RequestID: "a", Token: "t", Payment: request("a", "").Payment}); err == nil {
		t.Fatal("no error")
	}
	for _, want := range []struct{ call, answer string }{
		{"claim", "granted"},
		{"claim", "busy"},
		{"claim", "invalid"},
		{"settle", "lost"},
		{"settle", "stored"},
		{"wait", "lost"},
		{"release", "stored"},
		{"release", "unavailable"},
	} {
		equal(t, testutil.ToFloat64(r.metrics.calls.WithLabelValues(want.call, want.answer)), 1)
	}
	after, err := testutil.GatherAndCount(reg, "refund_worker_dedupe_calls_total")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, after, created)
}

func TestTheDriverIsSetForMoney(t *testing.T) {
	t.Parallel()
	password := "secret"
	cfg := Config{Addresses: []string{"127.0.0.1:1"}, Username: "u", PasswordFunc: func() string { return password }}.withDefaults()
	o := clientOptions(cfg)
	if !o.ContextTimeoutEnabled || o.MaxRetries != 1 || o.DialerRetries != 1 || o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
		t.Errorf("retries, deadlines or routing: %+v", o)
	}
	if o.ReadTimeout != 200*time.Millisecond || o.WriteTimeout != 200*time.Millisecond || o.DialTimeout != 500*time.Millisecond {
		t.Errorf("timeouts: %s %s %s", o.ReadTimeout, o.WriteTimeout, o.DialTimeout)
	}
	if o.PoolSize != DefaultPoolSize || o.PipelinePoolSize != -1 {
		t.Error("pools")
	}
	for _, password = range []string{"secret", "next"} {
		if user, given, err := o.CredentialsProviderContext(t.Context()); user != "u" || given != password || err != nil {
			t.Errorf("credentials %q %q, %v", user, given, err)
		}
	}
}

// A certificate that was replaced while the process runs has to count for the next connection.
func TestEveryConnectionIsWrappedInTheTLSSettingsOfItsOwnMoment(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(nil)
	t.Cleanup(server.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	now := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusted}
	o := clientOptions(Config{Addresses: []string{"127.0.0.1:1"}, TLSFunc: func() *tls.Config { return now }}.withDefaults())
	conn, err := o.Dialer(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	now = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	var unknown x509.UnknownAuthorityError
	if _, err := o.Dialer(t.Context(), "tcp", server.Listener.Addr().String()); !errors.As(err, &unknown) {
		t.Errorf("with authorities that do not know the server: %v", err)
	}
}

func TestAddressesAndMasterNameChooseTheDriver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg     Config
		cluster bool
	}{
		"one server": {Config{Addresses: []string{"127.0.0.1:1"}}, false},
		"cluster":    {Config{Addresses: []string{"127.0.0.1:1", "127.0.0.1:2"}}, true},
		"sentinel":   {Config{Addresses: []string{"127.0.0.1:1", "127.0.0.1:2"}, MasterName: "m"}, false},
	} {
		r, err := New(c.cfg, zerolog.Nop(), NewMetrics(prometheus.NewRegistry()))
		if err != nil {
			t.Fatal(err)
		}
		_, cluster := r.client.(*redis.ClusterClient)
		if cluster != c.cluster {
			t.Errorf("%s: %T", name, r.client)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
