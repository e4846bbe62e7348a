package consumer

import (
	"context"
	"errors"
	"maps"

	kafkago "github.com/segmentio/kafka-go"

	"refundworker/internal/kafka"
)

// watch looks at the topics and the ends of the logs at every interval, until ctx ends or the number of partitions
// has changed: then it returns true, and the group has to be joined anew to share them.
func (c *Consumer) watch(ctx context.Context, client *kafkago.Client, g *generation) bool {
	for {
		c.look(ctx, client, g)
		if wait(ctx, c.cfg.WatchInterval) != nil {
			return false
		}
		if c.grown(ctx, client) {
			return true
		}
	}
}

// grown compares the partitions of every topic with those the group was last joined for. A topic that went missing
// does not count: joining without it would give every member an empty assignment, while the others can still be read.
// When it comes back it counts.
func (c *Consumer) grown(ctx context.Context, client *kafkago.Client) bool {
	counts, err := kafka.Partitions(ctx, client, c.cfg.Topics)
	var unfit *kafka.TopicsError
	if err != nil && !errors.As(err, &unfit) {
		return false // brokers that are away are noticed, and reported, by everything else
	}
	if unfit != nil && c.missing.pass() {
		c.log.Error().Err(unfit).Str("alarm", "missing-topic").Msg("a topic has gone")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := maps.Clone(c.counts)
	changed := false
	for _, topic := range c.cfg.Topics {
		c.counts[topic] = counts[topic]
		changed = changed || (counts[topic] != 0 && counts[topic] != before[topic])
	}
	if changed {
		c.log.Info().Any("before", before).Any("now", counts).Msg("the number of partitions has changed")
	}
	return changed
}

// look asks where the logs end. It sets the lag, and interrupts a fetch that waits past the end of a log that was cut,
// or that delivers nothing though there is more: old readers have been seen to stall after a broker's restart
// (segmentio/kafka-go issues 387 and 847).
func (c *Consumer) look(ctx context.Context, client *kafkago.Client, g *generation) {
	request := &kafkago.ListOffsetsRequest{Topics: make(map[string][]kafkago.OffsetRequest)}
	next := make(map[*partition]int64, len(g.partitions))
	for _, p := range g.partitions {
		if p.mark.Load() == nil {
			continue
		}
		// Read before the question: a log that is intact never answers with less.
		next[p] = p.next.Load()
		request.Topics[p.topic] = append(request.Topics[p.topic], kafkago.LastOffsetOf(p.id))
	}
	if len(next) == 0 {
		return
	}
	answer, err := client.ListOffsets(ctx, request)
	if err != nil {
		return // as in grown
	}
	lag := make(map[string]int64)
	for p, wanted := range next {
		last, ok := end(answer.Topics[p.topic], p.id)
		if !ok {
			continue
		}
		offset, _ := p.mark.Load().position()
		lag[p.topic] += max(last-offset, 0)
		switch {
		case wanted > last:
			// resolve looks again, raises the alarm and goes on at the start of the log.
			p.interrupt(0)
		case wanted < last && p.interrupt(c.cfg.StallTimeout):
			c.metrics.stalls.WithLabelValues(p.topic).Inc()
			c.log.Warn().Str("topic", p.topic).Int("partition", p.id).Int64("offset", wanted).
				Msg("a fetch delivered nothing though the log holds more; it is started anew")
		}
	}
	for topic, n := range lag {
		c.metrics.lag.WithLabelValues(topic).Set(float64(n))
	}
}

func end(offsets []kafkago.PartitionOffsets, partition int) (int64, bool) {
	for _, found := range offsets {
		if found.Partition == partition && found.Error == nil {
			return found.LastOffset, true
		}
	}
	return 0, false
}
