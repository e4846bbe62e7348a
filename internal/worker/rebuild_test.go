package worker

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"refundworker/internal/kafka/kafkatest"
	"refundworker/refund"
	"refundworker/schemas"
)

// outcome is a published outcome of an earlier time.
func outcome(t *testing.T) kafkatest.Record {
	t.Helper()
	out := schemas.Outcome{
		RequestID: "rf-1", Status: schemas.Success, Final: true, Code: schemas.CodeRefunded, Gateway: schemas.Antom, Account: "hk",
		PaymentID: "pay-1", Amount: schemas.Money{Minor: 1, Currency: "HKD"}, Origin: schemas.Origin{Topic: "refunds.commands"},
		OccurredAt: schemas.Time{Time: time.Now()},
	}
	value, err := schemas.EncodeOutcome(out)
	if err != nil {
		t.Fatal(err)
	}
	return kafkatest.Record{Key: []byte("rf-1"), Value: value, Headers: schemas.OutcomeHeaders(out, "rf-1/final", "/t")}
}

func nothing(int64, int64) {}

// After a flush, init must not make Redis look as if it had never known anything.
func TestInitAfterAFlushLeavesTheEpochsToTheRebuild(t *testing.T) {
	t.Parallel()
	cfg, redis := world(t, "")
	initialise := func(want string) {
		t.Helper()
		var out bytes.Buffer
		if err := Init(t.Context(), cfg, zerolog.Nop(), &out); err != nil || !strings.Contains(out.String(), want) {
			t.Fatalf("init: %v, without %q:\n%s", err, want, out.String())
		}
	}
	initialise("ready")
	if err := kafkatest.At(cfg.Kafka.Brokers[0]).Produce(t.Context(), "refunds.results", outcome(t)); err != nil {
		t.Fatal(err)
	}
	redis.FlushAll()
	initialise("left to the rebuild: redis has forgotten what refunds.results tells")
	if redis.Exists("{refund:b0}:epoch") {
		t.Error("an epoch was begun over a history")
	}
	var log bytes.Buffer
	if err := Check(t.Context(), cfg, zerolog.New(&log), &bytes.Buffer{}); err != nil || !strings.Contains(log.String(), "has forgotten") {
		t.Errorf("check: %v, %s", err, log.String())
	}
	if !strings.Contains(log.String(), "INFO replication is not served") {
		t.Errorf("check does not say what cannot be noticed: %s", log.String())
	}
}

func TestARebuildByHandSaysWhatItDid(t *testing.T) {
	t.Parallel()
	cfg, _ := world(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := Init(ctx, cfg, zerolog.Nop(), &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	if err := kafkatest.At(cfg.Kafka.Brokers[0]).Produce(ctx, "refunds.results", outcome(t)); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		all  bool
		want string
	}{
		{want: "nothing to do"},
		{all: true, want: "restored 1 settled"},
		{all: true, want: "kept 1"},
	} {
		var out bytes.Buffer
		if err := Rebuild(ctx, cfg, step.all, zerolog.Nop(), &out, nothing); err != nil || !strings.Contains(out.String(), step.want) {
			t.Errorf("%+v: %v\n%s", step, err, out.String())
		}
	}
}

func TestARebuildThatAPersonHasToMendIsUnfit(t *testing.T) {
	t.Parallel()
	cfg, redis := world(t, "")
	if err := redis.Set("refund:layout", "2 64 other"); err != nil {
		t.Fatal(err)
	}
	if err := Rebuild(t.Context(), cfg, false, zerolog.Nop(), &bytes.Buffer{}, nothing); !isUnfit(err) {
		t.Errorf("another layout: %v", err)
	}
	redis.Del("refund:layout")
	err := Rebuild(t.Context(), cfg, true, zerolog.Nop(), &bytes.Buffer{}, nothing)
	for ; errors.Is(err, refund.ErrStoreUnavailable); err = Rebuild(t.Context(), cfg, true, zerolog.Nop(), &bytes.Buffer{}, nothing) {
		t.Log(err) // miniredis is slow at scripts where the machine is busy
	}
	if !isUnfit(err) {
		t.Errorf("no topic: %v", err)
	}
	redis.Close()
	if err := Rebuild(t.Context(), cfg, true, zerolog.Nop(), &bytes.Buffer{}, nothing); err == nil || isUnfit(err) {
		t.Errorf("no redis: %v", err)
	}
}
