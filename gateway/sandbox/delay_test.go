package sandbox_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"refundworker/gateway/sandbox"
)

// impatient sends the refund rf_1 of HKD 10.00 and gives up after a second of fake time.
func impatient(t *testing.T, b bundle) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	got := b.client.send(ctx, t, http.MethodPost, refundPath, refundBody("rf_1", payment, "HKD", "1000"))
	if !errors.Is(got.err, context.DeadlineExceeded) {
		t.Fatalf("the call ended with %v, %s", got.err, got.raw)
	}
}

// slow runs a test in which the first refund is hit by this fault.
func slow(t *testing.T, fault sandbox.Fault, test func(bundle)) {
	t.Helper()
	bubble(t, sandbox.Payment{ID: payment, Minor: 10_000, Currency: "HKD"}, func(b bundle) {
		t := b.t
		if err := b.server.Script(sandbox.Refund, "rf_1", fault); err != nil {
			t.Fatal(err)
		}
		test(b)
	})
}

func TestDelayBeforeServesNothingToAClientThatHasLeft(t *testing.T) {
	t.Parallel()
	slow(t, sandbox.Fault{Kind: sandbox.DelayBefore, Delay: 2 * time.Second}, func(b bundle) {
		t := b.t
		impatient(t, b)
		wait(t, time.Hour)
		wantMoved(t, b, "rf_1", 0)
	})
}

func TestDelayBeforeServesAClientThatStays(t *testing.T) {
	t.Parallel()
	slow(t, sandbox.Fault{Kind: sandbox.DelayBefore, Delay: 2 * time.Second}, func(b bundle) {
		t := b.t
		begun := time.Now()
		wantSays(t, b.client.refundOne(t, "rf_1"), "S SUCCESS")
		if took := time.Since(begun); took != 2*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestDelayAfterHasMovedTheMoneyWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	slow(t, sandbox.Fault{Kind: sandbox.DelayAfter, Delay: 2 * time.Second}, func(b bundle) {
		t := b.t
		impatient(t, b)
		wantMoved(t, b, "rf_1", 1)
	})
}

func TestALateRefundAppearsAfterItsClientHasLeft(t *testing.T) {
	t.Parallel()
	slow(t, sandbox.Fault{Kind: sandbox.Late, Delay: 2 * time.Second}, func(b bundle) {
		t := b.t
		impatient(t, b)
		wantSays(t, b.client.inquire(t, "rf_1"), "F REFUND_NOT_EXIST")
		wait(t, time.Second+time.Millisecond)
		wantMoved(t, b, "rf_1", 1)
		if got := b.client.inquire(t, "rf_1"); got.RefundStatus != "SUCCESS" {
			t.Errorf("inquiry %s", got.raw)
		}
	})
}

func TestACallIsOverForTheLogWhenItsClientHasLeft(t *testing.T) {
	t.Parallel()
	slow(t, sandbox.Fault{Kind: sandbox.Late, Delay: time.Hour}, func(b bundle) {
		t := b.t
		begun := time.Now()
		impatient(t, b)
		synctest.Wait()
		if got := b.server.Calls("rf_1")[0].Ended.Sub(begun); got != time.Second {
			t.Errorf("the call was open for %s", got)
		}
		wantSays(t, b.client.refund(t, "rf_2", payment, "HKD", "1"), "S SUCCESS")
		if over := b.server.Overlaps(); over.OnPayment != 1 {
			t.Errorf("overlaps %+v", over)
		}
		wait(t, 2*time.Hour)
	})
}

func TestCloseEndsDelays(t *testing.T) {
	t.Parallel()
	for _, kind := range []sandbox.Kind{sandbox.DelayBefore, sandbox.DelayAfter, sandbox.Late} {
		b := setup(t, nil)
		if err := b.server.Script(sandbox.Refund, "rf_1", sandbox.Fault{Kind: kind, Delay: time.Hour}); err != nil {
			t.Fatal(err)
		}
		answered := make(chan reply, 1)
		go func() { answered <- b.client.refundOne(t, "rf_1") }()
		for len(b.server.Calls("rf_1")) == 0 {
			wait(t, time.Millisecond)
		}
		if err := b.server.Close(); err != nil {
			t.Fatal(err)
		}
		if got := <-answered; got.err == nil && got.http != http.StatusInternalServerError {
			t.Errorf("%s: answered %d %s", kind, got.http, got.raw)
		}
	}
}

func TestLatencyDelaysEveryAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *sandbox.Config) { cfg.Latency = 30 * time.Millisecond })
	begun := time.Now()
	wantSays(t, b.client.refundOne(t, "rf_1"), "S SUCCESS")
	wantSays(t, b.client.inquire(t, "rf_1"), "S SUCCESS")
	if took := time.Since(begun); took < 60*time.Millisecond {
		t.Errorf("two calls took %s", took)
	}
}

func TestLatencyIsNotWaitedForByAClientThatHasLeft(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *sandbox.Config) { cfg.Latency = time.Hour })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan reply, 1)
	go func() {
		ended <- b.client.send(ctx, t, http.MethodPost, refundPath, refundBody("rf_1", payment, "HKD", "1000"))
	}()
	for b.moved("rf_1") == 0 {
		wait(t, time.Millisecond)
	}
	cancel()
	if got := <-ended; !errors.Is(got.err, context.Canceled) {
		t.Errorf("the call ended with %v", got.err)
	}
	for b.server.Calls("rf_1")[0].Ended.IsZero() {
		wait(t, time.Millisecond)
	}
}
