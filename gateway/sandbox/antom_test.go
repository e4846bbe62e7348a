package sandbox_test

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"refundworker/gateway/sandbox"
)

func TestBothPathFamiliesServeBothOperations(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for _, family := range []string{"/ams/api", "/ams/sandbox/api"} {
		id := "rf" + strings.ReplaceAll(family, "/", "_")
		got := b.client.send(t.Context(), t, http.MethodPost, family+"/v1/payments/refund", refundBody(id, payment, "HKD", "1"))
		wantSays(t, got, "S SUCCESS")
		if got.verified != nil {
			t.Errorf("%s: refund answer: %v", family, got.verified)
		}
		got = b.client.send(t.Context(), t, http.MethodPost, family+"/v1/payments/inquiryRefund", []byte(`{"refundRequestId":"`+id+`"}`))
		wantSays(t, got, "S SUCCESS")
		if got.verified != nil || got.RefundStatus != "SUCCESS" {
			t.Errorf("%s: inquiry answer: %v, %s", family, got.verified, got.raw)
		}
	}
}

func TestWhatIsNoGatewayPathIsNotFound(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if got := b.client.send(t.Context(), t, http.MethodPost, "/v1/payments/refund", nil); got.http != http.StatusNotFound {
		t.Errorf("HTTP %d, want 404", got.http)
	}
}

func TestGatewayLevelRefusalsLeaveNoTrace(t *testing.T) {
	t.Parallel()
	good := refundBody("rf_1", payment, "HKD", "1000")
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	cases := []struct {
		name, method, path string
		body               []byte
		edit               func(*http.Request)
		timeText           string
		want               string
		unsigned           bool
	}{
		{name: "another method", method: http.MethodPut, want: "F METHOD_NOT_SUPPORTED"},
		{name: "another media type", edit: header("Content-Type", "text/plain"), want: "F MEDIA_TYPE_NOT_ACCEPTABLE"},
		{name: "no media type", edit: func(r *http.Request) { r.Header.Del("Content-Type") }, want: "F MEDIA_TYPE_NOT_ACCEPTABLE"},
		{name: "an unknown interface", path: "/ams/api/v1/payments/pay", want: "F NO_INTERFACE_DEF"},
		{name: "an altered body", edit: func(r *http.Request) {
			r.Body = http.NoBody
			r.ContentLength = 0
		}, want: "F INVALID_SIGNATURE", unsigned: true},
		{name: "another time than the signed one", edit: header("Request-Time", "1685599933871"), want: "F INVALID_SIGNATURE", unsigned: true},
		{name: "no signature", edit: func(r *http.Request) { r.Header.Del("Signature") }, want: "F INVALID_SIGNATURE", unsigned: true},
		{name: "no base64", edit: header("Signature", "algorithm=RSA256,keyVersion=1,signature=%%%"), want: "F INVALID_SIGNATURE", unsigned: true},
		{name: "broken base64", edit: header("Signature", "algorithm=RSA256,keyVersion=1,signature=!!"), want: "F INVALID_SIGNATURE", unsigned: true},
		{name: "another algorithm", edit: func(r *http.Request) {
			r.Header.Set("Signature", strings.Replace(r.Header.Get("Signature"), "RSA256", "RSA1", 1))
		}, want: "F INVALID_SIGNATURE", unsigned: true},
		{name: "no JSON", body: []byte("refund!"), want: "F PARAM_ILLEGAL"},
		{name: "a time in no known form", timeText: "yesterday", want: "F PARAM_ILLEGAL"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			// A refused call must not use up a fault either.
			if err := b.server.Script(sandbox.AnyOperation, "rf_1", sandbox.Fault{Kind: sandbox.DropBefore}); err != nil {
				t.Fatal(err)
			}
			c := b.client
			c.edit, c.timeText = tc.edit, tc.timeText
			method, path, body := http.MethodPost, refundPath, good
			if tc.method != "" {
				method = tc.method
			}
			if tc.path != "" {
				path = tc.path
			}
			if tc.body != nil {
				body = tc.body
			}
			got := c.send(t.Context(), t, method, path, body)
			wantSays(t, got, tc.want)
			if got.http != http.StatusOK {
				t.Errorf("HTTP %d, want 200", got.http)
			}
			if signed := got.header.Get("signature") != ""; signed == tc.unsigned {
				t.Errorf("the answer is signed: %v", signed)
			}
			if !tc.unsigned && got.verified != nil {
				t.Errorf("the answer does not verify: %v", got.verified)
			}
			b.server.ClearRules()
			wantSays(t, b.client.refund(t, "rf_1", payment, "HKD", "2000"), "S SUCCESS")
		})
	}
}

func TestUnknownClientIsRefusedWithASignedAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.client.id = "SOMEBODY_ELSE"
	got := b.client.refundOne(t, "rf_1")
	wantSays(t, got, "F CLIENT_INVALID")
	if got.verified != nil || got.header.Get("client-id") != "SOMEBODY_ELSE" {
		t.Errorf("answer: %v, client-id %q", got.verified, got.header.Get("client-id"))
	}
	if entries := b.server.Ledger(); len(entries) != 0 {
		t.Errorf("ledger: %+v", entries)
	}
}

func TestSignatureOfAnotherMerchantIsInvalid(t *testing.T) {
	t.Parallel()
	keys, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	// The second merchant is registered with a key that the test's client does not hold.
	b := setup(t, func(cfg *sandbox.Config) {
		cfg.Clients = append(cfg.Clients, sandbox.Client{ID: "SECOND", PublicKey: keys.GatewayPublic})
	})
	b.client.id = "SECOND"
	wantSays(t, b.client.refundOne(t, "rf_1"), "F INVALID_SIGNATURE")
}

func TestSignatureHeaderIsReadTolerantly(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		edit func(value string) string
	}{
		{"spaces after the commas", func(v string) string { return "algorithm=RSA256, keyVersion=1, signature=" + v }},
		{"another order", func(v string) string { return "signature=" + v + ", algorithm=RSA256" }},
		{"plain base64", func(v string) string {
			plain, err := url.QueryUnescape(v)
			if err != nil {
				return ""
			}
			return "algorithm=RSA256,signature=" + plain
		}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			b.client.edit = func(r *http.Request) {
				_, value, _ := strings.Cut(r.Header.Get("Signature"), "signature=")
				r.Header.Set("Signature", tc.edit(value))
			}
			wantSays(t, b.client.refundOne(t, "rf_1"), "S SUCCESS")
		})
	}
}

func TestRequestTimeIsTakenInEveryFormThatIsSeen(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for i, text := range []string{
		"1685599933871", "2026-11-21T12:01:01+08:00", "2026-11-21T12:01:01+0800", "2026-11-21T12:01:01.250+08:00", "2026-11-21T12:01:01Z",
	} {
		c := b.client
		c.timeText = text
		wantSays(t, c.refund(t, "rf_"+string(rune('a'+i)), payment, "HKD", "1"), "S SUCCESS")
	}
}

func TestResponseTimeCanBeISO(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *sandbox.Config) { cfg.ISOResponseTime = true })
	got := b.client.refundOne(t, "rf_1")
	if got.verified != nil {
		t.Error(got.verified)
	}
	if _, err := time.Parse(time.RFC3339, got.header.Get("response-time")); err != nil {
		t.Error(err)
	}
}

// The vector was made with openssl and checked with the vendor's Go and Java SDKs; no code of this module took part.
func TestAForeignSignatureVerifies(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		raw, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	const vectorPayment = "20260101194010800100188000000000001"
	b := setup(t, func(cfg *sandbox.Config) {
		cfg.Clients[0].PublicKey = read("antom_test_public_key.b64")
		cfg.Payments = []sandbox.Payment{{ID: vectorPayment, Minor: 5000, Currency: "HKD"}}
	})
	b.client.timeText = "1685599933871"
	b.client.edit = func(r *http.Request) {
		r.Header.Set("Signature", "algorithm=RSA256,keyVersion=1,signature="+strings.TrimSpace(read("antom_sig.urlenc")))
	}
	got := b.client.send(t.Context(), t, http.MethodPost, refundPath, []byte(read("antom_body.json")))
	wantSays(t, got, "S SUCCESS")
	b.client.timeText = "1685599933872"
	wantSays(t, b.client.send(t.Context(), t, http.MethodPost, refundPath, []byte(read("antom_body.json"))), "F INVALID_SIGNATURE")
}

func TestAnOversizedRequestIsNotRead(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	got := b.client.send(t.Context(), t, http.MethodPost, refundPath, []byte(`{"refundReason":"`+strings.Repeat("x", 64<<10)+`"}`))
	if got.err == nil && got.http != http.StatusRequestEntityTooLarge {
		t.Errorf("HTTP %d, want 413", got.http)
	}
}

func TestACallAfterCloseIsNotAnswered(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if err := b.server.Close(); err != nil {
		t.Fatal(err)
	}
	if got := b.client.refundOne(t, "rf_1"); got.http != http.StatusInternalServerError {
		t.Errorf("HTTP %d, want 500", got.http)
	}
}
