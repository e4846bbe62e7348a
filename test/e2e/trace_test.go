package e2e

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"

	"refundworker/gateway/sandbox"
	"refundworker/internal/kafka/kafkatest"
	"refundworker/schemas"
)

const (
	collectorLogin = "Bearer collector-login-4711"
	// Texts of a command that no span may hold.
	privateReason, privateNote, privatePayment = "reason of the shopper", "note of the shopper", "pay-private-17"
)

// tracedCommand is a command that a producer sends from a span of its own.
func tracedCommand(t *testing.T, id string, trace [16]byte, span [8]byte) kafkatest.Record {
	t.Helper()
	value, err := json.Marshal(schemas.Command{
		SchemaVersion: schemas.CommandVersion, RequestID: id, Gateway: schemas.Antom, Account: "shop", PaymentID: privatePayment,
		Amount: schemas.Money{Minor: 101, Currency: "HKD"}, Reason: privateReason, Metadata: map[string]string{"note": privateNote},
	})
	if err != nil {
		t.Fatal(err)
	}
	return kafkatest.Record{Key: []byte(privatePayment), Value: value, Headers: []schemas.Header{
		{Key: schemas.HeaderTraceparent, Value: fmt.Appendf(nil, "00-%x-%x-01", trace, span)},
		{Key: schemas.HeaderTracestate, Value: []byte("shop=1")},
	}}
}

func embedded(t *testing.T) backend {
	t.Helper()
	mini := miniredis.RunT(t)
	return backend{"embedded", kafkatest.Start(t), &embeddedRedis{mini, mini.Addr()}}
}

// branches are spans as "parent < name", where the producer's span is the producer.
func branches(spans []*traces.Span, producer [8]byte) []string {
	names := map[string]string{string(producer[:]): "producer"}
	for _, s := range spans {
		names[string(s.GetSpanId())] = s.GetName()
	}
	list := make([]string, len(spans))
	for i, s := range spans {
		list[i] = names[string(s.GetParentSpanId())] + " < " + s.GetName()
	}
	return list
}

func TestEveryPassOfARefundIsExportedUnderItsProducersSpan(t *testing.T) {
	t.Parallel()
	collector := startReceiver(t)
	s := newSetup(t, embedded(t), sandbox.RefundAgain, []sandbox.Rule{{
		RequestID: "rf-lost", Operation: sandbox.Refund, Faults: []sandbox.Fault{{Kind: sandbox.DropAfter}},
	}})
	login := filepath.Join(t.TempDir(), "login")
	if err := os.WriteFile(login, []byte("Authorization: "+collectorLogin+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.flags = []string{"--trace-endpoint", collector.URL, "--trace-headers", "file:" + login}
	w := s.startWorker(t)
	w.ready(t)
	plain, lost := [16]byte{1, 1}, [16]byte{2, 2}
	producer := [8]byte{9, 9}
	s.produce(t.Context(), t, []kafkatest.Record{tracedCommand(t, "rf-plain", plain, producer), tracedCommand(t, "rf-lost", lost, producer)})
	until(t, "both outcomes", 30*time.Second, func(ctx context.Context) bool { return len(s.results(ctx, t).finals) == 2 })
	if _, code := w.terminate(t, 10*time.Second); code != 0 {
		t.Errorf("exit %d", code)
	}

	// The stop has sent what was queued.
	commands, retries := "process "+s.commands(), "process "+s.prefix+".retry.1s"
	below := func(whole string, steps ...string) []string {
		list := []string{"producer < " + whole}
		for _, step := range steps {
			list = append(list, whole+" < "+step)
		}
		return list
	}
	want := below(commands, "claim", "send", "settle", "publish")
	if diff := cmp.Diff(want, branches(collector.of(plain[:]), producer)); diff != "" {
		t.Errorf("spans of a refund (-want +exported):\n%s", diff)
	}
	want = append(below(commands, "claim", "send", "wait", "publish"), below(retries, "claim", "inquiry", "settle", "publish")...)
	if diff := cmp.Diff(want, branches(collector.of(lost[:]), producer)); diff != "" {
		t.Errorf("spans of a refund whose answer was lost (-want +exported):\n%s", diff)
	}
	s.eventsAreInTheirTraces(t, collector, map[string][16]byte{"rf-plain": plain, "rf-lost": lost})

	collector.mu.Lock()
	defer collector.mu.Unlock()
	for _, name := range []string{"service.version", "service.instance.id"} {
		if collector.self[name] == "" {
			t.Errorf("the spans do not say %s: %v", name, collector.self)
		}
	}
	if got := collector.self["service.name"]; got != "refund-worker" {
		t.Errorf("service.name is %q", got)
	}
	for _, got := range collector.logins {
		if got != collectorLogin {
			t.Errorf("the collector was shown the login %q", got)
		}
	}
	s.noSecretIsExported(t, collector.raw.Bytes())
	if strings.Contains(w.log.String(), collectorLogin) {
		t.Error("the collector's login is logged")
	}
}

// eventsAreInTheirTraces wants every event below the span that published it.
func (s *setup) eventsAreInTheirTraces(t *testing.T, collector *otlpReceiver, ids map[string][16]byte) {
	t.Helper()
	records, err := s.kafka.ReadAll(t.Context(), s.prefix+".results")
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != len(ids)+1 { // a progress event of the one that waited
		t.Errorf("%d events", len(records))
	}
	for _, r := range records {
		trace := ids[string(r.Key)]
		var published []string
		for _, span := range collector.of(trace[:]) {
			if span.GetName() == "publish" {
				published = append(published, fmt.Sprintf("00-%x-%x-01 shop=1", trace, span.GetSpanId()))
			}
		}
		if got := header(r, schemas.HeaderTraceparent) + " " + header(r, schemas.HeaderTracestate); !strings.Contains(strings.Join(published, ","), got) {
			t.Errorf("an event of %s carries %q, and %q were published", r.Key, got, published)
		}
	}
}

// noSecretIsExported searches the exported bytes for keys, signatures and what a command says about people.
func (s *setup) noSecretIsExported(t *testing.T, exported []byte) {
	t.Helper()
	if !bytes.Contains(exported, []byte("rf-plain")) {
		t.Error("the exported bytes do not hold the request ID: the search would prove nothing")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.signatures) < 4 {
		t.Errorf("only %d signatures: both ways of two calls are the least", len(s.signatures))
	}
	secrets := append([]string{
		s.keys.MerchantPrivate[40:64], s.keys.GatewayPublic[40:64], s.secret, client, privateReason, privateNote, privatePayment,
		hex.EncodeToString([]byte(privatePayment)), collectorLogin, "schemaVersion", "refundRequestId",
	}, s.signatures...)
	for _, secret := range secrets {
		if bytes.Contains(exported, []byte(secret[:min(len(secret), 24)])) {
			t.Errorf("the exported bytes hold %q", secret)
		}
	}
}

func TestACollectorThatTakesNothingChangesNothing(t *testing.T) {
	t.Parallel()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client has gone
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	for name, endpoint := range map[string]string{"refused": "http://" + freeAddress(t), "silent": silent.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t, embedded(t), sandbox.RefundAgain, nil)
			s.flags = []string{"--trace-endpoint", endpoint}
			// What the library cannot read in its own variables it would quote on stderr.
			s.variables = []string{"OTEL_EXPORTER_OTLP_HEADERS=hunter2", "OTEL_RESOURCE_ATTRIBUTES=hunter2", "OTEL_TRACES_SAMPLER=hunter2"}
			w := s.startWorker(t)
			w.ready(t)
			m := &mix{endings: make(map[string]ending)}
			for i := range 50 {
				m.command(t, fmt.Sprintf("rf-%d", i), fmt.Sprintf("pay-%d", i), 100, ending{status: schemas.Success, code: schemas.CodeRefunded})
			}
			s.produce(t.Context(), t, m.records)
			s.audit(t, m, s.settled(t, m))
			const lost = "spans could not be exported"
			if name == "refused" {
				until(t, "the line that says so", 10*time.Second, func(context.Context) bool { return strings.Contains(w.log.String(), lost) })
			}
			if took, code := w.terminate(t, 15*time.Second); code != 0 || took > 6*time.Second {
				t.Errorf("exit %d after %v, want 0 within the 2 s that connections have, and some; an export may take 10 s", code, took)
			}
			if said := strings.Count(w.log.String(), lost); said != 1 {
				t.Errorf("the log says it %d times, want one line per minute", said)
			}
			for line := range strings.Lines(w.log.String()) {
				if !json.Valid([]byte(line)) || strings.Contains(line, "hunter2") {
					t.Errorf("something wrote past the log: %s", line)
				}
			}
		})
	}
}
