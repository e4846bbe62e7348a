package sandbox_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"refundworker/gateway/sandbox"
)

func TestARestartOfEftPayForgetsNothing(t *testing.T) {
	t.Parallel()
	for _, hidden := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "ledger")
		life := func() vmpBundle {
			return setupVMP(t, func(cfg *sandbox.Config) {
				cfg.LedgerPath = path
				cfg.EftPay.HideDeclined = hidden
				cfg.Payments = append(cfg.Payments, sandbox.Payment{ID: "2", Minor: 500, Currency: "HKD", Async: &sandbox.Async{Looks: 1}})
			})
		}
		declined := map[bool]string{false: "00 TRADE_FAIL", true: "26"}[hidden]
		ask := func(b vmpBundle) map[string]map[string]string {
			answers := map[string]map[string]string{}
			for _, q := range [][2]string{{"R1", sale}, {"R2", sale}, {"R3", sale}, {"R4", "2"}, {"", sale}} {
				answers[q[0]] = plain(b.client.query(t, q[0], q[1]))
				delete(answers[q[0]], "time")
			}
			return answers
		}
		before := life()
		wantVMP(t, before.client.refund(t, "R1", sale, "30.00"), "00 TRADE_REFUND")
		wantVMP(t, before.client.refund(t, "R2", sale, "70.00"), "00 TRADE_CLOSED")
		wantVMP(t, before.client.refund(t, "R3", sale, "0.01"), "24")
		wantVMP(t, before.client.refund(t, "R4", "2", "2.00"), "00 TRADE_PROCESSING")
		for range 2 {
			before.client.query(t, "R4", "2")
		}
		wantVMP(t, before.client.refund(t, "R5", "2", "3.00"), "00 TRADE_PROCESSING")
		answers, ledger := ask(before), before.server.Ledger()
		if err := before.server.Close(); err != nil {
			t.Fatal(err)
		}

		after := life()
		if diff := cmp.Diff(ledger, after.server.Ledger()); diff != "" {
			t.Errorf("the ledger changed: %s", diff)
		}
		if diff := cmp.Diff(answers, ask(after)); diff != "" {
			t.Errorf("the answers changed: %s", diff)
		}
		wantVMP(t, after.client.query(t, "R3", sale), declined)
		wantVMP(t, after.client.refund(t, "R3", sale, "0.01"), "24")
		// What is in process still counts and can be finished, and what was refunded is known by its number.
		wantVMP(t, after.client.refund(t, "R6", "2", "0.01"), "24")
		wantVMP(t, after.client.query(t, "R5", "2"), "00 TRADE_PROCESSING")
		wantVMP(t, after.client.query(t, "R5", "2"), "00 TRADE_CLOSED")
		wantVMP(t, after.client.refund(t, "R1", sale, "30.00"), "00 TRADE_REFUND")
		for _, no := range []string{"R1", "R2", "R4", "R5"} {
			wantVMPMoved(t, after, no, 1)
		}
	}
}

func TestAnAnswerOfEftPayNeedsADurableLedger(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, func(cfg *sandbox.Config) { cfg.LedgerPath = filepath.Join(t.TempDir(), "ledger") })
	if err := b.server.Close(); err != nil {
		t.Fatal(err)
	}
	for _, got := range []vmpReply{b.client.refundOne(t, "R1"), b.client.query(t, "R1", sale)} {
		if got.http != http.StatusInternalServerError {
			t.Errorf("HTTP %d %s", got.http, got.raw)
		}
	}
}

func TestBothGatewaysKeepOneLedgerAndTheirOwnBooks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	for range 2 { // the second life has read what the first wrote
		b := setup(t, func(cfg *sandbox.Config) {
			cfg.LedgerPath = path
			cfg.Merchants = []sandbox.Merchant{{Key: vmpKey, Secret: vmpSecret, Currency: "HKD"}}
		})
		c := newVMPClient("http://sandbox.invalid", &http.Client{Transport: handlerTransport{b.server.EftPay()}})
		wantSays(t, b.client.refund(t, "R1", payment, "HKD", "10000"), "S SUCCESS")
		wantVMP(t, c.refund(t, "R1", payment, "100.00"), "00 TRADE_CLOSED")
		var sides []string
		for _, entry := range b.server.Entries("R1") {
			sides = append(sides, entry.Gateway)
		}
		if !slices.Equal(sides, []string{"antom", "eftpay"}) {
			t.Errorf("entries of %v", sides)
		}
		if err := b.server.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestASandboxWithMerchantsOnlyServesNoAntom(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, nil)
	keys, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, "http://sandbox.invalid", keys)
	c.http = &http.Client{Transport: handlerTransport{b.server.Antom()}}
	if got := c.refundOne(t, "rf_1"); got.http != http.StatusNotFound {
		t.Errorf("HTTP %d %s", got.http, got.raw)
	}
}

// moods marks what each answer has: an empty return_char, a null refund_trade_no, an extra field.
func moods(r vmpReply) string {
	marks := []byte("...")
	if r.fields["return_char"] == "" {
		marks[0] = 'c'
	}
	if r.fields["refund_trade_no"] == "<null>" {
		marks[1] = 'n'
	}
	if r.fields["future_field"] != "" {
		marks[2] = 'x'
	}
	return string(marks)
}

func TestOdditiesHangOnSeedAndCallAndNotOnTheOrderOfCalls(t *testing.T) {
	t.Parallel()
	numbers := make([]string, 100)
	for i := range numbers {
		numbers[i] = fmt.Sprintf("R%d", i)
	}
	run := func(seed uint64, numbers []string) map[string][2]string {
		b := setupVMP(t, func(cfg *sandbox.Config) { cfg.EftPay.Seed = seed })
		seen := map[string][2]string{}
		for _, no := range numbers {
			first, second := b.client.refund(t, no, sale, "0.10"), b.client.query(t, no, sale)
			wantSigned(t, first, "00 TRADE_REFUND", true)
			wantSigned(t, second, "00 TRADE_REFUND", true)
			seen[no] = [2]string{moods(first), moods(second)}
		}
		return seen
	}
	forwards := run(1, numbers)
	backwards := slices.Clone(numbers)
	slices.Reverse(backwards)
	if diff := cmp.Diff(forwards, run(1, backwards)); diff != "" {
		t.Errorf("the order of calls matters: %s", diff)
	}
	if cmp.Equal(forwards, run(2, numbers)) {
		t.Error("the seed does not matter")
	}
	var count [3]int
	for _, pair := range forwards {
		for _, marks := range pair {
			for i := range count {
				if marks[i] != '.' {
					count[i]++
				}
			}
		}
	}
	// Of 200 answers, 50 each by chance.
	for i, n := range count {
		if n < 25 || n > 80 {
			t.Errorf("oddity %d came %d times", i, n)
		}
	}
}

func TestAnErrorOfEftPayAlwaysHasItsText(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, nil)
	extra := 0
	for i := range 40 {
		got := b.client.query(t, fmt.Sprintf("R%d", i), sale)
		wantSigned(t, got, "26", true)
		if got.fields["return_char"] == "" {
			t.Errorf("answer %s", got.raw)
		}
		if got.fields["future_field"] != "" {
			extra++
		}
	}
	if extra == 0 {
		t.Error("no error had an extra field")
	}
}

func TestChanceAndScriptsGoByRefundNumber(t *testing.T) {
	t.Parallel()
	run := func(numbers []string) map[string]string {
		b := setupVMP(t, func(cfg *sandbox.Config) {
			cfg.Rules = []sandbox.Rule{{PerMillion: 400_000, Seed: 7, Faults: []sandbox.Fault{{Kind: sandbox.SystemExceptionBefore}}}}
		})
		said := map[string]string{}
		for _, no := range numbers {
			said[no] = b.client.refund(t, no, sale, "1.00").says()
		}
		return said
	}
	numbers := []string{"R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9"}
	forwards := run(numbers)
	slices.Reverse(numbers)
	if diff := cmp.Diff(forwards, run(numbers)); diff != "" {
		t.Error(diff)
	}
	hit := 0
	for _, says := range forwards {
		if says == "51" {
			hit++
		}
	}
	if hit == 0 || hit == len(forwards) {
		t.Errorf("%d of %d were hit", hit, len(forwards))
	}
}

func TestTheCallLogOfEftPayGoesByRefundNumber(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, nil)
	if err := b.server.Script(sandbox.Refund, "R1", sandbox.Fault{Kind: sandbox.DropAfter}); err != nil {
		t.Fatal(err)
	}
	b.client.refundOne(t, "R1")
	b.client.query(t, "R1", sale)
	b.client.query(t, "", sale)
	bad := b.client
	bad.secret = "X"
	bad.refundOne(t, "R1")
	var got []string
	for _, call := range append(b.server.Calls("R1"), b.server.Calls("")...) {
		got = append(got, fmt.Sprintf("%s %s %s %s %s", call.Operation, call.PaymentID, call.Fault, call.Code, call.Status))
	}
	want := []string{
		"refund " + sale + " drop-after  ",
		"inquiry " + sale + " none 00 TRADE_REFUND",
		"refund " + sale + " none -1 ",
		"inquiry " + sale + " none 00 TRADE_REFUND",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if over := b.server.Overlaps(); over.Calls != 4 || over.OnPayment != 1 {
		t.Errorf("overlaps %+v", over)
	}
}

func TestAdminServesEftPayToo(t *testing.T) {
	t.Parallel()
	v := setupVMP(t, nil)
	b := bundle{server: v.server}
	wantStatus(t, admin(t, b, http.MethodPost, "/payments", `{"paymentId":"2","minor":500,"currency":"HKD","wallet":"ALIPAYCN"}`, nil), http.StatusNoContent)
	wantVMP(t, v.client.refund(t, "R0", "2", "1.00"), "22")
	v.client.wallet = "ALIPAYCN"
	wantStatus(t, admin(t, b, http.MethodPost, "/faults",
		`{"gateway":"eftpay","operation":"refund","requestId":"R1","faults":[{"kind":"return-after","code":"51","status":"TRADE_FAIL","text":"NO","hideFor":"1h"}]}`, nil), http.StatusCreated)
	var rules []sandbox.Rule
	wantStatus(t, admin(t, b, http.MethodGet, "/faults", "", &rules), http.StatusOK)
	want := []sandbox.Rule{{
		ID: "1", Gateway: "eftpay", Operation: sandbox.Refund, RequestID: "R1",
		Faults: []sandbox.Fault{{Kind: sandbox.ReturnAfter, Code: "51", Status: "TRADE_FAIL", Text: "NO", HideFor: time.Hour}},
	}}
	if diff := cmp.Diff(want, rules); diff != "" {
		t.Error(diff)
	}
	wantVMP(t, v.client.refund(t, "R1", "2", "1.00"), "51 TRADE_FAIL")
	wantVMP(t, v.client.query(t, "R1", "2"), "26")
	var entries []sandbox.Entry
	wantStatus(t, admin(t, b, http.MethodGet, "/ledger?requestId=R1", "", &entries), http.StatusOK)
	if diff := cmp.Diff(v.server.Entries("R1"), entries); diff != "" || len(entries) != 1 {
		t.Error(diff)
	}
	var sum sandbox.Summary
	wantStatus(t, admin(t, b, http.MethodGet, "/summary", "", &sum), http.StatusOK)
	if sum.Refunds["R1"] != 1 || sum.Payments["2"]["HKD"] != 100 {
		t.Errorf("summary %+v", sum)
	}
	var calls []sandbox.Call
	wantStatus(t, admin(t, b, http.MethodGet, "/calls?requestId=R1", "", &calls), http.StatusOK)
	if len(calls) != 2 || calls[0].Code != "51" || calls[0].Status != "TRADE_FAIL" {
		t.Errorf("calls %+v", calls)
	}
}

func TestPaymentsMadeUpByARuleAreSalesToo(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, func(cfg *sandbox.Config) {
		cfg.PaymentFunc = func(id string) (sandbox.Payment, bool) {
			return sandbox.Payment{Minor: 100, Currency: "HKD", Wallet: "ALIPAYHK"}, id == "3"
		}
	})
	wantVMP(t, b.client.refund(t, "R1", "3", "1.00"), "00 TRADE_CLOSED")
	wantVMP(t, b.client.refund(t, "R2", "4", "1.00"), "21")
}
