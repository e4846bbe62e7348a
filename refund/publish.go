package refund

import (
	"context"
	"time"

	"refundworker/schemas"
)

// Channel names the topic an event goes to; the producer knows the topic's full name.
type Channel uint8

// The channels.
const (
	Results Channel = iota + 1
	Retry
	DeadLetters
	Signals
)

// Event is one message to publish. Key, value and headers go out as they are.
type Event struct {
	Channel Channel
	// Tier is the delay of the retry topic; only for Channel Retry.
	Tier    time.Duration
	Key     []byte
	Value   []byte
	Headers []schemas.Header
}

type publisher interface {
	// Publish returns nil only when every event is acked by all in-sync replicas. After an error any of them may
	// have been written; publishing all of them again is always right.
	Publish(context.Context, ...Event) error
}

// Message is one message read from a commands topic or a retry tier.
type Message struct {
	Topic string
	// Group is the consumer group that read it; only traces tell it.
	Group     string
	Partition int
	Offset    int64
	Key       []byte
	Value     []byte
	Headers   []schemas.Header
	Time      time.Time
}

// Size is the bytes of its key, value and headers.
func (m Message) Size() int {
	n := len(m.Key) + len(m.Value)
	for i := range m.Headers {
		n += len(m.Headers[i].Key) + len(m.Headers[i].Value)
	}
	return n
}

// place is where the message was read.
func (m Message) place() schemas.Origin {
	return schemas.Origin{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset}
}
