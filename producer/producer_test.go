package producer

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"refundworker/internal/kafka"
	"refundworker/internal/kafka/kafkatest"
	"refundworker/refund"
	"refundworker/schemas"
)

type bundle struct {
	*Producer
	broker   *kafkatest.Broker
	topics   kafka.Topics
	registry *prometheus.Registry
}

func setup(t *testing.T, broker *kafkatest.Broker, cfg Config) bundle {
	t.Helper()
	b := bundle{broker: broker, registry: prometheus.NewRegistry()}
	b.topics = kafka.Topics{Prefix: kafkatest.Name(t), Tiers: []time.Duration{10 * time.Second, time.Minute}}
	if _, err := kafka.Create(t.Context(), broker.Config(), b.topics, kafka.Layout{Partitions: 3, Replication: 1, MinInSync: 1}); err != nil {
		t.Fatal(err)
	}
	p, err := New(cfg, broker.Config(), b.topics, zerolog.Nop(), NewMetrics(b.registry))
	if err != nil {
		t.Fatal(err)
	}
	b.Producer = p
	t.Cleanup(func() {
		// The test's own context has ended by now.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func result(key, value string) refund.Event {
	return refund.Event{Channel: refund.Results, Key: []byte(key), Value: []byte(value)}
}

func TestTheWritersHoldNoDefaultThatLosesEvents(t *testing.T) {
	t.Parallel()
	conn := kafka.Config{Brokers: []string{"127.0.0.1:1"}}
	topics := kafka.Topics{Prefix: "p", Tiers: []time.Duration{time.Second}}
	p, err := New(Config{}, conn, topics, zerolog.Nop(), NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]*kafkago.Writer{"bulk": p.bulk, "solo": p.solo} {
		if w.RequiredAcks != kafkago.RequireAll {
			t.Errorf("%s: RequiredAcks = %v: success must mean all in-sync replicas", name, w.RequiredAcks)
		}
		if w.Async || w.Completion != nil {
			t.Errorf("%s: asynchronous writes hide their errors", name)
		}
		if w.AllowAutoTopicCreation {
			t.Errorf("%s: a misspelt topic would be created", name)
		}
		if w.BatchTimeout <= 0 || w.BatchTimeout > 10*time.Millisecond {
			t.Errorf("%s: BatchTimeout %s: the driver's default is a second per event", name, w.BatchTimeout)
		}
		if w.WriteTimeout <= 0 || w.WriteTimeout > 10*time.Second || w.MaxAttempts <= 0 || w.MaxAttempts > 10 {
			t.Errorf("%s: %d attempts of %s are not bounded", name, w.MaxAttempts, w.WriteTimeout)
		}
		// Quadratic waits, as the driver makes them, must outlast the age at which a moved leader is noticed.
		var waits time.Duration
		for attempt := 1; attempt < w.MaxAttempts; attempt++ {
			waits += min(time.Duration(attempt*attempt)*w.WriteBackoffMin, w.WriteBackoffMax)
		}
		if waits <= p.transport.MetadataTTL {
			t.Errorf("%s: all waits together, %s, do not outlast a stale leader's %s", name, waits, p.transport.MetadataTTL)
		}
		if w.Transport != p.transport {
			t.Errorf("%s: does not use the configured connection", name)
		}
	}
	if p.bulk.BatchSize < 2 || p.bulk.BatchSize > 500 {
		t.Errorf("bulk batches of %d", p.bulk.BatchSize)
	}
	if p.bulk.BatchBytes >= kafka.CommandBytes {
		t.Errorf("bulk batches of %d bytes do not fit a topic of %d", p.bulk.BatchBytes, kafka.CommandBytes)
	}
	if p.solo.BatchSize != 1 {
		t.Errorf("solo batches of %d: one refused event would fail its neighbours", p.solo.BatchSize)
	}
}

func TestEventsOfOneCallReachTheirTopicsUnchanged(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Any(t), Config{})
	headers := []schemas.Header{{Key: "ce_id", Value: []byte("R/final")}, {Key: "empty", Value: []byte{}}}
	events := []refund.Event{
		{Channel: refund.Results, Key: []byte("R"), Value: []byte("outcome"), Headers: headers},
		{Channel: refund.Retry, Tier: time.Minute, Key: []byte("pay"), Value: []byte("copy"), Headers: headers},
		{Channel: refund.DeadLetters, Value: []byte("dead")},
	}
	if err := b.Publish(t.Context(), events...); err != nil {
		t.Fatalf("publish: %v", err)
	}
	for i, topic := range []string{b.topics.Results(), b.topics.Retry(time.Minute), b.topics.DeadLetters()} {
		records, err := b.broker.ReadAll(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		if len(records) != 1 {
			t.Fatalf("%s holds %d records, want 1", topic, len(records))
		}
		got := refund.Event{
			Channel: events[i].Channel, Tier: events[i].Tier,
			Key: records[0].Key, Value: records[0].Value, Headers: records[0].Headers,
		}
		if diff := cmp.Diff(events[i], got); diff != "" {
			t.Errorf("%s (-published +read):\n%s", topic, diff)
		}
	}
	if n := testutil.ToFloat64(b.metrics.events.WithLabelValues("results", "acked")); n != 1 {
		t.Errorf("acked results = %v, want 1", n)
	}
}

func TestOneKeyStaysInOnePartition(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Any(t), Config{})
	var events []refund.Event
	for i := range 60 {
		events = append(events, result(string(rune('a'+i%20)), "v"))
	}
	if err := b.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
	records, err := b.broker.ReadAll(t.Context(), b.topics.Results())
	if err != nil {
		t.Fatal(err)
	}
	of, used := make(map[string]int), make(map[int]bool)
	for _, r := range records {
		if before, ok := of[string(r.Key)]; ok && before != r.Partition {
			t.Errorf("key %s is in partitions %d and %d", r.Key, before, r.Partition)
		}
		of[string(r.Key)], used[r.Partition] = r.Partition, true
	}
	if len(records) != 60 || len(used) < 2 {
		t.Errorf("%d records in %d partitions, want 60 in several", len(records), len(used))
	}
}

func TestConcurrentPublicationsAreAllAcked(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), Config{})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := b.Publish(t.Context(), result("k", "v")); err != nil {
				t.Errorf("publish: %v", err)
			}
		})
	}
	all.Wait()
	if records, err := b.broker.ReadAll(t.Context(), b.topics.Results()); err != nil || len(records) != 50 {
		t.Errorf("results hold %d records (%v), want 50", len(records), err)
	}
}

func TestAnEventWithoutTopicIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), Config{})
	for name, bad := range map[string]refund.Event{
		"no channel":   {Value: []byte("v")},
		"unknown tier": {Channel: refund.Retry, Tier: time.Hour},
	} {
		if err := b.Publish(t.Context(), result("k", "v"), bad); !errors.Is(err, ErrNoTopic) {
			t.Errorf("%s: publish = %v, want ErrNoTopic", name, err)
		}
	}
	if records, err := b.broker.ReadAll(t.Context(), b.topics.Results()); err != nil || len(records) != 0 {
		t.Errorf("results hold %d records (%v), want none", len(records), err)
	}
	if err := b.Publish(t.Context()); err != nil {
		t.Errorf("publish of nothing = %v", err)
	}
}

func TestTransientFailuresAreRetriedUntilAcked(t *testing.T) {
	t.Parallel()
	for _, failure := range []*kerr.Error{kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut, kerr.LeaderNotAvailable} {
		t.Run(failure.Message, func(t *testing.T) {
			t.Parallel()
			b := setup(t, kafkatest.Start(t), Config{})
			handle := b.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: failure, Count: 2})
			if err := b.Publish(t.Context(), result("k", "v")); err != nil {
				t.Fatalf("publish: %v", err)
			}
			records, err := b.broker.ReadAll(t.Context(), b.topics.Results())
			if err != nil || len(records) == 0 || handle.Hits() != 2 {
				t.Errorf("%d records after %d faults (%v): nothing may be lost", len(records), handle.Hits(), err)
			}
		})
	}
}

func TestAFailureNamesItsEventAndSparesTheOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		failure   *kerr.Error
		code      kafkago.Error
		count     int
		retryable bool
	}{
		{kerr.TopicAuthorizationFailed, kafkago.TopicAuthorizationFailed, -1, false},
		{kerr.NotEnoughReplicas, kafkago.NotEnoughReplicas, -1, true},
		{kerr.InvalidRecord, kafkago.Error(kerr.InvalidRecord.Code), -1, false},
	} {
		t.Run(c.failure.Message, func(t *testing.T) {
			t.Parallel()
			b := setup(t, kafkatest.Start(t), Config{Attempts: 4})
			b.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: b.topics.Retry(time.Minute), Err: c.failure, Count: c.count})
			err := b.Publish(t.Context(), result("R", "v"), refund.Event{Channel: refund.Retry, Tier: time.Minute, Value: []byte("copy")})

			var failed *PublishError
			if !errors.As(err, &failed) {
				t.Fatalf("publish = %v, want a PublishError", err)
			}
			if failed.Of != 2 || len(failed.Events) != 1 || failed.Events[0].Index != 1 || failed.Events[0].Topic != b.topics.Retry(time.Minute) {
				t.Errorf("failures = %v, want event 1 of 2 only", failed)
			}
			if failed.Retryable() != c.retryable || failed.Events[0].Retryable != c.retryable {
				t.Errorf("retryable = %t, want %t", failed.Retryable(), c.retryable)
			}
			if !errors.Is(err, c.code) {
				t.Errorf("%v does not wrap %v", err, c.code)
			}
			records, readErr := b.broker.ReadAll(t.Context(), b.topics.Results())
			if readErr != nil || len(records) != 1 {
				t.Errorf("results hold %d records (%v): the other event was acked", len(records), readErr)
			}
			label := map[bool]string{true: "failed", false: "refused"}[c.retryable]
			if n := testutil.ToFloat64(b.metrics.events.WithLabelValues("retry", label)); n != 1 {
				t.Errorf("retry/%s = %v, want 1", label, n)
			}
		})
	}
}

func TestABrokerThatIsAwayIsRetryable(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn := kafka.Config{Brokers: []string{listener.Addr().String()}}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := New(Config{}, conn, kafka.Topics{Prefix: "p", Tiers: []time.Duration{time.Second}}, zerolog.Nop(), NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err = p.Publish(ctx, result("k", "v"))
	var failed *PublishError
	if !errors.As(err, &failed) || !failed.Retryable() {
		t.Errorf("publish = %v, want a retryable PublishError", err)
	}
	if err := p.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestALeaderMoveCostsNoEvent(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t, kfake.NumBrokers(2)), Config{})
	if err := b.Publish(t.Context(), result("k", "1")); err != nil {
		t.Fatal(err)
	}
	for partition := range int32(3) {
		node := 1 - b.broker.Cluster.LeaderFor(b.topics.Results(), partition)
		if err := b.broker.Cluster.MoveTopicPartition(b.topics.Results(), partition, node); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Publish(t.Context(), result("k", "2")); err != nil {
		t.Errorf("publish after the leader moved: %v", err)
	}
}

func TestPublishingInVirtualTimeTakesMillisecondsNotASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, kafkatest.StartVirtual(t), Config{})
		start := time.Now()
		if err := b.Publish(t.Context(), result("k", "v")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 10*time.Millisecond {
			t.Errorf("one event took %s of virtual time", took)
		}
	})
}

func TestConfigRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"negative timeout": {WriteTimeout: -1},
		"few attempts":     {Attempts: 3},
		"negative linger":  {Linger: -1},
		"long linger":      {Linger: 2 * time.Second},
		"negative batch":   {Batch: -1},
	} {
		if cfg.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(Config{}, kafka.Config{}, kafka.Topics{}, zerolog.Nop(), NewMetrics(prometheus.NewRegistry())); err == nil {
		t.Error("New took a connection without brokers")
	}
}

func TestEveryLabelCombinationExistsFromTheStart(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	NewMetrics(registry)
	if n, err := testutil.GatherAndCount(registry, "refund_worker_producer_events_total"); err != nil || n != 12 {
		t.Errorf("%d series (%v), want 12", n, err)
	}
}
