package consumer

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"refundworker/internal/kafka/kafkatest"
	"refundworker/refund"
)

func TestASlowHandlerAcrossARevokeIsHandedOverAndItsResultDropped(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Any(t), 2)
	b.produce(t, 0, "slow")
	b.produce(t, 1, "slow")
	cfg := b.config()
	cfg.Drain = 200 * time.Millisecond
	release := make(chan struct{})
	var begun atomic.Int32
	first := b.join(t, cfg, func(_ context.Context, _ refund.Message) error {
		if begun.Add(1) <= 2 {
			<-release
		}
		return nil
	})
	until(t, "both slow handlers to begin", func() bool { return begun.Load() == 2 })
	second := b.join(t, cfg, func(ctx context.Context, _ refund.Message) error {
		<-ctx.Done()
		return context.Cause(ctx)
	})
	until(t, "the second member to be given a slow message", func() bool { return len(second.recorder.values()) > 0 })
	until(t, "the first member to have let go", func() bool {
		return testutil.ToFloat64(first.metrics.detached.WithLabelValues(b.group)) == 2
	})
	taken := second.recorder.seen[0].Partition
	close(release)
	until(t, "the detached handlers to return", func() bool {
		return testutil.ToFloat64(first.metrics.done.WithLabelValues(b.topic)) >= 2
	})
	// The first member's own partition was read again and is done; the other is the second's, who is not.
	b.committed(t, map[int]int64{1 - taken: 1})
	b.holds(t, map[int]int64{taken: 0})
	for _, m := range []*member{second, first} {
		if err := m.stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	}
	b.holds(t, map[int]int64{taken: 0})
}

func TestAMemberThatJoinsHalfWayTakesOverWithoutLossOrDisorder(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Any(t), 4)
	var all []string
	for p := range 4 {
		values := numbers(string(rune('a'+p)), 300)
		b.produce(t, p, values...)
		all = append(all, values...)
	}
	script := func(ctx context.Context, _ refund.Message) error { return wait(ctx, 2*time.Millisecond) }
	first := b.join(t, b.config(), script)
	until(t, "the first member to be under way", func() bool { return len(first.recorder.values()) > 100 })
	second := b.join(t, b.config(), script)
	until(t, "the second member to be under way", func() bool { return len(second.recorder.values()) > 50 })
	if err := first.stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	b.committed(t, map[int]int64{0: 300, 1: 300, 2: 300, 3: 300})

	seen := slices.Concat(first.recorder.values(), second.recorder.values())
	distinct := sorted(seen)
	distinct = slices.Compact(distinct)
	if diff := cmp.Diff(sorted(all), distinct); diff != "" {
		t.Errorf("messages (-produced +handled):\n%s", diff)
	}
	// Handlers obey their context, so at most the one message in flight per partition comes twice per rebalance.
	if repeated := len(seen) - len(distinct); repeated > 12 {
		t.Errorf("%d messages were handled twice", repeated)
	}
	for _, m := range []*member{first, second} {
		if m.recorder.overlaps != 0 {
			t.Errorf("%d overlaps within a partition", m.recorder.overlaps)
		}
		last := make(map[int]int64)
		for _, message := range m.recorder.seen {
			if message.Offset < last[message.Partition] {
				t.Errorf("partition %d went back from %d to %d", message.Partition, last[message.Partition], message.Offset)
			}
			last[message.Partition] = message.Offset
		}
	}
}
