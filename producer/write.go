package producer

import (
	"context"
	"errors"
	"sync"

	kafkago "github.com/segmentio/kafka-go"
)

// write sends all messages at once, large ones alone, and returns the failures in the order of the messages.
func (p *Producer) write(ctx context.Context, messages []kafkago.Message) []*EventError {
	var bulk, solo []int
	for i := range messages {
		if size(&messages[i]) < largeEvent {
			bulk = append(bulk, i)
		} else {
			solo = append(solo, i)
		}
	}
	errs := make([]error, len(messages))
	var both sync.WaitGroup
	if len(solo) > 0 {
		both.Go(func() { send(ctx, p.solo, messages, solo, errs) })
	}
	send(ctx, p.bulk, messages, bulk, errs)
	both.Wait()

	// A topic may be configured smaller than a batch. Alone, each event gets a verdict of its own.
	var refused []int
	for _, i := range bulk {
		if errors.Is(errs[i], kafkago.MessageSizeTooLarge) {
			refused = append(refused, i)
		}
	}
	if len(refused) > 0 {
		p.log.Warn().Str("topic", messages[refused[0]].Topic).Int("events", len(refused)).
			Msg("a batch was too large for its topic; its events are sent one by one")
		send(ctx, p.solo, messages, refused, errs)
	}

	var failed []*EventError
	for i := range messages {
		if errs[i] != nil {
			failed = append(failed, eventError(i, messages[i].Topic, errs[i]))
		}
	}
	return failed
}

// send writes the messages at the given indexes and stores each one's own error. A WriteErrors that holds no error
// for a message means that this one is acked; any other error is about all of them.
func send(ctx context.Context, writer *kafkago.Writer, messages []kafkago.Message, indexes []int, errs []error) {
	if len(indexes) == 0 {
		return
	}
	part := make([]kafkago.Message, len(indexes))
	for k, i := range indexes {
		part[k] = messages[i]
	}
	err := writer.WriteMessages(ctx, part...)
	var each kafkago.WriteErrors
	perMessage := errors.As(err, &each) && len(each) == len(indexes)
	for k, i := range indexes {
		if perMessage {
			errs[i] = each[k]
		} else {
			errs[i] = err
		}
	}
}

// size is what a message weighs in a batch, a few bytes of framing per part included.
func size(m *kafkago.Message) int {
	const framing = 16
	n := framing + len(m.Key) + len(m.Value)
	for i := range m.Headers {
		n += framing + len(m.Headers[i].Key) + len(m.Headers[i].Value)
	}
	return n
}
