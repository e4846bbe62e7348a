package schedules

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// tally counts what the schedules of a run went through. A harness that never reaches a crash proves nothing about
// crashes, so a kind of event that never occurred fails the run.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func newTally() *tally { return &tally{counts: make(map[string]int)} }

func (c *tally) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what]++
}

func (c *tally) count(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[what]
}

// report logs every count, and fails for whatever was expected and never happened.
func (c *tally) report(t *testing.T, expected []string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := make([]string, 0, len(c.counts))
	for what, n := range c.counts {
		lines = append(lines, fmt.Sprintf("%8d  %s", n, what))
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[8:], b[8:]) })
	t.Logf("what the schedules went through:\n%s", strings.Join(lines, "\n"))
	for _, what := range expected {
		if c.counts[what] == 0 {
			t.Errorf("never happened: %s", what)
		}
	}
}
