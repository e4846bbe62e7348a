package main

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	client "refundworker/gateway"
	"refundworker/gateway/antom"
	"refundworker/gateway/eftpay"
	"refundworker/gateway/sandbox"
	"refundworker/refund"
	"refundworker/schemas"
)

func TestTheTallyCountsWhatAPaymentMustNeverSee(t *testing.T) {
	t.Parallel()
	ta := newTally()
	first := ta.call("p1", "1000")
	second := ta.call("p1", "1001") // beside the first
	ta.call("p2", "1001")()
	ta.call("p2", "1000")()  // the later one was first
	ta.call("p2", "10.00")() // and once more
	first()
	second()
	ta.call("p3", "1000")()
	ta.call("p3", "1001")()
	got := (&gateway{tally: ta}).statistics()
	if got.Calls != 7 || got.Overlaps != 1 || got.WrongOrder != 1 || got.Repeated != 1 || got.Most != 3 {
		t.Errorf("%+v, want 7 calls, 1 overlap, 1 in the wrong order, 1 repeated, 3 at once", got)
	}
	ta.reset()
	if got := (&gateway{tally: ta}).statistics(); got.Calls != 0 || got.Overlaps != 0 {
		t.Errorf("after a reset: %+v", got)
	}
}

// The worker's own clients must take the answers for proof, or the bench would measure how refunds wait.
func TestTheWorkersClientsTakeTheAnswersForProof(t *testing.T) {
	t.Parallel()
	keys, err := sandbox.NewTestKeys()
	if err != nil {
		t.Fatal(err)
	}
	secret := sandbox.NewTestSecret()
	signing, err := newSigner(keys.GatewayPrivate, keys.MerchantPublic)
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{secret: secret, tally: newTally(), antom: signing}
	g.behave(Behaviour{Latency: 20 * time.Millisecond})
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	metrics := client.NewMetrics(prometheus.NewRegistry(), []string{"a", "e"})
	a, err := antom.New(antom.Config{
		Name: "a", BaseURL: srv.URL, ClientID: "C1", PrivateKey: antom.Secret(keys.MerchantPrivate),
		AntomPublicKeys: []antom.Secret{antom.Secret(keys.GatewayPublic)}, KeyVersion: "1", InFlight: 1, Timeout: time.Second,
	}, zerolog.Nop(), metrics)
	if err != nil {
		t.Fatal(err)
	}
	e, err := eftpay.New(eftpay.Config{
		Name: "e", BaseURL: srv.URL + "/VMP", UserConfirmKey: "B0000001", Secret: eftpay.Secret(secret), Currency: "HKD", InFlight: 1, Timeout: time.Second,
	}, zerolog.Nop(), metrics)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]refund.Client{"antom": a, "eftpay": e} {
		started := time.Now()
		res, err := c.Refund(context.Background(), refund.Request{
			RequestID: "r-1", GatewayKey: "Rkey1", PaymentID: "p-" + name, Amount: schemas.Money{Minor: 1000, Currency: "HKD"},
			EftPay: &schemas.EftPayFields{PaymentType: "ALIPAYHK"}, ClaimedAt: time.Now(),
		})
		if err != nil || res.Verdict != refund.Succeeded {
			t.Errorf("%s: %s, %v", name, res.Verdict, err)
		}
		if took := time.Since(started); took < 20*time.Millisecond {
			t.Errorf("%s answered in %s", name, took)
		}
	}
	if got := g.statistics(); got.Calls != 2 || got.Repeated != 0 || got.Connections != 0 {
		t.Errorf("%+v, want 2 calls", got)
	}
}

func TestTheSameCallsAreSlowEveryTime(t *testing.T) {
	t.Parallel()
	b := &Behaviour{SlowPermille: 500, Slow: 30 * time.Millisecond}
	slow := func(body string) bool {
		started := time.Now()
		b.wait(body)
		return time.Since(started) >= b.Slow
	}
	n := 0
	for _, body := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		once, again := slow(body), slow(body)
		if once != again {
			t.Errorf("%s is slow at times", body)
		}
		if once {
			n++
		}
	}
	if n == 0 || n == 8 {
		t.Errorf("%d of 8 calls are slow, want some", n)
	}
}
