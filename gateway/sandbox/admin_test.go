package sandbox_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"refundworker/gateway/sandbox"
)

// admin calls the admin interface and decodes what it answers, when into is not nil.
func admin(t *testing.T, b bundle, method, path, body string, into any) int {
	t.Helper()
	web := httptest.NewServer(b.server.Admin())
	defer web.Close()
	req, err := http.NewRequestWithContext(t.Context(), method, web.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := web.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatalf("%s %s: %v in %q", method, path, err, raw)
		}
	}
	return resp.StatusCode
}

func wantStatus(t *testing.T, got, want int) {
	t.Helper()
	if got != want {
		t.Fatalf("HTTP %d, want %d", got, want)
	}
}

func TestPaymentsCanBeAddedOverAdmin(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	wantStatus(t, admin(t, b, http.MethodPost, "/payments", `{"paymentId":"p-1","minor":5,"currency":"JPY"}`, nil), http.StatusNoContent)
	wantStatus(t, admin(t, b, http.MethodPost, "/payments",
		`[{"paymentId":"p-2","minor":5,"currency":"JPY","async":{"delay":"1h","looks":1}},{"paymentId":"p-3","minor":5,"currency":"JPY","windowEnd":"2020-01-01T00:00:00Z"}]`,
		nil), http.StatusNoContent)
	wantSays(t, b.client.refund(t, "rf_1", "p-1", "JPY", "5"), "S SUCCESS")
	wantSays(t, b.client.refund(t, "rf_2", "p-2", "JPY", "5"), "U REFUND_IN_PROCESS")
	wantSays(t, b.client.refund(t, "rf_3", "p-3", "JPY", "5"), "F REFUND_WINDOW_EXCEED")
}

func TestFaultsCanBeAddedListedAndRemovedOverAdmin(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	var first, second struct {
		ID string `json:"id"`
	}
	wantStatus(t, admin(t, b, http.MethodPost, "/faults", `{"operation":"refund","requestId":"rf_1","faults":[{"kind":"late","delay":"1ms"},{"kind":"http-after","httpStatus":502}]}`, &first), http.StatusCreated)
	wantStatus(t, admin(t, b, http.MethodPost, "/faults", `{"every":1,"faults":[{"kind":"answer","status":"F","code":"KEY_NOT_FOUND"}]}`, &second), http.StatusCreated)
	var rules []sandbox.Rule
	wantStatus(t, admin(t, b, http.MethodGet, "/faults", "", &rules), http.StatusOK)
	want := []sandbox.Rule{
		{ID: first.ID, Operation: sandbox.Refund, RequestID: "rf_1", Faults: []sandbox.Fault{
			{Kind: sandbox.Late, Delay: time.Millisecond}, {Kind: sandbox.HTTPAfter, HTTPStatus: 502},
		}},
		{ID: second.ID, Every: 1, Faults: []sandbox.Fault{{Kind: sandbox.Answer, Status: "F", Code: "KEY_NOT_FOUND"}}},
	}
	if diff := cmp.Diff(want, rules); diff != "" {
		t.Error(diff)
	}
	wantSays(t, b.client.refundOne(t, "rf_2"), "F KEY_NOT_FOUND")
	wantStatus(t, admin(t, b, http.MethodDelete, "/faults/"+second.ID, "", nil), http.StatusNoContent)
	wantStatus(t, admin(t, b, http.MethodDelete, "/faults/"+second.ID, "", nil), http.StatusNotFound)
	wantSays(t, b.client.refundOne(t, "rf_2"), "S SUCCESS")
	wantStatus(t, admin(t, b, http.MethodDelete, "/faults", "", nil), http.StatusNoContent)
	wantStatus(t, admin(t, b, http.MethodGet, "/faults", "", &rules), http.StatusOK)
	if len(rules) != 0 {
		t.Errorf("rules %+v", rules)
	}
}

func TestFundsCanBeAddedOverAdmin(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *sandbox.Config) { cfg.Clients[0].Funds = map[string]int64{"HKD": 1} })
	wantSays(t, b.client.refundOne(t, "rf_1"), "F MERCHANT_BALANCE_NOT_ENOUGH")
	wantStatus(t, admin(t, b, http.MethodPost, "/funds", `{"clientId":"`+clientID+`","currency":"HKD","minor":999}`, nil), http.StatusNoContent)
	wantSays(t, b.client.refundOne(t, "rf_2"), "S SUCCESS")
}

func TestTheLedgerCanBeReadOverAdmin(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.client.refundOne(t, "rf_1")
	b.client.refundOne(t, "rf_2")
	var entries, one, none []sandbox.Entry
	wantStatus(t, admin(t, b, http.MethodGet, "/ledger", "", &entries), http.StatusOK)
	if diff := cmp.Diff(b.server.Ledger(), entries); diff != "" {
		t.Error(diff)
	}
	wantStatus(t, admin(t, b, http.MethodGet, "/ledger?requestId=rf_2", "", &one), http.StatusOK)
	if diff := cmp.Diff(b.server.Entries("rf_2"), one); diff != "" || len(one) != 1 {
		t.Error(diff)
	}
	wantStatus(t, admin(t, b, http.MethodGet, "/ledger?requestId=rf_3", "", &none), http.StatusOK)
	if none == nil {
		t.Error("no entries are null, want an empty list")
	}
	var sum sandbox.Summary
	wantStatus(t, admin(t, b, http.MethodGet, "/summary", "", &sum), http.StatusOK)
	if diff := cmp.Diff(b.server.Summary(), sum); diff != "" || len(sum.Refunds) != 2 {
		t.Error(diff)
	}
	var calls []sandbox.Call
	wantStatus(t, admin(t, b, http.MethodGet, "/calls?requestId=rf_1", "", &calls), http.StatusOK)
	if len(calls) != 1 || calls[0].Code != "SUCCESS" {
		t.Errorf("calls %+v", calls)
	}
	var over sandbox.Overlaps
	wantStatus(t, admin(t, b, http.MethodGet, "/overlaps", "", &over), http.StatusOK)
	if diff := cmp.Diff(b.server.Overlaps(), over); diff != "" || over.Calls != 2 {
		t.Error(diff)
	}
}

func TestWrongAdminRequestsAreRefusedWithAReason(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	big := `"` + strings.Repeat("x", 5<<20) + `"`
	cases := []struct {
		path, body string
		want       int
	}{
		{"/payments", `{"paymentId":"p-1"}`, http.StatusBadRequest},
		{"/payments", `{"paymentId":"p-1","minor":5,"currency":"JPY","colour":"red"}`, http.StatusBadRequest},
		{"/payments", `{"paymentId":"p-1","minor":5,"currency":"JPY","async":{"look":1}}`, http.StatusBadRequest},
		{"/payments", `{"paymentId":"p-1","minor":5,"currency":"JPY","async":{"delay":"soon"}}`, http.StatusBadRequest},
		{"/payments", big, http.StatusRequestEntityTooLarge},
		{"/funds", `{"clientId":"nobody","currency":"HKD","minor":1}`, http.StatusBadRequest},
		{"/funds", `{"clientId":"` + clientID + `","currency":"HKD","minor":-1}`, http.StatusBadRequest},
		{"/funds", `{} {}`, http.StatusBadRequest},
		{"/funds", big, http.StatusRequestEntityTooLarge},
		{"/faults", `{"first":1,"faults":[{"kind":"drop-afterwards"}]}`, http.StatusBadRequest},
		{"/faults", `{"first":1,"faults":[{"kind":"drop-after","delays":"1s"}]}`, http.StatusBadRequest},
		{"/faults", `{"first":1,"gateway":"paypal","faults":[{"kind":"drop-after"}]}`, http.StatusBadRequest},
		{"/faults", `{"first":1,"operation":"refund","faults":[{"kind":"drop-after","hideFor":"long"}]}`, http.StatusBadRequest},
		{"/payments", `{"paymentId":"p-1","minor":5,"currency":"HKD","wallet":"PURSE"}`, http.StatusBadRequest},
		{"/faults", `{"first":1,"faults":[{"kind":"late","delay":"soon"}]}`, http.StatusBadRequest},
		{"/faults", big, http.StatusRequestEntityTooLarge},
	}
	for _, tc := range cases {
		var reason struct {
			Error string `json:"error"`
		}
		if got := admin(t, b, http.MethodPost, tc.path, tc.body, &reason); got != tc.want || reason.Error == "" {
			t.Errorf("%s %.80s: HTTP %d %q, want %d", tc.path, tc.body, got, reason.Error, tc.want)
		}
	}
}
