package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// style is how one subject looks in every plot. Colours keep apart for colour-blind readers and are dark enough for
// text on white; the shapes tell the subjects apart without any.
type style struct {
	colour string
	shape  string
}

func styles() []style {
	return []style{
		{"#0072b2", "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z"},
		{"#b84e00", "M-4.6 -4.6h9.2v9.2h-9.2z"},
		{"#00795a", "M0 -5.8L5.8 4.6H-5.8z"},
		{"#9c4f84", "M0 -6.2L6.2 0L0 6.2L-6.2 0z"},
		{"#4d4d4d", "M0 5.8L5.8 -4.6H-5.8z"},
		{"#806000", "M-2.2 -5.6h4.4v3.4h3.4v4.4h-3.4v3.4h-4.4v-3.4h-3.4v-4.4h3.4z"},
	}
}

// point is a median and, where low and high differ from it, how far the runs spread.
type point struct {
	x, y, low, high float64
}

func (p point) spreads() bool {
	return p.low < p.high
}

// series is what one subject's line shows.
type series struct {
	name   string
	look   style
	points []point
}

// seriesOf groups the points of finished results by subject, from left to right, in the subjects' order. Two results in
// one place are an error: drawing both would look like a spread, and choosing one would hide the other.
func seriesOf(results []Result, pointOf func(Result) point) ([]series, error) {
	var lines []series
	for _, r := range results {
		p := pointOf(r)
		if r.Incomplete != "" || !drawable(p) {
			continue
		}
		i := slices.IndexFunc(lines, func(s series) bool { return s.name == r.Subject })
		if i < 0 {
			i = len(lines)
			lines = append(lines, series{name: r.Subject})
		}
		lines[i].points = append(lines[i].points, p)
	}
	slices.SortFunc(lines, func(a, b series) int { return byRank(subjects(), a.name, b.name) })

	others := len(subjects())
	for i, s := range lines {
		// A known subject keeps its look whoever else is in the plot; the others share what is left.
		place := rank(subjects(), s.name)
		if place == len(subjects()) {
			place = others
			others = min(others+1, len(styles())-1)
		}
		lines[i].look = styles()[place]

		slices.SortFunc(s.points, func(a, b point) int { return cmp.Compare(a.x, b.x) })
		for k := 1; k < len(s.points); k++ {
			if s.points[k].x == s.points[k-1].x {
				return nil, fmt.Errorf("two results for %s at %s", s.name, number(s.points[k].x))
			}
		}
	}
	return lines, nil
}

// drawable holds for points that have a place on a logarithmic x axis and a linear y axis from 0.
func drawable(p point) bool {
	return p.x > 0 && p.y >= 0 && !math.IsInf(p.y, 0)
}

// realFirst keeps the results of the real broker, or the embedded one's where there are none: lines of both in one plot
// would compare brokers instead of subjects.
func realFirst(results []Result) []Result {
	broker := "embedded"
	if slices.ContainsFunc(results, func(r Result) bool { return r.Broker == "real" && r.Incomplete == "" }) {
		broker = "real"
	}
	return slices.DeleteFunc(slices.Clone(results), func(r Result) bool { return r.Broker != broker })
}

func xs(lines []series) []float64 {
	var values []float64
	for _, s := range lines {
		for _, p := range s.points {
			values = append(values, p.x)
		}
	}
	return values
}

func highest(lines []series) float64 {
	top := 0.0
	for _, s := range lines {
		for _, p := range s.points {
			top = max(top, p.y, p.high)
		}
	}
	return top
}

func spreads(lines []series) bool {
	return slices.ContainsFunc(lines, func(s series) bool {
		return slices.ContainsFunc(s.points, point.spreads)
	})
}
