package sandbox_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"refundworker/gateway/sandbox"
)

func TestOneRequestIDMovesMoneyOnceHoweverManyAskAtTheSameTime(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"in memory": "", "on disk": filepath.Join(t.TempDir(), "ledger")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(cfg *sandbox.Config) {
				cfg.LedgerPath = path
				// All wait at the same place, and set off together.
				gather := []sandbox.Fault{{Kind: sandbox.DelayBefore, Delay: 500 * time.Millisecond}}
				cfg.Rules = []sandbox.Rule{{Every: 1, Faults: gather}}
			})
			replies := make(chan reply, 100)
			var wg sync.WaitGroup
			for range cap(replies) {
				wg.Go(func() { replies <- b.client.refundOne(t, "rf_1") })
			}
			wg.Wait()
			close(replies)
			first := <-replies
			wantSays(t, first, "S SUCCESS")
			for got := range replies {
				if string(got.raw) != string(first.raw) {
					t.Fatalf("two answers to one request: %s and %s", first.raw, got.raw)
				}
			}
			if entries := b.server.Ledger(); len(entries) != 1 {
				t.Errorf("%d entries, want 1", len(entries))
			}
			// They did come at the same time, or the test proves little.
			if over := b.server.Overlaps(); over.OnPayment < 2 || over.Calls != 100 {
				t.Errorf("overlaps %+v", over)
			}
		})
	}
}

func TestManyRequestsOfOnePaymentNeverExceedIt(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() { b.client.refundOne(t, "rf_"+strings.Repeat("x", i+1)) })
	}
	wg.Wait()
	if got := b.server.Summary().Payments[payment]["HKD"]; got != 10_000 {
		t.Errorf("refunded %d of 10000", got)
	}
}

// life is a sandbox on a ledger file; it is closed before the next one is opened.
func life(t *testing.T, path string) bundle {
	t.Helper()
	return setup(t, func(cfg *sandbox.Config) {
		cfg.LedgerPath = path
		cfg.Clients[0].Funds = map[string]int64{"HKD": 9_000}
		cfg.Payments = append(cfg.Payments, sandbox.Payment{
			ID: "pay-async", Minor: 500, Currency: "USD", Async: &sandbox.Async{Looks: 1},
			Settlement: &sandbox.Settlement{Currency: "HKD", Price: "7.8", QuoteID: "q-1"},
		})
	})
}

func TestARestartForgetsNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	ask := func(b bundle) map[string]string {
		return map[string]string{
			"success":  string(b.client.refund(t, "rf_ok", payment, "HKD", "6000").raw),
			"decline":  string(b.client.refund(t, "rf_no", payment, "HKD", "9999").raw),
			"finished": string(b.client.refund(t, "rf_done", "pay-async", "USD", "100").raw),
		}
	}
	before := life(t, path)
	wantSays(t, before.client.refund(t, "rf_done", "pay-async", "USD", "100"), "U REFUND_IN_PROCESS")
	for range 2 {
		before.client.inquire(t, "rf_done")
	}
	wantSays(t, before.client.refund(t, "rf_open", "pay-async", "USD", "300"), "U REFUND_IN_PROCESS")
	if err := before.server.Script(sandbox.Refund, "rf_half", sandbox.Fault{Kind: sandbox.UnknownHalfway}); err != nil {
		t.Fatal(err)
	}
	wantSays(t, before.client.refund(t, "rf_half", payment, "HKD", "1000"), "U UNKNOWN_EXCEPTION")
	answers, ledger := ask(before), before.server.Ledger()
	if err := before.server.Close(); err != nil {
		t.Fatal(err)
	}

	after := life(t, path)
	if diff := cmp.Diff(ledger, after.server.Ledger()); diff != "" {
		t.Errorf("the ledger changed: %s", diff)
	}
	if diff := cmp.Diff(answers, ask(after)); diff != "" {
		t.Errorf("the answers changed: %s", diff)
	}
	wantSays(t, after.client.refund(t, "rf_ok", payment, "HKD", "6001"), "F REPEAT_REQ_INCONSISTENT")
	// What is refunded and what is in process still counts, towards payment and funds.
	wantSays(t, after.client.refund(t, "rf_2", payment, "HKD", "3001"), "F REFUND_AMOUNT_EXCEED")
	wantSays(t, after.client.refund(t, "rf_3", payment, "HKD", "2001"), "F MERCHANT_BALANCE_NOT_ENOUGH")
	wantSays(t, after.client.refund(t, "rf_4", "pay-async", "USD", "101"), "F REFUND_AMOUNT_EXCEED")
	// What was unfinished can still be finished, under its refund ID.
	if got := after.client.inquire(t, "rf_open"); got.RefundStatus != "PROCESSING" {
		t.Fatalf("inquiry %s", got.raw)
	}
	wantSays(t, after.client.refund(t, "rf_open", "pay-async", "USD", "300"), "S SUCCESS")
	wantSays(t, after.client.refund(t, "rf_half", payment, "HKD", "1000"), "S SUCCESS")
	for _, id := range []string{"rf_ok", "rf_done", "rf_open", "rf_half"} {
		wantMoved(t, after, id, 1)
	}
}

func TestALineCutByACrashIsRemoved(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	before := life(t, path)
	wantSays(t, before.client.refundOne(t, "rf_1"), "S SUCCESS")
	if err := before.server.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(slices.Clone(whole), `{"seq":2,"gateway":"antom"`...), 0o600); err != nil {
		t.Fatal(err)
	}
	after := life(t, path)
	if entries := after.server.Ledger(); len(entries) != 1 {
		t.Errorf("ledger %+v", entries)
	}
	left, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(whole), string(left)); diff != "" {
		t.Error(diff)
	}
	wantSays(t, after.client.refundOne(t, "rf_2"), "S SUCCESS")
	if err := after.server.Close(); err != nil {
		t.Fatal(err)
	}
	if entries := life(t, path).server.Ledger(); len(entries) != 2 || entries[1].RequestID != "rf_2" {
		t.Errorf("ledger %+v", entries)
	}
}

func TestADamagedLedgerIsRefused(t *testing.T) {
	t.Parallel()
	keys, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"no JSON":        "refund\n",
		"a gap":          `{"seq":2,"gateway":"antom"}` + "\n",
		"unknown fields": `{"seq":1,"euros":3}` + "\n",
	} {
		path := filepath.Join(t.TempDir(), "ledger")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := sandbox.New(sandbox.Config{
			PrivateKey: keys.GatewayPrivate, LedgerPath: path,
			Clients: []sandbox.Client{{ID: clientID, PublicKey: keys.MerchantPublic}},
		})
		if !errors.Is(err, sandbox.ErrLedger) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestALedgerThatCannotBeOpenedIsAnError(t *testing.T) {
	t.Parallel()
	keys, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	_, err = sandbox.New(sandbox.Config{
		PrivateKey: keys.GatewayPrivate, LedgerPath: filepath.Join(t.TempDir(), "none", "ledger"),
		Clients: []sandbox.Client{{ID: clientID, PublicKey: keys.MerchantPublic}},
	})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestASecondCloseSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if err := b.server.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.server.Close(); !errors.Is(err, sandbox.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
}
