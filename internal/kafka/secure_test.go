package kafka_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"

	"refundworker/internal/kafka"
)

// dials are the two ways in which kafka-go opens connections.
func dials(conn kafka.Config) map[string]func(context.Context, string, string) (net.Conn, error) {
	return map[string]func(context.Context, string, string) (net.Conn, error){
		"dialer": conn.Dialer().DialFunc, "transport": conn.Transport().Dial,
	}
}

// A certificate that was replaced while the process runs has to count for the next connection.
func TestEveryConnectionIsWrappedInTheTLSSettingsOfItsOwnMoment(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(nil)
	t.Cleanup(server.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	now := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusted}
	conn := kafka.Config{Brokers: []string{server.Listener.Addr().String()}, TLSFunc: func() *tls.Config { return now }}
	for name, dial := range dials(conn) {
		now = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusted}
		opened, err := dial(t.Context(), "tcp", conn.Brokers[0])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if secure, ok := opened.(*tls.Conn); !ok || !secure.ConnectionState().HandshakeComplete {
			t.Errorf("%s: the connection is a %T", name, opened)
		}
		_ = opened.Close()

		now = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
		_, err = dial(t.Context(), "tcp", conn.Brokers[0])
		var unknown x509.UnknownAuthorityError
		var away *kafka.UnreachableError
		// A person has to mend this: it must not pass for a broker that is away.
		if !errors.As(err, &unknown) || errors.As(err, &away) {
			t.Errorf("%s: with authorities that do not know the broker: %v", name, err)
		}
	}
}

func TestEveryLoginTakesTheCredentialsOfItsOwnMoment(t *testing.T) {
	t.Parallel()
	password := "before"
	conn := kafka.Config{Brokers: []string{"127.0.0.1:9092"}, SASLFunc: func() sasl.Mechanism {
		return plain.Mechanism{Username: "u", Password: password}
	}}
	for name, mechanism := range map[string]sasl.Mechanism{"dialer": conn.Dialer().SASLMechanism, "transport": conn.Transport().SASL} {
		if mechanism.Name() != "PLAIN" {
			t.Errorf("%s: the mechanism is %s", name, mechanism.Name())
		}
		for _, password = range []string{"before", "after"} {
			if _, first, err := mechanism.Start(t.Context()); err != nil || !strings.HasSuffix(string(first), password) {
				t.Errorf("%s: %q, %v", name, first, err)
			}
		}
	}
}
