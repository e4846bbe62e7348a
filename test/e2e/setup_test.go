package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"refundworker/gateway/sandbox"
	"refundworker/internal/kafka/kafkatest"
)

const (
	client   = "SANDBOX_E2E_CLIENT"
	merchant = "S0000001"

	partitions = 6
	// inFlight is what a worker has of each account at its gateway, unless a test says otherwise: few, so that what is done
	// to it half way finds it half way.
	inFlight = 6
)

// sharedKeys are made once: two RSA pairs cost a good part of a second.
var sharedKeys = sync.OnceValues(sandbox.NewTestKeys)

// setup is one scenario's world.
type setup struct {
	backend
	prefix string
	config string
	// notify is where Antom sends its notifications for both of its accounts; a worker listens there if it is told to.
	notify  string
	gateway *sandbox.Server
	// gateways is how the two are reached, at the entrance.
	gateways http.Handler
	entrance entrance
	keys     sandbox.Keys
	// secret is eftPay's, of the one merchant.
	secret  string
	workers []*process
	// flags and variables are given to every worker beside its configuration.
	flags, variables []string
	// killed: a worker was ended as by a crash.
	killed bool

	mu         sync.Mutex
	signatures []string
}

// newSetup starts the gateway, writes the worker's configuration and runs `worker init`.
func newSetup(t *testing.T, b backend, mode sandbox.DuplicateMode, rules []sandbox.Rule) *setup {
	t.Helper()
	keys, err := sharedKeys()
	if err != nil {
		t.Fatal(err)
	}
	s := &setup{backend: b, prefix: kafkatest.Name(t), notify: freeAddress(t), keys: keys, secret: sandbox.NewTestSecret()}
	s.gateway, err = sandbox.New(sandbox.Config{
		PrivateKey: keys.GatewayPrivate,
		Clients:    []sandbox.Client{{ID: client, PublicKey: keys.MerchantPublic, NotifyURL: "http://" + s.notify + notifyPath}},
		Merchants:  []sandbox.Merchant{{Key: merchant, Secret: s.secret, Currency: "HKD"}}, EftPay: sandbox.EftPayConfig{Duplicate: mode, Seed: 1},
		PaymentFunc: payment, Rules: rules, LedgerPath: filepath.Join(t.TempDir(), "ledger.jsonl"),
	})
	if err != nil {
		t.Fatal(err)
	}
	gateways := http.NewServeMux()
	gateways.Handle("/ams/", s.recordSignatures(s.gateway.Antom()))
	gateways.Handle("/VMP/", s.gateway.EftPay())
	s.gateways = gateways
	s.entrance.open(t, gateways)
	t.Cleanup(func() {
		if err := s.entrance.close(); err != nil {
			t.Errorf("close the gateways' entrance: %v", err)
		}
		if err := s.gateway.Close(); err != nil {
			t.Errorf("close the gateway: %v", err)
		}
	})
	s.config = s.writeConfig(t, "http://"+s.entrance.addr)
	if code, out := command(t, nil, "init", "--config", s.config); code != 0 {
		t.Fatalf("worker init: exit %d\n%s", code, out)
	}
	t.Cleanup(func() { s.noSecretIsLogged(t) })
	return s
}

func (s *setup) writeConfig(t *testing.T, gatewayURL string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"merchant.key": s.keys.MerchantPrivate, "antom.key": s.keys.GatewayPublic,
		"worker.yaml": fmt.Sprintf(`
kafka: {brokers: [%[1]q], group: %[2]q, topic_prefix: %[3]q, partitions: %[10]d, replication: 1, min_insync: 1}
redis: {addresses: [%[4]q]}
limits: {in_flight: %[11]d, gateway_timeout: 2s, lease: 15s, settling: 3s, horizon: 24h}
retry: {tiers: [1s, 2s, 10s]}
accounts:
  - name: shop
    gateway: antom
    base_url: %[5]q
    client_id: %[6]s
    private_key: file:%[7]s/merchant.key
    antom_public_key: file:%[7]s/antom.key
  - name: shop-2
    gateway: antom
    base_url: %[5]q
    client_id: %[6]s
    private_key: file:%[7]s/merchant.key
    antom_public_key: file:%[7]s/antom.key
  - name: eftpay-hk
    gateway: eftpay
    base_url: %[8]q
    user_confirm_key: %[9]s
    secret: file:%[7]s/eftpay.secret
    currency: HKD
`, s.kafka.Addr, s.prefix, s.prefix, s.redis.Address(), gatewayURL, client, dir, gatewayURL+"/VMP", merchant, partitions, inFlight),
		"eftpay.secret": s.secret,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "worker.yaml")
}

// recordSignatures notes every signature on the wire, in both directions, so that logs can be searched for them.
func (s *setup) recordSignatures(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.note(r.Header.Get("signature"))
		next.ServeHTTP(w, r)
		s.note(w.Header().Get("signature"))
	})
}

func (s *setup) note(header string) {
	_, value, ok := strings.Cut(header, "signature=")
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signatures = append(s.signatures, value)
}

// noSecretIsLogged searches the logs of all workers, written at debug level, for keys and signatures. It looks for a
// piece of each, so that a secret cut short is found too.
func (s *setup) noSecretIsLogged(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	secrets := append([]string{s.keys.MerchantPrivate[40:], s.keys.GatewayPrivate[40:], s.secret}, s.signatures...)
	s.mu.Unlock()
	if len(secrets) < 5 {
		t.Errorf("only %d secrets: two keys, a secret, a request's and an answer's signature are the least to search for", len(secrets))
	}
	for _, w := range s.workers {
		log := w.log.String()
		if len(log) == 0 {
			t.Error("a worker logged nothing: the search would prove nothing")
		}
		for _, secret := range secrets {
			const piece = 24
			raw, err := url.QueryUnescape(secret)
			if err != nil {
				raw = secret
			}
			if strings.Contains(log, secret[:piece]) || strings.Contains(log, raw[:piece]) {
				t.Fatalf("a worker's log holds a secret that begins with %q", secret[:8])
			}
		}
	}
}

// payment is the gateway's knowledge: what a payment ID begins with says what becomes of it.
func payment(id string) (sandbox.Payment, bool) {
	p := sandbox.Payment{ID: id, Minor: 1_000_000, Currency: "HKD"}
	kind, _, _ := strings.Cut(id, "-")
	switch kind {
	case "missing":
		return sandbox.Payment{}, false
	case "window":
		p.WindowEnd = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	case "async":
		p.Async = &sandbox.Async{Looks: 1}
	case "plain":
		p.Async = &sandbox.Async{PlainSuccess: true}
	case "notified":
		p.Async = &sandbox.Async{Delay: 300 * time.Millisecond}
	case "long":
		p.Async = &sandbox.Async{Delay: 10 * time.Second}
	}
	return p, true
}
