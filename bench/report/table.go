package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// absent stands where a figure was not measured or means nothing, which a 0 would hide.
const absent = "-"

// column is one of the table's; its heading has two lines to keep the table narrow.
type column struct {
	name, unit string
	// words are aligned to the left, figures to the right.
	words bool
	// setting columns say which case it is, and are shown of a case that did not finish as well.
	setting bool
	value   func(Result) string
}

func columns() []column {
	return []column{
		{name: "scenario", words: true, setting: true, value: func(r Result) string { return r.Scenario }},
		{name: "broker", words: true, setting: true, value: func(r Result) string { return r.Broker }},
		{name: "gateway", words: true, setting: true, value: func(r Result) string { return r.Gateway }},
		{name: "latency", unit: "ms", setting: true, value: latency},
		{name: "in", unit: "flight", setting: true, value: func(r Result) string { return strconv.Itoa(r.InFlight) }},
		{name: "workers", setting: true, value: func(r Result) string { return strconv.Itoa(r.Workers) }},
		{name: "backlog", setting: true, value: func(r Result) string { return orAbsent(float64(r.Backlog), 0) }},
		{name: "subject", words: true, setting: true, value: func(r Result) string { return r.Subject }},
		{name: "runs", value: func(r Result) string { return strconv.Itoa(r.Runs) }},
		{name: "refunds", value: func(r Result) string { return strconv.Itoa(r.Refunds) }},
		{name: "refunds", unit: "/s", value: func(r Result) string { return decimal(r.RefundsPerS, 1) }},
		{name: "min", unit: "/s", value: func(r Result) string { return orAbsent(r.RefundsPerSMin, 1) }},
		{name: "max", unit: "/s", value: func(r Result) string { return orAbsent(r.RefundsPerSMax, 1) }},
		{name: "of ideal", unit: "%", value: func(r Result) string { return orAbsent(100*r.ShareOfIdeal, 1) }},
		{name: "to", unit: "ceiling", value: func(r Result) string { return orAbsent(r.RatioToCeiling, 3) }},
		{name: "CPU", unit: "s/10k", value: func(r Result) string { return orAbsent(r.CPUPer10k, 2) }},
		{name: "to", unit: "ceiling", value: func(r Result) string { return orAbsent(r.CPURatioToCeiling, 3) }},
		{name: "gateway", unit: "s/10k", value: func(r Result) string { return orAbsent(r.GatewayCPUPer10k, 2) }},
		{name: "broker", unit: "s/10k", value: func(r Result) string { return orAbsent(r.BrokerCPUPer10k, 2) }},
		{name: "redis", unit: "s/10k", value: func(r Result) string { return orAbsent(r.RedisCPUPer10k, 2) }},
		{name: "peak", unit: "MiB", value: func(r Result) string { return orAbsent(r.PeakRSSMiB, 1) }},
		{name: "conns", value: func(r Result) string { return strconv.Itoa(r.Connections) }},
		{name: "most in", unit: "flight", value: func(r Result) string { return strconv.Itoa(r.MostInFlight) }},
		{name: "calls", value: func(r Result) string { return strconv.Itoa(r.GatewayCalls) }},
		{name: "repeated", value: func(r Result) string { return strconv.Itoa(r.Repeated) }},
		{name: "overlaps", value: func(r Result) string { return strconv.Itoa(r.Overlaps) }},
		{name: "wrong", unit: "order", value: func(r Result) string { return strconv.Itoa(r.WrongOrder) }},
		{name: "p50", unit: "added ms", value: func(r Result) string { return orAbsent(r.P50AddedMS, 2) }},
		{name: "p99", unit: "added ms", value: func(r Result) string { return orAbsent(r.P99AddedMS, 2) }},
	}
}

func latency(r Result) string {
	return strconv.FormatInt(r.LatencyMS, 10)
}

func decimal(value float64, digits int) string {
	return strconv.FormatFloat(value, 'f', digits, 64)
}

func orAbsent(value float64, digits int) string {
	if value == 0 {
		return absent
	}
	return decimal(value, digits)
}

// Table writes the results in aligned columns, sorted by scenario, latency, in flight and subject. Columns in which no
// case has a figure are left out, and a case that did not finish shows its reason instead of figures.
func Table(w io.Writer, results []Result) error {
	results = inOrder(results)
	cols, widths := measure(results)

	var text strings.Builder
	for _, heading := range []func(column) string{
		func(c column) string { return c.name },
		func(c column) string { return c.unit },
	} {
		cells := make([]string, len(cols))
		for i, c := range cols {
			cells[i] = align(heading(c), widths[i], c.words)
		}
		writeRow(&text, cells)
	}
	for _, r := range results {
		var cells []string
		for i, c := range cols {
			if c.setting || r.Incomplete == "" {
				cells = append(cells, align(c.value(r), widths[i], c.words))
			}
		}
		if r.Incomplete != "" {
			// The reason can be an error of several lines; the row must stay one.
			cells = append(cells, "incomplete: "+strings.Join(strings.Fields(r.Incomplete), " "))
		}
		writeRow(&text, cells)
	}
	if _, err := io.WriteString(w, text.String()); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// measure returns the columns in which some case has something to show, and how wide each must be.
func measure(results []Result) ([]column, []int) {
	var cols []column
	var widths []int
	for _, c := range columns() {
		shown := c.setting && c.words
		width := max(utf8.RuneCountInString(c.name), utf8.RuneCountInString(c.unit))
		for _, r := range results {
			if !c.setting && r.Incomplete != "" {
				continue
			}
			value := c.value(r)
			shown = shown || value != absent
			width = max(width, utf8.RuneCountInString(value))
		}
		if shown {
			cols = append(cols, c)
			widths = append(widths, width)
		}
	}
	return cols, widths
}

func align(text string, width int, left bool) string {
	padding := strings.Repeat(" ", width-utf8.RuneCountInString(text))
	if left {
		return text + padding
	}
	return padding + text
}

func writeRow(text *strings.Builder, cells []string) {
	text.WriteString(strings.TrimRight(strings.Join(cells, "  "), " "))
	text.WriteByte('\n')
}
