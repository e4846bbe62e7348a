package dedupe

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// senders is how many pipelines may be on their way at once: while one is, what comes meanwhile gathers in the next.
	senders = 2
	// batchCalls is how many exchanges share a pipeline at most: some milliseconds of work for the server.
	batchCalls = 64
	// batchTakes is what a pipeline should take at most. A server that needs longer is given fewer exchanges at once: past
	// ioTimeout all of them would fail, and be sent again, and keep it from ever catching up.
	batchTakes = ioTimeout / 4
	// batchTimeout bounds a pipeline with everything that the driver does about it.
	batchTimeout = 5 * time.Second
)

// batcher lets exchanges that run at the same time share pipelines. One that runs alone is sent at once.
//
// It is the plain pipeline of the driver underneath, and not the driver's AutoPipeline: that one ignores the deadlines of
// its callers, and is declared experimental.
type batcher struct {
	// sendFunc runs the scripts of all calls in one pipeline, and puts into each call what came of it.
	sendFunc func(ctx context.Context, calls []*batchCall)

	mu      sync.Mutex
	waiting []*batchCall
	running int
	// less is how many exchanges fewer than batchCalls a pipeline has at the moment.
	less int
}

// batchCall is the scripts of one exchange.
type batchCall struct {
	ctx     context.Context //nolint:containedctx // of one call; it is looked at before the call is sent
	scripts []scriptCall
	// replies and err are set before done is closed.
	replies [][]string
	err     error
	done    chan struct{}
}

// do runs the scripts of one exchange. When ctx ends while they are on their way, they may have happened.
func (b *batcher) do(ctx context.Context, scripts []scriptCall) ([][]string, error) {
	call := &batchCall{ctx: ctx, scripts: scripts, done: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, call)
	begin := b.running < senders
	if begin {
		b.running++
	}
	b.mu.Unlock()
	if begin {
		go b.run(context.WithoutCancel(ctx))
	}
	select {
	case <-call.done:
		return call.replies, call.err
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for redis: %w", context.Cause(ctx))
	}
}

// run sends what waits until nothing does.
func (b *batcher) run(ctx context.Context) {
	for {
		calls := b.next()
		if calls == nil {
			return
		}
		b.send(ctx, calls)
	}
}

// next takes the calls of the next pipeline; nil where there are none, and then the sender is gone.
func (b *batcher) next() []*batchCall {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		b.running--
		return nil
	}
	n := min(len(b.waiting), batchCalls-b.less)
	calls := b.waiting[:n:n]
	if b.waiting = b.waiting[n:]; len(b.waiting) == 0 {
		b.waiting = nil
	}
	return calls
}

// adapt sizes the next pipelines by what one of n exchanges took: half of what took too long, one more after one that was
// full and did not.
func (b *batcher) adapt(n int, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case took > batchTakes:
		b.less = batchCalls - max(1, n/2)
	case n >= batchCalls-b.less:
		b.less = max(0, b.less-1)
	}
}

func (b *batcher) send(ctx context.Context, calls []*batchCall) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	// Not alive: whose caller has gone before anything was sent.
	alive := make([]*batchCall, 0, len(calls))
	for _, call := range calls {
		if call.ctx.Err() == nil {
			alive = append(alive, call)
		}
	}
	if len(alive) > 0 {
		began := time.Now()
		b.sendFunc(ctx, alive)
		b.adapt(len(alive), time.Since(began))
	}
	for _, call := range alive {
		close(call.done)
	}
}

// sendAll runs the calls in one pipeline. A server that does not know the scripts yet (new, restarted, promoted, flushed)
// gets them, and the calls that it turned down are sent once more: the tokens make the repeat harmless.
func (r *Redis) sendAll(ctx context.Context, calls []*batchCall) {
	r.pipeline(ctx, calls)
	var again []*batchCall
	for _, call := range calls {
		if redis.HasErrorPrefix(call.err, "NOSCRIPT") {
			again = append(again, call)
		}
	}
	if len(again) == 0 {
		return
	}
	r.metrics.reloads.Inc()
	r.log.Info().Msg("redis does not know the scripts; loading them")
	if err := r.load(ctx); err != nil {
		for _, call := range again {
			call.err = err
		}
		return
	}
	r.pipeline(ctx, again)
}

// pipeline sends the calls once. An error of the connection is every call's, one of a script only its own call's.
func (r *Redis) pipeline(ctx context.Context, calls []*batchCall) {
	pipe := r.client.Pipeline()
	commands := make([][]*redis.Cmd, len(calls))
	for i, call := range calls {
		commands[i] = make([]*redis.Cmd, len(call.scripts))
		for k, c := range call.scripts {
			commands[i][k] = c.script.EvalSha(ctx, pipe, c.keys, c.args...)
		}
	}
	_, err := pipe.Exec(ctx)
	for i, call := range calls {
		call.replies, call.err = replies(commands[i], err)
	}
}

// replies are those of one call; broken is what the pipeline as a whole came to.
func replies(commands []*redis.Cmd, broken error) ([][]string, error) {
	var fault error
	for _, command := range commands {
		err := command.Err()
		if err == nil {
			continue
		}
		// One that loading the scripts does not mend goes before one that it does.
		if fault == nil || redis.HasErrorPrefix(fault, "NOSCRIPT") {
			fault = err
		}
	}
	if fault != nil {
		return nil, fault
	}
	texts := make([][]string, 0, len(commands))
	for _, command := range commands {
		reply, err := command.StringSlice()
		if err != nil {
			if broken != nil {
				return nil, broken // nothing was read for this command
			}
			return nil, fmt.Errorf("%w: script reply: %w", ErrCorrupt, err)
		}
		texts = append(texts, reply)
	}
	return texts, nil
}
