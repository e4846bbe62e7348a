package report

import (
	"cmp"
	"slices"
)

// inOrder returns the results sorted for people: by scenario, latency and in flight, and what is compared side by side.
// The rest of the fields only decide between cases that share these, so that their order never depends on the one given.
func inOrder(results []Result) []Result {
	return slices.SortedStableFunc(slices.Values(results), func(a, b Result) int {
		return cmp.Or(
			byRank(scenarios(), a.Scenario, b.Scenario),
			cmp.Compare(a.LatencyMS, b.LatencyMS),
			cmp.Compare(a.InFlight, b.InFlight),
			byRank(subjects(), a.Subject, b.Subject),
			cmp.Compare(b.Broker, a.Broker), // The real one first.
			cmp.Compare(a.Gateway, b.Gateway),
			cmp.Compare(a.Workers, b.Workers),
			cmp.Compare(a.Backlog, b.Backlog),
		)
	})
}

func scenarios() []string {
	return []string{"grid", "slow", "hot", "lone", "antom", "workers", "backlog"}
}

func subjects() []string {
	return []string{"worker", "ceiling", "watermill", "loop"}
}

// byRank compares by the place in the ranking; names it does not hold come last, in the order of the alphabet.
func byRank(ranking []string, a, b string) int {
	return cmp.Or(cmp.Compare(rank(ranking, a), rank(ranking, b)), cmp.Compare(a, b))
}

func rank(ranking []string, name string) int {
	if i := slices.Index(ranking, name); i >= 0 {
		return i
	}
	return len(ranking)
}
