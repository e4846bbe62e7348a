package report

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func sample() []Result {
	return []Result{
		{Subject: Ceiling, Scenario: "grid", Broker: "real", LatencyMS: 20, InFlight: 256, Workers: 1, RefundsPerS: 6000, CPUPer10k: 1},
		{Subject: "worker", Scenario: "grid", Broker: "real", LatencyMS: 20, InFlight: 256, Workers: 1, RefundsPerS: 4500, CPUPer10k: 1.5},
		{Subject: "worker", Scenario: "grid", Broker: "real", LatencyMS: 20, InFlight: 64, Workers: 1, RefundsPerS: 2400, CPUPer10k: 2},
		{Subject: "worker", Scenario: "grid", Broker: "real", LatencyMS: 20, InFlight: 1024, Workers: 1, Incomplete: "incomplete: 3 of 10"},
		{Subject: "worker", Scenario: "backlog", Broker: "real", InFlight: 256, Workers: 1, Refunds: 10_000, CPUPer10k: 2, PeakRSSMiB: 80},
		{Subject: "worker", Scenario: "backlog", Broker: "real", InFlight: 256, Workers: 1, Refunds: 100_000, CPUPer10k: 2.1, PeakRSSMiB: 84},
	}
}

func TestRatiosAreToTheCeilingOfTheSameCase(t *testing.T) {
	t.Parallel()
	for _, r := range Compare(sample()) {
		want, wantCPU := 0.0, 0.0
		switch {
		case r.InFlight == 256 && r.Scenario == "grid" && r.Subject == "worker":
			want, wantCPU = 0.75, 1.5
		case r.Subject == Ceiling:
			want, wantCPU = 1, 1
		}
		if r.RatioToCeiling != want || r.CPURatioToCeiling != wantCPU {
			t.Errorf("%s %s in flight %d: %v and %v, want %v and %v", r.Scenario, r.Subject, r.InFlight, r.RatioToCeiling, r.CPURatioToCeiling, want, wantCPU)
		}
	}
	broken := sample()
	broken[0].Incomplete = "it died"
	for _, r := range Compare(broken) {
		if r.RatioToCeiling != 0 {
			t.Errorf("%s is compared with a ceiling that did not finish", r.Subject)
		}
	}
}

func TestTheTableSaysWhyACaseHasNoFigures(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := Table(&out, Compare(sample())); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 7 || !strings.HasPrefix(lines[0], "scenario") {
		t.Fatalf("table:\n%s", out.String())
	}
	for _, want := range []string{"incomplete: 3 of 10", "75 %", "1.50 x", "4500 (0-0)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, out.String())
		}
	}
	if strings.Index(out.String(), "2400") > strings.Index(out.String(), "4500") {
		t.Error("cases are not in the order of calls in flight")
	}
}

func TestJSONHasTheNamesThatOthersRead(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := WriteJSON(&out, Compare(sample())); err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	if err := json.Unmarshal([]byte(out.String()), &list); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"refunds_per_s", "ratio_to_ceiling", "cpu_s_per_10k", "cpu_ratio_to_ceiling", "peak_rss_mib", "overlaps", "wrong_order", "connections",
	} {
		if _, ok := list[0][name]; !ok {
			t.Errorf("no field %s", name)
		}
	}
}

func TestPlotsAreWellFormedAndHoldEveryLine(t *testing.T) {
	t.Parallel()
	plots := Plots(sample())
	if len(plots) != 3 {
		t.Fatalf("%d plots, want throughput, cost and memory", len(plots))
	}
	for name, text := range plots {
		dec := xml.NewDecoder(strings.NewReader(text))
		shapes := 0
		for {
			token, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if start, ok := token.(xml.StartElement); ok && start.Name.Local == "circle" {
				shapes++
			}
		}
		if shapes != 2 {
			t.Errorf("%s: %d markers of the worker, want those of its 2 results", name, shapes)
		}
	}
	// 2400 of 5000 is 48 % of the way up, and the least in flight is at the left edge.
	if !strings.Contains(plots["throughput-20ms.svg"], `<circle cx="80.0" cy="201.9"`) {
		t.Errorf("the worker's first marker is not where it belongs:\n%s", plots["throughput-20ms.svg"])
	}
	if len(Plots(nil)) != 0 {
		t.Error("plots of nothing")
	}
}
