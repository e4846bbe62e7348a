package worker

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"refundworker/internal/config"
	"refundworker/internal/reload"
)

const (
	// serviceName is what a tracing backend calls the fleet.
	serviceName = "refund-worker"
	// exportInterval is the longest that a span waits for others before it is sent.
	exportInterval = 2 * time.Second
	// exportTimeout bounds the sending of one batch, repeats included. What was not taken by then is dropped.
	exportTimeout = 10 * time.Second
	// exportQueue is how many spans wait while the collector is slow or away. More are dropped: a refund never waits.
	exportQueue = 2048
	exportBatch = 512
	// collectorInterval is the pause between two log lines about a collector that does not take spans.
	collectorInterval = time.Minute
	// longestTrouble bounds such a line, because part of it can be the collector's text.
	longestTrouble = 256
)

// tracing sends spans to a collector. Nothing of a refund waits for it: a span is put into a queue, or dropped. nil is
// tracing that is off.
type tracing struct {
	provider *sdktrace.TracerProvider
	exporter *exporter
	client   *http.Client
	ended    prometheus.Counter
	version  string
	sources  []reload.Source
}

// newTracing connects to nothing and starts nothing. It is nil without an endpoint.
func newTracing(cfg config.Trace, version string, log zerolog.Logger, reg prometheus.Registerer) (*tracing, error) {
	if cfg.Endpoint == "" {
		return nil, nil //nolint:nilnil // nil is tracing that is off, and all its methods know it
	}
	authorities, err := newCertificates(cfg.TLS(), nil)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	way := newCollectorTransport(authorities, cfg.Header())
	f := promauto.With(reg)
	e := &exporter{log: log, exported: f.NewCounter(prometheus.CounterOpts{
		Name: "refund_worker_trace_spans_exported_total", Help: "Spans that the collector took.",
	})}
	// The library would write to stderr, past our log. Failed exports never come here; what does are variables of its own
	// that it cannot read, which it quotes, and they may hold a login.
	otel.SetLogger(logr.Discard())
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {
		log.Warn().Msg("a variable of OpenTelemetry's own, OTEL_..., cannot be read and is ignored")
	}))

	client := &http.Client{
		Timeout: exportTimeout, Transport: way,
		// A redirect would take the headers, and with them the login, somewhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	e.SpanExporter, err = otlptracehttp.New(context.Background(),
		otlptracehttp.WithEndpointURL(cfg.Endpoint+"/v1/traces"), otlptracehttp.WithHeaders(map[string]string{}), otlptracehttp.WithHTTPClient(client),
		otlptracehttp.WithEncoding(otlptracehttp.EncodingProtobuf), otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
		otlptracehttp.WithMaxResponseSize(1<<20), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
			Enabled: true, InitialInterval: time.Second, MaxInterval: exportTimeout / 2, MaxElapsedTime: exportTimeout,
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	headers := secretSource("trace.headers", "", func(lines []string) (string, error) {
		header, err := cfg.HeaderWith(lines)
		if err == nil {
			way.header.Store(&header)
		}
		return "", err
	}, cfg.Headers...)
	self, err := resource.New(context.Background(), resource.WithService(), resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName(serviceName), semconv.ServiceVersion(version)))
	if err != nil {
		return nil, fmt.Errorf("trace: describe this process: %w", err)
	}
	return &tracing{
		provider: sdktrace.NewTracerProvider(sdktrace.WithResource(self),
			sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(cfg.Sample)))),
		exporter: e, client: client, version: version, sources: append(authorities.source("trace.ca_file"), headers...),
		ended: f.NewCounter(prometheus.CounterOpts{
			Name: "refund_worker_trace_spans_ended_total", Help: "Spans to be exported. Those that were not exported are queued or lost.",
		}),
	}, nil
}

// tracer is nil while tracing is off.
func (t *tracing) tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer("refundworker/refund", trace.WithInstrumentationVersion(t.version), trace.WithSchemaURL(semconv.SchemaURL))
}

// files are the authorities and the headers, which may change while the worker runs.
func (t *tracing) files() []reload.Source {
	if t == nil {
		return nil
	}
	return t.sources
}

// start begins to export; close ends it.
func (t *tracing) start() {
	if t == nil {
		return
	}
	t.provider.RegisterSpanProcessor(counted{t.ended, sdktrace.NewBatchSpanProcessor(t.exporter,
		sdktrace.WithMaxQueueSize(exportQueue), sdktrace.WithMaxExportBatchSize(exportBatch),
		sdktrace.WithBatchTimeout(exportInterval), sdktrace.WithExportTimeout(exportTimeout))})
}

// close sends what is queued, until ctx ends: then the running request is cut, and the rest is dropped.
func (t *tracing) close(ctx context.Context) {
	if t == nil {
		return
	}
	patient := context.WithoutCancel(ctx)
	cut := context.AfterFunc(ctx, func() {
		if err := t.exporter.Shutdown(patient); err != nil {
			t.exporter.trouble(err)
		}
	})
	defer cut()
	if err := t.provider.Shutdown(patient); err != nil {
		t.exporter.trouble(err)
	}
	t.client.CloseIdleConnections()
}

// counted counts the spans that are handed to a processor: it drops what its queue cannot hold, silently.
type counted struct {
	ended prometheus.Counter
	sdktrace.SpanProcessor
}

// OnEnd is called with every sampled span.
func (c counted) OnEnd(s sdktrace.ReadOnlySpan) {
	c.ended.Inc()
	c.SpanProcessor.OnEnd(s)
}

// exporter counts what the collector takes, and says so when it takes nothing: once per interval, however many batches
// are lost.
type exporter struct {
	sdktrace.SpanExporter
	log      zerolog.Logger
	exported prometheus.Counter

	mu   sync.Mutex
	said time.Time
}

// ExportSpans never fails: what becomes of an error is decided here.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.trouble(err)
		return nil
	}
	e.exported.Add(float64(len(spans)))
	return nil
}

// trouble logs an error of tracing, unless one was logged a moment ago.
func (e *exporter) trouble(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := time.Now(); e.said.IsZero() || now.Sub(e.said) >= collectorInterval {
		e.said = now
		text := err.Error()
		e.log.Warn().Str("error", strings.ToValidUTF8(text[:min(len(text), longestTrouble)], "")).
			Msg("spans could not be exported and are lost; refunds do not depend on it")
	}
}

// collectorTransport is the way to the collector: with the headers and the authorities that are in use when a request, or
// a connection, begins. It reduces a refusal to its status, whose text goes into an error and could repeat the login that
// was refused.
type collectorTransport struct {
	*http.Transport
	header atomic.Pointer[map[string]string]
}

func newCollectorTransport(authorities *certificates, header map[string]string) *collectorTransport {
	dialer := &net.Dialer{Timeout: exportTimeout / 2} // the TLS handshake included
	t := &collectorTransport{Transport: &http.Transport{
		DialContext: dialer.DialContext,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return (&tls.Dialer{NetDialer: dialer, Config: authorities.now.Load()}).DialContext(ctx, network, address)
		},
		MaxIdleConns: 1, IdleConnTimeout: time.Minute,
	}}
	t.header.Store(&header)
	return t
}

// RoundTrip leaves answers of success as they are.
func (t *collectorTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	for name, value := range *t.header.Load() {
		req.Header.Set(name, value)
	}
	resp, err := t.Transport.RoundTrip(req)
	if err != nil || resp.StatusCode/100 == 2 {
		return resp, err
	}
	_ = resp.Body.Close()
	resp.Status = fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	resp.Body = io.NopCloser(strings.NewReader(resp.Status))
	return resp, nil
}
