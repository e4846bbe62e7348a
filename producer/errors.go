package producer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	kafkago "github.com/segmentio/kafka-go"

	"refundworker/internal/kafka"
)

// ErrClosed is returned by Publish after Close was called; nothing was written.
var ErrClosed = errors.New("producer closed")

// ErrNoTopic is wrapped when an event names a channel or a retry tier that has no topic; nothing was written.
var ErrNoTopic = errors.New("no such topic")

// ErrTooLarge is wrapped when an event is larger than its topic takes. Publishing it again never helps.
var ErrTooLarge = errors.New("event too large for its topic")

// EventError is the failure of one event of a call.
type EventError struct {
	// Index is the event's place in the call to Publish.
	Index int
	Topic string
	// Retryable: publishing the same event again may succeed without anybody changing anything.
	Retryable bool
	Err       error
}

func (e *EventError) Error() string {
	return fmt.Sprintf("event %d to %s: %v", e.Index, e.Topic, e.Err)
}

// Unwrap is the driver's or the broker's own error.
func (e *EventError) Unwrap() error { return e.Err }

// PublishError says which events of a call are not known to be written. The others are acked; publishing all of them
// again is right all the same.
type PublishError struct {
	// Events holds the failures only, in the order of the call. Never empty.
	Events []*EventError
	// Of is the number of events in the call.
	Of int
}

func (e *PublishError) Error() string {
	texts := make([]string, len(e.Events))
	for i, event := range e.Events {
		texts[i] = event.Error()
	}
	return fmt.Sprintf("%d of %d events not acked: %s", len(e.Events), e.Of, strings.Join(texts, "; "))
}

// Unwrap lets errors.Is and errors.As look into every failure.
func (e *PublishError) Unwrap() []error {
	errs := make([]error, len(e.Events))
	for i, event := range e.Events {
		errs[i] = event
	}
	return errs
}

// Retryable reports whether every failure may pass by itself.
func (e *PublishError) Retryable() bool {
	for _, event := range e.Events {
		if !event.Retryable {
			return false
		}
	}
	return true
}

// eventError classifies what the driver said about one event. An error that is not a broker's answer says nothing
// about whether the event was written, and the network may mend: it is retryable.
func eventError(index int, topic string, err error) *EventError {
	e := &EventError{Index: index, Topic: topic, Retryable: true, Err: err}
	var local kafkago.MessageTooLargeError
	var broker kafkago.Error
	switch {
	case errors.As(err, &local), errors.Is(err, kafkago.MessageSizeTooLarge):
		e.Retryable = false
		e.Err = fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
	case errors.As(err, &broker):
		e.Retryable = kafka.MayPass(broker)
	}
	return e
}
