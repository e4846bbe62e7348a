package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"
)

const (
	// gateInterval is how often the store is asked whether it can take more.
	gateInterval = time.Second
	// sayAgain is how often a closed gate says that it is still closed.
	sayAgain = 10 * time.Second
	// fullShare is the share of maxmemory at which intake closes: what is left is for the settles of refunds that are
	// at a gateway already.
	fullShare = 0.85
)

// errStarting is the gate's state before the store answered for the first time.
var errStarting = errors.New("redis has not answered yet")

// storeHealth is what the gate asks. Probe does what claims do, because a server that answers may still take none.
// Remembers is an error when what the server answers may not be believed. MemoryPressure is the used share of the store's
// memory limit, 0 where it has none.
type storeHealth interface {
	Probe(context.Context) error
	Remembers(context.Context) error
	MemoryPressure(context.Context) (float64, error)
}

// gate closes intake: while it is closed no message is begun, so that nothing can reach a gateway without a claim, and
// what was begun goes on to its end.
type gate struct {
	store  storeHealth
	report func(error)
	log    zerolog.Logger
	open   prometheus.Gauge

	mu     sync.Mutex
	reason error
	// said is when the reason was logged last.
	said time.Time
	// changed is closed and replaced whenever the gate opens.
	changed chan struct{}
}

func newGate(store storeHealth, report func(error), log zerolog.Logger, reg prometheus.Registerer) *gate {
	g := &gate{
		store: store, report: report, log: log, reason: errStarting, changed: make(chan struct{}),
		open: promauto.With(reg).NewGauge(prometheus.GaugeOpts{
			Name: "refund_worker_intake_open",
			Help: "1 while messages are taken in, 0 while Redis is away, refuses the worker, is nearly full, or has forgotten.",
		}),
	}
	report(errStarting)
	return g
}

// Run watches the store until ctx ends.
func (g *gate) Run(ctx context.Context) error {
	ticker := time.NewTicker(gateInterval)
	defer ticker.Stop()
	for {
		g.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (g *gate) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, gateInterval)
	defer cancel()
	err := g.store.Probe(ctx)
	if err == nil {
		err = g.store.Remembers(ctx)
	}
	if err == nil {
		var used float64
		// A server that does not tell its memory (many managed ones) is not thereby full.
		if used, err = g.store.MemoryPressure(ctx); err != nil {
			err = nil
		} else if used >= fullShare {
			err = fmt.Errorf("redis uses %.0f %% of maxmemory, intake closes at %.0f %%: give it more memory", used*100, fullShare*100)
		}
	}
	g.set(err)
}

func (g *gate) set(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.reason
	g.reason = err
	g.report(err)
	switch {
	case err == nil && was != nil:
		close(g.changed)
		g.changed = make(chan struct{})
		g.open.Set(1)
		g.said = time.Time{}
		g.log.Info().Msg("intake is open")
	case err != nil && time.Since(g.said) >= sayAgain:
		g.open.Set(0)
		g.said = time.Now()
		g.log.Error().Err(err).Msg("intake is closed")
	}
}

// Pass waits until the gate is open, or ctx ends.
func (g *gate) Pass(ctx context.Context) error {
	for {
		g.mu.Lock()
		reason, changed := g.reason, g.changed
		g.mu.Unlock()
		if reason == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("intake is closed (%w): %w", reason, context.Cause(ctx))
		}
	}
}
