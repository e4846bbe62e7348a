package schedules

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"refundworker/refund"
)

// defaultSchedules is what make test runs; make schedules runs 100 000.
const (
	defaultSchedules = 3000
	defaultStacks    = 8
)

var (
	schedules = flag.Int("schedules", defaultSchedules, "how many schedules of the core to run")
	stacks    = flag.Int("stacks", defaultStacks, "how many schedules of the whole stack to run")
)

// shards are run in parallel.
const shards = 4

// longest is how long a gateway may take for a refund: longer than the horizon.
const longest = 5 * time.Hour

func TestMain(m *testing.M) {
	flag.Parse()
	for name, value := range map[string]int{"rapid.checks": (*schedules + shards - 1) / shards, "rapid.steps": 50} {
		if err := flag.Set(name, strconv.Itoa(value)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

func TestNoScheduleBreaksAPromise(t *testing.T) {
	t.Parallel()
	tally := newTally()
	metrics := refund.NewMetrics(prometheus.NewRegistry())
	t.Cleanup(func() {
		ran := tally.count("schedules")
		t.Logf("%d schedules ran", ran)
		if t.Failed() {
			return
		}
		if ran < *schedules {
			t.Errorf("%d schedules ran, want %d: the test's timeout is too short", ran, *schedules)
		}
		var expected []string
		if ran >= leastForCoverage {
			expected = mustHappen()
		}
		tally.report(t, expected)
	})
	for shard := range shards {
		t.Run(strconv.Itoa(shard), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { runSchedule(t, tally, metrics) })
		})
	}
}

// runSchedule is one schedule: trouble, then a quiet end, then the audit.
func runSchedule(t *rapid.T, tally *tally, metrics *refund.Metrics) {
	rapid.SyncTest(t, func(t *rapid.T) {
		w := newWorld(t, tally, metrics)
		p := plan{
			forgetful: rapid.IntRange(0, 3).Draw(t, "forgetful") == 3, jumping: rapid.IntRange(0, 3).Draw(t, "jumping") == 3,
			builds: rapid.IntRange(0, 2).Draw(t, "builds") == 2,
		}
		w.bank.cast(t, p.forgetful, longest)
		t.Repeat(w.actions(p))
		w.end()
		w.settle()
		w.audit()
		w.settle()
		tally.add("schedules")
	})
}
