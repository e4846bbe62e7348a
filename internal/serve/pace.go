package serve

import (
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// pacedListener accepts so many connections a second. The others wait in the system's queue, where they cost nothing.
type pacedListener struct {
	net.Listener
	limit *rate.Limiter
	// done is closed by Close, and ends a wait.
	done chan struct{}
	once sync.Once
}

func paced(listener net.Listener, perSecond, burst int) *pacedListener {
	return &pacedListener{Listener: listener, limit: rate.NewLimiter(rate.Limit(perSecond), burst), done: make(chan struct{})}
}

// Accept hands over a connection when its turn has come.
func (l *pacedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	turn := time.NewTimer(l.limit.Reserve().Delay())
	defer turn.Stop()
	select {
	case <-turn.C:
		return conn, nil
	case <-l.done:
		_ = conn.Close()
		return nil, net.ErrClosed
	}
}

// Close ends a wait too.
func (l *pacedListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}
