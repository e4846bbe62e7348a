package notify

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// result is what became of a request; it is the metric's label.
type result string

const (
	// accepted: its signal is in the topic.
	accepted result = "accepted"
	// ignored: the gateway's, and about no refund of ours.
	ignored result = "ignored"
	// unverified: nothing proves that the gateway sent it.
	unverified result = "unverified"
	// stale: verified, and its time is too long ago, ahead of ours, or in no known form.
	stale result = "stale"
	// unavailable: verified, and the broker did not take its signal.
	unavailable result = "unavailable"
	// malformed: it was cut off, or cannot be kept as a signal.
	malformed result = "malformed"
	// tooLarge: its body is longer than a signal carries.
	tooLarge result = "too-large"
	// badMethod: not a POST.
	badMethod result = "method"
	// unknownPath: no account has this address.
	unknownPath result = "unknown-path"
)

// status is what is answered. All but 200 make Antom send the notification again, up to eight times within 24 h 22 min.
// What is refused may be genuine: while a key, a clock or the broker is being mended, nothing is lost.
func (r result) status() int {
	switch r {
	case accepted, ignored:
		return http.StatusOK
	case unverified, stale:
		return http.StatusForbidden
	case malformed:
		return http.StatusBadRequest
	case tooLarge:
		return http.StatusRequestEntityTooLarge
	case badMethod:
		return http.StatusMethodNotAllowed
	case unknownPath:
		return http.StatusNotFound
	case unavailable:
	}
	return http.StatusServiceUnavailable
}

func results() []result {
	return []result{accepted, ignored, unverified, stale, unavailable, malformed, tooLarge, badMethod, unknownPath}
}

// Metrics counts what the listener is sent.
type Metrics struct{ requests *prometheus.CounterVec }

// NewMetrics registers the listener's metrics. Every label value exists from the start, so that an alert sees zero.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{requests: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "refund_worker_notifications_total", Help: "Requests to the listener for gateways' notifications, by what became of them.",
	}, []string{"result"})}
	for _, r := range results() {
		m.requests.WithLabelValues(string(r))
	}
	return m
}
