package worker

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/rs/zerolog"

	"refundworker/gateway/sandbox"
	"refundworker/internal/config"
	"refundworker/internal/kafka/kafkatest"
	"refundworker/schemas"
)

const (
	notifyClient = "SANDBOX_NOTIFY"
	// notifyPath has a query, which the signature covers.
	notifyPath = "/antom/hk?shop=7&x=a%20b"
	success    = `"result":{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":"success"},"refundStatus":"SUCCESS"`
	failure    = `"result":{"resultCode":"PROCESS_FAIL","resultStatus":"F","resultMessage":"no"},"refundStatus":"FAIL"`
)

// notified is a running worker that listens for notifications of a sandbox Antom. Its one retry tier is longer than any
// test: what ends a refund that waits is a notification.
type notified struct {
	*Worker
	broker  *kafkatest.Broker
	gateway *sandbox.Server
	private *rsa.PrivateKey
	url     string
}

func setupNotified(t *testing.T) *notified {
	t.Helper()
	keys, err := sandbox.NewTestKeys()
	if err != nil {
		t.Fatal(err)
	}
	n := &notified{broker: kafkatest.Start(t), private: privateKey(t, keys.GatewayPrivate)}
	// The gateway's address has to be known before the gateway, which has to know the worker's.
	late := make(chan http.Handler, 1)
	web := httptest.NewServer(handOver(late))
	t.Cleanup(web.Close)
	yaml := fmt.Sprintf(`
kafka: {brokers: [%q], partitions: 3, replication: 1, min_insync: 1}
redis: {addresses: [%q]}
limits: {gateway_timeout: 2s, lease: 15s}
retry: {tiers: [1h]}
http: {listen: "127.0.0.1:0", notify_listen: "127.0.0.1:0"}
accounts:
  - {name: hk, gateway: antom, base_url: %q, client_id: %s, private_key: "file:merchant.key", antom_public_key: "file:antom.key"}
`, n.broker.Addr, miniredis.RunT(t).Addr(), web.URL, notifyClient)
	cfg, err := config.Load(config.Flags{File: "w.yaml"}, config.WithAccounts, filesOf(map[string]string{
		"w.yaml": yaml, "merchant.key": keys.MerchantPrivate, "antom.key": keys.GatewayPublic,
	}))
	if err != nil {
		t.Fatal(err)
	}
	n.run(t, cfg)
	n.gateway, err = sandbox.New(sandbox.Config{
		PrivateKey: keys.GatewayPrivate,
		Clients:    []sandbox.Client{{ID: notifyClient, PublicKey: keys.MerchantPublic, NotifyURL: n.url + notifyPath}},
		PaymentFunc: func(id string) (sandbox.Payment, bool) {
			p := sandbox.Payment{Minor: 10_000, Currency: "HKD"}
			if strings.HasPrefix(id, "async") {
				p.Async = &sandbox.Async{Delay: 200 * time.Millisecond, Stuck: strings.HasPrefix(id, "async-stuck")}
			}
			return p, true
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	late <- n.gateway.Antom()
	t.Cleanup(func() {
		if err := n.gateway.Close(); err != nil {
			t.Errorf("close the gateway: %v", err)
		}
	})
	return n
}

// handOver serves with the handler that is handed over; nobody may call before.
func handOver(late <-chan http.Handler) http.Handler {
	handler := sync.OnceValue(func() http.Handler { return <-late })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler().ServeHTTP(w, r) })
}

// run starts the worker and ends it with the test.
func (n *notified) run(t *testing.T, cfg config.Config) {
	t.Helper()
	if err := Init(t.Context(), cfg, zerolog.Nop(), io.Discard); err != nil {
		t.Fatal(err)
	}
	var err error
	if n.Worker, err = New(cfg, "test", zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	waiting, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	addr, err := n.NotifyAddr(waiting)
	if err != nil {
		t.Fatal(err)
	}
	n.url = "http://" + addr
}

func privateKey(t *testing.T, text string) *rsa.PrivateKey {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		t.Fatal("not an RSA key")
	}
	return private
}

// command sends the command of a refund of 10.01 dollars.
func (n *notified) command(t *testing.T, requestID, paymentID string) {
	t.Helper()
	value, err := json.Marshal(schemas.Command{
		SchemaVersion: schemas.CommandVersion, RequestID: requestID, Gateway: schemas.Antom, PaymentID: paymentID, Amount: schemas.Money{Minor: 1001, Currency: "HKD"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.broker.Produce(t.Context(), "refunds.commands", kafkatest.Record{Key: []byte(paymentID), Value: value}); err != nil {
		t.Fatal(err)
	}
}

// outcomes are status and attempt of each outcome event so far, by request ID.
func (n *notified) outcomes(t *testing.T) map[string][]string {
	t.Helper()
	records, err := n.broker.ReadAll(t.Context(), "refunds.results")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, r := range records {
		o, err := schemas.DecodeOutcome(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		all[o.RequestID] = append(all[o.RequestID], fmt.Sprintf("%s %s %d", o.Status, o.Code, o.Attempt))
	}
	return all
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline, ticker := time.NewTimer(time.Minute), time.NewTicker(20*time.Millisecond)
	defer deadline.Stop()
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// counter reads one of the worker's counters.
func (n *notified) counter(t *testing.T, name, label string) int {
	t.Helper()
	families, err := n.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && m.GetLabel()[0].GetValue() == label {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	t.Fatalf("no counter %s of %s", name, label)
	return 0
}

// notice is a notification as Antom would send it; a test spoils it.
type notice struct {
	path, body string
	// at is its time by itself.
	at time.Time
	// signed is the body that the signature is of; empty: the body.
	signed string
}

// about is a notification that says what became of a request.
func (n *notified) about(requestID, minor, says string) notice {
	refundID := "R1"
	for _, entry := range n.gateway.Entries(requestID) {
		refundID = entry.RefundID
	}
	return notice{
		path: notifyPath, at: time.Now(),
		body: fmt.Sprintf(`{"notifyType":"REFUND_RESULT",%s,"refundRequestId":%q,"refundId":%q,"refundAmount":{"currency":"HKD","value":%q}}`,
			says, requestID, refundID, minor),
	}
}

// post sends it and returns the status of the answer.
func (n *notified) post(t *testing.T, s notice) int {
	t.Helper()
	at, signed := strconv.FormatInt(s.at.UnixMilli(), 10), s.signed
	if signed == "" {
		signed = s.body
	}
	sum := sha256.Sum256([]byte("POST " + notifyPath + "\n" + notifyClient + "." + at + "." + signed))
	raw, err := rsa.SignPKCS1v15(nil, n.private, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.url+s.path, strings.NewReader(s.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Client-Id", notifyClient)
	req.Header.Set("Request-Time", at)
	req.Header.Set("Signature", "algorithm=RSA256,keyVersion=1,signature="+url.QueryEscape(base64.StdEncoding.EncodeToString(raw)))
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode
}
