package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/gateway"
	"refundworker/gateway/sandbox"
	"refundworker/internal/config"
	"refundworker/internal/kafka/kafkatest"
	"refundworker/refund"
	"refundworker/schemas"
)

// load builds a configuration from YAML, with keys for its accounts.
func load(t *testing.T, yaml string) config.Config {
	t.Helper()
	keys, err := sandbox.NewTestKeys()
	if err != nil {
		t.Fatal(err)
	}
	return loadWith(t, yaml, keys)
}

// loadWith is load with keys that a sandbox has the other halves of.
func loadWith(t *testing.T, yaml string, keys sandbox.Keys) config.Config {
	t.Helper()
	files := map[string]string{"w.yaml": yaml, "merchant.key": keys.MerchantPrivate, "antom.key": keys.GatewayPublic, "bad.key": "not a key", "eftpay.secret": eftpaySecret}
	cfg, err := config.Load(config.Flags{File: "w.yaml"}, config.WithoutAccounts, filesOf(files))
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Accounts) > 0 {
		if cfg, err = config.Load(config.Flags{File: "w.yaml"}, config.WithAccounts, filesOf(files)); err != nil {
			t.Fatal(err)
		}
	}
	return cfg
}

func filesOf(files map[string]string) config.Source {
	return config.Source{
		LookupEnvFunc: func(string) (string, bool) { return "", false },
		ReadFileFunc: func(name string) ([]byte, error) {
			text, ok := files[filepath.Base(name)]
			if !ok {
				return nil, fmt.Errorf("no file %s", name)
			}
			return []byte(text), nil
		},
	}
}

func account(name string) string {
	return fmt.Sprintf("  - {name: %s, gateway: antom, base_url: \"http://127.0.0.1:1\", client_id: C1, private_key: \"file:merchant.key\", "+
		"antom_public_key: \"file:antom.key\"}\n", name)
}

// eftpaySecret is what eftpay.secret holds.
const eftpaySecret = "TESTSECRET0123456789"

const eftpayAccount = "  - {name: e, gateway: eftpay, base_url: \"http://127.0.0.1:1/VMP\", user_confirm_key: S1, secret: \"file:bad.key\", currency: HKD"

func TestAnEftpayAccountIsInquiredFirstAndNeverSentTwice(t *testing.T) {
	t.Parallel()
	all, err := accountsOf(t, "accounts:\n"+strings.Replace(eftpayAccount, "bad.key", "eftpay.secret", 1)+"}\n")
	if err != nil {
		t.Fatal(err)
	}
	acct, err := all.Account(schemas.EftPay, "e")
	if err != nil || !acct.InquireFirst || acct.ResendWindow != 0 || len(acct.KeyFunc("rf-1")) != 28 {
		t.Errorf("%+v, %v", acct, err)
	}
}

func accountsOf(t *testing.T, yaml string) (*Accounts, error) {
	t.Helper()
	cfg := load(t, yaml)
	return NewAccounts(cfg, zerolog.Nop(), gateway.NewMetrics(prometheus.NewRegistry(), accountNames(cfg)))
}

func TestAnAccountIsFoundByNameAndTheOnlyOneWithoutName(t *testing.T) {
	t.Parallel()
	one, err := accountsOf(t, "accounts:\n"+account("hk"))
	if err != nil {
		t.Fatal(err)
	}
	two, err := accountsOf(t, "accounts:\n"+account("hk")+account("sg"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		in      *Accounts
		gateway schemas.Gateway
		account string
		want    string
	}{
		"by name":                        {two, schemas.Antom, "sg", "sg"},
		"the only one":                   {one, schemas.Antom, "", "hk"},
		"the only one by name":           {one, schemas.Antom, "hk", "hk"},
		"none named, two configured":     {two, schemas.Antom, "", ""},
		"another name":                   {two, schemas.Antom, "us", ""},
		"a gateway without any account":  {two, schemas.EftPay, "", ""},
		"another gateway's account name": {two, schemas.EftPay, "hk", ""},
	} {
		acct, err := tc.in.Account(tc.gateway, tc.account)
		if tc.want == "" {
			if !errors.Is(err, refund.ErrUnknownAccount) {
				t.Errorf("%s: %v, want ErrUnknownAccount", name, err)
			}
			continue
		}
		if err != nil || acct.Name != tc.want || acct.KeyFunc("rf-1") != "rf-1" || acct.ResendWindow != antomResendWindow {
			t.Errorf("%s: %+v, %v", name, acct, err)
		}
	}
}

func TestAnAccountThatCannotWorkIsNamedInTheError(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ yaml, want string }{
		"a key that is no key": {strings.Replace("accounts:\n"+account("hk"), "merchant.key", "bad.key", 1), "accounts[0] hk"},
		"a setting that no build honours yet": {
			"accounts:\n" + eftpayAccount + ", resend_after_absent: true}\n", "accounts[0] e: resend_after_absent",
		},
		"a secret that is none": {"accounts:\n" + eftpayAccount + "}\n", "accounts[0] e"},
	} {
		_, err := accountsOf(t, tc.yaml)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "not a key") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// world is an embedded broker and Redis with a configuration for them.
func world(t *testing.T, extra string) (config.Config, *miniredis.Miniredis) {
	t.Helper()
	redis := miniredis.RunT(t)
	broker := kafkatest.Start(t)
	return load(t, fmt.Sprintf("kafka: {brokers: [%q], partitions: 2, replication: 1, min_insync: 1}\nredis: {addresses: [%q]}\nhttp: {listen: \"127.0.0.1:0\"}\n%s"+
		"accounts:\n", broker.Addr, redis.Addr(), extra)+account("hk")), redis
}

func TestInitMakesWhatCheckAsksForAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	cfg, _ := world(t, "")
	var out bytes.Buffer
	if err := Check(t.Context(), cfg, zerolog.Nop(), &out); !isUnfit(err) {
		t.Errorf("Check before Init: %v\n%s", err, out.String())
	}
	for range 2 {
		if err := Init(t.Context(), cfg, zerolog.Nop(), &out); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"refunds.commands ", "created", "exists", "layout"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("Init does not say %q:\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := Check(t.Context(), cfg, zerolog.Nop(), &out); err != nil {
		t.Errorf("Check after Init: %v\n%s", err, out.String())
	}
}

func isUnfit(err error) bool {
	_, unfit := errors.AsType[*UnfitError](err)
	return unfit
}

func TestRunEndsAtOnceWhereAPersonHasToMendSomething(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*testing.T, config.Config, *miniredis.Miniredis){
		"no topics, no layout": func(*testing.T, config.Config, *miniredis.Miniredis) {},
		"a layout of another build": func(t *testing.T, cfg config.Config, redis *miniredis.Miniredis) {
			t.Helper()
			if err := Init(t.Context(), cfg, zerolog.Nop(), &bytes.Buffer{}); err != nil {
				t.Fatal(err)
			}
			for _, key := range redis.Keys() {
				if err := redis.Set(key, "v9 buckets=7"); err != nil {
					t.Fatal(err)
				}
			}
		},
		"topics without layout": func(t *testing.T, cfg config.Config, redis *miniredis.Miniredis) {
			t.Helper()
			if err := Init(t.Context(), cfg, zerolog.Nop(), &bytes.Buffer{}); err != nil {
				t.Fatal(err)
			}
			redis.FlushAll()
		},
		"layout without topics": func(t *testing.T, cfg config.Config, _ *miniredis.Miniredis) {
			t.Helper()
			elsewhere := cfg
			elsewhere.Kafka.TopicPrefix = "elsewhere"
			if err := Init(t.Context(), elsewhere, zerolog.Nop(), &bytes.Buffer{}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, redis := world(t, "")
			prepare(t, cfg, redis)
			w, err := New(cfg, "test", zerolog.Nop())
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if err := w.Run(ctx); !isUnfit(err) {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

func TestRunWaitsForDependenciesThatAreAwayAndStopsWhenTold(t *testing.T) {
	t.Parallel()
	for name, yaml := range map[string]string{
		"redis": fmt.Sprintf("redis: {addresses: [%q]}\n", closedAddress(t)),
		"kafka": fmt.Sprintf("kafka: {brokers: [%q]}\nredis: {addresses: [%q]}\n", closedAddress(t), miniredis.RunT(t).Addr()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := load(t, yaml+"http: {listen: \"127.0.0.1:0\"}\naccounts:\n"+account("hk"))
			if name == "kafka" {
				_ = Init(t.Context(), cfg, zerolog.Nop(), &bytes.Buffer{}) // the layout; the broker is away
			}
			var log lockedBuffer
			w, err := New(cfg, "test", zerolog.New(&log))
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- w.Run(ctx) }()
			for !strings.Contains(log.String(), `"dependency":"`+name+`"`) {
				select {
				case err := <-done:
					t.Fatalf("ended: %v\n%s", err, log.String())
				case <-time.After(20 * time.Millisecond):
				}
			}
			if w.health.Ready() == nil {
				t.Error("ready without " + name)
			}
			stop()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("Run after a stop: %v", err)
				}
			case <-time.After(5 * time.Second):
				t.Error("did not stop within 5 s")
			}
		})
	}
}

func TestAnAddressThatIsTakenEndsRun(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	cfg, _ := world(t, "")
	cfg.HTTP.Listen = listener.Addr().String()
	if err := Init(t.Context(), cfg, zerolog.Nop(), &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	w, err := New(cfg, "test", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := w.Run(ctx); err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), listener.Addr().String()) {
		t.Errorf("Run with a taken address: %v", err)
	}
}

func closedAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func TestTiersThatAreNoLongerConfiguredAreStillConsumed(t *testing.T) {
	t.Parallel()
	cfg, _ := world(t, "retry: {tiers: [1s, 5m]}\n")
	if err := Init(t.Context(), cfg, zerolog.Nop(), &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	cfg.Retry.Tiers = []time.Duration{time.Second}
	w, err := New(cfg, "test", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	topics, err := w.retries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(topics, " "); got != "refunds.retry.1s refunds.retry.5m" {
		t.Errorf("retry topics: %s", got)
	}
}
