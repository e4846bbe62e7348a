package observe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// running is a server that listens, and what a test does with it.
type running struct {
	addr   string
	health *Health
	reg    *prometheus.Registry
	log    *safeBuffer
	// stop ends the server and returns what Run returned.
	stop func() error
}

func setup(t *testing.T) running {
	t.Helper()
	r := running{health: NewHealth(), reg: NewRegistry("test"), log: &safeBuffer{}}
	server, err := New(Config{Listen: "127.0.0.1:0"}, r.health, r.reg, zerolog.New(r.log))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- server.Run(ctx) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-ran
	})
	t.Cleanup(func() { _ = r.stop() })
	if r.addr, err = server.Addr(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r running) do(t *testing.T, method, path string) (status int, header http.Header, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(raw)
}

// safeBuffer is a log that a test reads while the server writes.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestLivenessIsOKWhateverTheChecksSay(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.health.Set("redis", errors.New("away"))
	status, header, body := r.do(t, http.MethodGet, "/healthz")
	if status != http.StatusOK || body != "{\"status\":\"ok\"}\n" || header.Get("Content-Type") != "application/json" {
		t.Errorf("got %d %s %q", status, header.Get("Content-Type"), body)
	}
}

func TestReadinessFollowsTheChecks(t *testing.T) {
	t.Parallel()
	r := setup(t)
	steps := []struct {
		name   string
		set    func()
		status int
		body   string
	}{
		{"nothing checked", func() {}, http.StatusServiceUnavailable, "{\"status\":\"not ready\"}\n"},
		{"two failing", func() { r.health.Set("redis", errors.New("hunter2")); r.health.Set("kafka", errors.New("hunter2")) }, http.StatusServiceUnavailable, "{\"status\":\"not ready\",\"failing\":[\"kafka\",\"redis\"]}\n"},
		{"one failing", func() { r.health.Set("redis", nil) }, http.StatusServiceUnavailable, "{\"status\":\"not ready\",\"failing\":[\"kafka\"]}\n"},
		{"all passing", func() { r.health.Set("kafka", nil) }, http.StatusOK, "{\"status\":\"ready\"}\n"},
	}
	for _, step := range steps {
		step.set()
		status, header, body := r.do(t, http.MethodGet, "/readyz")
		if status != step.status || body != step.body || header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d %q, cache %q", step.name, status, body, header.Get("Cache-Control"))
		}
	}
}

func TestMetricsShowTheRegistryAndTheHealth(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.health.Set("redis", nil)
	status, _, body := r.do(t, http.MethodGet, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("got %d", status)
	}
	for _, want := range []string{"refund_worker_build_info{", "go_goroutines ", "process_start_time_seconds ", "refund_worker_ready 1", `refund_worker_check_passing{check="redis"} 1`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing", want)
		}
	}
}

func TestACollectorThatFailsDoesNotHideTheOthers(t *testing.T) {
	t.Parallel()
	r := setup(t)
	desc := prometheus.NewDesc("refund_worker_broken", "Fails.", nil, nil)
	r.reg.MustRegister(collector{desc, prometheus.NewInvalidMetric(desc, errors.New("cannot collect"))})
	status, _, body := r.do(t, http.MethodGet, "/metrics")
	if status != http.StatusOK || !strings.Contains(body, "refund_worker_ready 0") {
		t.Errorf("got %d %q", status, body)
	}
	if !strings.Contains(r.log.String(), "cannot collect") {
		t.Errorf("the failure is not in the log: %s", r.log)
	}
}

type collector struct {
	desc   *prometheus.Desc
	metric prometheus.Metric
}

func (c collector) Describe(descs chan<- *prometheus.Desc)   { descs <- c.desc }
func (c collector) Collect(metrics chan<- prometheus.Metric) { metrics <- c.metric }

func TestOnlyReadingOfKnownPathsIsServed(t *testing.T) {
	t.Parallel()
	r := setup(t)
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{http.MethodHead, "/healthz", http.StatusOK},
		{http.MethodPost, "/metrics", http.StatusMethodNotAllowed},
		{http.MethodDelete, "/readyz", http.StatusMethodNotAllowed},
		{http.MethodGet, "/", http.StatusNotFound},
		{http.MethodGet, "/debug/pprof/", http.StatusNotFound},
		{http.MethodGet, "/metrics/x", http.StatusNotFound},
	} {
		if status, _, _ := r.do(t, tt.method, tt.path); status != tt.want {
			t.Errorf("%s %s: got %d, want %d", tt.method, tt.path, status, tt.want)
		}
	}
}

func TestRunEndsCleanlyWithItsContext(t *testing.T) {
	t.Parallel()
	r := setup(t)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	var dialer net.Dialer
	if conn, err := dialer.DialContext(t.Context(), "tcp", r.addr); err == nil {
		_ = conn.Close()
		t.Error("the listener is still there")
	}
	if !strings.Contains(r.log.String(), `"addr":"`+r.addr+`"`) {
		t.Errorf("the address is not in the log: %s", r.log)
	}
}

func TestRunDoesNotWaitLongForAReaderThatHangs(t *testing.T) {
	t.Parallel()
	r := setup(t)
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	// Half a request keeps the connection busy until its header timeout, which is longer than a stop may take.
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took >= headerTimeout {
		t.Errorf("the stop took %s", took)
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is still open: %v", err)
	}
}

func TestAPortInUseIsAnErrorThatSaysSo(t *testing.T) {
	t.Parallel()
	r := setup(t)
	server, err := New(Config{Listen: r.addr}, NewHealth(), NewRegistry("test"), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	err = server.Run(t.Context())
	if !errors.Is(err, syscall.EADDRINUSE) || err.Error() != "listen for metrics and health: listen tcp "+r.addr+": bind: address already in use" {
		t.Errorf("got %v", err)
	}
}

func TestAContextThatHasEndedIsNoFailure(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	errStopped := errors.New("stopped")
	cancel(errStopped)
	// The name would have to be looked up, which a context that has ended no longer allows.
	for _, listen := range []string{"127.0.0.1:0", "name.invalid:0"} {
		server, err := New(Config{Listen: listen}, NewHealth(), NewRegistry("test"), zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := server.Addr(ctx); !errors.Is(err, errStopped) {
			t.Errorf("%s: Addr: got %v", listen, err)
		}
		if err := server.Run(ctx); err != nil {
			t.Errorf("%s: Run: got %v", listen, err)
		}
	}
}

func TestAServerThatCannotBeBuiltSaysWhy(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Listen: "localhost"}, NewHealth(), NewRegistry("test"), zerolog.Nop())
	if err == nil || err.Error() != `listen address "localhost" is not host:port: address localhost: missing port in address` {
		t.Errorf("got %v", err)
	}
	reg, health := NewRegistry("test"), NewHealth()
	if _, err := New(Config{}, health, reg, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	var already prometheus.AlreadyRegisteredError
	if _, err := New(Config{}, health, reg, zerolog.Nop()); !errors.As(err, &already) {
		t.Errorf("got %v", err)
	}
}

func TestAServerThatWasToldNothingListensOnThisMachineOnly(t *testing.T) {
	t.Parallel()
	listen := Config{}.withDefaults().Listen
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		t.Fatal(err)
	}
	if !net.ParseIP(host).IsLoopback() {
		t.Errorf("it listens on %s", listen)
	}
}
