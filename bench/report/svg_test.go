package report_test

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refundworker/bench/report"
)

func throughput(t *testing.T, latencyMS int64, results ...report.Result) element {
	t.Helper()
	var buf bytes.Buffer
	if err := report.ThroughputSVG(&buf, results, latencyMS); err != nil {
		t.Fatal(err)
	}
	return parse(t, buf.Bytes())
}

func backlog(t *testing.T, results ...report.Result) element {
	t.Helper()
	var buf bytes.Buffer
	if err := report.BacklogSVG(&buf, results); err != nil {
		t.Fatal(err)
	}
	return parse(t, buf.Bytes())
}

func waiting(subject string, count int, cpu, memory float64) report.Result {
	return with(grid(subject, 0, 256, 8000), func(r *report.Result) {
		r.Scenario, r.Backlog, r.CPUPer10k, r.PeakRSSMiB = "backlog", count, cpu, memory
	})
}

// The plot of throughput spans x from 120 to 636 for 64 to 1024 in flight, and y from 376 at 0 up to 92.
const (
	left, centre, right = 120, 378, 636
	top, bottom         = 92, 376
)

func TestThroughputPutsPointsWhereTheyBelong(t *testing.T) {
	t.Parallel()
	root := throughput(t, 20,
		grid("worker", 20, 1024, 10000), grid("worker", 20, 64, 2500), grid("worker", 20, 256, 5000),
		grid("ceiling", 20, 256, 7500),
		// None of these belongs into the plot.
		grid("loop", 0, 256, 99000),
		with(grid("worker", 20, 256, 99000), func(r *report.Result) { r.Scenario = "slow" }),
		with(grid("worker", 20, 256, 99000), func(r *report.Result) { r.Broker = "embedded" }),
		with(grid("watermill", 20, 256, 99000), func(r *report.Result) { r.Incomplete = "timed out" }),
	)
	const height = bottom - top
	worker := root.subject(t, "worker")
	want := []at{{left, bottom - height/4}, {centre, bottom - height/2}, {right, top}}
	if diff := cmp.Diff(want, markers(t, worker)); diff != "" {
		t.Errorf("markers: %s", diff)
	}
	if diff := cmp.Diff(want, vertices(t, worker.all("polyline")[0])); diff != "" {
		t.Errorf("line: %s", diff)
	}
	ceiling := root.subject(t, "ceiling")
	if diff := cmp.Diff([]at{{centre, bottom - height*3/4}}, markers(t, ceiling)); diff != "" {
		t.Error(diff)
	}
	if len(ceiling.all("polyline")) != 0 {
		t.Error("a single point has a line")
	}
	if count := len(root.all("g")); count != 2 {
		t.Errorf("%d lines, want 2", count)
	}
	if worker.all("path")[0].attr("d") == ceiling.all("path")[0].attr("d") {
		t.Error("both subjects have the same marker")
	}
	for text, x := range map[string]float64{"64": left, "256": centre, "1 024": right} {
		if got := root.label(t, text).number(t, "x"); got != x {
			t.Errorf("the tick of %s is at %v, want %v", text, got, x)
		}
	}
	if y := root.label(t, "10 000").number(t, "y"); y != top+4.5 {
		t.Errorf("the uppermost tick is at %v, want %v", y, top+4.5)
	}
	root.label(t, "Did not finish: watermill at 256")
}

func TestTheIdealIsCutAtTheTop(t *testing.T) {
	t.Parallel()
	dashed := func(root element) []element {
		return slices.DeleteFunc(root.all("polyline"), func(e element) bool { return e.attr("stroke-dasharray") == "" })
	}

	// 64 in flight at 20 ms make 3200 a second, 256 make 12 800; the plot ends at 8000, half-way between.
	ideal := dashed(throughput(t, 20, grid("worker", 20, 1024, 8000)))
	if len(ideal) != 1 {
		t.Fatalf("%d dashed lines", len(ideal))
	}
	want := []at{{left, 262.4}, {left + (centre-left)/2, top}}
	if diff := cmp.Diff(want, vertices(t, ideal[0])); diff != "" {
		t.Error(diff)
	}

	// At 200 ms all of it fits: 320, 1280 and 5120 of 6000.
	ideal = dashed(throughput(t, 200, grid("worker", 200, 1024, 6000)))
	want = []at{{left, 360.9}, {centre, 315.4}, {right, 133.7}}
	if diff := cmp.Diff(want, vertices(t, ideal[0])); diff != "" {
		t.Error(diff)
	}

	if ideal = dashed(throughput(t, 0, grid("worker", 0, 256, 8000))); len(ideal) != 0 {
		t.Error("an ideal without latency")
	}
	low := throughput(t, 200, grid("worker", 200, 64, 30))
	if ideal = dashed(low); len(ideal) != 0 {
		t.Error("an ideal outside the plot")
	}
	low.label(t, "real broker, medians of 3 runs, in flight / latency is above the plot")
}

func TestTheSpreadOfTheRunsIsDrawn(t *testing.T) {
	t.Parallel()
	root := throughput(t, 0, with(grid("worker", 0, 256, 5000), func(r *report.Result) {
		r.RefundsPerSMin, r.RefundsPerSMax = 2500, 10000
	}))
	bars := root.subject(t, "worker").all("line")
	if len(bars) != 1 {
		t.Fatalf("%d bars", len(bars))
	}
	if y1, y2 := bars[0].number(t, "y1"), bars[0].number(t, "y2"); y1 != 305 || y2 != top {
		t.Errorf("the bar is from %v to %v, want from 305 to %v", y1, y2, top)
	}
}

func TestEverySubjectIsNamedOnceAndApart(t *testing.T) {
	t.Parallel()
	subjects := []string{"worker", "ceiling", "watermill", "loop"}
	for name, rates := range map[string][]float64{
		"far apart": {8000, 10000, 5000, 1000},
		"close":     {8000, 8100, 7900, 8050},
		"equal":     {8000, 8000, 8000, 8000},
		"nothing":   {0, 0, 0, 0},
	} {
		for count := 1; count <= len(subjects); count++ {
			var results []report.Result
			for i, subject := range subjects[:count] {
				for _, inFlight := range []int{64, 256, 1024} {
					results = append(results, grid(subject, 20, inFlight, rates[i]))
				}
			}
			root := throughput(t, 20, results...)
			var places []span
			for _, subject := range subjects[:count] {
				place := spanOf(t, root.label(t, subject))
				for _, other := range places {
					if place.left < other.right && other.left < place.right && math.Abs(place.y-other.y) < 12 {
						t.Errorf("%s, %d subjects: two names at %v and %v", name, count, place, other)
					}
				}
				places = append(places, place)
			}
		}
	}
}

// span is about where a text is.
type span struct{ left, right, y float64 }

func spanOf(t *testing.T, text element) span {
	t.Helper()
	x, width := text.number(t, "x"), 6.5*float64(len(text.Text))
	switch text.attr("text-anchor") {
	case "middle":
		x -= width / 2
	case "end":
		x -= width
	}
	return span{x, x + width, text.number(t, "y")}
}

func TestInFlightOutsideTheGridWidensThePlot(t *testing.T) {
	t.Parallel()
	root := throughput(t, 20, grid("loop", 20, 1, 40), grid("worker", 20, 2048, 9000))
	if got := markers(t, root.subject(t, "loop"))[0].X; got != left {
		t.Errorf("the least is at %v, want %v", got, left)
	}
	if got := markers(t, root.subject(t, "worker"))[0].X; got != right {
		t.Errorf("the greatest is at %v, want %v", got, right)
	}
}

func TestBacklogPutsPointsWhereTheyBelong(t *testing.T) {
	t.Parallel()
	root := backlog(t,
		waiting("worker", 10000, 1, 20), waiting("worker", 100000, 2, 40), waiting("worker", 1000000, 4, 80),
		// Its memory is missing, and of the grid nothing belongs here.
		waiting("ceiling", 100000, 1, 0),
		grid("worker", 0, 256, 8000),
	)
	var got [][]at
	for _, group := range root.all("g") {
		got = append(got, markers(t, group))
	}
	// Each panel is 204 high, which makes 51 for each quarter.
	want := [][]at{
		{{210, 265}},
		{{112, 265}, {210, 214}, {308, 112}},
		{{542, 265}, {640, 214}, {738, 112}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBacklogOfOnePoint(t *testing.T) {
	t.Parallel()
	root := backlog(t, waiting("worker", 10000, 0, 40))
	spots := markers(t, root.subject(t, "worker"))
	if diff := cmp.Diff([]at{{640, 112}}, spots); diff != "" {
		t.Error(diff)
	}
	root.label(t, "no figures")
}

func TestTextsAreEscaped(t *testing.T) {
	t.Parallel()
	root := throughput(t, 20, grid(`<a & "b">`, 20, 256, 8000), grid("caf\u00e9\x01", 20, 64, 3000))
	root.label(t, `<a & "b">`)
	root.label(t, "caf\u00e9\ufffd")
}

func TestPlotsDoNotDependOnTheOrderGiven(t *testing.T) {
	t.Parallel()
	results := []report.Result{
		grid("worker", 20, 64, 2900), grid("worker", 20, 256, 8000), grid("ceiling", 20, 256, 9000),
		grid("other", 20, 256, 100), grid("another", 20, 256, 200),
		waiting("worker", 10000, 3, 50), waiting("ceiling", 10000, 2, 40),
	}
	draw := func() string {
		var buf bytes.Buffer
		if err := report.ThroughputSVG(&buf, results, 20); err != nil {
			t.Fatal(err)
		}
		if err := report.BacklogSVG(&buf, results); err != nil {
			t.Fatal(err)
		}
		return buf.String()
	}
	forwards := draw()
	slices.Reverse(results)
	if diff := cmp.Diff(forwards, draw()); diff != "" {
		t.Error(diff)
	}
}

func TestPlotsOfNothingFail(t *testing.T) {
	t.Parallel()
	unfinished := func(r *report.Result) { r.Incomplete = "timed out" }
	for name, results := range map[string][]report.Result{
		"no results":      nil,
		"other scenarios": {with(grid("worker", 20, 64, 1), func(r *report.Result) { r.Scenario = "hot" })},
		"unfinished":      {with(grid("worker", 20, 64, 1), unfinished), with(waiting("worker", 10, 1, 1), unfinished)},
		"no numbers":      {grid("worker", 20, 64, math.NaN()), waiting("worker", 10, math.Inf(1), math.NaN())},
		"no place": {
			grid("worker", 20, 0, 10), waiting("worker", 0, 1, 1),
		},
		"two results in one place": {
			grid("worker", 20, 64, 10), grid("worker", 20, 64, 11),
			waiting("worker", 10, 1, 1), waiting("worker", 10, 1, 2),
		},
	} {
		var buf bytes.Buffer
		if err := report.ThroughputSVG(&buf, results, 20); err == nil {
			t.Errorf("%s: a plot of throughput", name)
		}
		if err := report.BacklogSVG(&buf, results); err == nil {
			t.Errorf("%s: a plot of the backlog", name)
		}
		if buf.Len() != 0 {
			t.Errorf("%s: something was written", name)
		}
	}
}
