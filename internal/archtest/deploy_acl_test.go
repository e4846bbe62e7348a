package archtest

import (
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	registry "github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	log "github.com/rs/zerolog"

	"refundworker/dedupe"
	"refundworker/internal/realtest"
	"refundworker/refund"
	"refundworker/schemas"
)

// The user that docs/operations.md tells to make can do all that the store does, and nothing that it does not.
func TestTheDocumentedRedisUserMayDoWhatTheStoreDoesAndNoMore(t *testing.T) {
	t.Parallel()
	server := realtest.StartRedis(t, realtest.RedisOptions{})
	admin := redis.NewClient(&redis.Options{Addr: server.Addr})
	t.Cleanup(func() { _ = admin.Close() })
	documented := strings.Fields(blocks(t, "docs/operations.md", "acl")[0])
	if len(documented) < 3 || documented[0] != "user" {
		t.Fatalf("the document's first ACL is %v", documented)
	}
	setUser := []any{"ACL", "SETUSER"}
	for _, word := range documented[1:] {
		setUser = append(setUser, strings.Replace(word, "PASSWORD", "pass", 1))
	}
	if err := admin.Do(t.Context(), setUser...).Err(); err != nil {
		t.Fatal(err)
	}
	if err := admin.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	store, err := dedupe.New(dedupe.Config{
		Addresses: []string{server.Addr}, Username: documented[1], PasswordFunc: func() string { return "pass" }, MaxLease: time.Minute,
	}, log.New(io.Discard), dedupe.NewMetrics(registry.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	exercise(t, store)

	stats, err := admin.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	called := map[string]bool{}
	for _, m := range regexp.MustCompile(`cmdstat_(\S+?):calls=\d+,.*rejected_calls=(\d+)`).FindAllStringSubmatch(stats, -1) {
		called[m[1]] = true
		if m[2] != "0" {
			t.Errorf("the user was refused %s", m[1])
		}
	}
	var allowed, idle []string
	for _, word := range documented {
		if command, ok := strings.CutPrefix(word, "+"); ok {
			allowed = append(allowed, command)
			if !called[command] {
				idle = append(idle, command)
			}
		}
	}
	if diff := cmp.Diff([]string(nil), idle); diff != "" {
		t.Errorf("the user is allowed what the store never calls (%d commands are allowed)\n%s", len(allowed), diff)
	}
	for _, command := range []string{"flushall", "keys", "config|set", "shutdown"} {
		if slices.Contains(allowed, command) {
			t.Errorf("the user may %s", command)
		}
	}
}

// exercise makes the store do each of its things.
func exercise(t *testing.T, store *dedupe.Redis) {
	t.Helper()
	ctx := t.Context()
	report, checked := store.CheckServer(ctx)
	_, pressed := store.MemoryPressure(ctx)
	if err := errors.Join(store.Init(ctx), store.FirstEpochs(ctx), checked, pressed, store.Probe(ctx), store.Ping(ctx)); err != nil {
		t.Fatal(err)
	}
	for _, warning := range report.Warnings {
		if strings.Contains(warning, dedupe.NotAnswered) {
			t.Error(warning)
		}
	}
	claim := func(id, token string, hop int) refund.ClaimRequest {
		return refund.ClaimRequest{
			RequestID: id, Token: token, Lease: time.Minute, Fingerprints: []refund.Fingerprint{{Version: 1, Sum: "sum"}},
			Account: "hk", GatewayKey: id, Hop: hop, Copy: hop > 0, FirstSeen: time.Now(), Via: "refunds.commands/0/1",
			Payment: refund.PaymentRef{Gateway: schemas.Antom, PaymentID: "pay-" + id, Minor: 100, OriginalMinor: 500},
		}
	}
	granted := func(req refund.ClaimRequest) {
		t.Helper()
		if c, err := store.Claim(ctx, req); err != nil || c.Status != refund.ClaimGranted {
			t.Fatalf("claim %s: %+v, %v", req.RequestID, c, err)
		}
	}
	// Given back; waiting and then settled as failed; settled as a success, and read again.
	given := claim("rf-given", "t0", 0)
	granted(given)
	released := store.Release(ctx, refund.ReleaseRequest{RequestID: given.RequestID, Token: "t0", Payment: given.Payment})
	first := claim("rf-failed", "t1", 0)
	granted(first)
	_, waited := store.Wait(ctx, refund.WaitRequest{
		RequestID: first.RequestID, Token: "t1", Hop: 1, Attempt: 1, MaybeSent: true, Code: schemas.CodeUnknownOutcome,
		Due: time.Now().Add(time.Minute), Via: first.Via, Payment: first.Payment, LookAt: time.Now(),
	})
	second := claim("rf-failed", "t2", 1)
	granted(second)
	_, declined := store.Settle(ctx, refund.SettleRequest{
		RequestID: second.RequestID, Token: "t2", Status: schemas.Failed, Code: schemas.CodeRefundFailed, Outcome: []byte("{}"), Claim: second,
	})
	paid := claim("rf-paid", "t3", 0)
	granted(paid)
	_, settled := store.Settle(ctx, refund.SettleRequest{
		RequestID: paid.RequestID, Token: "t3", Status: schemas.Success, Code: schemas.CodeRefunded, Outcome: []byte("{}"), Proof: true, Claim: paid,
	})
	_, read := store.Claim(ctx, claim("rf-paid", "t4", 0))
	_, looked := store.Look(ctx, "rf-paid")
	_, overdue := store.Overdue(ctx, 1, time.Second)
	postponed := store.Postpone(ctx, []string{"rf-paid"}, time.Second)
	_, _, counted := store.Scheduled(ctx)
	_, beaten := store.LastBeat(ctx)
	if err := errors.Join(released, waited, declined, settled, read, looked, overdue, postponed, counted, beaten, store.Beat(ctx), store.Remembers(ctx)); err != nil {
		t.Fatal(err)
	}
	refill(t, store)
}

// refill puts back one outcome, as after a flush.
func refill(t *testing.T, store *dedupe.Redis) {
	t.Helper()
	ctx := t.Context()
	refill, err := store.BeginRebuild(ctx, true)
	if err != nil {
		t.Fatal(err)
	}
	_, restored := store.Restore(ctx, []dedupe.Remembered{{
		RequestID: "rf-back", Payment: refund.PaymentRef{Gateway: schemas.Antom, PaymentID: "pay-back", Minor: 100},
		Status: schemas.Failed, Code: schemas.CodeRefundFailed, OccurredAt: time.Now(), Outcome: []byte("{}"),
	}})
	if err := errors.Join(restored, refill.Keep(ctx), refill.Finish(ctx), refill.Close(ctx)); err != nil {
		t.Fatal(err)
	}
}
