package report

import (
	"cmp"
	"fmt"
	"slices"
)

// panel is one plot area with its axes: x logarithmic, y linear from 0.
type panel struct {
	// area is what the axes enclose; the labels' room to the right of it is labelRoom wide.
	area      box
	labelRoom float64
	x, y      scale
	xTitle    string
	yTitle    string
	xTicks    []float64
	yTicks    []float64
	// unit follows a value where a marker is pointed at.
	unit string
	// ideal is the dashed line that no subject can be above, from left to right, already clipped to the area.
	ideal     []spot
	idealName string
}

// inset keeps the first and the last point off the frame.
const inset = 28

// newPanel scales an area for the lines: x from the least to the greatest of its ticks and points, y from 0 to a round
// number above the highest point. The first ticks of xTicks win where two would run into each other.
func newPanel(area box, lines []series, xTicks []float64) panel {
	yTicks := roundTicks(highest(lines))
	all := append(slices.Clone(xTicks), xs(lines)...)
	low, high := slices.Min(all), slices.Max(all)
	if low == high {
		// A single value is shown in the middle.
		low, high = low/2, high*2
	}
	x := scale{low: low, high: high, from: area.left + inset, to: area.right - inset, logarithms: true}
	return panel{
		area:      area,
		labelRoom: 84,
		x:         x,
		y:         scale{low: 0, high: yTicks[len(yTicks)-1], from: area.bottom, to: area.top},
		xTicks:    apart(x, all),
		yTicks:    yTicks,
	}
}

// apart leaves out the ticks whose numbers would touch those of an earlier one.
func apart(x scale, ticks []float64) []float64 {
	var kept []float64
	for _, tick := range ticks {
		touches := slices.ContainsFunc(kept, func(other float64) bool {
			gap := x.at(tick) - x.at(other)
			return max(gap, -gap) < (textWidth(number(tick))+textWidth(number(other)))/2+8
		})
		if !touches {
			kept = append(kept, tick)
		}
	}
	slices.Sort(kept)
	return kept
}

func (p panel) spot(at point) spot {
	return spot{p.x.at(at.x), p.y.at(at.y)}
}

func (p panel) spots(points []point) []spot {
	var spots []spot
	for _, at := range points {
		spots = append(spots, p.spot(at))
	}
	return spots
}

// draw puts the axes, the lines and their names on the canvas, the lines above the grid and the names above all.
func (p panel) draw(c *canvas, lines []series) {
	p.drawAxes(c)
	if len(lines) == 0 {
		c.text(spot{(p.area.left + p.area.right) / 2, (p.area.top + p.area.bottom) / 2}, middle, softInk, "no figures")
	}
	if len(p.ideal) > 1 {
		c.polyline(p.ideal, softInk, `stroke-width="1.5" stroke-dasharray="5 4"`)
	}
	// The first subject is drawn last: the one the benchmarks are about is never hidden.
	for _, s := range slices.Backward(lines) {
		p.drawSeries(c, s)
	}
	p.drawNames(c, lines)
}

func (p panel) drawAxes(c *canvas) {
	for _, tick := range p.yTicks {
		at := p.y.at(tick)
		colour := gridInk
		if tick == 0 {
			colour = softInk
		}
		c.line(spot{p.area.left, at}, spot{p.area.right, at}, colour)
		c.text(spot{p.area.left - 8, at + 4.5}, end, softInk, number(tick))
	}
	for _, tick := range p.xTicks {
		at := p.x.at(tick)
		c.line(spot{at, p.area.bottom}, spot{at, p.area.bottom + 5}, softInk)
		c.text(spot{at, p.area.bottom + 20}, middle, softInk, number(tick))
	}
	centre := (p.area.left + p.area.right) / 2
	c.text(spot{centre, p.area.bottom + 42}, middle, softInk, p.xTitle)
	c.upright(spot{p.area.left - 62, (p.area.top + p.area.bottom) / 2}, p.yTitle)
}

func (p panel) drawSeries(c *canvas, s series) {
	c.printf(`<g data-subject="%s">`+"\n", escape(s.name))
	if len(s.points) > 1 {
		c.polyline(p.spots(s.points), s.look.colour, `stroke-width="2"`)
	}
	for _, at := range s.points {
		if at.spreads() {
			x := p.x.at(at.x)
			c.line(spot{x, p.y.at(at.low)}, spot{x, p.y.at(at.high)}, s.look.colour)
		}
	}
	for _, at := range s.points {
		c.marker(p.spot(at), s.look, fmt.Sprintf("%s at %s: %s %s", s.name, number(at.x), number(at.y), p.unit))
	}
	c.printf("</g>\n")
}

// drawNames writes each line's name beside its end where it fits, and the rest into a legend above the area.
func (p panel) drawNames(c *canvas, lines []series) {
	taken := crowd{room: box{p.area.left, p.area.top, p.area.right + p.labelRoom, p.area.bottom}}
	if len(p.ideal) > 1 {
		taken.lines = append(taken.lines, p.ideal)
	}
	for _, s := range lines {
		taken.lines = append(taken.lines, p.spots(s.points))
		for _, at := range s.points {
			taken.boxes = append(taken.boxes, around(p.spot(at)))
		}
	}

	// From the top downwards, so that names pushed apart keep the order of their lines.
	downwards := slices.SortedStableFunc(slices.Values(lines), func(a, b series) int {
		return cmp.Compare(b.points[len(b.points)-1].y, a.points[len(a.points)-1].y)
	})
	legend := spot{p.area.left, p.area.top - 14}
	for _, s := range downwards {
		if place, fits := taken.place(p.spot(s.points[len(s.points)-1]), s.name); fits {
			c.text(place.at, place.from, s.look.colour, s.name)
			continue
		}
		c.marker(spot{legend.x + 6, legend.y - 4.5}, s.look, s.name)
		c.text(spot{legend.x + 18, legend.y}, start, s.look.colour, s.name)
		legend.x += 18 + textWidth(s.name) + 16
	}

	if len(p.ideal) > 1 {
		if place, fits := taken.place(p.ideal[len(p.ideal)-1], p.idealName); fits {
			c.text(place.at, place.from, softInk, p.idealName)
			return
		}
		c.polyline([]spot{{legend.x, legend.y - 4.5}, {legend.x + 24, legend.y - 4.5}}, softInk,
			`stroke-width="1.5" stroke-dasharray="5 4"`)
		c.text(spot{legend.x + 30, legend.y}, start, softInk, p.idealName)
	}
}
