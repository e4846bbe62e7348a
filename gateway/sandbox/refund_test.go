package sandbox_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"refundworker/gateway/sandbox"
)

func TestASynchronousRefundSucceedsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	got := b.client.refundOne(t, "rf_1")
	wantSays(t, got, "S SUCCESS")
	if got.RefundRequestID != "rf_1" || got.PaymentID != payment || got.RefundID == "" || len(got.RefundID) > 64 {
		t.Errorf("answer %s", got.raw)
	}
	if want := (&amount{"HKD", "1000"}); !cmp.Equal(got.RefundAmount, want) {
		t.Errorf("refundAmount %+v, want %+v", got.RefundAmount, want)
	}
	if _, err := time.Parse(time.RFC3339, got.RefundTime); err != nil {
		t.Errorf("refundTime: %v", err)
	}
	if got.GrossSettlementAmount != nil || got.SettlementQuote != nil {
		t.Errorf("settled in its own currency, and still: %s", got.raw)
	}
	entries := b.server.Entries("rf_1")
	if len(entries) != 1 {
		t.Fatalf("entries %+v", entries)
	}
	want := sandbox.Entry{
		Seq: 1, Gateway: "antom", ClientID: clientID, RequestID: "rf_1", RefundID: got.RefundID, PaymentID: payment,
		Minor: 1000, Currency: "HKD", State: sandbox.Succeeded, Time: entries[0].Time,
	}
	if diff := cmp.Diff(want, entries[0]); diff != "" {
		t.Error(diff)
	}
}

func TestFieldsOutOfTheirRulesAreRefusedAndLeaveTheIDFree(t *testing.T) {
	t.Parallel()
	body := func(edit func(string) string) []byte {
		return []byte(edit(string(refundBody("rf_1", payment, "HKD", "1000"))))
	}
	replace := func(old, with string) []byte {
		return body(func(s string) string { return strings.Replace(s, old, with, 1) })
	}
	more := func(field string) []byte { return replace(`{"refundRequestId"`, `{`+field+`,"refundRequestId"`) }
	cases := []struct {
		name string
		body []byte
	}{
		{"no request ID", replace(`"rf_1"`, `""`)},
		{"request ID of 65 characters", replace(`rf_1`, strings.Repeat("x", 65))},
		{"no payment", replace(`"`+payment+`"`, `null`)},
		{"payment of 65 characters", replace(payment, strings.Repeat("x", 65))},
		{"no amount", []byte(`{"refundRequestId":"rf_1","paymentId":"pay-1"}`)},
		{"amount of zero", replace(`"1000"`, `"0"`)},
		{"negative amount", replace(`"1000"`, `"-1"`)},
		{"amount with decimals", replace(`"1000"`, `"10.00"`)},
		{"amount with a leading zero", replace(`"1000"`, `"01000"`)},
		{"amount as a number", replace(`"1000"`, `1000`)},
		{"amount beyond 18 digits", replace(`"1000"`, `"`+strings.Repeat("9", 19)+`"`)},
		{"empty amount", replace(`"1000"`, `""`)},
		{"currency in small letters", replace(`HKD`, `hkd`)},
		{"rupiah with minor units", replace(`HKD","value":"1000`, `IDR","value":"1001`)},
		{"reason of 257 characters", more(`"refundReason":"` + strings.Repeat("é", 257) + `"`)},
		{"reference of 65 characters", more(`"referenceRefundId":"` + strings.Repeat("x", 65) + `"`)},
		{"notify address that is none", more(`"refundNotifyUrl":"somewhere"`)},
		{"notify address of 1025 characters", more(`"refundNotifyUrl":"https://a.example/` + strings.Repeat("x", 1025) + `"`)},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			got := b.client.send(t.Context(), t, http.MethodPost, refundPath, tc.body)
			wantSays(t, got, "F PARAM_ILLEGAL")
			if got.verified != nil {
				t.Error(got.verified)
			}
			wantSays(t, b.client.refund(t, "rf_1", payment, "HKD", "7"), "S SUCCESS")
		})
	}
}

func TestLimitsThemselvesAreAllowed(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	id := strings.Repeat("x", 64)
	body := strings.Replace(string(refundBody(id, payment, "HKD", "1")), `{"refundRequestId"`,
		`{"refundReason":"`+strings.Repeat("é", 256)+`","referenceRefundId":"`+strings.Repeat("r", 64)+`","refundRequestId"`, 1)
	wantSays(t, b.client.send(t.Context(), t, http.MethodPost, refundPath, []byte(body)), "S SUCCESS")
	wantMoved(t, b, id, 1)
}

func TestRulesOfThePaymentDeclineInTheirOrder(t *testing.T) {
	t.Parallel()
	past := time.Now().Add(-time.Hour)
	base := sandbox.Payment{ID: payment, Minor: 10_000, Currency: "HKD"}
	with := func(edit func(*sandbox.Payment)) sandbox.Payment {
		p := base
		edit(&p)
		return p
	}
	// Each payment breaks its own rule and, but for the last ones, every later rule that can be broken with it.
	breakAfterCurrency := func(p *sandbox.Payment) {
		p.WindowEnd, p.FullOnly, p.MinRefund = past, true, 9_000
	}
	cases := []struct {
		name    string
		payment sandbox.Payment
		value   string
		want    string
	}{
		{"of another merchant", with(func(p *sandbox.Payment) { p.ClientID, p.Status = "SOMEBODY", sandbox.Cancelled }), "1", "ORDER_NOT_EXIST"},
		{"cancelled", with(func(p *sandbox.Payment) { p.Status, p.Currency = sandbox.Cancelled, "USD" }), "1", "ORDER_IS_CANCELED"},
		{"not paid", with(func(p *sandbox.Payment) { p.Status, p.Currency = sandbox.Unpaid, "USD" }), "1", "ORDER_STATUS_INVALID"},
		{"another currency", with(func(p *sandbox.Payment) { p.Currency = "USD"; breakAfterCurrency(p) }), "1", "CURRENCY_NOT_SUPPORT"},
		{"window over", with(breakAfterCurrency), "1", "REFUND_WINDOW_EXCEED"},
		{"partial", with(func(p *sandbox.Payment) { p.FullOnly, p.MinRefund = true, 9_000 }), "1", "PARTIAL_REFUND_NOT_SUPPORTED"},
		{"below the smallest", with(func(p *sandbox.Payment) { p.MinRefund = 100 }), "99", "REFUND_AMOUNT_EXCEED"},
		{"above the payment", base, "10001", "REFUND_AMOUNT_EXCEED"},
		{"above the funds", base, "10000", "MERCHANT_BALANCE_NOT_ENOUGH"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(cfg *sandbox.Config) {
				cfg.Payments = []sandbox.Payment{tc.payment}
				cfg.Clients[0].Funds = map[string]int64{"HKD": 50}
			})
			got := b.client.refund(t, "rf_1", payment, "HKD", tc.value)
			wantSays(t, got, "F "+tc.want)
			if got.verified != nil || got.RefundRequestID != "rf_1" {
				t.Errorf("answer %v %s", got.verified, got.raw)
			}
			entries := b.server.Entries("rf_1")
			if len(entries) != 1 || entries[0].State != sandbox.Failed || entries[0].Code != tc.want {
				t.Errorf("entries %+v", entries)
			}
			wantMoved(t, b, "rf_1", 0)
		})
	}
}

func TestAnUnknownPaymentIsDeclinedAndARuleCanMakePayments(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *sandbox.Config) {
		cfg.PaymentFunc = func(id string) (sandbox.Payment, bool) {
			return sandbox.Payment{Minor: 500, Currency: "HKD"}, strings.HasPrefix(id, "made-")
		}
	})
	wantSays(t, b.client.refund(t, "rf_1", "nowhere", "HKD", "1"), "F ORDER_NOT_EXIST")
	wantSays(t, b.client.refund(t, "rf_2", "made-1", "HKD", "500"), "S SUCCESS")
	wantSays(t, b.client.refund(t, "rf_3", "made-1", "HKD", "1"), "F REFUND_AMOUNT_EXCEED")
}

func TestARuleThatMakesABrokenPaymentMakesNone(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *sandbox.Config) {
		cfg.PaymentFunc = func(string) (sandbox.Payment, bool) { return sandbox.Payment{Minor: -1, Currency: "HKD"}, true }
	})
	wantSays(t, b.client.refund(t, "rf_1", "any", "HKD", "1"), "F ORDER_NOT_EXIST")
}

func TestASecondRefundIsDeclinedWhereOnlyOneIsAllowed(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *sandbox.Config) { cfg.Payments[0].SingleRefund = true })
	wantSays(t, b.client.refund(t, "rf_0", payment, "USD", "1"), "F CURRENCY_NOT_SUPPORT") // a declined one does not count
	wantSays(t, b.client.refundOne(t, "rf_1"), "S SUCCESS")
	wantSays(t, b.client.refundOne(t, "rf_2"), "F MULTIPLE_REFUNDS_NOT_SUPPORTED")
}

func TestPartialRefundsAddUpToThePaymentAndNoFurther(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	wantSays(t, b.client.refund(t, "rf_1", payment, "HKD", "6000"), "S SUCCESS")
	wantSays(t, b.client.refund(t, "rf_2", payment, "HKD", "4001"), "F REFUND_AMOUNT_EXCEED")
	wantSays(t, b.client.refund(t, "rf_3", payment, "HKD", "4000"), "S SUCCESS")
	sum := b.server.Summary()
	want := sandbox.Summary{
		Refunds:    map[string]int{"rf_1": 1, "rf_3": 1},
		Payments:   map[string]map[string]int64{payment: {"HKD": 10_000}},
		Currencies: map[string]int64{"HKD": 10_000},
	}
	if diff := cmp.Diff(want, sum); diff != "" {
		t.Error(diff)
	}
}

func TestRefundsInProcessCountTowardsThePayment(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *sandbox.Config) {
		cfg.Payments[0].Async = &sandbox.Async{FailCode: "PROCESS_FAIL"}
		cfg.Clients[0].Funds = map[string]int64{"HKD": 6_500}
	})
	wantSays(t, b.client.refund(t, "rf_1", payment, "HKD", "6000"), "U REFUND_IN_PROCESS")
	wantSays(t, b.client.refund(t, "rf_2", payment, "HKD", "4001"), "F REFUND_AMOUNT_EXCEED")
	wantSays(t, b.client.refund(t, "rf_3", payment, "HKD", "501"), "F MERCHANT_BALANCE_NOT_ENOUGH")
	// Once it has failed, payment and funds are free again.
	if got := b.client.inquire(t, "rf_1"); got.RefundStatus != "FAIL" {
		t.Fatalf("inquiry %s", got.raw)
	}
	wantSays(t, b.client.refund(t, "rf_4", payment, "HKD", "6001"), "U REFUND_IN_PROCESS")
}

func TestABalanceShortageIsFinalForItsIDAndNotForANewOne(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *sandbox.Config) { cfg.Clients[0].Funds = map[string]int64{"HKD": 10} })
	wantSays(t, b.client.refundOne(t, "rf_1"), "F MERCHANT_BALANCE_NOT_ENOUGH")
	if err := b.server.AddFunds(clientID, "HKD", 990); err != nil {
		t.Fatal(err)
	}
	wantSays(t, b.client.refundOne(t, "rf_1"), "F MERCHANT_BALANCE_NOT_ENOUGH")
	wantSays(t, b.client.refundOne(t, "rf_2"), "S SUCCESS")
	wantSays(t, b.client.refund(t, "rf_3", payment, "HKD", "1"), "F MERCHANT_BALANCE_NOT_ENOUGH")
}

func TestAFinalAnswerIsRepeated(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"success": "1000", "decline": "99999"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			first := b.client.refund(t, "rf_1", payment, "HKD", value)
			// Whatever becomes of the payment, the answer stands.
			if err := b.server.AddPayment(sandbox.Payment{ID: payment, Minor: 1_000_000, Currency: "HKD", Status: sandbox.Paid, SingleRefund: true}); err != nil {
				t.Fatal(err)
			}
			second := b.client.refund(t, "rf_1", payment, "HKD", value)
			if string(first.raw) != string(second.raw) || first.RefundID == "" || first.RefundTime == "" {
				t.Errorf("first %s\nsecond %s", first.raw, second.raw)
			}
			if entries := b.server.Ledger(); len(entries) != 1 {
				t.Errorf("ledger %+v", entries)
			}
		})
	}
}

func TestOtherContentUnderAKnownIDIsRefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *sandbox.Config) {
		cfg.Payments = append(cfg.Payments, sandbox.Payment{ID: "pay-2", Minor: 10_000, Currency: "HKD"})
	})
	first := b.client.refundOne(t, "rf_1")
	wantSays(t, b.client.refund(t, "rf_1", payment, "HKD", "1001"), "F REPEAT_REQ_INCONSISTENT")
	wantSays(t, b.client.refund(t, "rf_1", payment, "USD", "1000"), "F REPEAT_REQ_INCONSISTENT")
	wantSays(t, b.client.refund(t, "rf_1", "pay-2", "HKD", "1000"), "F REPEAT_REQ_INCONSISTENT")
	if again := b.client.refundOne(t, "rf_1"); string(again.raw) != string(first.raw) {
		t.Errorf("first %s\nagain %s", first.raw, again.raw)
	}
	wantMoved(t, b, "rf_1", 1)
}

func TestAmnesiaShowsEveryUnsafeResendAsASecondEntry(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *sandbox.Config) { cfg.ForgetIdempotency = true })
	first := b.client.refundOne(t, "rf_1")
	second := b.client.refundOne(t, "rf_1")
	wantSays(t, second, "S SUCCESS")
	if first.RefundID == second.RefundID {
		t.Error("two refunds share a refund ID")
	}
	wantMoved(t, b, "rf_1", 2)
	if diff := cmp.Diff([]string{"rf_1"}, b.server.Summary().Twice()); diff != "" {
		t.Error(diff)
	}
	if got := b.client.inquire(t, "rf_1"); got.RefundID != second.RefundID {
		t.Errorf("the inquiry shows %s, want the newest, %s", got.RefundID, second.RefundID)
	}
}

func TestSettlementInAnotherCurrencyIsReported(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name          string
		payment       sandbox.Payment
		value         string
		gross         *amount
		pair, price   string
		withoutAQuote bool
	}{
		{
			name:    "with a locked rate",
			payment: sandbox.Payment{Currency: "HKD", Settlement: &sandbox.Settlement{Currency: "USD", Price: "0.128", QuoteID: "q-1"}},
			value:   "1001", gross: &amount{"USD", "128"}, pair: "HKD/USD", price: `"0.128"`,
		},
		{
			name:    "with a numeric price",
			payment: sandbox.Payment{Currency: "HKD", Settlement: &sandbox.Settlement{Currency: "USD", Price: "0.128", QuoteID: "q-1", NumericPrice: true}},
			value:   "1000", gross: &amount{"USD", "128"}, pair: "HKD/USD", price: `0.128`,
		},
		{
			name:    "from a currency without minor units",
			payment: sandbox.Payment{Currency: "JPY", Settlement: &sandbox.Settlement{Currency: "USD", Price: "0.0065"}},
			value:   "1000", gross: &amount{"USD", "650"}, withoutAQuote: true,
		},
		{
			name:    "into a currency with three decimals, rounded half up",
			payment: sandbox.Payment{Currency: "USD", Settlement: &sandbox.Settlement{Currency: "KWD", Price: "0.355"}},
			value:   "1", gross: &amount{"KWD", "4"}, withoutAQuote: true,
		},
		{
			name:    "none in the same currency",
			payment: sandbox.Payment{Currency: "USD", Settlement: &sandbox.Settlement{Currency: "USD", Price: "1", QuoteID: "q-1"}},
			value:   "1", withoutAQuote: true,
		},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.payment.ID, tc.payment.Minor = payment, 100_000
			b := setup(t, func(cfg *sandbox.Config) { cfg.Payments = []sandbox.Payment{tc.payment} })
			refunded := b.client.refund(t, "rf_1", payment, tc.payment.Currency, tc.value)
			for name, got := range map[string]reply{"refund": refunded, "inquiry": b.client.inquire(t, "rf_1")} {
				wantSays(t, got, "S SUCCESS")
				if diff := cmp.Diff(tc.gross, got.GrossSettlementAmount); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
				if tc.withoutAQuote != (got.SettlementQuote == nil) {
					t.Fatalf("%s: quote in %s", name, got.raw)
				}
				if q := got.SettlementQuote; q != nil && (q.QuoteCurrencyPair != tc.pair || string(q.QuotePrice) != tc.price || q.QuoteID != "q-1") {
					t.Errorf("%s: quote %+v", name, q)
				}
			}
		})
	}
}
