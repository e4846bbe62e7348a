package producer

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	kafkago "github.com/segmentio/kafka-go"

	"refundworker/internal/kafka"
	"refundworker/internal/kafka/kafkatest"
	"refundworker/refund"
)

func TestOnlyTheEventThatIsTooLargeFails(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Any(t)
	b := setup(t, broker, Config{})
	// Not compressible: the broker's limit is on the compressed batch.
	noise := make([]byte, 3<<20)
	for i := range noise {
		noise[i] = byte(rand.Uint32()) //nolint:gosec // noise, no secret
	}
	events := []refund.Event{
		result("a", "small"),
		{Channel: refund.DeadLetters, Value: noise},
		{Channel: refund.DeadLetters, Value: noise[:kafka.CommandBytes]},
		{Channel: refund.DeadLetters, Value: bytes.Repeat([]byte("compressible "), 200_000)},
	}
	err := b.Publish(t.Context(), events...)
	var failed *PublishError
	if !errors.As(err, &failed) || len(failed.Events) != 1 || failed.Events[0].Index != 1 {
		t.Fatalf("publish = %v, want event 1 to fail alone", err)
	}
	if !errors.Is(err, ErrTooLarge) || failed.Retryable() {
		t.Errorf("publish = %v, want ErrTooLarge, not to be retried", err)
	}
	if strings.Contains(err.Error(), "compressible") || len(err.Error()) > 1000 {
		t.Error("the error holds the event's bytes")
	}
	records, readErr := broker.ReadAll(t.Context(), b.topics.DeadLetters())
	if readErr != nil || len(records) != 2 {
		t.Errorf("dead letters hold %d records (%v), want the two that fit", len(records), readErr)
	}
}

func TestABatchTooLargeForItsTopicIsSentOneByOne(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), Config{Linger: 200 * time.Millisecond})
	b.topics.Prefix += "-small"
	if err := b.broker.CreateTopic(t.Context(), b.topics.Results(), 1, map[string]string{"max.message.bytes": "2000"}); err != nil {
		t.Fatal(err)
	}
	p, err := New(Config{Linger: 200 * time.Millisecond}, b.broker.Config(), b.topics, zerolog.Nop(), NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	value := strings.Repeat("x", 800)
	if err := p.Publish(t.Context(), result("a", value), result("b", value), result("c", value)); err != nil {
		t.Fatalf("publish: %v", err)
	}
	records, err := b.broker.ReadAll(t.Context(), b.topics.Results())
	if err != nil || len(records) != 3 {
		t.Errorf("%d records (%v), want 3", len(records), err)
	}
}

func TestALocallyRefusedSizeIsNamed(t *testing.T) {
	t.Parallel()
	e := eventError(3, "t", kafkago.MessageTooLargeError{})
	if e.Retryable || !errors.Is(e, ErrTooLarge) || e.Index != 3 {
		t.Errorf("eventError = %+v, want ErrTooLarge for event 3", e)
	}
}
