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
	want := map[string]string{
		"ce_specversion": "1.0", "ce_id": "rf_20261121_000042/final", "ce_type": "refund.outcome.v1",
		"ce_source": "/refund-worker/hk", "ce_subject": "rf_20261121_000042", "ce_time": "2026-11-21T12:01:01.123Z",
		"content-type": "application/json",
	}
	hs := OutcomeHeaders(o, FinalEventID(o.RequestID), "/refund-worker/hk")
	if diff := cmp.Diff(want, headerMap(t, hs)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestATraceContextIsTheFirstTraceparentWithItsState(t *testing.T) {
	t.Parallel()
	parent, state, foreign := Header{"traceparent", []byte("p")}, Header{"tracestate", []byte("s")}, Header{"x", []byte("y")}
	for name, tt := range map[string]struct{ message, context, without []Header }{
		"none":           {[]Header{foreign}, nil, []Header{foreign}},
		"a parent":       {[]Header{parent, foreign}, []Header{parent}, []Header{foreign}},
		"both":           {[]Header{foreign, state, parent}, []Header{parent, state}, []Header{foreign}},
		"a state alone":  {[]Header{state}, nil, []Header{}},
		"empty":          {[]Header{{"traceparent", nil}, state}, nil, []Header{}},
		"an empty state": {[]Header{parent, {"tracestate", nil}}, []Header{parent}, []Header{}},
		"two of each": {
			[]Header{parent, {"traceparent", []byte("q")}, state, {"tracestate", []byte("r")}}, []Header{parent, state}, []Header{},
		},
	} {
		if diff := cmp.Diff(tt.context, TraceHeaders(tt.message)); diff != "" {
			t.Errorf("%s: context (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(tt.without, WithoutTraceHeaders(tt.message)); diff != "" {
			t.Errorf("%s: the rest (-want +got):\n%s", name, diff)
		}
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
	if diff := cmp.Diff(want, headerMap(t, RejectionHeaders(r, r.Origin, "/s"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	r.RequestID = "rf_1"
	if subject, _ := HeaderValue(RejectionHeaders(r, r.Origin, "/s"), HeaderCESubject); string(subject) != "rf_1" {
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
