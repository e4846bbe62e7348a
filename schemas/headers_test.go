package schemas

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func headerMap(t *testing.T, hs []Header) map[string]string {
	t.Helper()
	m := make(map[string]string, len(hs))
	for _, h := range hs {
		if _, twice := m[h.Key]; twice {
			t.Errorf("header %s appears twice", h.Key)
		}
		m[h.Key] = string(h.Value)
	}
	return m
}

func TestOutcomeHeadersAreCloudEventsInBinaryMode(t *testing.T) {
	t.Parallel()
	o := sample(t)
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	want := map[string]string{
		"ce_specversion": "1.0", "ce_id": "rf_20261121_000042/final", "ce_type": "refund.outcome.v1",
		"ce_source": "/refund-worker/hk", "ce_subject": "rf_20261121_000042", "ce_time": "2026-11-21T12:01:01.123Z",
		"content-type": "application/json", "traceparent": trace,
	}
	hs := OutcomeHeaders(o, FinalEventID(o.RequestID), "/refund-worker/hk", []byte(trace))
	if diff := cmp.Diff(want, headerMap(t, hs)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, found := HeaderValue(OutcomeHeaders(o, "id", "/s", nil), HeaderTraceparent); found {
		t.Error("a trace context out of nothing")
	}
}

func TestRejectionHeadersNameTheMessagesPlace(t *testing.T) {
	t.Parallel()
	r := Rejection{
		Code: CodeUnreadable, Origin: Origin{Topic: "refunds.commands", Partition: 3, Offset: 1042},
		OccurredAt: Time{time.Date(2026, 11, 21, 20, 1, 1, 999_999_999, time.FixedZone("HKT", 8*3600))},
	}
	want := map[string]string{
		"ce_specversion": "1.0", "ce_id": "refunds.commands/3/1042", "ce_type": "refund.command-rejected.v1",
		"ce_source": "/s", "ce_time": "2026-11-21T12:01:01.999Z", "content-type": "application/json",
	}
	if diff := cmp.Diff(want, headerMap(t, RejectionHeaders(r, "/s", nil))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	r.RequestID = "rf_1"
	if subject, _ := HeaderValue(RejectionHeaders(r, "/s", nil), HeaderCESubject); string(subject) != "rf_1" {
		t.Errorf("subject %q", subject)
	}
}

func TestEventIDsAreTheContracts(t *testing.T) {
	t.Parallel()
	if got := FinalEventID("rf_1"); got != "rf_1/final" {
		t.Error(got)
	}
	if got := ProgressEventID("rf_1", 2, "token"); got != "rf_1/2/token" {
		t.Error(got)
	}
}

func TestHeaderValueFindsTheFirst(t *testing.T) {
	t.Parallel()
	hs := []Header{{"a", []byte("1")}, {"b", []byte("2")}, {"a", []byte("3")}, {"empty", nil}}
	for key, want := range map[string]string{"a": "1", "b": "2", "empty": ""} {
		if got, found := HeaderValue(hs, key); !found || string(got) != want {
			t.Errorf("%s: %q, %t", key, got, found)
		}
	}
	if got, found := HeaderValue(hs, "A"); found {
		t.Errorf("A: %q", got)
	}
}

func TestCheckHeadersHoldsItsLimitsToTheByte(t *testing.T) {
	t.Parallel()
	many := func(n int) []Header { return make([]Header, n) }
	large := func(n int) []Header { return []Header{{"key", nil}, {"k", []byte(strings.Repeat("v", n-4))}} }
	for name, tc := range map[string]struct {
		headers []Header
		taken   bool
	}{
		"none":          {nil, true},
		"64 headers":    {many(MaxHeaders), true},
		"65 headers":    {many(MaxHeaders + 1), false},
		"16 KiB":        {large(MaxHeaderBytes), true},
		"16 KiB and 1":  {large(MaxHeaderBytes + 1), false},
		"a long key":    {[]Header{{strings.Repeat("k", MaxHeaderBytes+1), nil}}, false},
		"a retry state": {RetryState{MaybeSent: true, Account: "a", GatewayKey: "k"}.Headers(), true},
	} {
		err := CheckHeaders(tc.headers)
		var e *DecodeError
		if errors.As(err, &e) == tc.taken || e != nil && e.Code != CodeTooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
}
