package consumer

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/internal/kafka/kafkatest"
	"refundworker/refund"
)

// safeLog collects log lines from many goroutines.
type safeLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *safeLog) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.buf.Bytes(), []byte(text))
}

// recorder is a handler whose works remember what they were given; script decides the answer, nil answers nil. Messages of
// one key share a lane, and those without a key share one as well.
type recorder struct {
	script func(ctx context.Context, m refund.Message) error

	mu   sync.Mutex
	seen []refund.Message
	// active counts works per lane of a partition, overlaps how often two ran at once. One that goes on after its partition
	// was revoked does not count: the next owner's begins beside it, and what is done then is kept apart elsewhere.
	active   map[string]int
	overlaps int
}

func (r *recorder) read(m refund.Message) refund.Work {
	return refund.Work{
		Lane:   refund.Lane{Key: "key " + string(m.Key)},
		DoFunc: func(ctx context.Context, _ refund.Permit) error { return r.handle(ctx, m) },
	}
}

// executor has room for everything a test does.
func executor() *Executor { return NewExecutor(nil, Limits{InFlight: 1000}, prometheus.NewRegistry()) }

func (r *recorder) handle(ctx context.Context, m refund.Message) error {
	r.mu.Lock()
	r.seen = append(r.seen, m)
	if r.active == nil {
		r.active = make(map[string]int)
	}
	lane := strconv.Itoa(m.Partition) + "/" + string(m.Key)
	if r.active[lane]++; r.active[lane] > 1 {
		r.overlaps++
	}
	r.mu.Unlock()
	leave := sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.active[lane]--
	})
	defer leave()
	defer context.AfterFunc(ctx, leave)()
	if r.script == nil {
		return nil
	}
	return r.script(ctx, m)
}

func (r *recorder) values() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, m := range r.seen {
		out = append(out, string(m.Value))
	}
	return out
}

// member is a running consumer.
type member struct {
	*Consumer
	recorder *recorder
	log      *safeLog
	stop     func() error
}

type bundle struct {
	broker       *kafkatest.Broker
	topic, group string
}

func setup(t *testing.T, broker *kafkatest.Broker, partitions int) bundle {
	t.Helper()
	b := bundle{broker: broker, topic: kafkatest.Name(t), group: kafkatest.Name(t)}
	if err := broker.CreateTopic(t.Context(), b.topic, partitions, nil); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b bundle) config() Config {
	return Config{
		GroupID: b.group, Topics: []string{b.topic},
		HeartbeatInterval: 100 * time.Millisecond, CommitInterval: 20 * time.Millisecond, MaxWait: 100 * time.Millisecond,
		RetryMin: 10 * time.Millisecond, RetryMax: 50 * time.Millisecond, WatchInterval: 100 * time.Millisecond,
		JoinGroupBackoff: 100 * time.Millisecond,
	}
}

// join starts a member; it is stopped at the end of the test, or before by stop, which returns Run's error.
func (b bundle) join(t *testing.T, cfg Config, script func(context.Context, refund.Message) error) *member {
	t.Helper()
	m := &member{recorder: &recorder{script: script}, log: new(safeLog)}
	c, err := New(cfg, b.broker.Config(), executor(), m.recorder.read, zerolog.New(m.log), NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	m.Consumer = c
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	m.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(60 * time.Second):
			return errors.New("Run did not return")
		}
	})
	t.Cleanup(func() { _ = m.stop() }) // tests that care about the error call stop themselves
	return m
}

// until polls a condition; it fails the test after a minute.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for !condition() {
		if wait(ctx, 5*time.Millisecond) != nil {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (b bundle) produce(t *testing.T, partition int, values ...string) {
	t.Helper()
	records := make([]kafkatest.Record, len(values))
	for i, v := range values {
		records[i] = kafkatest.Record{Partition: partition, Key: []byte("pay"), Value: []byte(v)}
	}
	if err := b.broker.Produce(t.Context(), b.topic, records...); err != nil {
		t.Fatal(err)
	}
}

// committed waits until exactly the offsets are committed.
func (b bundle) committed(t *testing.T, want map[int]int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := b.broker.AwaitCommitted(ctx, b.group, b.topic, want); err != nil {
		t.Fatal(err)
	}
	b.holds(t, want)
}

// holds checks what is committed now.
func (b bundle) holds(t *testing.T, want map[int]int64) {
	t.Helper()
	have, err := b.broker.Committed(t.Context(), b.group, b.topic)
	if err != nil {
		t.Fatal(err)
	}
	for partition, offset := range want {
		if have[partition] != offset {
			t.Errorf("partition %d: %d is committed, want %d", partition, have[partition], offset)
		}
	}
}

func numbers(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = prefix + strconv.Itoa(i)
	}
	return out
}

func sorted(values []string) []string { return slices.Sorted(slices.Values(values)) }
