package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"refundworker/refund"
	"refundworker/schemas"
)

const (
	leastReadPause = 100 * time.Millisecond
	mostReadPause  = time.Second
	// fetchBytes is asked for per fetch; a larger message comes through all the same.
	fetchBytes = 1 << 20
)

// partition reads one assigned partition from its committed offset on.
type partition struct {
	c      *Consumer
	client *kafkago.Client
	topic  string
	id     int
	lanes  *lanes

	// mark is nil until the first offset is known. It is replaced only when the log has lost its end.
	mark atomic.Pointer[watermark]
	// next is the offset to fetch next.
	next atomic.Int64

	mu sync.Mutex
	// stop interrupts the fetch under way and since is when it began; nil and zero while none is.
	stop  context.CancelFunc
	since time.Time
}

func newPartition(c *Consumer, client *kafkago.Client, topic string, id int, lanes *lanes) *partition {
	return &partition{c: c, client: client, topic: topic, id: id, lanes: lanes}
}

// run reads until ctx ends. assigned is the committed offset, or negative when the group has none.
func (p *partition) run(ctx context.Context, assigned int64) {
	want := assigned
	for ctx.Err() == nil {
		start, err := p.resolve(ctx, want, assigned)
		if err != nil {
			return
		}
		want = p.read(ctx, start)
	}
}

// resolve turns the wanted offset into one that the log holds. The driver would jump silently from a deleted offset to
// the first one, and wait for ever at an offset past the end (segmentio/kafka-go issues 365 and 1276).
func (p *partition) resolve(ctx context.Context, want, assigned int64) (int64, error) {
	for {
		first, last, err := p.bounds(ctx)
		if err == nil {
			start := p.clamp(want, first, last)
			if mark := p.mark.Load(); mark == nil {
				p.mark.Store(newWatermark(start, assigned))
			} else if offset, _ := mark.position(); start < offset {
				// The log is shorter than what was done: everything from its start is new to this group.
				p.mark.Store(newWatermark(start, offset))
			}
			p.next.Store(start)
			return start, nil
		}
		p.failed(ctx, err)
		if err := wait(ctx, mostReadPause); err != nil {
			return 0, err
		}
	}
}

func (p *partition) bounds(ctx context.Context) (first, last int64, err error) {
	answer, err := p.client.ListOffsets(ctx, &kafkago.ListOffsetsRequest{Topics: map[string][]kafkago.OffsetRequest{
		p.topic: {kafkago.FirstOffsetOf(p.id), kafkago.LastOffsetOf(p.id)},
	}})
	if err != nil {
		return 0, 0, fmt.Errorf("list offsets: %w", err)
	}
	for _, found := range answer.Topics[p.topic] {
		if found.Partition == p.id {
			if found.Error != nil {
				return 0, 0, fmt.Errorf("list offsets: %w", found.Error)
			}
			return found.FirstOffset, found.LastOffset, nil
		}
	}
	return 0, 0, fmt.Errorf("list offsets: %w", kafkago.UnknownTopicOrPartition)
}

// clamp never moves silently: messages that were deleted unread are lost commands, and a log that lost its end was
// restored or made anew.
func (p *partition) clamp(want, first, last int64) int64 {
	switch {
	case want < 0:
		return first
	case want < first:
		p.alarm(sideTruncated, want, first)
		return first
	case want > last:
		p.alarm(sidePastEnd, want, first)
		return first
	}
	return want
}

func (p *partition) alarm(side string, want, found int64) {
	p.c.metrics.outOfRange.WithLabelValues(p.topic, side).Inc()
	p.c.log.Error().Str("alarm", "out-of-range").Str("side", side).Str("topic", p.topic).Int("partition", p.id).
		Int64("wanted_offset", want).Int64("offset", found).
		Msg("the log does not hold the next offset; reading goes on at the oldest message it holds")
}

// read fetches from start on and hands every message over, and returns the offset wanted next: when ctx ends, or when
// the reader has to be made anew.
func (p *partition) read(ctx context.Context, start int64) int64 {
	reader := kafkago.NewReader(kafkago.ReaderConfig{
		Brokers:               p.c.conn.Brokers,
		Dialer:                p.c.conn.Dialer(),
		Topic:                 p.topic,
		Partition:             p.id,
		MinBytes:              1,
		MaxBytes:              fetchBytes,
		MaxWait:               p.c.cfg.MaxWait,
		QueueCapacity:         p.c.cfg.QueueCapacity,
		ReadLagInterval:       -1,
		ReadBackoffMin:        leastReadPause,
		ReadBackoffMax:        mostReadPause,
		OffsetOutOfRangeError: true,
	})
	// Close cannot interrupt a fetch, so it takes up to MaxWait, and nobody needs to wait for it.
	defer p.c.background.Go(func() {
		if err := reader.Close(); err != nil {
			p.c.log.Warn().Err(err).Str("topic", p.topic).Int("partition", p.id).Msg("could not close a reader")
		}
	})
	if err := reader.SetOffset(start); err != nil {
		p.failed(ctx, err)
		return start
	}
	for next := start; ; {
		m, err := p.fetch(ctx, reader)
		switch {
		case err == nil:
		case ctx.Err() != nil, errors.Is(err, context.Canceled), errors.Is(err, kafkago.OffsetOutOfRange):
			return next
		default:
			// The reader goes on by itself, with its own pauses.
			p.failed(ctx, err)
			continue
		}
		if m.Offset < next {
			continue
		}
		if m.Offset > next {
			// Nothing but deletion makes a gap in a log that is not compacted: the driver delivers control records.
			p.alarm(sideTruncated, next, m.Offset)
		}
		if p.pass(ctx, m) != nil {
			return next
		}
		next = m.Offset + 1
		p.next.Store(next)
	}
}

// pass waits until a message is due and there is room for it, reads it, and puts it into its lane.
func (p *partition) pass(ctx context.Context, m kafkago.Message) error {
	p.c.metrics.fetched.WithLabelValues(p.topic).Inc()
	mark := p.mark.Load()
	if kind := skipKind(m); kind != "" {
		p.c.metrics.skipped.WithLabelValues(p.topic, kind).Inc()
		p.c.log.Error().Str("alarm", kind).Str("topic", p.topic).Int("partition", p.id).Int64("offset", m.Offset).
			Msg("a message that cannot be a command was skipped")
		mark.finish(mark.add(m.Offset))
		return nil
	}
	message := convert(m, p.c.cfg.GroupID)
	if p.c.cfg.Delay != nil {
		if delay := p.c.cfg.Delay(p.topic); delay > 0 {
			if err := wait(ctx, time.Until(due(message, delay, time.Now()))); err != nil {
				return err
			}
		}
	}
	if err := p.lanes.await(ctx, mark, m.Offset, p.c.cfg.Window, p.blocked); err != nil {
		return err
	}
	p.lanes.executor.submit(p.lanes, &slot{
		message: message, work: p.c.readMessage(message), size: message.Size(), place: mark.add(m.Offset), mark: mark,
	})
	return nil
}

func (p *partition) blocked(reason string, d time.Duration) {
	p.c.metrics.blocked.WithLabelValues(p.topic, reason).Add(d.Seconds())
}

// fetch returns the next message, or context.Canceled when it was interrupted.
func (p *partition) fetch(ctx context.Context, reader *kafkago.Reader) (kafkago.Message, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.waiting(cancel, time.Now())
	defer p.waiting(nil, time.Time{})
	return reader.FetchMessage(ctx)
}

func (p *partition) waiting(stop context.CancelFunc, since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop, p.since = stop, since
}

// interrupt makes the reader anew when it has waited for a message for at least d. It reports whether it did.
func (p *partition) interrupt(d time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop == nil || time.Since(p.since) < d {
		return false
	}
	p.stop()
	return true
}

func (p *partition) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	p.c.metrics.fetchErrors.WithLabelValues(p.topic).Inc()
	if p.c.trouble.pass() {
		p.c.log.Warn().Err(err).Str("topic", p.topic).Int("partition", p.id).Msg("could not fetch; trying again")
	}
}

func convert(m kafkago.Message, group string) refund.Message {
	out := refund.Message{
		Topic: m.Topic, Group: group, Partition: m.Partition, Offset: m.Offset,
		Key: m.Key, Value: m.Value, Time: m.Time,
	}
	if len(m.Headers) > 0 {
		out.Headers = make([]schemas.Header, len(m.Headers))
		for i, h := range m.Headers {
			out.Headers[i] = schemas.Header{Key: h.Key, Value: h.Value}
		}
	}
	return out
}
