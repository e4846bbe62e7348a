package realtest

import (
	"context"
	"fmt"
	"testing"
)

// Listener is one more address of a broker.
type Listener struct {
	// Name is the listener's name in capitals; settings for it alone begin with listener.name.<name in small letters>.
	Name string
	// Protocol is SSL, SASL_SSL, SASL_PLAINTEXT or PLAINTEXT.
	Protocol string
}

// KafkaOptions says what a broker of a test's own has beyond the shared one's settings.
type KafkaOptions struct {
	// Listeners are added to the plaintext one, which stays: the broker and the kit speak to themselves over it.
	Listeners []Listener
	// Properties are lines added to server.properties.
	Properties []string
	// Optimised lets the JVM spend time on making hot code fast: for benchmarks, not for short lives.
	Optimised bool
	// ScramUsers are added to the storage before the start: "SCRAM-SHA-256=[name=alice,password=secret]".
	ScramUsers []string
}

// Kafka is a broker started by [StartOwnKafka].
type Kafka struct {
	// Addr is host:port of the plaintext listener.
	Addr string

	started *broker
}

// Listener is host:port of an added listener; empty for a name that was not asked for.
func (k *Kafka) Listener(name string) string { return k.started.more[name] }

// StartOwnKafka starts a broker with settings of its own. It takes seconds and 200 MB: a package starts one and shares
// it. It lives until [Kafka.Kill], and ends with the process at the latest.
//
// Without a real broker the test is skipped, or fails under [RequireEnv]. [KafkaEnv] does not count here.
func StartOwnKafka(tb testing.TB, opts KafkaOptions) *Kafka {
	tb.Helper()
	parts := Available()
	require(tb, parts.KafkaMissing)
	k, err := RunKafka(context.WithoutCancel(tb.Context()), opts)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// RunKafka is [StartOwnKafka] for programs that are no tests. The error is Parts.KafkaMissing where there is none.
func RunKafka(ctx context.Context, opts KafkaOptions) (*Kafka, error) {
	parts := Available()
	if parts.KafkaMissing != nil {
		return nil, parts.KafkaMissing
	}
	ctx, cancel := context.WithTimeout(ctx, kafkaStart)
	defer cancel()
	b, err := startKafka(ctx, parts, opts)
	if err != nil {
		return nil, fmt.Errorf("start Apache Kafka %s: %w", parts.Kafka, err)
	}
	return &Kafka{Addr: b.addr, started: b}, nil
}

// PID is the broker's process.
func (k *Kafka) PID() int { return k.started.proc.pid }

// Kill ends the broker at once, and its data with it.
func (k *Kafka) Kill() error { return k.started.proc.kill() }
