package sandbox_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"refundworker/gateway/sandbox"
)

func TestAllFaultsOfAConfigurationAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(elliptical)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&elliptical.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	cfg := sandbox.Config{
		PrivateKey: base64.StdEncoding.EncodeToString(private),
		Clients: []sandbox.Client{
			{ID: "a", PublicKey: base64.StdEncoding.EncodeToString(public)},
			{ID: "a", PublicKey: "no base64", Funds: map[string]int64{"HKD": -1}, NotifyURL: "somewhere"},
			{ID: "", PublicKey: base64.StdEncoding.EncodeToString([]byte("no key"))},
		},
		Payments: []sandbox.Payment{{
			ID: strings.Repeat("p", 65), Currency: "hkd", Status: "LOST", Wallet: "PURSE",
			Async:      &sandbox.Async{Status: "X", Delay: -1},
			Settlement: &sandbox.Settlement{Currency: "USD", Price: "1/3"},
		}},
		Merchants: []sandbox.Merchant{
			{Key: "S1", Secret: "x", Currency: "JPY"},
			{Key: "S1", Secret: "x", Currency: "hkd"},
			{Key: "S123456789012", Currency: "HKD"},
			{Secret: "x", Currency: "HKD"},
		},
		EftPay: sandbox.EftPayConfig{
			ClockWindow: -1, HideFor: -1, HideQueries: -2, Duplicate: "forget", Unknown: "guess",
			Codes: sandbox.EftPayCodes{BadSign: "00", BadField: "0", UnknownOrder: "-1", WrongWallet: "1000", Exceeded: "OK"},
		},
		Rules:    []sandbox.Rule{{}},
		MaxCalls: -1,
		Latency:  -1,
		Notify:   sandbox.Notify{URL: "nowhere", Waits: []time.Duration{-1}},
	}
	_, err = sandbox.New(cfg)
	for _, part := range []string{
		"private key: not an RSA key", "clients[0]: public key: not an RSA key", `clients[1]: ID "a"`, "clients[1]: public key",
		"clients[1]: funds", `clients[1]: notify URL "somewhere"`, "clients[2]: ID", "clients[2]: public key",
		`merchants[0]: currency "JPY"`, `merchants[1]: key "S1"`, "merchants[1]: currency", "merchants[2]: key", "merchants[2]: no secret",
		"merchants[3]: key", "clock window", "hidden for -1ns, -2", `duplicate mode "forget"`, `unknown mode "guess"`,
		`code "00" for a bad sign`, `code "0" is`, `code "-1" is`, `code "1000" is`, `code "OK" is`, `wallet "PURSE"`,
		"ID is not 1 to 64", "amount 0", `currency "hkd"`,
		`status "LOST"`, `async status "X"`, "async delay", "settlement in", "rule: exactly one", "max calls", "latency", "notify: a wait", "notify: URL",
	} {
		if !strings.Contains(fmt.Sprint(err), part) {
			t.Errorf("nothing about %q in: %v", part, err)
		}
	}
	if _, err := sandbox.New(sandbox.Config{PrivateKey: "?"}); err == nil || !strings.Contains(err.Error(), "at least one") {
		t.Errorf("no clients: %v", err)
	}
	if _, err := sandbox.New(sandbox.Config{PrivateKey: base64.StdEncoding.EncodeToString([]byte("no key"))}); err == nil {
		t.Error("a private key that is none is accepted")
	}
}

func TestKeysMayBePEM(t *testing.T) {
	t.Parallel()
	wrap := func(kind, text string) string {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	b := setup(t, func(cfg *sandbox.Config) {
		cfg.PrivateKey = wrap("PRIVATE KEY", cfg.PrivateKey)
		cfg.Clients[0].PublicKey = wrap("PUBLIC KEY", cfg.Clients[0].PublicKey)
	})
	got := b.client.refundOne(t, "rf_1")
	wantSays(t, got, "S SUCCESS")
	if got.verified != nil {
		t.Error(got.verified)
	}
}

func TestASettlementThatCannotBeMadeIsRefused(t *testing.T) {
	t.Parallel()
	tooMuch := "1" + strings.Repeat("0", 18)
	for _, price := range []string{tooMuch, "", "0", "-1", "1/3", "1e3", ".5", "5.", "01"} {
		p := sandbox.Payment{
			ID: payment, Minor: 1_000_000_000, Currency: "HKD",
			Settlement: &sandbox.Settlement{Currency: "USD", Price: price},
		}
		if err := p.Validate(); err == nil {
			t.Errorf("price %q is accepted", price)
		}
	}
}

func TestAddPaymentRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if err := b.server.AddPayment(sandbox.Payment{ID: "p", Minor: 1, Currency: "HKD"}, sandbox.Payment{ID: "q"}); err == nil {
		t.Error("accepted")
	}
	wantSays(t, b.client.refund(t, "rf_1", "p", "HKD", "1"), "F ORDER_NOT_EXIST") // all or none
}

func TestPaymentsAndFaultsAreTheSameAfterJSON(t *testing.T) {
	t.Parallel()
	type document struct {
		Payment sandbox.Payment `json:"payment"`
		Fault   sandbox.Fault   `json:"fault"`
	}
	want := document{
		Payment: sandbox.Payment{
			ID: payment, ClientID: clientID, Minor: 5, Currency: "HKD", Status: sandbox.Unpaid, Wallet: "PAYME",
			WindowEnd: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), SingleRefund: true, FullOnly: true, MinRefund: 2,
			Async:      &sandbox.Async{Status: "S", PlainSuccess: true, Delay: 1500 * time.Millisecond, Looks: 3, Stuck: true, FailCode: "X"},
			Settlement: &sandbox.Settlement{Currency: "USD", Price: "0.1", QuoteID: "q", NumericPrice: true},
		},
		Fault: sandbox.Fault{Kind: sandbox.HTTPAfter, Delay: time.Minute, HTTPStatus: 429, RetryAfter: 3, Status: "U", Code: "Y", Text: "Z", HideFor: time.Hour, HideQueries: 4},
	}
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got document
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
