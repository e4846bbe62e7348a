package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"refundworker/bench/report"
	"refundworker/schemas"
)

func TestBadOptionsEndInOneLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args string
		want string
	}{
		{"--latency soon", "latency"},
		{"--latency 2m", "not between"},
		{"--in-flight 0", "in-flight"},
		{"--runs 0", "runs"},
		{"--refunds 3", "even"},
		{"--only worker,nobody", "nobody"},
		{"--scenario grid,dance", "dance"},
		{"--broker none", "broker"},
		{"--gateway paypal", "gateway"},
		{"--colour", "colour"},
	} {
		var out, errs strings.Builder
		if code := run(strings.Fields(tt.args), &out, &errs); code != 2 {
			t.Errorf("%s: exit %d", tt.args, code)
		}
		if text := errs.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %q, want one line that says %q", tt.args, text, tt.want)
		}
	}
}

func full() options {
	return options{
		Latency: []time.Duration{0, 20 * time.Millisecond, 200 * time.Millisecond}, InFlight: []int{64, 256, 1024}, Runs: 3,
		Only: []string{"worker", "ceiling", "watermill", "loop"}, Scenario: []string{"grid", "slow", "hot", "lone", "antom", "workers", "backlog"},
		Backlog: []int{10_000, 100_000}, Gateway: "eftpay",
	}
}

func TestOnlyWorkerAndCeilingGetTheWholeGrid(t *testing.T) {
	t.Parallel()
	count := make(map[string]int)
	for _, c := range plan(full()) {
		if c.scenario == "grid" {
			count[c.subject]++
		}
		if c.refunds%2 != 0 || c.refunds < 100 || c.workers < 1 {
			t.Errorf("%+v", c)
		}
	}
	if count["worker"] != 9 || count["ceiling"] != 9 || count["watermill"] != 3 || count["loop"] != 3 {
		t.Errorf("cases in the grid: %v", count)
	}
	o := full()
	o.Only, o.Refunds = []string{"loop"}, 50
	for _, c := range plan(o) {
		if c.subject != "loop" || c.refunds != 50 {
			t.Errorf("%+v, want the loop with 50 refunds only", c)
		}
	}
}

func TestADefaultBenchEndsWithin25Minutes(t *testing.T) {
	t.Parallel()
	var whole time.Duration
	for _, c := range plan(full()) {
		// What a case takes at the least on two cores, and what starting and loading it takes.
		perSecond := map[string]float64{"worker": 3500, "ceiling": 5000, "watermill": 2000, "loop": 400}[c.subject]
		if c.latency > 0 {
			perSecond = min(perSecond, float64(c.inFlight*c.workers)/c.latency.Seconds())
		}
		took := time.Duration(float64(c.refunds) / perSecond * float64(time.Second))
		if c.scenario == "lone" {
			took = 10 * time.Second
		}
		whole += 3 * (took + 4*time.Second)
	}
	if whole > 25*time.Minute {
		t.Errorf("a default bench takes some %s", whole)
	}
}

func TestTheMedianKeepsTheWorstOfWhatMustNotHappen(t *testing.T) {
	t.Parallel()
	r := median([]report.Result{{RefundsPerS: 30, Overlaps: 1}, {RefundsPerS: 10, PeakRSSMiB: 9}, {RefundsPerS: 20, WrongOrder: 2}})
	if r.RefundsPerS != 20 || r.RefundsPerSMin != 10 || r.RefundsPerSMax != 30 || r.Runs != 3 || r.Overlaps != 1 || r.WrongOrder != 2 || r.PeakRSSMiB != 9 {
		t.Errorf("%+v", r)
	}
}

func TestCommandsAreOfTheContract(t *testing.T) {
	t.Parallel()
	for _, gateway := range []string{"eftpay", "antom"} {
		m := command(gateway, "rabcdefg", 123456, 1)
		cmd, err := schemas.DecodeCommand(m.Value)
		if err != nil || cmd.PaymentID != string(m.Key) || cmd.Amount.Minor != 1001 || len(cmd.PaymentID) > 28 {
			t.Errorf("%s: %+v, %v", gateway, cmd, err)
		}
		if n := len(m.Value); n < 500 || n > 700 {
			t.Errorf("%s: %d bytes, want some 600", gateway, n)
		}
	}
}

func TestOnlyWhatWasRunIsDrawn(t *testing.T) {
	t.Parallel()
	o := full()
	o.Scenario, o.Latency = []string{"grid"}, []time.Duration{20 * time.Millisecond}
	o.SVG, o.JSON = t.TempDir(), filepath.Join(t.TempDir(), "results.json")
	results := []report.Result{
		{Subject: "worker", Scenario: "grid", Broker: "real", LatencyMS: 20, InFlight: 64, Workers: 1, RefundsPerS: 10},
		{Subject: "worker", Scenario: "grid", Broker: "real", LatencyMS: 20, InFlight: 256, Workers: 1, RefundsPerS: 20},
	}
	if err := write(o, results); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(o.SVG, "*"))
	if err != nil || len(names) != 1 || filepath.Base(names[0]) != "throughput-20ms.svg" {
		t.Errorf("drawn: %v, %v", names, err)
	}
}
