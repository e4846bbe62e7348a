package consumer

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"refundworker/internal/kafka"
	"refundworker/internal/kafka/kafkatest"
	"refundworker/refund"
	"refundworker/schemas"
)

// The tests of this file run on an embedded broker, and on a real one when kafkatest.Env names it.

func TestMessagesComeInOrderAndAreCommitted(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Any(t), 2)
	b.produce(t, 0, numbers("a", 50)...)
	b.produce(t, 1, numbers("b", 50)...)
	m := b.join(t, b.config(), nil)
	b.committed(t, map[int]int64{0: 50, 1: 50})

	var of [2][]string
	for _, v := range m.recorder.values() {
		of[strings.Index("ab", v[:1])] = append(of[strings.Index("ab", v[:1])], v)
	}
	if diff := cmp.Diff([2][]string{numbers("a", 50), numbers("b", 50)}, of); diff != "" {
		t.Errorf("order per partition (-want +got):\n%s", diff)
	}
	if err := m.Ready(); err != nil {
		t.Errorf("ready: %v", err)
	}
	until(t, "no lag", func() bool { return testutil.ToFloat64(m.metrics.lag.WithLabelValues(b.topic)) == 0 })
	if got := testutil.ToFloat64(m.metrics.done.WithLabelValues(b.topic)); got != 100 {
		t.Errorf("done = %v, want 100", got)
	}
	if err := m.stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	if err := m.Ready(); !errors.Is(err, ErrNotReady) {
		t.Errorf("ready after the stop = %v", err)
	}
}

func TestAMessageArrivesWhole(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Any(t), 1)
	at := time.UnixMilli(1_700_000_000_123)
	in := kafkatest.Record{Key: []byte("pay"), Value: []byte("v"), Headers: []schemas.Header{{Key: "h", Value: []byte("1")}}, Time: at}
	if err := b.broker.Produce(t.Context(), b.topic, in); err != nil {
		t.Fatal(err)
	}
	m := b.join(t, b.config(), nil)
	b.committed(t, map[int]int64{0: 1})
	want := refund.Message{Topic: b.topic, Group: b.group, Key: in.Key, Value: in.Value, Headers: in.Headers, Time: at}
	if diff := cmp.Diff(want, m.recorder.seen[0]); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func TestAnIdleConsumerStopsAtOnceAndTheNextBeginsWhereItEnded(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Any(t), 3)
	b.produce(t, 2, numbers("v", 5)...)
	first := b.join(t, Config{GroupID: b.group, Topics: []string{b.topic}}, nil)
	b.committed(t, map[int]int64{0: 0, 1: 0, 2: 5})
	start := time.Now()
	if err := first.stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	// 2 s are promised, and proved in virtual time; a loaded machine may need longer.
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("an idle stop took %s", took)
	}
	b.produce(t, 2, "new")
	second := b.join(t, b.config(), nil)
	start = time.Now()
	b.committed(t, map[int]int64{2: 6})
	if diff := cmp.Diff([]string{"new"}, second.recorder.values()); diff != "" {
		t.Errorf("the second consumer read (-want +got):\n%s", diff)
	}
	// The first has left the group: nobody waits for its session to end.
	if took := time.Since(start); took > 9*time.Second {
		t.Errorf("the second consumer needed %s", took)
	}
}

func TestAFailedMessageIsTriedAgainAndHoldsItsPartition(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Any(t), 1)
	b.produce(t, 0, numbers("v", 3)...)
	var failures atomic.Int32
	m := b.join(t, b.config(), func(_ context.Context, m refund.Message) error {
		if string(m.Value) == "v1" && failures.Add(1) <= 3 {
			return errors.New("not now")
		}
		return nil
	})
	b.committed(t, map[int]int64{0: 3})
	if diff := cmp.Diff([]string{"v0", "v1", "v1", "v1", "v1", "v2"}, m.recorder.values()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if got := testutil.ToFloat64(m.metrics.retried.WithLabelValues(b.topic)); got != 3 {
		t.Errorf("retried = %v, want 3", got)
	}
}

func TestAPanicIsLoggedWithItsStackAndTriedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Any(t), 1)
	b.produce(t, 0, "v0", "v1")
	var calls atomic.Int32
	m := b.join(t, b.config(), func(context.Context, refund.Message) error {
		if calls.Add(1) == 1 {
			panic("out of cheese")
		}
		return nil
	})
	b.committed(t, map[int]int64{0: 2})
	if diff := cmp.Diff([]string{"v0", "v0", "v1"}, m.recorder.values()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if m.log.count("out of cheese") != 1 || m.log.count("consumer_test.go") != 1 {
		t.Error("the log does not hold the panic and its stack")
	}
	if got := testutil.ToFloat64(m.metrics.panics.WithLabelValues(b.topic)); got != 1 {
		t.Errorf("panics = %v, want 1", got)
	}
}

func TestWhatIsNotDoneIsNotCommittedAndReadAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Any(t), 1)
	b.produce(t, 0, numbers("v", 4)...)
	stuck := make(chan struct{}, 1)
	first := b.join(t, b.config(), func(ctx context.Context, m refund.Message) error {
		if string(m.Value) != "v2" {
			return nil
		}
		stuck <- struct{}{}
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), ErrRevoked) {
			t.Errorf("cause = %v, want ErrRevoked", context.Cause(ctx))
		}
		return context.Cause(ctx)
	})
	<-stuck
	if err := first.stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	b.holds(t, map[int]int64{0: 2})
	second := b.join(t, b.config(), nil)
	b.committed(t, map[int]int64{0: 4})
	if diff := cmp.Diff([]string{"v2", "v3"}, second.recorder.values()); diff != "" {
		t.Errorf("the second consumer read (-want +got):\n%s", diff)
	}
}

func TestAHandlerThatFinishesWithinTheDrainIsCommitted(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Any(t), 1)
	b.produce(t, 0, "v0", "v1")
	begun := make(chan struct{})
	m := b.join(t, b.config(), func(ctx context.Context, m refund.Message) error {
		if string(m.Value) == "v1" {
			return context.Cause(ctx)
		}
		close(begun)
		<-ctx.Done()
		return wait(context.WithoutCancel(ctx), 300*time.Millisecond)
	})
	<-begun
	if err := m.stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	b.holds(t, map[int]int64{0: 1})
	if diff := cmp.Diff([]string{"v0"}, m.recorder.values()); diff != "" {
		t.Errorf("after the end nothing new may begin (-want +got):\n%s", diff)
	}
}

func TestAHandlerThatOutlastsTheDrainIsAwaitedAndNeverCommitted(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Any(t), 1)
	b.produce(t, 0, "v0")
	begun := make(chan struct{})
	var finished atomic.Bool
	cfg := b.config()
	cfg.Drain = 100 * time.Millisecond
	m := b.join(t, cfg, func(ctx context.Context, _ refund.Message) error {
		close(begun)
		<-ctx.Done()
		err := wait(context.WithoutCancel(ctx), time.Second)
		finished.Store(true)
		return err
	})
	<-begun
	if err := m.stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	if !finished.Load() {
		t.Error("Run returned while its handler was running")
	}
	b.holds(t, map[int]int64{0: 0})
	if got := testutil.ToFloat64(m.metrics.detached.WithLabelValues(b.group)); got != 1 {
		t.Errorf("detached = %v, want 1", got)
	}
}

func TestAHandlerThatNeverReturnsDoesNotHoldTheProcess(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Any(t), 1)
	b.produce(t, 0, "v0")
	begun, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	cfg := b.config()
	cfg.Drain, cfg.StopTimeout = 100*time.Millisecond, 500*time.Millisecond
	m := b.join(t, cfg, func(context.Context, refund.Message) error {
		close(begun)
		<-release
		return nil
	})
	<-begun
	if err := m.stop(); !errors.Is(err, ErrStillRunning) {
		t.Errorf("run = %v, want ErrStillRunning", err)
	}
}

func TestControlRecordsAndTombstonesAreSkippedWithAnAlarm(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Any(t), 1)
	for _, commit := range []bool{true, false} {
		err := b.broker.ProduceInTransaction(t.Context(), b.group, b.topic, commit, kafkatest.Record{Value: []byte("in a transaction")})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := b.broker.Produce(t.Context(), b.topic, kafkatest.Record{Key: []byte("k")}, kafkatest.Record{Value: []byte("last")}); err != nil {
		t.Fatal(err)
	}
	m := b.join(t, b.config(), nil)
	b.committed(t, map[int]int64{0: 6})
	// The aborted record is handled: kafka-go cannot tell it apart, which is why transactions raise an alarm.
	if diff := cmp.Diff([]string{"in a transaction", "in a transaction", "last"}, m.recorder.values()); diff != "" {
		t.Errorf("handled (-want +got):\n%s", diff)
	}
	if got := testutil.ToFloat64(m.metrics.skipped.WithLabelValues(b.topic, kindControl)); got != 2 {
		t.Errorf("control records = %v, want 2", got)
	}
	if got := testutil.ToFloat64(m.metrics.skipped.WithLabelValues(b.topic, kindTombstone)); got != 1 {
		t.Errorf("tombstones = %v, want 1", got)
	}
	if m.log.count(`"alarm":"control-record"`) != 2 || m.log.count(`"alarm":"tombstone"`) != 1 {
		t.Error("the log does not hold the alarms")
	}
}

func TestAControlRecordAtTheTailIsPassed(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Any(t), 1)
	if err := b.broker.ProduceInTransaction(t.Context(), b.group, b.topic, true, kafkatest.Record{Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	b.join(t, b.config(), nil)
	b.committed(t, map[int]int64{0: 2})
}

func TestAMissingTopicEndsRunWithATopicsError(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Any(t), 1)
	cfg := b.config()
	cfg.Topics = append(cfg.Topics, b.topic+"-missing")
	metrics := NewMetrics(prometheus.NewRegistry())
	c, err := New(cfg, b.broker.Config(), executor(), new(recorder).read, zerolog.Nop(), metrics)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Run(t.Context())
	var unfit *kafka.TopicsError
	if !errors.As(err, &unfit) {
		t.Fatalf("run = %v, want a TopicsError", err)
	}
	if diff := cmp.Diff([]kafka.Finding{{Topic: b.topic + "-missing", Problem: kafka.Missing}}, unfit.Findings); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestTheHeadOfATierWaitsUntilItIsDue(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Any(t), 1)
	const delay = 700 * time.Millisecond
	cfg := b.config()
	cfg.Delay = func(topic string) time.Duration {
		if topic != b.topic {
			t.Errorf("asked for the delay of %s", topic)
		}
		return delay
	}
	start := time.Now()
	m := b.join(t, cfg, nil)
	until(t, "an assignment", func() bool { return m.Ready() == nil })
	b.produce(t, 0, "v0")
	b.committed(t, map[int]int64{0: 1})
	if took := time.Since(start); took < delay {
		t.Errorf("the message was handled after %s, want at least %s", took, delay)
	}
	// A wait must not hold a stop.
	b.produce(t, 0, "v1")
	if err := m.stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	b.holds(t, map[int]int64{0: 1})
}
