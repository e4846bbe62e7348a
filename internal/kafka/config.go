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
	// TLS wraps every connection; nil is plaintext. An empty ServerName is taken from each broker's address.
	TLS *tls.Config
	// SASL authenticates every connection; nil does not authenticate.
	SASL sasl.Mechanism
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
		TLS:           c.TLS,
		SASLMechanism: c.SASL,
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
		TLS:            c.TLS,
		SASL:           c.SASL,
	}
}

// Client asks single questions over a transport; timeout bounds each of them.
func (c Config) Client(transport *kafkago.Transport, timeout time.Duration) *kafkago.Client {
	return &kafkago.Client{Addr: c.Addr(), Timeout: timeout, Transport: transport}
}

// Addr is the bootstrap address in the form that kafka-go's clients and writers take.
func (c Config) Addr() net.Addr { return kafkago.TCP(c.Brokers...) }

// dial marks every failure as an UnreachableError, so that callers never look at an error's text to tell a broker
// that is away from one that refuses. Keep-alive probes end a connection whose peer is gone within half a minute:
// kafka-go sets no deadline on some of its metadata reads.
func (c Config) dial(ctx context.Context, network, address string) (net.Conn, error) {
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
