package dedupe

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"refundworker/refund"
	"refundworker/schemas"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// twin is a script store and the memory store, driven with the same calls.
type twin struct {
	scripts, memory port
	// timeless: the two clocks differ, so answers are compared without times.
	timeless bool
	tokens   int
	// prefix keeps request and payment IDs of one run apart from another's.
	prefix string
}

func (w *twin) same(t *rapid.T, what string, got, want any, gotErr, wantErr error) {
	t.Helper()
	if gotErr != nil || wantErr != nil {
		t.Fatalf("%s: scripts: %v, memory: %v", what, gotErr, wantErr)
	}
	opts := cmp.Options{cmpopts.EquateEmpty()}
	if w.timeless {
		opts = append(opts, cmpopts.IgnoreFields(refund.Claim{}, "Now", "RetryIn"), cmpopts.IgnoreFields(refund.Sight{}, "LeaseLeft"))
	}
	if diff := cmp.Diff(want, got, opts); diff != "" {
		t.Fatalf("%s (-memory +scripts)\n%s", what, diff)
	}
}

// claimRequest draws a request: few IDs, payments and tokens, so that calls meet each other.
func (w *twin) claimRequest(t *rapid.T) refund.ClaimRequest {
	id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "id")
	payment := map[string]string{"a": "p", "b": "p", "c": "q"}[id]
	if rapid.IntRange(0, 9).Draw(t, "strange payment") == 0 {
		payment = "q"
	}
	q := request(w.prefix+id, "", pays(w.prefix+payment, rapid.Int64Range(1, 60).Draw(t, "minor"),
		rapid.SampledFrom([]int64{0, 100}).Draw(t, "original")))
	token := w.tokens
	if w.tokens > 0 && rapid.Bool().Draw(t, "old token") {
		token = rapid.IntRange(max(0, w.tokens-6), w.tokens-1).Draw(t, "token")
	} else {
		w.tokens++
	}
	q.Token = "t|%" + strconv.Itoa(token)
	q.Lease = rapid.SampledFrom([]time.Duration{30 * time.Second, time.Minute}).Draw(t, "lease")
	q.Via = "via" + strconv.Itoa(rapid.IntRange(0, 2).Draw(t, "via"))
	q.FirstSeen = firstSeen.Add(time.Duration(rapid.IntRange(-2, 2).Draw(t, "first seen")) * time.Second)
	if rapid.Bool().Draw(t, "copy") {
		q.Signal = rapid.IntRange(0, 3).Draw(t, "signal") == 0
		q.Copy, q.Hop, q.Attempt = true, rapid.IntRange(1, 4).Draw(t, "hop"), rapid.IntRange(0, 3).Draw(t, "attempt")
	}
	switch rapid.IntRange(0, 12).Draw(t, "fingerprint") {
	case 0:
		q.Fingerprints[0].Sum = "another command"
	case 1:
		q.Fingerprints[0].Version = 2
	case 2:
		q.Fingerprints = append([]refund.Fingerprint{{Version: 2, Sum: "newer"}}, q.Fingerprints...)
	}
	return q
}

func (w *twin) claim(t *rapid.T) {
	q := w.claimRequest(t)
	got, gotErr := w.scripts.Claim(context.Background(), q)
	want, wantErr := w.memory.Claim(context.Background(), q)
	w.same(t, "claim", got, want, gotErr, wantErr)
}

func (w *twin) settle(t *rapid.T) {
	q := failed(w.claimRequest(t), "declined "+strconv.Itoa(w.tokens))
	if rapid.IntRange(0, 2).Draw(t, "proof") == 0 {
		q = proven(q.Claim, "moved "+strconv.Itoa(w.tokens))
	}
	got, gotErr := w.scripts.Settle(context.Background(), q)
	want, wantErr := w.memory.Settle(context.Background(), q)
	w.same(t, "settle", got, want, gotErr, wantErr)
}

func (w *twin) wait(t *rapid.T) {
	q := waits(w.claimRequest(t), rapid.IntRange(1, 5).Draw(t, "wait hop"), rapid.IntRange(0, 4).Draw(t, "wait attempt"),
		rapid.Bool().Draw(t, "maybe sent"))
	q.GatewayRefundID = rapid.SampledFrom([]string{"", "gw", "g|w%7C%25|"}).Draw(t, "refund ID")
	q.Review = rapid.IntRange(0, 4).Draw(t, "review") == 0
	q.Contradicted = rapid.IntRange(0, 4).Draw(t, "contradicted") == 0
	q.MaybeSent = q.MaybeSent || q.Contradicted
	q.Message = refund.Message{Topic: "refunds.commands", Offset: int64(w.tokens), Value: []byte(`{"a":1}`)}
	if rapid.Bool().Draw(t, "no due") {
		q.Due, q.Code = time.Time{}, schemas.CodeNeedsReview
	}
	got, gotErr := w.scripts.Wait(context.Background(), q)
	want, wantErr := w.memory.Wait(context.Background(), q)
	w.same(t, "wait", got, want, gotErr, wantErr)
}

func (w *twin) look(t *rapid.T) {
	id := w.prefix + rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "look at")
	got, gotErr := w.scripts.Look(context.Background(), id)
	want, wantErr := w.memory.Look(context.Background(), id)
	w.same(t, "look", got, want, gotErr, wantErr)
}

func (w *twin) release(t *rapid.T) {
	q := w.claimRequest(t)
	back := refund.ReleaseRequest{RequestID: q.RequestID, Token: q.Token, Payment: q.Payment}
	w.same(t, "release", nil, nil, w.scripts.Release(context.Background(), back), w.memory.Release(context.Background(), back))
}

// cut plays a process that dies at some exchange of a call; whatever that leaves must be the same in both stores.
func (w *twin) cut(t *rapid.T) {
	q := w.claimRequest(t)
	call := rapid.SampledFrom([]func(context.Context, backend) (any, error){
		cutClaim(q), cutClaim(q), cutSettle(failed(q, "declined")), cutSettle(proven(q, "moved")), cutRelease(q),
	}).Draw(t, "call")
	at := rapid.IntRange(1, 2).Draw(t, "cut at exchange")
	keep := halves{payment: rapid.Bool().Draw(t, "keep payment"), record: rapid.Bool().Draw(t, "keep record")}
	die := func(s port) (any, error) {
		b, ok := s.(backend)
		if !ok {
			t.Fatalf("store %T", s)
		}
		answer, err := call(context.Background(), &cutter{backend: b, at: at, keep: keep})
		if errors.Is(err, errCut) {
			return "died", nil
		}
		return answer, err
	}
	got, gotErr := die(w.scripts)
	want, wantErr := die(w.memory)
	w.same(t, "cut", got, want, gotErr, wantErr)
}

func TestScriptsAnswerAsTheMemoryStoreForAnyCallsAndAnyTime(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	cfg := Config{MaxLease: 2 * time.Minute, OutcomeTTL: 5 * time.Minute, TombstoneTTL: 20 * time.Minute}
	scripts := openRedis(t, Config{
		Addresses: []string{server.Addr()}, MaxLease: cfg.MaxLease, OutcomeTTL: cfg.OutcomeTTL, TombstoneTTL: cfg.TombstoneTTL,
	})
	rapid.Check(t, func(t *rapid.T) {
		server.FlushAll()
		if err := scripts.FirstEpochs(context.Background()); err != nil {
			t.Fatal(err)
		}
		clock := newClock()
		server.SetTime(clock.now())
		memory := NewMemory(cfg)
		memory.now = clock.now
		w := &twin{scripts: scripts, memory: memory}
		names := keys{prefix: DefaultKeyPrefix}
		t.Repeat(map[string]func(*rapid.T){
			"claim": w.claim, "claim again": w.claim, "settle": w.settle, "wait": w.wait, "release": w.release, "cut": w.cut,
			"look": w.look,
			"time passes": func(t *rapid.T) {
				d := rapid.SampledFrom(passes()).Draw(t, "for")
				clock.move(d)
				server.SetTime(clock.now())
				server.FastForward(d)
			},
			"the clock jumps back": func(*rapid.T) {
				// Only leases feel it: in Redis, too, an expiry that was set stays as far away as the jump makes it, so a
				// jump is bounded here to what the two stores' expiries cannot tell.
				clock.move(-jump)
				server.SetTime(clock.now())
				for _, r := range memory.records {
					r.expires -= jump.Milliseconds()
				}
				for _, p := range memory.payments {
					p.expires -= jump.Milliseconds()
				}
				for id, o := range memory.outcomes {
					o.expires -= jump.Milliseconds()
					memory.outcomes[id] = o
				}
				for id, o := range memory.messages {
					o.expires -= jump.Milliseconds()
					memory.messages[id] = o
				}
			},
			"a record is lost": func(t *rapid.T) {
				id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "lost")
				server.Del(names.record(id))
				delete(memory.records, id)
			},
			"a payment is lost": func(t *rapid.T) {
				ref := refund.PaymentRef{Gateway: schemas.Antom, PaymentID: rapid.SampledFrom([]string{"p", "q"}).Draw(t, "lost")}
				server.Del(names.payment(ref))
				delete(memory.payments, paymentName(ref))
			},
		})
	})
}

// jump is how far the clock jumps back at a time.
const jump = 90 * time.Second

// passes are what a lease, an outcome and a tombstone have in common, and not.
func passes() []time.Duration {
	return []time.Duration{time.Millisecond, 29 * time.Second, 30 * time.Second, time.Minute, 3 * time.Minute, 25 * time.Minute}
}

func TestARealServerAnswersAsTheMemoryStoreForAnyCalls(t *testing.T) {
	t.Parallel()
	scripts := realBench(startServer(t).Addr)(t).open(t, Config{})
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		w := &twin{scripts: scripts, memory: NewMemory(Config{}), timeless: true, prefix: strconv.Itoa(run) + "-"}
		t.Repeat(map[string]func(*rapid.T){
			"claim": w.claim, "claim again": w.claim, "settle": w.settle, "wait": w.wait, "release": w.release, "cut": w.cut,
			"look": w.look,
		})
	})
}
