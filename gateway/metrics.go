package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"refundworker/refund"
)

// Operation is a call of a gateway, as a metric label.
type Operation string

// The operations.
const (
	OpRefund  Operation = "refund"
	OpInquire Operation = "inquire"
)

// What became of a connection, as a metric label.
const (
	connectionOpened = "opened"
	connectionFailed = "failed"
)

// Metrics of all gateway accounts. Every label value is known beforehand and exists from the start.
type Metrics struct {
	calls       *prometheus.CounterVec
	latency     *prometheus.HistogramVec
	alarms      *prometheus.CounterVec
	connections *prometheus.CounterVec
}

// NewMetrics registers the gateways' metrics for the named accounts.
func NewMetrics(reg prometheus.Registerer, accounts []string) *Metrics {
	f := promauto.With(reg)
	m := &Metrics{
		calls: f.NewCounterVec(prometheus.CounterOpts{
			Name: "refund_worker_gateway_calls_total", Help: "Calls of a gateway, by account, operation and verdict.",
		}, []string{"account", "operation", "verdict"}),
		latency: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "refund_worker_gateway_call_duration_seconds", Help: "One call of a gateway, signing and waiting for a connection included.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30},
		}, []string{"account", "operation"}),
		alarms: f.NewCounterVec(prometheus.CounterOpts{
			Name: "refund_worker_gateway_answer_alarms_total", Help: "Gateway answers that a person must look at, by account and kind.",
		}, []string{"account", "alarm"}),
		connections: f.NewCounterVec(prometheus.CounterOpts{
			Name: "refund_worker_gateway_connections_total", Help: "Connections to a gateway, by account and result.",
		}, []string{"account", "result"}),
	}
	for _, account := range accounts {
		for _, op := range []Operation{OpRefund, OpInquire} {
			m.latency.WithLabelValues(account, string(op))
			for _, v := range []refund.Verdict{refund.Unknown, refund.NotSent, refund.Pending, refund.Succeeded, refund.Declined, refund.Absent} {
				m.calls.WithLabelValues(account, string(op), v.String())
			}
		}
		for _, alarm := range []refund.Alarm{refund.AlarmConfiguration, refund.AlarmMismatch, refund.AlarmUnverified, refund.AlarmUnlisted} {
			m.alarms.WithLabelValues(account, string(alarm))
		}
		for _, result := range []string{connectionOpened, connectionFailed} {
			m.connections.WithLabelValues(account, result)
		}
	}
	return m
}

// Call counts one call, with its alarm if it raised one.
func (m *Metrics) Call(account string, op Operation, res refund.Result, took time.Duration) {
	m.calls.WithLabelValues(account, string(op), res.Verdict.String()).Inc()
	m.latency.WithLabelValues(account, string(op)).Observe(took.Seconds())
	if res.Alarm != refund.NoAlarm {
		m.alarms.WithLabelValues(account, string(res.Alarm)).Inc()
	}
}

func (m *Metrics) connection(account, result string) {
	m.connections.WithLabelValues(account, result).Inc()
}
