package consumer

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"refundworker/internal/kafka/kafkatest"
	"refundworker/refund"
)

// The tests of this file let many messages of a partition run at once.

// keyed are n messages of a partition, of which each key has so many in a row.
func keyed(partition, n, each int) []kafkatest.Record {
	records := make([]kafkatest.Record, n)
	for i := range records {
		records[i] = kafkatest.Record{
			Partition: partition, Key: fmt.Appendf(nil, "p%d-%d", partition, i/each), Value: []byte(strconv.Itoa(i)),
		}
	}
	return records
}

func (b bundle) produceAll(t *testing.T, records []kafkatest.Record) {
	t.Helper()
	if err := b.broker.Produce(t.Context(), b.topic, records...); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyTheDonePrefixIsCommittedWhateverFinishesBehindIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, kafkatest.StartVirtual(t), 1)
		b.produceAll(t, keyed(0, 50, 1))
		m := b.join(t, b.defaults(), func(ctx context.Context, m refund.Message) error {
			if m.Offset == 7 {
				return wait(context.WithoutCancel(ctx), time.Minute)
			}
			return nil
		})
		until(t, "all others to be done", func() bool { return testutil.ToFloat64(m.metrics.done.WithLabelValues(b.topic)) == 49 })
		b.committed(t, map[int]int64{0: 7})
		if err := wait(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		b.committed(t, map[int]int64{0: 50})
	})
}

func TestAPartitionIsReadOnlyAWindowAheadOfWhatIsDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, kafkatest.StartVirtual(t), 1)
		b.produceAll(t, keyed(0, 500, 1))
		cfg := b.defaults()
		cfg.Window = 100
		release := make(chan struct{})
		m := b.join(t, cfg, func(_ context.Context, m refund.Message) error {
			if m.Offset == 20 {
				<-release
			}
			return nil
		})
		if err := wait(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		if n := len(m.recorder.values()); n != 120 {
			t.Errorf("%d messages begun while the 21st hangs, want the 120 before the window's end", n)
		}
		close(release)
		b.committed(t, map[int]int64{0: 500})
		if got := testutil.ToFloat64(m.metrics.blocked.WithLabelValues(b.topic, blockedByMessage)); got < 50 {
			t.Errorf("%v s blocked by a slow message, want most of a minute", got)
		}
	})
}

func TestAHotPaymentHoldsItsPartitionUpAndAMetricSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, kafkatest.StartVirtual(t), 2)
		b.produceAll(t, slices.Concat(keyed(0, 100, 100), keyed(1, 100, 1)))
		cfg := b.defaults()
		cfg.Queue = 10
		m := b.join(t, cfg, func(ctx context.Context, _ refund.Message) error {
			return wait(context.WithoutCancel(ctx), time.Second)
		})
		until(t, "an assignment", func() bool { return m.Ready() == nil })
		started := time.Now()
		b.committed(t, map[int]int64{1: 100})
		if took := time.Since(started); took > 20*time.Second {
			t.Errorf("the other partition needed %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		if err := b.broker.AwaitCommitted(ctx, b.group, b.topic, map[int]int64{0: 100}); err != nil {
			t.Fatal(err)
		}
		if got := testutil.ToFloat64(m.metrics.blocked.WithLabelValues(b.topic, blockedByPayment)); got < 80 {
			t.Errorf("%v s blocked by a hot payment, want most of 100", got)
		}
		if m.recorder.overlaps != 0 {
			t.Errorf("%d overlaps within a lane", m.recorder.overlaps)
		}
	})
}

func TestLargeMessagesAreCountedByTheirBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, kafkatest.StartVirtual(t), 1)
		records := keyed(0, 20, 1)
		for i := range records {
			records[i].Value = make([]byte, 100<<10)
			records[i].Value[0] = 'x'
		}
		b.produceAll(t, records)
		cfg := b.defaults()
		cfg.QueueBytes = 350 << 10
		release := make(chan struct{})
		m := b.join(t, cfg, func(context.Context, refund.Message) error { <-release; return nil })
		if err := wait(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		if n := len(m.recorder.values()); n != 4 {
			t.Errorf("%d messages of 100 KiB in memory, want the 4 that fill 350 KiB", n)
		}
		close(release)
		b.committed(t, map[int]int64{0: 20})
	})
}

// A whole afternoon of members that join, leave and die while every partition has many messages in flight: all
// are handled, commits never go back, no member has two of one key at once, and the first sight of a key is in order.
func TestLanesLoseNothingWhileMembersJoinLeaveAndDie(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const partitions, each = 6, 2000
		broker := kafkatest.StartVirtual(t)
		commits := watchCommits(broker)
		b := setup(t, broker, partitions)
		ends := make(map[int]int64, partitions)
		for p := range partitions {
			b.produceAll(t, keyed(p, each, 4))
			ends[p] = each
		}
		var mu sync.Mutex
		first := make(map[string]int64)
		script := func(ctx context.Context, m refund.Message) error {
			lane := strconv.Itoa(m.Partition) + string(m.Key)
			mu.Lock()
			if last, seen := first[lane]; seen && m.Offset > last+1 {
				t.Errorf("lane %s: %d came after %d", lane, m.Offset, last)
			}
			first[lane] = max(first[lane], m.Offset)
			mu.Unlock()
			// As the core does it: what is under way is finished on a context of its own. Some are slow.
			took := 2 * time.Second
			if m.Offset%97 == 0 {
				took = 10 * time.Second
			}
			return wait(context.WithoutCancel(ctx), took)
		}
		cfg := b.defaults()
		cfg.StopTimeout = time.Minute
		var members []*member
		var gates []*kafkatest.Gate
		for round := range 6 {
			gate := new(kafkatest.Gate)
			gates = append(gates, gate)
			members = append(members, b.joinThrough(t, gate, cfg, script))
			// The embedded broker begins its wait for the missing anew with every join (kfake's group.rebalance), so that members
			// which give up and join again can keep each other waiting for ever: a death is given time.
			if err := wait(t.Context(), 20*time.Second); err != nil {
				t.Fatal(err)
			}
			switch round {
			case 2:
				if err := members[0].stop(); err != nil {
					t.Errorf("run: %v", err)
				}
			case 3:
				gates[1].Shut() // killed: it neither commits nor leaves
				if err := wait(t.Context(), time.Minute); err != nil {
					t.Fatal(err)
				}
			case 4:
				if err := members[2].stop(); err != nil {
					t.Errorf("run: %v", err)
				}
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
		defer cancel()
		if err := b.broker.AwaitCommitted(ctx, b.group, b.topic, ends); err != nil {
			t.Fatal(err)
		}
		gates[1].Open() // so that the killed one can end cleanly
		handled := make(map[string]bool)
		calls := 0
		for _, m := range members {
			for _, message := range m.recorder.seen {
				calls++
				handled[fmt.Sprint(message.Partition, "/", message.Offset)] = true
			}
			if m.recorder.overlaps != 0 {
				t.Errorf("%d overlaps within a lane", m.recorder.overlaps)
			}
		}
		if len(handled) != partitions*each {
			t.Errorf("%d of %d messages handled", len(handled), partitions*each)
		}
		commits.mu.Lock()
		defer commits.mu.Unlock()
		if diff := cmp.Diff([]string(nil), commits.faults); diff != "" {
			t.Errorf("commits:\n%s", diff)
		}
		t.Logf("%d calls for %d messages, %d commits", calls, len(handled), commits.n)
	})
}
