package notify

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"refundworker/refund"
	"refundworker/schemas"
)

const acknowledgement = `{"taken":true}`

var errTest = errors.New("test: no")

// pipes is a listener without a network, so that time can be virtual.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (*pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// dial waits until the listener accepts.
func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// topic keeps what is published. Publish blocks while hold is open, and fails with err.
type topic struct {
	mu      sync.Mutex
	events  []refund.Event
	err     error
	hold    chan struct{}
	waiting int
}

var _ publisher = (*topic)(nil)

func (p *topic) Publish(ctx context.Context, events ...refund.Event) error {
	p.mu.Lock()
	p.waiting++
	hold := p.hold
	p.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting--
	if p.err == nil {
		p.events = append(p.events, events...)
	}
	return p.err
}

func (p *topic) published() []refund.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.events
}

func (p *topic) held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// bundle is a listener for the accounts hk and sg.
type bundle struct {
	pipes   *pipes
	topic   *topic
	metrics *Metrics
	log     *syncBuffer
	// stop ends the listener and returns what it returned.
	stop func() error
}

// setup serves until the test ends. A notification whose signature is "good" is verified, is about the request that its
// body names, and was sent when its time says.
func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{pipes: newPipes(), topic: &topic{}, metrics: NewMetrics(prometheus.NewRegistry()), log: &syncBuffer{}}
	var endpoints []Endpoint
	for _, account := range []string{"hk", "sg"} {
		endpoints = append(endpoints, Endpoint{
			Gateway: schemas.Antom, Account: account, Headers: []string{"time", "signature"},
			VerifyFunc: verify(account), Acknowledgement: acknowledgement,
		})
	}
	server := New(Config{Source: "/test"}, endpoints, b.topic, zerolog.New(b.log), b.metrics)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, b.pipes) }()
	b.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := b.stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return b
}

func verify(account string) func(schemas.Notification) (string, time.Time, error) {
	return func(n schemas.Notification) (string, time.Time, error) {
		switch {
		case n.Account != account || n.Gateway != schemas.Antom || n.Headers["signature"] != "good":
			return "", time.Time{}, errTest
		case string(n.Body) == "other":
			return "", time.Time{}, fmt.Errorf("%w: %w", ErrNotOurs, errTest)
		}
		sent, err := time.Parse(time.RFC3339, n.Headers["time"])
		if err != nil {
			sent = time.Time{}
		}
		return string(n.Body), sent, nil
	}
}

// request is one that is verified, about rf-1 and sent now, unless it is changed.
func request(change func(*http.Request)) *http.Request {
	r := &http.Request{
		Method: http.MethodPost, Host: "worker", Header: http.Header{"Signature": {"good"}, "Time": {time.Now().UTC().Format(time.RFC3339)}},
	}
	aim(r, "/antom/hk?shop=7&x=a%20b")
	write(r, "rf-1")
	if change != nil {
		change(r)
	}
	return r
}

// aim sets the request's target as it goes over the wire.
func aim(r *http.Request, target string) {
	path, query, _ := strings.Cut(target, "?")
	r.URL = &url.URL{Scheme: "http", Host: "worker", Opaque: path, RawQuery: query}
}

func write(r *http.Request, body string) {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
	// closes: the answer says that no other request is taken on its connection.
	closes bool
}

// send does one request on a connection of its own. The zero reply: none came.
func (b *bundle) send(t *testing.T, r *http.Request) reply {
	t.Helper()
	conn, err := b.pipes.dial(t.Context())
	if err != nil {
		return reply{}
	}
	defer func() { _ = conn.Close() }()
	written := make(chan struct{})
	go func() {
		defer close(written)
		_ = r.Write(conn) // an answer can come before the whole request was taken: an error here is none
	}()
	got := readReply(conn, r)
	_ = conn.Close()
	<-written
	return got
}

func readReply(conn net.Conn, r *http.Request) reply {
	resp, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		return reply{}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}
	}
	return reply{resp.StatusCode, resp.Header, string(body), resp.Close}
}

// counted are the results that are not zero.
func (b *bundle) counted() map[result]int {
	counts := map[result]int{}
	for _, r := range results() {
		if n := testutil.ToFloat64(b.metrics.requests.WithLabelValues(string(r))); n > 0 {
			counts[r] = int(n)
		}
	}
	return counts
}
