package main

import (
	"slices"
	"time"
)

const (
	// paced is how long a run lasts that the gateway's latency paces, and most how many refunds a run has.
	paced = 15 * time.Second
	most  = 40_000
	usual = 20_000
)

// plan is every case that the options ask for, in the order in which they run: the subjects of one case one after the
// other.
func plan(o options) []testCase {
	var cases []testCase
	add := func(c testCase) {
		if !slices.Contains(o.Only, c.subject) {
			return
		}
		c.workers = max(c.workers, 1)
		c.refunds = refunds(o, c)
		cases = append(cases, c)
	}
	for _, scenario := range o.Scenario {
		switch scenario {
		case "grid":
			for _, latency := range o.Latency {
				for _, inFlight := range o.InFlight {
					for _, subject := range []string{"ceiling", "worker"} {
						add(testCase{subject: subject, scenario: "grid", gateway: o.Gateway, latency: latency, inFlight: inFlight})
					}
				}
				// These have one message in flight, or one per partition, whatever they are told.
				add(testCase{subject: "watermill", scenario: "grid", gateway: o.Gateway, latency: latency, inFlight: partitions})
				add(testCase{subject: "loop", scenario: "grid", gateway: o.Gateway, latency: latency, inFlight: 1})
			}
		case "slow":
			for _, subject := range []string{"ceiling", "worker"} {
				add(testCase{subject: subject, scenario: "slow", gateway: o.Gateway, latency: 20 * time.Millisecond, inFlight: 256, slowPermille: 10})
			}
		case "hot":
			add(testCase{subject: "worker", scenario: "hot", gateway: o.Gateway, latency: 20 * time.Millisecond, inFlight: 256, hot: 2})
		case "lone":
			for _, subject := range []string{"ceiling", "worker"} {
				add(testCase{subject: subject, scenario: "lone", gateway: o.Gateway, latency: 20 * time.Millisecond, inFlight: 256})
			}
		case "antom":
			for _, gateway := range []string{"eftpay", "antom"} {
				add(testCase{subject: "worker", scenario: "antom", gateway: gateway, latency: 20 * time.Millisecond, inFlight: 256})
			}
		case "workers":
			for _, n := range []int{1, 2, 3} {
				add(testCase{subject: "worker", scenario: "workers", gateway: o.Gateway, latency: 200 * time.Millisecond, inFlight: 256, workers: n})
			}
		case "backlog":
			for _, n := range o.Backlog {
				add(testCase{subject: "worker", scenario: "backlog", gateway: o.Gateway, latency: 0, inFlight: 256, refunds: n})
			}
		}
	}
	return cases
}

// refunds scales a run so that it lasts long enough to be measured and not much longer.
func refunds(o options, c testCase) int {
	switch {
	case c.scenario == "backlog":
		return c.refunds
	case o.Refunds > 0:
		return o.Refunds
	case c.latency == 0 && c.subject == "loop":
		return 2000
	case c.latency == 0:
		return usual
	}
	ideal := int(float64(c.inFlight) * float64(c.workers) * paced.Seconds() / c.latency.Seconds())
	if c.latency < 100*time.Millisecond {
		return min(max(ideal, 100), usual)
	}
	return min(max(ideal, 100), most)
}
