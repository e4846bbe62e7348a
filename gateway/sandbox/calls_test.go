package sandbox_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"refundworker/gateway/sandbox"
)

func TestTheCallLogShowsWhatEachCallCameTo(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if err := b.server.Script(sandbox.Refund, "rf_1", sandbox.Fault{Kind: sandbox.DropAfter}, sandbox.Fault{Kind: sandbox.Truncated}); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for range 3 {
		b.client.refundOne(t, "rf_1")
	}
	b.client.inquire(t, "rf_1")
	c := b.client
	c.id = "STRANGER"
	c.refundOne(t, "rf_1")
	calls := b.server.Calls("rf_1")
	for i, call := range calls {
		if call.Received.Before(begun) || call.Ended.Before(call.Received) {
			t.Errorf("call %d from %s to %s", i, call.Received, call.Ended)
		}
	}
	refund := func(fault sandbox.Kind, status, code string) sandbox.Call {
		return sandbox.Call{
			Operation: sandbox.Refund, RequestID: "rf_1", PaymentID: payment, Fault: fault, Status: status, Code: code,
			OpenOnPayment: 1, OpenInAll: 1,
		}
	}
	want := []sandbox.Call{
		refund(sandbox.DropAfter, "", ""),
		refund(sandbox.Truncated, "", ""),
		refund(sandbox.None, "S", "SUCCESS"),
		{Operation: sandbox.Inquiry, RequestID: "rf_1", Fault: sandbox.None, Status: "S", Code: "SUCCESS"},
		refund(sandbox.None, "F", "CLIENT_INVALID"),
	}
	if diff := cmp.Diff(want, calls, cmpopts.IgnoreFields(sandbox.Call{}, "Received", "Ended")); diff != "" {
		t.Error(diff)
	}
	if over := b.server.Overlaps(); over.Calls != 5 || over.InAll != 1 || over.OnPayment != 1 || len(over.Payments) != 0 {
		t.Errorf("overlaps %+v", over)
	}
}

func TestCallsThatAreOpenAtTheSameTimeAreSeen(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *sandbox.Config) {
		cfg.Payments = append(cfg.Payments, sandbox.Payment{ID: "pay-2", Minor: 10_000, Currency: "HKD"})
	})
	if err := b.server.Script(sandbox.Refund, "rf_1", sandbox.Fault{Kind: sandbox.Late, Delay: time.Hour}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan reply, 1)
	go func() {
		done <- b.client.send(ctx, t, http.MethodPost, refundPath, refundBody("rf_1", payment, "HKD", "1"))
	}()
	for len(b.server.Calls("rf_1")) == 0 {
		wait(t, time.Millisecond)
	}
	b.client.inquire(t, "rf_1") // an inquiry is no overlap
	wantSays(t, b.client.refund(t, "rf_2", "pay-2", "HKD", "1"), "S SUCCESS")
	wantSays(t, b.client.refund(t, "rf_3", payment, "HKD", "1"), "S SUCCESS")
	cancel()
	<-done
	over := b.server.Overlaps()
	want := sandbox.Overlaps{Calls: 4, InAll: 2, OnPayment: 2, Payments: map[string]int{payment: 2}}
	if diff := cmp.Diff(want, over); diff != "" {
		t.Error(diff)
	}
	if calls := b.server.Calls("rf_3"); calls[0].OpenOnPayment != 2 || calls[0].OpenInAll != 2 {
		t.Errorf("calls %+v", calls)
	}
}

func TestTheCallLogIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *sandbox.Config) { cfg.MaxCalls = 2 })
	for range 3 {
		b.client.refundOne(t, "rf_1")
	}
	if n, over := len(b.server.Calls("rf_1")), b.server.Overlaps(); n != 2 || over.Calls != 3 {
		t.Errorf("%d calls logged, %d counted", n, over.Calls)
	}
}
