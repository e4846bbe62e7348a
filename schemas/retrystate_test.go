package schemas

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// copied is a retry state with every field set.
func copied() RetryState {
	return RetryState{
		Hop: 3, Attempt: 2, Due: time.UnixMilli(1795262471123).UTC(), FirstSeen: time.UnixMilli(1795262461123).UTC(),
		Origin: Origin{Topic: "refunds.commands", Partition: 3, Offset: 1042}, MaybeSent: true,
		Account: "hk-stores", GatewayKey: "rf_20261121_000042",
	}
}

func TestARetryStateIsWrittenAsTheContractSays(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"refund-hop": "3", "refund-attempt": "2", "refund-due": "1795262471123", "refund-first-seen": "1795262461123",
		"refund-origin": "refunds.commands/3/1042", "refund-maybe-sent": "1", "refund-account": "hk-stores",
		"refund-gateway-key": "rf_20261121_000042",
	}
	if diff := cmp.Diff(want, headerMap(t, copied().Headers())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestARetryStateSurvivesItsHeaders(t *testing.T) {
	t.Parallel()
	parked := RetryState{Due: time.UnixMilli(0).UTC(), FirstSeen: time.UnixMilli(maxWireMillis).UTC(), Origin: Origin{Topic: "t"}}
	for name, want := range map[string]RetryState{"a copy": copied(), "a parked command that was never claimed": parked} {
		others := []Header{{HeaderTraceparent, []byte("x")}, {HeaderCEID, nil}, {HeaderTraceparent, []byte("y")}}
		got, err := ParseRetryState(append(others, want.Headers()...))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestParseRetryStateRefuses(t *testing.T) {
	t.Parallel()
	required := []string{HeaderHop, HeaderAttempt, HeaderDue, HeaderFirstSeen, HeaderOrigin}
	all := append(slices.Clone(required), HeaderMaybeSent, HeaderAccount, HeaderGatewayKey)
	number := []string{"", "-1", "+1", " 1", "1 ", "1.0", "1e3", "01", "0x1", "99999999999999999999", "9223372036854775807", "one", "١"}
	bad := map[string][]string{
		HeaderHop: append(number, "2147483648"), HeaderAttempt: append(number, "2147483648"),
		HeaderDue: append(number, "253402300800000"), HeaderFirstSeen: append(number, "253402300800000"),
		HeaderOrigin:    {"", "t", "t/1", "t/1/2/3", "/1/2", "t/-1/2", "t/1/-2", "t/01/2", "a/b/1/2", "t t/1/2"},
		HeaderMaybeSent: {"", "0", "true", "2", "11"}, HeaderAccount: {"", "HK", "a b", "a\x00"},
		HeaderGatewayKey: {"", "a b", "\x00", strings.Repeat("k", 65)},
	}
	refused := func(hs []Header, key string) {
		t.Helper()
		s, err := ParseRetryState(hs)
		var e *HeaderError
		if !errors.As(err, &e) || e.Header != key || !strings.HasPrefix(err.Error(), "header "+key+": ") || s != (RetryState{}) {
			t.Errorf("%s: %+v, %v", key, s, err)
		}
	}
	without := func(key string) []Header {
		return slices.DeleteFunc(copied().Headers(), func(h Header) bool { return h.Key == key })
	}
	for _, key := range required {
		refused(without(key), key)
	}
	for _, key := range all {
		value, _ := HeaderValue(copied().Headers(), key)
		refused(append(copied().Headers(), Header{key, value}), key)
		for _, text := range bad[key] {
			refused(append(without(key), Header{key, []byte(text)}), key)
		}
	}
	refused(nil, HeaderHop)
}

func TestParseOriginReadsWhatStringWrites(t *testing.T) {
	t.Parallel()
	for _, want := range []Origin{
		{"refunds.commands", 0, 0},
		{"refunds.retry.10s", 2147483647, 9223372036854775807},
		{strings.Repeat("a", 249), 1, 2},
	} {
		if got, err := ParseOrigin(want.String()); err != nil || got != want {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
}

func TestParseOriginRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "/", "//", "t", "t/1", "t/1/", "t//1", "/1/2", "t/1/2/", "t/1/2/3", "t/x/1", "t/1/x", "t/-1/2", "t/1/-2", "t/2147483648/1",
		"t/1/9223372036854775808", "t/01/2", "t/1/02", "t\x00/1/2", strings.Repeat("a", 250) + "/1/2",
	} {
		if got, err := ParseOrigin(text); !errors.Is(err, ErrOrigin) || got != (Origin{}) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func FuzzParseRetryState(f *testing.F) {
	f.Add("3", "2", "1795262471123", "1795262461123", "refunds.commands/3/1042", "1", "hk-stores", "rf_1")
	f.Add("0", "0", "0", "0", "t/0/0", "", "", "")
	f.Add("-1", "1e3", "99999999999999999999", "01", "a/b/c/d", "0", "A", "\x00")
	f.Fuzz(func(t *testing.T, hop, attempt, due, firstSeen, origin, maybeSent, account, key string) {
		var hs []Header
		for _, h := range []struct{ key, value string }{
			{HeaderHop, hop},
			{HeaderAttempt, attempt},
			{HeaderDue, due},
			{HeaderFirstSeen, firstSeen},
			{HeaderOrigin, origin},
			{HeaderMaybeSent, maybeSent},
			{HeaderAccount, account},
			{HeaderGatewayKey, key},
		} {
			if h.value != "" {
				hs = append(hs, Header{h.key, []byte(h.value)})
			}
		}
		s, err := ParseRetryState(hs)
		if err != nil {
			if _, ok := errors.AsType[*HeaderError](err); !ok {
				t.Fatalf("%v is no HeaderError", err)
			}
			return
		}
		if diff := cmp.Diff(hs, s.Headers()); diff != "" {
			t.Fatalf("what is accepted is not what is written (-read +written):\n%s", diff)
		}
	})
}
