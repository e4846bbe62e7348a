package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"
)

// conn is a connection to the gateway as the HTTP transport sees it. It asks the call that has taken it before every
// write of the request, above TLS, so that alerts and key updates are not mistaken for the request.
type conn struct {
	net.Conn
	// wire counts what really left, below TLS.
	wire *wire
	call atomic.Pointer[call]
}

// Write lets the call's guard decide, and tells it when the first write moved nothing at all. Without TLS records on
// the wire nothing of the request can be read by anyone: a record that did not leave whole is worthless, but one byte
// of it is enough here to call the request written.
func (c *conn) Write(p []byte) (int, error) {
	cl := c.call.Load()
	if cl == nil {
		return 0, errNoCall
	}
	first, err := cl.begin()
	if err != nil {
		return 0, err
	}
	before := c.wire.sent.Load()
	n, err := c.Conn.Write(p)
	if err != nil && first && c.wire.sent.Load() == before {
		cl.undo()
	}
	return n, err
}

// Read notes that an answer has begun.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		if cl := c.call.Load(); cl != nil {
			cl.answered.Store(true)
		}
	}
	return n, err
}

// wire is the TCP connection with a count of the bytes that the kernel took.
type wire struct {
	net.Conn
	sent atomic.Int64
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.sent.Add(int64(n))
	return n, err
}

// dialer opens connections. It is bounded by itself: the transport detaches a dial from the call that asked for it.
type dialer struct {
	dialFunc func(ctx context.Context, network, address string) (net.Conn, error)
	tls      *tls.Config
	timeout  time.Duration
	// count is told "opened" or "failed".
	count func(result string)
}

// plain opens a connection without TLS.
func (d *dialer) plain(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d.timeout, ErrConnectTimeout)
	defer cancel()
	w, err := d.wire(ctx, network, address)
	if err != nil {
		d.count(connectionFailed)
		return nil, err
	}
	d.count(connectionOpened)
	return &conn{Conn: w, wire: w}, nil
}

// secure opens a connection with TLS, its handshake done.
func (d *dialer) secure(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d.timeout, ErrConnectTimeout)
	defer cancel()
	c, err := d.handshake(ctx, network, address)
	if err != nil {
		d.count(connectionFailed)
		return nil, err
	}
	d.count(connectionOpened)
	return c, nil
}

func (d *dialer) handshake(ctx context.Context, network, address string) (*conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &ConnectError{Step: "dial", Err: err}
	}
	w, err := d.wire(ctx, network, address)
	if err != nil {
		return nil, err
	}
	cfg := d.tls.Clone()
	cfg.ServerName = host
	t := tls.Client(w, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = w.Close()
		return nil, connectError(ctx, "tls handshake", err)
	}
	return &conn{Conn: t, wire: w}, nil
}

func (d *dialer) wire(ctx context.Context, network, address string) (*wire, error) {
	c, err := d.dialFunc(ctx, network, address)
	if err != nil {
		return nil, connectError(ctx, "dial", err)
	}
	return &wire{Conn: c}, nil
}

// connectError names the timeout instead of what it looked like from inside.
func connectError(ctx context.Context, step string, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return &ConnectError{Step: step, Err: err}
}
