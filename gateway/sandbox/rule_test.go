package sandbox_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refundworker/gateway/sandbox"
)

func unknown() []sandbox.Fault { return []sandbox.Fault{{Kind: sandbox.UnknownBefore}} }

// hits sends refunds under these request IDs, in this order, and marks those that were hit by any fault.
func hits(t *testing.T, b bundle, ids ...string) string {
	t.Helper()
	var marks strings.Builder
	for _, id := range ids {
		switch b.client.refund(t, id, payment, "HKD", "1").says() {
		case "S SUCCESS":
			marks.WriteByte('.')
		case "U UNKNOWN_EXCEPTION":
			marks.WriteByte('x')
		default:
			marks.WriteByte('o')
		}
	}
	return marks.String()
}

func TestRulesHitTheCallsTheyName(t *testing.T) {
	t.Parallel()
	both := []sandbox.Fault{{Kind: sandbox.UnknownBefore}, {Kind: sandbox.ThrottleBefore}}
	cases := []struct {
		name  string
		rules []sandbox.Rule
		ids   string
		want  string
	}{
		{"first", []sandbox.Rule{{Faults: unknown(), First: 2}}, "a b c d", "xx.."},
		{"first of each request", []sandbox.Rule{{Faults: unknown(), First: 1, PerRequest: true}}, "a a b a b", "x.x.."},
		{"every third", []sandbox.Rule{{Faults: unknown(), Every: 3}}, "a b c d e f g", "..x..x."},
		{"every second of each request", []sandbox.Rule{{Faults: unknown(), Every: 2, PerRequest: true}}, "a b a b a", "..xx."},
		{"in turn", []sandbox.Rule{{Faults: both, Every: 2}}, "a b c d e f", ".x.o.x"},
		{"in turn at the beginning", []sandbox.Rule{{Faults: both, First: 3}}, "a b c d", "xox."},
		{"all by chance", []sandbox.Rule{{Faults: unknown(), PerMillion: 1_000_000}}, "a b", "xx"},
		{"a script", []sandbox.Rule{{Faults: append(unknown(), sandbox.Fault{Kind: sandbox.None}, sandbox.Fault{Kind: sandbox.ThrottleBefore}), RequestID: "a"}}, "a b a a a", "x..o."},
		{"another operation", []sandbox.Rule{{Faults: unknown(), First: 9, Operation: sandbox.Inquiry}}, "a b", ".."},
		{"the first rule wins, and a script keeps its fault", []sandbox.Rule{
			{Faults: both[1:], First: 1}, {Faults: unknown(), RequestID: "a"},
		}, "a a a", "ox."},
		{"counting goes on beneath another rule", []sandbox.Rule{
			{Faults: both[1:], First: 1}, {Faults: unknown(), Every: 2},
		}, "a b c d", "ox.x"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(cfg *sandbox.Config) { cfg.Rules = tc.rules })
			if got := hits(t, b, strings.Fields(tc.ids)...); got != tc.want {
				t.Errorf("calls %s: hit %q, want %q", tc.ids, got, tc.want)
			}
		})
	}
}

func TestChanceDependsOnSeedRequestAndCallOnly(t *testing.T) {
	t.Parallel()
	const requests, calls = 40, 3
	// run sends every request in a goroutine of its own, so that the order across requests is anybody's guess.
	run := func(seed uint64) map[string]string {
		b := setup(t, func(cfg *sandbox.Config) {
			cfg.Rules = []sandbox.Rule{{Faults: unknown(), PerMillion: 400_000, Seed: seed}}
		})
		var mu sync.Mutex
		var wg sync.WaitGroup
		found := map[string]string{}
		for i := range requests {
			wg.Go(func() {
				id := "rf_" + strconv.Itoa(i)
				got := hits(t, b, strings.Fields(strings.Repeat(id+" ", calls))...)
				mu.Lock()
				defer mu.Unlock()
				found[id] = got
			})
		}
		wg.Wait()
		return found
	}
	first, again, other := run(1), run(1), run(2)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the same seed hits others: %s", diff)
	}
	if cmp.Equal(first, other) {
		t.Error("another seed hits the same")
	}
	hit := 0
	for _, marks := range first {
		hit += strings.Count(marks, "x")
	}
	if share := hit * 100 / (requests * calls); share < 25 || share > 55 {
		t.Errorf("%d %% of the calls were hit, want about 40", share)
	}
}

func TestClearRulesEndsAllFaults(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *sandbox.Config) { cfg.Rules = []sandbox.Rule{{Faults: unknown(), Every: 1}} })
	if got := hits(t, b, "a"); got != "x" {
		t.Errorf("hit %q", got)
	}
	b.server.ClearRules()
	if got := hits(t, b, "a"); got != "." {
		t.Errorf("hit %q", got)
	}
}

func TestRulesThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	one := func(f sandbox.Fault) sandbox.Rule { return sandbox.Rule{Faults: []sandbox.Fault{f}, First: 1} }
	rules := map[string]sandbox.Rule{
		"no trigger":                 {Faults: unknown()},
		"two triggers":               {Faults: unknown(), First: 1, Every: 1},
		"negative count":             {Faults: unknown(), First: -1},
		"above a million":            {Faults: unknown(), PerMillion: 1_000_001},
		"perRequest for a script":    {Faults: unknown(), RequestID: "a", PerRequest: true},
		"seed without chance":        {Faults: unknown(), First: 1, Seed: 1},
		"unknown operation":          {Faults: unknown(), First: 1, Operation: "pay"},
		"no faults":                  {First: 1},
		"halfway for inquiries":      {Faults: []sandbox.Fault{{Kind: sandbox.UnknownHalfway}}, First: 1},
		"unknown kind":               one(sandbox.Fault{Kind: "explode"}),
		"delay without a time":       one(sandbox.Fault{Kind: sandbox.Late}),
		"time without a delay":       one(sandbox.Fault{Kind: sandbox.DropAfter, Delay: 1}),
		"HTTP without a status":      one(sandbox.Fault{Kind: sandbox.HTTPAfter}),
		"HTTP status out of range":   one(sandbox.Fault{Kind: sandbox.HTTPAfter, HTTPStatus: 99}),
		"status without HTTP":        one(sandbox.Fault{Kind: sandbox.DropAfter, HTTPStatus: 500}),
		"retry after without HTTP":   one(sandbox.Fault{Kind: sandbox.DropAfter, RetryAfter: 1}),
		"answer without a code":      one(sandbox.Fault{Kind: sandbox.Answer, Status: "F"}),
		"answer with another status": one(sandbox.Fault{Kind: sandbox.Answer, Status: "X", Code: "Y"}),
		"code without an answer":     one(sandbox.Fault{Kind: sandbox.DropAfter, Status: "F", Code: "Y"}),
	}
	for name, r := range rules {
		if id, err := b.server.AddRule(r); err == nil {
			t.Errorf("%s: accepted as %s", name, id)
		}
	}
	if err := b.server.Script(sandbox.Refund, "", sandbox.Fault{Kind: sandbox.DropAfter}); err == nil {
		t.Error("a script of no request is accepted")
	}
}

func TestAllFaultsOfARuleAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	err := sandbox.Rule{Operation: "pay", Faults: []sandbox.Fault{{Kind: "explode"}}}.Validate()
	for _, part := range []string{"exactly one", `"pay"`, `"explode"`} {
		if !strings.Contains(fmt.Sprint(err), part) {
			t.Errorf("%v says nothing of %s", err, part)
		}
	}
}
