package rebuild

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"refundworker/dedupe"
)

// The values of the label "result".
const (
	resultDone      = "done"
	resultFailed    = "failed"
	resultOvertaken = "overtaken"
)

// Metrics are this process's refills.
type Metrics struct {
	running  prometheus.Gauge
	refills  *prometheus.CounterVec
	duration prometheus.Gauge
	records  *prometheus.CounterVec
}

// NewMetrics registers the metrics of refills, every label at zero.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	m := &Metrics{
		running: f.NewGauge(prometheus.GaugeOpts{
			Name: "refund_worker_rebuild_running", Help: "1 while this process refills the dedupe store, else 0.",
		}),
		refills: f.NewCounterVec(prometheus.CounterOpts{
			Name: "refund_worker_rebuilds_total", Help: "Refills of the dedupe store by this process, by how they ended.",
		}, []string{"result"}),
		duration: f.NewGauge(prometheus.GaugeOpts{
			Name: "refund_worker_rebuild_last_duration_seconds", Help: "How long this process's last finished refill took; 0 before the first.",
		}),
		records: f.NewCounterVec(prometheus.CounterOpts{
			Name: "refund_worker_rebuild_records_total", Help: "Records that refills have put back, by state.",
		}, []string{"state"}),
	}
	for _, result := range []string{resultDone, resultFailed, resultOvertaken} {
		m.refills.WithLabelValues(result)
	}
	m.restored(dedupe.Restored{})
	return m
}

func (m *Metrics) restored(r dedupe.Restored) {
	for state, n := range map[string]int{"settled": r.Settled, "tombstone": r.Tombstones, "waiting": r.Waiting, "review": r.Review} {
		m.records.WithLabelValues(state).Add(float64(n))
	}
}

func (m *Metrics) ended(took time.Duration, err error) {
	switch {
	case err == nil:
		m.refills.WithLabelValues(resultDone).Inc()
		m.duration.Set(took.Seconds())
	case errors.Is(err, dedupe.ErrOvertaken):
		m.refills.WithLabelValues(resultOvertaken).Inc()
	default:
		m.refills.WithLabelValues(resultFailed).Inc()
	}
}
