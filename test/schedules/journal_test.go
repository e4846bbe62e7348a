package schedules

import (
	"strconv"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// kind says which entry of the core a topic's messages go to.
type kind int

const (
	commands kind = iota
	copies
	signals
)

func (k kind) String() string { return [...]string{"command", "copy", "signal"}[k] }

// partition is one partition of a topic of the model broker, with the group's place in it. Only the driver touches it.
type partition struct {
	topic string
	id    int
	kind  kind
	log   []*record
	// next is read next, and committed is where a new owner begins.
	next, committed int
	// owner is the slot of the worker it is assigned to.
	owner int
	// busy is the handler that has the message at next in its hands.
	busy *handler
}

// record is one message of a partition.
type record struct {
	message refund.Message
	// due is when a tier lets it go; the zero time for at once.
	due time.Time
	// tried: a worker has had it in its hands. lost: the broker has deleted it.
	tried, lost bool
}

func (p *partition) append(key, value []byte, headers []schemas.Header) {
	r := &record{message: refund.Message{
		Topic: p.topic, Partition: p.id, Offset: int64(len(p.log)), Key: key, Value: value, Headers: headers, Time: time.Now(),
	}}
	if p.kind == copies {
		if ms, ok := schemas.HeaderValue(headers, schemas.HeaderDue); ok {
			n, _ := strconv.ParseInt(string(ms), 10, 64)
			r.due = time.UnixMilli(n)
		}
	}
	p.log = append(p.log, r)
}

// skipLost goes past deleted messages.
func (p *partition) skipLost() {
	for p.busy == nil && p.next < len(p.log) && p.log[p.next].lost {
		p.next++
	}
}

// head is the message that can be handed over now, or nil.
func (p *partition) head(now time.Time) *record {
	p.skipLost()
	if p.busy != nil || p.next == len(p.log) || p.log[p.next].due.After(now) {
		return nil
	}
	return p.log[p.next]
}

// rewind is a commit that was lost, or an operator's reset.
func (p *partition) rewind(by int) {
	p.committed = max(0, p.committed-by)
	if p.busy == nil {
		p.next = p.committed
	}
}

// reassign moves the partition to another owner, which begins at the last commit.
func (p *partition) reassign(owner int) {
	p.owner, p.busy, p.next = owner, nil, p.committed
}
