package report

import (
	"math"
	"strconv"
)

// scale maps values to pixels along one axis.
type scale struct {
	low, high  float64 // Values, the low one above 0 where the scale is logarithmic.
	from, to   float64 // Pixels.
	logarithms bool
}

func (s scale) at(value float64) float64 {
	low, high := s.low, s.high
	if s.logarithms {
		// The base makes no difference to where a value lands, only to which ticks look right.
		low, high, value = math.Log2(low), math.Log2(high), math.Log2(value)
	}
	return s.from + (value-low)/(high-low)*(s.to-s.from)
}

// roundTicks returns ticks from 0 in steps of 1, 2 or 5 times a power of ten, about five of them, the last one at or
// above the highest value.
func roundTicks(highest float64) []float64 {
	if highest <= 0 {
		highest = 1
	}
	power := math.Pow(10, math.Floor(math.Log10(highest/5)))
	step := 10 * power
	for _, factor := range []float64{1, 2, 5} {
		if factor*power*5 >= highest {
			step = factor * power
			break
		}
	}
	ticks := []float64{0}
	for i := 1; ticks[len(ticks)-1] < highest; i++ {
		ticks = append(ticks, float64(i)*step)
	}
	return ticks
}

// number writes a value with as few digits as its ticks' steps need, its thousands set apart.
func number(value float64) string {
	digits := 0
	switch {
	case value == math.Trunc(value):
	case value < 1:
		digits = 2
	case value < 100:
		digits = 1
	}
	text := strconv.FormatFloat(value, 'f', digits, 64)
	if digits > 0 {
		return text
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}
