package consumer

import (
	"context"
	"sync"
	"time"

	"refundworker/refund"
)

// slot is one message on its way to its end, with its place in the watermark of the partition it came from.
type slot struct {
	message refund.Message
	work    refund.Work
	// tries counts the calls of the work that failed.
	tries int
	size  int
	place *place
	mark  *watermark
}

// lane holds the messages of one payment in one partition, in the order of the log.
type lane struct {
	of    *lanes
	key   laneKey
	queue []*slot
	// alarm ends the pause before the first message is tried again.
	alarm *time.Timer
}

// laneKey names a lane; offset sets messages apart that share a lane with nobody.
type laneKey struct {
	refund.Lane
	offset int64
}

func (l *lane) first() *slot { return l.queue[0] }

// lanes are those of one partition in one generation. The executor's lock guards everything but room and busy.
type lanes struct {
	executor *Executor
	priority priority
	// doFunc runs a slot's work once.
	doFunc func(s *slot, permit refund.Permit) error
	// pauseFunc says how long to wait after the work has failed; again is false where the partition has been taken away,
	// and the lanes are about to be closed.
	pauseFunc func(s *slot, err error) (pause time.Duration, again bool)

	lanes  map[laneKey]*lane
	closed bool
	// running counts works that have not returned, and busy waits for them.
	running int
	busy    sync.WaitGroup
	// messages and bytes count what has not been done yet; longest is the longest lane.
	messages, bytes int
	most            room
	// freed has an element when there may be room for more than one message again.
	freed chan struct{}
}

// room is how much of a partition may be in memory.
type room struct{ messages, bytes int }

func newLanes(executor *Executor, priority priority, most room) *lanes {
	return &lanes{executor: executor, priority: priority, lanes: make(map[laneKey]*lane), most: most, freed: make(chan struct{}, 1)}
}

// add puts a slot at the end of its lane, and returns the lane if it had been empty.
func (o *lanes) add(s *slot) *lane {
	if o.closed {
		return nil
	}
	o.messages++
	o.bytes += s.size
	key := laneKey{Lane: s.work.Lane}
	if key.Lane == (refund.Lane{}) {
		key.offset = s.message.Offset + 1
	}
	l, found := o.lanes[key]
	if !found {
		l = &lane{of: o, key: key}
		o.lanes[key] = l
	}
	l.queue = append(l.queue, s)
	if found {
		return nil
	}
	return l
}

// finish takes the first slot off its lane, and says whether there is another one.
func (o *lanes) finish(l *lane) bool {
	o.messages--
	o.bytes -= l.first().size
	l.queue[0] = nil
	l.queue = l.queue[1:]
	if len(l.queue) == 0 {
		delete(o.lanes, l.key)
	}
	if o.roomy() {
		select {
		case o.freed <- struct{}{}:
		default: // the fetcher has been told, and looks by itself
		}
	}
	return len(l.queue) > 0
}

// close drops what was not begun: its messages are read again by the partition's next owner.
func (o *lanes) close() {
	o.closed = true
	for _, l := range o.lanes {
		if l.alarm != nil {
			l.alarm.Stop()
		}
	}
	clear(o.lanes)
}

// slack is which part of the room has to be free before a partition is read on that was full: or every message that is
// done would wake its fetcher for one more.
const slack = 8

// full says that no more may be taken in.
func (o *lanes) full() bool {
	o.executor.mu.Lock()
	defer o.executor.mu.Unlock()
	return o.messages >= o.most.messages || o.bytes >= o.most.bytes
}

// roomy says that a partition that was full may be read on.
func (o *lanes) roomy() bool {
	return o.messages < o.most.messages-o.most.messages/slack && o.bytes < o.most.bytes-o.most.bytes/slack
}

// why says what the room is taken by.
func (o *lanes) why() string {
	o.executor.mu.Lock()
	defer o.executor.mu.Unlock()
	for _, l := range o.lanes {
		if 2*len(l.queue) > o.messages {
			return blockedByPayment
		}
	}
	return blockedByQueue
}

// await waits until there is room for the message at offset, which may be window messages ahead of what is done. blocked
// is told of every wait.
func (o *lanes) await(ctx context.Context, mark *watermark, offset, window int64, blocked func(reason string, d time.Duration)) error {
	for {
		reason := blockedByMessage
		if done, _ := mark.position(); offset-done < window {
			if !o.full() {
				return nil
			}
			reason = o.why()
		}
		since := time.Now()
		select {
		case <-o.freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		blocked(reason, time.Since(since))
	}
}
