package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"refundworker/refund"
)

// As a process sees it that was stopped between getting a connection and writing.
func TestAFrozenProcessWritesNothing(t *testing.T) {
	t.Parallel()
	p := newPeer(t, func(p *peer, c *net.TCPConn) { p.readRequest(c) })
	h, _ := newHTTP(t, HTTPConfig{BaseURL: p.url})
	guard := &call{deadline: time.Now().Add(-time.Nanosecond), done: nil}
	raw, err := h.dialer.plain(t.Context(), "tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	c, ok := raw.(*conn)
	if !ok {
		t.Fatalf("dialed a %T", raw)
	}
	c.call.Store(guard)
	n, err := c.Write([]byte("POST / HTTP/1.1\r\n\r\n"))
	if n != 0 || !errors.Is(err, ErrTooLate) {
		t.Errorf("Write = %d, %v, want 0 and ErrTooLate", n, err)
	}
	if sent := c.wire.sent.Load(); sent != 0 {
		t.Errorf("%d bytes left", sent)
	}
	if !guard.bar() {
		t.Error("the guard does not know that nothing was written")
	}
	_ = c.Close()
}

// The whole path: the context's timer has not fired (its Done channel is open), but its deadline is over when the
// first byte is due.
func TestADeadlineThatPassedUnnoticedSendsNothing(t *testing.T) {
	t.Parallel()
	p := newPeer(t, func(p *peer, c *net.TCPConn) { p.readRequest(c); write(c, okHead+"Content-Length: 0\r\n\r\n"); hold(c) })
	h, _ := newHTTP(t, HTTPConfig{BaseURL: p.url})
	deadline := time.Now().Add(20 * time.Millisecond)
	dial := h.dialer.dialFunc
	h.dialer.dialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		select {
		case <-time.After(time.Until(deadline) + time.Millisecond):
		case <-ctx.Done():
		}
		return dial(ctx, network, address)
	}
	_, err := h.Post(sleeper{t.Context(), deadline}, "/x", http.Header{}, []byte(`{}`))
	if Verdict(err) != refund.NotSent || !errors.Is(err, ErrTooLate) {
		t.Errorf("error = %v (%T), want NotSent and ErrTooLate", err, err)
	}
	if n := p.requests.Load(); n != 0 {
		t.Errorf("the peer saw %d requests", n)
	}
}

// sleeper is a context whose deadline has passed and whose timer has not fired.
type sleeper struct {
	context.Context //nolint:containedctx // it is a context
	deadline        time.Time
}

func (s sleeper) Deadline() (time.Time, bool) { return s.deadline, true }

func TestAnEndedContextSendsNothing(t *testing.T) {
	t.Parallel()
	p := newPeer(t, func(p *peer, c *net.TCPConn) { p.readRequest(c) })
	h, _ := newHTTP(t, HTTPConfig{BaseURL: p.url})
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("worker stops")
	cancel(cause)
	_, err := h.Post(ctx, "/x", http.Header{}, []byte(`{}`))
	if Verdict(err) != refund.NotSent || !errors.Is(err, cause) {
		t.Errorf("error = %v, want NotSent with its cause", err)
	}
}

func TestABadPathSendsNothing(t *testing.T) {
	t.Parallel()
	h, _ := newHTTP(t, HTTPConfig{BaseURL: "http://127.0.0.1:1"})
	_, err := h.Post(t.Context(), "/\x7f", http.Header{}, nil)
	if Verdict(err) != refund.NotSent {
		t.Errorf("error = %v, want NotSent", err)
	}
}

// stub is a connection whose writes fail as scripted.
type stub struct {
	net.Conn
	n    int
	err  error
	read chan struct{}
}

func (s *stub) Write([]byte) (int, error) { return s.n, s.err }
func (s *stub) Read([]byte) (int, error)  { <-s.read; return 0, io.EOF }
func (s *stub) Close() error {
	select {
	case <-s.read:
	default:
		close(s.read)
	}
	return nil
}
func (s *stub) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *stub) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *stub) SetDeadline(time.Time) error      { return nil }
func (s *stub) SetReadDeadline(time.Time) error  { return nil }
func (s *stub) SetWriteDeadline(time.Time) error { return nil }

// A write that fails is judged by the bytes that the kernel took, not by its error.
func TestAFailedWriteIsJudgedByItsBytes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		taken int
		want  refund.Verdict
	}{
		{"the kernel took nothing", 0, refund.NotSent},
		{"the kernel took one byte", 1, refund.Unknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h, _ := newHTTP(t, HTTPConfig{BaseURL: "http://127.0.0.1:1"})
			dials := 0
			h.dialer.dialFunc = func(context.Context, string, string) (net.Conn, error) {
				dials++
				return &stub{n: tc.taken, err: &net.OpError{Op: "write", Err: syscall.EPIPE}, read: make(chan struct{})}, nil
			}
			_, err := h.Post(t.Context(), "/x", http.Header{}, []byte(`{}`))
			if got := Verdict(err); got != tc.want || !errors.Is(err, syscall.EPIPE) {
				t.Errorf("verdict = %s, error %v (%T), want %s and EPIPE", got, err, err, tc.want)
			}
			if dials != 1 {
				t.Errorf("%d connections were opened, want 1: the request must not be tried again", dials)
			}
		})
	}
}

func TestAWriteOutsideOfACallIsRefused(t *testing.T) {
	t.Parallel()
	w := &wire{Conn: &stub{n: 3}}
	c := &conn{Conn: w, wire: w}
	if n, err := c.Write([]byte("abc")); n != 0 || !errors.Is(err, errNoCall) || w.sent.Load() != 0 {
		t.Errorf("Write = %d, %v with %d bytes sent", n, err, w.sent.Load())
	}
}

// dying is a connection that takes one write, and nothing from the second on.
type dying struct {
	net.Conn
	writes int
}

func (d *dying) Write(p []byte) (int, error) {
	if d.writes++; d.writes > 1 {
		return 0, &net.OpError{Op: "write", Err: syscall.EPIPE}
	}
	return d.Conn.Write(p)
}

// net/http would open a new connection here and send the request there. That would be safe; but whether to send again
// is not the transport's business.
func TestAKeptConnectionThatTakesNothingIsNotAReasonToRepeat(t *testing.T) {
	t.Parallel()
	p := newPeer(t, func(p *peer, c *net.TCPConn) {
		if p.readRequest(c) {
			write(c, okHead+"Content-Length: 2\r\n\r\n{}")
			hold(c)
		}
	})
	h, _ := newHTTP(t, HTTPConfig{BaseURL: p.url})
	dial := h.dialer.dialFunc
	h.dialer.dialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		return &dying{Conn: c}, err
	}
	if _, err := h.Post(t.Context(), "/x", http.Header{}, []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	_, err := h.Post(t.Context(), "/x", http.Header{}, []byte(`{}`))
	if Verdict(err) != refund.NotSent || !errors.Is(err, syscall.EPIPE) {
		t.Errorf("error = %v (%T), want NotSent and EPIPE", err, err)
	}
	if requests, conns := p.requests.Load(), p.accepted.Load(); requests != 1 || conns != 1 {
		t.Errorf("the peer saw %d requests on %d connections, want 1 on 1", requests, conns)
	}
}
