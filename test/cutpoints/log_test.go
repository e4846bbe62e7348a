package cutpoints

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"refundworker/internal/kafka"
	"refundworker/refund"
	"refundworker/schemas"
)

// messageLog is the broker: topics of one partition each, and the offset that the fleet has committed in each.
type messageLog struct {
	names kafka.Topics

	mu        sync.Mutex
	messages  map[string][]refund.Message
	committed map[string]int
	// grown is closed and made anew whenever a message is appended.
	grown chan struct{}
}

func newMessageLog() *messageLog {
	return &messageLog{
		names:    kafka.Topics{Prefix: "refunds", Tiers: tiers()},
		messages: make(map[string][]refund.Message), committed: make(map[string]int), grown: make(chan struct{}),
	}
}

// topic is where an event goes.
func (l *messageLog) topic(e refund.Event) string {
	switch e.Channel {
	case refund.Results:
		return l.names.Results()
	case refund.Retry:
		return l.names.Retry(e.Tier)
	case refund.DeadLetters:
		return l.names.DeadLetters()
	case refund.Signals:
	}
	return l.names.Signals()
}

func (l *messageLog) append(topic string, key, value []byte, headers []schemas.Header) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages[topic] = append(l.messages[topic], refund.Message{
		Topic: topic, Offset: int64(len(l.messages[topic])), Key: key, Value: value, Headers: headers, Time: time.Now(),
	})
	close(l.grown)
	l.grown = make(chan struct{})
}

// fetch waits for the message at an offset.
func (l *messageLog) fetch(ctx context.Context, topic string, offset int) (refund.Message, error) {
	for {
		l.mu.Lock()
		list, grown := l.messages[topic], l.grown
		l.mu.Unlock()
		if offset < len(list) {
			return list[offset], nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return refund.Message{}, context.Cause(ctx)
		}
	}
}

// commit never moves back.
func (l *messageLog) commit(topic string, offset int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.committed[topic] = max(l.committed[topic], offset)
}

func (l *messageLog) position(topic string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.committed[topic]
}

// all are the messages of a topic.
func (l *messageLog) all(topic string) []refund.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.messages[topic])
}

// open are the messages of the inputs that are not committed.
func (l *messageLog) open() []refund.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []refund.Message
	for _, topic := range l.names.Inputs() {
		list = append(list, l.messages[topic][l.committed[topic]:]...)
	}
	return list
}

// speaksOf tells whether a message of an input is about a request.
func speaksOf(t *testing.T, m refund.Message, requestID string) bool {
	t.Helper()
	if cmd, err := schemas.DecodeCommand(m.Value); err == nil {
		return cmd.RequestID == requestID
	}
	s, err := schemas.DecodeSignal(m.Value)
	if err != nil {
		t.Errorf("%s/%d is neither a command nor a signal: %v", m.Topic, m.Offset, err)
	}
	return s.RequestID == requestID
}
