package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"refundworker/refund"
	"refundworker/schemas"
)

const (
	// maxAge is how old a notification may be by its own time. Antom delivers for 24 h 22 min, and does not say whether
	// each delivery is signed anew (https://docs.antom.com/ac/ams/notify_refund), so the last may carry the first one's
	// time. What is older is a replay, or our clock is wrong.
	maxAge = 48 * time.Hour
	// maxAhead is how far its time may be ahead of ours. Only the gateway can sign such a time, so one of the two clocks
	// is wrong.
	maxAhead = 15 * time.Minute
)

// Refusals are logged at most this often, each kind by itself: whoever can reach the listener could fill the log.
const (
	logPeriod = 10 * time.Second
	logBurst  = 3
)

// handler answers the requests of all accounts.
type handler struct {
	source string
	// endpoints are by path, which is compared as it was sent: there is nothing to clean, and nothing to decode.
	endpoints map[string]Endpoint
	publisher publisher
	metrics   *Metrics
	// logs are by result.
	logs map[result]zerolog.Logger
}

func newHandler(source string, endpoints []Endpoint, publisher publisher, log zerolog.Logger, metrics *Metrics) *handler {
	h := &handler{
		source: source, endpoints: make(map[string]Endpoint, len(endpoints)), publisher: publisher, metrics: metrics,
		logs: make(map[result]zerolog.Logger),
	}
	for _, e := range endpoints {
		h.endpoints["/"+string(e.Gateway)+"/"+e.Account] = e
	}
	for _, r := range results() {
		h.logs[r] = log.Sample(&zerolog.BurstSampler{Burst: logBurst, Period: logPeriod})
	}
	return h
}

// ServeHTTP takes one notification, counts it and answers it.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	endpoint, known := h.endpoints[path]
	res, requestID, err := unknownPath, "", error(nil)
	if known {
		res, requestID, err = h.take(w, r, endpoint)
	}
	h.metrics.requests.WithLabelValues(string(res)).Inc()
	h.say(r, res, endpoint, requestID, err)
	switch {
	case res.status() == http.StatusOK:
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		// An error here means that the gateway has gone; it sends the notification again.
		_, _ = io.WriteString(w, endpoint.Acknowledgement)
	case res == badMethod:
		w.Header().Set("Allow", http.MethodPost)
		fallthrough
	default:
		// Why is for our log: a stranger learns nothing from it, and the gateway reads the status.
		w.WriteHeader(res.status())
	}
}

// take brings a request to an account's address to its end.
func (h *handler) take(w http.ResponseWriter, r *http.Request, e Endpoint) (res result, requestID string, err error) {
	if r.Method != http.MethodPost {
		return badMethod, "", nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, schemas.MaxNotificationBytes))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return tooLarge, "", err
		}
		return malformed, "", fmt.Errorf("read body: %w", err)
	}
	n := schemas.Notification{Gateway: e.Gateway, Account: e.Account, Path: r.RequestURI, Headers: kept(r.Header, e.Headers), Body: body}
	requestID, sent, err := e.VerifyFunc(n)
	switch {
	case errors.Is(err, ErrNotOurs):
		return ignored, "", err
	case err != nil:
		return unverified, "", err
	}
	if err := current(sent, time.Now()); err != nil {
		return stale, requestID, err
	}
	res, err = h.publish(r.Context(), requestID, n)
	return res, requestID, err
}

// current says why a notification's own time cannot be believed.
func current(sent, now time.Time) error {
	switch {
	case sent.IsZero():
		return errors.New("its time is in no known form")
	case sent.Before(now.Add(-maxAge)):
		return fmt.Errorf("its time is %s, more than %s ago", sent.UTC().Format(schemas.TimeLayout), maxAge)
	case sent.After(now.Add(maxAhead)):
		return fmt.Errorf("its time is %s, more than %s ahead", sent.UTC().Format(schemas.TimeLayout), maxAhead)
	}
	return nil
}

// kept are the named headers. One that is there twice is left out, so that nothing can be verified with either value.
func kept(header http.Header, names []string) map[string]string {
	found := make(map[string]string, len(names))
	for _, name := range names {
		if values := header.Values(name); len(values) == 1 {
			found[name] = values[0]
		}
	}
	return found
}

// publish writes the signal of a verified notification. It does not ask whether intake is open: the topic keeps it until
// a worker can act.
func (h *handler) publish(ctx context.Context, requestID string, n schemas.Notification) (result, error) {
	s := schemas.Signal{
		RequestID: requestID, Kind: schemas.SignalNotification, Notification: &n, OccurredAt: schemas.Time{Time: time.Now().UTC()},
	}
	value, err := schemas.EncodeSignal(s)
	if err != nil {
		return malformed, err
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	err = h.publisher.Publish(ctx, refund.Event{
		Channel: refund.Signals, Key: []byte(requestID), Value: value, Headers: schemas.SignalHeaders(s, h.source),
	})
	if err != nil {
		return unavailable, fmt.Errorf("publish signal: %w", err)
	}
	return accepted, nil
}

// say logs what became of a request: never its body, its query or its headers.
func (h *handler) say(r *http.Request, res result, e Endpoint, requestID string, err error) {
	log, level := h.logs[res], zerolog.WarnLevel
	switch res {
	case accepted:
		level = zerolog.InfoLevel
	case unknownPath, badMethod:
		// What the whole internet sends; worth a look only while an address is being set up.
		level = zerolog.DebugLevel
	case ignored, unverified, stale, unavailable, malformed, tooLarge:
	}
	event := log.WithLevel(level)
	if res == unknownPath {
		event.Str("path", clip(r.URL.Path))
	}
	event.Str("account", e.Account).Str("request_id", requestID).Str("result", string(res)).Int("http_status", res.status()).
		Str("peer", r.RemoteAddr).Err(err).Msg("notification")
}

// clip keeps a line of the log short.
func clip(text string) string {
	const most = 128
	return text[:min(len(text), most)]
}
