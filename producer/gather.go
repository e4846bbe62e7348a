package producer

import (
	"context"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

const (
	// gatherers is how many writes may be on their way at once: with more, each would be smaller.
	gatherers = 1
	// busy is from how many messages in a write on the next one is held for a while, so that more share its requests.
	busy = 8
	// gatherMost is how many messages share a write at most.
	gatherMost = 500
)

// gatherer makes one write of the publications that come while another write is on its way. The driver sends a request
// for every partition and call otherwise, and each costs the broker as much as one with fifty messages. A lone publication
// is written at once.
type gatherer struct {
	// writeFunc writes all messages and returns the failures in their order.
	writeFunc func(ctx context.Context, messages []kafkago.Message) []*EventError
	// hold is how long after the beginning of a busy write the next one begins at the earliest.
	hold time.Duration

	mu      sync.Mutex
	waiting []*publication
	running int
	// writers are the goroutines that write, also for callers that have gone.
	writers sync.WaitGroup
}

// publication is the messages of one call.
type publication struct {
	ctx      context.Context //nolint:containedctx // of one call; it is looked at before the call is written
	messages []kafkago.Message
	// failed is set before done is closed.
	failed []*EventError
	done   chan struct{}
}

// write writes the messages of one call, with those of others. When ctx ends meanwhile they may have been written.
func (g *gatherer) write(ctx context.Context, messages []kafkago.Message) []*EventError {
	p := &publication{ctx: ctx, messages: messages, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, p)
	begin := g.running < gatherers
	if begin {
		g.running++
		g.writers.Go(func() { g.run(context.WithoutCancel(ctx)) })
	}
	g.mu.Unlock()
	select {
	case <-p.done:
		return p.failed
	case <-ctx.Done():
		return unknown(messages, context.Cause(ctx))
	}
}

// unknown says of every message that nobody knows whether it was written.
func unknown(messages []kafkago.Message, cause error) []*EventError {
	failed := make([]*EventError, len(messages))
	for i := range messages {
		failed[i] = eventError(i, messages[i].Topic, cause)
	}
	return failed
}

// run writes what waits until nothing does.
func (g *gatherer) run(ctx context.Context) {
	for {
		began := time.Now()
		together := g.next()
		if together == nil {
			return
		}
		n := g.writeTogether(ctx, together)
		if left := g.hold - time.Since(began); n >= busy && left > 0 {
			timer := time.NewTimer(left)
			<-timer.C
		}
	}
}

// next takes the publications of the next write; nil where there are none, and then the writer is gone.
func (g *gatherer) next() []*publication {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.running--
		return nil
	}
	n, messages := 0, 0
	for n < len(g.waiting) && (n == 0 || messages+len(g.waiting[n].messages) <= gatherMost) {
		messages += len(g.waiting[n].messages)
		n++
	}
	together := g.waiting[:n:n]
	if g.waiting = g.waiting[n:]; len(g.waiting) == 0 {
		g.waiting = nil
	}
	return together
}

// writeTogether gives every publication its own failures, and returns how many messages were written.
func (g *gatherer) writeTogether(ctx context.Context, together []*publication) int {
	// Whose caller has gone before anything was written is not written.
	alive := make([]*publication, 0, len(together))
	var all []kafkago.Message
	for _, p := range together {
		if p.ctx.Err() == nil {
			alive = append(alive, p)
			all = append(all, p.messages...)
		}
	}
	if len(all) == 0 {
		return 0
	}
	failed := g.writeFunc(ctx, all)
	first := 0
	for _, p := range alive {
		for len(failed) > 0 && failed[0].Index < first+len(p.messages) {
			failed[0].Index -= first
			p.failed = append(p.failed, failed[0])
			failed = failed[1:]
		}
		first += len(p.messages)
		close(p.done)
	}
	return len(all)
}
