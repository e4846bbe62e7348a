package archtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	embedded "github.com/alicebob/miniredis/v2"
	log "github.com/rs/zerolog"

	"refundworker/internal/kafka/kafkatest"
	"refundworker/internal/worker"
)

// metric is what a worker shows under one name: the values of each of its labels.
type metric map[string][]string

var (
	sample   = regexp.MustCompile(`(?m)^([a-zA-Z_]\w*)(?:\{(.*)\})? \S+$`)
	pair     = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
	used     = regexp.MustCompile(`\b((?:refund_worker|process|go)_\w+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping = regexp.MustCompile(`\bby \(([^)]*)\)`)
)

// A label that is not there matches nothing, and an alert on it is silent for ever.
func TestAlertsAndDashboardUseMetricsLabelsAndValuesThatAWorkerShows(t *testing.T) {
	t.Parallel()
	shown := scrape(t)
	file, tests := rules(t)
	where := map[string]string{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			where[rule.Expr] = "the alert " + rule.Alert
		}
	}
	for _, tt := range tests.Tests {
		for _, series := range tt.Series {
			where[series.Series] = "a test of the alerts"
		}
	}
	for _, expr := range dashboard(t) {
		where[expr] = "the dashboard"
	}
	for expr, user := range where {
		for _, fault := range unknownMetrics(expr, shown) {
			t.Errorf("%s uses %s, which a worker does not show: %s", user, fault, expr)
		}
	}
	// The check itself finds what it is for.
	for _, wrong := range []string{
		`refund_worker_reddy`, `refund_worker_parked_total{raison="unknown-account"}`,
		`refund_worker_gateway_alarms_total{alarm="unlisted"}`, `sum by (topics) (refund_worker_consumer_done_total)`,
		`refund_worker_gateway_calls_total{verdict=~"lost|gone"}`,
	} {
		if unknownMetrics(wrong, shown) == nil {
			t.Errorf("%s passes for an expression that a worker can answer", wrong)
		}
	}
}

// open are labels whose values follow from the installation, not from the program.
func open(label string) bool {
	return slices.Contains([]string{"topic", "group", "account", "instance", "job", "version"}, label)
}

// unknownMetrics are the names, labels and label values of an expression that no worker shows.
func unknownMetrics(expr string, shown map[string]metric) []string {
	var faults []string
	labels := map[string]bool{"instance": true, "job": true} // a scrape adds them
	for _, m := range used.FindAllStringSubmatch(expr, -1) {
		known, ok := shown[m[1]]
		if !ok {
			faults = append(faults, m[1])
			continue
		}
		for label := range known {
			labels[label] = true
		}
		for _, condition := range matcher.FindAllStringSubmatch(m[2], -1) {
			label, operator, value := condition[1], condition[2], condition[3]
			values, ok := known[label]
			switch {
			case !ok && label != "instance" && label != "job":
				faults = append(faults, "the label "+label+" of "+m[1])
			case open(label), label == "le":
			case operator == "=~" || operator == "!~":
				pattern := regexp.MustCompile("^(?:" + value + ")$")
				if !slices.ContainsFunc(values, pattern.MatchString) {
					faults = append(faults, label+operator+value)
				}
			case !slices.Contains(values, value):
				faults = append(faults, label+operator+value)
			}
		}
	}
	for _, m := range grouping.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(m[1], ",") {
			if label = strings.TrimSpace(label); !labels[label] {
				faults = append(faults, "the label "+label)
			}
		}
	}
	return faults
}

// scrape runs a worker between embedded parts until it is ready, and reads its metrics.
func scrape(t *testing.T) map[string]metric {
	t.Helper()
	address := freeAddress(t)
	cfg := load(t, fmt.Sprintf(`
kafka: {brokers: [%q], partitions: 1, replication: 1, min_insync: 1}
redis: {addresses: [%q]}
http: {listen: %q, notify_listen: "127.0.0.1:0"}
accounts:
  - {name: hk, gateway: antom, base_url: "http://127.0.0.1:1", client_id: C1, private_key: "file:a_private.key", antom_public_key: "file:antom_public.key"}
`, kafkatest.Start(t).Addr, embedded.RunT(t).Addr(), address))
	if err := worker.Init(t.Context(), cfg, log.New(io.Discard), io.Discard); err != nil {
		t.Fatal(err)
	}
	w, err := worker.New(cfg, "test", log.New(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	deadline := time.After(30 * time.Second)
	for {
		if status, _ := get(t, "http://"+address+"/readyz"); status == http.StatusOK {
			break
		}
		select {
		case <-deadline:
			t.Fatal("the worker is not ready after 30 s")
		case err := <-ended:
			t.Fatalf("the worker ended: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	_, text := get(t, "http://"+address+"/metrics")
	shown := map[string]metric{}
	for _, m := range sample.FindAllStringSubmatch(text, -1) {
		if shown[m[1]] == nil {
			shown[m[1]] = metric{}
		}
		for _, p := range pair.FindAllStringSubmatch(m[2], -1) {
			shown[m[1]][p[1]] = append(shown[m[1]][p[1]], p[2])
		}
	}
	return shown
}

// get is 0 while nobody listens.
func get(t *testing.T, address string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, text.String()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
