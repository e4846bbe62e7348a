package observe

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"refundworker/internal/serve"
)

// name is what logs and errors call the listener.
const name = "metrics and health"

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

func (c Config) withDefaults() Config {
	c.Listen = cmp.Or(c.Listen, DefaultListen)
	return c
}

// Server shows metrics and health over HTTP:
//
//   - /metrics: everything in the registry, in the Prometheus format
//   - /healthz: 200 as long as the process can answer
//   - /readyz: 200, or 503 with the names of the checks that fail
type Server struct{ *serve.Server }

// New builds a server and adds the health's metrics to the registry. It listens only in [serve.Server.Run]. The error is
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
		ErrorLog: serve.ErrorLog(name, log), MaxRequestsInFlight: maxScrapes, Timeout: gatherTimeout,
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
	return &Server{serve.New(serve.Config{
		Name: name, Listen: cfg.withDefaults().Listen, StopTimeout: shutdownTimeout,
		HTTP: &http.Server{
			Handler: mux, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
			IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		},
	}, log)}, nil
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
