package dedupe

import (
	"errors"
	"strings"
	"testing"
	"time"

	"refundworker/refund"
	"refundworker/schemas"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"
)

func TestValidateReportsEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	bad := Config{KeyPrefix: "a{b", PoolSize: -1, MaxLease: -time.Second, OutcomeTTL: time.Microsecond, TombstoneTTL: time.Nanosecond}
	_, err := New(bad, zerolog.Nop(), nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"addresses:", "key_prefix:", "pool_size:", "max_lease:", "outcome_ttl:", "tombstone_ttl: 1ns is below", "tombstone_ttl: 1ns is shorter"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not in %v", field, err)
		}
	}
	if err := (Config{Addresses: []string{"localhost"}}).Validate(); err == nil || !strings.Contains(err.Error(), "host:port") {
		t.Errorf("error %v", err)
	}
	if err := (Config{Addresses: []string{"localhost:6379"}}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestARequestThatMakesNoSenseAsksNothingOfTheStore(t *testing.T) {
	t.Parallel()
	for kind, s := range map[string]port{"memory": NewMemory(Config{}), "redis": openRedis(t, Config{Addresses: []string{"127.0.0.1:1"}})} {
		badClaim := func(edit change) error {
			_, err := s.Claim(t.Context(), request("a", "t", edit))
			return err
		}
		badSettle := func(edit func(*refund.SettleRequest)) error {
			q := failed(request("a", "t"), "x")
			edit(&q)
			_, err := s.Settle(t.Context(), q)
			return err
		}
		badWait := func(edit func(*refund.WaitRequest)) error {
			q := waits(request("a", "t"), 1, 1, true)
			edit(&q)
			_, err := s.Wait(t.Context(), q)
			return err
		}
		for name, err := range map[string]error{
			"claim without ID":              badClaim(func(q *refund.ClaimRequest) { q.RequestID = "" }),
			"claim without token":           badClaim(func(q *refund.ClaimRequest) { q.Token = "" }),
			"claim without payment":         badClaim(pays("", 1, 1)),
			"claim without gateway":         badClaim(func(q *refund.ClaimRequest) { q.Payment.Gateway = "" }),
			"claim of a negative amount":    badClaim(pays("p", -1, 1)),
			"claim of a negative cap":       badClaim(pays("p", 1, -1)),
			"claim without lease":           badClaim(lease(0)),
			"claim with too long a lease":   badClaim(lease(DefaultMaxLease + 1)),
			"claim without fingerprint":     badClaim(func(q *refund.ClaimRequest) { q.Fingerprints = nil }),
			"claim of a negative hop":       badClaim(hop(-1)),
			"settle as pending":             badSettle(func(q *refund.SettleRequest) { q.Status = schemas.RetryPending }),
			"settle as success, unproven":   badSettle(func(q *refund.SettleRequest) { q.Status = schemas.Success }),
			"settle as failed, proven":      badSettle(func(q *refund.SettleRequest) { q.Proof = true }),
			"settle without outcome":        badSettle(func(q *refund.SettleRequest) { q.Outcome = nil }),
			"settle without fingerprint":    badSettle(func(q *refund.SettleRequest) { q.Claim.Fingerprints = nil }),
			"settle without payment":        badSettle(func(q *refund.SettleRequest) { q.Claim.Payment = refund.PaymentRef{} }),
			"wait at hop 0":                 badWait(func(q *refund.WaitRequest) { q.Hop = 0 }),
			"wait without token":            badWait(func(q *refund.WaitRequest) { q.Token = "" }),
			"release without anything said": s.Release(t.Context(), refund.ReleaseRequest{}),
		} {
			if !errors.Is(err, ErrRequest) || errors.Is(err, refund.ErrStoreUnavailable) {
				t.Errorf("%s: %s: %v", kind, name, err)
			}
		}
	}
}

func TestAnyTextSurvivesThePackedForm(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[|%27C5]{0,12}`)).Draw(t, "text")
		packed := escape(text)
		if strings.Contains(packed, "|") || unescape(packed) != text {
			t.Fatalf("%q became %q became %q", text, packed, unescape(packed))
		}
	})
}
