package consumer

import (
	"context"
	"crypto/tls"
	"net"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// TLS takes its leave of a peer for up to 5 s. A cut must not wait for one that reads nothing any more.
func TestACutDoesNotWaitForTheLeaveOfASilentPeer(t *testing.T) {
	t.Parallel()
	// It only lends its certificate.
	lender := httptest.NewTLSServer(nil)
	t.Cleanup(lender.Close)
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		broker := tls.Server(far, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: lender.TLS.Certificates, SessionTicketsDisabled: true})
		shaken := make(chan error, 1)
		go func() { shaken <- broker.HandshakeContext(t.Context()) }()
		var open lines
		conn, err := open.dialFunc(func(ctx context.Context, _, _ string) (net.Conn, error) {
			secure := tls.Client(near, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // whose certificate it is does not matter here
			return secure, secure.HandshakeContext(ctx)
		})(t.Context(), "tcp", "broker:9092")
		if err != nil {
			t.Fatal(err)
		}
		if err := <-shaken; err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		open.cut()
		if took := time.Since(begun); took > 0 {
			t.Errorf("the cut took %s", took)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("the connection is open")
		}
		_ = far.Close()
	})
}
