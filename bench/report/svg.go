package report

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// A plot's size and its margins, in pixels.
const (
	width, height                 = 640, 400
	left, right, top, bottom      = 80, 110, 48, 56
	plotRight, plotBottom         = width - right, height - bottom
	marker                        = 4.5
	fontFamily                    = "system-ui, -apple-system, 'Segoe UI', sans-serif"
	ink, faint, paper, idealColor = "#222222", "#dddddd", "#ffffff", "#777777"
)

// style tells a subject's line from others by colour and by shape: the colours are those of Okabe and Ito, which people
// who see few colours can tell apart.
type style struct {
	name, colour string
	shape        func(x, y float64) string
}

func styles() []style {
	return []style{
		{"worker", "#0072b2", func(x, y float64) string { return fmt.Sprintf(`<circle cx="%.1f" cy="%.1f" r="%.1f"/>`, x, y, marker) }},
		{Ceiling, "#d55e00", func(x, y float64) string {
			return fmt.Sprintf(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, x-marker, y-marker, 2*marker, 2*marker)
		}},
		{"watermill", "#009e73", func(x, y float64) string {
			return fmt.Sprintf(`<path d="M%.1f %.1fl%.1f %.1fh%.1fz"/>`, x, y-marker, marker, 2*marker, -2*marker)
		}},
		{"loop", "#cc79a7", func(x, y float64) string {
			return fmt.Sprintf(`<path d="M%.1f %.1fl%.1f %.1fl%.1f %.1fl%.1f %.1fz"/>`, x, y-marker, marker, marker, -marker, marker, -marker, -marker)
		}},
	}
}

type point struct{ x, y float64 }

type series struct {
	style
	points []point
}

// plot is a chart with a logarithmic x axis and a linear y axis from 0.
type plot struct {
	title, what, xLabel, yLabel string
	lines                       []series
	// ideal is a dashed line that is cut off where it leaves the plot; nil: none.
	ideal []point
}

// Plots are the plots that the results give, by file name: throughput against in flight for each latency of the grid, and
// cost and memory against the backlog. What has too few results for a line is left out.
func Plots(results []Result) map[string]string {
	plots := make(map[string]string)
	for _, latency := range distinct(results, func(r Result) int64 { return r.LatencyMS }) {
		p := plot{
			title: fmt.Sprintf("Refunds per second, gateway of %d ms", latency), xLabel: "calls in flight", yLabel: "refunds/s",
			what: "Throughput against calls in flight, one line per subject.",
		}
		for _, s := range styles() {
			line := series{style: s, points: points(results, func(r Result) (point, bool) {
				return point{float64(r.InFlight), r.RefundsPerS}, r.Scenario == "grid" && r.Subject == s.name && r.LatencyMS == latency
			})}
			p.add(line)
		}
		if latency > 0 && len(p.lines) > 0 {
			for x := p.leastX(); x <= p.mostX(); x *= 1.05 {
				p.ideal = append(p.ideal, point{x, x * 1000 / float64(latency)})
			}
		}
		if len(p.lines) > 0 {
			plots[fmt.Sprintf("throughput-%dms.svg", latency)] = p.svg()
		}
	}
	for name, p := range map[string]struct {
		plot
		value func(Result) float64
	}{
		"backlog-cpu.svg": {plot{
			title: "CPU seconds per 10 000 refunds", what: "The worker's CPU time against the size of the backlog.", xLabel: "backlog", yLabel: "s",
		}, func(r Result) float64 { return r.CPUPer10k }},
		"backlog-memory.svg": {plot{
			title: "Peak memory in MiB", what: "The worker's peak memory against the size of the backlog.", xLabel: "backlog", yLabel: "MiB",
		}, func(r Result) float64 { return r.PeakRSSMiB }},
	} {
		p.add(series{style: styles()[0], points: points(results, func(r Result) (point, bool) {
			return point{float64(r.Refunds), p.value(r)}, r.Scenario == "backlog"
		})})
		if len(p.lines) > 0 {
			plots[name] = p.svg()
		}
	}
	return plots
}

func (p *plot) add(s series) {
	if len(s.points) > 1 {
		p.lines = append(p.lines, s)
	}
}

func points(results []Result, of func(Result) (point, bool)) []point {
	var list []point
	for _, r := range results {
		if pt, ok := of(r); ok && r.Incomplete == "" {
			list = append(list, pt)
		}
	}
	slices.SortFunc(list, func(a, b point) int { return int(a.x - b.x) })
	return list
}

func distinct(results []Result, of func(Result) int64) []int64 {
	var list []int64
	for _, r := range results {
		list = append(list, of(r))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (p *plot) all() (list []point) {
	for _, l := range p.lines {
		list = append(list, l.points...)
	}
	return list
}

func (p *plot) leastX() float64 {
	return slices.MinFunc(p.all(), func(a, b point) int { return int(a.x - b.x) }).x
}

func (p *plot) mostX() float64 {
	return slices.MaxFunc(p.all(), func(a, b point) int { return int(a.x - b.x) }).x
}

// mostY is the end of the y axis: the next round number above every value.
func (p *plot) mostY() float64 {
	most := 0.0
	for _, pt := range p.all() {
		most = max(most, pt.y)
	}
	step := math.Pow(10, math.Floor(math.Log10(max(most, 0.001))))
	for _, times := range []float64{1, 2, 2.5, 4, 5, 10} {
		if times*step >= most*1.02 {
			return times * step
		}
	}
	return 20 * step
}

func (p *plot) svg() string {
	least, most, mostY := math.Log(p.leastX()), math.Log(p.mostX()), p.mostY()
	x := func(v float64) float64 { return left + (math.Log(v)-least)/(most-least)*(plotRight-left) }
	y := func(v float64) float64 { return plotBottom - v/mostY*(plotBottom-top) }
	var b strings.Builder
	f := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	f(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" font-family="%s" font-size="12">`, width, height, fontFamily)
	f(`<title>%s</title><desc>%s</desc>`, html.EscapeString(p.title), html.EscapeString(p.what))
	f(`<rect width="%d" height="%d" fill="%s"/>`, width, height, paper)
	f(`<text x="%d" y="26" font-size="15" fill="%s">%s</text>`, left, ink, html.EscapeString(p.title))
	const steps = 4
	for i := range steps + 1 {
		v := mostY * float64(i) / steps
		f(`<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="%s"/>`, left, y(v), plotRight, y(v), faint)
		f(`<text x="%d" y="%.1f" text-anchor="end" fill="%s">%s</text>`, left-8, y(v)+4, ink, number(v))
	}
	for _, v := range p.ticks() {
		f(`<text x="%.1f" y="%d" text-anchor="middle" fill="%s">%s</text>`, x(v), plotBottom+20, ink, number(v))
	}
	f(`<text x="%d" y="%d" text-anchor="middle" fill="%s">%s</text>`, (left+plotRight)/2, height-14, ink, html.EscapeString(p.xLabel))
	f(`<text transform="translate(18 %d) rotate(-90)" text-anchor="middle" fill="%s">%s</text>`, (top+plotBottom)/2, ink, html.EscapeString(p.yLabel))
	if path := trace(p.ideal, func(pt point) bool { return pt.y <= mostY }, x, y); path != "" {
		f(`<path d="%s" fill="none" stroke="%s" stroke-dasharray="5 4"/>`, path, idealColor)
	}
	taken := []float64{}
	for _, l := range p.lines {
		f(`<g stroke="%s" fill="%s">`, l.colour, l.colour)
		f(`<path d="%s" fill="none" stroke-width="2"/>`, trace(l.points, func(point) bool { return true }, x, y))
		for _, pt := range l.points {
			f(`%s`, l.shape(x(pt.x), y(pt.y)))
		}
		end := l.points[len(l.points)-1]
		at := free(taken, y(end.y)+4)
		taken = append(taken, at)
		f(`<text x="%.1f" y="%.1f" stroke="none">%s</text></g>`, x(end.x)+10, at, html.EscapeString(l.name))
	}
	if len(p.ideal) > 0 {
		f(`<text x="%d" y="%d" text-anchor="end" fill="%s">dashed: in flight ÷ latency</text>`, plotRight, top-8, idealColor)
	}
	f(`</svg>`)
	return b.String()
}

// ticks are the values on the x axis that lines have.
func (p *plot) ticks() []float64 {
	var list []float64
	for _, pt := range p.all() {
		list = append(list, pt.x)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// trace is the path through the points up to the first that is not kept.
func trace(list []point, keep func(point) bool, x, y func(float64) float64) string {
	var b strings.Builder
	for i, pt := range list {
		if !keep(pt) {
			break
		}
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", command, x(pt.x), y(pt.y))
	}
	return b.String()
}

// free moves a label down until it is clear of the others.
func free(taken []float64, at float64) float64 {
	const line = 15
	for moved := true; moved; {
		moved = false
		for _, other := range taken {
			if math.Abs(other-at) < line {
				at, moved = other+line, true
			}
		}
	}
	return at
}

func number(v float64) string {
	switch {
	case v >= 1e6 && math.Mod(v, 1e5) == 0:
		return fmt.Sprintf("%g M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%g k", v/1e3)
	}
	return fmt.Sprintf("%g", v)
}
