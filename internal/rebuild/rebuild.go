package rebuild

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"refundworker/dedupe"
	"refundworker/internal/kafka"
)

const (
	// landing is how long a refill waits before it looks where the results end. Nothing can be settled any more once a
	// bucket has forgotten, so what is missing in the topic is only what was settled just before and is on its way to
	// the brokers: a write and its repeats, while they answer.
	landing = 3 * time.Second
	// keepEvery renews the lock, well within its time.
	keepEvery = 4 * time.Second
	// readers is how many partitions are read at once.
	readers = 4
	// batch is how many events are restored at once, and notes after how many progress is noted.
	batch = 128
	notes = 64 * batch
)

// Config says what is read.
type Config struct {
	Conn kafka.Config
	// Results is the topic's full name.
	Results string
	// Landing replaces how long the refill waits for results that are on their way; zero is 3 s.
	Landing time.Duration
}

// Rebuilder refills one store from one topic. Several may run at once, in one process or many: one works, the others are
// told so.
type Rebuilder struct {
	cfg     Config
	store   *dedupe.Redis
	log     zerolog.Logger
	metrics *Metrics
}

// New makes a Rebuilder; it does no I/O.
func New(cfg Config, store *dedupe.Redis, log zerolog.Logger, metrics *Metrics) *Rebuilder {
	if cfg.Landing == 0 {
		cfg.Landing = landing
	}
	return &Rebuilder{cfg: cfg, store: store, log: log, metrics: metrics}
}

// Report is what a refill has done.
type Report struct {
	// Buckets have a new epoch.
	Buckets int
	// Since is from when on events were read; zero is from the beginning.
	Since time.Time
	// Events were read, and Foreign of them tell nothing of a request.
	Events, Foreign int64
	Restored        dedupe.Restored
	Took            time.Duration
	// ends are where the results ended.
	ends []kafka.Span
}

// progressFunc is told how many of how many events have been read. It is called by one goroutine at a time.
type progressFunc func(done, total int64)

// Run refills what was forgotten, or with all everything, and returns when the buckets are open again. It may be
// repeated at will. dedupe.ErrRemembers: there was nothing to do. dedupe.ErrRebuilding: another process is at it.
// dedupe.ErrOvertaken: Redis forgot again meanwhile; begin anew.
func (r *Rebuilder) Run(ctx context.Context, all bool, progress progressFunc) (Report, error) {
	started := time.Now()
	refill, err := r.store.BeginRebuild(ctx, all)
	if err != nil {
		return Report{}, fmt.Errorf("rebuild: %w", err)
	}
	r.metrics.running.Set(1)
	defer r.metrics.running.Set(0)
	r.log.Warn().Int("buckets", refill.Buckets()).Time("since", refill.Since()).Str("topic", r.cfg.Results).
		Msg("refilling redis from the results")
	report, err := r.run(ctx, refill, progress)
	report.Took = time.Since(started)
	r.metrics.ended(report.Took, err)
	if err != nil {
		return report, fmt.Errorf("rebuild: %w", err)
	}
	r.log.Info().Int("buckets", report.Buckets).Int64("events", report.Events).Int64("foreign", report.Foreign).
		Int("records", report.Restored.Records()).Int("kept", report.Restored.Kept).Int64("dur_ms", report.Took.Milliseconds()).
		Msg("redis is refilled")
	return report, nil
}

func (r *Rebuilder) run(ctx context.Context, refill *dedupe.Rebuild, progress progressFunc) (report Report, err error) {
	// The lock is given back even when ctx has ended, so that the next process need not wait for its end.
	defer func() { err = errors.Join(err, refill.Close(context.WithoutCancel(ctx))) }()
	held, stop := context.WithCancelCause(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() { stop(keep(held, refill)) })
	defer keeping.Wait()
	defer stop(nil)

	report = Report{Buckets: refill.Buckets(), Since: refill.Since()}
	if refill.Buckets() > 0 {
		if err := pause(held, r.cfg.Landing); err != nil {
			return report, err
		}
	}
	spans, err := kafka.Spans(held, r.cfg.Conn, r.cfg.Results, refill.Since())
	if err != nil {
		return report, err
	}
	report.ends = spans
	if spans, err = resumed(held, refill, spans); err != nil {
		return report, err
	}
	if err := r.restore(held, refill, spans, progress, &report); err != nil {
		return report, err
	}
	return report, refill.Finish(held)
}

// resumed leaves out what an earlier process has restored under the same name.
func resumed(ctx context.Context, refill *dedupe.Rebuild, spans []kafka.Span) ([]kafka.Span, error) {
	done, err := refill.Progress(ctx)
	if err != nil {
		return nil, err
	}
	rest := make([]kafka.Span, 0, len(spans))
	for _, span := range spans {
		span.From = min(max(span.From, done[span.Partition]), span.To)
		rest = append(rest, span)
	}
	return rest, nil
}

// restore reads the spans, some at once. Events of one request lie in one partition and keep their order.
func (r *Rebuilder) restore(ctx context.Context, refill *dedupe.Rebuild, spans []kafka.Span, progress progressFunc, report *Report) error {
	var total int64
	for _, span := range spans {
		total += span.To - span.From
	}
	var mu sync.Mutex
	tell := func(read, foreign int64, restored dedupe.Restored) {
		mu.Lock()
		defer mu.Unlock()
		report.Events += read
		report.Foreign += foreign
		report.Restored = report.Restored.Add(restored)
		r.metrics.restored(restored)
		progress(report.Events, total)
	}
	tell(0, 0, dedupe.Restored{})
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for _, span := range spans {
		group.Go(func() error {
			c := collector{store: r.store, refill: refill, partition: span.Partition, noted: span.From, tell: tell}
			if err := kafka.ReadSpan(ctx, r.cfg.Conn, r.cfg.Results, span, func(m kafka.Record) error { return c.take(ctx, m) }); err != nil {
				return err
			}
			return c.flush(ctx)
		})
	}
	if err := group.Wait(); err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	return nil
}

// collector restores the events of one partition a batch at a time.
type collector struct {
	store     *dedupe.Redis
	refill    *dedupe.Rebuild
	partition int
	tell      func(read, foreign int64, restored dedupe.Restored)

	events        []dedupe.Remembered
	read, foreign int64
	// next follows the last event taken, and noted is what was noted last.
	next, noted int64
}

func (c *collector) take(ctx context.Context, m kafka.Record) error {
	c.read++
	c.next = m.Offset + 1
	told, err := remember(m)
	switch {
	case errors.Is(err, errNotOurs):
		c.foreign++
	case err != nil:
		return err
	case c.refill.Concerns(told):
		c.events = append(c.events, told)
	}
	if len(c.events) < batch && c.read < notes {
		return nil
	}
	return c.flush(ctx)
}

func (c *collector) flush(ctx context.Context) error {
	restored, err := c.store.Restore(ctx, c.events)
	if err != nil {
		return err
	}
	c.tell(c.read, c.foreign, restored)
	c.events, c.read, c.foreign = c.events[:0], 0, 0
	if c.next-c.noted < notes {
		return nil
	}
	c.noted = c.next
	return c.refill.Done(ctx, c.partition, c.next)
}

// keep holds the lock until ctx ends, and returns why it could not.
func keep(ctx context.Context, refill *dedupe.Rebuild) error {
	ticker := time.NewTicker(keepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := refill.Keep(ctx); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
