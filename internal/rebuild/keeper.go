package rebuild

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"refundworker/dedupe"
	"refundworker/internal/kafka"
)

const (
	// beatEvery is how often the fleet marks the time in the store. It bounds nothing: the margin of the tail is far
	// larger.
	beatEvery = 10 * time.Second
	// sayEvery is how often a refill tells how far it is.
	sayEvery = 10 * time.Second
)

// Keeper keeps a worker's store worth believing: it marks the time in it, and refills it when it has forgotten.
type Keeper struct {
	rebuilder *Rebuilder
	store     *dedupe.Redis
	log       zerolog.Logger
	// doubt is for how long after a refill an event may still be late; see refund.Epoch.
	doubt   time.Duration
	noticed chan struct{}
}

// NewKeeper makes a Keeper. doubt is how long the claims of an epoch that has ended can go on.
func NewKeeper(rebuilder *Rebuilder, store *dedupe.Redis, doubt time.Duration, log zerolog.Logger) *Keeper {
	return &Keeper{rebuilder: rebuilder, store: store, doubt: doubt, log: log, noticed: make(chan struct{}, 1)}
}

// Notice is told what every look at the store has found. It does not block.
func (k *Keeper) Notice(err error) {
	if !errors.Is(err, dedupe.ErrForgot) {
		return
	}
	select {
	case k.noticed <- struct{}{}:
	default: // it is known already
	}
}

// Run works until ctx ends. Nothing that goes wrong here ends it: the store stays closed meanwhile, and the next look
// begins again.
func (k *Keeper) Run(ctx context.Context) error {
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	late := time.NewTimer(0)
	defer late.Stop()
	<-late.C
	var ends []kafka.Span
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			if err := k.beat(ctx); err != nil {
				k.log.Warn().Err(err).Msg("could not mark the time in redis; a failover now would make the next refill longer")
			}
		case <-k.noticed:
			if report, ok := k.refill(ctx); ok {
				ends = report.ends
				late.Reset(k.doubt)
			}
		case <-late.C:
			if err := k.rebuilder.catchUp(ctx, ends); err != nil {
				k.log.Warn().Err(err).Msg("could not look for results that came late")
			}
		}
	}
}

// beat leaves the work to whoever was first: one mark in ten seconds is enough for the fleet.
func (k *Keeper) beat(ctx context.Context) error {
	last, err := k.store.LastBeat(ctx)
	if err != nil || time.Since(last) < beatEvery/2 {
		return err
	}
	return k.store.Beat(ctx)
}

func (k *Keeper) refill(ctx context.Context) (Report, bool) {
	said := time.Now()
	report, err := k.rebuilder.Run(ctx, false, func(done, total int64) {
		if time.Since(said) >= sayEvery {
			said = time.Now()
			k.log.Info().Int64("done", done).Int64("events", total).Msg("refilling redis")
		}
	})
	switch {
	case err == nil:
		return report, true
	case ctx.Err() != nil, errors.Is(err, dedupe.ErrRemembers):
	case errors.Is(err, dedupe.ErrRebuilding):
		k.log.Info().Msg("another process refills redis; waiting for it")
	default:
		k.log.Error().Err(err).Str("alarm", "rebuild").Msg("redis could not be refilled; intake stays closed, trying again")
	}
	return report, false
}

// catchUp restores the final outcomes that were published between the end of a refill and now: one that was settled
// before Redis forgot can have been held up by the brokers. Progress is left to the workers, who are at it again.
func (r *Rebuilder) catchUp(ctx context.Context, ends []kafka.Span) error {
	now, err := kafka.Spans(ctx, r.cfg.Conn, r.cfg.Results, time.Time{})
	if err != nil {
		return fmt.Errorf("catch up: %w", err)
	}
	known := make(map[int]int64, len(ends))
	for _, span := range ends {
		known[span.Partition] = span.To
	}
	for _, span := range now {
		span.From = max(span.From, known[span.Partition])
		err := kafka.ReadSpan(ctx, r.cfg.Conn, r.cfg.Results, span, func(m kafka.Record) error {
			told, err := remember(m)
			if err != nil || !told.Final() {
				return nil //nolint:nilerr // what is not readable here was not readable to the refill, and was counted there
			}
			restored, err := r.store.Restore(ctx, []dedupe.Remembered{told})
			r.metrics.restored(restored)
			return err
		})
		if err != nil {
			return fmt.Errorf("catch up: %w", err)
		}
	}
	return nil
}
