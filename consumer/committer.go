package consumer

import (
	"iter"

	"github.com/rs/zerolog"
)

// committer sends the watermarks of one generation to the group. It is used by one goroutine. kafka-go bounds each
// commit by its own deadline of 5 s.
type committer struct {
	// send is the generation's CommitOffsets: nothing of one generation can be committed in another.
	send    func(offsets map[string]map[int]int64) error
	marks   iter.Seq2[topicPartition, *watermark]
	log     zerolog.Logger
	metrics *Metrics
	group   string
	// failing: the last commit was refused; only the first refusal in a row is logged.
	failing bool
}

type topicPartition struct {
	topic string
	id    int
}

type sent struct {
	mark   *watermark
	offset int64
}

// commit sends what the group does not know yet. With alive it sends the known positions too, because a commit keeps
// the session alive while the driver sends no heartbeats. It returns the broker's refusal; the offsets stay dirty.
func (c *committer) commit(alive bool) error {
	offsets := make(map[string]map[int]int64)
	var marks []sent
	for tp, mark := range c.marks {
		offset, dirty := mark.position()
		if !dirty && !alive {
			continue
		}
		if offsets[tp.topic] == nil {
			offsets[tp.topic] = make(map[int]int64)
		}
		offsets[tp.topic][tp.id] = offset
		marks = append(marks, sent{mark, offset})
	}
	if len(marks) == 0 {
		return nil
	}
	if err := c.send(offsets); err != nil {
		c.metrics.commits.WithLabelValues(c.group, commitRefused).Inc()
		if !c.failing {
			c.log.Warn().Err(err).Int("partitions", len(marks)).Msg("a commit was refused")
		}
		c.failing = true
		return err
	}
	c.failing = false
	c.metrics.commits.WithLabelValues(c.group, commitOK).Inc()
	for _, s := range marks {
		s.mark.accepted(s.offset)
	}
	return nil
}

// last is the generation's final commit. What is refused now is lost: the messages will be read again, and no other
// generation may commit them.
func (c *committer) last() {
	err := c.commit(false)
	if err == nil {
		return
	}
	c.metrics.commits.WithLabelValues(c.group, commitLost).Inc()
	for tp, mark := range c.marks {
		if offset, dirty := mark.position(); dirty {
			c.log.Warn().Err(err).Str("topic", tp.topic).Int("partition", tp.id).Int64("offset", offset).
				Msg("the last commit of a generation is lost; messages below the offset will be read again")
		}
	}
}
