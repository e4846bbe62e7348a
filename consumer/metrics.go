package consumer

import (
	"maps"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"refundworker/refund"
)

// Results of commits and sides of a lost offset; closed sets, used as metric labels.
const (
	commitOK      = "ok"
	commitRefused = "refused"
	commitLost    = "lost"

	sideTruncated = "truncated"
	sidePastEnd   = "past-end"
)

// What keeps a partition from being read on; a closed set, used as metric label.
const (
	// blockedByMessage: one message is not done, and too many behind it are.
	blockedByMessage = "slow-message"
	// blockedByPayment: most of what is in memory waits for one payment, because order goes before fairness.
	blockedByPayment = "hot-payment"
	// blockedByQueue: enough is in memory for the permits there are.
	blockedByQueue = "queue"
)

// Metrics counts what the consumers of a process do; all of them share one.
type Metrics struct {
	assigned, lag                  *prometheus.GaugeVec
	fetched, done, retried, panics *prometheus.CounterVec
	skipped, outOfRange            *prometheus.CounterVec
	fetchErrors, stalls            *prometheus.CounterVec
	commits                        *prometheus.CounterVec
	generations, joinErrors        *prometheus.CounterVec
	detached, blocked              *prometheus.CounterVec
	drain                          *prometheus.HistogramVec
}

// NewMetrics registers the consumer's metrics. It panics when they are registered already, as promauto does.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	auto := promauto.With(reg)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return auto.NewCounterVec(prometheus.CounterOpts{Name: "refund_worker_consumer_" + name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return auto.NewGaugeVec(prometheus.GaugeOpts{Name: "refund_worker_consumer_" + name, Help: help}, labels)
	}
	return &Metrics{
		assigned:    gauge("assigned_partitions", "Partitions this process reads.", "topic"),
		lag:         gauge("lag_messages", "Messages in the assigned partitions that are not done, as last looked.", "topic"),
		fetched:     counter("fetched_total", "Messages read.", "topic"),
		done:        counter("done_total", "Messages that were brought to their end.", "topic"),
		retried:     counter("retried_total", "Works that failed and will be repeated.", "topic"),
		panics:      counter("panics_total", "Works that panicked.", "topic"),
		skipped:     counter("skipped_total", "Messages that cannot be commands: control records of transactional producers, tombstones.", "topic", "kind"),
		outOfRange:  counter("out_of_range_total", "Times the offset to read was not in the log: messages were deleted unread, or the log lost its end.", "topic", "side"),
		fetchErrors: counter("fetch_errors_total", "Fetches that failed and are repeated.", "topic"),
		stalls:      counter("stalls_total", "Fetches that delivered nothing though the log held more, and were started anew.", "topic"),
		commits:     counter("commits_total", "Commits by result; lost is the refused last commit of a generation.", "group", "result"),
		generations: counter("generations_total", "Generations this process took part in.", "group"),
		joinErrors:  counter("join_errors_total", "Attempts to join the group that failed.", "group"),
		detached:    counter("detached_total", "Works that were still running when their generation had to end.", "group"),
		blocked:     counter("blocked_seconds_total", "Time in which a partition was not read on, by reason: one message is not done for long, most of what was read waits for one payment, or enough is in memory.", "topic", "reason"),
		drain: auto.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "refund_worker_consumer_drain_seconds",
			Help:    "Time from the end of a generation to its last commit.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2, 5, 10},
		}, []string{"group"}),
	}
}

// prepare creates every label combination of one consumer, so that alerts see zeros instead of nothing.
func (m *Metrics) prepare(cfg Config) {
	for _, topic := range cfg.Topics {
		m.assigned.WithLabelValues(topic)
		m.lag.WithLabelValues(topic)
		for _, vec := range []*prometheus.CounterVec{m.fetched, m.done, m.retried, m.panics, m.fetchErrors, m.stalls} {
			vec.WithLabelValues(topic)
		}
		m.skipped.WithLabelValues(topic, kindControl)
		m.skipped.WithLabelValues(topic, kindTombstone)
		m.outOfRange.WithLabelValues(topic, sideTruncated)
		m.outOfRange.WithLabelValues(topic, sidePastEnd)
		for _, reason := range []string{blockedByMessage, blockedByPayment, blockedByQueue} {
			m.blocked.WithLabelValues(topic, reason)
		}
	}
	for _, result := range []string{commitOK, commitRefused, commitLost} {
		m.commits.WithLabelValues(cfg.GroupID, result)
	}
	for _, vec := range []*prometheus.CounterVec{m.generations, m.joinErrors, m.detached} {
		vec.WithLabelValues(cfg.GroupID)
	}
	m.drain.WithLabelValues(cfg.GroupID)
}

// register makes the executor's metrics: what is on its way and what waits, by account.
func (e *Executor) register(reg prometheus.Registerer) {
	auto := promauto.With(reg)
	gauge := func(name, help string, labels prometheus.Labels, value func() int) {
		auto.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 {
			e.mu.Lock()
			defer e.mu.Unlock()
			return float64(value())
		})
	}
	all := maps.Clone(e.accounts)
	all[refund.AccountID{}] = e.others
	for id, a := range all {
		labels := prometheus.Labels{"gateway": string(id.Gateway), "account": id.Name}
		gauge("refund_worker_executor_permits", "Permits to call the gateway: how many there are.", labels, func() int { return a.limits.InFlight })
		gauge("refund_worker_executor_permits_held", "Permits to call the gateway that are out.", labels, func() int { return a.held })
		gauge("refund_worker_executor_works_running", "Messages that are being worked on, those included that only store and publish.", labels, func() int { return a.begun })
		for p, name := range []string{high: "high", low: "low"} {
			labels := maps.Clone(labels)
			labels["priority"] = name
			gauge("refund_worker_executor_lanes_waiting", "Payments whose next message waits for a permit.", labels, func() int { return a.ready[p].len() })
		}
	}
}
