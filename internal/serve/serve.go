// Package serve runs an HTTP listener of a process: it listens, serves until it is told to stop, gives running requests
// a bounded time to end, and cuts the rest.
//
// It owns a listener's life and what net/http logs about it. It refuses to know what is served: handler, timeouts and
// limits are those of whoever brings them.
//
// Its invariant: once the context of [Server.Run] has ended no new connection is accepted, and Run returns within
// [Config.StopTimeout].
package serve

import (
	"context"
	"errors"
	"fmt"
	stdlog "log" //nolint:depguard // net/http takes no other logger; it ends in ours
	"net"
	"net/http"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/net/netutil"
)

// Config is a listener.
type Config struct {
	// Name is what logs and errors call it, such as "metrics and health".
	Name string
	// Listen is host:port; an empty host is every interface, port 0 lets the system choose.
	Listen string
	// HTTP has the handler, the timeouts and the limits. Its ErrorLog is set here.
	HTTP *http.Server
	// MaxConns is how many connections may be open at once, and ConnRate how many are taken in a second, after as many at
	// once as may be open. Further ones wait in the system's queue. 0 and 0: no limits; one goes with the other.
	MaxConns, ConnRate int
	// StopTimeout is how long running requests may go on after a stop before they are cut.
	StopTimeout time.Duration
}

// Server is a listener that has not begun, is serving, or has ended.
type Server struct {
	cfg Config
	log zerolog.Logger
	// bound is closed once addr is set.
	bound chan struct{}
	addr  string
}

// New makes a server. It listens only in [Server.Run].
func New(cfg Config, log zerolog.Logger) *Server {
	cfg.HTTP.ErrorLog = ErrorLog(cfg.Name, log)
	return &Server{cfg: cfg, log: log, bound: make(chan struct{})}
}

// Run listens, serves until ctx ends, lets running requests finish for the stop timeout, and returns nil. It is called
// once. An address that cannot be listened on is an error that unwraps to the system's, such as syscall.EADDRINUSE.
func (s *Server) Run(ctx context.Context) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", s.cfg.Listen)
	if ctx.Err() != nil {
		if listener != nil {
			_ = listener.Close()
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("listen for %s: %w", s.cfg.Name, err)
	}
	return s.Serve(ctx, listener)
}

// Serve is Run on a listener that is there already; it closes it.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	s.addr = listener.Addr().String()
	close(s.bound)
	if s.cfg.MaxConns > 0 {
		listener = paced(netutil.LimitListener(listener, s.cfg.MaxConns), s.cfg.ConnRate, s.cfg.MaxConns)
	}
	s.log.Info().Str("addr", s.addr).Msg("serving " + s.cfg.Name)
	served := make(chan error, 1)
	go func() { served <- s.cfg.HTTP.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", s.cfg.Name, err)
	case <-ctx.Done():
	}
	// ctx has ended; what is being answered gets its own, short time.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.StopTimeout)
	defer cancel()
	if err := s.cfg.HTTP.Shutdown(last); err != nil {
		// Somebody holds a connection for longer than that. It is cut: the process must not wait for a peer.
		_ = s.cfg.HTTP.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", s.cfg.Name, err)
	}
	return nil
}

// Addr waits until the server listens and returns its address, with the port the system chose for port 0. It fails only
// with the cause of ctx.
func (s *Server) Addr(ctx context.Context) (string, error) {
	select {
	case <-s.bound:
		return s.addr, nil
	case <-ctx.Done():
		return "", fmt.Errorf("wait for the listener for %s: %w", s.cfg.Name, context.Cause(ctx))
	}
}

// ErrorLog is a logger for net/http and its like whose lines become warnings of ours.
func ErrorLog(name string, log zerolog.Logger) *stdlog.Logger {
	return stdlog.New(lines{name, log}, "", 0)
}

type lines struct {
	name string
	log  zerolog.Logger
}

// Write logs one line.
func (l lines) Write(line []byte) (int, error) {
	l.log.Warn().Str("detail", string(line[:max(0, len(line)-1)])).Msg("listener for " + l.name)
	return len(line), nil
}
