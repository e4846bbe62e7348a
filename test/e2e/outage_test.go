package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"refundworker/gateway/sandbox"
	"refundworker/schemas"
)

// entrance is where the gateways are reached: a port that can refuse connections, and stays reserved meanwhile.
type entrance struct {
	addr    string
	server  *http.Server
	running sync.WaitGroup
	// reserved holds the port while nobody listens on it.
	reserved *os.File
}

// open listens, on the same port each time.
func (e *entrance) open(t *testing.T, handler http.Handler) {
	t.Helper()
	if e.reserved != nil {
		if err := e.reserved.Close(); err != nil {
			t.Fatal(err)
		}
		e.reserved = nil
	}
	addr := e.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	e.addr, e.server = listener.Addr().String(), &http.Server{ReadHeaderTimeout: time.Minute}
	e.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.running.Add(1)
		defer e.running.Done()
		handler.ServeHTTP(w, r)
	})
	go func() { _ = e.server.Serve(listener) }()
}

// close ends every connection and waits for what still runs behind them.
func (e *entrance) close() error {
	err := e.server.Close()
	e.running.Wait()
	return err
}

// shut closes, and refuses new connections.
func (e *entrance) shut(t *testing.T) {
	t.Helper()
	if err := e.close(); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	e.reserved = os.NewFile(uintptr(fd), "reserved port")
	addr, err := net.ResolveTCPAddr("tcp4", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
}

// plainly makes n commands, each gateway's in turn, that nothing goes wrong with.
func plainly(t *testing.T, n int) *mix {
	t.Helper()
	m := &mix{endings: make(map[string]ending)}
	for i := range n {
		id, minor := fmt.Sprintf("rf-%05d", i), int64(100+i)
		end := ending{status: schemas.Success, code: schemas.CodeRefunded}
		if i%2 == 0 {
			m.command(t, id, "pay-"+id, minor, end)
		} else {
			m.eftpay(t, id, minor, end)
		}
		m.records[i].Partition = i % partitions
	}
	return m
}

// The gateways refuse every connection for longer than the first two tiers, which are 1 s and 2 s long, and then some.
func TestWhileAllGatewaysAreDownNothingIsLostAndNoAttemptIsBurned(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		const (
			n      = 120
			outage = 15 * time.Second
		)
		m := plainly(t, n)
		s := newSetup(t, b, sandbox.RefundAgain, m.rules)
		s.entrance.shut(t)
		down := time.Now()
		w := s.startWorker(t)
		w.ready(t)
		s.produce(t.Context(), t, m.records)
		until(t, "that all are told to wait", settleWithin, func(ctx context.Context) bool { return len(s.results(ctx, t).progress) == n })
		until(t, "the end of the outage", 2*outage, func(context.Context) bool { return time.Since(down) > outage })
		if calls := s.gateway.Overlaps().Calls; calls != 0 {
			t.Fatalf("%d calls at gateways that are down", calls)
		}
		copies := 0
		for _, n := range s.copies(t, "1s", "2s", "10s") {
			copies += n
		}
		books := s.results(t.Context(), t)
		for id := range m.endings {
			if books.reason[id] != schemas.CodeGatewayUnavailable || books.progress[id] != 1 {
				t.Errorf("%s: %d progress events, the last %s", id, books.progress[id], books.reason[id])
			}
		}
		// 1 s, 2 s, and from then on the longest tier: five passes of each request are the most that fit into the outage.
		if most := 5 * n; copies > most {
			t.Errorf("%d retry copies of %d requests after %v, want at most %d", copies, n, outage, most)
		}

		s.entrance.open(t, s.gateways)
		b2 := s.settled(t, m)
		s.audit(t, m, b2)
		for id, out := range b2.finals {
			if out.Attempt != 1 {
				t.Errorf("%s: attempt %d after an outage in which nothing could be sent", id, out.Attempt)
			}
		}
		t.Logf("down for %v: %d requests, %d retry copies, all settled %v after the return", outage, n, copies, time.Since(down.Add(outage)).Round(time.Second))
		if status := w.readiness(t.Context()); status != http.StatusOK {
			t.Errorf("readiness: %d", status)
		}
	})
}
