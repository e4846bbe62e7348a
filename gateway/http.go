package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"time"
)

const (
	// maxHead bounds an answer's head.
	maxHead = 32 << 10
	// writeBuffer holds head and body of a request together, so that they leave in one write.
	writeBuffer = 8 << 10
	// keepAlive is the interval of TCP's own probes, which find a peer that has vanished.
	keepAlive = 15 * time.Second
)

// HTTP is the way to one account of one gateway: HTTP/1.1 over kept connections, no redirects, no cookies, no proxy,
// no compression, and never a second write of a request. Safe for concurrent use.
type HTTP struct {
	base      string
	timeout   time.Duration
	maxAnswer int64
	transport *http.Transport
	dialer    *dialer
}

// Answer is a complete answer, read whole.
type Answer struct {
	Status int
	Header http.Header
	// Body is as it came on the wire, undecoded.
	Body []byte
}

// NewHTTP builds the client of the named account. It opens no connection.
func NewHTTP(cfg HTTPConfig, account string, metrics *Metrics) (*HTTP, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	tlsConfig, err := cfg.tlsConfig()
	if err != nil {
		return nil, err
	}
	d := &dialer{
		dialFunc: cfg.Dial, tls: tlsConfig, timeout: cfg.ConnectTimeout,
		count: func(result string) { metrics.connection(account, result) },
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &HTTP{
		base: cfg.BaseURL, timeout: cfg.Timeout, maxAnswer: cfg.MaxAnswer, dialer: d,
		transport: &http.Transport{
			Protocols:              protocols,
			DialContext:            d.plain,
			DialTLSContext:         d.secure,
			DisableCompression:     true,
			MaxConnsPerHost:        cfg.InFlight,
			MaxIdleConnsPerHost:    cfg.InFlight,
			IdleConnTimeout:        cfg.IdleTimeout,
			MaxResponseHeaderBytes: maxHead,
			WriteBufferSize:        writeBuffer,
		},
	}, nil
}

// Close closes the connections that no call is using.
func (h *HTTP) Close() { h.transport.CloseIdleConnections() }

// Post sends one request and reads the whole answer, whatever its status. path is appended to the base URL; header
// belongs to Post from now on. Nothing is written once ctx has ended or its deadline has passed.
//
// The error is a [*NotSentError] where it is proved that nothing was written, else a [*LostError]; both unwrap to the
// cause, which for an ended ctx is its context.Cause, and [ErrTimeout] for the client's own bound.
//
// The transport is used without an http.Client, so that nothing follows redirects. It would itself repeat a request on
// a kept connection that turns out dead (net/http, persistConn.shouldRetryRequest) if the body could be had again or
// an Idempotency-Key header were there; so GetBody is cleared, and a second write of the same call is not possible
// either: the guard is spent.
func (h *HTTP) Post(ctx context.Context, path string, header http.Header, body []byte) (Answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, h.timeout, ErrTimeout)
	defer cancel()
	guard := newCall(ctx)
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if c, ok := got.Conn.(*conn); ok {
			c.call.Store(guard)
		}
	}})
	req, err := http.NewRequestWithContext(traced, http.MethodPost, h.base+path, bytes.NewReader(body))
	if err != nil {
		return Answer{}, &NotSentError{Err: err}
	}
	req.GetBody = nil
	req.Header = header

	resp, err := h.transport.RoundTrip(req)
	if err != nil {
		return Answer{}, failed(ctx, guard, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := h.read(resp)
	if err != nil {
		return Answer{}, &LostError{Stage: StageBody, Err: cause(ctx, err, ErrMalformed)}
	}
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: text}, nil
}

// read takes the whole body, which also gives the connection back. A body over the limit is left where it is, and the
// connection with it; so is the open stream behind a 101, which has no end.
func (h *HTTP) read(resp *http.Response) ([]byte, error) {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, nil
	}
	if resp.ContentLength > h.maxAnswer {
		return nil, &TooLargeError{Limit: h.maxAnswer}
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, h.maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > h.maxAnswer {
		return nil, &TooLargeError{Limit: h.maxAnswer}
	}
	return text, nil
}

// failed turns an error of the transport into what it proves.
func failed(ctx context.Context, guard *call, err error) error {
	nothingWritten := guard.bar()
	stage := guard.stage()
	other := ErrNoAnswer
	if stage == StageHead {
		other = ErrMalformed
	}
	reason := cause(ctx, err, other)
	if guard.tooLate.Load() && !errors.Is(reason, ErrTooLate) {
		reason = errors.Join(ErrTooLate, reason)
	}
	if nothingWritten {
		return &NotSentError{Err: reason}
	}
	return &LostError{Stage: stage, Err: reason}
}

// cause finds the best name for err: the ended context's cause, the system's error, or other.
func cause(ctx context.Context, err, other error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if e, ok := errors.AsType[*TooLargeError](err); ok {
		return e
	}
	if errors.Is(err, ErrTooLate) {
		return ErrTooLate
	}
	if e := presentable(err); e != nil {
		return e
	}
	return other
}
