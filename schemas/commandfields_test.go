package schemas

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// reporter is what a test, a fuzz target and a rapid check have in common.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// agree holds the hand-written reader and the published schema to the same verdict on a message, and the reader's
// pointer to one of the places that the schema complains about.
func agree(t reporter, root *value) {
	t.Helper()
	_, f := readCommand(root)
	err := validate(CommandSchema, root.tree())
	if (f == nil) != (err == nil) {
		t.Errorf("the reader says %v, the schema says %v", f, err)
		return
	}
	if f == nil {
		return
	}
	pointers := schemaPointers(CommandSchema, root.tree())
	if !slices.Contains(pointers, f.pointer) {
		t.Errorf("the reader points at %q, the schema at %q", f.pointer, pointers)
	}
}

func TestTheCommandReaderIsTheSchemaOnEveryGoldenMessage(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"accepted", "refused"} {
		for name, raw := range golden(t, folder) {
			t.Run(folder+"/"+name, func(t *testing.T) {
				t.Parallel()
				root, f := parseJSON(raw)
				if f != nil {
					return // what cannot be parsed never reaches either
				}
				agree(t, &root)
			})
		}
	}
}

func TestTheCommandReaderIsTheSchemaOnBrokenMessages(t *testing.T) {
	t.Parallel()
	files := golden(t, "accepted")
	for _, name := range []string{"full", "eftpay-full"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			breakEverything(t, files[name], func(broken []byte) {
				root, f := parseJSON(broken)
				if f != nil {
					t.Fatal(f)
				}
				agree(t, &root)
			})
		})
	}
}

// TestTheCommandReaderIsTheSchemaOnGeneratedMessages puts values from both sides of each rule into every field.
func TestTheCommandReaderIsTheSchemaOnGeneratedMessages(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		root, f := parseJSON(marshal(t, genCommand(rt)))
		if f != nil {
			rt.Fatalf("a marshalled value does not parse: %v", f)
		}
		agree(rt, &root)
	})
}

// strange are values that are wrong nearly everywhere.
func strange() []any {
	return []any{
		nil, true, 0, -1, 1.0, 1.5, "", "x", " ", "a b", "a\x00", "é", "ä\u0085", "\u2028",
		[]any{},
		map[string]any{},
		map[string]any{"currency": "HKD"},
		map[string]any{"value": "1", "currency": "hkd"},
		"2026-11-28", "1001",
	}
}

// limits are values of the same kind on both sides of every limit of the contract.
func limits(good any) (values []any) {
	switch good.(type) {
	case string:
		for _, n := range []int{16, 28, 32, 64, 128, 249, 256} {
			values = append(values, strings.Repeat("x", n), strings.Repeat("x", n+1), strings.Repeat("é", n), strings.Repeat("é", n+1))
		}
	case float64:
		for _, n := range []json.Number{"2147483647", "2147483648", "9223372036854775807", "9223372036854775808", "1e2", "1e-2"} {
			values = append(values, n)
		}
	}
	return values
}

func genCommand(rt *rapid.T) map[string]any {
	money := []any{
		map[string]any{"currency": "HKD", "value": "1001"},
		map[string]any{"currency": "JPY", "value": "1", "more": 1},
		map[string]any{"currency": "HKD", "value": "01"},
		map[string]any{"currency": "HKD", "value": 1},
		map[string]any{"currency": "XAU", "value": "1"},
	}
	choices := map[string][]any{
		"schemaVersion":     {1, 1, 1, 0, 1.0, "1"},
		"requestId":         {"rf_1", "A-z_9", "x.y", string(make([]byte, 64))},
		"gateway":           {"antom", "antom", "eftpay", "eftpay", "Antom"},
		"account":           {"hk-stores", "9", "-x", "hk.stores_1", "HK"},
		"paymentId":         {"2026", "!~", "1234567890123456789012345678", "12345678901234567890123456789", "a/b"},
		"amount":            money,
		"originalAmount":    money,
		"reason":            {"item returned", "退貨", "a\tb", "\x7f"},
		"referenceRefundId": {"shop-778", "a b"},
		"deadline":          {"2026-11-28T00:00:00.000Z", "2026-11-28T00:00:00+08:00", "2026-02-30T00:00:00Z", "2026-11-28T00:00:60Z", "2026-11-28T23:59:59.1-23:59"},
		"batchId":           {"recall", "批 次", "a\u009f"},
		"metadata":          {map[string]any{}, map[string]any{"a": "b"}, map[string]any{"a": 1}, map[string]any{"": "\x00"}},
		"eftpay": {
			map[string]any{"paymentType": "ALIPAYHK"},
			map[string]any{"paymentType": "PAYME", "service": "x", "payType": "y", "buyerType": "ios"},
			map[string]any{"paymentType": "PAYME", "buyerType": "IOS"},
			map[string]any{"paymentType": "alipayhk"},
			map[string]any{"paymentType": "PAYME", "payType": "more than sixteen"},
		},
		"unknown": {1},
	}
	required := []string{"schemaVersion", "requestId", "gateway", "paymentId", "amount"}
	cmd := make(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(choices)) {
		values := choices[name]
		present := rapid.IntRange(0, 3).Draw(rt, name+" present")
		if slices.Contains(required, name) {
			present += 3 - rapid.IntRange(0, 9).Draw(rt, name+" left out")/9*6
		}
		if present < 3 {
			continue
		}
		// The first choice is a valid one, and is taken most of the time: else no message ever were.
		switch n := rapid.IntRange(0, 19).Draw(rt, name+" choice"); {
		case n < 16:
			cmd[name] = values[0]
		case n < 19:
			cmd[name] = rapid.SampledFrom(values).Draw(rt, name)
		default:
			cmd[name] = rapid.SampledFrom(strange()).Draw(rt, name)
		}
	}
	return cmd
}

func FuzzDecodeCommand(f *testing.F) {
	for _, folder := range []string{"accepted", "refused"} {
		for _, raw := range golden(f, folder) {
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if root, fault := parseJSON(raw); fault == nil {
			agree(t, &root)
		}
		cmd, err := DecodeCommand(raw)
		if err != nil {
			var e *DecodeError
			if !errors.As(err, &e) || e.Code == "" || e.Detail == "" {
				t.Fatalf("error %#v has no code or no detail", err)
			}
			if e.RequestID != "" && !validRequestID(e.RequestID) {
				t.Fatalf("request ID %q of the error is not a valid one", e.RequestID)
			}
			return
		}
		encoded := marshal(t, cmd)
		root, fault := parseJSON(encoded)
		if fault != nil {
			t.Fatalf("the command encodes to what does not parse: %+v", fault)
		}
		if err := validate(CommandSchema, root.tree()); err != nil {
			t.Fatalf("the command encodes to what the schema refuses: %v", err)
		}
		again, err := DecodeCommand(encoded)
		if err != nil {
			t.Fatalf("the command encodes to what is refused: %v", err)
		}
		if diff := cmp.Diff(cmd, again); diff != "" {
			t.Fatalf("(-first +again):\n%s", diff)
		}
	})
}
