package schemas

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestDecodeOutcomeRefuses(t *testing.T) {
	t.Parallel()
	success := string(golden(t, "outcomes")["success"])
	for name, tc := range map[string]struct {
		raw, pointer string
		code         Code
		newer        bool
	}{
		"what is no JSON":             {"no", "", CodeUnreadable, false},
		"duplicate keys":              {strings.Replace(success, `"hop"`, `"attempt"`, 1), "/attempt", CodeUnreadable, false},
		"more than any outcome has":   {strings.Repeat(" ", MaxOutcomeBytes+1), "", CodeTooLarge, false},
		"a newer version":             {strings.Replace(success, `"schemaVersion": 1`, `"schemaVersion": 2`, 1), "/schemaVersion", CodeSchemaViolation, true},
		"a missing field":             {strings.Replace(success, `"giveUpAt"`, `"giveupat"`, 1), "/giveUpAt", CodeSchemaViolation, false},
		"a time without milliseconds": {strings.Replace(success, "12:01:01.123Z", "12:01:01Z", 1), "/occurredAt", CodeSchemaViolation, false},
		"a number for an amount":      {strings.Replace(success, `"value": "1001"`, `"value": 1001`, 1), "/amount/value", CodeSchemaViolation, false},
		"a fraction for an attempt":   {strings.Replace(success, `"attempt": 1`, `"attempt": 1.5`, 1), "/attempt", CodeSchemaViolation, false},
		"what is no object":           {`[]`, "", CodeSchemaViolation, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := DecodeOutcome([]byte(tc.raw))
			var e *DecodeError
			if !errors.As(err, &e) || e.Code != tc.code || e.Pointer != tc.pointer || errors.Is(err, ErrNewerVersion) != tc.newer {
				t.Errorf("error %v, want %s at %q", err, tc.code, tc.pointer)
			}
		})
	}
}

func TestDecodeRejectionRefusesAnOutcome(t *testing.T) {
	t.Parallel()
	if r, err := DecodeRejection(golden(t, "outcomes")["success"]); err == nil {
		t.Errorf("got %+v", r)
	}
}

func TestAStrangerThatDiffersInCaseOnlyDoesNotOverwriteAField(t *testing.T) {
	t.Parallel()
	raw := strings.Replace(string(golden(t, "outcomes")["success"]), `"final": true`, `"final": true, "Final": false, "STATUS": "failed"`, 1)
	raw = strings.Replace(raw, `"value": "128"`, `"value": "128", "VALUE": "9999"`, 1)
	o, err := DecodeOutcome([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(t), o); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTheOutcomeCheckAndReaderAreTheSchema holds the hand-written check, the reader and the published schema to the
// same verdict on outcomes from both sides of each rule.
func TestTheOutcomeCheckAndReaderAreTheSchema(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		o := genOutcome(rt)
		f := o.check()
		raw, err := json.Marshal(o)
		if err != nil {
			rt.Fatal(err)
		}
		root, unreadable := parseJSON(raw)
		if unreadable != nil {
			rt.Fatalf("a marshalled outcome does not parse: %v", unreadable)
		}
		agreeOutcome(rt, &root)
		if pointers := schemaPointers(OutcomeSchema, root.tree()); f == nil && pointers != nil || f != nil && !slices.Contains(pointers, f.pointer) {
			rt.Errorf("the check says %+v, the schema complains about %q", f, pointers)
		}
	})
}

func genOutcome(rt *rapid.T) Outcome {
	// The first of each is valid and taken most of the time. Invalid UTF-8 is left out: the encoder mends it before the
	// schema could see it.
	text := func(name, valid string, others ...string) string {
		if rapid.IntRange(0, 24).Draw(rt, name+"?") > 0 {
			return valid
		}
		return rapid.SampledFrom(append(others, "", "\x00", strings.Repeat("é", 129), strings.Repeat("x", 250))).Draw(rt, name)
	}
	number := func(name string) int64 {
		if rapid.IntRange(0, 24).Draw(rt, name+"?") > 0 {
			return 1
		}
		return rapid.SampledFrom([]int64{-1, 0, maxMinor, maxMinor + 1, math.MaxInt32, math.MaxInt32 + 1, math.MaxInt64}).Draw(rt, name)
	}
	money := func(name string) *Money {
		return &Money{Minor: number(name), Currency: text(name+" currency", "HKD", "XAU", "hkd")}
	}
	moment := func(name string) *Time {
		seconds := []int64{1795262461}
		if rapid.IntRange(0, 24).Draw(rt, name+"?") == 0 {
			seconds = []int64{0, -62135596800, -30610224001, -30610224000, 32503679999, 32503680000, 1 << 40}
		}
		return &Time{time.Unix(rapid.SampledFrom(seconds).Draw(rt, name), 0)}
	}
	maybe := func(name string) bool { return rapid.Bool().Draw(rt, name) }
	info := rapid.SampledFrom(Codes()).Draw(rt, "code")
	o := Outcome{
		SchemaVersion: int(number("version")), RequestID: text("request", "rf_1", "a.b"), Status: info.Status,
		Final: info.Status != RetryPending, NeedsReview: info.Code == CodeNeedsReview, Code: info.Code,
		Gateway: Gateway(text("gateway", "eftpay", "other")), Account: text("account", "hk", "HK"),
		PaymentID: text("payment", "2026", "a b"), Amount: *money("amount"),
		GatewayRefundID: text("refund ID", "1"), GatewayCode: text("gateway code", "S"), GatewayMessage: text("message", "m"),
		Attempt: int(number("attempt")), Hop: int(number("hop")),
		Origin:  Origin{text("topic", "a.b-c_d", "a/b"), int(number("partition")), number("offset")},
		BatchID: text("batch", "b", "a\tb"), OccurredAt: *moment("at"),
	}
	if maybe("strange status") && maybe("very strange status") {
		o.Status = rapid.SampledFrom([]Status{Success, Failed, RetryPending, "", "done"}).Draw(rt, "status")
		o.Final, o.NeedsReview = maybe("final"), maybe("review")
	}
	if maybe("refunded") {
		o.RefundedAmount, o.RefundTime = money("refunded amount"), moment("refund time")
	}
	if maybe("settled") {
		o.Settlement = &Settlement{
			Amount: money("settlement"),
			Quote:  &Quote{text("pair", "HKD/USD"), text("price", "0.128"), text("quote", "q")},
		}
	}
	if !o.Final || maybe("promise") && maybe("strange promise") {
		o.NextAttemptAt, o.GiveUpAt = moment("next"), moment("give up")
	}
	if maybe("metadata") {
		o.Metadata = map[string]string{"a": "b"}
	}
	return o
}

// agreeOutcome holds the reader and the published schema to the same verdict on a message.
func agreeOutcome(t reporter, root *value) {
	t.Helper()
	_, f := readOutcome(root)
	pointers := schemaPointers(OutcomeSchema, root.tree())
	if f == nil && pointers != nil || f != nil && !slices.Contains(pointers, f.pointer) {
		t.Errorf("the reader says %+v, the schema complains about %q", f, pointers)
	}
}

// TestTheOutcomeReaderIsTheSchemaOnBrokenMessages leaves out, nulls and replaces every field of a valid outcome in turn.
func TestTheOutcomeReaderIsTheSchemaOnBrokenMessages(t *testing.T) {
	t.Parallel()
	files := golden(t, "outcomes")
	for _, name := range []string{"success", "retry-pending"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			breakEverything(t, files[name], func(broken []byte) {
				root, f := parseJSON(broken)
				if f != nil {
					t.Fatal(f)
				}
				agreeOutcome(t, &root)
			})
		})
	}
}

// breakEverything calls try with the message in which one member, at any depth, is left out or has a strange value.
func breakEverything(t *testing.T, raw []byte, try func(broken []byte)) {
	t.Helper()
	var whole any
	if err := json.Unmarshal(raw, &whole); err != nil {
		t.Fatal(err)
	}
	var walk func(v any)
	walk = func(v any) {
		object, ok := v.(map[string]any)
		if !ok {
			return
		}
		for name, good := range object {
			walk(good)
			delete(object, name)
			try(marshal(t, whole))
			for _, bad := range append(strange(), limits(good)...) {
				object[name] = bad
				try(marshal(t, whole))
			}
			object[name] = good
		}
	}
	walk(whole)
}

func TestDecodeRejectionTellsANewerVersionAndWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	if _, err := DecodeRejection([]byte(`{"schemaVersion":2}`)); !errors.Is(err, ErrNewerVersion) {
		t.Errorf("error %v, want %v", err, ErrNewerVersion)
	}
	_, err := DecodeRejection([]byte(`{`))
	if e, ok := errors.AsType[*DecodeError](err); !ok || e.Code != CodeUnreadable {
		t.Errorf("error %v, want UNREADABLE", err)
	}
}

func FuzzDecodeOutcome(f *testing.F) {
	for _, folder := range []string{"outcomes", "rejections"} {
		for _, raw := range golden(f, folder) {
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if root, fault := parseJSON(raw); fault == nil {
			agreeOutcome(t, &root)
		}
		o, err := DecodeOutcome(raw)
		if err != nil {
			if _, ok := errors.AsType[*DecodeError](err); !ok {
				t.Fatalf("%v is no DecodeError", err)
			}
			return
		}
		encoded, err := EncodeOutcome(o)
		if err != nil {
			t.Fatalf("what is read cannot be written: %v", err)
		}
		again, err := DecodeOutcome(encoded)
		if o.Settlement != nil && *o.Settlement == (Settlement{}) {
			o.Settlement = nil // an empty one says nothing and is not written
		}
		if diff := cmp.Diff(o, again); err != nil || diff != "" {
			t.Fatalf("%v (-first +again):\n%s", err, diff)
		}
	})
}

func FuzzDecodeRejection(f *testing.F) {
	for _, folder := range []string{"outcomes", "rejections"} {
		for _, raw := range golden(f, folder) {
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := DecodeRejection(raw)
		if err != nil {
			if _, ok := errors.AsType[*DecodeError](err); !ok {
				t.Fatalf("%v is no DecodeError", err)
			}
			return
		}
		encoded, err := EncodeRejection(r)
		if err != nil {
			t.Fatalf("what is read cannot be written: %v", err)
		}
		again, err := DecodeRejection(encoded)
		if diff := cmp.Diff(r, again); err != nil || diff != "" {
			t.Fatalf("%v (-first +again):\n%s", err, diff)
		}
	})
}
