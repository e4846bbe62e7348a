package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refundworker/bench/report"
)

func grid(subject string, latencyMS int64, inFlight int, refundsPerS float64) report.Result {
	return report.Result{
		Subject: subject, Scenario: "grid", Broker: "real", Gateway: "plain", LatencyMS: latencyMS, InFlight: inFlight,
		Workers: 1, Refunds: 20000, Runs: 3, RefundsPerS: refundsPerS,
		RefundsPerSMin: refundsPerS, RefundsPerSMax: refundsPerS, CPUPer10k: 2, PeakRSSMiB: 40,
	}
}

func with(r report.Result, change func(*report.Result)) report.Result {
	change(&r)
	return r
}

func TestCompareTakesTheCeilingOfTheSameSetting(t *testing.T) {
	t.Parallel()
	worker := with(grid("worker", 20, 256, 6000), func(r *report.Result) { r.CPUPer10k, r.Gateway = 3, "eftpay" })
	ceiling := grid("ceiling", 20, 256, 8000)

	for name, c := range map[string]struct {
		worker      report.Result
		others      []report.Result
		ratio, cpus float64
	}{
		"same setting, whatever the gateway": {worker, []report.Result{ceiling}, 0.75, 1.5},
		"no ceiling":                         {worker, nil, 0, 0},
		"only peers":                         {worker, []report.Result{grid("loop", 20, 256, 50)}, 0, 0},
		"more processes": {
			with(worker, func(r *report.Result) { r.Workers = 3 }), []report.Result{ceiling}, 0.75, 1.5,
		},
		"other scenario": {
			worker, []report.Result{with(ceiling, func(r *report.Result) { r.Scenario = "slow" })}, 0, 0,
		},
		"other broker": {
			worker, []report.Result{with(ceiling, func(r *report.Result) { r.Broker = "embedded" })}, 0, 0,
		},
		"other latency": {
			worker, []report.Result{with(ceiling, func(r *report.Result) { r.LatencyMS = 0 })}, 0, 0,
		},
		"other in flight": {
			worker, []report.Result{with(ceiling, func(r *report.Result) { r.InFlight = 64 })}, 0, 0,
		},
		"other backlog": {
			worker, []report.Result{with(ceiling, func(r *report.Result) { r.Backlog = 10000 })}, 0, 0,
		},
		"ceiling that did not finish": {
			worker, []report.Result{with(ceiling, func(r *report.Result) { r.Incomplete = "timed out" })}, 0, 0,
		},
		"ceiling that finished after one that did not": {
			worker,
			[]report.Result{with(ceiling, func(r *report.Result) { r.Incomplete = "timed out" }), ceiling},
			0.75, 1.5,
		},
		"worker that did not finish": {
			with(worker, func(r *report.Result) { r.Incomplete = "timed out" }), []report.Result{ceiling}, 0, 0,
		},
		"ceiling without figures": {worker, []report.Result{{
			Subject: "ceiling", Scenario: "grid", Broker: "real", LatencyMS: 20, InFlight: 256,
		}}, 0, 0},
		"ratios of before": {
			with(worker, func(r *report.Result) { r.RatioToCeiling, r.CPURatioToCeiling = 9, 9 }), nil, 0, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := report.Compare(append([]report.Result{c.worker}, c.others...))
			if got[0].RatioToCeiling != c.ratio || got[0].CPURatioToCeiling != c.cpus {
				t.Errorf("ratios are %v and %v, want %v and %v",
					got[0].RatioToCeiling, got[0].CPURatioToCeiling, c.ratio, c.cpus)
			}
		})
	}
}

func TestCompareChangesNothingElse(t *testing.T) {
	t.Parallel()
	given := []report.Result{grid("worker", 0, 64, 5000), grid("ceiling", 0, 64, 10000)}
	got := report.Compare(given)
	if given[0].RatioToCeiling != 0 {
		t.Error("the given slice was changed")
	}
	want := []report.Result{
		with(given[0], func(r *report.Result) { r.RatioToCeiling, r.CPURatioToCeiling = 0.5, 1 }),
		with(given[1], func(r *report.Result) { r.RatioToCeiling, r.CPURatioToCeiling = 1, 1 }),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestJSONBringsEveryFieldBack(t *testing.T) {
	t.Parallel()
	var full report.Result
	fields := reflect.ValueOf(&full).Elem()
	for i := range fields.NumField() {
		// Every field gets a value of its own, so that two that share a name would be noticed.
		switch field := fields.Field(i); {
		case field.Kind() == reflect.String:
			field.SetString("a < b & " + fields.Type().Field(i).Name)
		case field.CanFloat():
			field.SetFloat(float64(i) + 0.25)
		default:
			field.SetInt(int64(i) + 1)
		}
	}
	want := []report.Result{full, grid("ceiling", 20, 256, 8000)}

	var buf bytes.Buffer
	if err := report.WriteJSON(&buf, want); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(buf.String(), "[\n  {\n    \"subject\": \"a < b & Subject\",\n") {
		t.Errorf("not an indented array of objects: %.60q", buf.String())
	}
	if !strings.HasSuffix(buf.String(), "}\n]\n") {
		t.Error("no newline at the end")
	}
	var got []report.Result
	if err := json.Unmarshal(buf.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	var objects []map[string]any
	if err := json.Unmarshal(buf.Bytes(), &objects); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"subject", "scenario", "broker", "gateway", "latency_ms", "in_flight", "workers", "refunds", "runs", "backlog",
		"refunds_per_s", "refunds_per_s_min", "refunds_per_s_max", "share_of_ideal", "cpu_s_per_10k",
		"gateway_cpu_s_per_10k", "broker_cpu_s_per_10k", "redis_cpu_s_per_10k", "peak_rss_mib", "connections",
		"most_in_flight", "gateway_calls", "repeated_calls", "overlaps", "wrong_order", "p50_added_ms", "p99_added_ms",
		"ratio_to_ceiling", "cpu_ratio_to_ceiling",
	} {
		// A count of 0 must be there too: a reader could not tell it from one that was not taken.
		if _, found := objects[1][name]; !found {
			t.Errorf("no field %s", name)
		}
	}
	if _, found := objects[1]["incomplete"]; found {
		t.Error("a finished case says why it did not finish")
	}
}

func TestJSONOfNothingIsAnEmptyArray(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	if err := report.WriteJSON(&buf, nil); err != nil {
		t.Fatal(err)
	}
	if buf.String() != "[]\n" {
		t.Errorf("got %q", buf.String())
	}
}

type brokenWriter struct{}

var errBroken = errors.New("disk full")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestAWriterThatFailsIsReported(t *testing.T) {
	t.Parallel()
	results := []report.Result{
		grid("worker", 20, 256, 6000),
		with(grid("worker", 0, 256, 6000), func(r *report.Result) { r.Scenario, r.Backlog = "backlog", 10000 }),
	}
	for name, write := range map[string]func(io.Writer, []report.Result) error{
		"table":   report.Table,
		"JSON":    report.WriteJSON,
		"backlog": report.BacklogSVG,
		"throughput": func(w io.Writer, results []report.Result) error {
			return report.ThroughputSVG(w, results, 20)
		},
	} {
		if err := write(brokenWriter{}, results); !errors.Is(err, errBroken) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	results[0].RefundsPerS = math.NaN()
	if err := report.WriteJSON(io.Discard, results); err == nil {
		t.Error("JSON cannot hold NaN, and nothing was said")
	}
}
