package report

import "slices"

const (
	// textAbove and textBelow are how far a text reaches from its baseline.
	textAbove = 11.0
	textBelow = 3.0
	// markerReach is how far a marker reaches from its spot.
	markerReach = 6.5
)

// box is a rectangle, in pixels that grow downwards.
type box struct{ left, top, right, bottom float64 }

func around(at spot) box {
	return box{at.x - markerReach, at.y - markerReach, at.x + markerReach, at.y + markerReach}
}

func (b box) overlaps(other box) bool {
	return b.left < other.right && other.left < b.right && b.top < other.bottom && other.top < b.bottom
}

func (b box) within(room box) bool {
	return b.left >= room.left && b.right <= room.right && b.top >= room.top && b.bottom <= room.bottom
}

// crossedBy reports whether the straight line between two spots passes through the box: it narrows the part of the line
// that is inside each pair of edges in turn, and something must be left.
func (b box) crossedBy(from, to spot) bool {
	enter, leave := 0.0, 1.0
	for _, axis := range []struct{ from, to, low, high float64 }{
		{from.x, to.x, b.left, b.right},
		{from.y, to.y, b.top, b.bottom},
	} {
		length := axis.to - axis.from
		if length == 0 {
			if axis.from < axis.low || axis.from > axis.high {
				return false
			}
			continue
		}
		first, second := (axis.low-axis.from)/length, (axis.high-axis.from)/length
		enter = max(enter, min(first, second))
		leave = min(leave, max(first, second))
	}
	return enter <= leave
}

// crowd is what labels must keep clear of.
type crowd struct {
	room  box
	boxes []box
	lines [][]spot
}

// label is a text at a place found for it.
type label struct {
	at   spot
	from anchor
}

// place finds a free place for a text beside the end of its line, nearest first, and takes it. It fails where each
// would cover something; a legend must name the line then.
func (c *crowd) place(at spot, text string) (label, bool) {
	width := textWidth(text)
	baseline := at.y + 4.5
	var candidates []label
	for _, shift := range []float64{0, -8, 8, -14, 14} {
		candidates = append(candidates, label{spot{at.x + 10, baseline + shift}, start})
	}
	candidates = append(candidates,
		label{spot{at.x, at.y - 11}, middle},
		label{spot{at.x, at.y + 20}, middle},
		label{spot{at.x - 10, baseline}, end},
		label{spot{at.x - 10, baseline + 10}, end},
	)
	for _, candidate := range candidates {
		left := candidate.at.x
		switch candidate.from {
		case start:
		case middle:
			left -= width / 2
		case end:
			left -= width
		}
		covered := box{left, candidate.at.y - textAbove, left + width, candidate.at.y + textBelow}
		if c.free(covered) {
			c.boxes = append(c.boxes, covered)
			return candidate, true
		}
	}
	return label{}, false
}

func (c *crowd) free(covered box) bool {
	if !covered.within(c.room) || slices.ContainsFunc(c.boxes, covered.overlaps) {
		return false
	}
	for _, line := range c.lines {
		for i := 1; i < len(line); i++ {
			if covered.crossedBy(line[i-1], line[i]) {
				return false
			}
		}
	}
	return true
}
