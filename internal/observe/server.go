package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	stdlog "log" //nolint:depguard // net/http takes no other logger; it ends in ours
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
)

// The listener's limits. A scrape takes milliseconds; whoever needs longer holds a connection for nothing.
const (
	headerTimeout   = 5 * time.Second
	readTimeout     = 10 * time.Second
	gatherTimeout   = 10 * time.Second
	writeTimeout    = 15 * time.Second
	idleTimeout     = time.Minute
	shutdownTimeout = 2 * time.Second
	maxHeaderBytes  = 16 << 10
	maxScrapes      = 4
)

// DefaultListen is where a server listens that was told nothing: on this machine only.
const DefaultListen = "127.0.0.1:9090"

// Config is where the listener is.
type Config struct {
	// Listen is host:port; an empty host is every interface, port 0 lets the system choose. Empty: [DefaultListen].
	Listen string
}

// Validate says whether Listen can be an address.
func (c Config) Validate() error {
	if c.Listen == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("listen address %q is not host:port: %w", c.Listen, err)
	}
	return nil
}

// Server shows metrics and health over HTTP:
//
//   - /metrics: everything in the registry, in the Prometheus format
//   - /healthz: 200 as long as the process can answer
//   - /readyz: 200, or 503 with the names of the checks that fail
type Server struct {
	listen  string
	handler http.Handler
	log     zerolog.Logger
	// bound is closed once addr is set.
	bound chan struct{}
	addr  string
}

// New builds a server and adds the health's metrics to the registry. It listens only in [Server.Run]. The error is
// about an address that cannot be one, or a Health that the registry has already.
func New(cfg Config, health *Health, reg *prometheus.Registry, log zerolog.Logger) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := reg.Register(health); err != nil {
		return nil, fmt.Errorf("register health: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		ErrorLog: stdlog.New(lines{log}, "", 0), MaxRequestsInFlight: maxScrapes, Timeout: gatherTimeout,
		// One collector that fails must not blind the operator to all others.
		ErrorHandling: promhttp.ContinueOnError,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, report{Status: "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if notReady, ok := errors.AsType[*NotReadyError](health.Ready()); ok {
			answer(w, http.StatusServiceUnavailable, report{Status: "not ready", Failing: notReady.Failing})
			return
		}
		answer(w, http.StatusOK, report{Status: "ready"})
	})
	listen := cfg.Listen
	if listen == "" {
		listen = DefaultListen
	}
	return &Server{listen: listen, handler: mux, log: log, bound: make(chan struct{})}, nil
}

// Run listens, serves until ctx ends, lets running requests finish for two seconds, and returns nil. It is called
// once. An address that cannot be listened on is an error that unwraps to the system's, such as syscall.EADDRINUSE.
func (s *Server) Run(ctx context.Context) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", s.listen)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("listen for metrics and health: %w", err)
	}
	s.addr = listener.Addr().String()
	close(s.bound)
	server := &http.Server{
		Handler: s.handler, ErrorLog: stdlog.New(lines{s.log}, "", 0),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
	}
	s.log.Info().Str("addr", s.addr).Msg("serving metrics and health")
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve metrics and health: %w", err)
	case <-ctx.Done():
	}
	// ctx has ended; what is being answered gets its own, short time.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		// Somebody holds a connection for longer than that. It is cut: the process must not wait for a reader.
		_ = server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics and health: %w", err)
	}
	return nil
}

// Addr waits until Run listens and returns its address, with the port the system chose for port 0. It fails only with
// the cause of ctx.
func (s *Server) Addr(ctx context.Context) (string, error) {
	select {
	case <-s.bound:
		return s.addr, nil
	case <-ctx.Done():
		return "", fmt.Errorf("wait for the listener: %w", context.Cause(ctx))
	}
}

// report is the body of the health answers.
type report struct {
	Status  string   `json:"status"`
	Failing []string `json:"failing,omitempty"`
}

func answer(w http.ResponseWriter, status int, body report) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// An error here means that the reader has gone.
	_ = json.NewEncoder(w).Encode(body)
}

// lines turns the lines that net/http and promhttp log into lines of ours.
type lines struct{ log zerolog.Logger }

// Write logs one line as a warning.
func (l lines) Write(line []byte) (int, error) {
	l.log.Warn().Str("detail", string(line[:max(0, len(line)-1)])).Msg("metrics and health listener")
	return len(line), nil
}
