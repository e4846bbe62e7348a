package dedupe

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"refundworker/internal/realtest"
	"refundworker/refund"
)

func TestOneSentinelThatAnswersIsEnoughAndTheOthersAreWarnedOf(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	primary := startServer(t)
	open := realtest.StartSentinels(t, "m", primary, 1, 0, realtest.SentinelOptions{}).Addrs[0]
	locked := realtest.StartSentinels(t, "m", primary, 1, 0, realtest.SentinelOptions{
		Login: "default secret", Lines: []string{"requirepass secret"},
	}).Addrs[0]
	for name, tc := range map[string]struct {
		addresses        []string
		master, password string
		// failed is the sentinel of the error, warned those of the warnings.
		failed string
		warned []string
		is     func(error) bool
	}{
		"one answers":                          {addresses: []string{closed, locked, open}, master: "m", warned: []string{closed, locked}},
		"its login is taken":                   {addresses: []string{locked}, master: "m", password: "secret"},
		"a refusal counts more than a silence": {addresses: []string{closed, locked}, master: "m", failed: locked, is: redis.IsAuthError},
		"a name that is not known": {
			addresses: []string{closed, open}, master: "other", failed: open,
			is: func(err error) bool { return errors.Is(err, ErrUnknownPrimary) },
		},
		"silence": {
			addresses: []string{closed}, master: "m", failed: closed,
			is: func(err error) bool { _, network := errors.AsType[net.Error](err); return network },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := openRedis(t, Config{Addresses: tc.addresses, MasterName: tc.master, SentinelPassword: tc.password})
			report, err := r.CheckServer(t.Context())
			if tc.failed != "" {
				sentinel, ok := errors.AsType[*SentinelError](err)
				if !ok || sentinel.Address != tc.failed || !tc.is(err) || !errors.Is(err, refund.ErrStoreUnavailable) {
					t.Errorf("check: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, address := range tc.warned {
				if !strings.Contains(strings.Join(report.Warnings, "\n"), "sentinel "+address+": ") {
					t.Errorf("%s is not warned of: %q", address, report.Warnings)
				}
			}
			if len(report.Nodes) != 1 || report.Nodes[0].Address != "m" {
				t.Errorf("nodes: %+v", report.Nodes)
			}
		})
	}
}
