package sandbox_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"refundworker/gateway/sandbox"
)

func setupAsync(t *testing.T, async sandbox.Async) bundle {
	t.Helper()
	return setup(t, func(cfg *sandbox.Config) { cfg.Payments[0].Async = &async })
}

func TestAnAsynchronousRefundAnswersWithTheConfiguredStatus(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]string{"": "U", "U": "U", "S": "S", "F": "F"} {
		b := setupAsync(t, sandbox.Async{Status: status, Stuck: true})
		got := b.client.refundOne(t, "rf_1")
		wantSays(t, got, want+" REFUND_IN_PROCESS")
		if got.RefundTime != "" || got.RefundID == "" {
			t.Errorf("answer %s", got.raw)
		}
		wantMoved(t, b, "rf_1", 0)
	}
}

func TestAnAcceptedRefundCanLookLikeASuccessWithoutRefundTime(t *testing.T) {
	t.Parallel()
	b := setupAsync(t, sandbox.Async{PlainSuccess: true})
	got := b.client.refundOne(t, "rf_1")
	wantSays(t, got, "S SUCCESS")
	if got.RefundTime != "" {
		t.Errorf("refundTime %q before the end", got.RefundTime)
	}
	wantMoved(t, b, "rf_1", 0)
	if got := b.client.inquire(t, "rf_1"); got.RefundStatus != "SUCCESS" || got.RefundTime == "" {
		t.Errorf("inquiry %s", got.raw)
	}
	wantMoved(t, b, "rf_1", 1)
}

func TestAnAsynchronousRefundEndsAfterItsLooks(t *testing.T) {
	t.Parallel()
	b := setupAsync(t, sandbox.Async{Looks: 2})
	wantSays(t, b.client.refundOne(t, "rf_1"), "U REFUND_IN_PROCESS")
	for range 2 {
		got := b.client.inquire(t, "rf_1")
		wantSays(t, got, "S SUCCESS")
		if got.RefundStatus != "PROCESSING" || got.RefundTime != "" || got.RefundAmount == nil {
			t.Fatalf("inquiry %s", got.raw)
		}
	}
	if got := b.client.inquire(t, "rf_1"); got.RefundStatus != "SUCCESS" {
		t.Fatalf("inquiry %s", got.raw)
	}
	var states []sandbox.State
	for _, entry := range b.server.Entries("rf_1") {
		states = append(states, entry.State)
	}
	if diff := cmp.Diff([]sandbox.State{sandbox.Processing, sandbox.Succeeded}, states); diff != "" {
		t.Error(diff)
	}
	wantMoved(t, b, "rf_1", 1)
}

func TestAnUnfinishedRefundMovesOnWhenItIsSentAgain(t *testing.T) {
	t.Parallel()
	b := setupAsync(t, sandbox.Async{Looks: 1})
	first := b.client.refundOne(t, "rf_1")
	wantSays(t, b.client.refundOne(t, "rf_1"), "U REFUND_IN_PROCESS")
	last := b.client.refundOne(t, "rf_1")
	wantSays(t, last, "S SUCCESS")
	if last.RefundID != first.RefundID || last.RefundTime == "" {
		t.Errorf("first %s\nlast %s", first.raw, last.raw)
	}
	wantMoved(t, b, "rf_1", 1)
}

func TestAnAsynchronousRefundCanFail(t *testing.T) {
	t.Parallel()
	b := setupAsync(t, sandbox.Async{FailCode: "PROCESS_FAIL"})
	wantSays(t, b.client.refundOne(t, "rf_1"), "U REFUND_IN_PROCESS")
	if got := b.client.inquire(t, "rf_1"); got.RefundStatus != "FAIL" || got.RefundTime != "" {
		t.Fatalf("inquiry %s", got.raw)
	}
	wantSays(t, b.client.refundOne(t, "rf_1"), "F PROCESS_FAIL")
	wantMoved(t, b, "rf_1", 0)
}

func TestAStuckRefundNeverEnds(t *testing.T) {
	t.Parallel()
	b := setupAsync(t, sandbox.Async{Stuck: true, Delay: time.Nanosecond})
	for range 3 {
		wantSays(t, b.client.refundOne(t, "rf_1"), "U REFUND_IN_PROCESS")
		if got := b.client.inquire(t, "rf_1"); got.RefundStatus != "PROCESSING" {
			t.Fatalf("inquiry %s", got.raw)
		}
	}
	wantMoved(t, b, "rf_1", 0)
}

func TestAnAsynchronousRefundEndsAfterItsDelay(t *testing.T) {
	t.Parallel()
	p := sandbox.Payment{ID: payment, Minor: 10_000, Currency: "HKD", Async: &sandbox.Async{Delay: time.Hour}}
	bubble(t, p, func(b bundle) {
		t := b.t
		wantSays(t, b.client.refundOne(t, "rf_1"), "U REFUND_IN_PROCESS")
		wait(t, time.Hour-time.Second)
		if got := b.client.inquire(t, "rf_1"); got.RefundStatus != "PROCESSING" {
			t.Fatalf("inquiry %s", got.raw)
		}
		wantSays(t, b.client.refundOne(t, "rf_1"), "U REFUND_IN_PROCESS")
		wantMoved(t, b, "rf_1", 0)
		wait(t, time.Second)
		// Reading the ledger is enough; nobody has to ask.
		wantMoved(t, b, "rf_1", 1)
		if got := b.client.inquire(t, "rf_1"); got.RefundStatus != "SUCCESS" {
			t.Fatalf("inquiry %s", got.raw)
		}
	})
}

func TestAnUnknownRefundDoesNotExist(t *testing.T) {
	t.Parallel()
	for _, isNull := range []bool{false, true} {
		b := setup(t, func(cfg *sandbox.Config) { cfg.UnknownIsNull = isNull })
		got := b.client.inquire(t, "rf_1")
		want := "F REFUND_NOT_EXIST"
		if isNull {
			want = "S SUCCESS"
		}
		wantSays(t, got, want)
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(got.raw, &fields); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"refundId", "refundRequestId", "refundAmount", "refundStatus", "refundTime"} {
			if string(fields[name]) != "null" {
				t.Errorf("%s is %s, want null", name, fields[name])
			}
		}
		if got.verified != nil {
			t.Error(got.verified)
		}
	}
}

func TestADeclinedRefundIsFoundAsFailedUnlessHidden(t *testing.T) {
	t.Parallel()
	for _, hidden := range []bool{false, true} {
		b := setup(t, func(cfg *sandbox.Config) { cfg.HideDeclined = hidden })
		wantSays(t, b.client.refund(t, "rf_1", payment, "HKD", "99999"), "F REFUND_AMOUNT_EXCEED")
		got := b.client.inquire(t, "rf_1")
		if hidden {
			wantSays(t, got, "F REFUND_NOT_EXIST")
			continue
		}
		wantSays(t, got, "S SUCCESS")
		if got.RefundStatus != "FAIL" {
			t.Errorf("inquiry %s", got.raw)
		}
	}
}

func TestTheRefundIDWinsInAnInquiry(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	first := b.client.refund(t, "rf_1", payment, "HKD", "1")
	wantSays(t, b.client.refund(t, "rf_2", payment, "HKD", "2"), "S SUCCESS")
	inquire := func(body string) reply {
		return b.client.send(t.Context(), t, http.MethodPost, inquirePath, []byte(body))
	}
	if got := inquire(`{"refundId":"` + first.RefundID + `","refundRequestId":"rf_2"}`); got.RefundRequestID != "rf_1" {
		t.Errorf("inquiry %s", got.raw)
	}
	if got := inquire(`{"refundId":"` + first.RefundID + `"}`); got.RefundRequestID != "rf_1" {
		t.Errorf("inquiry %s", got.raw)
	}
	wantSays(t, inquire(`{"refundId":"unknown","refundRequestId":"rf_2"}`), "F REFUND_NOT_EXIST")
	wantSays(t, inquire(`{}`), "F PARAM_ILLEGAL")
	wantSays(t, inquire(`{"refundRequestId":"rf 1"}`), "F PARAM_ILLEGAL")
	wantSays(t, inquire(`{"refundId":"rf:1"}`), "F PARAM_ILLEGAL")
	// The refund, and two inquiries that are logged with the request they found, not with the one they named.
	if calls := b.server.Calls("rf_1"); len(calls) != 3 {
		t.Errorf("calls %+v", calls)
	}
}

func TestMerchantsDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	keys, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	b := setup(t, func(cfg *sandbox.Config) {
		cfg.Clients = append(cfg.Clients, sandbox.Client{ID: "SECOND", PublicKey: keys.MerchantPublic})
		cfg.Payments[0].Async = &sandbox.Async{}
	})
	first := b.client.refundOne(t, "rf_1")
	second := b.client
	second.id = "SECOND"
	wantSays(t, second.inquire(t, "rf_1"), "F REFUND_NOT_EXIST")
	wantSays(t, second.send(t.Context(), t, http.MethodPost, inquirePath, []byte(`{"refundId":"`+first.RefundID+`"}`)), "F REFUND_NOT_EXIST")
	wantMoved(t, b, "rf_1", 0) // a stranger's look does not move it on
	// The same request ID is another refund.
	if got := second.refund(t, "rf_1", payment, "HKD", "5"); got.says() != "U REFUND_IN_PROCESS" || got.RefundID == first.RefundID {
		t.Errorf("answer %s", got.raw)
	}
}
