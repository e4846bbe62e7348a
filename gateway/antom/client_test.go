package antom

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"refundworker/gateway"
	"refundworker/refund"
	"refundworker/schemas"
)

func TestARefundGoesOutAsDocumentedAndComesBackProved(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ clientID, prefix string }{{ourClientID, "/ams/api"}, {"SANDBOX_" + ourClientID, "/ams/sandbox/api"}} {
		f := newFake(t, http.StatusOK, successBody, func(h, got http.Header) {
			// The sandbox client has another ID; sign for whoever asks.
			id := got.Get("Client-Id")
			h.Set("Client-Id", id)
			h.Set("Signature", stamp(t, antomKeys()[0], tc.prefix+"/v1/payments/refund", id, answerTime, []byte(successBody)))
		})
		cfg := testConfig(t, f.url)
		cfg.ClientID, cfg.AgentToken = tc.clientID, "agent-1"
		c := newClient(t, cfg)
		before := time.Now().UnixMilli()
		res, err := c.Refund(t.Context(), testRequest())
		if err != nil || res.Verdict != refund.Succeeded {
			t.Fatalf("%s: %s, %v", tc.clientID, res.Verdict, err)
		}
		path, header, body := f.last()
		if path != tc.prefix+"/v1/payments/refund" || !bytes.Equal(body, refundBody(testRequest())) {
			t.Errorf("sent %s to %s", body, path)
		}
		at, err := strconv.ParseInt(header.Get("Request-Time"), 10, 64)
		if err != nil || at < before || at > time.Now().UnixMilli() {
			t.Errorf("request-time %q is not now in milliseconds", header.Get("Request-Time"))
		}
		for name, want := range map[string]string{
			"Content-Type": "application/json; charset=UTF-8", "Client-Id": tc.clientID, "Agent-Token": "agent-1",
			"Idempotency-Key": "", "X-Idempotency-Key": "", "Expect": "", "Accept-Encoding": "",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("header %s = %q, want %q", name, got, want)
			}
		}
		value, ok := strings.CutPrefix(header.Get("Signature"), "algorithm=RSA256,keyVersion=7,signature=")
		if !ok {
			t.Fatalf("signature header %q", header.Get("Signature"))
		}
		own, err := parsePrivateKey([]byte(cfg.PrivateKey))
		if err != nil {
			t.Fatal(err)
		}
		want := stamp(t, own, path, tc.clientID, header.Get("Request-Time"), body)
		if value != want[strings.Index(want, "signature=")+len("signature="):] {
			t.Error("the request's signature is not the one of the path that was asked")
		}
	}
}

func TestAnInquiryAsksItsOwnPath(t *testing.T) {
	t.Parallel()
	f := newFake(t, http.StatusOK, foundBody, nil)
	cfg := testConfig(t, f.url)
	cfg.KeyVersion = ""
	c := newClient(t, cfg)
	res, err := c.Inquire(t.Context(), testRequest())
	if err != nil || res.Verdict != refund.Succeeded || res.RawCode != "SUCCESS" {
		t.Fatalf("%+v, %v", res, err)
	}
	path, header, body := f.last()
	if path != "/ams/api/v1/payments/inquiryRefund" || string(body) != `{"refundRequestId":"rf_0001"}` {
		t.Errorf("sent %s to %s", body, path)
	}
	if _, there := header["Agent-Token"]; there || !strings.HasPrefix(header.Get("Signature"), "algorithm=RSA256,keyVersion=1,") {
		t.Errorf("headers %v", header)
	}
}

func errorBody(code string) string {
	return `{"result":{"resultStatus":"F","resultCode":"` + code + `","resultMessage":"no"}}`
}

func unsigned(h, _ http.Header) { h.Del("Signature") }

// Whatever is not a signed 200 leaves the outcome unknown, in both operations.
func TestAnAnswerWithoutProofIsUnknown(t *testing.T) {
	t.Parallel()
	retryAfter := func(value string) func(h, got http.Header) {
		return func(h, _ http.Header) { h.Set("Retry-After", value) }
	}
	status := func(err error) bool { _, ok := errors.AsType[*gateway.StatusError](err); return ok }
	unverified := func(err error) bool { _, ok := errors.AsType[*gateway.UnverifiedError](err); return ok }
	unreadable := func(err error) bool { _, ok := errors.AsType[*gateway.UnreadableError](err); return ok }
	for _, tc := range []struct {
		name   string
		status int
		body   string
		change func(h, got http.Header)
		want   string
		pause  time.Duration
		is     func(error) bool
	}{
		{"success with 201", 201, successBody, nil, "unknown UNKNOWN_OUTCOME !unverified", 0, status},
		{"decline with 400", 400, errorBody("ORDER_NOT_EXIST"), nil, "unknown UNKNOWN_OUTCOME !unverified", 0, status},
		{"not found with 404", 404, errorBody("REFUND_NOT_EXIST"), nil, "unknown UNKNOWN_OUTCOME !unverified", 0, status},
		{"redirect", 302, "", func(h, _ http.Header) { h.Set("Location", "/") }, "unknown UNKNOWN_OUTCOME !unverified", 0, status},
		{"bad gateway", 502, "<html>", nil, "unknown UNKNOWN_OUTCOME", 0, status},
		{"unavailable for a while", 503, "", retryAfter("7"), "unknown UNKNOWN_OUTCOME", 7 * time.Second, status},
		{"too many", 429, "", retryAfter("30"), "unknown THROTTLED", 30 * time.Second, status},
		{"too many, without a time", 429, "", nil, "unknown THROTTLED", 0, status},
		{"too many, for ever", 429, "", retryAfter("999999"), "unknown THROTTLED", gateway.MaxRetryAfter, status},
		{"bad signature claimed with 401", 401, errorBody("INVALID_SIGNATURE"), unsigned, "unknown ACCOUNT_REJECTED !configuration", 0, status},
		{"success without signature", 200, successBody, unsigned, "unknown UNKNOWN_OUTCOME !unverified", 0, unverified},
		{"decline without signature", 200, errorBody("ORDER_NOT_EXIST"), unsigned, "unknown UNKNOWN_OUTCOME !unverified", 0, unverified},
		{"not found without signature", 200, errorBody("REFUND_NOT_EXIST"), unsigned, "unknown UNKNOWN_OUTCOME !unverified", 0, unverified},
		{"slow down without signature", 200, errorBody("REQUEST_TRAFFIC_EXCEED_LIMIT"), unsigned, "unknown UNKNOWN_OUTCOME !unverified", 0, unverified},
		{"bad signature claimed", 200, errorBody("INVALID_SIGNATURE"), unsigned, "unknown ACCOUNT_REJECTED !configuration", 0, unverified},
		{"key not found claimed", 200, errorBody("KEY_NOT_FOUND"), unsigned, "unknown ACCOUNT_REJECTED !configuration", 0, unverified},
		{"client invalid claimed", 200, errorBody("CLIENT_INVALID"), unsigned, "unknown ACCOUNT_REJECTED !configuration", 0, unverified},
		{"access denied claimed", 200, errorBody("ACCESS_DENIED"), unsigned, "unknown UNKNOWN_OUTCOME !unverified", 0, unverified},
		{"for another client", 200, successBody, func(h, _ http.Header) { h.Set("Client-Id", "X") }, "unknown UNKNOWN_OUTCOME !unverified", 0, unverified},
		{"HTML", 200, "<html>", unsigned, "unknown UNKNOWN_OUTCOME !unverified", 0, unverified},
		{"signed HTML", 200, "<html>", nil, "unknown UNKNOWN_OUTCOME !unverified", 0, unreadable},
		{"signed, two results", 200, `{"result":{},"result":{}}`, nil, "unknown UNKNOWN_OUTCOME !unverified", 0, unreadable},
		{"signed, empty", 200, "", nil, "unknown UNKNOWN_OUTCOME !unverified", 0, unreadable},
		{"signed slow down", 200, errorBody("REQUEST_TRAFFIC_EXCEED_LIMIT"), retryAfter("5"), "unknown THROTTLED", 5 * time.Second, nil},
		{"signed rejection", 200, errorBody("INVALID_SIGNATURE"), retryAfter("5"), "unknown ACCOUNT_REJECTED !configuration", 0, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, tc.status, tc.body, tc.change)
			c := newClient(t, testConfig(t, f.url))
			for name, call := range map[string]func(context.Context, refund.Request) (refund.Result, error){"refund": c.Refund, "inquire": c.Inquire} {
				res, err := call(t.Context(), testRequest())
				if got := short(res); got != tc.want || res.RetryAfter != tc.pause {
					t.Errorf("%s: %q after %s, want %q after %s", name, got, res.RetryAfter, tc.want, tc.pause)
				}
				if (err != nil) != (tc.is != nil) || tc.is != nil && !tc.is(err) {
					t.Errorf("%s: error %v (%T)", name, err, err)
				}
				if err != nil && !strings.HasPrefix(err.Error(), "antom "+name+" rf_0001: ") {
					t.Errorf("%s: error %v does not say what failed", name, err)
				}
			}
		})
	}
}

func TestAFailedTransportSaysWhetherAnythingWasSent(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // only its address is wanted
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	c := newClient(t, testConfig(t, "http://"+l.Addr().String()))
	res, err := c.Refund(t.Context(), testRequest())
	if got := short(res); got != "not-sent GATEWAY_UNAVAILABLE" || err == nil {
		t.Errorf("dial refused: %s, %v", got, err)
	}

	f := newFake(t, http.StatusOK, successBody, func(http.Header, http.Header) { panic(http.ErrAbortHandler) })
	c = newClient(t, testConfig(t, f.url))
	res, err = c.Refund(t.Context(), testRequest())
	if got := short(res); got != "unknown UNKNOWN_OUTCOME" || err == nil {
		t.Errorf("answer dropped: %s, %v", got, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	res, err = c.Inquire(ctx, testRequest())
	if res.Verdict != refund.NotSent || !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %s, %v", res.Verdict, err)
	}
}

func TestARequestThatCannotBeSignedIsNotSent(t *testing.T) {
	t.Parallel()
	f := newFake(t, http.StatusOK, successBody, nil)
	c := newClient(t, testConfig(t, f.url))
	spoiled := *c.signer.Load().private
	spoiled.N = big.NewInt(15)
	c.signer.Load().private = &spoiled
	res, err := c.Refund(t.Context(), testRequest())
	if res.Verdict != refund.NotSent || err == nil {
		t.Errorf("%s, %v", res.Verdict, err)
	}
	if path, _, _ := f.last(); path != "" {
		t.Error("a request went out")
	}
}

func TestCallsAreCounted(t *testing.T) {
	t.Parallel()
	f := newFake(t, http.StatusOK, errorBody("ACCESS_DENIED"), nil)
	reg := prometheus.NewRegistry()
	c, err := New(testConfig(t, f.url), zerolog.Nop(), gateway.NewMetrics(reg, []string{"hk"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.Refund(t.Context(), testRequest()); err != nil {
		t.Fatal(err)
	}
	want := `# HELP refund_worker_gateway_answer_alarms_total Gateway answers that a person must look at, by account and kind.
# TYPE refund_worker_gateway_answer_alarms_total counter
refund_worker_gateway_answer_alarms_total{account="hk",alarm="configuration"} 1
refund_worker_gateway_answer_alarms_total{account="hk",alarm="mismatch"} 0
refund_worker_gateway_answer_alarms_total{account="hk",alarm="unlisted-code"} 0
refund_worker_gateway_answer_alarms_total{account="hk",alarm="unverified"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "refund_worker_gateway_answer_alarms_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(reg, "refund_worker_gateway_calls_total"); err != nil || n != 12 {
		t.Errorf("%d series of calls, %v", n, err)
	}
}

// A peer that repeats everything we sent, on every path an answer can take, finds none of it in our logs, errors and
// results.
func TestNoSecretIsLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var mu sync.Mutex
	var signatures []string
	seen := func(headers ...http.Header) {
		mu.Lock()
		defer mu.Unlock()
		for _, h := range headers {
			signatures = append(signatures, h.Get("Signature"))
		}
	}
	note := func(err error, results ...refund.Result) {
		logger := zerolog.New(&log).Level(zerolog.DebugLevel)
		logger.Error().Err(err).Interface("results", results).Msg("outcome")
	}
	run := func(cfg Config) {
		c, err := New(cfg, zerolog.New(&log).Level(zerolog.DebugLevel), gateway.NewMetrics(prometheus.NewRegistry(), []string{"hk"}))
		if err != nil {
			note(err)
			return
		}
		defer c.Close()
		refunded, err := c.Refund(t.Context(), testRequest())
		inquired, err2 := c.Inquire(t.Context(), testRequest())
		note(errors.Join(err, err2), refunded, inquired)
	}
	const token = "agent-hunter2"
	var private string
	for _, status := range []int{200, 400, 429, 502} {
		for _, body := range []string{successBody, errorBody("ORDER_NOT_EXIST"), errorBody("INVALID_SIGNATURE"), "<html>"} {
			f := newFake(t, status, body, func(h, got http.Header) {
				seen(h, got)
				for name, values := range got {
					h["X-Echo-"+name] = values
				}
				h.Set("Signature", got.Get("Signature"))
				h.Set("Response-Time", got.Get("Agent-Token"))
			})
			cfg := testConfig(t, f.url)
			cfg.AgentToken = token
			private = string(cfg.PrivateKey)
			run(cfg)
			signed := newFake(t, status, body, func(h, got http.Header) { seen(h, got) })
			cfg.BaseURL = signed.url
			run(cfg)
		}
	}
	// A server that answers in no protocol at all, with what it was sent.
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed by the test
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 8192)
			n, _ := c.Read(buf)
			_, _ = c.Write(bytes.ReplaceAll(buf[:n], []byte("\r\n"), nil))
			_ = c.Close()
		}
	}()
	cfg := testConfig(t, "http://"+l.Addr().String())
	cfg.AgentToken = token
	run(cfg)
	_ = l.Close()
	<-done
	// Configurations that are refused, each with a secret in the wrong place.
	for _, spoil := range []func(*Config){
		func(c *Config) { c.PrivateKey = c.PrivateKey[:500] },
		func(c *Config) { c.AntomPublicKeys = []Secret{c.PrivateKey} },
		func(c *Config) { c.AgentToken = Secret(token + " ") },
		func(c *Config) { c.BaseURL = "https://u:" + token + "@antom.example" },
		func(c *Config) { c.ClientKey = c.PrivateKey; c.ClientCert = []byte("x") },
	} {
		bad := cfg
		spoil(&bad)
		run(bad)
	}

	if len(signatures) < 128 {
		t.Fatalf("only %d signatures were seen", len(signatures))
	}
	text := log.String()
	if !strings.Contains(text, "antom answered") || !strings.Contains(text, "not verified") {
		t.Fatalf("the log does not hold what was to be searched:\n%s", text)
	}
	searched := []string{token, "hunter2", private[30:60], private[len(private)-60 : len(private)-30]}
	for _, header := range signatures {
		_, value, ok := strings.Cut(header, "signature=")
		if !ok {
			t.Fatalf("no signature in %q", header)
		}
		plain, err := url.QueryUnescape(value)
		if err != nil {
			t.Fatal(err)
		}
		searched = append(searched, value[:24], plain[:24])
		if _, err := base64.StdEncoding.DecodeString(plain); err != nil {
			t.Fatal(err)
		}
	}
	for _, secret := range searched {
		if strings.Contains(text, secret) {
			t.Errorf("the log shows %q", secret)
		}
	}
}

func TestCloseLeavesTheClientUsable(t *testing.T) {
	t.Parallel()
	f := newFake(t, http.StatusOK, successBody, nil)
	c := newClient(t, testConfig(t, f.url))
	for range 2 {
		if res, err := c.Refund(t.Context(), testRequest()); err != nil || res.Code != schemas.CodeRefunded {
			t.Errorf("%s, %v", res.Code, err)
		}
		c.Close()
	}
}
