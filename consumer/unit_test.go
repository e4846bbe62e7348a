package consumer

import (
	"context"
	"errors"
	"iter"
	"maps"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	kafkago "github.com/segmentio/kafka-go"

	"refundworker/internal/kafka"
	"refundworker/refund"
	"refundworker/schemas"
)

func TestOnlyControlRecordsAndTombstonesAreSkipped(t *testing.T) {
	t.Parallel()
	epoch := []byte{0, 0, 0, 0, 0, 1}
	for _, c := range []struct {
		name       string
		key, value []byte
		want       string
	}{
		{"commit marker", []byte{0, 0, 0, 1}, epoch, kindControl},
		{"abort marker", []byte{0, 0, 0, 0}, epoch, kindControl},
		{"nil value", []byte("k"), nil, kindTombstone},
		{"empty value", nil, []byte{}, kindTombstone},
		{"marker's key with another value", []byte{0, 0, 0, 1}, []byte("{}"), ""},
		{"marker's value with another key", []byte{0, 0, 0, 2}, epoch, ""},
		{"marker's value without key", nil, epoch, ""},
		{"command", []byte("pay"), []byte(`{"requestId":"R"}`), ""},
	} {
		if got := skipKind(kafkago.Message{Key: c.key, Value: c.value}); got != c.want {
			t.Errorf("%s: skipKind = %q, want %q", c.name, got, c.want)
		}
	}
}

func TestDueIsTheHeadersTimeWithinTheDelay(t *testing.T) {
	t.Parallel()
	seen := time.UnixMilli(1_700_000_000_000)
	const delay = time.Minute
	at := func(d time.Duration) string { return strconv.FormatInt(seen.Add(d).UnixMilli(), 10) }
	for _, c := range []struct {
		name    string
		header  string
		written time.Duration
		want    time.Duration
	}{
		{"header within the delay", at(20 * time.Second), 0, 20 * time.Second},
		{"header in the past", at(-time.Hour), 0, -time.Hour},
		{"header beyond the delay", at(time.Hour), 0, delay},
		{"header that is no number", "soon", -10 * time.Second, 50 * time.Second},
		{"header that overflows", "99999999999999999999", -10 * time.Second, 50 * time.Second},
		{"no header", "", -10 * time.Second, 50 * time.Second},
		{"no header and a clock ahead", "", time.Hour, delay},
	} {
		m := refund.Message{Time: seen.Add(c.written)}
		if c.header != "" {
			m.Headers = []schemas.Header{{Key: schemas.HeaderDue, Value: []byte(c.header)}}
		}
		if got := due(m, delay, seen); !got.Equal(seen.Add(c.want)) {
			t.Errorf("%s: due %s after it was seen, want %s", c.name, got.Sub(seen), c.want)
		}
	}
}

func TestWaitingEndsWithTheContextsCause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		start := time.Now()
		if err := wait(ctx, time.Minute); err != nil || time.Since(start) != time.Minute {
			t.Errorf("wait = %v after %s, want nil after a minute", err, time.Since(start))
		}
		time.AfterFunc(time.Second, func() { cancel(ErrRevoked) })
		if err := wait(ctx, time.Hour); !errors.Is(err, ErrRevoked) {
			t.Errorf("wait = %v, want ErrRevoked", err)
		}
		if err := wait(ctx, -time.Second); !errors.Is(err, ErrRevoked) {
			t.Errorf("wait for the past on an ended context = %v, want ErrRevoked", err)
		}
	})
}

func TestRetryPausesDoubleUpToTheMost(t *testing.T) {
	t.Parallel()
	for attempt, ms := range []int64{100, 200, 400, 800, 1000, 1000} {
		if got := retryPause(100*time.Millisecond, time.Second, attempt); got.Milliseconds() != ms {
			t.Errorf("pause %d = %s, want %d ms", attempt, got, ms)
		}
	}
	if got := retryPause(time.Second, time.Second, 1<<20); got != time.Second {
		t.Errorf("pause after a million attempts = %s", got)
	}
}

func TestOneLogLinePerInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pacer{interval: 10 * time.Second}
		passed := 0
		for range 100 {
			if p.pass() {
				passed++
			}
			if err := wait(t.Context(), time.Second); err != nil {
				t.Fatal(err)
			}
		}
		if passed != 10 {
			t.Errorf("%d lines in 100 s, want 10", passed)
		}
	})
}

func TestConfigNamesEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	good := Config{GroupID: "g", Topics: []string{"t"}}
	if err := good.Validate(); err != nil {
		t.Fatalf("defaults: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"a group ID":          func(c *Config) { c.GroupID = "" },
		"one topic":           func(c *Config) { c.Topics = nil },
		"session timeout":     func(c *Config) { c.Drain = 10 * time.Second },
		"rebalance timeout":   func(c *Config) { c.SessionTimeout, c.RebalanceTimeout = time.Minute, time.Second },
		"stop timeout":        func(c *Config) { c.StopTimeout = time.Second },
		"poll without":        func(c *Config) { c.MaxWait = time.Second },
		"retry max":           func(c *Config) { c.RetryMax = time.Millisecond },
		"queue -1":            func(c *Config) { c.Queue = -1 },
		"queue bytes":         func(c *Config) { c.QueueBytes = -1 },
		"window":              func(c *Config) { c.Window = -1 },
		"queue capacity":      func(c *Config) { c.QueueCapacity = -1 },
		"commit interval -1s": func(c *Config) { c.CommitInterval = -time.Second },
		"max wait 1µs":        func(c *Config) { c.MaxWait = time.Microsecond },
	} {
		cfg := good
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: validate = %v", name, err)
		}
	}
	if err := (Config{Drain: -1, QueueCapacity: -1}).Validate(); strings.Count(err.Error(), "\n") < 3 {
		t.Errorf("validate = %v, want four faults", err)
	}
	if _, err := New(good, kafka.Config{}, executor(), nil, zerolog.Nop(), NewMetrics(prometheus.NewRegistry())); err == nil {
		t.Error("New took a connection without brokers")
	}
}

func TestTheDefaultsKeepAMemberAlive(t *testing.T) {
	t.Parallel()
	c := Config{}.withDefaults()
	if c.Drain+2*c.HeartbeatInterval >= c.SessionTimeout {
		t.Errorf("a drain of %s costs the session of %s", c.Drain, c.SessionTimeout)
	}
	if c.HeartbeatInterval > time.Second {
		t.Errorf("a rebalance is noticed only after %s", c.HeartbeatInterval)
	}
	if c.MaxWait >= time.Second {
		t.Errorf("an idle stop waits up to %s for a fetch", c.MaxWait)
	}
}

// fakeGroup is what a committer talks to.
type fakeGroup struct {
	refuse  error
	commits []map[string]map[int]int64
}

func (f *fakeGroup) send(offsets map[string]map[int]int64) error {
	if f.refuse != nil {
		return f.refuse
	}
	f.commits = append(f.commits, offsets)
	return nil
}

func newCommitter(group *fakeGroup, marks map[topicPartition]*watermark) (*committer, *Metrics, *strings.Builder) {
	var log strings.Builder
	metrics := NewMetrics(prometheus.NewRegistry())
	return &committer{
		send: group.send, marks: iter.Seq2[topicPartition, *watermark](maps.All(marks)),
		log: zerolog.New(&log), metrics: metrics, group: "g",
	}, metrics, &log
}

func TestOnlyNewsIsCommittedAndRefusalsStayNews(t *testing.T) {
	t.Parallel()
	mark, quiet := newWatermark(5, 5), newWatermark(9, 9)
	group := &fakeGroup{}
	c, metrics, log := newCommitter(group, map[topicPartition]*watermark{{"t", 0}: mark, {"t", 1}: quiet})

	if err := c.commit(false); err != nil || len(group.commits) != 0 {
		t.Errorf("commit of nothing = %v, sent %v", err, group.commits)
	}
	mark.finish(mark.add(5))
	group.refuse = kafkago.RebalanceInProgress
	for range 3 {
		if err := c.commit(false); !errors.Is(err, kafkago.RebalanceInProgress) {
			t.Errorf("commit = %v, want the refusal", err)
		}
	}
	if n := strings.Count(log.String(), "a commit was refused"); n != 1 {
		t.Errorf("%d lines for three refusals in a row, want 1", n)
	}
	group.refuse = nil
	if err := c.commit(false); err != nil {
		t.Error(err)
	}
	if err := c.commit(false); err != nil {
		t.Error(err)
	}
	if err := c.commit(true); err != nil {
		t.Error(err)
	}
	want := []map[string]map[int]int64{{"t": {0: 6}}, {"t": {0: 6, 1: 9}}}
	if diff := cmp.Diff(want, group.commits); diff != "" {
		t.Errorf("commits: the news once, everything as keep-alive (-want +got):\n%s", diff)
	}
	if ok, refused := testutil.ToFloat64(metrics.commits.WithLabelValues("g", commitOK)), testutil.ToFloat64(metrics.commits.WithLabelValues("g", commitRefused)); ok != 2 || refused != 3 {
		t.Errorf("counted %v ok and %v refused, want 2 and 3", ok, refused)
	}
}

func TestALostLastCommitIsSaid(t *testing.T) {
	t.Parallel()
	mark := newWatermark(5, 5)
	group := &fakeGroup{refuse: kafkago.IllegalGeneration}
	c, metrics, log := newCommitter(group, map[topicPartition]*watermark{{"t", 3}: mark})
	c.last()
	if log.Len() != 0 {
		t.Errorf("nothing was lost, but the log says %s", log)
	}
	mark.finish(mark.add(5))
	c.last()
	if n := testutil.ToFloat64(metrics.commits.WithLabelValues("g", commitLost)); n != 1 {
		t.Errorf("lost = %v, want 1", n)
	}
	if !strings.Contains(log.String(), `"partition":3,"offset":6`) {
		t.Errorf("the log does not name the lost offset: %s", log)
	}
}
