package observe

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// ErrNotChecked is what a named check reports before it is set for the first time.
var ErrNotChecked = errors.New("not checked yet")

// Health keeps the named checks of a process. It is ready while each of them passes, and there is at least one: a
// process that has checked nothing has no reason to say so. It lives as long as it can answer at all.
//
// It is also a [prometheus.Collector] of refund_worker_ready and refund_worker_check_passing. It is safe for
// concurrent use.
type Health struct {
	ready, passing *prometheus.Desc

	mu     sync.RWMutex
	checks map[string]error
}

var _ prometheus.Collector = (*Health)(nil)

// NewHealth returns a Health in which the named checks fail with [ErrNotChecked] until they are set.
func NewHealth(names ...string) *Health {
	h := &Health{
		ready:   prometheus.NewDesc("refund_worker_ready", "1 while every check passes, as /readyz says.", nil, nil),
		passing: prometheus.NewDesc("refund_worker_check_passing", "1 while the named check passes.", []string{"check"}, nil),
		checks:  make(map[string]error, len(names)),
	}
	for _, name := range names {
		h.checks[name] = ErrNotChecked
	}
	return h
}

// Set records the result of a check; nil is a pass. The name is shown to everybody who can reach the listener and
// becomes the value of a label: a constant of the program, never data. The error is shown to nobody, so that it may
// say what it likes; log it where it happens.
func (h *Health) Set(name string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = err
}

// Ready returns nil while the process is ready, and otherwise a [*NotReadyError].
func (h *Health) Ready() error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	failing := []string{}
	for _, name := range slices.Sorted(maps.Keys(h.checks)) {
		if h.checks[name] != nil {
			failing = append(failing, name)
		}
	}
	if len(failing) == 0 && len(h.checks) > 0 {
		return nil
	}
	return &NotReadyError{Failing: failing}
}

// Describe is for the registry.
func (h *Health) Describe(descs chan<- *prometheus.Desc) {
	descs <- h.ready
	descs <- h.passing
}

// Collect is for the registry.
func (h *Health) Collect(metrics chan<- prometheus.Metric) {
	metrics <- prometheus.MustNewConstMetric(h.ready, prometheus.GaugeValue, passed(h.Ready()))
	h.mu.RLock()
	checks := maps.Clone(h.checks)
	h.mu.RUnlock()
	for name, err := range checks {
		metrics <- prometheus.MustNewConstMetric(h.passing, prometheus.GaugeValue, passed(err), name)
	}
}

func passed(err error) float64 {
	if err != nil {
		return 0
	}
	return 1
}

// NotReadyError names the checks that fail, sorted; none when nothing has been checked yet.
type NotReadyError struct{ Failing []string }

// Error does not say why the checks fail: see [Health.Set].
func (e *NotReadyError) Error() string {
	if len(e.Failing) == 0 {
		return "not ready: nothing has been checked yet"
	}
	return "not ready: " + strings.Join(e.Failing, " ")
}
