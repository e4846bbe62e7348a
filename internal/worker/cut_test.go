package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/dedupe"
	"refundworker/gateway"
	"refundworker/gateway/sandbox"
	"refundworker/internal/cuttest"
	"refundworker/refund"
	"refundworker/schemas"
)

// topicFake keeps what was published.
type topicFake struct {
	mu     sync.Mutex
	events []refund.Event
}

func (f *topicFake) Publish(_ context.Context, events ...refund.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, events...)
	return nil
}

// take returns what was published since it was asked last.
func (f *topicFake) take() []refund.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	taken := f.events
	f.events = nil
	return taken
}

// cutStack is the core with the accounts that a worker would have, a store, and a gateway whose answers are cut.
type cutStack struct {
	sandbox   *sandbox.Server
	answers   *cuttest.Server
	processor *refund.Processor
	topics    *topicFake
	account   refund.Account
	offset    int64
}

// newCutStack puts the core before one side of the sandbox. yaml is its account, with URL for the address.
func newCutStack(t *testing.T, cfg sandbox.Config, keys sandbox.Keys, side func(*sandbox.Server) http.Handler, yaml string) *cutStack {
	t.Helper()
	cfg.PaymentFunc = func(string) (sandbox.Payment, bool) { return sandbox.Payment{Minor: 5000, Currency: "HKD"}, true }
	gw, err := sandbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := gw.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &cutStack{sandbox: gw, answers: cuttest.New(t, side(gw)), topics: &topicFake{}}
	all := loadWith(t, "accounts:\n"+strings.Replace(yaml, "URL", s.answers.URL, 1), keys)
	accounts, err := NewAccounts(all, zerolog.Nop(), gateway.NewMetrics(prometheus.NewRegistry(), accountNames(all)))
	if err != nil {
		t.Fatal(err)
	}
	if s.account, err = accounts.Account(all.Accounts[0].Gateway, ""); err != nil {
		t.Fatal(err)
	}
	store := dedupe.NewMemory(dedupe.Config{KeyPrefix: "refund", MaxLease: time.Minute, OutcomeTTL: time.Hour, TombstoneTTL: time.Hour})
	s.processor, err = refund.New(refund.Config{
		Lease: time.Minute, GatewayTimeout: 15 * time.Second, Grace: time.Second, Source: "/test",
		Policy: refund.Policy{Tiers: []time.Duration{time.Second}, Horizon: time.Hour, LapseAfter: time.Hour, ReviewInterval: time.Hour},
	}, accounts, store, s.topics, zerolog.Nop(), refund.NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run brings a command to its end and returns the statuses it told on the way. No copy is waited for: each is handed in
// at once, as if it were due.
func (s *cutStack) run(t *testing.T, cmd schemas.Command) []schemas.Status {
	t.Helper()
	value, err := json.Marshal(cmd)
	if err != nil {
		t.Fatal(err)
	}
	msg := refund.Message{Topic: "refunds.commands", Key: []byte(cmd.PaymentID), Value: value}
	take := s.processor.Command
	var told []schemas.Status
	for range 10 {
		s.offset++
		msg.Offset = s.offset
		if err := take(t.Context(), msg); err != nil {
			t.Fatalf("%s: %v", cmd.RequestID, err)
		}
		done := true
		for _, e := range s.topics.take() {
			switch e.Channel {
			case refund.Retry:
				done, take = false, s.processor.Copy
				msg = refund.Message{Topic: "refunds.retry.1s", Key: e.Key, Value: e.Value, Headers: e.Headers}
			case refund.Results:
				out, err := schemas.DecodeOutcome(e.Value)
				if err != nil {
					t.Fatalf("%s: published %s: %v", cmd.RequestID, e.Value, err)
				}
				told = append(told, out.Status)
			case refund.DeadLetters, refund.Signals:
				t.Fatalf("%s: a dead letter or a signal: %v", cmd.RequestID, e.Headers)
			}
		}
		if done {
			return told
		}
	}
	t.Fatalf("%s: no end after 10 passes: %v", cmd.RequestID, told)
	return nil
}

// sent counts the refund calls that the gateway saw of a request, and the times that it moved the money.
func (s *cutStack) sent(requestID string) (calls, moved int) {
	key := s.account.KeyFunc(requestID)
	for _, c := range s.sandbox.Calls(key) {
		if c.Operation == sandbox.Refund {
			calls++
		}
	}
	for _, e := range s.sandbox.Entries(key) {
		if e.State == sandbox.Succeeded {
			moved++
		}
	}
	return calls, moved
}

// The gateway moves the money, and its word about it is cut at every byte of head and body in turn; then the answer to
// the inquiry that follows is, at every byte; where an inquiry goes before the first send, that one too. Whatever is
// cut, the refund is sent once, never called failed, and a success once an inquiry comes through.
func TestARefundWhoseAnswersAreCutAnywhereIsSentOnceAndFound(t *testing.T) {
	t.Parallel()
	const eftpayYAML = `  - {name: e, gateway: eftpay, base_url: "URL/VMP", user_confirm_key: S1, secret: "file:eftpay.secret", currency: HKD}` + "\n"
	keys, err := sandbox.NewTestKeys()
	if err != nil {
		t.Fatal(err)
	}
	eftpayOf := func(mode sandbox.DuplicateMode) sandbox.Config {
		return sandbox.Config{
			Merchants: []sandbox.Merchant{{Key: "S1", Secret: eftpaySecret, Currency: "HKD"}},
			EftPay:    sandbox.EftPayConfig{Duplicate: mode},
		}
	}
	for i, tc := range []struct {
		name         string
		gateway      schemas.Gateway
		cfg          sandbox.Config
		side         func(*sandbox.Server) http.Handler
		yaml         string
		inquireFirst bool
	}{
		{
			"antom", schemas.Antom,
			sandbox.Config{PrivateKey: keys.GatewayPrivate, Clients: []sandbox.Client{{ID: "C1", PublicKey: keys.MerchantPublic}}},
			(*sandbox.Server).Antom, strings.Replace(account("hk"), "http://127.0.0.1:1", "URL", 1), false,
		},
		{"eftpay, replay", schemas.EftPay, eftpayOf(sandbox.Replay), (*sandbox.Server).EftPay, eftpayYAML, true},
		{"eftpay, reject", schemas.EftPay, eftpayOf(sandbox.Reject), (*sandbox.Server).EftPay, eftpayYAML, true},
		{"eftpay, refund again", schemas.EftPay, eftpayOf(sandbox.RefundAgain), (*sandbox.Server).EftPay, eftpayYAML, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newCutStack(t, tc.cfg, keys, tc.side, tc.yaml)
			want := []schemas.Status{schemas.RetryPending, schemas.Success}
			for at := 0; at == 0 || at < s.answers.Longest(); at++ {
				// The frames change from byte to byte, and from one mode of eftPay to the next.
				frame := cuttest.Frames()[(at+i)%3]
				cut, whole := cuttest.Cut{Frame: frame, At: at, Reset: at%2 == 0}, cuttest.Cut{Frame: frame, Whole: true}
				cuts := []cuttest.Cut{cut, cut, whole}
				if tc.inquireFirst {
					cuts = []cuttest.Cut{cut, whole, cut, cut, whole}
					// First nothing is known to be sent, and then something may be.
					want = []schemas.Status{schemas.RetryPending, schemas.RetryPending, schemas.Success}
				}
				s.answers.Next(cuts...)
				cmd := schemas.Command{
					SchemaVersion: 1, RequestID: fmt.Sprintf("rf-%d", at), Gateway: tc.gateway, PaymentID: fmt.Sprintf("pay-%d", at),
					Amount: schemas.Money{Minor: 1001, Currency: "HKD"},
				}
				if tc.gateway == schemas.EftPay {
					cmd.EftPay = &schemas.EftPayFields{PaymentType: "ALIPAYHK"}
				}
				told := s.run(t, cmd)
				calls, moved := s.sent(cmd.RequestID)
				if diff := cmp.Diff(want, told); diff != "" || calls != 1 || moved != 1 || s.answers.Left() != 0 {
					t.Fatalf("%s, cut at %d: told %v, %d refund calls moved the money %d times, %d cuts left", frame, at, told, calls, moved, s.answers.Left())
				}
			}
			if twice := s.sandbox.Summary().Twice(); len(twice) > 0 || s.answers.Longest() < 300 {
				t.Errorf("moved twice: %v; the longest answer has %d bytes", twice, s.answers.Longest())
			}
		})
	}
}
