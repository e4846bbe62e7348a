package worker

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"refundworker/gateway/eftpay"
	"refundworker/gateway/sandbox"
	"refundworker/internal/config"
	"refundworker/internal/kafka/kafkatest"
	"refundworker/schemas"
)

const (
	rotatedClient   = "SANDBOX_ROTATED"
	rotatedMerchant = "S0000007"
)

// rotation is a worker between embedded parts, whose key files and gateways the test changes.
type rotation struct {
	dir     string
	gateway *sandbox.Server
	broker  *kafkatest.Broker
	worker  *Worker
	log     lockedBuffer

	mu sync.Mutex
	// keys are the gateways' keys of the refunds that were asked for, by request ID.
	keys map[string]string
}

func startRotation(t *testing.T, keys sandbox.Keys, secret string) *rotation {
	t.Helper()
	r := &rotation{dir: t.TempDir(), broker: kafkatest.Start(t), keys: make(map[string]string)}
	var err error
	r.gateway, err = sandbox.New(sandbox.Config{
		PrivateKey: keys.GatewayPrivate, Clients: []sandbox.Client{{ID: rotatedClient, PublicKey: keys.MerchantPublic}},
		Merchants: []sandbox.Merchant{{Key: rotatedMerchant, Secret: secret, Currency: "HKD"}},
		// Whatever is sent a second time moves the money a second time.
		EftPay: sandbox.EftPayConfig{Duplicate: sandbox.RefundAgain},
		PaymentFunc: func(id string) (sandbox.Payment, bool) {
			return sandbox.Payment{ID: id, Minor: 1_000_000, Currency: "HKD"}, true
		},
		// Long enough for calls to be under way whenever something changes.
		Latency: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	gateways := http.NewServeMux()
	gateways.Handle("/ams/", r.gateway.Antom())
	gateways.Handle("/VMP/", r.gateway.EftPay())
	server := httptest.NewServer(gateways)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		if err := r.gateway.Close(); err != nil {
			t.Error(err)
		}
	})
	r.write(t, "merchant.key", keys.MerchantPrivate)
	r.write(t, "antom.key", keys.GatewayPublic)
	r.write(t, "eftpay.secret", secret)
	r.write(t, "worker.yaml", fmt.Sprintf(`
kafka: {brokers: [%q], partitions: 4, replication: 1, min_insync: 1}
redis: {addresses: [%q]}
limits: {gateway_timeout: 2s, lease: 15s, horizon: 24h}
retry: {tiers: [1s, 2s, 10s]}
http: {listen: "127.0.0.1:0"}
accounts:
  - {name: shop, gateway: antom, base_url: %[3]q, client_id: %[4]s, private_key: "file:%[5]s/merchant.key", antom_public_key: "file:%[5]s/antom.key"}
  - {name: till, gateway: eftpay, base_url: "%[3]s/VMP", user_confirm_key: %[6]s, secret: "file:%[5]s/eftpay.secret", currency: HKD}
`, r.broker.Addr, miniredis.RunT(t).Addr(), server.URL, rotatedClient, r.dir, rotatedMerchant))
	cfg, err := config.Load(config.Flags{File: filepath.Join(r.dir, "worker.yaml")}, config.WithAccounts, config.Host())
	if err != nil {
		t.Fatal(err)
	}
	if err := Init(t.Context(), cfg, zerolog.Nop(), &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	if r.worker, err = New(cfg, "test", zerolog.New(&r.log)); err != nil {
		t.Fatal(err)
	}
	r.worker.reloadInterval = 20 * time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.worker.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			log := r.log.String()
			t.Log(log[max(0, len(log)-8<<10):])
		}
	})
	return r
}

// write replaces a file as a whole, by a rename.
func (r *rotation) write(t *testing.T, name, text string) {
	t.Helper()
	next := filepath.Join(r.dir, name+".next")
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(r.dir, name)); err != nil {
		t.Fatal(err)
	}
}

// feed asks for a refund at each gateway every 50 ms, until the function it returns is called. It is slower than the
// worker, so that nothing piles up.
func (r *rotation) feed(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if err := r.ask(context.WithoutCancel(ctx), n); err != nil {
				t.Error(err)
				return
			}
		}
	})
	stop = sync.OnceFunc(func() { cancel(); group.Wait() })
	t.Cleanup(stop)
	return stop
}

func (r *rotation) ask(ctx context.Context, n int) error {
	money := schemas.Money{Minor: 100, Currency: "HKD"}
	at := func(gw schemas.Gateway) schemas.Command {
		id := fmt.Sprintf("rf-%s-%d", gw, n)
		return schemas.Command{SchemaVersion: schemas.CommandVersion, RequestID: id, Gateway: gw, PaymentID: "pay" + id[2:], Amount: money}
	}
	antom, till := at(schemas.Antom), at(schemas.EftPay)
	till.EftPay = &schemas.EftPayFields{PaymentType: "ALIPAYHK"}
	r.mu.Lock()
	r.keys[antom.RequestID], r.keys[till.RequestID] = antom.RequestID, eftpay.Key(till.RequestID)
	r.mu.Unlock()
	var records []kafkatest.Record
	for i, cmd := range []schemas.Command{antom, till} {
		value, err := json.Marshal(cmd)
		if err != nil {
			return err
		}
		records = append(records, kafkatest.Record{Partition: (2*n + i) % 4, Key: []byte(cmd.PaymentID), Value: value})
	}
	return r.broker.Produce(ctx, "refunds.commands", records...)
}

// await looks until it holds.
func (r *rotation) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within a minute", what)
		case <-ticker.C:
		}
	}
}

// logged waits for the n-th line with this text about an account.
func (r *rotation) logged(t *testing.T, text, account string, n int) {
	t.Helper()
	r.await(t, text+" of "+account, func() bool {
		lines := 0
		for line := range strings.Lines(r.log.String()) {
			if strings.Contains(line, text) && strings.Contains(line, `"account":"`+account+`"`) {
				lines++
			}
		}
		return lines >= n
	})
}

// overtake waits until every refund that was asked for by now has moved money: no call that began before is under way
// then.
func (r *rotation) overtake(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	asked := slices.Collect(maps.Values(r.keys))
	r.mu.Unlock()
	r.await(t, "the refunds so far", func() bool {
		moved := r.gateway.Summary().Refunds
		return !slices.ContainsFunc(asked, func(key string) bool { return moved[key] == 0 })
	})
}

// goOn waits until so many more refunds have moved money.
func (r *rotation) goOn(t *testing.T, more int) {
	t.Helper()
	before := len(r.gateway.Summary().Refunds)
	r.await(t, "more refunds", func() bool { return len(r.gateway.Summary().Refunds) >= before+more })
}

// settled waits for a final outcome of every refund that was asked for, and holds all of them against the ledger.
func (r *rotation) settled(t *testing.T) {
	t.Helper()
	finals := map[string]schemas.Outcome{}
	r.await(t, "all outcomes", func() bool {
		records, err := r.broker.ReadAll(t.Context(), "refunds.results")
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range records {
			out, err := schemas.DecodeOutcome(record.Value)
			if err != nil {
				t.Fatal(err)
			}
			if out.Final {
				finals[out.RequestID] = out
			} else if out.Code == schemas.CodeNeedsReview {
				t.Fatalf("%s went to review", out.RequestID)
			}
		}
		return len(finals) >= len(r.keys)
	})
	moved := r.gateway.Summary().Refunds
	for id, key := range r.keys {
		if finals[id].Status != schemas.Success || moved[key] != 1 {
			t.Errorf("%s: %s, and money moved %d times", id, finals[id].Status, moved[key])
		}
	}
	if len(moved) != len(r.keys) {
		t.Errorf("%d refunds moved money, %d were asked for", len(moved), len(r.keys))
	}
}

func pemOf(t *testing.T, public string) string {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// Both key pairs of Antom change from one moment to the next, eftPay's secret with a time in which both count, as
// docs/operations.md tells.
func TestARunningWorkerOutlivesTheRotationOfEveryGatewayKey(t *testing.T) {
	t.Parallel()
	before, err := sandbox.NewTestKeys()
	if err != nil {
		t.Fatal(err)
	}
	after, err := sandbox.NewTestKeys()
	if err != nil {
		t.Fatal(err)
	}
	oldSecret, newSecret := sandbox.NewTestSecret(), sandbox.NewTestSecret()
	r := startRotation(t, before, oldSecret)
	stop := r.feed(t)
	r.goOn(t, 20)

	// Ahead of Antom, and at eftPay while both count.
	r.write(t, "antom.key", pemOf(t, before.GatewayPublic)+pemOf(t, after.GatewayPublic))
	r.logged(t, "in use", "shop", 1)
	merchant := sandbox.Merchant{Key: rotatedMerchant, Secret: newSecret, FormerSecret: oldSecret, Currency: "HKD"}
	rotate := func(k sandbox.Keys) {
		t.Helper()
		if err := r.gateway.Rotate(k.GatewayPrivate, []sandbox.Client{{ID: rotatedClient, PublicKey: k.MerchantPublic}}, []sandbox.Merchant{merchant}); err != nil {
			t.Fatal(err)
		}
	}
	rotate(before)
	r.write(t, "eftpay.secret", newSecret+"\n")
	r.logged(t, "in use", "till", 1)
	r.overtake(t)

	// From here on our old key is refused, and Antom signs with its new one.
	merchant.FormerSecret = ""
	rotate(after)
	r.await(t, "a refusal of the old key", func() bool { return strings.Contains(r.log.String(), "INVALID_SIGNATURE") })
	r.write(t, "merchant.key", after.MerchantPrivate)
	r.logged(t, "in use", "shop", 2)
	r.write(t, "antom.key", after.GatewayPublic)
	r.logged(t, "in use", "shop", 3)
	r.goOn(t, 20)
	stop()
	r.settled(t)
	if strings.Contains(r.log.String(), "unfit-files") {
		t.Error("an alarm about files that were fit")
	}
	for _, secret := range []string{before.MerchantPrivate[40:], after.MerchantPrivate[40:], oldSecret, newSecret} {
		if strings.Contains(r.log.String(), secret[:20]) {
			t.Error("the log holds a secret")
		}
	}
}

func TestKeyFilesThatBreakStopNoRefundAndRaiseAnAlarm(t *testing.T) {
	t.Parallel()
	keys, err := sandbox.NewTestKeys()
	if err != nil {
		t.Fatal(err)
	}
	secret := sandbox.NewTestSecret()
	r := startRotation(t, keys, secret)
	stop := r.feed(t)
	r.goOn(t, 5)
	r.write(t, "merchant.key", keys.MerchantPrivate[:200])
	if err := os.Remove(filepath.Join(r.dir, "eftpay.secret")); err != nil {
		t.Fatal(err)
	}
	for _, account := range []string{"shop", "till"} {
		r.logged(t, `"alarm":"unfit-files"`, account, 1)
	}
	r.unfit(t, 1)
	r.goOn(t, 20)
	r.write(t, "merchant.key", keys.MerchantPrivate)
	r.write(t, "eftpay.secret", secret)
	for _, account := range []string{"shop", "till"} {
		r.logged(t, "the alarm is over", account, 1)
	}
	r.unfit(t, 0)
	stop()
	r.settled(t)
	if n := strings.Count(r.log.String(), "unfit-files"); n != 2 {
		t.Errorf("%d alarms, want one of each account", n)
	}
}

// unfit wants this value of both accounts' metric.
func (r *rotation) unfit(t *testing.T, value int) {
	t.Helper()
	want := fmt.Sprintf(`
# HELP refund_worker_files_unfit 1 while files that the configuration names cannot be used, and older contents stay in use.
# TYPE refund_worker_files_unfit gauge
refund_worker_files_unfit{account="shop",setting="accounts"} %[1]d
refund_worker_files_unfit{account="till",setting="accounts"} %[1]d
`, value)
	if err := testutil.GatherAndCompare(r.worker.reg, strings.NewReader(want), "refund_worker_files_unfit"); err != nil {
		t.Error(err)
	}
}
