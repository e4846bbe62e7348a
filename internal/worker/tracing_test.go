package worker

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"refundworker/internal/config"
)

const collectorLogin = "Bearer collector-login-4711"

// collector counts requests and answers each as the test says.
type collector struct {
	*httptest.Server
	asked atomic.Int64
}

func newCollector(t *testing.T, start func(http.Handler) *httptest.Server, answer http.HandlerFunc) *collector {
	t.Helper()
	c := &collector{}
	c.Server = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.asked.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, r)
	}))
	t.Cleanup(c.Close)
	return c
}

func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func takes(http.ResponseWriter, *http.Request) {}

// tracingConfig is read from files of the disk; the variable LOGIN holds a header.
func tracingConfig(t *testing.T, yaml string) config.Config {
	t.Helper()
	env := map[string]string{"LOGIN": "Authorization: " + collectorLogin}
	cfg, err := config.Load(config.Flags{File: "w.yaml"}, config.WithoutAccounts, config.Source{
		LookupEnvFunc: func(name string) (string, bool) {
			value, ok := env[name]
			return value, ok
		},
		ReadFileFunc: func(name string) ([]byte, error) {
			if name == "w.yaml" {
				return []byte(yaml), nil
			}
			return os.ReadFile(name)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// begin starts tracing to an endpoint.
func begin(t *testing.T, yaml string) (*tracing, *lockedBuffer) {
	t.Helper()
	log := &lockedBuffer{}
	tr, err := newTracing(tracingConfig(t, yaml).Trace, "v1", zerolog.New(log), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	tr.start()
	return tr, log
}

// end is close with a time to do it in; it returns how long it took.
func end(t *testing.T, tr *tracing, within time.Duration) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	started := time.Now()
	tr.close(ctx)
	return time.Since(started)
}

func endpoint(url string) string { return fmt.Sprintf("trace: {endpoint: %q}\n", url) }

func TestTracingIsOffWithoutAnEndpoint(t *testing.T) {
	t.Parallel()
	tr, err := newTracing(config.Trace{Sample: 1}, "v1", zerolog.Nop(), prometheus.NewRegistry())
	if tr != nil || err != nil || tr.tracer() != nil {
		t.Errorf("%+v, %v", tr, err)
	}
	tr.start()
	tr.close(t.Context())
}

func TestWhatIsQueuedIsSentAtTheStop(t *testing.T) {
	t.Parallel()
	c := newCollector(t, httptest.NewServer, takes)
	tr, log := begin(t, endpoint(c.URL))
	for range exportBatch + 1 {
		_, span := tr.tracer().Start(t.Context(), "x")
		span.End()
	}
	end(t, tr, 10*time.Second)
	if ended, exported := testutil.ToFloat64(tr.ended), testutil.ToFloat64(tr.exporter.exported); ended != exportBatch+1 || exported != ended {
		t.Errorf("%v spans ended, %v exported", ended, exported)
	}
	if log.String() != "" {
		t.Errorf("the log says %s", log.String())
	}
}

// The queue holds 2048, and the batch that is on its way 512 more.
func TestACollectorThatDoesNotAnswerHoldsUpNeitherSpansNorTheStop(t *testing.T) {
	t.Parallel()
	c := newCollector(t, httptest.NewServer, silent)
	tr, log := begin(t, endpoint(c.URL))
	const many = 5 * exportQueue
	for range many {
		_, span := tr.tracer().Start(t.Context(), "x")
		span.End()
	}
	if took := end(t, tr, 100*time.Millisecond); took > exportTimeout/2 {
		t.Errorf("the stop took %v, as long as an export", took)
	}
	if ended, exported := testutil.ToFloat64(tr.ended), testutil.ToFloat64(tr.exporter.exported); ended != many || exported != 0 {
		t.Errorf("%v spans ended, %v exported", ended, exported)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 {
		t.Errorf("%d lines, want one:\n%s", lines, log.String())
	}
}

// failing takes nothing.
type failing struct{ tracetest.NoopExporter }

func (*failing) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	return errors.New(strings.Repeat("é", longestTrouble))
}

func TestALastingTroubleIsOneShortLinePerInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &lockedBuffer{}
		e := &exporter{SpanExporter: &failing{}, log: zerolog.New(log)}
		for range 10 {
			if err := e.ExportSpans(t.Context(), nil); err != nil {
				t.Errorf("the library is told: %v", err)
			}
			<-time.After(collectorInterval / 4)
		}
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 3 {
			t.Errorf("%d lines in %v, want 3:\n%s", len(lines), 10*collectorInterval/4, log.String())
		}
		if len(lines[0]) > longestTrouble+200 {
			t.Errorf("a line has %d bytes", len(lines[0]))
		}
	})
}

func TestALoginIsNeitherLoggedNorCarriedElsewhere(t *testing.T) {
	t.Parallel()
	elsewhere := newCollector(t, httptest.NewServer, takes)
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"a refusal that repeats it": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "unknown: "+collectorLogin)
		}, "401 Unauthorized"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "307 Temporary Redirect"},
		"an overload that repeats it": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "busy: "+collectorLogin)
		}, "503 Service Unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var shown atomic.Value
			c := newCollector(t, httptest.NewServer, func(w http.ResponseWriter, r *http.Request) {
				shown.Store(r.Header.Get("Authorization"))
				tt.answer(w, r)
			})
			tr, log := begin(t, fmt.Sprintf("trace:\n  endpoint: %q\n  headers: [env:LOGIN]\n", c.URL))
			_, span := tr.tracer().Start(t.Context(), "x")
			span.End()
			end(t, tr, time.Second)
			if shown.Load() != collectorLogin {
				t.Errorf("the collector was shown %v", shown.Load())
			}
			if !strings.Contains(log.String(), tt.want) || strings.Contains(log.String(), "collector-login") {
				t.Errorf("the log says %s", log.String())
			}
			if asked := elsewhere.asked.Load(); asked != 0 {
				t.Errorf("%d requests followed the redirect", asked)
			}
		})
	}
}

func TestACollectorIsTrustedByItsAuthority(t *testing.T) {
	t.Parallel()
	c := newCollector(t, httptest.NewTLSServer, takes)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		yaml     string
		exported float64
		log      string
	}{
		"a configured one": {fmt.Sprintf("trace: {endpoint: %q, ca_file: %q}\n", c.URL, authority), 1, ""},
		"an unknown one":   {endpoint(c.URL), 0, "certificate signed by unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr, log := begin(t, tt.yaml)
			_, span := tr.tracer().Start(t.Context(), "x")
			span.End()
			end(t, tr, 10*time.Second)
			if got := testutil.ToFloat64(tr.exporter.exported); got != tt.exported || !strings.Contains(log.String(), tt.log) {
				t.Errorf("%v spans exported; the log says %s", got, log.String())
			}
		})
	}
}

func TestTheCollectorsLoginAndAuthoritiesMayChangeWhileTheWorkerRuns(t *testing.T) {
	t.Parallel()
	var shown atomic.Value
	c := newCollector(t, httptest.NewTLSServer, func(_ http.ResponseWriter, r *http.Request) { shown.Store(r.Header.Get("Authorization")) })
	theirs := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw}))
	dir := t.TempDir()
	trusted, login := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "login")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	foreign, _ := authority(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	write(trusted, foreign)
	write(login, "Authorization: "+collectorLogin)
	tr, log := begin(t, fmt.Sprintf("trace:\n  endpoint: %q\n  ca_file: %q\n  headers: [\"file:%s\"]\n", c.URL, trusted, login))
	look := func() []error {
		var errs []error
		for _, s := range tr.files() {
			read, err := s.ReadFunc()
			if err == nil {
				_, err = s.UseFunc(read)
			}
			errs = append(errs, err)
		}
		return errs
	}
	export := func() float64 {
		_, span := tr.tracer().Start(t.Context(), "x")
		span.End()
		if err := tr.provider.ForceFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
		return testutil.ToFloat64(tr.exporter.exported)
	}
	if exported := export(); exported != 0 {
		t.Errorf("%v spans went to a collector of another authority", exported)
	}
	write(trusted, theirs)
	write(login, "Authorization: renewed")
	if errs := look(); len(errs) != 2 || errors.Join(errs...) != nil {
		t.Errorf("new files: %v", errs)
	}
	if exported := export(); exported != 1 || shown.Load() != "renewed" {
		t.Errorf("%v spans exported, with the login %v; the log says %s", exported, shown.Load(), log.String())
	}
	write(login, collectorLogin) // no header
	if err := errors.Join(look()...); err == nil || strings.Contains(err.Error(), "collector-login") {
		t.Errorf("a file without a header: %v", err)
	}
	if exported := export(); exported != 2 || shown.Load() != "renewed" {
		t.Errorf("%v spans exported, with the login %v", exported, shown.Load())
	}
	end(t, tr, 10*time.Second)
}

func TestAWorkerWatchesTheFilesOfItsCollector(t *testing.T) {
	t.Parallel()
	login := filepath.Join(t.TempDir(), "login")
	if err := os.WriteFile(login, []byte("Authorization: "+collectorLogin), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := New(tracingConfig(t, "trace: {endpoint: \"https://localhost\", headers: \"file:"+login+"\"}\n"), "test", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if watched, err := testutil.GatherAndCount(w.reg, "refund_worker_files_unfit"); watched != 1 || err != nil {
		t.Errorf("%d settings are watched, %v; want trace.headers alone", watched, err)
	}
}

func TestTheProducerDecidesWhatIsSampledAndTheShareTheRest(t *testing.T) {
	t.Parallel()
	c := newCollector(t, httptest.NewServer, takes)
	for _, tt := range []struct {
		share    string
		producer trace.TraceFlags
		fromUs   bool
	}{
		{"0", trace.FlagsSampled, false},
		{"1", 0, true},
	} {
		tr, _ := begin(t, fmt.Sprintf("trace: {endpoint: %q, sample: %s}\n", c.URL, tt.share))
		_, ours := tr.tracer().Start(t.Context(), "x")
		_, theirs := tr.tracer().Start(trace.ContextWithRemoteSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: tt.producer, Remote: true,
		})), "x")
		if ours.IsRecording() != tt.fromUs || theirs.IsRecording() != tt.producer.IsSampled() {
			t.Errorf("share %s: ours %v, theirs %v", tt.share, ours.IsRecording(), theirs.IsRecording())
		}
		end(t, tr, 10*time.Second)
	}
}

// The library reads variables of its own, and would write to stderr what it cannot read in them.
func TestTheLibrarysOwnVariablesChangeNeitherCollectorNorName(t *testing.T) {
	c := newCollector(t, httptest.NewServer, takes)
	elsewhere := newCollector(t, httptest.NewServer, takes)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", elsewhere.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "nonsense")
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	t.Setenv("OTEL_SERVICE_NAME", "other")
	tr, _ := begin(t, endpoint(c.URL))
	_, span := tr.tracer().Start(t.Context(), "x")
	span.End()
	end(t, tr, 10*time.Second)
	if c.asked.Load() != 1 || elsewhere.asked.Load() != 0 {
		t.Errorf("%d requests to the collector, %d elsewhere", c.asked.Load(), elsewhere.asked.Load())
	}
	recorded, ok := span.(sdktrace.ReadOnlySpan)
	if !ok || !strings.Contains(recorded.Resource().String(), "service.name=refund-worker") {
		t.Errorf("%T: %v", span, recorded.Resource())
	}
}
