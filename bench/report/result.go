// Package report turns the results of benchmarks into a table for people, JSON for machines, and plots. It measures
// nothing. The same results give the same bytes.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Result is the median of a case's runs.
type Result struct {
	// Subject is worker, ceiling, watermill or loop; Scenario says what was done with it.
	Subject   string `json:"subject"`
	Scenario  string `json:"scenario"`
	Broker    string `json:"broker"`
	Gateway   string `json:"gateway"`
	LatencyMS int64  `json:"latency_ms"`
	InFlight  int    `json:"in_flight"`
	Workers   int    `json:"workers"`
	Refunds   int    `json:"refunds"`
	Runs      int    `json:"runs"`

	RefundsPerS    float64 `json:"refunds_per_s"`
	RefundsPerSMin float64 `json:"refunds_per_s_min"`
	RefundsPerSMax float64 `json:"refunds_per_s_max"`
	// ShareOfIdeal is RefundsPerS over in flight ÷ latency; 0 without latency.
	ShareOfIdeal float64 `json:"share_of_ideal"`
	// CPU seconds per 10 000 refunds, of the subject and of what it works with.
	CPUPer10k        float64 `json:"cpu_s_per_10k"`
	GatewayCPUPer10k float64 `json:"gateway_cpu_s_per_10k"`
	BrokerCPUPer10k  float64 `json:"broker_cpu_s_per_10k"`
	RedisCPUPer10k   float64 `json:"redis_cpu_s_per_10k"`
	PeakRSSMiB       float64 `json:"peak_rss_mib"`
	Connections      int64   `json:"connections"`
	MostInFlight     int64   `json:"most_in_flight"`
	GatewayCalls     int64   `json:"gateway_calls"`
	RepeatedCalls    int64   `json:"repeated_calls"`
	Overlaps         int64   `json:"overlaps"`
	WrongOrder       int64   `json:"wrong_order"`
	// P50AddedMS and P99AddedMS are from a command's production to its outcome, less the gateway; only where single
	// commands are measured.
	P50AddedMS float64 `json:"p50_added_ms"`
	P99AddedMS float64 `json:"p99_added_ms"`
	// RatioToCeiling and CPURatioToCeiling are filled by Compare; 0 where the ceiling has no such case.
	RatioToCeiling    float64 `json:"ratio_to_ceiling"`
	CPURatioToCeiling float64 `json:"cpu_ratio_to_ceiling"`
	// Incomplete says why a case has no figures.
	Incomplete string `json:"incomplete,omitempty"`
}

// Ceiling is the subject that others are compared with.
const Ceiling = "ceiling"

type sameCase struct {
	scenario, broker   string
	latency            int64
	inFlight, ofWorker int
}

func (r Result) sameCase() sameCase {
	return sameCase{r.Scenario, r.Broker, r.LatencyMS, r.InFlight, r.Workers}
}

// Compare fills the ratios to the ceiling's result of the same case, and sorts.
func Compare(results []Result) []Result {
	ceilings := make(map[sameCase]Result)
	for _, r := range results {
		if r.Subject == Ceiling && r.Incomplete == "" {
			ceilings[r.sameCase()] = r
		}
	}
	out := slices.Clone(results)
	for i := range out {
		r := &out[i]
		if c, ok := ceilings[r.sameCase()]; ok && r.Incomplete == "" {
			if c.RefundsPerS > 0 {
				r.RatioToCeiling = r.RefundsPerS / c.RefundsPerS
			}
			if c.CPUPer10k > 0 {
				r.CPURatioToCeiling = r.CPUPer10k / c.CPUPer10k
			}
		}
	}
	subjects := []string{"worker", Ceiling, "watermill", "loop"}
	slices.SortStableFunc(out, func(a, b Result) int {
		return cmp.Or(cmp.Compare(a.Scenario, b.Scenario), cmp.Compare(a.LatencyMS, b.LatencyMS), cmp.Compare(a.InFlight, b.InFlight),
			cmp.Compare(a.Workers, b.Workers), cmp.Compare(a.Refunds, b.Refunds),
			cmp.Compare(slices.Index(subjects, a.Subject), slices.Index(subjects, b.Subject)))
	})
	return out
}

// WriteJSON writes one object per case.
func WriteJSON(w io.Writer, results []Result) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(results); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}
