package refund

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"refundworker/schemas"
)

// Labels of duplicates: what a repeated message met.
const (
	duplicateSettled    = "settled"
	duplicateTombstone  = "tombstone"
	duplicateConflict   = "conflict"
	duplicateSuperseded = "superseded"
	duplicateWaiting    = "waiting"
)

// Labels of signals: what became of one.
const (
	// signalWorked: it led to a pass of the open request.
	signalWorked = "worked"
	// signalNotOpen: the request is settled, or not known.
	signalNotOpen = "not-open"
	// signalNoCommand: the request is open, and its command is not in the store.
	signalNoCommand = "no-command"
	// signalContradicted: it contradicts a settled outcome, or evidence about the request contradicts itself already.
	signalContradicted = "contradicted"
	// signalRefused: it could not be read or not be verified, or proves nothing.
	signalRefused = "refused"
)

// Metrics of the core. Every label value is known beforehand and exists from the start, so that an alert sees zero and
// not nothing.
type Metrics struct {
	outcomes   *prometheus.CounterVec
	rejected   *prometheus.CounterVec
	duplicates *prometheus.CounterVec
	busy       *prometheus.CounterVec
	parked     *prometheus.CounterVec
	alarms     *prometheus.CounterVec
	retries    *prometheus.CounterVec
	passes     *prometheus.HistogramVec
	signals    *prometheus.CounterVec
	lapsed     prometheus.Counter
	panics     prometheus.Counter
}

// NewMetrics registers the core's metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	m := &Metrics{
		outcomes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "refund_worker_outcomes_total", Help: "Passes that stored an outcome, by gateway, status and code. Replays are not counted.",
		}, []string{"gateway", "status", "code"}),
		rejected: f.NewCounterVec(prometheus.CounterOpts{
			Name: "refund_worker_rejected_total", Help: "Messages rejected as no command we can take, by code.",
		}, []string{"code"}),
		duplicates: f.NewCounterVec(prometheus.CounterOpts{
			Name: "refund_worker_duplicates_total", Help: "Messages of a request that was known already, by what they met.",
		}, []string{"met"}),
		busy: f.NewCounterVec(prometheus.CounterOpts{
			Name: "refund_worker_claim_busy_total", Help: "Waits for somebody else's lease, by what was held: the request or its payment.",
		}, []string{"held"}),
		parked: f.NewCounterVec(prometheus.CounterOpts{
			Name: "refund_worker_parked_total", Help: "Messages this build cannot take yet, put aside, by reason.",
		}, []string{"reason"}),
		alarms: f.NewCounterVec(prometheus.CounterOpts{
			Name: "refund_worker_gateway_alarms_total", Help: "Gateway answers that a person must look at, by kind.",
		}, []string{"alarm"}),
		retries: f.NewCounterVec(prometheus.CounterOpts{
			Name: "refund_worker_dependency_retries_total", Help: "Repeated calls to the store or the broker, by call.",
		}, []string{"call"}),
		passes: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "refund_worker_pass_duration_seconds", Help: "From asking for the claim to the stored outcome, gateway included.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"gateway"}),
		signals: f.NewCounterVec(prometheus.CounterOpts{
			Name: "refund_worker_signals_total", Help: "Signals worked off, by what became of them.",
		}, []string{"result"}),
		lapsed: f.NewCounter(prometheus.CounterOpts{
			Name: "refund_worker_promises_lapsed_total",
			Help: "Waiting requests whose promised attempt did not happen in time and that were taken up without their retry copy.",
		}),
		panics: f.NewCounter(prometheus.CounterOpts{
			Name: "refund_worker_panics_total", Help: "Panics caught while handling a message.",
		}),
	}
	m.create()
	return m
}

func (m *Metrics) create() {
	for _, gw := range []schemas.Gateway{schemas.Antom, schemas.EftPay} {
		m.passes.WithLabelValues(string(gw))
	}
	for _, info := range schemas.Codes() {
		if info.Status == "" {
			m.rejected.WithLabelValues(string(info.Code))
			continue
		}
		for _, gw := range []schemas.Gateway{schemas.Antom, schemas.EftPay} {
			m.outcomes.WithLabelValues(string(gw), string(info.Status), string(info.Code))
		}
	}
	for _, met := range []string{duplicateSettled, duplicateTombstone, duplicateConflict, duplicateSuperseded, duplicateWaiting} {
		m.duplicates.WithLabelValues(met)
	}
	for _, held := range []ClaimStatus{ClaimBusy, ClaimPaymentBusy} {
		m.busy.WithLabelValues(busyLabel(held))
	}
	for _, reason := range []string{"newer-schema", "newer-record", "unknown-account"} {
		m.parked.WithLabelValues(reason)
	}
	for _, alarm := range []Alarm{AlarmConfiguration, AlarmMismatch, AlarmUnverified, AlarmUnlisted} {
		m.alarms.WithLabelValues(string(alarm))
	}
	for _, result := range []string{signalWorked, signalNotOpen, signalNoCommand, signalContradicted, signalRefused} {
		m.signals.WithLabelValues(result)
	}
	for _, call := range []string{"look", "announced", "claim", "settle", "wait", "publish"} {
		m.retries.WithLabelValues(call)
	}
}

func busyLabel(s ClaimStatus) string {
	if s == ClaimPaymentBusy {
		return "payment"
	}
	return "request"
}
