package dedupe

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"refundworker/refund"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// counted is how much a test has checked.
type counted struct{ histories, operations, unknown, broken int64 }

func (c *counted) add(d *diary) {
	c.histories++
	c.operations += int64(d.operations())
	c.unknown += int64(d.unknown)
}

func (c *counted) log(t *testing.T) {
	t.Helper()
	t.Logf("%d histories of %d clients, %d halves of calls, %d of them without an answer, %d connections cut",
		c.histories, partyClients, c.operations, c.unknown, c.broken)
}

// linkedStore is a store at the far end of a proxy, without the driver's own repeats or with as many as in production.
func linkedStore(t *testing.T, addr string, retries int) (*Redis, *proxy) {
	t.Helper()
	link := startProxy(t, addr)
	cfg := Config{Addresses: []string{link.Addr().String()}}.withDefaults()
	opts := clientOptions(cfg)
	opts.ReadTimeout, opts.WriteTimeout, opts.DialTimeout, opts.MaxRetries = 5*time.Second, 5*time.Second, 5*time.Second, retries
	r, err := newRedis(cfg, opts, zerolog.Nop(), NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	beginEpochs(t, r)
	// The scripts are there before the first history: half a server that knows them is another test's matter.
	warm := play{t: t, port: r}
	warm.claims(request("warm", "t0"), refund.ClaimGranted)
	return r, link
}

func TestHistoriesOfConcurrentCallsAreLinearizable(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name      string
		histories int
		start     func(*testing.T) (addr string, pass func())
	}{
		{"miniredis", 60, func(t *testing.T) (string, func()) {
			t.Helper()
			server, clock := miniredis.RunT(t), newClock()
			server.SetTime(clock.now())
			return server.Addr(), func() {
				clock.move(time.Second)
				server.SetTime(clock.now())
			}
		}},
		{"redis-server", 150, func(t *testing.T) (string, func()) {
			t.Helper()
			return startServer(t).Addr, func() { outwait(t, 2*lapsed) }
		}},
	} {
		for _, line := range []struct {
			name               string
			retries, histories int
		}{
			{"repeated by the caller", -1, kind.histories},
			// Whatever it may have done twice doubles the orders to look at.
			{"repeated by the driver", driverRetries, kind.histories / 3},
		} {
			t.Run(kind.name+"/"+line.name, func(t *testing.T) {
				t.Parallel()
				addr, pass := kind.start(t)
				store, link := linkedStore(t, addr, line.retries)
				var repeats *atomic.Int64
				if line.retries > 0 {
					repeats = &link.broken
				}
				var all counted
				for i := range line.histories {
					p := &party{
						t: t, diary: newDiary(), prefix: strconv.Itoa(i) + "-", seed: uint64(i), repeats: repeats,
						openFunc: func() backend { return store },
					}
					p.play(func() {
						pass()
						decide := fates(p.seed)
						link.fateFunc.Store(&decide)
					})
					link.fateFunc.Store(nil)
					if fault := p.fault(); fault != "" {
						t.Fatalf("history %d: %s", i, fault)
					}
					all.add(p.diary)
				}
				all.broken = link.broken.Load()
				all.log(t)
			})
		}
	}
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		var all counted
		for i := range 1000 {
			p := memoryParty(t, uint64(i))
			if fault := p.fault(); fault != "" {
				t.Fatalf("history %d: %s", i, fault)
			}
			all.add(p.diary)
		}
		all.log(t)
	})
}

// memoryParty plays one history over the memory store.
func memoryParty(t *testing.T, seed uint64) *party {
	t.Helper()
	clock := newClock()
	m := NewMemory(Config{})
	m.now = clock.now
	line := lossy{Memory: m, fateFunc: func() fate { return handedOn }}
	p := &party{t: t, diary: newDiary(), seed: seed, openFunc: func() backend { return &line }}
	p.play(func() {
		clock.move(time.Second)
		line.fateFunc = fates(seed)
	})
	return p
}

// sabotages are scripts with one rule taken out.
var sabotages = []struct{ name, script, rule, instead string }{
	{"a claim that takes any token for the owner's", "record_claim", "elseif f[TOKEN] == token then", "elseif f[TOKEN] then"},
	{"a claim that does not wait for the lease", "record_claim", "  if lease_end > now then", "  if false then"},
	{"a settle without the token", "record_settle", "  if not proof and not own then", "  if false then"},
	{"a wait without the token", "record_wait", " or f[TOKEN] ~= token then", " then"},
	{"a release without the token", "record_release", " or f[TOKEN] ~= ARGV[1]", ""},
	{"a payment that two may hold", "payment_acquire", "  if lease_end > now then", "  if false then"},
	{"a payment that anybody gives back", "payment_release", "if held[1] == token then", "if true then"},
	{"a wait that leaves the payment held", "payment_wait", "if own then", "if false then"},
}

func TestTheCheckerFindsAScriptWithoutItsRule(t *testing.T) {
	t.Parallel()
	for _, s := range sabotages {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			server, clock := miniredis.RunT(t), newClock()
			server.SetTime(clock.now())
			store, _ := linkedStore(t, server.Addr(), -1)
			sabotage(t, store, s.script, s.rule, s.instead)
			for i := range 60 {
				p := &party{
					t: t, diary: newDiary(), prefix: strconv.Itoa(i) + "-", seed: uint64(i), openFunc: func() backend { return store },
				}
				p.play(func() {
					clock.move(time.Second)
					server.SetTime(clock.now())
				})
				if fault := p.fault(); fault != "" {
					t.Logf("history %d: %s", i, strings.SplitAfterN(fault, "\n", 2)[0])
					return
				}
			}
			t.Fatal("60 histories, and none of them shows it")
		})
	}
}

// sabotage replaces a rule in one of a store's scripts.
func sabotage(t *testing.T, r *Redis, script, rule, instead string) {
	t.Helper()
	common, err := luaFiles.ReadFile("common.lua")
	if err != nil {
		t.Fatal(err)
	}
	text, err := luaFiles.ReadFile(script + ".lua")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), rule) != 1 {
		t.Fatalf("%s.lua does not hold %q once", script, rule)
	}
	broken := redis.NewScript(string(common) + "\n" + strings.Replace(string(text), rule, instead, 1))
	if err := broken.Load(t.Context(), r.client).Err(); err != nil {
		t.Fatal(err)
	}
	*map[string]**redis.Script{
		"record_claim": &r.scripts.recordClaim, "record_settle": &r.scripts.recordSettle, "record_wait": &r.scripts.recordWait,
		"record_release": &r.scripts.recordRelease, "payment_acquire": &r.scripts.paymentAcquire,
		"payment_wait": &r.scripts.paymentWait, "payment_release": &r.scripts.paymentRelease,
	}[script] = broken
}

// torn is a memory store whose claims read first and write later: right one after the other, and wrong at once.
type torn struct{ *lossy }

func (s torn) exchange(ctx context.Context, payment *paymentCall, record *recordCall) (paymentAnswer, recordAnswer, error) {
	if record == nil || record.claim == nil {
		return s.lossy.exchange(ctx, payment, record)
	}
	id := record.claim.RequestID
	s.mu.Lock()
	read := s.records[id]
	s.mu.Unlock()
	pay, _, err := s.lossy.exchange(ctx, payment, nil)
	if err != nil {
		return pay, recordAnswer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records[id] = read; read == nil {
		delete(s.records, id)
	}
	return pay, s.claimRecord(*record.claim, s.now().UnixMilli()), nil
}

// A sequence of calls, one after the other, never shows this one: only histories do.
func TestTheCheckerFindsAClaimThatIsNotAtomic(t *testing.T) {
	t.Parallel()
	for i := range 500 {
		m := NewMemory(Config{})
		line := &lossy{Memory: m, fateFunc: func() fate { return handedOn }}
		p := &party{t: t, diary: newDiary(), seed: uint64(i), openFunc: func() backend { return torn{line} }}
		p.play(func() { outwait(t, 2*lapsed) })
		if fault := p.fault(); fault != "" {
			t.Logf("history %d: %s", i, strings.SplitAfterN(fault, "\n", 2)[0])
			return
		}
	}
	t.Fatal("500 histories, and none of them shows it")
}
