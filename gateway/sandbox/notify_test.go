package sandbox_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"refundworker/gateway/sandbox"
)

const ack = `{"result":{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":"success"}}`

// merchant receives notifications and answers them from a script; after its end it acknowledges.
type merchant struct {
	url  string
	seen chan *http.Request
	body chan []byte
}

func newMerchant(t *testing.T, answers ...string) merchant {
	t.Helper()
	m := merchant{seen: make(chan *http.Request, 16), body: make(chan []byte, 16)}
	next := make(chan string, len(answers))
	for _, a := range answers {
		next <- a
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		m.seen <- r
		m.body <- raw
		answer := ack
		select {
		case answer = <-next:
		default:
		}
		if answer == "500" {
			w.WriteHeader(http.StatusInternalServerError)
			answer = ack
		}
		if _, err := io.WriteString(w, answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(web.Close)
	m.url = web.URL
	return m
}

func (m merchant) receive(t *testing.T) (*http.Request, []byte) {
	t.Helper()
	select {
	case r := <-m.seen:
		return r, <-m.body
	case <-time.After(20 * time.Second):
		t.Fatal("no notification came")
		return nil, nil
	}
}

func (m merchant) wantSilence(t *testing.T) {
	t.Helper()
	select {
	case r := <-m.seen:
		t.Errorf("a notification too many: %s", r.URL)
	case <-time.After(100 * time.Millisecond):
	}
}

func setupNotify(t *testing.T, notify sandbox.Notify, async sandbox.Async) bundle {
	t.Helper()
	return setup(t, func(cfg *sandbox.Config) {
		cfg.Notify = notify
		cfg.Payments = []sandbox.Payment{
			{ID: payment, Minor: 10_000, Currency: "HKD", Async: &async},
			{ID: "pay-sync", Minor: 10_000, Currency: "HKD"},
		}
	})
}

func TestAFinalStateIsAnnouncedSignedOverPathAndQuery(t *testing.T) {
	t.Parallel()
	for failCode, status := range map[string]string{"": "SUCCESS", "PROCESS_FAIL": "FAIL"} {
		m := newMerchant(t)
		b := setupNotify(t, sandbox.Notify{URL: m.url + "/hooks/antom?shop=7&x=a%20b"},
			sandbox.Async{Delay: 50 * time.Millisecond, FailCode: failCode})
		answer := b.client.refundOne(t, "rf_1")
		// Nobody asks; the delay alone brings it.
		r, body := m.receive(t)
		header := r.Header.Clone()
		header.Set("response-time", header.Get("request-time")) // what is signed in a notification
		if err := b.client.verify(http.MethodPost, "/hooks/antom?shop=7&x=a%20b", header, body); err != nil {
			t.Errorf("signature: %v", err)
		}
		if header.Get("client-id") != clientID {
			t.Errorf("client-id %q", header.Get("client-id"))
		}
		var got map[string]any
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		if (got["refundTime"] != nil) != (status == "SUCCESS") {
			t.Errorf("%s with refundTime %v", status, got["refundTime"])
		}
		delete(got, "refundTime")
		result := map[string]any{"resultCode": "SUCCESS", "resultStatus": "S", "resultMessage": "success"}
		if failCode != "" {
			result = map[string]any{"resultCode": failCode, "resultStatus": "F", "resultMessage": "sandbox: " + failCode}
		}
		want := map[string]any{
			"notifyType": "REFUND_RESULT", "result": result, "refundStatus": status, "refundRequestId": "rf_1",
			"refundId": answer.RefundID, "refundAmount": map[string]any{"currency": "HKD", "value": "1000"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		m.wantSilence(t)
	}
}

func TestAMerchantsOwnAddressComesBeforeTheCommonOne(t *testing.T) {
	t.Parallel()
	common, own := newMerchant(t), newMerchant(t)
	b := setup(t, func(cfg *sandbox.Config) {
		cfg.Notify.URL, cfg.Clients[0].NotifyURL = common.url, own.url+"/antom/hk"
		cfg.Payments = []sandbox.Payment{{ID: payment, Minor: 10_000, Currency: "HKD", Async: &sandbox.Async{}}}
	})
	b.client.refundOne(t, "rf_1")
	b.client.inquire(t, "rf_1") // the look that ends it
	if r, _ := own.receive(t); r.URL.Path != "/antom/hk" {
		t.Errorf("announced to %s", r.URL)
	}
	common.wantSilence(t)
	want, deadline := sandbox.Deliveries{Sent: 1, Acknowledged: 1}, time.After(20*time.Second)
	for b.server.Deliveries() != want {
		select {
		case <-deadline:
			t.Fatalf("counted %+v, want %+v", b.server.Deliveries(), want)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestTheAddressInTheRequestWins(t *testing.T) {
	t.Parallel()
	dashboard, own := newMerchant(t), newMerchant(t)
	b := setupNotify(t, sandbox.Notify{URL: dashboard.url}, sandbox.Async{})
	body := strings.Replace(string(refundBody("rf_1", payment, "HKD", "1")), `{`, `{"refundNotifyUrl":"`+own.url+`/mine",`, 1)
	wantSays(t, b.client.send(t.Context(), t, http.MethodPost, refundPath, []byte(body)), "U REFUND_IN_PROCESS")
	b.client.inquire(t, "rf_1") // the look that ends it
	if r, _ := own.receive(t); r.URL.Path != "/mine" {
		t.Errorf("announced to %s", r.URL)
	}
	dashboard.wantSilence(t)
}

func TestDeliveryIsRepeatedUntilTheAcknowledgement(t *testing.T) {
	t.Parallel()
	refusals := []string{"500", "no JSON", `{"result":{"resultCode":"SUCCESS","resultStatus":"F"}}`, `{"result":{"resultCode":"LATER","resultStatus":"S"}}`}
	m := newMerchant(t, refusals...)
	b := setupNotify(t, sandbox.Notify{URL: m.url, Waits: sandbox.AntomRedelivery(1_000_000)}, sandbox.Async{})
	b.client.refundOne(t, "rf_1")
	b.client.inquire(t, "rf_1")
	_, first := m.receive(t)
	for range refusals {
		if _, again := m.receive(t); string(again) != string(first) {
			t.Errorf("first %s\nagain %s", first, again)
		}
	}
	m.wantSilence(t)
}

func TestAMerchantThatCannotBeReachedIsTriedAgain(t *testing.T) {
	t.Parallel()
	m := newMerchant(t)
	lost := make(chan struct{}, 1)
	lost <- struct{}{}
	b := setupNotify(t, sandbox.Notify{
		URL: m.url, Waits: sandbox.AntomRedelivery(1_000_000),
		HTTPClient: &http.Client{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
			select {
			case <-lost:
				return nil, errors.New("no route")
			default:
				return http.DefaultTransport.RoundTrip(r)
			}
		})},
	}, sandbox.Async{})
	b.client.refundOne(t, "rf_1")
	b.client.inquire(t, "rf_1")
	m.receive(t)
	if len(lost) != 0 {
		t.Error("the first delivery was not lost")
	}
}

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTheRealSandboxDoesNotRedeliver(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, "500")
	b := setupNotify(t, sandbox.Notify{URL: m.url}, sandbox.Async{})
	b.client.refundOne(t, "rf_1")
	b.client.inquire(t, "rf_1")
	m.receive(t)
	m.wantSilence(t)
}

func TestSynchronousAndDeclinedRefundsAreNotAnnounced(t *testing.T) {
	t.Parallel()
	m := newMerchant(t)
	b := setupNotify(t, sandbox.Notify{URL: m.url}, sandbox.Async{})
	wantSays(t, b.client.refund(t, "rf_1", "pay-sync", "HKD", "1"), "S SUCCESS")
	wantSays(t, b.client.refund(t, "rf_2", payment, "HKD", "99999"), "F REFUND_AMOUNT_EXCEED")
	m.wantSilence(t)
}

func TestCloseEndsDeliveries(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, "500", "500")
	b := setupNotify(t, sandbox.Notify{URL: m.url, Waits: sandbox.AntomRedelivery(1)}, sandbox.Async{})
	b.client.refundOne(t, "rf_1")
	b.client.inquire(t, "rf_1")
	m.receive(t)
	if err := b.server.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTheDocumentedScheduleHasEightDeliveriesIn24Hours(t *testing.T) {
	t.Parallel()
	waits := sandbox.AntomRedelivery(1)
	var sum time.Duration
	for _, d := range waits {
		sum += d
	}
	if len(waits)+1 != 8 || sum != 24*time.Hour+22*time.Minute {
		t.Errorf("%d deliveries over %s", len(waits)+1, sum)
	}
	if diff := cmp.Diff(waits, sandbox.AntomRedelivery(0)); diff != "" {
		t.Errorf("a divisor below 1 is not 1: %s", diff)
	}
}
