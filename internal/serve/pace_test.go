package serve

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// waiting is a listener with connections in its queue.
type waiting struct {
	conns  chan net.Conn
	closed bool
}

func (w *waiting) Accept() (net.Conn, error) {
	if w.closed {
		return nil, net.ErrClosed
	}
	return <-w.conns, nil
}

func (w *waiting) Close() error {
	w.closed = true
	return nil
}

func (*waiting) Addr() net.Addr { return &net.UnixAddr{Name: "waiting"} }

func TestConnectionsAreTakenAtTheirPaceAndACloseEndsAWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := &waiting{conns: make(chan net.Conn, 8)}
		var peers []net.Conn
		for range 6 {
			ours, theirs := net.Pipe()
			peers = append(peers, ours)
			queue.conns <- theirs
		}
		listener := paced(queue, 2, 3)
		started := time.Now()
		for i, want := range []time.Duration{0, 0, 0, 500 * time.Millisecond, time.Second} {
			if _, err := listener.Accept(); err != nil || time.Since(started) != want {
				t.Errorf("connection %d was taken after %s: %v", i+1, time.Since(started), err)
			}
		}
		refused := make(chan error, 1)
		go func() {
			_, err := listener.Accept()
			refused <- err
		}()
		synctest.Wait()
		for range 2 { // net/http closes it twice
			if err := listener.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := <-refused; !errors.Is(err, net.ErrClosed) || time.Since(started) != time.Second {
			t.Errorf("after %s: %v", time.Since(started), err)
		}
		if _, err := peers[5].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the connection that waited is still open: %v", err)
		}
		if _, err := listener.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a closed listener: %v", err)
		}
	})
}
