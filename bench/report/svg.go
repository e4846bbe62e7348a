package report

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// ThroughputSVG draws refunds per second against refunds in flight for one latency of the grid, a line for each
// subject, below a dashed line of what the latency allows at most.
func ThroughputSVG(w io.Writer, results []Result, latencyMS int64) error {
	cases := realFirst(of(results, func(r Result) bool { return r.Scenario == "grid" && r.LatencyMS == latencyMS }))
	lines, err := seriesOf(cases, func(r Result) point {
		return point{x: float64(r.InFlight), y: r.RefundsPerS, low: r.RefundsPerSMin, high: r.RefundsPerSMax}
	})
	if err != nil {
		return fmt.Errorf("plot throughput at %d ms: %w", latencyMS, err)
	}
	if len(lines) == 0 {
		return fmt.Errorf("plot throughput at %d ms: no finished case of the grid", latencyMS)
	}

	const width, bottom = 760, 376
	plot := newPanel(box{92, 92, width - 96, bottom}, lines, standardInFlight())
	plot.xTitle = "refunds in flight, at most"
	plot.yTitle = "refunds per second"
	plot.unit = "refunds/s"
	origin := originOf(cases)
	if spreads(lines) {
		origin += ", bars from the slowest run to the fastest"
	}
	if latencyMS > 0 {
		plot.idealName = "in flight / latency"
		plot.ideal = idealLine(plot, lines, float64(latencyMS)/1000)
		if len(plot.ideal) == 0 {
			origin += ", " + plot.idealName + " is above the plot"
		}
	}

	title := fmt.Sprintf("Refunds per second, gateway answers in %d ms", latencyMS)
	if latencyMS == 0 {
		title = "Refunds per second, gateway answers at once"
	}
	note := unfinished(cases, func(r Result) int { return r.InFlight })
	c := newCanvas(width, heightFor(bottom, note), title, description(lines, "in flight", plot.unit))
	c.heading(spot{24, 32}, 17, title)
	c.text(spot{24, 53}, start, softInk, origin)
	plot.draw(c, lines)
	c.note(bottom+noteBelow, note)
	return c.writeTo(w)
}

// noteBelow is how far below the x axis the note on unfinished cases is.
const noteBelow = 70

// heightFor is how high an image is whose x axis is at the bottom given, with room for the note if there is one.
func heightFor(bottom float64, note string) float64 {
	if note == "" {
		return bottom + noteBelow - 10
	}
	return bottom + noteBelow + 14
}

// idealLine is in flight over the latency in seconds, up to where it leaves the plot at the top. Between the plot's
// values of in flight it is straight, as the subjects' lines are: the true curve sags on a logarithmic axis, and lines
// below the ideal at every point would seem to cross it.
func idealLine(p panel, lines []series, seconds float64) []spot {
	values := append(xs(lines), standardInFlight()...)
	slices.Sort(values)
	var line []spot
	for _, inFlight := range slices.Compact(values) {
		at := p.spot(point{x: inFlight, y: inFlight / seconds})
		if at.y >= p.area.top {
			line = append(line, at)
			continue
		}
		if len(line) > 0 {
			last := line[len(line)-1]
			inside := (last.y - p.area.top) / (last.y - at.y)
			line = append(line, spot{last.x + inside*(at.x-last.x), p.area.top})
		}
		break
	}
	return line
}

// standardInFlight has a tick each in every plot of throughput, so that plots of different latencies line up.
func standardInFlight() []float64 {
	return []float64{64, 256, 1024}
}

// BacklogSVG draws CPU seconds per 10 000 refunds and peak memory against the commands waiting at the start, one panel
// each.
func BacklogSVG(w io.Writer, results []Result) error {
	cases := realFirst(of(results, func(r Result) bool { return r.Scenario == "backlog" }))
	const width, bottom = 860, 316
	panels := []struct {
		left       float64
		name, unit string
		value      func(Result) float64
		lines      []series
	}{
		{left: 84, name: "CPU per 10 000 refunds", unit: "seconds", value: func(r Result) float64 { return r.CPUPer10k }},
		{left: 84 + width/2, name: "Peak memory", unit: "MiB", value: func(r Result) float64 { return r.PeakRSSMiB }},
	}
	var all []series
	var descriptions []string
	for i, p := range panels {
		// A process that used no CPU or memory was not measured.
		measured := of(cases, func(r Result) bool { return p.value(r) > 0 })
		lines, err := seriesOf(measured, func(r Result) point {
			return point{x: float64(r.Backlog), y: p.value(r)}
		})
		if err != nil {
			return fmt.Errorf("plot backlog: %w", err)
		}
		panels[i].lines = lines
		all = append(all, lines...)
		descriptions = append(descriptions, p.name+". "+description(lines, "waiting", p.unit))
	}
	if len(all) == 0 {
		return errors.New("plot backlog: no finished case")
	}

	title := "Cost of a backlog"
	note := unfinished(cases, func(r Result) int { return r.Backlog })
	c := newCanvas(width, heightFor(bottom, note), title, strings.Join(descriptions, " "))
	c.heading(spot{24, 32}, 17, title)
	c.text(spot{24, 53}, start, softInk, originOf(cases))
	for _, p := range panels {
		plot := newPanel(box{p.left, 112, p.left + 252, bottom}, p.lines, decades(all))
		plot.xTitle = "commands waiting at the start"
		plot.yTitle = p.unit
		plot.unit = p.unit
		c.heading(spot{p.left, 82}, fontSize, p.name)
		plot.draw(c, p.lines)
	}
	c.note(bottom+noteBelow, note)
	return c.writeTo(w)
}

// decades are the values themselves and the powers of ten between them, so that both panels have one x axis even where
// one of them lacks a point.
func decades(lines []series) []float64 {
	values := xs(lines)
	slices.Sort(values)
	values = slices.Compact(values)
	ticks := slices.Clone(values)
	for power := 1.0; power < values[len(values)-1]; power *= 10 {
		if power > values[0] {
			ticks = append(ticks, power)
		}
	}
	return ticks
}

func of(results []Result, wanted func(Result) bool) []Result {
	return slices.DeleteFunc(inOrder(results), func(r Result) bool { return !wanted(r) })
}

// originOf says how the figures came about, as far as the finished cases agree.
func originOf(cases []Result) string {
	finished := of(cases, func(r Result) bool { return r.Incomplete == "" })
	text := finished[0].Broker + " broker"
	runs := finished[0].Runs
	switch {
	case slices.ContainsFunc(finished, func(r Result) bool { return r.Runs != runs }):
		return text + ", medians of the runs"
	case runs > 1:
		return fmt.Sprintf("%s, medians of %d runs", text, runs)
	default:
		return text + ", single runs"
	}
}

// description tells the figures to who cannot see the plot.
func description(lines []series, along, unit string) string {
	var sentences []string
	for _, s := range lines {
		var figures []string
		for _, p := range s.points {
			figures = append(figures, fmt.Sprintf("%s %s with %s %s", number(p.y), unit, number(p.x), along))
		}
		sentences = append(sentences, s.name+": "+strings.Join(figures, ", ")+".")
	}
	return strings.Join(sentences, " ")
}

// unfinished names the cases that a plot lacks because they did not finish; it is empty where there are none.
func unfinished(cases []Result, along func(Result) int) string {
	var names []string
	for _, r := range cases {
		if r.Incomplete != "" {
			names = append(names, r.Subject+" at "+number(float64(along(r))))
		}
	}
	switch {
	case len(names) == 0:
		return ""
	case len(names) > 4:
		return fmt.Sprintf("Did not finish: %d cases, %s among them", len(names), names[0])
	default:
		return "Did not finish: " + strings.Join(names, ", ")
	}
}
