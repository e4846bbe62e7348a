package consumer

import (
	"context"
	"iter"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"refundworker/refund"
)

// What every partition may have in memory, however many share.
const (
	leastQueue      = 64
	leastQueueBytes = 512 << 10
)

// generation is one assignment of partitions and what works on them.
type generation struct {
	id         int32
	partitions []*partition
	// busy counts fetchers, works and the watch.
	busy sync.WaitGroup
}

// live works on a generation until it ends, drains and commits a last time. When it returns the driver joins the next
// generation, or leaves the group.
func (c *Consumer) live(ended, base context.Context, client *kafkago.Client, gen *kafkago.Generation) {
	if ended.Err() != nil {
		return
	}
	// Held from the beginning, so that whatever the generation adds is added before anybody waits.
	c.background.Add(1)
	work, cancel := context.WithCancelCause(base)
	defer cancel(ErrRevoked)
	// Works must hear of the end even while a commit hangs.
	defer context.AfterFunc(ended, func() { cancel(ErrRevoked) })()

	g := &generation{id: gen.ID}
	c.start(work, g, client, gen.Assignments)
	grown := make(chan struct{})
	g.busy.Go(func() {
		if c.watch(work, client, g) {
			close(grown)
		}
	})

	commits := &committer{send: gen.CommitOffsets, marks: g.marks(), log: c.log, metrics: c.metrics, group: c.cfg.GroupID}
	c.commitUntil(ended, grown, commits)
	begin := time.Now()
	cancel(ErrRevoked)
	c.drain(g, commits)
	commits.last()
	c.finish(g, time.Since(begin))
}

// start begins to read the assigned partitions.
func (c *Consumer) start(work context.Context, g *generation, client *kafkago.Client, assignments map[string][]kafkago.PartitionAssignment) {
	counts := make(map[string]int, len(c.cfg.Topics))
	share := c.share(assignments)
	for topic, assigned := range assignments {
		counts[topic] = len(assigned)
		c.metrics.assigned.WithLabelValues(topic).Set(float64(len(assigned)))
		for _, a := range assigned {
			of := newLanes(c.executor, c.priority(), share)
			of.doFunc = func(s *slot, permit refund.Permit) error { return c.do(work, s, permit) }
			of.pauseFunc = func(s *slot, err error) (time.Duration, bool) { return c.pause(work, s, err) }
			p := newPartition(c, client, topic, a.ID, of)
			g.partitions = append(g.partitions, p)
			g.busy.Go(func() {
				p.run(work, a.Offset)
				c.executor.close(of)
				of.busy.Wait()
			})
		}
	}
	c.become(stateHolding)
	c.metrics.generations.WithLabelValues(c.cfg.GroupID).Inc()
	c.log.Info().Int32("generation", g.id).Any("partitions", counts).Msg("joined the group")
}

// share is each partition's part of what may be in memory.
func (c *Consumer) share(assignments map[string][]kafkago.PartitionAssignment) room {
	partitions := 0
	for _, assigned := range assignments {
		partitions += len(assigned)
	}
	partitions = max(partitions, 1)
	return room{
		messages: min(max(c.cfg.Queue/partitions, leastQueue), c.cfg.Queue),
		bytes:    min(max(c.cfg.QueueBytes/partitions, leastQueueBytes), c.cfg.QueueBytes),
	}
}

func (c *Consumer) priority() priority {
	if c.cfg.LowPriority {
		return low
	}
	return high
}

// commitUntil commits at every interval until the generation ends.
func (c *Consumer) commitUntil(ended context.Context, grown <-chan struct{}, commits *committer) {
	tick := time.NewTicker(c.cfg.CommitInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			// A refusal is logged and counted by the committer, and the offsets stay dirty for the next tick.
			_ = commits.commit(false)
		case <-grown:
			return
		case <-ended.Done():
			return
		}
	}
}

// drain waits until nothing works on the generation any more, and not longer than Drain. The driver sends no
// heartbeats now; commits keep the session alive (Kafka's OffsetMetadataManager: "the offset commits maintain the
// session").
func (c *Consumer) drain(g *generation, commits *committer) {
	idle := make(chan struct{})
	go func() {
		defer c.background.Done()
		g.busy.Wait()
		close(idle)
	}()
	limit := time.NewTimer(c.cfg.Drain)
	defer limit.Stop()
	alive := time.NewTicker(c.cfg.HeartbeatInterval)
	defer alive.Stop()
	for {
		select {
		case <-idle:
			return
		case <-limit.C:
			return
		case <-alive.C:
			_ = commits.commit(true) // as in commitUntil
		}
	}
}

// finish reports a generation that is over. Its works may still run: their results concern nobody any more.
func (c *Consumer) finish(g *generation, took time.Duration) {
	c.become(stateJoining)
	for _, topic := range c.cfg.Topics {
		c.metrics.assigned.WithLabelValues(topic).Set(0)
		c.metrics.lag.WithLabelValues(topic).Set(0)
	}
	detached := 0
	for _, p := range g.partitions {
		detached += c.executor.running(p.lanes)
	}
	c.metrics.detached.WithLabelValues(c.cfg.GroupID).Add(float64(detached))
	c.metrics.drain.WithLabelValues(c.cfg.GroupID).Observe(took.Seconds())
	c.log.Info().Int32("generation", g.id).Dur("drain_ms", took).Int("detached", detached).Msg("generation ended")
}

// marks yields the watermark of every partition that knows where it begins.
func (g *generation) marks() iter.Seq2[topicPartition, *watermark] {
	return func(yield func(topicPartition, *watermark) bool) {
		for _, p := range g.partitions {
			if mark := p.mark.Load(); mark != nil && !yield(topicPartition{p.topic, p.id}, mark) {
				return
			}
		}
	}
}
