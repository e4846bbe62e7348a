package report

import (
	"encoding/json"
	"fmt"
	"io"
)

// Result is the median of a case's runs.
type Result struct {
	// Subject is what was measured: worker, ceiling, watermill or loop.
	Subject string `json:"subject"`
	// Scenario is grid, slow, hot, lone, antom, workers or backlog.
	Scenario string `json:"scenario"`
	// Broker is real or embedded.
	Broker string `json:"broker"`
	// Gateway is eftpay, antom or plain.
	Gateway string `json:"gateway"`
	// LatencyMS is how long the gateway takes to answer, in milliseconds.
	LatencyMS int64 `json:"latency_ms"`
	// InFlight is how many refunds may be under way at once.
	InFlight int `json:"in_flight"`
	// Workers is how many processes of the subject shared the work.
	Workers int `json:"workers"`
	// Refunds is how many refunds one run made.
	Refunds int `json:"refunds"`
	// Runs is how many runs the median was taken of.
	Runs int `json:"runs"`
	// Backlog is how many commands were waiting at the start where that is what the scenario varies, else 0.
	Backlog int `json:"backlog"`

	RefundsPerS    float64 `json:"refunds_per_s"`
	RefundsPerSMin float64 `json:"refunds_per_s_min"`
	RefundsPerSMax float64 `json:"refunds_per_s_max"`
	// ShareOfIdeal is RefundsPerS over what InFlight and the latency allow; 0 where the latency is 0.
	ShareOfIdeal float64 `json:"share_of_ideal"`

	// CPUPer10k is in seconds for 10 000 refunds, as those of the other processes below.
	CPUPer10k        float64 `json:"cpu_s_per_10k"`
	GatewayCPUPer10k float64 `json:"gateway_cpu_s_per_10k"`
	BrokerCPUPer10k  float64 `json:"broker_cpu_s_per_10k"`
	RedisCPUPer10k   float64 `json:"redis_cpu_s_per_10k"`
	PeakRSSMiB       float64 `json:"peak_rss_mib"`

	// Connections is how many the gateway saw opened.
	Connections  int `json:"connections"`
	MostInFlight int `json:"most_in_flight"`
	GatewayCalls int `json:"gateway_calls"`
	// Repeated counts the calls for a refund that had been asked for before.
	Repeated int `json:"repeated_calls"`
	// Overlaps counts the calls that began while another one for the same payment was under way.
	Overlaps int `json:"overlaps"`
	// WrongOrder counts the refunds of a payment that began before an earlier one of it.
	WrongOrder int `json:"wrong_order"`

	// P50AddedMS and P99AddedMS are what a lone refund takes beyond the gateway's latency; 0 in other scenarios.
	P50AddedMS float64 `json:"p50_added_ms"`
	P99AddedMS float64 `json:"p99_added_ms"`

	// RatioToCeiling and CPURatioToCeiling are filled by Compare; 0 where there is no ceiling of the same case.
	RatioToCeiling    float64 `json:"ratio_to_ceiling"`
	CPURatioToCeiling float64 `json:"cpu_ratio_to_ceiling"`

	// Incomplete is why the case did not finish, in which case its figures do not count.
	Incomplete string `json:"incomplete,omitempty"`
}

// setting is what two subjects must share to be compared. The gateway is left out: the ceiling only ever speaks the
// plain one, and what a real gateway's protocol costs is part of the comparison.
type setting struct {
	scenario  string
	broker    string
	latencyMS int64
	inFlight  int
	backlog   int
}

func (r Result) setting() setting {
	return setting{
		scenario:  r.Scenario,
		broker:    r.Broker,
		latencyMS: r.LatencyMS,
		inFlight:  r.InFlight,
		backlog:   r.Backlog,
	}
}

// Compare returns the results with both ratios filled in from the ceiling of the same setting, and leaves the given
// slice alone. A ratio is 0 where either side did not finish or measured nothing; of several ceilings the first that
// finished counts.
func Compare(results []Result) []Result {
	ceilings := make(map[setting]Result)
	for _, r := range results {
		if _, known := ceilings[r.setting()]; r.Subject == "ceiling" && r.Incomplete == "" && !known {
			ceilings[r.setting()] = r
		}
	}

	compared := make([]Result, len(results))
	for i, r := range results {
		r.RatioToCeiling, r.CPURatioToCeiling = 0, 0
		if r.Incomplete == "" {
			// The zero Result of a setting without a ceiling makes both ratios 0.
			ceiling := ceilings[r.setting()]
			r.RatioToCeiling = ratio(r.RefundsPerS, ceiling.RefundsPerS)
			r.CPURatioToCeiling = ratio(r.CPUPer10k, ceiling.CPUPer10k)
		}
		compared[i] = r
	}
	return compared
}

// ratio is 0 instead of infinite, which JSON could not hold.
func ratio(value, base float64) float64 {
	if base <= 0 {
		return 0
	}
	return value / base
}

// WriteJSON writes the results as they are given, one object per case in an indented array.
func WriteJSON(w io.Writer, results []Result) error {
	if results == nil {
		// A reader expects an array, and a nil slice would be null.
		results = []Result{}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(results); err != nil {
		return fmt.Errorf("write results as JSON: %w", err)
	}
	return nil
}
