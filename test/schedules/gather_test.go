package schedules

import (
	"refundworker/internal/kafka/kafkatest"
	"refundworker/refund"
)

// read tells whether every command and every signal was done.
func (s *stack) read() bool {
	for group, topic := range map[string]string{"refund-worker": s.topics.Commands(), "refund-worker.signals": s.topics.Signals()} {
		committed, err := s.broker.Committed(s.tb.Context(), group, topic)
		if err != nil {
			return false
		}
		records, err := s.broker.ReadAll(s.tb.Context(), topic)
		if err != nil {
			s.tb.Fatal(err)
		}
		for _, r := range records {
			if committed[r.Partition] <= r.Offset {
				return false
			}
		}
	}
	return true
}

// gather makes the journal of the audit from what the topics hold, and judges every event in the order of the log.
func (s *stack) gather() {
	s.fill("refund-worker", s.topics.Commands(), commands, 2)
	s.fill("refund-worker.signals", s.topics.Signals(), signals, 1)
	for _, tier := range allTiers() {
		s.tiers[tier] = s.fill("refund-worker.retry", s.topics.Retry(tier), copies, 1)[0]
	}
	for _, r := range s.all(s.topics.Results()) {
		s.book.result(refund.Event{Key: r.Key, Value: r.Value, Headers: r.Headers})
	}
	for _, r := range s.all(s.topics.DeadLetters()) {
		s.book.deadLetter(refund.Event{Key: r.Key, Value: r.Value, Headers: r.Headers})
	}
}

// fill makes the partitions of a topic, each at the group's commit.
func (s *stack) fill(group, topic string, k kind, partitions int) []*partition {
	committed, err := s.broker.Committed(s.tb.Context(), group, topic)
	if err != nil {
		s.tb.Fatal(err)
	}
	list := make([]*partition, partitions)
	for id := range list {
		list[id] = s.partition(topic, id, k)
		list[id].next = int(max(committed[id], 0))
	}
	for _, r := range s.all(topic) {
		list[r.Partition].append(r.Key, r.Value, r.Headers)
	}
	return list
}

// all is a whole topic, partition by partition.
func (s *stack) all(topic string) []kafkatest.Record {
	records, err := s.broker.ReadAll(s.tb.Context(), topic)
	if err != nil {
		s.tb.Fatal(err)
	}
	return records
}
