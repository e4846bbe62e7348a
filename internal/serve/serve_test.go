package serve

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// start serves on a free port until the test ends; stop ends it and returns what Run returned.
func start(t *testing.T, cfg Config, log zerolog.Logger) (addr string, stop func() error) {
	t.Helper()
	cfg.Name, cfg.Listen = "tests", "127.0.0.1:0"
	server := New(cfg, log)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- server.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ran
	})
	t.Cleanup(func() { _ = stop() })
	addr, err := server.Addr(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return addr, stop
}

func get(t *testing.T, addr string) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func TestAStopLetsARunningRequestEndAndCutsOneThatDoesNot(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		timeout time.Duration
		ends    bool
	}{"ends": {time.Minute, true}, "does not": {10 * time.Millisecond, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			running, release := make(chan struct{}), make(chan struct{})
			addr, stop := start(t, Config{StopTimeout: tc.timeout, HTTP: &http.Server{
				ReadHeaderTimeout: time.Minute,
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					close(running)
					select {
					case <-release:
					case <-r.Context().Done():
					}
					w.WriteHeader(http.StatusTeapot)
				}),
			}}, zerolog.Nop())
			answered := make(chan bool, 1)
			go func() {
				status, err := get(t, addr)
				answered <- err == nil && status == http.StatusTeapot
			}()
			<-running
			stopped := make(chan error, 1)
			go func() { stopped <- stop() }()
			if tc.ends {
				until(t, func() bool { return refused(t, addr) })
				close(release)
			}
			if err := <-stopped; err != nil {
				t.Errorf("Run: %v", err)
			}
			if got := <-answered; got != tc.ends {
				t.Errorf("answered %v, want %v", got, tc.ends)
			}
		})
	}
}

// refused says that nobody listens any more.
func refused(t *testing.T, addr string) bool {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err == nil {
		_ = conn.Close()
	}
	return err != nil
}

// until waits for what another goroutine brings about.
func until(t *testing.T, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-t.Context().Done():
			t.Fatal("it never came about")
		}
	}
}

func TestAListenerThatBreaksIsAnError(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	server := New(Config{Name: "tests", HTTP: &http.Server{ReadHeaderTimeout: time.Second}}, zerolog.Nop())
	if err := server.Serve(t.Context(), listener); !errors.Is(err, net.ErrClosed) || !strings.HasPrefix(err.Error(), "serve tests: ") {
		t.Errorf("Serve: %v", err)
	}
}

func TestWhatNetHTTPLogsBecomesALineOfOurs(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	ErrorLog("tests", zerolog.New(&out)).Println("http: panic serving")
	if want := `{"level":"warn","detail":"http: panic serving","message":"listener for tests"}` + "\n"; out.String() != want {
		t.Errorf("got %s", out.String())
	}
}
