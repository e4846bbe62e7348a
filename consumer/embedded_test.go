package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"refundworker/internal/kafka/kafkatest"
	"refundworker/refund"
)

// The tests of this file need the embedded broker's controls.

func TestNoRequestIsOlderThanKafka4Takes(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Start(t)
	broker.RequireKafka4(t)
	b := setup(t, broker, 2)
	b.produce(t, 0, "v0")
	first := b.join(t, b.config(), nil)
	b.committed(t, map[int]int64{0: 1})
	b.join(t, b.config(), nil)
	until(t, "a rebalance", func() bool {
		return testutil.ToFloat64(first.metrics.generations.WithLabelValues(b.group)) >= 2
	})
	if err := first.stop(); err != nil {
		t.Errorf("run: %v", err)
	}
}

// commitLog records every offset that members ask the broker to commit.
type commitLog struct {
	mu      sync.Mutex
	highest map[string]int64
	faults  []string
	n       int
}

func watchCommits(broker *kafkatest.Broker) *commitLog {
	log := &commitLog{highest: make(map[string]int64)}
	broker.Cluster.ControlKey(int16(kmsg.OffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
		broker.Cluster.KeepControl()
		log.mu.Lock()
		defer log.mu.Unlock()
		commit, ok := request.(*kmsg.OffsetCommitRequest)
		if !ok {
			return nil, nil, false
		}
		for _, t := range commit.Topics {
			for _, p := range t.Partitions {
				log.n++
				key := fmt.Sprintf("%s/%d", t.Topic, p.Partition)
				if p.Offset < log.highest[key] {
					log.faults = append(log.faults, fmt.Sprintf("%s went back from %d to %d", key, log.highest[key], p.Offset))
				}
				log.highest[key] = p.Offset
			}
		}
		return nil, nil, false
	})
	return log
}

func TestOffsetsNeverGoBackWhileMembersComeAndGo(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Start(t)
	commits := watchCommits(broker)
	b := setup(t, broker, 4)
	var all []string
	for p := range 4 {
		values := numbers(string(rune('a'+p)), 500)
		b.produce(t, p, values...)
		all = append(all, values...)
	}
	script := func(ctx context.Context, _ refund.Message) error { return wait(ctx, time.Millisecond) }
	var members []*member
	progress := func() int {
		n := 0
		for _, m := range members {
			n += len(m.recorder.values())
		}
		return n
	}
	for round := range 4 {
		members = append(members, b.join(t, b.config(), script))
		until(t, "progress", func() bool { return progress() > (round+1)*200 })
		if round%2 == 1 {
			if err := members[round-1].stop(); err != nil {
				t.Errorf("run: %v", err)
			}
		}
	}
	b.committed(t, map[int]int64{0: 500, 1: 500, 2: 500, 3: 500})
	var seen []string
	for _, m := range members {
		seen = append(seen, m.recorder.values()...)
	}
	if diff := cmp.Diff(sorted(all), slices.Compact(sorted(seen))); diff != "" {
		t.Errorf("messages (-produced +handled):\n%s", diff)
	}
	commits.mu.Lock()
	defer commits.mu.Unlock()
	if len(commits.faults) > 0 || commits.n == 0 {
		t.Errorf("%d commits, faults: %v", commits.n, commits.faults)
	}
}

func TestHandlersHearOfAStopWhileACommitHangs(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), 2)
	heard := make(chan struct{})
	m := b.join(t, b.config(), func(ctx context.Context, m refund.Message) error {
		if m.Partition == 0 {
			return nil
		}
		<-ctx.Done()
		close(heard)
		return context.Cause(ctx)
	})
	b.committed(t, map[int]int64{0: 0, 1: 0})
	b.produce(t, 1, "waits")
	until(t, "the handler to wait", func() bool { return len(m.recorder.values()) == 1 })
	hanging := make(chan struct{})
	var once sync.Once
	b.broker.Cluster.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.broker.Cluster.KeepControl()
		once.Do(func() { close(hanging) })
		return nil, nil, true // never answered; the driver gives up after 5 s
	})
	b.produce(t, 0, "commits")
	<-hanging
	go func() { _ = m.stop() }() // awaited by the test's cleanup
	select {
	case <-heard:
	case <-time.After(4 * time.Second):
		t.Error("the handler was told only when the commit had timed out")
	}
}

func TestNewPartitionsAreReadWithoutARestart(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), 1)
	m := b.join(t, b.config(), nil)
	until(t, "an assignment", func() bool { return m.Ready() == nil })
	if err := b.broker.AddPartitions(t.Context(), b.topic, 3); err != nil {
		t.Fatal(err)
	}
	b.produce(t, 2, "new")
	b.committed(t, map[int]int64{2: 1})
	if got := testutil.ToFloat64(m.metrics.generations.WithLabelValues(b.group)); got > 3 {
		t.Errorf("%v generations for one change", got)
	}
}

func TestATopicThatGoesAndComesBackCausesNoStormAndIsReadAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), 1)
	other := b
	other.topic = kafkatest.Name(t) + "-other"
	if err := b.broker.CreateTopic(t.Context(), other.topic, 1, nil); err != nil {
		t.Fatal(err)
	}
	cfg := b.config()
	cfg.Topics = []string{b.topic, other.topic}
	cfg.ReportInterval = time.Hour
	m := b.join(t, cfg, nil)
	until(t, "an assignment", func() bool { return m.Ready() == nil })
	m.trouble.pass() // some other trouble has had the hour's line: the alarm must not wait for the next
	if err := b.broker.DeleteTopic(t.Context(), other.topic); err != nil {
		t.Fatal(err)
	}
	until(t, "the alarm", func() bool { return m.log.count(`"alarm":"missing-topic"`) > 0 })
	// The topic that is left is read all the while.
	b.produce(t, 0, "v0")
	b.committed(t, map[int]int64{0: 1})
	if err := b.broker.CreateTopic(t.Context(), other.topic, 1, nil); err != nil {
		t.Fatal(err)
	}
	other.produce(t, 0, "back")
	until(t, "the topic to be read again", func() bool { return slices.Contains(m.recorder.values(), "back") })
	if got := testutil.ToFloat64(m.metrics.generations.WithLabelValues(b.group)); got > 4 {
		t.Errorf("%v generations", got)
	}
}

// joinThrough starts a member behind a gate.
func (b bundle) joinThrough(t *testing.T, gate *kafkatest.Gate, cfg Config, script func(context.Context, refund.Message) error) *member {
	t.Helper()
	gate.Through = b.broker.Dial
	behind := b
	behind.broker = &kafkatest.Broker{Addr: b.broker.Addr, Dial: gate.Dial, Cluster: b.broker.Cluster}
	return behind.join(t, cfg, script)
}

func TestABrokerThatIsAwayIsWaitedForWithOneLinePerInterval(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), 1)
	b.produce(t, 0, "v0")
	gate := new(kafkatest.Gate)
	gate.Shut()
	cfg := b.config()
	// What is cut off cannot leave the group; its ghost holds the partitions until the session ends.
	cfg.SessionTimeout, cfg.Drain = time.Second, 500*time.Millisecond
	cfg.ReportInterval = time.Minute
	m := b.joinThrough(t, gate, cfg, nil)
	until(t, "a line in the log", func() bool { return m.log.count("waiting for the brokers") == 1 })
	if err := m.Ready(); !errors.Is(err, ErrNotReady) {
		t.Errorf("ready = %v without a broker", err)
	}
	if err := wait(t.Context(), 2*lookPause); err != nil {
		t.Fatal(err)
	}
	if got := m.log.count("waiting for the brokers"); got != 1 {
		t.Errorf("%d lines within one interval", got)
	}
	gate.Open()
	b.committed(t, map[int]int64{0: 1})

	// Away while running, and back.
	gate.Shut()
	b.produce(t, 0, "v1")
	until(t, "the loss to be noticed", func() bool { return m.Ready() != nil })
	gate.Open()
	b.committed(t, map[int]int64{0: 2})
	if diff := cmp.Diff([]string{"v0", "v1"}, slices.Compact(m.recorder.values())); diff != "" {
		t.Errorf("handled (-want +got):\n%s", diff)
	}
}

func TestAStopWhileTheBrokersAreAwayIsQuickAndClean(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), 1)
	gate := new(kafkatest.Gate)
	gate.Shut()
	m := b.joinThrough(t, gate, b.config(), nil)
	until(t, "a line in the log", func() bool { return m.log.count("waiting for the brokers") == 1 })
	start := time.Now()
	if err := m.stop(); err != nil || time.Since(start) > 5*time.Second {
		t.Errorf("run = %v after %s", err, time.Since(start))
	}
}

func TestAStopDuringAJoinThatHangsIsQuick(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), 1)
	release, hanging := make(chan struct{}), make(chan struct{})
	b.broker.Cluster.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(hanging)
		b.broker.Cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	defer close(release)
	m := b.join(t, b.config(), nil)
	<-hanging
	start := time.Now()
	if err := m.stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	// The join itself would be given up only after 35 s.
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the stop took %s", took)
	}
}

func TestARefusedCommitIsRepeatedWithinItsGeneration(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), 1)
	handle := b.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.CoordinatorLoadInProgress, Count: 3})
	b.produce(t, 0, "v0")
	m := b.join(t, b.config(), nil)
	b.committed(t, map[int]int64{0: 1})
	if handle.Hits() != 3 {
		t.Errorf("%d commits were refused, want 3", handle.Hits())
	}
	if got := testutil.ToFloat64(m.metrics.commits.WithLabelValues(b.group, commitRefused)); got != 3 {
		t.Errorf("refused = %v, want 3", got)
	}
	if got := testutil.ToFloat64(m.metrics.generations.WithLabelValues(b.group)); got != 1 {
		t.Errorf("%v generations, want 1", got)
	}
}

func TestALostLastCommitMeansTheMessageIsReadAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), 1)
	b.produce(t, 0, "v0")
	handle := b.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.RebalanceInProgress, Count: -1})
	first := b.join(t, b.config(), nil)
	until(t, "the message to be handled", func() bool { return testutil.ToFloat64(first.metrics.done.WithLabelValues(b.topic)) == 1 })
	if err := first.stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	if got := testutil.ToFloat64(first.metrics.commits.WithLabelValues(b.group, commitLost)); got != 1 {
		t.Errorf("lost = %v, want 1", got)
	}
	handle.Remove()
	second := b.join(t, b.config(), nil)
	b.committed(t, map[int]int64{0: 1})
	if diff := cmp.Diff([]string{"v0"}, second.recorder.values()); diff != "" {
		t.Errorf("the second consumer read (-want +got):\n%s", diff)
	}
}

func TestALeaderMoveLosesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t, kfake.NumBrokers(2)), 1)
	b.produce(t, 0, "v0")
	m := b.join(t, b.config(), nil)
	b.committed(t, map[int]int64{0: 1})
	if err := b.broker.Cluster.MoveTopicPartition(b.topic, 0, 1-b.broker.Cluster.LeaderFor(b.topic, 0)); err != nil {
		t.Fatal(err)
	}
	b.broker.Cluster.RehashCoordinators()
	b.produce(t, 0, "v1")
	b.committed(t, map[int]int64{0: 2})
	if diff := cmp.Diff([]string{"v0", "v1"}, slices.Compact(m.recorder.values())); diff != "" {
		t.Errorf("handled (-want +got):\n%s", diff)
	}
}

func TestAFetchThatHangsIsStartedAnew(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), 1)
	b.produce(t, 0, "v0")
	cfg := b.config()
	cfg.StallTimeout = 300 * time.Millisecond
	m := b.join(t, cfg, nil)
	b.committed(t, map[int]int64{0: 1})
	// The reader's connection breaks, and the question for the leader on the next one is never answered: kafka-go sets
	// no deadline on it.
	var cut, hung atomic.Bool
	b.broker.Cluster.ControlKey(int16(kmsg.Metadata), func(request kmsg.Request) (kmsg.Response, error, bool) {
		b.broker.Cluster.KeepControl()
		return nil, nil, request.GetVersion() <= 6 && cut.Load() && hung.CompareAndSwap(false, true)
	})
	b.broker.Cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.broker.Cluster.KeepControl()
		if cut.CompareAndSwap(false, true) {
			return nil, errors.New("cut"), true
		}
		return nil, nil, false
	})
	until(t, "the reader to hang", hung.Load)
	b.produce(t, 0, "v1")
	b.committed(t, map[int]int64{0: 2})
	if got := testutil.ToFloat64(m.metrics.stalls.WithLabelValues(b.topic)); got != 1 {
		t.Errorf("stalls = %v, want 1", got)
	}
}
