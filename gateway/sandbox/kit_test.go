package sandbox_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"refundworker/gateway/sandbox"
)

const (
	clientID    = "TEST_CLIENT_0001"
	refundPath  = "/ams/api/v1/payments/refund"
	inquirePath = "/ams/api/v1/payments/inquiryRefund"
	payment     = "pay-1"
)

// testKeys makes the keys once: RSA key generation under the race detector takes seconds.
var testKeys = sync.OnceValues(sandbox.NewTestKeys)

// bundle is a running sandbox and a client that talks to it.
type bundle struct {
	// t is the bubble's own, and set in bubbles only: there the outer one must not be used.
	t      *testing.T
	server *sandbox.Server
	url    string
	client client
}

// setup runs a sandbox with the payment pay-1 of HKD 100.00, and what edit makes of it.
func setup(t *testing.T, edit func(*sandbox.Config)) bundle {
	t.Helper()
	keys, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	cfg := sandbox.Config{
		PrivateKey: keys.GatewayPrivate,
		Clients:    []sandbox.Client{{ID: clientID, PublicKey: keys.MerchantPublic}},
		Payments:   []sandbox.Payment{{ID: payment, Minor: 10_000, Currency: "HKD"}},
	}
	if edit != nil {
		edit(&cfg)
	}
	server, err := sandbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server.Antom())
	t.Cleanup(func() {
		closeServer(t, server)
		web.Close()
	})
	return bundle{server: server, url: web.URL, client: newClient(t, web.URL, keys)}
}

// closeServer accepts a server that the test has closed itself.
func closeServer(t *testing.T, server *sandbox.Server) {
	t.Helper()
	if err := server.Close(); err != nil && !errors.Is(err, sandbox.ErrClosed) {
		t.Errorf("close sandbox: %v", err)
	}
}

// client is a merchant, written against the public pages only.
type client struct {
	base    string
	id      string
	private *rsa.PrivateKey
	gateway *rsa.PublicKey
	http    *http.Client
	// edit changes a request after it was signed.
	edit func(*http.Request)
	// timeText is the request-time header; empty means now in epoch milliseconds.
	timeText string
}

func newClient(t *testing.T, base string, keys sandbox.Keys) client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 128}
	t.Cleanup(transport.CloseIdleConnections)
	private, ok := parse(t, keys.MerchantPrivate, x509.ParsePKCS8PrivateKey).(*rsa.PrivateKey)
	if !ok {
		t.Fatal("the merchant's key is not RSA")
	}
	public, ok := parse(t, keys.GatewayPublic, x509.ParsePKIXPublicKey).(*rsa.PublicKey)
	if !ok {
		t.Fatal("the gateway's key is not RSA")
	}
	return client{
		base: base, id: clientID, private: private, gateway: public,
		http: &http.Client{Transport: transport, Timeout: time.Minute},
	}
}

func parse(t *testing.T, text string, parser func([]byte) (any, error)) any {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	key, err := parser(der)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (c client) signature(t *testing.T, method, path, at string, body []byte) string {
	t.Helper()
	sum := sha256.Sum256([]byte(method + " " + path + "\n" + c.id + "." + at + "." + string(body)))
	raw, err := rsa.SignPKCS1v15(nil, c.private, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return url.QueryEscape(base64.StdEncoding.EncodeToString(raw))
}

// reply is everything a client can see of an answer.
type reply struct {
	err    error // the transport's, also while reading the body
	http   int
	header http.Header
	raw    []byte
	// verified is nil when the answer carries a valid signature for the client's own ID.
	verified error

	Result struct {
		ResultCode    string `json:"resultCode"`
		ResultStatus  string `json:"resultStatus"`
		ResultMessage string `json:"resultMessage"`
	} `json:"result"`
	RefundRequestID       string  `json:"refundRequestId"`
	RefundID              string  `json:"refundId"`
	PaymentID             string  `json:"paymentId"`
	RefundAmount          *amount `json:"refundAmount"`
	RefundTime            string  `json:"refundTime"`
	RefundStatus          string  `json:"refundStatus"`
	GrossSettlementAmount *amount `json:"grossSettlementAmount"`
	SettlementQuote       *struct {
		QuoteID           string          `json:"quoteId"`
		QuoteCurrencyPair string          `json:"quoteCurrencyPair"`
		QuotePrice        json.RawMessage `json:"quotePrice"`
	} `json:"settlementQuote"`
}

type amount struct {
	Currency string `json:"currency"`
	Value    string `json:"value"`
}

// says is the result in short: "S SUCCESS".
func (r reply) says() string { return r.Result.ResultStatus + " " + r.Result.ResultCode }

func (c client) send(ctx context.Context, t *testing.T, method, path string, body []byte) reply {
	t.Helper()
	at := c.timeText
	if at == "" {
		at = strconv.FormatInt(time.Now().UnixMilli(), 10)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json; charset=UTF-8")
	req.Header.Set("Client-Id", c.id)
	req.Header.Set("Request-Time", at)
	req.Header.Set("Signature", "algorithm=RSA256,keyVersion=1,signature="+c.signature(t, method, path, at, body))
	if c.edit != nil {
		c.edit(req)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	got := reply{err: err, http: resp.StatusCode, header: resp.Header, raw: raw}
	got.verified = c.verify(method, path, resp.Header, raw)
	if err == nil && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Errorf("answer %q: %v", raw, err)
		}
	}
	return got
}

func (c client) verify(method, path string, header http.Header, body []byte) error {
	_, value, found := strings.Cut(header.Get("signature"), "signature=")
	if !found {
		return errors.New("no signature")
	}
	text, err := url.QueryUnescape(value)
	if err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(method + " " + path + "\n" + c.id + "." + header.Get("response-time") + "." + string(body)))
	return rsa.VerifyPKCS1v15(c.gateway, crypto.SHA256, sum[:], raw)
}

func refundBody(requestID, paymentID, currency, value string) []byte {
	return []byte(`{"refundRequestId":"` + requestID + `","paymentId":"` + paymentID +
		`","refundAmount":{"currency":"` + currency + `","value":"` + value + `"}}`)
}

func (c client) refund(t *testing.T, requestID, paymentID, currency, value string) reply {
	t.Helper()
	return c.send(t.Context(), t, http.MethodPost, refundPath, refundBody(requestID, paymentID, currency, value))
}

// refundOne asks for HKD 10.00 of pay-1.
func (c client) refundOne(t *testing.T, requestID string) reply {
	t.Helper()
	return c.refund(t, requestID, payment, "HKD", "1000")
}

func (c client) inquire(t *testing.T, requestID string) reply {
	t.Helper()
	return c.send(t.Context(), t, http.MethodPost, inquirePath, []byte(`{"refundRequestId":"`+requestID+`"}`))
}

func wantSays(t *testing.T, got reply, want string) {
	t.Helper()
	if got.err != nil {
		t.Fatalf("call: %v", got.err)
	}
	if got.says() != want {
		t.Fatalf("the gateway says %q, want %q (body %s)", got.says(), want, got.raw)
	}
}

// moved is how often money moved for the request.
func (b bundle) moved(requestID string) int { return b.server.Summary().Refunds[requestID] }

func wantMoved(t *testing.T, b bundle, requestID string, want int) {
	t.Helper()
	if got := b.moved(requestID); got != want {
		t.Fatalf("money moved %d times for %s, want %d; ledger %+v", got, requestID, want, b.server.Ledger())
	}
}

// handlerTransport calls a handler without a network, for tests in a bubble. Like a connection it gives the call up
// when the request's context ends, and the handler goes on; an aborted handler is a connection without an answer.
type handlerTransport struct{ handler http.Handler }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	answered := make(chan *http.Response, 1)
	go func() {
		defer close(answered)
		defer func() { _ = recover() }()
		rec := httptest.NewRecorder()
		h.handler.ServeHTTP(rec, r)
		answered <- rec.Result()
	}()
	select {
	case resp := <-answered:
		if resp == nil {
			return nil, io.ErrUnexpectedEOF
		}
		return resp, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// bubble runs the test under fake time, with a sandbox that is called without a network.
func bubble(t *testing.T, p sandbox.Payment, test func(bundle)) {
	t.Helper()
	keys, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		server, err := sandbox.New(sandbox.Config{
			PrivateKey: keys.GatewayPrivate,
			Clients:    []sandbox.Client{{ID: clientID, PublicKey: keys.MerchantPublic}},
			Payments:   []sandbox.Payment{p},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer closeServer(t, server)
		c := newClient(t, "http://sandbox.invalid", keys)
		c.http = &http.Client{Transport: handlerTransport{server.Antom()}}
		test(bundle{t: t, server: server, client: c})
	})
}

// wait lets time pass.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}
