package kafkatest

import (
	"context"
	"errors"
	"net"
	"sync"
)

// ErrShut is why a dial through a shut Gate fails.
var ErrShut = errors.New("gate is shut")

// Gate stands between one client and its broker. Shut, it looks to the client as if every broker had gone, and to the
// broker as if the client had been killed.
type Gate struct {
	// Through is the network behind the gate; nil is TCP.
	Through func(ctx context.Context, network, address string) (net.Conn, error)

	mu   sync.Mutex
	shut bool
	open []net.Conn
}

// Dial goes through the gate while it is open.
func (g *Gate) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	dial := g.Through
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return nil, errors.Join(ErrShut, conn.Close())
	}
	g.open = append(g.open, conn)
	return conn, nil
}

// Shut cuts every connection and lets no new one through.
func (g *Gate) Shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	for _, conn := range g.open {
		_ = conn.Close() // most are closed already
	}
	g.open = nil
}

// Open lets connections through again.
func (g *Gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = false
}
