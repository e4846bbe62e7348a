package report_test

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refundworker/bench/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func tableResults() []report.Result {
	full := func(r *report.Result) {
		r.Gateway, r.RefundsPerSMin, r.RefundsPerSMax, r.ShareOfIdeal = "eftpay", 7790.5, 8528, 0.640625
		r.CPUPer10k, r.GatewayCPUPer10k, r.BrokerCPUPer10k, r.RedisCPUPer10k = 3.214, 0.61, 0.9, 0.25
		r.PeakRSSMiB, r.Connections, r.MostInFlight, r.GatewayCalls = 61.47, 256, 256, 20000
	}
	return []report.Result{
		with(grid("worker", 0, 256, 7000), func(r *report.Result) { r.Scenario, r.Backlog = "backlog", 100000 }),
		with(grid("worker", 20, 1, 40), func(r *report.Result) {
			r.Scenario, r.P50AddedMS, r.P99AddedMS = "lone", 2.125, 9.5
		}),
		grid("loop", 20, 256, 41.26),
		with(grid("watermill", 20, 256, 0), func(r *report.Result) {
			r.Incomplete = "read 812 of 20000 outcomes:\n\tdeadline exceeded"
		}),
		grid("ceiling", 20, 256, 9900),
		with(grid("worker", 20, 256, 8200), full),
		with(grid("worker", 20, 256, 9000), func(r *report.Result) { r.Broker = "embedded" }),
		grid("worker", 20, 64, 2900),
		grid("worker", 0, 1024, 8300),
		with(grid("worker", 20, 256, 4000), func(r *report.Result) {
			r.Scenario, r.Repeated, r.Overlaps, r.WrongOrder = "slow", 1, 2, 3
		}),
		with(grid("newcomer", 20, 256, 1), func(r *report.Result) { r.Scenario = "unheard of" }),
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	if err := report.Table(&got, report.Compare(tableResults())); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/table.txt"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestTableDoesNotDependOnTheOrderGiven(t *testing.T) {
	t.Parallel()
	var forwards, backwards bytes.Buffer
	results := report.Compare(tableResults())
	if err := report.Table(&forwards, results); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(results)
	if err := report.Table(&backwards, results); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(forwards.String(), backwards.String()); diff != "" {
		t.Error(diff)
	}
}

func TestTableLeavesOutColumnsWithoutFigures(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	if err := report.Table(&got, []report.Result{grid("worker", 20, 64, 2900)}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"backlog", "p50", "p99", "of ideal"} {
		if strings.Contains(got.String(), name) {
			t.Errorf("a column %s without a figure in it:\n%s", name, got.String())
		}
	}
	for _, name := range []string{"repeated", "overlaps", "wrong"} {
		if !strings.Contains(got.String(), name) {
			t.Errorf("no column %s, whose 0 matters:\n%s", name, got.String())
		}
	}
}
