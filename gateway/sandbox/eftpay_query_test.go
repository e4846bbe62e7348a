package sandbox_test

import (
	"testing"
	"time"

	"refundworker/gateway/sandbox"
)

func TestAQueryWithoutANumberShowsTheSale(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, func(cfg *sandbox.Config) {
		cfg.Payments = append(cfg.Payments,
			sandbox.Payment{ID: "unpaid", Minor: 1, Currency: "HKD", Status: sandbox.Unpaid},
			sandbox.Payment{ID: "cancelled", Minor: 1, Currency: "HKD", Status: sandbox.Cancelled})
	})
	show := func(outTradeNo, want string) {
		t.Helper()
		got := b.client.query(t, "", outTradeNo)
		wantSigned(t, got, want, true)
		if got.fields["trade_type"] != "SALE" || got.fields["refund_no"] != "" || got.fields["out_trade_no"] != outTradeNo {
			t.Errorf("answer %s", got.raw)
		}
	}
	show(sale, "00 TRADE_SUCCESS")
	wantVMP(t, b.client.refundOne(t, "R1"), "00 TRADE_REFUND")
	show(sale, "00 TRADE_REFUND")
	wantVMP(t, b.client.refund(t, "R2", sale, "90.00"), "00 TRADE_CLOSED")
	show(sale, "00 TRADE_CLOSED")
	show("unpaid", "00 TRADE_PROCESSING")
	show("cancelled", "00 TRADE_CLOSED")
	if got := b.client.query(t, "", sale); got.fields["transaction_amount"] != "100.00" || got.fields["original_amount"] != "100.00" {
		t.Errorf("answer %s", got.raw)
	}
}

func TestAQueryOfASaleThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, nil)
	wantVMP(t, b.client.refundOne(t, "R1"), "00 TRADE_REFUND")
	wantSigned(t, b.client.query(t, "R1", "1"), "21", true)
	b.client.wallet = "ALIPAYCN"
	wantSigned(t, b.client.query(t, "R1", sale), "22", true)
	b.client.wallet = "ALIPAYHK"
	b.client.edit = func(f map[string]any) { f["querytype"] = "EFT_TRADE" }
	wantSigned(t, b.client.query(t, "R1", sale), "20", true)
	b.client.edit = func(f map[string]any) { f["buyertype"] = "" }
	wantSigned(t, b.client.query(t, "R1", sale), "20", true)
}

func TestARefundIsFoundUnderItsOwnSaleOnly(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, func(cfg *sandbox.Config) {
		cfg.Payments = append(cfg.Payments, sandbox.Payment{ID: "2", Minor: 1, Currency: "HKD"})
	})
	wantVMP(t, b.client.refundOne(t, "R1"), "00 TRADE_REFUND")
	wantVMP(t, b.client.query(t, "R1", "2"), "26")
}

func TestANumberThatQueryDoesNotKnowIsAnsweredByTheMode(t *testing.T) {
	t.Parallel()
	cases := []struct {
		mode sandbox.UnknownMode
		// The answers before and after another refund of the sale was made, and what the latter shows.
		before, after, kind, number string
	}{
		{"", "26", "26", "", ""},
		{sandbox.AnswerError, "26", "26", "", ""},
		{sandbox.AnswerSale, "00 TRADE_SUCCESS", "00 TRADE_REFUND", "SALE", ""},
		{sandbox.AnswerOther, "26", "00 TRADE_REFUND", "REFUND", "R1"},
	}
	for _, tc := range cases {
		t.Run(string(tc.mode), func(t *testing.T) {
			t.Parallel()
			b := setupVMP(t, func(cfg *sandbox.Config) { cfg.EftPay.Unknown = tc.mode })
			wantVMP(t, b.client.refund(t, "R3", sale, "1000.00"), "24") // a decline is no refund
			wantSigned(t, b.client.query(t, "R2", sale), tc.before, true)
			wantVMP(t, b.client.refundOne(t, "R1"), "00 TRADE_REFUND")
			got := b.client.query(t, "R2", sale)
			wantSigned(t, got, tc.after, true)
			if got.fields["trade_type"] != tc.kind || got.fields["refund_no"] != tc.number {
				t.Errorf("answer %s", got.raw)
			}
			wantVMPMoved(t, b, "R2", 0)
		})
	}
}

func TestAnAsynchronousRefundIsInProcessForSoManyQueries(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, func(cfg *sandbox.Config) { cfg.Payments[0].Async = &sandbox.Async{Looks: 2} })
	wantSigned(t, b.client.refundOne(t, "R1"), "00 TRADE_PROCESSING", true)
	wantVMP(t, b.client.refund(t, "R2", sale, "90.01"), "24") // what is in process is taken
	wantVMP(t, b.client.refundOne(t, "R1"), "00 TRADE_PROCESSING")
	for range 2 {
		wantVMP(t, b.client.query(t, "R1", sale), "00 TRADE_PROCESSING")
	}
	wantVMP(t, b.client.query(t, "", sale), "00 TRADE_SUCCESS")
	wantVMPMoved(t, b, "R1", 0)
	wantVMP(t, b.client.query(t, "R1", sale), "00 TRADE_REFUND")
	wantVMPMoved(t, b, "R1", 1)
	wantVMP(t, b.client.query(t, "R1", sale), "00 TRADE_REFUND")
	wantVMPMoved(t, b, "R1", 1)
}

func TestAnAsynchronousRefundMayFailAndGivesItsAmountBack(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, func(cfg *sandbox.Config) { cfg.Payments[0].Async = &sandbox.Async{FailCode: "CHANNEL"} })
	wantVMP(t, b.client.refund(t, "R1", sale, "100.00"), "00 TRADE_PROCESSING")
	wantSigned(t, b.client.query(t, "R1", sale), "00 TRADE_FAIL", true)
	wantVMP(t, b.client.refund(t, "R1", sale, "100.00"), "00 TRADE_FAIL")
	wantVMP(t, b.client.refund(t, "R2", sale, "100.00"), "00 TRADE_PROCESSING")
	if entries := b.server.Entries("R1"); len(entries) != 2 || entries[1].Code != "CHANNEL" {
		t.Errorf("entries %+v", entries)
	}
}

func TestAnAsynchronousRefundEndsWithTimeWhoeverLooks(t *testing.T) {
	t.Parallel()
	looks := map[string]func(vmpBundle) string{
		"query":  func(b vmpBundle) string { return b.client.query(b.t, "R1", sale).says() },
		"replay": func(b vmpBundle) string { return b.client.refundOne(b.t, "R1").says() },
		"sale":   func(b vmpBundle) string { return b.client.query(b.t, "", sale).says() },
		"ledger": func(b vmpBundle) string {
			return map[int]string{1: "00 TRADE_REFUND"}[b.server.Summary().Refunds["R1"]]
		},
	}
	for name, look := range looks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubbleVMP(t, func(cfg *sandbox.Config) {
				cfg.Payments[0].Async = &sandbox.Async{Delay: time.Minute}
			}, func(b vmpBundle) {
				t := b.t
				wantVMP(t, b.client.refundOne(t, "R1"), "00 TRADE_PROCESSING")
				wait(t, time.Minute-time.Second)
				if got := look(b); got == "00 TRADE_REFUND" {
					t.Errorf("too early: %q", got)
				}
				wait(t, time.Second)
				if got := look(b); got != "00 TRADE_REFUND" {
					t.Errorf("too late: %q", got)
				}
				wantVMPMoved(t, b, "R1", 1)
			})
		})
	}
}

func TestARefundThatIsStuckNeverEnds(t *testing.T) {
	t.Parallel()
	bubbleVMP(t, func(cfg *sandbox.Config) {
		cfg.Payments[0].Async = &sandbox.Async{Delay: time.Minute, Looks: 1, Stuck: true}
	}, func(b vmpBundle) {
		t := b.t
		wantVMP(t, b.client.refundOne(t, "R1"), "00 TRADE_PROCESSING")
		wait(t, time.Hour)
		for range 3 {
			wantVMP(t, b.client.query(t, "R1", sale), "00 TRADE_PROCESSING")
		}
		wantVMPMoved(t, b, "R1", 0)
	})
}

func TestARefundIsHiddenForATimeAndANumberOfQueries(t *testing.T) {
	t.Parallel()
	hide := func(c *sandbox.EftPayConfig) { c.HideFor, c.HideQueries = time.Minute, 2 }
	for name, mode := range map[string]sandbox.UnknownMode{
		"26": sandbox.AnswerError, "00 TRADE_SUCCESS": sandbox.AnswerSale,
	} {
		bubbleVMP(t, func(cfg *sandbox.Config) {
			hide(&cfg.EftPay)
			cfg.EftPay.Unknown = mode
		}, func(b vmpBundle) {
			t := b.t
			wantVMP(t, b.client.refundOne(t, "R1"), "00 TRADE_REFUND")
			wantVMPMoved(t, b, "R1", 1)
			wantVMP(t, b.client.query(t, "R1", sale), name)
			wait(t, time.Minute)
			wantVMP(t, b.client.query(t, "R1", sale), name)
			wantVMP(t, b.client.query(t, "R1", sale), "00 TRADE_REFUND")
		})
		bubbleVMP(t, func(cfg *sandbox.Config) {
			hide(&cfg.EftPay)
			cfg.EftPay.Unknown = mode
		}, func(b vmpBundle) {
			t := b.t
			wantVMP(t, b.client.refundOne(t, "R1"), "00 TRADE_REFUND")
			for range 3 {
				wantVMP(t, b.client.query(t, "R1", sale), name)
			}
			wait(t, time.Minute-time.Second)
			wantVMP(t, b.client.query(t, "R1", sale), name)
			wait(t, time.Second)
			wantVMP(t, b.client.query(t, "R1", sale), "00 TRADE_REFUND")
		})
	}
}

func TestAHiddenRefundHidesBehindAnother(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, func(cfg *sandbox.Config) { cfg.EftPay.Unknown = sandbox.AnswerOther })
	wantVMP(t, b.client.refund(t, "R1", sale, "1.00"), "00 TRADE_REFUND")
	if err := b.server.Script(sandbox.Refund, "R2", sandbox.Fault{Kind: sandbox.DropAfter, HideQueries: 1}); err != nil {
		t.Fatal(err)
	}
	if got := b.client.refundOne(t, "R2"); got.err == nil {
		t.Fatalf("answer %s", got.raw)
	}
	wantVMPMoved(t, b, "R2", 1)
	for _, want := range []string{"R1", "R2"} {
		if got := b.client.query(t, "R2", sale); got.fields["refund_no"] != want {
			t.Errorf("answer %s, want %s", got.raw, want)
		}
	}
}
