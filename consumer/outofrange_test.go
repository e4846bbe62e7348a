package consumer

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"refundworker/internal/kafka/kafkatest"
	"refundworker/refund"
)

func TestMessagesDeletedUnreadRaiseAnAlarmAndReadingGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), 1)
	b.produce(t, 0, numbers("v", 10)...)
	first := b.join(t, b.config(), nil)
	b.committed(t, map[int]int64{0: 10})
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	b.produce(t, 0, numbers("w", 10)...)
	if err := b.broker.Cluster.DeleteRecords(b.topic, 0, 15); err != nil {
		t.Fatal(err)
	}
	second := b.join(t, b.config(), nil)
	b.committed(t, map[int]int64{0: 20})
	if diff := cmp.Diff(numbers("w", 10)[5:], second.recorder.values()); diff != "" {
		t.Errorf("handled (-want +got):\n%s", diff)
	}
	if got := testutil.ToFloat64(second.metrics.outOfRange.WithLabelValues(b.topic, sideTruncated)); got != 1 {
		t.Errorf("truncated = %v, want 1", got)
	}
	if second.log.count(`"wanted_offset":10,"offset":15`) != 1 {
		t.Error("the log does not name the lost offsets")
	}
}

func TestMessagesDeletedUnderARunningReaderRaiseAnAlarm(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), 1)
	b.produce(t, 0, "v0")
	release := make(chan struct{})
	cfg := b.config()
	cfg.QueueCapacity, cfg.Queue = 1, 1
	m := b.join(t, cfg, func(context.Context, refund.Message) error { <-release; return nil })
	until(t, "the handler to begin", func() bool { return len(m.recorder.values()) == 1 })
	for i := range 20 {
		b.produce(t, 0, fmt.Sprint("w", i)) // one batch each, so that not all are fetched
	}
	if err := b.broker.Cluster.DeleteRecords(b.topic, 0, 20); err != nil {
		t.Fatal(err)
	}
	close(release)
	b.committed(t, map[int]int64{0: 21})
	if got := testutil.ToFloat64(m.metrics.outOfRange.WithLabelValues(b.topic, sideTruncated)); got < 1 {
		t.Errorf("truncated = %v, want an alarm: handled %v", got, m.recorder.values())
	}
}

func TestALogThatLostItsEndIsReadFromItsStartWithAnAlarm(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), 1)
	b.produce(t, 0, numbers("v", 5)...)
	m := b.join(t, b.config(), nil)
	b.committed(t, map[int]int64{0: 5})
	if err := b.broker.DeleteTopic(t.Context(), b.topic); err != nil {
		t.Fatal(err)
	}
	if err := b.broker.CreateTopic(t.Context(), b.topic, 1, nil); err != nil {
		t.Fatal(err)
	}
	b.produce(t, 0, "new")
	until(t, "the new log to be read", func() bool { return slices.Contains(m.recorder.values(), "new") })
	until(t, "the new log's offset to be committed", func() bool {
		have, err := b.broker.Committed(t.Context(), b.group, b.topic)
		return err == nil && have[0] == 1
	})
	if got := testutil.ToFloat64(m.metrics.outOfRange.WithLabelValues(b.topic, sidePastEnd)); got < 1 {
		t.Errorf("past end = %v, want an alarm", got)
	}
}

func TestAnOffsetOutsideTheLogIsReplacedByItsStartAndNeverSilently(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), 1)
	c, err := New(b.config(), b.broker.Config(), executor(), new(recorder).read, zerolog.Nop(), NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	p := newPartition(c, nil, b.topic, 0, nil)
	// The log holds 3 to 7; 8 is the next to be written.
	for _, call := range []struct {
		want, start        int64
		truncated, pastEnd float64
	}{
		{want: -2, start: 3},
		{want: 3, start: 3},
		{want: 8, start: 8},
		{want: 2, start: 3, truncated: 1},
		{want: 9, start: 3, truncated: 1, pastEnd: 1},
	} {
		if got := p.clamp(call.want, 3, 8); got != call.start {
			t.Errorf("clamp(%d) = %d, want %d", call.want, got, call.start)
		}
		truncated := testutil.ToFloat64(c.metrics.outOfRange.WithLabelValues(b.topic, sideTruncated))
		pastEnd := testutil.ToFloat64(c.metrics.outOfRange.WithLabelValues(b.topic, sidePastEnd))
		if truncated != call.truncated || pastEnd != call.pastEnd {
			t.Errorf("after clamp(%d): %v and %v alarms, want %v and %v", call.want, truncated, pastEnd, call.truncated, call.pastEnd)
		}
	}
}

func TestAFetchThatWaitsPastTheEndOfTheLogIsInterrupted(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), 1)
	b.produce(t, 0, "v0")
	c, err := New(b.config(), b.broker.Config(), executor(), new(recorder).read, zerolog.Nop(), NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	transport := b.broker.Config().Transport(b.topic)
	t.Cleanup(transport.CloseIdleConnections)
	client := b.broker.Config().Client(transport, askTimeout)
	for _, next := range []int64{0, 1, 2} {
		p := newPartition(c, client, b.topic, 0, nil)
		p.mark.Store(newWatermark(next, next))
		p.next.Store(next)
		interrupted := false
		p.waiting(func() { interrupted = true }, time.Now())
		c.look(t.Context(), client, &generation{partitions: []*partition{p}})
		if want := next > 1; interrupted != want {
			t.Errorf("waiting for offset %d of a log that ends at 1: interrupted = %t, want %t", next, interrupted, want)
		}
		if lag := testutil.ToFloat64(c.metrics.lag.WithLabelValues(b.topic)); lag != float64(max(1-next, 0)) {
			t.Errorf("lag at offset %d = %v", next, lag)
		}
	}
}
