package dedupe

import (
	"errors"
	"time"

	"refundworker/refund"

	"github.com/prometheus/client_golang/prometheus"
)

// The values of the label "call".
const (
	callClaim   = "claim"
	callSettle  = "settle"
	callWait    = "wait"
	callRelease = "release"
	callLook    = "look"
)

// The values of the label "answer" beside those of claimLabel.
const (
	answerStored      = "stored"
	answerFound       = "found"
	answerLost        = "lost"
	answerUnavailable = "unavailable"
	answerInvalid     = "invalid"
)

// Metrics are the store's numbers.
type Metrics struct {
	calls   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	reloads prometheus.Counter
	buckets *prometheus.GaugeVec
}

// NewMetrics registers the store's metrics, every label combination at zero. It panics when they are registered twice.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "refund_worker_dedupe_calls_total",
			Help: "Calls to the dedupe store by what it answered.",
		}, []string{"call", "answer"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "refund_worker_dedupe_call_seconds",
			Help:    "Duration of calls to the dedupe store, round trips and repeats included.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1},
		}, []string{"call"}),
		reloads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "refund_worker_dedupe_script_loads_total",
			Help: "Times a Redis server had to be given the scripts, as after a restart, a failover or a flush.",
		}),
	}
	m.buckets = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "refund_worker_epoch_buckets",
		Help: "Buckets of the dedupe store by what their epochs say; only current ones may be believed.",
	}, []string{"state"})
	reg.MustRegister(m.calls, m.seconds, m.reloads, m.buckets)
	m.epochs(EpochReport{})
	for call, answers := range map[string][]string{
		callClaim: claimLabels(), callSettle: {answerStored, answerLost}, callWait: {answerStored, answerLost}, callRelease: {answerStored},
		callLook: {answerFound},
	} {
		m.seconds.WithLabelValues(call)
		for _, answer := range append(answers, answerUnavailable, answerInvalid) {
			m.calls.WithLabelValues(call, answer)
		}
	}
	return m
}

func (m *Metrics) epochs(e EpochReport) {
	for state, n := range map[string]int{"current": e.Current, "missing": e.Missing, "other": e.Other, "refilling": e.Refilling} {
		m.buckets.WithLabelValues(state).Set(float64(n))
	}
}

func (m *Metrics) observe(call, answer string, started time.Time, err error) {
	switch {
	case errors.Is(err, refund.ErrStoreUnavailable):
		answer = answerUnavailable
	case err != nil:
		answer = answerInvalid
	}
	m.calls.WithLabelValues(call, answer).Inc()
	m.seconds.WithLabelValues(call).Observe(time.Since(started).Seconds())
}

func storedLabel(stored bool) string {
	if stored {
		return answerStored
	}
	return answerLost
}

func claimLabel(status refund.ClaimStatus) string {
	switch status {
	case refund.ClaimGranted:
		return "granted"
	case refund.ClaimBusy:
		return "busy"
	case refund.ClaimPaymentBusy:
		return "payment-busy"
	case refund.ClaimSettled:
		return "settled"
	case refund.ClaimTombstone:
		return "tombstone"
	case refund.ClaimConflict:
		return "conflict"
	case refund.ClaimSuperseded:
		return "superseded"
	case refund.ClaimRewrite:
		return "rewrite"
	case refund.ClaimInReview:
		return "review"
	case refund.ClaimUnknownVersion:
		return "unknown-version"
	case refund.ClaimInvalid:
	}
	return answerInvalid
}

func claimLabels() []string {
	labels := make([]string, 0, int(refund.ClaimUnknownVersion))
	for status := refund.ClaimGranted; status <= refund.ClaimUnknownVersion; status++ {
		labels = append(labels, claimLabel(status))
	}
	return labels
}
