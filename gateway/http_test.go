package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"refundworker/refund"
)

const testAccount = "hk"

func newHTTP(t *testing.T, cfg HTTPConfig) (*HTTP, *Metrics) {
	t.Helper()
	m := NewMetrics(prometheus.NewRegistry(), []string{testAccount})
	h, err := NewHTTP(cfg, testAccount, m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h, m
}

// peer is a raw TCP server. Each connection is served by serve; whole requests that it read are counted.
type peer struct {
	url      string
	requests atomic.Int32
	accepted atomic.Int32
}

func newPeer(t *testing.T, serve func(p *peer, c *net.TCPConn)) *peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a listener of the test, closed by it
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{url: "http://" + l.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.accepted.Add(1)
			running.Go(func() {
				defer func() { _ = c.Close() }()
				tcp, ok := c.(*net.TCPConn)
				if !ok {
					t.Error("not a TCP connection")
					return
				}
				_ = tcp.SetDeadline(time.Now().Add(30 * time.Second))
				serve(p, tcp)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	return p
}

// readRequest takes one whole request from the connection.
func (p *peer) readRequest(c net.Conn) bool {
	req, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return false
	}
	if _, err := io.ReadAll(req.Body); err != nil {
		return false
	}
	p.requests.Add(1)
	return true
}

// hold keeps the connection until the client gives it up.
func hold(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// reset ends the connection with RST.
func reset(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() }

func write(c net.Conn, text string) { _, _ = io.WriteString(c, text) }

const okHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

// A failure after the first byte was written is unknown, whatever it looks like, and is never tried again.
func TestAFailureAfterWritingIsUnknown(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		serve func(p *peer, c *net.TCPConn)
		stage Stage
		is    error
		as    func(error) bool
	}{
		{name: "reset after the headers were read", stage: StageWait, is: syscall.ECONNRESET, serve: func(p *peer, c *net.TCPConn) {
			p.readRequest(c)
			reset(c)
		}},
		{name: "end of file before an answer", stage: StageWait, is: ErrNoAnswer, serve: func(p *peer, c *net.TCPConn) {
			p.readRequest(c)
		}},
		{name: "partial head", stage: StageHead, is: io.ErrUnexpectedEOF, serve: func(p *peer, c *net.TCPConn) {
			p.readRequest(c)
			write(c, okHead)
		}},
		{name: "partial status line", stage: StageHead, is: ErrMalformed, serve: func(p *peer, c *net.TCPConn) {
			p.readRequest(c)
			write(c, "HTTP/1.1 20")
		}},
		{name: "not HTTP", stage: StageHead, is: ErrMalformed, serve: func(p *peer, c *net.TCPConn) {
			p.readRequest(c)
			write(c, "SSH-2.0-OpenSSH_9.9\r\n\r\n")
		}},
		{name: "head too long", stage: StageHead, is: ErrMalformed, serve: func(p *peer, c *net.TCPConn) {
			p.readRequest(c)
			write(c, okHead+"X-Long: "+strings.Repeat("x", maxHead+1)+"\r\n\r\n")
		}},
		{name: "reset in the middle of the body", stage: StageBody, serve: func(p *peer, c *net.TCPConn) {
			p.readRequest(c)
			write(c, okHead+"Content-Length: 100\r\n\r\n{\"a\":")
			// The client has to have read the first part, or the reset would overtake it.
			select {
			case <-time.After(time.Second):
			case <-t.Context().Done():
			}
			reset(c)
		}},
		{name: "truncated body", stage: StageBody, is: io.ErrUnexpectedEOF, serve: func(p *peer, c *net.TCPConn) {
			p.readRequest(c)
			write(c, okHead+"Content-Length: 100\r\n\r\n{\"a\":1}")
		}},
		{name: "truncated chunk", stage: StageBody, is: io.ErrUnexpectedEOF, serve: func(p *peer, c *net.TCPConn) {
			p.readRequest(c)
			write(c, okHead+"Transfer-Encoding: chunked\r\n\r\n7\r\n{\"a\"")
		}},
		{name: "chunk size that is no number", stage: StageBody, is: ErrMalformed, serve: func(p *peer, c *net.TCPConn) {
			p.readRequest(c)
			write(c, okHead+"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
		}},
		{name: "body announced over the limit", stage: StageBody, as: isTooLarge, serve: func(p *peer, c *net.TCPConn) {
			p.readRequest(c)
			write(c, okHead+"Content-Length: 1025\r\n\r\n")
			hold(c)
		}},
		{name: "body over the limit without a length", stage: StageBody, as: isTooLarge, serve: func(p *peer, c *net.TCPConn) {
			p.readRequest(c)
			write(c, okHead+"\r\n"+strings.Repeat("x", 1025))
		}},
		{name: "no answer in time", stage: StageWait, is: ErrTimeout, serve: func(p *peer, c *net.TCPConn) {
			p.readRequest(c)
			hold(c)
		}},
		{name: "slow head", stage: StageHead, is: ErrTimeout, serve: func(p *peer, c *net.TCPConn) {
			p.readRequest(c)
			write(c, "HTTP/1.1 200 OK\r\nConte")
			hold(c)
		}},
		{name: "slow body", stage: StageBody, is: ErrTimeout, serve: func(p *peer, c *net.TCPConn) {
			p.readRequest(c)
			write(c, okHead+"Content-Length: 100\r\n\r\n{")
			hold(c)
		}},
		{name: "request half read, then reset", stage: StageWait, serve: func(_ *peer, c *net.TCPConn) {
			_, _ = c.Read(make([]byte, 1))
			reset(c)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			// Long enough for a busy machine to get to the stage in question.
			timeout := 20 * time.Second
			if errors.Is(tc.is, ErrTimeout) {
				timeout = 2 * time.Second
			}
			p := newPeer(t, tc.serve)
			h, _ := newHTTP(t, HTTPConfig{BaseURL: p.url, Timeout: timeout, MaxAnswer: 1024})
			_, err := h.Post(t.Context(), "/x", http.Header{}, []byte(`{}`))
			lost, ok := errors.AsType[*LostError](err)
			if !ok || Verdict(err) != refund.Unknown {
				t.Fatalf("error = %v (%T), want a LostError and Unknown", err, err)
			}
			if lost.Stage != tc.stage {
				t.Errorf("stage = %q, want %q (%v)", lost.Stage, tc.stage, err)
			}
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("error = %v, want %v", err, tc.is)
			}
			if tc.as != nil && !tc.as(err) {
				t.Errorf("error = %v has the wrong type", err)
			}
			if n := p.requests.Load(); n > 1 {
				t.Errorf("the peer saw %d requests, want 1 at most", n)
			}
			if n := p.accepted.Load(); n != 1 {
				t.Errorf("the peer saw %d connections, want 1", n)
			}
		})
	}
}

func isTooLarge(err error) bool {
	e, ok := errors.AsType[*TooLargeError](err)
	return ok && e.Limit == 1024
}

func TestAnAnswerIsReturnedAsItCame(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, answer string
		status       int
		body         string
	}{
		{"200", okHead + "Content-Length: 7\r\n\r\n{\"a\":1}", 200, `{"a":1}`},
		{"100 continue before it", "HTTP/1.1 100 Continue\r\n\r\n" + okHead + "Content-Length: 2\r\n\r\n{}", 200, `{}`},
		{"103 early hints before it", "HTTP/1.1 103 Early Hints\r\n\r\n" + okHead + "Content-Length: 2\r\n\r\n{}", 200, `{}`},
		{"101 switching protocols", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nendless", 101, ""},
		{"302 is not followed", "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", 302, ""},
		{"307 is not followed", "HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", 307, ""},
		{"length that is too short cuts", okHead + "Content-Length: 3\r\n\r\n{\"a\":1}", 200, `{"a`},
		{"gzip is left alone", okHead + "Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\ngzip", 200, "gzip"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := newPeer(t, func(p *peer, c *net.TCPConn) {
				if p.readRequest(c) {
					write(c, tc.answer)
					hold(c)
				}
			})
			h, _ := newHTTP(t, HTTPConfig{BaseURL: p.url})
			ans, err := h.Post(t.Context(), "/x", http.Header{}, []byte(`{}`))
			if err != nil {
				t.Fatal(err)
			}
			if ans.Status != tc.status || string(ans.Body) != tc.body {
				t.Errorf("answer = %d %q, want %d %q", ans.Status, ans.Body, tc.status, tc.body)
			}
			if n := p.requests.Load(); n != 1 {
				t.Errorf("the peer saw %d requests, want 1", n)
			}
		})
	}
}

// Two writes would be two packets, and two TLS records.
func TestARequestLeavesInOneWriteWithItsHeaders(t *testing.T) {
	t.Parallel()
	var got string
	p := newPeer(t, func(_ *peer, c *net.TCPConn) {
		buf := make([]byte, 4096)
		n, _ := c.Read(buf)
		got = string(buf[:n])
		write(c, okHead+"Content-Length: 0\r\n\r\n")
	})
	h, _ := newHTTP(t, HTTPConfig{BaseURL: p.url + "/VMP"})
	if _, err := h.Post(t.Context(), "/a", http.Header{"X-One": {"1"}, "User-Agent": {"u"}}, []byte(`{"k":"v"}`)); err != nil {
		t.Fatal(err)
	}
	want := "POST /VMP/a HTTP/1.1\r\nHost: " + strings.TrimPrefix(p.url, "http://") +
		"\r\nUser-Agent: u\r\nContent-Length: 9\r\nX-One: 1\r\n\r\n{\"k\":\"v\"}"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bytes on the wire (-want +got):\n%s", diff)
	}
}

func TestNothingIsSentWithoutAConnection(t *testing.T) {
	t.Parallel()
	closed := newPeer(t, func(*peer, *net.TCPConn) {})
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // only its address is wanted
	if err != nil {
		t.Fatal(err)
	}
	refusing := "http://" + l.Addr().String()
	_ = l.Close()
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(untrusted.Close)
	untrusted.Config.ErrorLog = nil
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10} //nolint:gosec // the point of the test
	old.StartTLS()
	t.Cleanup(old.Close)
	silent := newPeer(t, func(_ *peer, c *net.TCPConn) { hold(c) })

	for _, tc := range []struct {
		name, url, step string
		is              error
	}{
		{"dial refused", refusing, "dial", syscall.ECONNREFUSED},
		{"name that does not resolve", "https://gateway.invalid", "dial", nil},
		{"certificate of nobody we trust", untrusted.URL, "tls handshake", nil},
		{"TLS older than 1.2", old.URL, "tls handshake", nil},
		{"TLS spoken to a server without", strings.Replace(closed.url, "http:", "https:", 1), "tls handshake", nil},
		{"handshake without an end", strings.Replace(silent.url, "http:", "https:", 1), "tls handshake", ErrConnectTimeout},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h, m := newHTTP(t, HTTPConfig{BaseURL: tc.url, ConnectTimeout: 2 * time.Second})
			_, err := h.Post(t.Context(), "/x", http.Header{}, []byte(`{}`))
			if Verdict(err) != refund.NotSent {
				t.Fatalf("error = %v (%T), want NotSent", err, err)
			}
			if e, ok := errors.AsType[*ConnectError](err); !ok || e.Step != tc.step {
				t.Errorf("error = %v, want a ConnectError of %q", err, tc.step)
			}
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("error = %v, want %v", err, tc.is)
			}
			if n := testutil.ToFloat64(m.connections.WithLabelValues(testAccount, connectionFailed)); n != 1 {
				t.Errorf("%v failed connections counted, want 1", n)
			}
		})
	}
}

func TestWaitingForAConnectionSendsNothing(t *testing.T) {
	t.Parallel()
	p := newPeer(t, func(p *peer, c *net.TCPConn) { p.readRequest(c); hold(c) })
	h, _ := newHTTP(t, HTTPConfig{BaseURL: p.url, InFlight: 1, Timeout: 5 * time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := h.Post(ctx, "/x", http.Header{}, []byte(`{}`))
		first <- err
	}()
	for p.requests.Load() == 0 {
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the first request never came")
		}
	}
	short, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	_, err := h.Post(short, "/x", http.Header{}, []byte(`{}`))
	if Verdict(err) != refund.NotSent || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("second call: %v, want NotSent by deadline", err)
	}
	cancel()
	if err := <-first; Verdict(err) != refund.Unknown || !errors.Is(err, context.Canceled) {
		t.Errorf("first call: %v, want Unknown by cancellation", err)
	}
	if n := p.requests.Load(); n != 1 {
		t.Errorf("the peer saw %d requests, want 1", n)
	}
}
