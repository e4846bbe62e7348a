package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

var documents = []Document{CommandSchema, OutcomeSchema, RejectionSchema, SignalSchema}

// schemaPointers are all places of a message that a document complains about.
func schemaPointers(d Document, tree any) []string {
	compiled, err := compiledSchemas()
	if err != nil {
		return []string{err.Error()}
	}
	var violation *jsonschema.ValidationError
	if !errors.As(compiled[d].Validate(tree), &violation) {
		return nil
	}
	var pointers []string
	for _, f := range schemaFaults(violation) {
		pointers = append(pointers, f.pointer)
	}
	return pointers
}

func readDocument(tb testing.TB, d Document) map[string]any {
	tb.Helper()
	text, err := d.JSON()
	if err != nil {
		tb.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		tb.Fatal(err)
	}
	return doc
}

func TestEveryDocumentIsAValidSchemaOf202012(t *testing.T) {
	t.Parallel()
	const dialect = "https://json-schema.org/draft/2020-12/schema"
	meta, err := jsonschema.NewCompiler().Compile(dialect)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range documents {
		doc := readDocument(t, d)
		if doc["$schema"] != dialect {
			t.Errorf("%s: $schema is %v", d, doc["$schema"])
		}
		if err := meta.Validate(doc); err != nil {
			t.Errorf("%s: %v", d, err)
		}
		text, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if _, f := parseJSON(text); f != nil {
			t.Errorf("%s is not strict JSON: %v", d, f)
		}
	}
}

func TestADocumentThatIsNoneIsNotFound(t *testing.T) {
	t.Parallel()
	if text, err := Document("refund").JSON(); err == nil {
		t.Errorf("got %q", text)
	}
}

func TestEveryFieldHasATitleAndADescription(t *testing.T) {
	t.Parallel()
	var walk func(t *testing.T, at string, schema map[string]any)
	walk = func(t *testing.T, at string, schema map[string]any) {
		t.Helper()
		properties, _ := schema["properties"].(map[string]any)
		for name, p := range properties {
			field := as[map[string]any](t, p)
			walk(t, at+"/"+name, field)
			if ref, ok := field["$ref"]; ok && ref == "#/$defs/currency" {
				continue // the definition says it
			}
			for _, key := range []string{"title", "description"} {
				if text, _ := field[key].(string); text == "" {
					t.Errorf("%s/%s has no %s", at, name, key)
				}
			}
		}
		definitions, _ := schema["$defs"].(map[string]any)
		for name, d := range definitions {
			walk(t, at+"/$defs/"+name, as[map[string]any](t, d))
		}
	}
	for _, d := range documents {
		walk(t, string(d), readDocument(t, d))
	}
}

func TestNothingIsEverFetched(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{"http://127.0.0.1:1/x.json", "https://example.com/x.json", "file:///etc/hostname", "urn:other:document"} {
		_, err := compileSchema([]byte(`{"$ref":"` + ref + `"}`))
		var load *jsonschema.LoadURLError
		if !errors.As(err, &load) || !errors.Is(load.Err, errNoFetch) {
			t.Errorf("%s: error %v, want %v", ref, err, errNoFetch)
		}
	}
}

func TestASchemaThatIsNotOneDoesNotCompile(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"type":"thing"}`, `{`, `{"$ref":"#/nowhere"}`} {
		if _, err := compileSchema([]byte(text)); err == nil {
			t.Errorf("%s compiled", text)
		}
	}
}

func TestFormatsAreAsserted(t *testing.T) {
	t.Parallel()
	s, err := compileSchema([]byte(`{"format":"date-time"}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate("2026-02-30T00:00:00Z"); err == nil {
		t.Error("the thirtieth of February is taken for a date")
	}
}

// as is a JSON value of the type that the document must have there.
func as[T any](t *testing.T, v any) T {
	t.Helper()
	typed, ok := v.(T)
	if !ok {
		t.Fatalf("%v is a %T", v, v)
	}
	return typed
}

// enum reads the list at a path of a document.
func enum(t *testing.T, d Document, path ...string) []string {
	t.Helper()
	var node any = readDocument(t, d)
	for _, name := range append(path, "enum") {
		node = as[map[string]any](t, node)[name]
	}
	var list []string
	for _, item := range as[[]any](t, node) {
		list = append(list, as[string](t, item))
	}
	return list
}

func TestTheSchemasListExactlyTheCodesOfTheContract(t *testing.T) {
	t.Parallel()
	codes := func(statuses ...Status) (list []string) {
		for _, info := range Codes() {
			if slices.Contains(statuses, info.Status) {
				list = append(list, string(info.Code))
			}
		}
		return list
	}
	if diff := cmp.Diff(codes(Success, Failed, RetryPending), enum(t, OutcomeSchema, "properties", "code")); diff != "" {
		t.Errorf("outcome.schema.json (-codes +schema):\n%s", diff)
	}
	if diff := cmp.Diff(codes(""), enum(t, RejectionSchema, "properties", "code")); diff != "" {
		t.Errorf("command-rejected.schema.json (-codes +schema):\n%s", diff)
	}
	rules := as[[]any](t, readDocument(t, OutcomeSchema)["allOf"])
	for i, status := range []Status{Success, Failed, RetryPending} {
		rule := string(marshal(t, rules[i]))
		if !strings.Contains(rule, `"status":{"const":"`+string(status)+`"}`) ||
			!strings.Contains(rule, `"code":{"enum":`+string(marshal(t, codes(status)))+"}") {
			t.Errorf("the schema's rule for %s is %s, want the codes %q", status, rule, codes(status))
		}
	}
}

func TestTheSchemasListExactlyTheCurrenciesThatAreTaken(t *testing.T) {
	t.Parallel()
	var taken []string
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			for c := 'A'; c <= 'Z'; c++ {
				if code := string([]rune{a, b, c}); ValidCurrency(code) {
					taken = append(taken, code)
				}
			}
		}
	}
	for _, d := range []Document{CommandSchema, OutcomeSchema} {
		if diff := cmp.Diff(taken, enum(t, d, "$defs", "currency")); diff != "" {
			t.Errorf("%s (-taken +schema):\n%s", d, diff)
		}
	}
}

func TestTheSchemaListsExactlyTheWalletsOfEftPay(t *testing.T) {
	t.Parallel()
	var want []string
	for _, w := range EftPayWallets() {
		want = append(want, w.PaymentType)
	}
	if diff := cmp.Diff(want, enum(t, CommandSchema, "properties", "eftpay", "properties", "paymentType")); diff != "" {
		t.Errorf("(-wallets +schema):\n%s", diff)
	}
}

// TestTheGoTypesHaveExactlyTheSchemasFields encodes a message with every field set and compares the names.
func TestTheGoTypesHaveExactlyTheSchemasFields(t *testing.T) {
	t.Parallel()
	names := func(v any) []string {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(marshal(t, v), &fields); err != nil {
			t.Fatal(err)
		}
		return slices.Sorted(maps.Keys(fields))
	}
	amount := Money{Minor: 1, Currency: "HKD"}
	some := map[string]string{"a": "b"}
	for d, v := range map[Document]any{
		CommandSchema: Command{
			Account: "a", OriginalAmount: &amount, Reason: "r", ReferenceRefundID: "r", Deadline: &Time{}, BatchID: "b",
			Metadata: some, EftPay: &EftPayFields{},
		},
		OutcomeSchema: Outcome{
			RefundedAmount: &amount, GatewayRefundID: "g", GatewayCode: "c", GatewayMessage: "m", RefundTime: &Time{},
			Settlement: &Settlement{}, BatchID: "b", Metadata: some,
		},
		RejectionSchema: Rejection{RequestID: "r", Pointer: "/p"},
	} {
		want := slices.Sorted(maps.Keys(as[map[string]any](t, readDocument(t, d)["properties"])))
		if diff := cmp.Diff(want, names(v)); diff != "" {
			t.Errorf("%s (-schema +type):\n%s", d, diff)
		}
	}
}

func TestASchemasComplaintNamesTheRuleAndNotTheValue(t *testing.T) {
	t.Parallel()
	raw := golden(t, "rejections")["schema-violation"]
	raw = bytes.Replace(raw, []byte(`"SCHEMA_VIOLATION"`), []byte(`"NOT A CODE"`), 1)
	_, err := DecodeRejection(raw)
	const want = "SCHEMA_VIOLATION at /code: breaks the schema's rule /properties/code/enum"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
