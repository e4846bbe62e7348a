package consumer

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"refundworker/internal/kafka/kafkatest"
	"refundworker/refund"
	"refundworker/schemas"
)

// The tests of this file run in virtual time: the settings are the real defaults, the minutes are free, and a goroutine
// that is left behind fails the test.

func (b bundle) defaults() Config { return Config{GroupID: b.group, Topics: []string{b.topic}} }

func TestAKilledMembersPartitionsMoveAfterItsSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, kafkatest.StartVirtual(t), 4)
		gate := new(kafkatest.Gate)
		killed := b.joinThrough(t, gate, b.defaults(), nil)
		until(t, "the first assignment", func() bool { return killed.Ready() == nil })
		survivor := b.join(t, b.defaults(), nil)
		until(t, "a share for both", func() bool {
			return testutil.ToFloat64(survivor.metrics.assigned.WithLabelValues(b.topic)) == 2
		})
		gate.Shut()
		start := time.Now()
		until(t, "the survivor to own everything", func() bool {
			return testutil.ToFloat64(survivor.metrics.assigned.WithLabelValues(b.topic)) == 4
		})
		if took := time.Since(start); took < 9*time.Second || took > 12*time.Second {
			t.Errorf("the partitions moved after %s, want the session of 10 s and a heartbeat", took)
		}
		for p := range 4 {
			b.produce(t, p, "v"+strconv.Itoa(p))
		}
		b.committed(t, map[int]int64{0: 1, 1: 1, 2: 1, 3: 1})
		if diff := cmp.Diff([]string{"v0", "v1", "v2", "v3"}, sorted(survivor.recorder.values())); diff != "" {
			t.Errorf("the survivor handled (-want +got):\n%s", diff)
		}
		gate.Open() // so that the killed one can end cleanly
	})
}

func TestALongDrainIsKeptAliveByCommits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, kafkatest.StartVirtual(t), 1)
		b.produce(t, 0, "v0")
		cfg := b.defaults()
		// Validate demands a margin; the commits have to hold the session through two thirds of it and more.
		cfg.SessionTimeout, cfg.Drain, cfg.StopTimeout = 6*time.Second, 5*time.Second, 15*time.Second
		begun := make(chan struct{})
		first := b.join(t, cfg, func(ctx context.Context, _ refund.Message) error {
			close(begun)
			<-ctx.Done()
			return wait(context.WithoutCancel(ctx), 4900*time.Millisecond)
		})
		<-begun
		if err := first.stop(); err != nil {
			t.Errorf("run: %v", err)
		}
		b.holds(t, map[int]int64{0: 1})
		if got := testutil.ToFloat64(first.metrics.commits.WithLabelValues(b.group, commitOK)); got < 9 {
			t.Errorf("%v commits during a drain of 4.9 s, want one per heartbeat of 500 ms", got)
		}
	})
}

func TestATierWaitsForTheHeaderAndNotForABogusOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, kafkatest.StartVirtual(t), 1)
		cfg := b.defaults()
		cfg.Delay = func(string) time.Duration { return 10 * time.Minute }
		handled := make(chan time.Time, 3)
		m := b.join(t, cfg, func(context.Context, refund.Message) error {
			handled <- time.Now()
			return nil
		})
		until(t, "an assignment", func() bool { return m.Ready() == nil })
		produced := time.Now()
		at := func(d time.Duration) kafkatest.Record {
			ms := strconv.FormatInt(produced.Add(d).UnixMilli(), 10)
			return kafkatest.Record{Value: []byte("v"), Headers: []schemas.Header{{Key: schemas.HeaderDue, Value: []byte(ms)}}}
		}
		// Due in three minutes; already due, but behind; and due in a year, which no tier of ten minutes can mean.
		if err := b.broker.Produce(t.Context(), b.topic, at(3*time.Minute), at(time.Minute), at(365*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		// The third is first seen when the second is out of the way.
		for i, want := range []time.Duration{3 * time.Minute, 3 * time.Minute, 13 * time.Minute} {
			if took := (<-handled).Sub(produced); took < want || took > want+5*time.Second {
				t.Errorf("message %d was handled after %s, want %s", i, took, want)
			}
		}
		// A wait does not hold a stop.
		if err := b.broker.Produce(t.Context(), b.topic, at(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := wait(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := m.stop(); err != nil || time.Since(start) > time.Second {
			t.Errorf("run = %v after %s", err, time.Since(start))
		}
		b.holds(t, map[int]int64{0: 3})
	})
}

func TestAnIdleWhileCostsNothingAndStopsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, kafkatest.StartVirtual(t), 2)
		m := b.join(t, b.defaults(), nil)
		until(t, "an assignment", func() bool { return m.Ready() == nil })
		if err := wait(t.Context(), 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := testutil.ToFloat64(m.metrics.generations.WithLabelValues(b.group)); got != 1 {
			t.Errorf("%v generations in an idle while", got)
		}
		b.produce(t, 0, "v0")
		b.committed(t, map[int]int64{0: 1})
		start := time.Now()
		if err := m.stop(); err != nil {
			t.Errorf("run: %v", err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("an idle stop took %s", took)
		}
	})
}

func TestARollingRestartHandlesEverythingOnceInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, kafkatest.StartVirtual(t), 3)
		for p := range 3 {
			b.produce(t, p, numbers(strconv.Itoa(p)+"-", 200)...)
		}
		script := func(ctx context.Context, _ refund.Message) error {
			// As the core does it: what is under way is finished on a context of its own.
			return wait(context.WithoutCancel(ctx), 200*time.Millisecond)
		}
		members := []*member{b.join(t, b.defaults(), script), b.join(t, b.defaults(), script)}
		for i := range 2 {
			if err := wait(t.Context(), 10*time.Second); err != nil {
				t.Fatal(err)
			}
			members = append(members, b.join(t, b.defaults(), script))
			if err := members[i].stop(); err != nil {
				t.Errorf("run: %v", err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		if err := b.broker.AwaitCommitted(ctx, b.group, b.topic, map[int]int64{0: 200, 1: 200, 2: 200}); err != nil {
			t.Fatal(err)
		}
		var seen []string
		for _, m := range members {
			seen = append(seen, m.recorder.values()...)
		}
		if distinct := slices.Compact(sorted(seen)); len(distinct) != 600 || len(seen) != 600 {
			t.Errorf("%d calls for %d messages, want 600 for 600", len(seen), len(distinct))
		}
	})
}
