package eftpay

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/gateway"
	"refundworker/refund"
	"refundworker/schemas"
)

const (
	ourSecret = "TESTSECRET0123456789"
	ourKey    = "S0003469"
	sale      = "20190823191819"
)

// ourRefundNo is Key("rf_0001"), made with sha256sum and base32 of coreutils.
const ourRefundNo = "RNEDFFX7IVCMB3URS72MCCVNX6DG"

func testConfig(baseURL string) Config {
	return Config{Name: "hk", BaseURL: baseURL, UserConfirmKey: ourKey, Secret: ourSecret, Currency: "HKD", NotFoundStatus: []string{"77"}}
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
		RequestID: "rf_0001", GatewayKey: ourRefundNo, PaymentID: sale,
		Amount:    schemas.Money{Minor: 1001, Currency: "HKD"},
		EftPay:    &schemas.EftPayFields{PaymentType: "ALIPAYHK"},
		ClaimedAt: time.Date(2025, 12, 31, 20, 0, 0, 999, time.UTC),
	}
}

// fields are an answer's: name to a JSON value. nil is null.
type fields map[string]any

// with returns a copy with name, value pairs set; a value of "-" takes the field out.
func (f fields) with(pairs ...any) fields {
	out := maps.Clone(f)
	name := ""
	for i, v := range pairs {
		switch {
		case i%2 == 0:
			name = v.(string) //nolint:errcheck // a panic fails the test, as it should
		case v == "-":
			delete(out, name)
		default:
			out[name] = v
		}
	}
	return out
}

// refunded is a faultless answer of either operation.
func refunded() fields {
	return fields{
		"return_status": "00", "return_char": "OK", "time": "20260101120001", "user_confirm_key": ourKey,
		"out_trade_no": sale, "refund_no": ourRefundNo, "trade_status": "TRADE_REFUND", "trade_type": "REFUND",
		"transaction_amount": "10.01", "original_amount": "50.00", "currency": "HKD", "payment_type": "ALIPAYHK",
		"transaction_id": "2026010122001", "refund_trade_no": "EFT0001", "trade_time": "2026-01-01 12:00:01",
	}
}

// failing is an answer with an error and nothing else.
func failing(status string) fields { return fields{"return_status": status, "return_char": "m"} }

// stampOf signs an answer as eftPay would. It is written apart from the client's own signing, so that both can be wrong
// only in different ways. keep says whether empty fields are signed.
func stampOf(f fields, keep bool) string { return stampWith(ourSecret, f, keep) }

func stampWith(secret string, f fields, keep bool) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		text := ""
		if f[name] != nil {
			text = fmt.Sprint(f[name])
		}
		if name != "sign" && (text != "" || keep) {
			parts = append(parts, name+"="+text)
		}
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(secret+strings.Join(parts, "&"))))
}

// text is the answer as JSON.
func (f fields) text() string {
	raw, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// signed is the answer as JSON, signed.
func (f fields) signed() string { return f.with("sign", stampOf(f, false)).text() }

// fakeEftPay answers every request with one body.
type fakeEftPay struct {
	url    string
	mu     sync.Mutex
	calls  int
	path   string
	header http.Header
	body   []byte
}

func (f *fakeEftPay) last() (path string, header http.Header, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.path, f.header, f.body
}

// newFake serves body with status; change, when given, adds to the head or breaks off.
func newFake(tb testing.TB, status int, body string, change func(h http.Header)) *fakeEftPay {
	tb.Helper()
	f := &fakeEftPay{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		f.calls++
		f.path, f.header, f.body = r.URL.Path, r.Header.Clone(), sent
		f.mu.Unlock()
		if change != nil {
			change(w.Header())
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.ReplaceAll(body, "ECHO", strings.ReplaceAll(string(sent), `"`, "'")))
	}))
	tb.Cleanup(srv.Close)
	f.url = srv.URL + "/VMP"
	return f
}

// short is what matters of a Result, in one line.
func short(r refund.Result) string {
	parts := []string{r.Verdict.String()}
	if r.Code != "" {
		parts = append(parts, string(r.Code))
	}
	if r.Alarm != refund.NoAlarm {
		parts = append(parts, "!"+string(r.Alarm))
	}
	for _, flag := range []struct {
		is   bool
		name string
	}{{r.Review, "review"}, {r.InquireNow, "inquire-now"}, {r.ShowsNone, "shows-none"}, {r.RefundID != "", "id"}} {
		if flag.is {
			parts = append(parts, flag.name)
		}
	}
	return strings.Join(parts, " ")
}
