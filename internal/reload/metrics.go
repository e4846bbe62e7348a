package reload

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// What became of a change, as a metric label.
const (
	resultUsed    = "used"
	resultRefused = "refused"
)

type metrics struct {
	changes *prometheus.CounterVec
	unfit   *prometheus.GaugeVec
}

// newMetrics creates every series: the sources are known.
func newMetrics(reg prometheus.Registerer, sources []Source) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		changes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "refund_worker_file_changes_total", Help: "Changes of files that the configuration names, by setting, account and whether they were put to use.",
		}, []string{"setting", "account", "result"}),
		unfit: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "refund_worker_files_unfit", Help: "1 while files that the configuration names cannot be used, and older contents stay in use.",
		}, []string{"setting", "account"}),
	}
	for _, s := range sources {
		m.unfit.WithLabelValues(s.Setting, s.Account)
		m.changes.WithLabelValues(s.Setting, s.Account, resultUsed)
		m.changes.WithLabelValues(s.Setting, s.Account, resultRefused)
	}
	return m
}
