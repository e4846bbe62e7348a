package sandbox_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"refundworker/gateway/sandbox"
)

func TestAPartIsARefundAndTheRestClosesTheSale(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, nil)
	got := b.client.refund(t, "R1", sale, "40.5")
	wantSigned(t, got, "00 TRADE_REFUND", true)
	entries := b.server.Entries("R1")
	if len(entries) != 1 {
		t.Fatalf("entries %+v", entries)
	}
	want := sandbox.Entry{
		Seq: 1, Gateway: "eftpay", ClientID: vmpKey, RequestID: "R1", RefundID: entries[0].RefundID, PaymentID: sale,
		Minor: 4050, Currency: "HKD", State: sandbox.Succeeded, Time: entries[0].Time,
	}
	if diff := cmp.Diff(want, entries[0]); diff != "" {
		t.Error(diff)
	}
	if len(want.RefundID) != 28 {
		t.Errorf("refund ID %q", want.RefundID)
	}
	show := map[string]string{
		"out_trade_no": sale, "user_confirm_key": vmpKey, "trade_type": "REFUND", "payment_type": "ALIPAYHK",
		"transaction_amount": "40.50", "original_amount": "100.00", "currency": "HKD", "refund_no": "R1",
		"buyer_id": "", "tid": "", "trade_time": entries[0].Time.Add(8 * time.Hour).Format("2006-01-02 15:04:05"),
	}
	for name, value := range show {
		if got.fields[name] != value {
			t.Errorf("%s is %q, want %q", name, got.fields[name], value)
		}
	}
	wantSigned(t, b.client.refund(t, "R2", sale, "59.51"), "24", true)
	wantSigned(t, b.client.refund(t, "R3", sale, "59.50"), "00 TRADE_CLOSED", true)
	wantSigned(t, b.client.refund(t, "R4", sale, "0.01"), "24", true)
	wantVMP(t, b.client.query(t, "R1", sale), "00 TRADE_REFUND")
	wantVMP(t, b.client.query(t, "R3", sale), "00 TRADE_CLOSED")
	if sum := b.server.Summary(); sum.Payments[sale]["HKD"] != 10_000 || sum.Currencies["HKD"] != 10_000 {
		t.Errorf("summary %+v", sum)
	}
}

func TestTheWholeAmountAtOnceClosesTheSale(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, nil)
	wantSigned(t, b.client.refund(t, "R1", sale, "100"), "00 TRADE_CLOSED", true)
	wantVMPMoved(t, b, "R1", 1)
}

func TestFieldsOutOfTheirLimitsAreRefusedAndLeaveNoRecord(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		field string
		value any
	}{
		"no refund_no":                   {"refund_no", ""},
		"refund_no of 29":                {"refund_no", strings.Repeat("R", 29)},
		"no out_trade_no":                {"out_trade_no", nil},
		"out_trade_no of 29":             {"out_trade_no", strings.Repeat("1", 29)},
		"another buyertype":              {"buyertype", "web"},
		"no amount":                      {"transaction_amount", ""},
		"an amount of nothing":           {"transaction_amount", "0.00"},
		"a negative amount":              {"transaction_amount", "-1.00"},
		"a signed amount":                {"transaction_amount", "+1.00"},
		"an exponent":                    {"transaction_amount", "1e1"},
		"three decimals":                 {"transaction_amount", "1.000"},
		"a dot with nothing behind":      {"transaction_amount", "1."},
		"a dot with nothing before":      {"transaction_amount", ".10"},
		"two dots":                       {"transaction_amount", "1.0.0"},
		"an amount of nine characters":   {"transaction_amount", "000001.00"},
		"an amount that is an expansion": {"transaction_amount", map[string]int{"a": 1}},
	}
	b := setupVMP(t, func(cfg *sandbox.Config) { cfg.EftPay.Codes.BadField = "77" })
	for name, tc := range cases {
		c := b.client
		c.edit = func(f map[string]any) { f[tc.field] = tc.value }
		got := c.refundOne(t, "R1")
		if got.says() != "77" || got.verified != nil || got.fields["return_char"] == "" {
			t.Errorf("%s: %s", name, got.raw)
		}
	}
	if entries := b.server.Ledger(); len(entries) != 0 {
		t.Errorf("ledger %+v", entries)
	}
	wantVMP(t, b.client.query(t, "R1", sale), "26")
}

func TestRulesOfTheSaleDeclineWithTheirCode(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		edit func(*sandbox.Payment)
		// amount is 10.00 unless given.
		amount, want string
	}{
		{name: "another merchant's", edit: func(p *sandbox.Payment) { p.ClientID = "S1" }, want: "21"},
		{name: "another currency", edit: func(p *sandbox.Payment) { p.Currency = "CNY" }, want: "21"},
		{name: "another sale", edit: func(p *sandbox.Payment) { p.ID = "1" }, want: "21"},
		{name: "another wallet", edit: func(p *sandbox.Payment) { p.Wallet = "ALIPAYCN" }, want: "22"},
		{name: "not paid", edit: func(p *sandbox.Payment) { p.Status = sandbox.Unpaid }, want: "23"},
		{name: "cancelled", edit: func(p *sandbox.Payment) { p.Status = sandbox.Cancelled }, want: "23"},
		{name: "window over", edit: func(p *sandbox.Payment) { p.WindowEnd = time.Now().Add(-time.Minute) }, want: "23"},
		{name: "in part", edit: func(p *sandbox.Payment) { p.FullOnly = true }, want: "23"},
		{name: "too little", edit: func(p *sandbox.Payment) { p.MinRefund = 1001 }, want: "23"},
		{name: "too much", amount: "100.01", want: "24"},
		{name: "any wallet", edit: func(p *sandbox.Payment) { p.Wallet = "" }, want: "00 TRADE_REFUND"},
		{name: "inside the window", edit: func(p *sandbox.Payment) { p.WindowEnd = time.Now().Add(time.Hour) }, want: "00 TRADE_REFUND"},
		{name: "ours", edit: func(p *sandbox.Payment) { p.ClientID = vmpKey }, want: "00 TRADE_REFUND"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, hidden := range []bool{false, true} {
				b := setupVMP(t, func(cfg *sandbox.Config) {
					cfg.EftPay.HideDeclined = hidden
					if tc.edit != nil {
						tc.edit(&cfg.Payments[0])
					}
				})
				amount := tc.amount
				if amount == "" {
					amount = "10.00"
				}
				got := b.client.refund(t, "R1", sale, amount)
				wantSigned(t, got, tc.want, true)
				if strings.HasPrefix(tc.want, "00") {
					wantVMPMoved(t, b, "R1", 1)
					continue
				}
				if got.fields["return_char"] == "" {
					t.Errorf("no text: %s", got.raw)
				}
				entries := b.server.Entries("R1")
				if len(entries) != 1 || entries[0].State != sandbox.Failed || entries[0].Code != tc.want {
					t.Errorf("entries %+v", entries)
				}
			}
		})
	}
}

func TestASingleRefundMeansNoSecond(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, func(cfg *sandbox.Config) { cfg.Payments[0].SingleRefund = true })
	wantVMP(t, b.client.refundOne(t, "R1"), "00 TRADE_REFUND")
	wantVMP(t, b.client.refundOne(t, "R2"), "23")
}

func TestTheErrorCodesCanBeChosen(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, func(cfg *sandbox.Config) {
		cfg.EftPay.Duplicate = sandbox.Reject
		cfg.EftPay.Codes = sandbox.EftPayCodes{
			UnknownOrder: "61", WrongWallet: "62", NotRefundable: "63", Exceeded: "64", Duplicate: "65", UnknownRefund: "166",
		}
		cfg.Payments = append(cfg.Payments, sandbox.Payment{ID: "2", Minor: 1, Currency: "HKD", Status: sandbox.Unpaid})
	})
	other := b.client
	other.wallet = "ALIPAYCN"
	wantVMP(t, b.client.refundOne(t, "R0"), "00 TRADE_REFUND")
	for want, got := range map[string]vmpReply{
		"61":  b.client.refund(t, "R1", "3", "1.00"),
		"62":  other.refundOne(t, "R2"),
		"63":  b.client.refund(t, "R3", "2", "0.01"),
		"64":  b.client.refund(t, "R4", sale, "99.00"),
		"65":  b.client.refundOne(t, "R0"),
		"166": b.client.query(t, "R6", sale),
	} {
		wantSigned(t, got, want, true)
	}
}

func TestARefundNumberSentTwiceIsDealtWithByTheMode(t *testing.T) {
	t.Parallel()
	cases := []struct {
		mode  sandbox.DuplicateMode
		want  string
		moved int
	}{
		{"", "00 TRADE_REFUND", 1},
		{sandbox.Replay, "00 TRADE_REFUND", 1},
		{sandbox.Reject, "25", 1},
		{sandbox.RefundAgain, "00 TRADE_REFUND", 2},
	}
	for _, tc := range cases {
		t.Run(string(tc.mode), func(t *testing.T) {
			t.Parallel()
			b := setupVMP(t, func(cfg *sandbox.Config) { cfg.EftPay.Duplicate = tc.mode })
			first := b.client.refundOne(t, "R1")
			wantVMP(t, first, "00 TRADE_REFUND")
			second := b.client.refund(t, "R1", sale, "20.00")
			wantSigned(t, second, tc.want, true)
			wantVMPMoved(t, b, "R1", tc.moved)
			if twice := b.server.Summary().Twice(); (len(twice) == 1) != (tc.moved == 2) {
				t.Errorf("twice: %v", twice)
			}
			amounts := map[sandbox.DuplicateMode]string{"": "10.00", sandbox.Replay: "10.00", sandbox.RefundAgain: "20.00"}
			if second.fields["transaction_amount"] != amounts[tc.mode] {
				t.Errorf("answer %s", second.raw)
			}
		})
	}
}

func TestADeclineIsReplayedUntilItIsForgotten(t *testing.T) {
	t.Parallel()
	for mode, want := range map[sandbox.DuplicateMode][2]string{
		sandbox.Replay:      {"24", "00 TRADE_REFUND"},
		sandbox.Reject:      {"25", "00 TRADE_REFUND"},
		sandbox.RefundAgain: {"00 TRADE_REFUND", "00 TRADE_REFUND"},
	} {
		for i, hidden := range []bool{false, true} {
			b := setupVMP(t, func(cfg *sandbox.Config) {
				cfg.EftPay.Duplicate, cfg.EftPay.HideDeclined = mode, hidden
			})
			wantVMP(t, b.client.refund(t, "R1", sale, "100.01"), "24")
			wantVMP(t, b.client.query(t, "R1", sale), map[bool]string{false: "00 TRADE_FAIL", true: "26"}[hidden])
			wantVMP(t, b.client.refundOne(t, "R1"), want[i])
		}
	}
}

func TestASecondRefundUnderOneNumberNeverExceedsTheSale(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, func(cfg *sandbox.Config) { cfg.EftPay.Duplicate = sandbox.RefundAgain })
	wantVMP(t, b.client.refund(t, "R1", sale, "60.00"), "00 TRADE_REFUND")
	wantVMP(t, b.client.refund(t, "R1", sale, "60.00"), "24")
	// The number still stands for the refund that was made.
	wantVMP(t, b.client.query(t, "R1", sale), "00 TRADE_REFUND")
	wantVMPMoved(t, b, "R1", 1)
}

func TestANumberIsTheMerchantsOwn(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, func(cfg *sandbox.Config) {
		cfg.Merchants = append(cfg.Merchants, sandbox.Merchant{Key: "S2", Secret: "OTHER", Currency: "HKD"})
	})
	wantVMP(t, b.client.refundOne(t, "R1"), "00 TRADE_REFUND")
	other := b.client
	other.secret = "OTHER"
	other.edit = func(f map[string]any) { f["user_confirm_key"] = "S2" }
	wantVMP(t, other.query(t, "R1", sale), "26")
	got := other.refundOne(t, "R1")
	wantSigned(t, got, "00 TRADE_REFUND", true)
	if got.fields["user_confirm_key"] != "S2" {
		t.Errorf("answer %s", got.raw)
	}
}

func TestManyAtOnceMoveNoMoreThanTheSaleAndOneNumberOnce(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, nil)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			b.client.refund(t, fmt.Sprintf("R%d", i%20), sale, "7.00")
			b.client.query(t, fmt.Sprintf("R%d", i%20), sale)
		})
	}
	wg.Wait()
	sum := b.server.Summary()
	if got := sum.Payments[sale]["HKD"]; got != 9_800 || len(sum.Twice()) != 0 {
		t.Errorf("refunded %d, want 9800; twice %v", got, sum.Twice())
	}
}
