package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"refundworker/refund"
)

// testCertificate makes a certificate for 127.0.0.1 that is its own authority.
func testCertificate(t *testing.T) (ca, cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return cert, cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func TestValidateJoinsAllFaults(t *testing.T) {
	t.Parallel()
	err := HTTPConfig{
		BaseURL: "ftp://x", InFlight: -1, Timeout: -1, ConnectTimeout: -1, IdleTimeout: -1, MaxAnswer: -1,
		CA: []byte("x"), ClientCert: []byte("x"),
	}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"base url", "in flight", "timeout", "connect timeout", "idle timeout", "max answer", "ca:", "client certificate"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %q:\n%v", want, err)
		}
	}
	if _, err := NewHTTP(HTTPConfig{}, testAccount, NewMetrics(prometheus.NewRegistry(), nil)); err == nil {
		t.Error("NewHTTP took a configuration without a base URL")
	}
}

func TestAddressesThatCouldLeakAreRefused(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"https://a.example", "https://a.example:8443/VMP", "http://127.0.0.1:80", "http://[::1]:80", "http://localhost"} {
		if err := (HTTPConfig{BaseURL: good}).Validate(); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "a.example", "https://", "https:a.example", "http://a.example", "http://10.0.0.1", "https://u:hunter2@a.example",
		"https://a.example?q", "https://a.example?", "https://a.example#f", "https://a.example#", "https://a.example/", "https://a.example:x", "gopher://a.example",
	} {
		err := (HTTPConfig{BaseURL: bad}).Validate()
		if err == nil {
			t.Errorf("%q was taken", bad)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows a password: %v", err)
		}
	}
}

func TestACertificateThatDoesNotFitItsKeyIsRefused(t *testing.T) {
	t.Parallel()
	_, cert, _ := testCertificate(t)
	_, _, key := testCertificate(t)
	err := HTTPConfig{BaseURL: "https://a.example", ClientCert: cert, ClientKey: Secret(key)}.Validate()
	if err == nil || !strings.Contains(err.Error(), "client certificate") {
		t.Errorf("error = %v", err)
	}
}

func TestZeroFieldsMeanTheDefaults(t *testing.T) {
	t.Parallel()
	h, _ := newHTTP(t, HTTPConfig{BaseURL: "https://a.example"})
	tr := h.transport
	if h.timeout != DefaultTimeout || h.maxAnswer != DefaultMaxAnswer || h.dialer.timeout != DefaultConnectTimeout ||
		tr.MaxConnsPerHost != DefaultInFlight || tr.MaxIdleConnsPerHost != DefaultInFlight || tr.IdleConnTimeout != DefaultIdleTimeout {
		t.Errorf("defaults are not in force: %+v", h)
	}
	if h.dialer.tls.MinVersion != tls.VersionTLS12 || h.dialer.tls.InsecureSkipVerify {
		t.Error("TLS is older than 1.2, or takes any certificate")
	}
	if tr.Proxy != nil || !tr.DisableCompression || tr.Protocols.HTTP2() || tr.Protocols.UnencryptedHTTP2() {
		t.Error("proxy, compression or HTTP/2 is on")
	}
}

func TestASecretNeverPrints(t *testing.T) {
	t.Parallel()
	type holder struct{ S Secret }
	s := Secret("hunter2")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{s, &s, holder{s}, []Secret{s}, map[Secret]Secret{s: s}} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "hunter2") || strings.Contains(text, "68756e74657232") {
				t.Errorf("%s of %T shows it: %s", verb, v, text)
			}
		}
	}
	text, err := json.Marshal([]any{s, holder{s}})
	if err != nil || string(text) != `["***",{"S":"***"}]` {
		t.Errorf("JSON is %s, %v", text, err)
	}
	if s.String() != hidden || s.GoString() != hidden {
		t.Error("String or GoString shows it")
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "30": 30 * time.Second, "0": 0, "-5": 0, "1.5": 0, "soon": 0, "99999": MaxRetryAfter,
		"99999999999999999999":          0,
		"Sat, 21 Nov 2026 12:01:00 GMT": time.Minute,
		"Sat, 21 Nov 2026 11:00:00 GMT": 0,
		"Sun, 21 Nov 2027 12:00:00 GMT": MaxRetryAfter,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("RetryAfter(%q) = %s, want %s", value, got, want)
		}
	}
}

func TestTheWallClockEndsACallToo(t *testing.T) {
	t.Parallel()
	now := time.Now()
	open := make(chan struct{})
	wall := now.Round(0)
	if suspended := (&call{deadline: now.Add(time.Minute), done: open}); !suspended.late(now, wall.Add(time.Hour)) {
		t.Error("a deadline that the wall clock has passed was not noticed")
	}
	if fine := (&call{deadline: now.Add(time.Minute), done: open}); fine.late(now, wall) {
		t.Error("a deadline in a minute counts as passed")
	}
	if atOnce := (&call{deadline: now, done: open}); !atOnce.late(now, wall) {
		t.Error("the deadline itself counts as before it")
	}
	close(open)
	if given := (&call{deadline: now.Add(time.Minute), done: open}); !given.late(now, wall) {
		t.Error("an ended context was not noticed")
	}
}

func TestAGuardLetsNothingThroughOnceItIsBarred(t *testing.T) {
	t.Parallel()
	c := &call{deadline: time.Now().Add(time.Minute)}
	if !c.bar() {
		t.Fatal("a fresh call counts as written")
	}
	if _, err := c.begin(); err == nil {
		t.Error("a barred call may write")
	}
	c = &call{deadline: time.Now().Add(time.Minute)}
	if first, err := c.begin(); !first || err != nil {
		t.Fatalf("begin = %v, %v", first, err)
	}
	if first, err := c.begin(); first || err != nil {
		t.Errorf("the second write of a call: %v, %v", first, err)
	}
	if c.bar() {
		t.Error("a written call counts as not written")
	}
}

func TestErrorsNameWhatHappened(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]string{
		&ConnectError{Step: "dial", Err: ErrConnectTimeout}: "dial: connecting timed out",
		&NotSentError{Err: ErrTooLate}:                      "nothing sent: too late to write the request",
		&LostError{Stage: StageWait, Err: ErrNoAnswer}:      "wait for the answer: connection ended without an answer",
		&TooLargeError{Limit: 5}:                            "answer is longer than 5 bytes",
		&StatusError{Status: 502}:                           "http status 502",
	} {
		if err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
}

func TestMetricsExistFromTheStart(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg, []string{"a", "b"})
	for name, want := range map[string]int{
		"refund_worker_gateway_calls_total": 24, "refund_worker_gateway_call_duration_seconds": 4,
		"refund_worker_gateway_answer_alarms_total": 8, "refund_worker_gateway_connections_total": 4,
	} {
		if n, err := testutil.GatherAndCount(reg, name); err != nil || n != want {
			t.Errorf("%s has %d series (%v), want %d", name, n, err, want)
		}
	}
	m.Call("a", OpRefund, refund.Result{Verdict: refund.Declined}, time.Second)
	m.Call("a", OpInquire, refund.Result{Alarm: refund.AlarmMismatch}, time.Second)
	if n := testutil.ToFloat64(m.calls.WithLabelValues("a", "refund", "declined")); n != 1 {
		t.Errorf("%v declined refunds counted", n)
	}
	if n := testutil.ToFloat64(m.alarms.WithLabelValues("a", "mismatch")); n != 1 {
		t.Errorf("%v alarms counted", n)
	}
	if n, _ := testutil.GatherAndCount(reg); n != 40 {
		t.Errorf("%d series after counting, want 40 as before", n)
	}
}
