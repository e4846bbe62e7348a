package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
)

const (
	// dialTimeout bounds one connection attempt, TLS and SASL included.
	dialTimeout = 3 * time.Second
	// metadataTTL is how long a moved partition leader can go unnoticed: kafka-go's Writer does not refresh on
	// NOT_LEADER, it waits for this to pass (segmentio/kafka-go issue 1221).
	metadataTTL = time.Second
	idleTimeout = 30 * time.Second
)

// Config says how to reach the brokers.
type Config struct {
	// Brokers are host:port addresses to begin with; the cluster names the rest. At least one.
	Brokers []string
	// ClientID names this process in the brokers' logs and quotas; empty sends none.
	ClientID string
	// TLSFunc is asked at every dial for what the connection is wrapped in, so that certificates can change while the
	// process runs; nil is plaintext. An empty ServerName is taken from each broker's address.
	TLSFunc func() *tls.Config
	// SASLFunc is asked likewise for the login; it always gives the same mechanism. nil does not authenticate.
	SASLFunc func() sasl.Mechanism
	// Dial replaces the network, for tests on a virtual one; nil is TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Validate reports every fault of the configuration at once.
func (c Config) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("kafka brokers: at least one is needed"))
	}
	for _, broker := range c.Brokers {
		host, port, err := net.SplitHostPort(broker)
		if err != nil {
			errs = append(errs, fmt.Errorf("kafka brokers: %q: %w", broker, err))
			continue
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if host == "" || err != nil || n == 0 {
			errs = append(errs, fmt.Errorf("kafka brokers: %q is not host:port", broker))
		}
	}
	return errors.Join(errs...)
}

// Dialer opens the connections of group members and partition readers.
func (c Config) Dialer() *kafkago.Dialer {
	return &kafkago.Dialer{
		ClientID:      c.ClientID,
		Timeout:       dialTimeout,
		DialFunc:      c.dial,
		SASLMechanism: c.login(),
	}
}

// Transport pools the connections of writers and clients, and caches the metadata of the named topics, or of all
// topics of the cluster when none is named. The caller closes its idle connections in the end.
func (c Config) Transport(topics ...string) *kafkago.Transport {
	return &kafkago.Transport{
		Dial:           c.dial,
		DialTimeout:    dialTimeout,
		IdleTimeout:    idleTimeout,
		MetadataTTL:    metadataTTL,
		MetadataTopics: topics,
		ClientID:       c.ClientID,
		SASL:           c.login(),
	}
}

// Client asks single questions over a transport; timeout bounds each of them.
func (c Config) Client(transport *kafkago.Transport, timeout time.Duration) *kafkago.Client {
	return &kafkago.Client{Addr: c.Addr(), Timeout: timeout, Transport: transport}
}

// Addr is the bootstrap address in the form that kafka-go's clients and writers take.
func (c Config) Addr() net.Addr { return kafkago.TCP(c.Brokers...) }

// login is what kafka-go asks for every connection; nil does not authenticate.
func (c Config) login() sasl.Mechanism {
	if c.SASLFunc == nil {
		return nil
	}
	return login(c.SASLFunc)
}

// login is the mechanism of the moment: its credentials are those of now at every start.
type login func() sasl.Mechanism

// Name is the mechanism's.
func (l login) Name() string { return l().Name() }

// Start begins one authentication.
func (l login) Start(ctx context.Context) (sasl.StateMachine, []byte, error) { return l().Start(ctx) }

// dial opens one connection, its TLS handshake done. kafka-go's own TLS settings are fixed when a dialer is made.
func (c Config) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.connect(ctx, network, address)
	if err != nil || c.TLSFunc == nil {
		return conn, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	secure := c.TLSFunc().Clone()
	if secure.ServerName == "" {
		if secure.ServerName, _, err = net.SplitHostPort(address); err != nil {
			return nil, errors.Join(fmt.Errorf("dial %s: %w", address, err), conn.Close())
		}
	}
	wrapped := tls.Client(conn, secure)
	if err := wrapped.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("tls handshake with %s: %w", address, err)
	}
	return wrapped, nil
}

// connect marks every failure as an UnreachableError, so that callers never look at an error's text to tell a broker
// that is away from one that refuses. Keep-alive probes end a connection whose peer is gone within half a minute:
// kafka-go sets no deadline on some of its metadata reads.
func (c Config) connect(ctx context.Context, network, address string) (net.Conn, error) {
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{
			Timeout:         dialTimeout,
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
		}).DialContext
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, &UnreachableError{Err: fmt.Errorf("dial %s: %w", address, err)}
	}
	return conn, nil
}

// String names the brokers, for logs. It holds no secret.
func (c Config) String() string { return strings.Join(c.Brokers, ",") }
