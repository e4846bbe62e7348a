package dedupe

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/refund"
)

// proxy stands between driver and server; while cuts are left it drops a connection instead of handing an answer on.
type proxy struct {
	net.Listener
	upstream string
	cuts     atomic.Int64
	silent   atomic.Bool
	// fateFunc decides about each request with scripts; nil hands all of them on.
	fateFunc atomic.Pointer[func() fate]
	// broken counts the connections that it has ended by fate.
	broken atomic.Int64
	group  sync.WaitGroup
	mu     sync.Mutex
	open   []net.Conn
}

// fate is what becomes of a request with its connection.
type fate int

const (
	handedOn fate = iota
	// lost: the server never sees it.
	lost
	// halved: the server sees the first half of its bytes, and so the first script.
	halved
	// unanswered: the server does all of it, and the answer is cut in the middle.
	unanswered
)

func startProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: listener, upstream: upstream}
	p.group.Go(p.serve)
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		for _, c := range p.open {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.group.Wait()
	})
	return p
}

func (p *proxy) serve() {
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		var dialer net.Dialer
		server, err := dialer.DialContext(context.Background(), "tcp", p.upstream)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.open = append(p.open, client, server)
		p.mu.Unlock()
		cut := new(atomic.Bool)
		p.group.Go(func() { p.requests(client, server, cut); _ = server.Close() })
		p.group.Go(func() { p.answers(client, server, cut); _ = client.Close() })
	}
}

// requests hands over what the driver sends, which is a whole pipeline at a time.
func (p *proxy) requests(client, server net.Conn, cut *atomic.Bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		what := handedOn
		if decide := p.fateFunc.Load(); decide != nil && bytes.Contains(bytes.ToLower(buffer[:n]), []byte("evalsha")) {
			what = (*decide)()
		}
		switch what {
		case lost:
			p.broken.Add(1)
			_ = client.Close()
			return
		case halved:
			p.broken.Add(1)
			_, _ = server.Write(buffer[:n/2+n/8])
			_ = client.Close()
			return
		case unanswered:
			p.broken.Add(1)
			cut.Store(true)
		case handedOn:
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) answers(client, server net.Conn, cut *atomic.Bool) {
	defer server.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		if p.silent.Load() {
			continue
		}
		if cut.Load() || p.cuts.Load() > 0 && p.cuts.Add(-1) >= 0 {
			// A few bytes only: the cut falls into the middle of the pipeline's answers.
			_, _ = client.Write(buffer[:min(n, 10)])
			return
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func TestAnAnswerLostInTheMiddleOfAPipelineIsGivenAgain(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	link := startProxy(t, server.Addr)
	r := openRedis(t, Config{Addresses: []string{link.Addr().String()}})
	p := play{t: t, port: r}
	p.claims(request("warm", "t0"), refund.ClaimGranted)

	link.cuts.Store(1)
	if c := p.claims(request("a", "t1"), refund.ClaimGranted); !c.Fresh || link.cuts.Load() != 0 {
		t.Fatalf("the driver's own repeat: %+v, cuts left %d", c, link.cuts.Load())
	}
	q := request("b", "t2", pays("p", 100, 100))
	link.cuts.Store(driverRetries + 1)
	// The driver also greets on its new connection, so the second cut may hit that; either way it gives up.
	if _, err := r.Claim(t.Context(), q); !errors.Is(err, refund.ErrStoreUnavailable) {
		t.Fatalf("error %v", err)
	}
	link.cuts.Store(0)
	c := p.claims(q, refund.ClaimGranted)
	equal(t, [3]bool{c.Fresh, c.CapExceeded, c.OthersKnown}, [3]bool{true, false, false})
	link.cuts.Store(1)
	p.waited(waits(q, 1, 1, true))
}

func TestASilentServerIsUnavailableWithinTheTimeouts(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	link := startProxy(t, server.Addr())
	r, err := New(Config{Addresses: []string{link.Addr().String()}}, zerolog.Nop(), NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	link.silent.Store(true)
	started := time.Now()
	if _, err := r.Claim(t.Context(), request("a", "t1")); !errors.Is(err, refund.ErrStoreUnavailable) {
		t.Fatalf("error %v", err)
	}
	if took := time.Since(started); took > 3*time.Second {
		t.Fatalf("took %s", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.Claim(ctx, request("a", "t1")); !errors.Is(err, refund.ErrStoreUnavailable) || ctx.Err() == nil {
		t.Fatalf("error %v", err)
	}
}
