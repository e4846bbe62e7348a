package producer

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"refundworker/refund"
)

// Metrics counts what the producer does.
type Metrics struct {
	events  *prometheus.CounterVec
	seconds prometheus.Histogram
}

// NewMetrics registers the producer's metrics. It panics when they are registered already, as promauto does.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	auto := promauto.With(reg)
	m := &Metrics{
		events: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "refund_worker_producer_events_total",
			Help: "Events by channel and result: acked by all in-sync replicas, failed but worth another try, or refused for good.",
		}, []string{"channel", "result"}),
		seconds: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "refund_worker_producer_publish_seconds",
			Help:    "Time from the call of Publish to the last acknowledgement or error.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
	}
	for _, channel := range []refund.Channel{refund.Results, refund.Retry, refund.DeadLetters, refund.Signals} {
		for _, result := range []string{"acked", "failed", "refused"} {
			m.events.WithLabelValues(channelName(channel), result)
		}
	}
	return m
}

func (m *Metrics) observe(events []refund.Event, failed []*EventError, took time.Duration) {
	m.seconds.Observe(took.Seconds())
	results := make(map[int]string, len(failed))
	for _, f := range failed {
		results[f.Index] = "refused"
		if f.Retryable {
			results[f.Index] = "failed"
		}
	}
	for i, event := range events {
		result, ok := results[i]
		if !ok {
			result = "acked"
		}
		m.events.WithLabelValues(channelName(event.Channel), result).Inc()
	}
}

func channelName(c refund.Channel) string {
	switch c {
	case refund.Results:
		return "results"
	case refund.Retry:
		return "retry"
	case refund.DeadLetters:
		return "deadletters"
	case refund.Signals:
		return "signals"
	}
	return "unknown"
}
