package eftpay

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"regexp"
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

func TestACallGoesOutAsDocumentedAndComesBackProved(t *testing.T) {
	t.Parallel()
	f := newFake(t, http.StatusOK, refunded().signed(), nil)
	c := newClient(t, testConfig(f.url))
	for range 2 {
		res, err := c.Refund(t.Context(), testRequest())
		if err != nil || res.Verdict != refund.Succeeded {
			t.Fatalf("%s, %v", res.Verdict, err)
		}
		path, header, body := f.last()
		if path != "/VMP/Servlet/JSAPIService.do" || !bytes.Equal(body, c.signer.Load().body(c.refundFields(testRequest()))) {
			t.Errorf("sent %s to %s", body, path)
		}
		for name, want := range map[string]string{
			"Content-Type": "application/json; charset=UTF-8", "Idempotency-Key": "", "X-Idempotency-Key": "", "Expect": "", "Accept-Encoding": "",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("header %s = %q, want %q", name, got, want)
			}
		}
	}

	before := time.Now().Truncate(time.Second)
	res, err := c.Inquire(t.Context(), testRequest())
	if err != nil || res.Verdict != refund.Succeeded || res.RawCode != "TRADE_REFUND" {
		t.Fatalf("%+v, %v", res, err)
	}
	path, _, body := f.last()
	if path != "/VMP/Servlet/JSAPIService.do" || !bytes.Contains(body, []byte(`"service":"service.alipay.qrcode.Query"`)) {
		t.Errorf("sent %s to %s", body, path)
	}
	obj, err := gateway.ParseObject(body)
	if err != nil {
		t.Fatal(err)
	}
	stamped, _ := scalar(obj["time"])
	at, err := time.Parse("20060102150405-0700", stamped+"+0800")
	if err != nil || at.Before(before) || at.After(time.Now()) {
		t.Errorf("a query's time %q is not now in UTC+8 (%v)", stamped, err)
	}
}

// Whatever is not a signed 200 leaves the outcome unknown, in both operations, and shows nothing.
func TestAnAnswerWithoutProofIsUnknown(t *testing.T) {
	t.Parallel()
	retryAfter := func(value string) func(http.Header) { return func(h http.Header) { h.Set("Retry-After", value) } }
	status := func(err error) bool { _, ok := errors.AsType[*gateway.StatusError](err); return ok }
	unverified := func(err error) bool { _, ok := errors.AsType[*gateway.UnverifiedError](err); return ok }
	unreadable := func(err error) bool { _, ok := errors.AsType[*gateway.UnreadableError](err); return ok }
	const plain, rejected = "unknown UNKNOWN_OUTCOME !unverified", "unknown ACCOUNT_REJECTED !configuration"
	for _, tc := range []struct {
		name   string
		status int
		body   string
		change func(http.Header)
		want   string
		pause  time.Duration
		is     func(error) bool
	}{
		{"success with 201", 201, refunded().signed(), nil, plain, 0, status},
		{"failure with 400", 400, refunded().with("trade_status", "TRADE_FAIL").signed(), nil, plain, 0, status},
		{"not found with 404", 404, failing("77").signed(), nil, plain, 0, status},
		{"redirect", 302, "", func(h http.Header) { h.Set("Location", "/") }, plain, 0, status},
		{"bad gateway", 502, "<html>", nil, "unknown UNKNOWN_OUTCOME", 0, status},
		{"unavailable for a while", 503, "", retryAfter("7"), "unknown UNKNOWN_OUTCOME", 7 * time.Second, status},
		{"too many", 429, "", retryAfter("30"), "unknown THROTTLED", 30 * time.Second, status},
		{"too many, without a time", 429, "", nil, "unknown THROTTLED", 0, status},
		{"too many, for ever", 429, "", retryAfter("999999"), "unknown THROTTLED", gateway.MaxRetryAfter, status},
		{"no such service, with 403", 403, failing("-13").text(), nil, rejected, 0, status},
		{"success without signature", 200, refunded().text(), nil, plain, 0, unverified},
		{"failure without signature", 200, refunded().with("trade_status", "TRADE_FAIL").text(), nil, plain, 0, unverified},
		{"error without signature", 200, failing("51").text(), nil, plain, 0, unverified},
		{"not found without signature", 200, failing("77").text(), nil, plain, 0, unverified},
		{"nothing found, without signature", 200, failing("00").text(), nil, plain, 0, unverified},
		{"success with another's signature", 200, refunded().with("sign", stampOf(fields{}, false)).text(), nil, plain, 0, unverified},
		{"no such service", 200, failing("-13").text(), nil, rejected, 0, unverified},
		{"another negative code", 200, failing("-7").text(), nil, rejected, 0, unverified},
		{"clock, unsigned", 200, failing("12").text(), nil, rejected, 0, unverified},
		{"clock, signed with something else", 200, failing("12").with("sign", stampOf(fields{}, false)).text(), nil, rejected, 0, unverified},
		{"a negative code among fields of a success", 200, refunded().with("return_status", "-1").text(), nil, rejected, 0, unverified},
		{"a code that is no text", 200, failing("12").with("return_status", 12).text(), nil, plain, 0, unverified},
		{"HTML", 200, "<html>", nil, plain, 0, unreadable},
		{"empty", 200, "", nil, plain, 0, unreadable},
		{"two codes", 200, `{"return_status":"00","return_status":"12"}`, nil, plain, 0, unreadable},
		{"signed, without return_status", 200, refunded().with("return_status", "-").signed(), nil, plain, 0, unreadable},
		{"signed, with a number for a text", 200, refunded().with("trade_status", 1).signed(), nil, plain, 0, unreadable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, tc.status, tc.body, tc.change)
			c := newClient(t, testConfig(f.url))
			for name, call := range map[string]func(context.Context, refund.Request) (refund.Result, error){"refund": c.Refund, "inquire": c.Inquire} {
				res, err := call(t.Context(), testRequest())
				if got := short(res); got != tc.want || res.RetryAfter != tc.pause {
					t.Errorf("%s: %q after %s, want %q after %s", name, got, res.RetryAfter, tc.want, tc.pause)
				}
				if err == nil || !tc.is(err) || !strings.HasPrefix(err.Error(), "eftpay "+name+" rf_0001: ") {
					t.Errorf("%s: error %v (%T)", name, err, err)
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
	c := newClient(t, testConfig("http://"+l.Addr().String()))
	res, err := c.Refund(t.Context(), testRequest())
	if got := short(res); got != "not-sent GATEWAY_UNAVAILABLE" || err == nil {
		t.Errorf("dial refused: %s, %v", got, err)
	}

	f := newFake(t, http.StatusOK, refunded().signed(), func(http.Header) { panic(http.ErrAbortHandler) })
	c = newClient(t, testConfig(f.url))
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

func TestARequestThatCannotBePutIsNotSent(t *testing.T) {
	t.Parallel()
	f := newFake(t, http.StatusOK, refunded().signed(), nil)
	c := newClient(t, testConfig(f.url))
	large, unclaimed, walletless := testRequest(), testRequest(), testRequest()
	large.Amount.Minor = maxMinor + 1
	unclaimed.ClaimedAt = time.Time{}
	walletless.EftPay = nil
	for name, tc := range map[string]struct {
		call func(context.Context, refund.Request) (refund.Result, error)
		req  refund.Request
		is   func(error) bool
	}{
		"an amount of nine characters": {c.Refund, large, func(err error) bool { _, ok := errors.AsType[*RequestError](err); return ok }},
		"a refund without claim":       {c.Refund, unclaimed, func(err error) bool { return errors.Is(err, errNoClaimTime) }},
		"a refund without wallet":      {c.Refund, walletless, func(err error) bool { _, ok := errors.AsType[*RequestError](err); return ok }},
		"a query without wallet":       {c.Inquire, walletless, func(err error) bool { _, ok := errors.AsType[*RequestError](err); return ok }},
	} {
		if res, err := tc.call(t.Context(), tc.req); short(res) != "not-sent GATEWAY_UNAVAILABLE" || err == nil || !tc.is(err) {
			t.Errorf("%s: %s, %v", name, short(res), err)
		}
	}
	if f.calls != 0 {
		t.Errorf("%d requests went out", f.calls)
	}
	// A query moves nothing, and may have to ask for what an earlier build has sent.
	for _, req := range []refund.Request{large, unclaimed} {
		if _, err := c.Inquire(t.Context(), req); err != nil {
			t.Error(err)
		}
	}
	if f.calls != 2 {
		t.Errorf("%d queries went out, want 2", f.calls)
	}
}

func TestCallsAreCounted(t *testing.T) {
	t.Parallel()
	f := newFake(t, http.StatusOK, failing("-13").text(), nil)
	reg := prometheus.NewRegistry()
	c, err := New(testConfig(f.url), zerolog.Nop(), gateway.NewMetrics(reg, []string{"hk"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	unclaimed := testRequest()
	unclaimed.ClaimedAt = time.Time{}
	for _, req := range []refund.Request{testRequest(), unclaimed} {
		if _, err := c.Refund(t.Context(), req); err == nil {
			t.Fatal("no error")
		}
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
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	calls := 0.0
	for _, family := range families {
		if family.GetName() == "refund_worker_gateway_calls_total" {
			for _, m := range family.GetMetric() {
				calls += m.GetCounter().GetValue()
			}
		}
	}
	if calls != 2 {
		t.Errorf("%g calls counted, want 2", calls)
	}
}

// A peer that repeats everything we sent, on every path an answer can take, finds neither our secret nor a signature in
// our logs, errors and results.
func TestNoSecretIsLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := zerolog.New(&log).Level(zerolog.DebugLevel)
	var signatures []string
	sign := regexp.MustCompile(`[0-9a-f]{64}`)
	run := func(cfg Config, seen func() []byte) {
		c, err := New(cfg, logger, gateway.NewMetrics(prometheus.NewRegistry(), []string{"hk"}))
		if err != nil {
			logger.Error().Err(err).Msg("refused")
			return
		}
		defer c.Close()
		for _, call := range []func(context.Context, refund.Request) (refund.Result, error){c.Refund, c.Inquire} {
			res, err := call(t.Context(), testRequest())
			logger.Error().Err(err).Interface("result", res).Msg("outcome")
			signatures = append(signatures, sign.FindAllString(string(seen()), -1)...)
		}
	}
	for _, status := range []int{200, 400, 429, 502} {
		for _, body := range []string{
			refunded().signed(), failing("51").signed(), failing("-13").with("return_char", "ECHO").text(), failing("12").with("return_char", "ECHO").text(),
			refunded().with("return_char", "ECHO", "trade_status", "ECHO").text(), failing("ECHO").text(), `{"ECHO":1}`, "ECHO", "<html>ECHO",
		} {
			f := newFake(t, status, body, nil)
			signatures = append(signatures, sign.FindAllString(body, -1)...)
			run(testConfig(f.url), func() []byte { _, _, sent := f.last(); return sent })
		}
	}
	// A server that answers in no protocol at all, with what it was sent.
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed by the test
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var sent []byte
	var done sync.WaitGroup
	done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 8192)
			n, _ := conn.Read(buf)
			mu.Lock()
			sent = bytes.Clone(buf[:n])
			mu.Unlock()
			_, _ = conn.Write(bytes.ReplaceAll(buf[:n], []byte("\r\n"), nil))
			_ = conn.Close()
		}
	})
	cfg := testConfig("http://" + l.Addr().String())
	run(cfg, func() []byte { mu.Lock(); defer mu.Unlock(); return sent })
	_ = l.Close()
	done.Wait()
	// Configurations that are refused, each with a secret in the wrong place.
	for _, spoil := range []func(*Config){
		func(c *Config) { c.Secret += " " },
		func(c *Config) { c.UserConfirmKey = ourSecret },
		func(c *Config) { c.BaseURL = "https://u:" + ourSecret + "@eftpay.example" },
		func(c *Config) { c.ClientKey = c.Secret; c.ClientCert = []byte("x") },
	} {
		bad := cfg
		spoil(&bad)
		run(bad, func() []byte { return nil })
	}

	if len(signatures) < 70 {
		t.Fatalf("only %d signatures were seen", len(signatures))
	}
	text := log.String()
	if !strings.Contains(text, "eftpay answered") || !strings.Contains(text, "sign is missing") || !strings.Contains(text, "refused") {
		t.Fatalf("the log does not hold what was to be searched:\n%s", text)
	}
	for _, secret := range append(signatures, ourSecret, ourSecret[:12]) {
		if strings.Contains(text, secret) {
			t.Errorf("the log shows %q", secret)
		}
	}
}

// Which way of signing empty fields eftPay has is contested; the log tells which one matched.
func TestTheLogTellsHowEmptyFieldsWereSigned(t *testing.T) {
	t.Parallel()
	empty := refunded().with("return_char", "")
	for want, body := range map[string]string{
		`"empty_fields":"skipped"`: empty.signed(),
		`"empty_fields":"kept"`:    empty.with("sign", stampOf(empty, true)).text(),
		`"empty_fields":""`:        empty.text(),
	} {
		var log bytes.Buffer
		f := newFake(t, http.StatusOK, body, nil)
		c, err := New(testConfig(f.url), zerolog.New(&log), gateway.NewMetrics(prometheus.NewRegistry(), []string{"hk"}))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Refund(t.Context(), testRequest())
		c.Close()
		if !strings.Contains(log.String(), want) || !strings.Contains(log.String(), `"request_id":"rf_0001"`) {
			t.Errorf("log %s, want %s", log.String(), want)
		}
	}
}

func TestCloseLeavesTheClientUsable(t *testing.T) {
	t.Parallel()
	f := newFake(t, http.StatusOK, refunded().signed(), nil)
	c := newClient(t, testConfig(f.url))
	for range 2 {
		if res, err := c.Refund(t.Context(), testRequest()); err != nil || res.Code != schemas.CodeRefunded {
			t.Errorf("%s, %v", res.Code, err)
		}
		c.Close()
	}
}
