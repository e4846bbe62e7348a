package report

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Table writes one row per case.
func Table(w io.Writer, results []Result) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "scenario\tlatency\tin flight\tsubject\tgateway\trefunds\trefunds/s (min-max)\tof ideal\tto ceiling\t"+
		"CPU s/10k\tto ceiling\tpeak MiB\tconns\tcalls\toverlaps\twrong order\tadded ms p50/p99\tgateway/broker/redis CPU")
	for _, r := range results {
		name := r.Subject
		if r.Workers > 1 {
			name = fmt.Sprintf("%s x%d", name, r.Workers)
		}
		_, _ = fmt.Fprintf(tw, "%s\t%d ms\t%d\t%s\t%s\t%d\t", r.Scenario, r.LatencyMS, r.InFlight, name, r.Gateway, r.Refunds)
		if r.Incomplete != "" {
			_, _ = fmt.Fprintf(tw, "%s\n", r.Incomplete)
			continue
		}
		_, _ = fmt.Fprintf(tw, "%.0f (%.0f-%.0f)\t%s\t%s\t%.2f\t%s\t%.0f\t%d\t%d\t%d\t%d\t%s\t%.2f/%.2f/%.2f\n",
			r.RefundsPerS, r.RefundsPerSMin, r.RefundsPerSMax, percent(r.ShareOfIdeal), percent(r.RatioToCeiling), r.CPUPer10k,
			times(r.CPURatioToCeiling), r.PeakRSSMiB, r.Connections, r.GatewayCalls, r.Overlaps, r.WrongOrder, added(r),
			r.GatewayCPUPer10k, r.BrokerCPUPer10k, r.RedisCPUPer10k)
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

func percent(share float64) string {
	if share == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*share)
}

func times(ratio float64) string {
	if ratio == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f x", ratio)
}

func added(r Result) string {
	if r.P99AddedMS == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f/%.1f", r.P50AddedMS, r.P99AddedMS)
}
