package gateway

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"refundworker/refund"
)

// net/http repeats some requests on a kept connection that turns out dead. Ours goes out once, whatever happens.
func TestADeadKeptConnectionIsNotAReasonToRepeat(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		end  func(c *net.TCPConn)
	}{
		{"closed after the second request", func(*net.TCPConn) {}},
		{"reset after the second request", reset},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := newPeer(t, func(p *peer, c *net.TCPConn) {
				if !p.readRequest(c) {
					return
				}
				write(c, okHead+"Content-Length: 2\r\n\r\n{}")
				p.readRequest(c)
				tc.end(c)
			})
			h, _ := newHTTP(t, HTTPConfig{BaseURL: p.url})
			if _, err := h.Post(t.Context(), "/x", http.Header{}, []byte(`{}`)); err != nil {
				t.Fatal(err)
			}
			_, err := h.Post(t.Context(), "/x", http.Header{}, []byte(`{}`))
			if Verdict(err) != refund.Unknown || err == nil {
				t.Errorf("error = %v, want Unknown", err)
			}
			if requests, conns := p.requests.Load(), p.accepted.Load(); requests != 2 || conns != 1 {
				t.Errorf("the peer saw %d requests on %d connections, want 2 on 1", requests, conns)
			}
		})
	}
}

// A server may close a kept connection at any moment. Whatever the race gives, the request arrives at most once, and
// NotSent is only said of one that did not arrive.
func TestAConnectionClosedWhileIdleNeverRepeatsNorLies(t *testing.T) {
	t.Parallel()
	var arrived sync.Map
	p := newPeer(t, func(_ *peer, c *net.TCPConn) {
		req, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		n, _ := arrived.LoadOrStore(req.Header.Get("X-Id"), new(atomic.Int32))
		if count, ok := n.(*atomic.Int32); ok {
			count.Add(1)
		}
		_, _ = io.ReadAll(req.Body)
		write(c, okHead+"Content-Length: 2\r\n\r\n{}")
	})
	h, _ := newHTTP(t, HTTPConfig{BaseURL: p.url, InFlight: 1})
	for i := range 300 {
		id := strings.Repeat("x", i+1)
		_, err := h.Post(t.Context(), "/x", http.Header{"X-Id": {id}}, []byte(`{}`))
		var times int32
		if n, ok := arrived.Load(id); ok {
			if count, ok := n.(*atomic.Int32); ok {
				times = count.Load()
			}
		}
		if times > 1 || err == nil && times != 1 || Verdict(err) == refund.NotSent && times != 0 {
			t.Fatalf("request %d arrived %d times with error %v", i, times, err)
		}
	}
}

func TestConnectionsAreKeptUpToTheCallsInFlight(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{}`)
	}))
	t.Cleanup(srv.Close)
	const inFlight = 8
	h, m := newHTTP(t, HTTPConfig{BaseURL: srv.URL, InFlight: inFlight})
	var all sync.WaitGroup
	for range 4 * inFlight {
		all.Go(func() {
			for range 25 {
				if _, err := h.Post(t.Context(), "/x", http.Header{}, []byte(`{}`)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	// The transport gives a connection up when a busy machine delays the end of a write for 50 ms past the answer, so a
	// few more are fine. Without keeping, it would be hundreds.
	if n := testutil.ToFloat64(m.connections.WithLabelValues(testAccount, connectionOpened)); n < 1 || n > 2*inFlight {
		t.Errorf("%v connections for 800 calls, want about %d", n, inFlight)
	}
}

func TestTLSIsHTTP1WithAPrivateAuthorityAndAClientCertificate(t *testing.T) {
	t.Parallel()
	ca, cert, key := testCertificate(t)
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	var proto string
	var presented int
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto, presented = r.Proto, len(r.TLS.PeerCertificates)
		_, _ = io.WriteString(w, `{}`)
	}))
	srv.EnableHTTP2 = true
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	t.Cleanup(srv.Close)

	h, _ := newHTTP(t, HTTPConfig{BaseURL: srv.URL, CA: ca, ClientCert: cert, ClientKey: Secret(key)})
	ans, err := h.Post(t.Context(), "/x", http.Header{}, []byte(`{}`))
	if err != nil || ans.Status != http.StatusOK {
		t.Fatalf("answer %d, error %v", ans.Status, err)
	}
	if proto != "HTTP/1.1" || presented != 1 {
		t.Errorf("server saw %s with %d client certificates, want HTTP/1.1 with 1", proto, presented)
	}

	none, _ := newHTTP(t, HTTPConfig{BaseURL: srv.URL, CA: ca})
	_, err = none.Post(t.Context(), "/x", http.Header{}, []byte(`{}`))
	if err == nil {
		t.Error("a server that wants a client certificate was content without")
	}
}
