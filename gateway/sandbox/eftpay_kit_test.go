package sandbox_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"refundworker/gateway/sandbox"
)

const (
	vmpPath   = "/VMP/Servlet/JSAPIService.do"
	vmpKey    = "S0003469"
	vmpSecret = "TESTSECRET0123456789"
	sale      = "20190823191819"
)

// vmpBundle is a running sandbox and a client that talks to its eftPay side.
type vmpBundle struct {
	// t is the bubble's own, and set in bubbles only: there the outer one must not be used.
	t      *testing.T
	server *sandbox.Server
	client vmpClient
}

// vmpConfig has a sale of HKD 100.00, paid with ALIPAYHK.
func vmpConfig(edit func(*sandbox.Config)) sandbox.Config {
	cfg := sandbox.Config{
		Merchants: []sandbox.Merchant{{Key: vmpKey, Secret: vmpSecret, Currency: "HKD"}},
		Payments:  []sandbox.Payment{{ID: sale, Minor: 10_000, Currency: "HKD", Wallet: "ALIPAYHK"}},
	}
	if edit != nil {
		edit(&cfg)
	}
	return cfg
}

func setupVMP(t *testing.T, edit func(*sandbox.Config)) vmpBundle {
	t.Helper()
	server, err := sandbox.New(vmpConfig(edit))
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server.EftPay())
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		closeServer(t, server)
		web.Close()
	})
	return vmpBundle{server: server, client: newVMPClient(web.URL, &http.Client{Transport: transport, Timeout: time.Minute})}
}

// bubbleVMP runs the test under fake time, with a sandbox that is called without a network.
func bubbleVMP(t *testing.T, edit func(*sandbox.Config), test func(vmpBundle)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server, err := sandbox.New(vmpConfig(edit))
		if err != nil {
			t.Fatal(err)
		}
		defer closeServer(t, server)
		web := &http.Client{Transport: handlerTransport{server.EftPay()}}
		test(vmpBundle{t: t, server: server, client: newVMPClient("http://sandbox.invalid", web)})
	})
}

// vmpClient is a merchant, written against the public pages and the attested signature only.
type vmpClient struct {
	url    string
	http   *http.Client
	secret string
	// service is the family, such as service.alipay.qrcode.
	service, payType, wallet string
	// clock is added to the time of the requests.
	clock time.Duration
	// keepEmpty signs empty fields as "name=", in requests and in answers.
	keepEmpty bool
	// edit changes the fields before they are signed, tamper after.
	edit, tamper func(map[string]any)
}

func newVMPClient(base string, web *http.Client) vmpClient {
	return vmpClient{
		url: base + vmpPath, http: web, secret: vmpSecret,
		service: "service.alipay.qrcode", payType: "Alipay", wallet: "ALIPAYHK",
	}
}

// vmpReply is everything a client can see of an answer.
type vmpReply struct {
	err  error // the transport's, also while reading the body
	http int
	raw  []byte
	// fields are the answer's texts; null is "<null>". A field that is not there is "".
	fields map[string]string
	names  []string
	// verified is nil when the answer carries a valid signature.
	verified error
}

// says is the answer in short: "00 TRADE_REFUND", "21".
func (r vmpReply) says() string {
	return strings.TrimSpace(r.fields["return_status"] + " " + r.fields["trade_status"])
}

func vmpSum(secret string, fields map[string]string, keepEmpty bool) string {
	var text strings.Builder
	text.WriteString(secret)
	first := true
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		value := strings.Replace(fields[name], "<null>", "", 1)
		if name == "sign" || value == "" && !keepEmpty {
			continue
		}
		if !first {
			text.WriteString("&")
		}
		first = false
		text.WriteString(name + "=" + value)
	}
	sum := sha256.Sum256([]byte(text.String()))
	return hex.EncodeToString(sum[:])
}

func (c vmpClient) stamp() string {
	// UTC+8 by hand: the wall clock eight hours on.
	return time.Now().Add(c.clock + 8*time.Hour).UTC().Format("20060102150405")
}

// send signs and posts. Values are strings, or anything else to send that instead.
func (c vmpClient) send(ctx context.Context, t *testing.T, fields map[string]any) vmpReply {
	t.Helper()
	if c.edit != nil {
		c.edit(fields)
	}
	texts := map[string]string{}
	for name, value := range fields {
		text, isText := value.(string)
		if !isText && value != nil {
			raw, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			text = string(raw)
		}
		texts[name] = text
	}
	if _, given := fields["sign"]; !given {
		fields["sign"] = vmpSum(c.secret, texts, c.keepEmpty)
	}
	if c.tamper != nil {
		c.tamper(fields)
	}
	body, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return c.do(t, req)
}

func (c vmpClient) do(t *testing.T, req *http.Request) vmpReply {
	t.Helper()
	resp, err := c.http.Do(req)
	if err != nil {
		return vmpReply{err: err}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	got := vmpReply{err: err, http: resp.StatusCode, raw: raw, fields: map[string]string{}}
	if err != nil || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		return got
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	for depth := 0; ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("answer %q: %v", raw, err)
		}
		if name, ok := token.(string); ok && depth == 1 {
			value, err := dec.Token()
			if err != nil {
				t.Fatalf("answer %q: %v", raw, err)
			}
			text, isText := value.(string)
			if !isText {
				text = "<null>"
			}
			if !isText && value != nil {
				t.Errorf("answer %s: %s is neither text nor null", raw, name)
			}
			got.names = append(got.names, name)
			got.fields[name] = text
			continue
		}
		depth++
	}
	if got.fields["sign"] != vmpSum(c.secret, got.fields, c.keepEmpty) {
		got.verified = errors.New("the signature does not fit, or is missing")
	}
	return got
}

func (c vmpClient) fields(service, outTradeNo, refundNo string) map[string]any {
	fields := map[string]any{
		"service": c.service + "." + service, "user_confirm_key": vmpKey, "out_trade_no": outTradeNo,
		"paytype": c.payType, "buyertype": "others", "payment_type": c.wallet, "time": c.stamp(),
	}
	if refundNo != "" {
		fields["refund_no"] = refundNo
	}
	return fields
}

func (c vmpClient) refund(t *testing.T, refundNo, outTradeNo, amount string) vmpReply {
	t.Helper()
	return c.refundWithin(t.Context(), t, refundNo, outTradeNo, amount)
}

func (c vmpClient) refundWithin(ctx context.Context, t *testing.T, refundNo, outTradeNo, amount string) vmpReply {
	t.Helper()
	fields := c.fields("Refund", outTradeNo, refundNo)
	fields["transaction_amount"] = amount
	return c.send(ctx, t, fields)
}

// refundOne asks for HKD 10.00 of the sale.
func (c vmpClient) refundOne(t *testing.T, refundNo string) vmpReply {
	t.Helper()
	return c.refund(t, refundNo, sale, "10.00")
}

// query asks for the refund, or with an empty number for the sale.
func (c vmpClient) query(t *testing.T, refundNo, outTradeNo string) vmpReply {
	t.Helper()
	fields := c.fields("Query", outTradeNo, refundNo)
	fields["querytype"] = "OUT_TRADE"
	return c.send(t.Context(), t, fields)
}

func wantVMP(t *testing.T, got vmpReply, want string) {
	t.Helper()
	if got.err != nil {
		t.Fatalf("call: %v", got.err)
	}
	if got.says() != want {
		t.Fatalf("the gateway says %q, want %q (HTTP %d, body %s)", got.says(), want, got.http, got.raw)
	}
}

// wantSigned also looks at the signature, and that time comes with it and not without.
func wantSigned(t *testing.T, got vmpReply, want string, signed bool) {
	t.Helper()
	wantVMP(t, got, want)
	if (got.verified == nil) != signed || (got.fields["time"] != "") != signed || (got.fields["sign"] != "") != signed {
		t.Fatalf("signed is to be %t: %v in %s", signed, got.verified, got.raw)
	}
}

// wantVMPMoved checks how often money moved under a refund_no.
func wantVMPMoved(t *testing.T, b vmpBundle, refundNo string, want int) {
	t.Helper()
	if got := b.server.Summary().Refunds[refundNo]; got != want {
		t.Fatalf("money moved %d times for %s, want %d; ledger %+v", got, refundNo, want, b.server.Ledger())
	}
}
