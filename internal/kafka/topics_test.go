package kafka_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"refundworker/internal/kafka"
)

func TestTopicNamesFollowThePrefix(t *testing.T) {
	t.Parallel()
	topics := kafka.Topics{Prefix: "refunds", Tiers: []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour}}
	want := []string{
		"refunds.commands", "refunds.commands.backfill", "refunds.signals",
		"refunds.retry.10s", "refunds.retry.1m", "refunds.retry.10m", "refunds.retry.1h",
		"refunds.results", "refunds.deadletters",
	}
	if diff := cmp.Diff(want, topics.All()); diff != "" {
		t.Errorf("all topics (-want +got):\n%s", diff)
	}
	if err := topics.Validate(); err != nil {
		t.Errorf("validate: %v", err)
	}
}

func TestTierNamesAreCanonicalAndReadBack(t *testing.T) {
	t.Parallel()
	topics := kafka.Topics{Prefix: "p"}
	for _, c := range []struct {
		tier time.Duration
		name string
	}{
		{10 * time.Second, "p.retry.10s"},
		{90 * time.Second, "p.retry.90s"},
		{time.Minute, "p.retry.1m"},
		{90 * time.Minute, "p.retry.90m"},
		{24 * time.Hour, "p.retry.24h"},
		{250 * time.Millisecond, "p.retry.250ms"},
	} {
		if got := topics.Retry(c.tier); got != c.name {
			t.Errorf("Retry(%s) = %q, want %q", c.tier, got, c.name)
		}
		if got := topics.Tier(c.name); got != c.tier {
			t.Errorf("Tier(%q) = %s, want %s", c.name, got, c.tier)
		}
	}
	for _, name := range []string{"p.retry.60s", "p.retry.1h0m", "p.retry.-1s", "p.retry.0s", "p.retry.x", "p.retry.", "q.retry.1m", "p.commands"} {
		if got := topics.Tier(name); got != 0 {
			t.Errorf("Tier(%q) = %s, want 0", name, got)
		}
	}
}

func TestEveryTierReadsBackFromItsName(t *testing.T) {
	t.Parallel()
	topics := kafka.Topics{Prefix: "p"}
	rapid.Check(t, func(t *rapid.T) {
		tier := time.Duration(rapid.Int64Range(1, 400*24*3600*1000).Draw(t, "ms")) * time.Millisecond
		if got := topics.Tier(topics.Retry(tier)); got != tier {
			t.Fatalf("Tier(Retry(%s)) = %s", tier, got)
		}
	})
}

func TestTopicsRefuseWhatKafkaOrTheWorkerCannotUse(t *testing.T) {
	t.Parallel()
	tiers := []time.Duration{time.Second}
	for name, topics := range map[string]kafka.Topics{
		"empty prefix":   {Tiers: tiers},
		"bad letter":     {Prefix: "a b", Tiers: tiers},
		"long prefix":    {Prefix: string(make([]byte, 201)), Tiers: tiers},
		"no tier":        {Prefix: "p"},
		"negative tier":  {Prefix: "p", Tiers: []time.Duration{-1}},
		"split ms":       {Prefix: "p", Tiers: []time.Duration{1500 * time.Microsecond}},
		"equal tiers":    {Prefix: "p", Tiers: []time.Duration{time.Second, time.Second}},
		"falling tiers":  {Prefix: "p", Tiers: []time.Duration{time.Minute, time.Second}},
		"nothing is set": {},
	} {
		if topics.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
