package producer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	kafkago "github.com/segmentio/kafka-go"

	"refundworker/internal/kafka"
	"refundworker/refund"
)

// Producer publishes events. It is safe for concurrent use; concurrent calls share batches.
type Producer struct {
	topics  kafka.Topics
	log     zerolog.Logger
	metrics *Metrics

	transport *kafkago.Transport
	// bulk carries small events in shared batches, solo the large ones, compressed, each in a batch of its own: a
	// refused batch fails all of its events, and an outcome must not fail because of somebody else's dead letter.
	bulk, solo *kafkago.Writer
	gather     gatherer

	mu      sync.Mutex
	closing bool
	running sync.WaitGroup
}

// New makes a producer; it connects with the first event. The topics have to exist: nothing is ever created.
func New(cfg Config, conn kafka.Config, topics kafka.Topics, log zerolog.Logger, metrics *Metrics) (*Producer, error) {
	if err := errors.Join(cfg.Validate(), conn.Validate(), topics.Validate()); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	p := &Producer{topics: topics, log: log, metrics: metrics}
	p.gather = gatherer{writeFunc: p.write, hold: cfg.Linger}
	p.transport = conn.Transport(append(topics.Copies(), topics.Results(), topics.Signals())...)
	p.bulk = cfg.writer(conn, p.transport)
	p.solo = cfg.writer(conn, p.transport)
	p.solo.BatchSize = 1
	p.solo.BatchBytes = soloBytes
	// A command that only fitted its topic compressed must fit as a dead letter too.
	p.solo.Compression = kafkago.Zstd
	return p, nil
}

// writer sets every default of the driver that can lose an event or stall a publication.
func (c Config) writer(conn kafka.Config, transport *kafkago.Transport) *kafkago.Writer {
	return &kafkago.Writer{
		Addr:      conn.Addr(),
		Transport: transport,
		// As Java's default partitioner does it, so that any producer's partition of a key is ours.
		Balancer: kafkago.Murmur2Balancer{},
		// The driver's zero value is RequireNone: success without any broker's answer.
		RequiredAcks:           kafkago.RequireAll,
		Async:                  false,
		AllowAutoTopicCreation: false,
		MaxAttempts:            c.Attempts,
		WriteBackoffMin:        leastPause,
		WriteBackoffMax:        mostPause,
		WriteTimeout:           c.WriteTimeout,
		ReadTimeout:            c.WriteTimeout,
		BatchSize:              c.Batch,
		BatchBytes:             bulkBytes,
		// What a call brings is together already, but the driver waits for more in any case.
		BatchTimeout: time.Millisecond,
	}
}

// Publish writes the events of one call together and returns nil only when every one is acked by all in-sync
// replicas. After an error any of them may have been written, also after the return: the driver cannot call back
// what it has taken. Publishing all of them again is always right.
//
// The error is ErrClosed, one that wraps ErrNoTopic (nothing was written), or a *PublishError. The context bounds the
// call; without a deadline it ends after Attempts × (WriteTimeout + wait).
func (p *Producer) Publish(ctx context.Context, events ...refund.Event) error {
	if len(events) == 0 {
		return nil
	}
	messages := make([]kafkago.Message, len(events))
	for i, event := range events {
		topic, err := p.topic(event)
		if err != nil {
			return fmt.Errorf("publish event %d: %w", i, err)
		}
		messages[i] = message(topic, event)
	}
	if err := p.enter(); err != nil {
		return err
	}
	defer p.running.Done()

	start := time.Now()
	failed := p.gather.write(ctx, messages)
	p.metrics.observe(events, failed, time.Since(start))
	if len(failed) == 0 {
		return nil
	}
	return &PublishError{Events: failed, Of: len(events)}
}

// Close refuses new publications, waits for the running ones and closes the connections. It may be called again.
// When the context ends first its cause is returned, and what is still running ends on its own.
func (p *Producer) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()

	done := make(chan error, 1)
	go func() {
		// The driver's Close hangs for ever when it meets a WriteMessages between its two locks (segmentio/kafka-go
		// issue 1307): every publication is joined first, and then the write of one whose caller did not wait for it.
		p.running.Wait()
		p.gather.writers.Wait()
		err := errors.Join(p.bulk.Close(), p.solo.Close())
		p.transport.CloseIdleConnections()
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("close producer: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close producer: %w", context.Cause(ctx))
	}
}

func (p *Producer) enter() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return ErrClosed
	}
	p.running.Add(1)
	return nil
}

func (p *Producer) topic(event refund.Event) (string, error) {
	switch event.Channel {
	case refund.Results:
		return p.topics.Results(), nil
	case refund.DeadLetters:
		return p.topics.DeadLetters(), nil
	case refund.Signals:
		return p.topics.Signals(), nil
	case refund.Retry:
		if !slices.Contains(p.topics.Tiers, event.Tier) {
			return "", fmt.Errorf("retry tier %s: %w", event.Tier, ErrNoTopic)
		}
		return p.topics.Retry(event.Tier), nil
	}
	return "", fmt.Errorf("channel %d: %w", event.Channel, ErrNoTopic)
}

func message(topic string, event refund.Event) kafkago.Message {
	m := kafkago.Message{Topic: topic, Key: event.Key, Value: event.Value}
	if len(event.Headers) > 0 {
		m.Headers = make([]kafkago.Header, len(event.Headers))
		for i, h := range event.Headers {
			m.Headers[i] = kafkago.Header{Key: h.Key, Value: h.Value}
		}
	}
	return m
}
