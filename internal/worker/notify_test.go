package worker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/gateway"
	"refundworker/gateway/sandbox"
	"refundworker/refund"
	"refundworker/schemas"
)

func TestANotificationClosesAnAsynchronousRefundBeforeTheNextInquiry(t *testing.T) {
	t.Parallel()
	n := setupNotified(t)
	n.command(t, "rf-1", "async-1")
	until(t, "the end of the refund", func() bool { return len(n.outcomes(t)["rf-1"]) > 1 })
	if diff := cmp.Diff([]string{"retry-pending IN_PROCESS 1", "success REFUNDED 1"}, n.outcomes(t)["rf-1"]); diff != "" {
		t.Errorf("outcomes (-want +got)\n%s", diff)
	}
	if calls := n.gateway.Calls("rf-1"); len(calls) != 1 || calls[0].Operation != sandbox.Refund {
		t.Errorf("the gateway was called %d times: %+v", len(calls), calls)
	}
	until(t, "the acknowledgement", func() bool { return n.gateway.Deliveries() == sandbox.Deliveries{Sent: 1, Acknowledged: 1} })
	if got := n.counter(t, "refund_worker_signals_total", "worked"); got != 1 {
		t.Errorf("%d signals worked", got)
	}
}

func TestAForgedReplayedStaleOrContradictingNotificationChangesNothing(t *testing.T) {
	t.Parallel()
	n := setupNotified(t)
	n.command(t, "rf-open", "async-stuck")
	n.command(t, "rf-done", "pay-1")
	until(t, "both refunds", func() bool { o := n.outcomes(t); return len(o["rf-open"]) > 0 && len(o["rf-done"]) > 0 })
	genuine := n.about("rf-done", "1001", success)
	for _, tc := range []struct {
		name   string
		notice notice
		change func(*notice)
		status int
	}{
		{"forged: another body", n.about("rf-open", "1001", success), func(s *notice) { s.signed = genuine.body }, 403},
		{"forged: another path", n.about("rf-open", "1001", success), func(s *notice) { s.path = "/antom/hk?shop=8" }, 403},
		{"stale", n.about("rf-open", "1001", success), func(s *notice) { s.at = s.at.Add(-49 * time.Hour) }, 403},
		{"ahead", n.about("rf-open", "1001", success), func(s *notice) { s.at = s.at.Add(16 * time.Minute) }, 403},
		{"genuine, and known already", genuine, nil, 200},
		{"replayed", genuine, nil, 200},
		{"a failure of what succeeded", n.about("rf-done", "1001", failure), nil, 200},
		{"a success of another amount", n.about("rf-open", "1002", success), nil, 200},
		{"a failure that no inquiry shows", n.about("rf-open", "1001", failure), nil, 200},
		{"a refund nobody asked for", n.about("rf-none", "1001", success), nil, 200},
		{"something that is no refund", notice{path: notifyPath, at: time.Now(), body: `{"notifyType":"PAYMENT_RESULT"}`}, nil, 200},
	} {
		if tc.change != nil {
			tc.change(&tc.notice)
		}
		if status := n.post(t, tc.notice); status != tc.status {
			t.Errorf("%s: answered %d, want %d", tc.name, status, tc.status)
		}
	}
	want := map[string]int{"not-open": 3, "contradicted": 1, "refused": 1, "worked": 1, "no-command": 0}
	got := map[string]int{}
	until(t, "the signals", func() bool {
		sum := 0
		for result := range want {
			got[result] = n.counter(t, "refund_worker_signals_total", result)
			sum += got[result]
		}
		return sum == 6
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("signals (-want +got)\n%s", diff)
	}
	// A signal that was made before the outcome may be the one that led to it: what is repeated is the same.
	outcomes := n.outcomes(t)
	for id, told := range outcomes {
		outcomes[id] = slices.Compact(told)
	}
	if diff := cmp.Diff(map[string][]string{"rf-open": {"retry-pending IN_PROCESS 1"}, "rf-done": {"success REFUNDED 1"}}, outcomes); diff != "" {
		t.Errorf("outcomes (-want +got)\n%s", diff)
	}
	if sight, err := n.store.Look(t.Context(), "rf-open"); err != nil || sight.State != refund.SightWaiting {
		t.Errorf("rf-open: %+v, %v", sight, err)
	}
	n.wantSignals(t, 6)
}

// wantSignals: every signal is there, and the two of one notification share their event ID.
func (n *notified) wantSignals(t *testing.T, count int) {
	t.Helper()
	records, err := n.broker.ReadAll(t.Context(), "refunds.signals")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]int{}
	for _, r := range records {
		id, _ := schemas.HeaderValue(r.Headers, schemas.HeaderCEID)
		ids[string(id)]++
	}
	if len(records) != count || len(ids) != count-1 {
		t.Errorf("%d signals with the event IDs %v", len(records), ids)
	}
}

func TestEveryAntomAccountHasAnAddressAndNoOther(t *testing.T) {
	t.Parallel()
	yaml := "http: {listen: \"127.0.0.1:0\", notify_listen: \"127.0.0.1:0\"}\naccounts:\n" + account("hk") + account("sg") +
		strings.Replace(eftpayAccount, "bad.key", "eftpay.secret", 1) + "}\n"
	cfg := load(t, yaml)
	accounts, err := NewAccounts(cfg, zerolog.Nop(), gateway.NewMetrics(prometheus.NewRegistry(), accountNames(cfg)))
	if err != nil {
		t.Fatal(err)
	}
	server, err := listenerOf(cfg, accounts, nil, zerolog.Nop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	addr, err := server.Addr(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := &notified{url: "http://" + addr, private: privateKey(t, sharedKey(t))}
	for path, want := range map[string]int{"/antom/hk": 403, "/antom/sg": 403, "/eftpay/e": 404, "/antom/e": 404} {
		if status := n.post(t, notice{path: path, at: time.Now(), body: "{}"}); status != want {
			t.Errorf("%s: answered %d, want %d", path, status, want)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// sharedKey is somebody's private key, not the gateway's.
func sharedKey(t *testing.T) string {
	t.Helper()
	keys, err := sandbox.NewTestKeys()
	if err != nil {
		t.Fatal(err)
	}
	return keys.GatewayPrivate
}

// mute is a client that cannot verify notifications.
type mute struct{ refund.Client }

func TestAnAccountWhoseNotificationsCannotBeVerifiedIsNotListenedFor(t *testing.T) {
	t.Parallel()
	cfg := load(t, "http: {notify_listen: \":0\"}\naccounts:\n"+account("hk"))
	accounts := &Accounts{byGateway: map[schemas.Gateway]map[string]refund.Account{schemas.Antom: {"hk": {Client: mute{}}}}}
	if _, err := listenerOf(cfg, accounts, nil, zerolog.Nop(), prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), "hk") {
		t.Errorf("listenerOf: %v", err)
	}
	cfg.HTTP.NotifyListen = ""
	if server, err := listenerOf(cfg, accounts, nil, zerolog.Nop(), prometheus.NewRegistry()); server != nil || err != nil {
		t.Errorf("without an address: %v, %v", server, err)
	}
	if _, err := (&Worker{}).NotifyAddr(t.Context()); !errors.Is(err, errNotListening) {
		t.Errorf("NotifyAddr: %v", err)
	}
}
