package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"refundworker/schemas"
)

const (
	// logWait is how long a fetch waits for more; Close of a reader takes as long.
	logWait = 250 * time.Millisecond
	// logStall is how long a read of what the log is known to hold may bring nothing.
	logStall = 20 * time.Second
	logFetch = 4 << 20
)

// Span is a piece of a partition's log: the offsets from From on, up to To and without it.
type Span struct {
	Partition int
	From, To  int64
}

// Record is one message of a log.
type Record struct {
	Partition  int
	Offset     int64
	Key, Value []byte
	Headers    []schemas.Header
	Time       time.Time
}

// Spans are what the partitions of a topic hold now, by partition, from the first message at or after since; a zero
// since is the beginning. Messages that a broker gives an earlier time may lie in between and are part of it.
func Spans(ctx context.Context, conn Config, topic string, since time.Time) ([]Span, error) {
	if err := conn.Validate(); err != nil {
		return nil, err
	}
	transport := conn.Transport(topic)
	defer transport.CloseIdleConnections()
	client := conn.Client(transport, askTimeout)
	counts, err := Partitions(ctx, client, []string{topic})
	if err != nil {
		return nil, err
	}
	spans := make([]Span, 0, counts[topic])
	for id := range counts[topic] {
		span, err := spanOf(ctx, client, topic, id, since)
		if err != nil {
			return nil, mark(fmt.Errorf("list offsets of %s/%d: %w", topic, id, err))
		}
		spans = append(spans, span)
	}
	return spans, nil
}

func spanOf(ctx context.Context, client *kafkago.Client, topic string, id int, since time.Time) (Span, error) {
	asked := []kafkago.OffsetRequest{kafkago.FirstOffsetOf(id), kafkago.LastOffsetOf(id)}
	if !since.IsZero() {
		asked = append(asked, kafkago.TimeOffsetOf(id, since))
	}
	answer, err := client.ListOffsets(ctx, &kafkago.ListOffsetsRequest{Topics: map[string][]kafkago.OffsetRequest{topic: asked}})
	if err != nil {
		return Span{}, err
	}
	found := answer.Topics[topic]
	at := slices.IndexFunc(found, func(p kafkago.PartitionOffsets) bool { return p.Partition == id })
	if at < 0 {
		return Span{}, kafkago.UnknownTopicOrPartition
	}
	if found[at].Error != nil {
		return Span{}, found[at].Error
	}
	span := Span{Partition: id, From: found[at].FirstOffset, To: found[at].LastOffset}
	if since.IsZero() {
		return span, nil
	}
	span.From = span.To // nothing is as new as since, unless the broker names an offset
	for offset := range found[at].Offsets {
		if offset >= 0 {
			span.From = min(span.From, offset)
		}
	}
	return span, nil
}

// ReadSpan hands every message of the span to take, in order, and returns when all have been taken. What was deleted
// meanwhile is skipped. Control records of transactions are handed over like messages, as the driver does. An error of
// take ends it; so does a log that does not give what it holds.
func ReadSpan(ctx context.Context, conn Config, topic string, span Span, take func(Record) error) error {
	for next := span.From; next < span.To; {
		var err error
		if next, err = readFrom(ctx, conn, topic, span, next, take); err == nil {
			return nil
		}
		if !errors.Is(err, kafkago.OffsetOutOfRange) {
			return fmt.Errorf("read %s/%d from offset %d: %w", topic, span.Partition, next, err)
		}
		now, err := Spans(ctx, conn, topic, time.Time{})
		if err != nil {
			return err
		}
		at := slices.IndexFunc(now, func(s Span) bool { return s.Partition == span.Partition })
		if at < 0 || now[at].From <= next {
			return fmt.Errorf("read %s/%d from offset %d: %w", topic, span.Partition, next, kafkago.OffsetOutOfRange)
		}
		next = now[at].From
	}
	return nil
}

// readFrom returns the offset wanted next, and nil when the span has been read.
func readFrom(ctx context.Context, conn Config, topic string, span Span, next int64, take func(Record) error) (int64, error) {
	reader := kafkago.NewReader(kafkago.ReaderConfig{
		Brokers: conn.Brokers, Dialer: conn.Dialer(), Topic: topic, Partition: span.Partition,
		MinBytes: 1, MaxBytes: logFetch, MaxWait: logWait, QueueCapacity: 512, ReadLagInterval: -1, OffsetOutOfRangeError: true,
	})
	defer func() { _ = reader.Close() }() // it only ends a connection, and nothing was written
	if err := reader.SetOffset(next); err != nil {
		return next, err
	}
	for next < span.To {
		m, err := fetchWithin(ctx, reader)
		if err != nil {
			return next, err
		}
		if m.Offset >= span.To {
			return span.To, nil
		}
		if err := take(record(m)); err != nil {
			return next, err
		}
		next = m.Offset + 1
	}
	return next, nil
}

// errStall is the cause when the log gives nothing though its end has not been reached.
var errStall = errors.New("the log gives no message before its end")

func fetchWithin(ctx context.Context, reader *kafkago.Reader) (kafkago.Message, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, logStall, errStall)
	defer cancel()
	m, err := reader.FetchMessage(bounded)
	if err != nil && bounded.Err() != nil {
		return m, context.Cause(bounded)
	}
	return m, err
}

func record(m kafkago.Message) Record {
	headers := make([]schemas.Header, 0, len(m.Headers))
	for _, h := range m.Headers {
		headers = append(headers, schemas.Header{Key: h.Key, Value: h.Value})
	}
	return Record{Partition: m.Partition, Offset: m.Offset, Key: m.Key, Value: m.Value, Headers: headers, Time: m.Time}
}
