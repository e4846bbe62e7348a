package kafka_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"refundworker/internal/kafka"
	"refundworker/internal/kafka/kafkatest"
)

// filled is a topic of one partition with n messages.
func filled(t *testing.T, broker *kafkatest.Broker, n int) string {
	t.Helper()
	ctx, topic := timeout(t, 30*time.Second), kafkatest.Name(t)+".results"
	if err := broker.CreateTopic(ctx, topic, 1, nil); err != nil {
		t.Fatal(err)
	}
	var records []kafkatest.Record
	for i := range n {
		records = append(records, kafkatest.Record{Key: []byte("k"), Value: fmt.Appendf(nil, "v%d", i)})
	}
	if err := broker.Produce(ctx, topic, records...); err != nil {
		t.Fatal(err)
	}
	return topic
}

func read(t *testing.T, broker *kafkatest.Broker, topic string, span kafka.Span) []string {
	t.Helper()
	var got []string
	err := kafka.ReadSpan(timeout(t, 30*time.Second), broker.Config(), topic, span, func(m kafka.Record) error {
		got = append(got, string(m.Value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestASpanIsReadToItsEndAndNoFurther(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Any(t)
	topic := filled(t, broker, 5)
	spans, err := kafka.Spans(timeout(t, 10*time.Second), broker.Config(), topic, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]kafka.Span{{Partition: 0, From: 0, To: 5}}, spans); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff([]string{"v1", "v2"}, read(t, broker, topic, kafka.Span{From: 1, To: 3})); diff != "" {
		t.Error(diff)
	}
	if got := read(t, broker, topic, kafka.Span{From: 5, To: 5}); len(got) > 0 {
		t.Errorf("an empty span gives %v", got)
	}
}

func TestATailBeginsAtItsTime(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Any(t)
	topic := filled(t, broker, 3)
	for name, tt := range map[string]struct {
		since time.Time
		want  kafka.Span
	}{
		"long before": {time.Now().Add(-time.Hour), kafka.Span{From: 0, To: 3}},
		"later":       {time.Now().Add(time.Hour), kafka.Span{From: 3, To: 3}},
	} {
		spans, err := kafka.Spans(timeout(t, 10*time.Second), broker.Config(), topic, tt.since)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]kafka.Span{tt.want}, spans); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestWhatWasDeletedMeanwhileIsSkipped(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Start(t)
	topic := filled(t, broker, 5)
	if err := broker.Cluster.DeleteRecords(topic, 0, 3); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"v3", "v4"}, read(t, broker, topic, kafka.Span{From: 0, To: 5})); diff != "" {
		t.Error(diff)
	}
}

func TestAnErrorOfWhoTakesEndsTheReading(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Any(t)
	topic, stop := filled(t, broker, 3), errors.New("stop")
	n := 0
	err := kafka.ReadSpan(timeout(t, 10*time.Second), broker.Config(), topic, kafka.Span{From: 0, To: 3}, func(kafka.Record) error {
		n++
		return stop
	})
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("%v after %d messages", err, n)
	}
}

func TestATransactionsControlRecordsDoNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Start(t)
	topic := filled(t, broker, 1)
	ctx := timeout(t, 20*time.Second)
	if err := broker.ProduceInTransaction(ctx, kafkatest.Name(t), topic, true, kafkatest.Record{Value: []byte("in")}); err != nil {
		t.Fatal(err)
	}
	spans, err := kafka.Spans(ctx, broker.Config(), topic, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, broker, topic, spans[0]); len(got) != int(spans[0].To) || got[1] != "in" {
		t.Errorf("%q of %+v", got, spans)
	}
}

func TestATopicThatIsMissingHasNoSpans(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Start(t)
	_, err := kafka.Spans(timeout(t, 10*time.Second), broker.Config(), "nowhere", time.Time{})
	if _, unfit := errors.AsType[*kafka.TopicsError](err); !unfit {
		t.Errorf("%v", err)
	}
	if _, err := kafka.Spans(t.Context(), kafka.Config{}, "nowhere", time.Time{}); err == nil {
		t.Error("a connection without brokers was taken")
	}
}
