package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"

	"refundworker/refund"
	"refundworker/schemas"
)

const (
	// watchInterval is how often the fleet looks for open requests that are overdue.
	watchInterval = 10 * time.Second
	// watchAgain is when a request is signalled again that was signalled and is still overdue: its signal stands in line.
	watchAgain = 10 * time.Minute
	// watchLimit is how many requests one look takes from each of the store's buckets.
	watchLimit = 16
)

// schedule is what the watchdog asks of the store.
type schedule interface {
	Overdue(ctx context.Context, limit int, interval time.Duration) ([]string, error)
	Postpone(ctx context.Context, ids []string, by time.Duration) error
	Scheduled(ctx context.Context) (open int64, first time.Time, err error)
}

type publisher interface {
	Publish(ctx context.Context, events ...refund.Event) error
}

// watchdog finds open requests that nobody looked at in time: a retry copy that is lost or late, a tier that was removed,
// a review that is due for another inquiry. It touches no record; it writes a signal for each, and whichever worker reads
// the signal acts on it.
type watchdog struct {
	store     schedule
	publisher publisher
	gate      *gate
	log       zerolog.Logger

	open    prometheus.Gauge
	overdue prometheus.Gauge
}

func newWatchdog(store schedule, publisher publisher, gate *gate, log zerolog.Logger, reg prometheus.Registerer) *watchdog {
	f := promauto.With(reg)
	return &watchdog{
		store: store, publisher: publisher, gate: gate, log: log,
		open: f.NewGauge(prometheus.GaugeOpts{
			Name: "refund_worker_open_requests", Help: "Requests that wait or are in review and are looked at by themselves, of the whole fleet.",
		}),
		overdue: f.NewGauge(prometheus.GaugeOpts{
			Name: "refund_worker_overdue_seconds",
			Help: "How long the open request that is overdue the longest has been so, 0 where none is; of the whole fleet.",
		}),
	}
}

// Run looks until ctx ends, and not while intake is closed: nobody could act on what is found.
func (w *watchdog) Run(ctx context.Context) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		if w.gate.Pass(ctx) != nil {
			return nil // ctx has ended: nothing else ends the wait
		}
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			w.log.Warn().Err(err).Msg("the schedule of open requests could not be looked at; trying again")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (w *watchdog) look(ctx context.Context) error {
	ids, err := w.store.Overdue(ctx, watchLimit, watchInterval)
	if err != nil {
		return err
	}
	events := make([]refund.Event, 0, len(ids))
	for _, id := range ids {
		s := schemas.Signal{RequestID: id, Kind: schemas.SignalRedrive, OccurredAt: schemas.Time{Time: time.Now().UTC()}}
		value, err := schemas.EncodeSignal(s)
		if err != nil {
			return fmt.Errorf("redrive: %w", err)
		}
		events = append(events, refund.Event{
			Channel: refund.Signals, Key: []byte(id), Value: value, Headers: schemas.SignalHeaders(s, source),
		})
	}
	if len(events) > 0 {
		if err := w.publisher.Publish(ctx, events...); err != nil {
			return fmt.Errorf("redrive %d requests: %w", len(events), err)
		}
		// Only now: whoever dies before has taken nothing off the schedule.
		if err := w.store.Postpone(ctx, ids, watchAgain); err != nil {
			return err
		}
		w.log.Info().Int("requests", len(events)).Msg("open requests that were not looked at in time are driven again")
	}
	open, first, err := w.store.Scheduled(ctx)
	if err != nil {
		return err
	}
	w.open.Set(float64(open))
	w.overdue.Set(0)
	if late := time.Since(first); !first.IsZero() && late > 0 {
		w.overdue.Set(late.Seconds())
	}
	return nil
}
