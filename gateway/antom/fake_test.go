package antom

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/gateway"
	"refundworker/refund"
	"refundworker/schemas"
)

const (
	ourClientID = "TEST_CLIENT_0001"
	ourPath     = "/ams/api/v1/payments/refund"
	answerTime  = "1685599933999"
)

func vector(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "vectors", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// antomKeys are two keys of a pretended Antom: the one in use and the next.
var antomKeys = sync.OnceValue(func() [2]*rsa.PrivateKey {
	var keys [2]*rsa.PrivateKey
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

func publicText(tb testing.TB, key *rsa.PrivateKey) Secret {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		tb.Fatal(err)
	}
	return Secret(base64.StdEncoding.EncodeToString(der))
}

// stamp signs an answer as Antom would. It is written apart from the client's own signing, so that both can be wrong
// only in different ways.
func stamp(tb testing.TB, key *rsa.PrivateKey, path, clientID, at string, body []byte) string {
	tb.Helper()
	var signed bytes.Buffer
	fmt.Fprintf(&signed, "POST %s\n%s.%s.%s", path, clientID, at, body)
	sum := sha256.Sum256(signed.Bytes())
	raw, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		tb.Fatal(err)
	}
	return "algorithm=RSA256, keyVersion=1, signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(raw))
}

func signedHeader(tb testing.TB, key *rsa.PrivateKey, path string, body []byte) http.Header {
	tb.Helper()
	return http.Header{
		"Client-Id": {ourClientID}, "Response-Time": {answerTime},
		"Signature": {stamp(tb, key, path, ourClientID, answerTime, body)},
	}
}

func testConfig(tb testing.TB, baseURL string) Config {
	tb.Helper()
	return Config{
		Name: "hk", BaseURL: baseURL, ClientID: ourClientID, KeyVersion: "7",
		PrivateKey:      Secret(vector(tb, "antom_test_private_key.b64")),
		AntomPublicKeys: []Secret{publicText(tb, antomKeys()[0])},
	}
}

func newClient(tb testing.TB, cfg Config) *Client {
	tb.Helper()
	c, err := New(cfg, zerolog.Nop(), gateway.NewMetrics(prometheus.NewRegistry(), []string{cfg.Name}))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

func testRequest() refund.Request {
	return refund.Request{
		RequestID: "rf_0001", GatewayKey: "rf_0001", PaymentID: "20260101194010800100188000000000001",
		Amount: schemas.Money{Minor: 1001, Currency: "HKD"},
	}
}

// fakeAntom answers every request with one body, signed.
type fakeAntom struct {
	url    string
	mu     sync.Mutex
	path   string
	header http.Header
	body   []byte
}

func (f *fakeAntom) last() (path string, header http.Header, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.path, f.header, f.body
}

// newFake serves body with status; change, when given, spoils the signed header.
func newFake(tb testing.TB, status int, body string, change func(h http.Header, got http.Header)) *fakeAntom {
	tb.Helper()
	f := &fakeAntom{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		f.path, f.header, f.body = r.URL.Path, r.Header.Clone(), sent
		f.mu.Unlock()
		maps.Copy(w.Header(), signedHeader(tb, antomKeys()[0], r.URL.Path, []byte(body)))
		if change != nil {
			change(w.Header(), r.Header)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	tb.Cleanup(srv.Close)
	f.url = srv.URL
	return f
}

const successBody = `{"result":{"resultStatus":"S","resultCode":"SUCCESS","resultMessage":"success."},` +
	`"refundRequestId":"rf_0001","refundId":"2026112119401080010018800000000009","paymentId":"20260101194010800100188000000000001",` +
	`"refundAmount":{"currency":"HKD","value":"1001"},"refundTime":"2026-11-21T20:01:01+08:00"}`

const foundBody = `{"result":{"resultStatus":"S","resultCode":"SUCCESS","resultMessage":"success."},"refundStatus":"SUCCESS",` +
	`"refundRequestId":"rf_0001","refundId":"2026112119401080010018800000000009",` +
	`"refundAmount":{"currency":"HKD","value":"1001"},"refundTime":"2026-11-21T20:01:01+08:00"}`
