package kafkatest

import (
	"context"
	"crypto/rand"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"refundworker/internal/kafka"
)

// Env names the variable that makes Any use a real broker: host:port.
const Env = "REFUND_WORKER_KAFKA"

// Broker is a broker under test.
type Broker struct {
	// Addr is the bootstrap address, host:port.
	Addr string
	// Dial replaces the network; nil is TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Cluster controls an embedded broker; nil for a real one.
	Cluster *kfake.Cluster
}

// At is the broker that answers at addr, embedded or real.
func At(addr string) *Broker { return &Broker{Addr: addr} }

// Any is the real broker that Env names, or an embedded one. Tests that use it choose fresh names by Name and touch
// nothing else.
func Any(tb testing.TB) *Broker {
	tb.Helper()
	if addr := os.Getenv(Env); addr != "" {
		return At(addr)
	}
	return Start(tb)
}

// Start runs an embedded broker on a free loopback port until the test ends. Sessions may be as short as 500 ms.
func Start(tb testing.TB, opts ...kfake.Opt) *Broker {
	tb.Helper()
	return start(tb, nil, append([]kfake.Opt{kfake.NumBrokers(1)}, opts...))
}

// StartVirtual runs an embedded broker on an in-memory network, for use inside a testing/synctest bubble. Everything
// that talks to it needs its Dial, and has to be closed before the bubble ends.
func StartVirtual(tb testing.TB, opts ...kfake.Opt) *Broker {
	tb.Helper()
	network := new(kfake.VirtualNetwork)
	// Port 0 does not work on the virtual network; there is one per broker, so the number is free.
	opts = append([]kfake.Opt{kfake.Ports(9092), kfake.ListenFn(network.Listen)}, opts...)
	return start(tb, network.DialContext, opts)
}

func start(tb testing.TB, dial func(context.Context, string, string) (net.Conn, error), opts []kfake.Opt) *Broker {
	tb.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.GroupMinSessionTimeout(500 * time.Millisecond)}, opts...)...)
	if err != nil {
		tb.Fatalf("start embedded broker: %v", err)
	}
	tb.Cleanup(cluster.Close)
	return &Broker{Addr: cluster.ListenAddrs()[0], Dial: dial, Cluster: cluster}
}

// Config is the connection to the broker for the packages under test.
func (b *Broker) Config() kafka.Config {
	return kafka.Config{Brokers: []string{b.Addr}, ClientID: "kafkatest", Dial: b.Dial}
}

// Name is a topic prefix or group name that no other test and no earlier run has used.
func Name(tb testing.TB) string {
	tb.Helper()
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-':
			return r
		}
		return '_'
	}, tb.Name())
	return clean[:min(len(clean), 80)] + "-" + rand.Text()[:8]
}
