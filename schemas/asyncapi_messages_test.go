package schemas_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"refundworker/schemas"
)

// declared are the string constants of headers.go, by name.
func declared(t *testing.T) map[string]string {
	t.Helper()
	constants := map[string]string{}
	for _, constant := range regexp.MustCompile(`(?m)^\t(\w+) += "(.*)"$`).FindAllSubmatch(readFile(t, "headers.go"), -1) {
		constants[string(constant[1])] = string(constant[2])
	}
	return constants
}

// withPrefix are the values of the constants whose names begin so, sorted.
func withPrefix(constants map[string]string, prefix string) []string {
	var values []string
	for name, value := range constants {
		if strings.HasPrefix(name, prefix) {
			values = append(values, value)
		}
	}
	return slices.Sorted(slices.Values(values))
}

// fields are the properties that a headers schema names, with the schema of each, and those it requires.
func (c contract) fields(t *testing.T, schema object) (properties object, needed []string) {
	t.Helper()
	schema = c.follow(t, asyncAPIFile, schema)
	properties = object{}
	if named, ok := schema["properties"]; ok {
		maps.Copy(properties, to[object](t, named))
	}
	if list, ok := schema["required"]; ok {
		for _, name := range to[[]any](t, list) {
			needed = append(needed, to[string](t, name))
		}
	}
	if parts, ok := schema["allOf"]; ok {
		for _, part := range to[[]any](t, parts) {
			more, also := c.fields(t, to[object](t, part))
			maps.Copy(properties, more)
			needed = append(needed, also...)
		}
	}
	return properties, slices.Sorted(slices.Values(needed))
}

// enumOf is the list of the values of a schema.
func enumOf(t *testing.T, schema object) (values []string) {
	t.Helper()
	for _, value := range to[[]any](t, schema["enum"]) {
		values = append(values, to[string](t, value))
	}
	return values
}

func TestTheDocumentNamesEveryHeaderOfTheContractAndNoOther(t *testing.T) {
	t.Parallel()
	c := readContract(t)
	var documented []string
	for name := range c.at(t, "components", "messages") {
		properties, _ := c.fields(t, c.at(t, "components", "messages", name, "headers"))
		documented = append(documented, slices.Collect(maps.Keys(properties))...)
	}
	slices.Sort(documented)
	constants := declared(t)
	delete(constants, "HeaderSet") // a value, not a key
	if diff := cmp.Diff(withPrefix(constants, "Header"), slices.Compact(documented)); diff != "" {
		t.Errorf("(-headers.go +document):\n%s", diff)
	}
}

func TestTheDocumentNamesEveryEventTypeAndNoOther(t *testing.T) {
	t.Parallel()
	c := readContract(t)
	properties, _ := c.fields(t, c.at(t, "components", "schemas", "eventHeaders"))
	documented := enumOf(t, to[object](t, properties[schemas.HeaderCEType]))
	slices.Sort(documented)
	if diff := cmp.Diff(withPrefix(declared(t), "Type"), documented); diff != "" {
		t.Errorf("(-headers.go +document):\n%s", diff)
	}
	for message, want := range map[string]string{"Outcome": schemas.TypeOutcome, "CommandRejected": schemas.TypeRejected, "Signal": schemas.TypeSignal} {
		properties, _ := c.fields(t, c.at(t, "components", "messages", message, "headers"))
		if diff := cmp.Diff(object{"const": want}, properties[schemas.HeaderCEType]); diff != "" {
			t.Errorf("%s (-want +document):\n%s", message, diff)
		}
	}
}

func TestTheDocumentNamesEveryCodeWhereItBelongs(t *testing.T) {
	t.Parallel()
	c := readContract(t)
	var outcomes, rejections []string
	for _, info := range schemas.Codes() {
		if info.Status == "" {
			rejections = append(rejections, string(info.Code))
		} else {
			outcomes = append(outcomes, string(info.Code))
		}
	}
	properties, _ := c.fields(t, c.at(t, "components", "schemas", "deadLetterHeaders"))
	for place, tt := range map[string]struct {
		schema object
		want   []string
	}{
		"the outcome's code":   {c.at(t, "components", "messages", "Outcome", "payload", "properties", "code"), outcomes},
		"the rejection's code": {c.at(t, "components", "messages", "CommandRejected", "payload", "properties", "code"), rejections},
		"a dead letter's cause": {
			to[object](t, properties[schemas.HeaderCause]), append(slices.Clone(rejections), string(schemas.CodeNeedsReview)),
		},
	} {
		if diff := cmp.Diff(tt.want, enumOf(t, tt.schema)); diff != "" {
			t.Errorf("%s (-codes +document):\n%s", place, diff)
		}
	}
}

func TestTheLimitOfHeadersIsTheDecoders(t *testing.T) {
	t.Parallel()
	limit := readContract(t).at(t, "components", "schemas", "commandHeaders")["maxProperties"]
	if diff := cmp.Diff(any(json.Number(strconv.Itoa(schemas.MaxHeaders))), limit); diff != "" {
		t.Errorf("(-headers.go +document):\n%s", diff)
	}
}

func asMap(t *testing.T, hs []schemas.Header) object {
	t.Helper()
	m := make(object, len(hs))
	for _, h := range hs {
		m[h.Key] = string(h.Value)
	}
	return m
}

// TestTheHeadersAreThoseThatAreWritten compares the least and the most that the code writes with what each message
// requires and names.
func TestTheHeadersAreThoseThatAreWritten(t *testing.T) {
	t.Parallel()
	trace := []schemas.Header{
		{Key: schemas.HeaderTraceparent, Value: []byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")},
		{Key: schemas.HeaderTracestate, Value: []byte("vendor=opaque")},
	}
	origin := schemas.Origin{Topic: "refunds.commands", Partition: 3, Offset: 1042}
	out := schemas.Outcome{RequestID: "rf_1", OccurredAt: schemas.Time{Time: time.UnixMilli(1795262471123)}}
	rejection := schemas.Rejection{Origin: origin, OccurredAt: out.OccurredAt}
	named := rejection
	named.RequestID = "rf_1"
	replayed := schemas.Header{Key: schemas.HeaderReplayed, Value: []byte(schemas.HeaderSet)}
	memo := schemas.Memo{FingerprintVersion: 1, FingerprintSum: "f", FirstSeen: time.UnixMilli(1795262400000), GatewayKey: "rf_1"}.Headers()
	state := schemas.RetryState{
		Hop: 1, Attempt: 1, Due: time.UnixMilli(1795262471123), FirstSeen: time.UnixMilli(1795262400000), Origin: origin,
		MaybeSent: true, Account: "hk-stores", GatewayKey: "rf_1",
	}
	redrive := schemas.Signal{RequestID: "rf_1", Kind: schemas.SignalRedrive, OccurredAt: out.OccurredAt}
	notified := redrive
	notified.Kind, notified.Notification = schemas.SignalNotification, &schemas.Notification{Body: []byte("{}")}
	c := readContract(t)
	for message, written := range map[string]struct{ least, most []schemas.Header }{
		"Outcome": {
			schemas.OutcomeHeaders(out, schemas.ProgressEventID("rf_1", 1, "TOKEN"), "/refund-worker"),
			slices.Concat(schemas.OutcomeHeaders(out, schemas.FinalEventID("rf_1"), "/refund-worker"), memo, []schemas.Header{replayed}, trace),
		},
		"CommandRejected": {
			schemas.RejectionHeaders(rejection, rejection.Origin, "/refund-worker"), append(schemas.RejectionHeaders(named, named.Origin, "/refund-worker"), trace...),
		},
		"Signal": {schemas.SignalHeaders(redrive, "/refund-worker"), schemas.SignalHeaders(notified, "/refund-worker")},
		"RetryCopy": {
			schemas.RetryState{Due: state.Due, FirstSeen: state.FirstSeen, Origin: origin}.Headers(), append(state.Headers(), trace...),
		},
	} {
		properties, needed := c.fields(t, c.at(t, "components", "messages", message, "headers"))
		least, most := asMap(t, written.least), asMap(t, written.most)
		if diff := cmp.Diff(slices.Sorted(maps.Keys(least)), needed); diff != "" {
			t.Errorf("%s: required headers (-written +document):\n%s", message, diff)
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(most)), slices.Sorted(maps.Keys(properties))); diff != "" {
			t.Errorf("%s: headers (-written +document):\n%s", message, diff)
		}
		schema := c.compile(t, "asyncapi.yaml#/components/messages/"+message+"/headers")
		for _, headers := range []object{least, most} {
			if err := schema.Validate(headers); err != nil {
				t.Errorf("%s: %v", message, err)
			}
		}
	}
}

func TestEveryRetryStateIsOneToTheDocument(t *testing.T) {
	t.Parallel()
	schema := readContract(t).compile(t, "asyncapi.yaml#/components/schemas/retryHeaders")
	rapid.Check(t, func(rt *rapid.T) {
		moment := rapid.Int64Range(0, 253402300799999)
		state := schemas.RetryState{
			Hop: rapid.IntRange(0, 1<<31-1).Draw(rt, "hop"), Attempt: rapid.IntRange(0, 1<<31-1).Draw(rt, "attempt"),
			Due: time.UnixMilli(moment.Draw(rt, "due")), FirstSeen: time.UnixMilli(moment.Draw(rt, "first seen")),
			Origin: schemas.Origin{
				Topic:     rapid.StringMatching(`[A-Za-z0-9._-]{1,249}`).Draw(rt, "topic"),
				Partition: rapid.IntRange(0, 1<<31-1).Draw(rt, "partition"),
				Offset:    rapid.Int64Range(0, 1<<63-1).Draw(rt, "offset"),
			},
			MaybeSent:  rapid.Bool().Draw(rt, "maybe sent"),
			Account:    rapid.StringMatching(`([a-z0-9][a-z0-9._-]{0,63})?`).Draw(rt, "account"),
			GatewayKey: rapid.StringMatching(`[!-~]{0,64}`).Draw(rt, "gateway key"),
		}
		headers := asMap(t, state.Headers())
		if _, err := schemas.ParseRetryState(state.Headers()); err != nil {
			rt.Fatalf("%v: %v", headers, err)
		}
		if err := schema.Validate(headers); err != nil {
			rt.Fatal(err)
		}
	})
}

func TestWhatIsNoRetryStateIsNoneToTheDocument(t *testing.T) {
	t.Parallel()
	schema := readContract(t).compile(t, "asyncapi.yaml#/components/schemas/retryHeaders")
	whole := schemas.RetryState{
		Hop: 1, Due: time.UnixMilli(2), FirstSeen: time.UnixMilli(1), Origin: schemas.Origin{Topic: "refunds.commands"},
		MaybeSent: true, Account: "hk-stores", GatewayKey: "rf_1",
	}.Headers()
	for key, values := range map[string][]string{
		schemas.HeaderHop: {"", "-1", "+1", "01", "1.0", " 1", "10000000000"}, schemas.HeaderAttempt: {"", "x"},
		schemas.HeaderDue: {"", "2026-11-21T12:00:00Z", "1000000000000000"}, schemas.HeaderFirstSeen: {"", "1e3"},
		schemas.HeaderOrigin:    {"", "t", "t/0", "/0/0", "t/0/", "t/00/0", "a b/0/0", "t/0/0/0"},
		schemas.HeaderMaybeSent: {"", "0", "true"},
		schemas.HeaderAccount:   {"", "HK", "-hk"}, schemas.HeaderGatewayKey: {"", "a b", strings.Repeat("k", 65)},
	} {
		for _, value := range values {
			broken := slices.Clone(whole)
			at := slices.IndexFunc(broken, func(h schemas.Header) bool { return h.Key == key })
			broken[at].Value = []byte(value)
			if state, err := schemas.ParseRetryState(broken); err == nil {
				t.Errorf("%s %q is read as %+v", key, value, state)
			}
			if schema.Validate(asMap(t, broken)) == nil {
				t.Errorf("%s %q obeys the document", key, value)
			}
		}
	}
}
