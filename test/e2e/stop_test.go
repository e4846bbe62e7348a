package e2e

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"refundworker/gateway/sandbox"
	"refundworker/internal/kafka/kafkatest"
	"refundworker/schemas"
)

// busyWorker starts a worker whose one refund is at the gateway, which answers after a second.
func busyWorker(t *testing.T) (*setup, *process, *mix) {
	t.Helper()
	mini := miniredis.RunT(t)
	m := &mix{endings: make(map[string]ending)}
	m.command(t, "rf-slow", "pay-slow", 100, ending{status: schemas.Success, code: schemas.CodeRefunded})
	s := newSetup(t, backend{"embedded", kafkatest.Start(t), &embeddedRedis{mini, mini.Addr()}}, sandbox.RefundAgain, []sandbox.Rule{{
		RequestID: "rf-slow", Operation: sandbox.Refund, Faults: []sandbox.Fault{{Kind: sandbox.DelayAfter, Delay: time.Second}},
	}})
	w := s.startWorker(t)
	w.ready(t)
	s.produce(t.Context(), t, m.records)
	until(t, "the call", 10*time.Second, func(context.Context) bool { return len(s.gateway.Calls("rf-slow")) > 0 })
	return s, w, m
}

func TestAStopLetsTheRunningCallEndAndPublishesIt(t *testing.T) {
	t.Parallel()
	s, w, _ := busyWorker(t)
	took, code := w.terminate(t, 10*time.Second)
	if code != 0 || took > 5*time.Second {
		t.Errorf("exit %d after %v, want 0 within the gateway timeout and some", code, took)
	}
	if out, ok := s.results(t.Context(), t).finals["rf-slow"]; !ok || out.Status != schemas.Success || out.Attempt != 1 {
		t.Errorf("outcome of the running call: %+v", out)
	}
}

func TestASecondSignalEndsTheProcessAtOnceAndNothingIsLost(t *testing.T) {
	t.Parallel()
	s, w, m := busyWorker(t)
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until(t, "the first signal's effect", 5*time.Second, func(ctx context.Context) bool { return w.readiness(ctx) != 200 })
	took, code := w.terminate(t, 10*time.Second)
	if code != 1 || took > 500*time.Millisecond {
		t.Errorf("second signal: exit %d after %v, want 1 at once", code, took)
	}
	s.startWorker(t)
	s.audit(t, m, s.settled(t, m))
}
