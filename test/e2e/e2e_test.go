package e2e

import (
	"context"
	"net/http"
	"testing"
	"time"

	"refundworker/gateway/sandbox"
)

const (
	messages = 1000
	// settleWithin covers the leases and sessions of a killed worker and three hops through the tiers, on a slow machine.
	settleWithin = 120 * time.Second
)

func TestAThousandMixedCommandsComeToTheirEndsWithAWorkerJoiningHalfWay(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		m := mixed(t, messages)
		s := newSetup(t, b, sandbox.RefundAgain, m.rules)
		s.flags = []string{"--limits-in-flight", "256"}
		first := s.startWorker(t)
		first.ready(t)
		s.produce(t.Context(), t, m.records[:messages/2])
		until(t, "a third of the commands", settleWithin, func(ctx context.Context) bool { return s.committed(ctx, t) >= messages/3 })
		second := s.startWorker(t)
		s.produce(t.Context(), t, m.records[messages/2:])

		books := s.settled(t, m)
		s.audit(t, m, books)
		if most := s.gateway.Overlaps().OnPayment; most > 1 {
			t.Errorf("%d refunds of one payment were at the gateway together", most)
		}

		second.ready(t)
		for _, w := range []*process{first, second} {
			if took, code := w.terminate(t, 10*time.Second); code != 0 || took > 2*time.Second {
				t.Errorf("SIGTERM on an idle worker: exit %d after %v, want 0 within 2 s", code, took)
			}
		}
	})
}

// In each of the three ways in which eftPay may treat a repeated refund: the money moves once in all of them.
func TestAKilledWorkerLosesNothingAndRepeatsNoRefund(t *testing.T) {
	for _, mode := range []sandbox.DuplicateMode{sandbox.RefundAgain, sandbox.Replay, sandbox.Reject} {
		t.Run(string(mode), func(t *testing.T) {
			eachBackend(t, func(t *testing.T, b backend) {
				t.Helper()
				if b.name == "embedded" && mode != sandbox.RefundAgain {
					t.Skip("the other modes run on the real parts")
				}
				m := mixed(t, messages)
				s := newSetup(t, b, mode, m.rules)
				s.startWorker(t).ready(t)
				s.produce(t.Context(), t, m.records)
				until(t, "a third of the commands", settleWithin, func(ctx context.Context) bool { return s.committed(ctx, t) >= messages/3 })
				s.killWorker(t)
				if done := s.committed(t.Context(), t); done >= messages {
					t.Fatalf("the worker was done (%d) before it was killed: the test shows nothing", done)
				}

				s.startWorker(t)
				s.audit(t, m, s.settled(t, m))
			})
		})
	}
}

func TestWhileRedisIsAwayNothingIsCalledAndNothingCommitted(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		const outage = 10 * time.Second
		m := mixed(t, messages)
		s := newSetup(t, b, sandbox.RefundAgain, m.rules)
		w := s.startWorker(t)
		w.ready(t)
		s.produce(t.Context(), t, m.records)
		until(t, "a third of the commands", settleWithin, func(ctx context.Context) bool { return s.committed(ctx, t) >= messages/3 })
		if err := b.redis.Stop(); err != nil {
			t.Fatal(err)
		}
		stopped := time.Now()
		until(t, "readiness false", 5*time.Second, func(ctx context.Context) bool {
			return w.readiness(ctx) == http.StatusServiceUnavailable
		})
		// What was at the gateway when Redis went may end, and what was acked before may be committed: 3 s for both.
		settling := time.NewTimer(3*time.Second - time.Since(stopped))
		<-settling.C
		calls, done := s.gateway.Overlaps().Calls, s.committed(t.Context(), t)
		if done >= messages {
			t.Fatalf("the worker was done (%d) before Redis went: the test shows nothing", done)
		}
		rest := time.NewTimer(outage - time.Since(stopped))
		<-rest.C
		if now := s.gateway.Overlaps().Calls; now != calls {
			t.Errorf("%d gateway calls without a claim", now-calls)
		}
		if now := s.committed(t.Context(), t); now != done {
			t.Errorf("%d commits while nothing could be settled", now-done)
		}
		if status := w.readiness(t.Context()); status != http.StatusServiceUnavailable {
			t.Errorf("readiness while Redis is away: %d", status)
		}

		if err := b.redis.Start(); err != nil {
			t.Fatal(err)
		}
		s.audit(t, m, s.settled(t, m))
		w.ready(t)
	})
}
