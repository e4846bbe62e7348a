package e2e

import (
	"context"
	"syscall"
	"testing"
	"time"

	"refundworker/gateway/sandbox"
	"refundworker/schemas"
)

// twoLeases is twice limits.lease of the suite's configuration, and some.
const twoLeases = 31 * time.Second

// slow makes n commands that nothing goes wrong with but that their refund calls meet the fault.
func slow(t *testing.T, n int, fault sandbox.Fault) *mix {
	t.Helper()
	m := plainly(t, n)
	for id, end := range m.endings {
		gateway := schemas.EftPay
		if end.key == id {
			gateway = schemas.Antom
		}
		m.rules = append(m.rules, sandbox.Rule{
			Gateway: string(gateway), RequestID: end.key, Operation: sandbox.Refund, Faults: []sandbox.Fault{fault},
		})
	}
	return m
}

// moved tells how much of the mix is in the ledger.
func (s *setup) moved(m *mix) int {
	ledger, n := s.gateway.Summary(), 0
	for _, end := range m.endings {
		n += ledger.Refunds[end.key]
	}
	return n
}

// The worker stands still with a call in hand on every partition: the money has moved, and the answer lies in its socket.
// Another one takes everything over. Then the first goes on where it stood, after its leases, its session and its calls.
func TestAWorkerThatIsStoppedForTwoLeasesAndGoesOnRepeatsNoRefund(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		m := slow(t, 5*partitions, sandbox.Fault{Kind: sandbox.DelayAfter, Delay: time.Second})
		s := newSetup(t, b, sandbox.RefundAgain, m.rules)
		s.killed = true // what follows is a crash to everybody else, and its excuses are those of a crash
		first := s.startWorker(t)
		first.ready(t)
		s.produce(t.Context(), t, m.records)
		until(t, "a call in hand on every partition", settleWithin, func(context.Context) bool { return s.moved(m) >= partitions })
		if err := first.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		stopped := time.Now()
		before := s.results(t.Context(), t)
		inHand := s.moved(m) - len(before.finals)
		if inHand == 0 {
			t.Fatal("no call was in hand: the test shows nothing")
		}
		second := s.startWorker(t)
		second.ready(t)
		until(t, "two leases", 2*twoLeases, func(context.Context) bool { return time.Since(stopped) > twoLeases })
		taken := s.settled(t, m)
		if err := first.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		until(t, "the end of the calls that it woke up in", settleWithin, func(ctx context.Context) bool {
			return first.readiness(ctx) == 200
		})
		s.audit(t, m, s.settled(t, m))
		t.Logf("stopped with %d calls in hand and %d outcomes, woken after %v with %d outcomes told by the other",
			inHand, len(before.finals), time.Since(stopped).Round(time.Second), len(taken.finals)-len(before.finals))
		for _, w := range []*process{first, second} {
			if _, code := w.terminate(t, 10*time.Second); code != 0 {
				t.Errorf("SIGTERM: exit %d", code)
			}
		}
	})
}

// The bytes of every first request lie in the network for longer than the call, the lease and the settling time, and arrive
// then, whoever has gone on in the meantime.
func TestARequestThatIsHeldInTheNetworkPastTheSettlingTimeIsOneRefund(t *testing.T) {
	t.Parallel()
	for _, mode := range []sandbox.DuplicateMode{sandbox.RefundAgain, sandbox.Replay, sandbox.Reject} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			eachBackend(t, func(t *testing.T, b backend) {
				t.Helper()
				if b.name == "embedded" && mode != sandbox.RefundAgain {
					t.Skip("the other modes run on the real parts")
				}
				const held = 25 * time.Second // the lease is 15 s, settling 3 s, a call 2 s
				m := slow(t, 2*partitions, sandbox.Fault{Kind: sandbox.Late, Delay: held})
				s := newSetup(t, b, mode, m.rules)
				s.startWorker(t).ready(t)
				s.produce(t.Context(), t, m.records)
				until(t, "that each is pending", settleWithin, func(ctx context.Context) bool {
					return len(s.results(ctx, t).progress) == len(m.endings)
				})
				s.killWorker(t) // what comes next has nothing but the records
				s.startWorker(t).ready(t)
				until(t, "the held bytes", settleWithin, func(context.Context) bool { return s.moved(m) == len(m.endings) })
				s.audit(t, m, s.settled(t, m))
				antom, eftpay := 0, 0
				for id, end := range m.endings {
					for _, call := range s.gateway.Calls(end.key) {
						switch {
						case call.Operation != sandbox.Refund:
						case end.key == id:
							antom++
						default:
							eftpay++
						}
					}
				}
				t.Logf("%d requests, held for %v: %d calls of refunds at Antom and %d at eftPay, %d refunds", len(m.endings), held, antom, eftpay, s.moved(m))
				if eftpay != len(m.endings)/2 {
					t.Errorf("eftPay saw %d refund calls for %d refunds: nothing may be sent there a second time", eftpay, len(m.endings)/2)
				}
			})
		})
	}
}
