package schemas

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseJSONSaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]fault{
		``:                        {"", "the JSON text ends where a value is expected (byte 0)"},
		"\xef\xbb\xbf{}":          {"", "a JSON value is expected (byte 0)"},
		`nul`:                     {"", "a JSON value is expected (byte 0)"},
		`{} {}`:                   {"", "data after the end of the JSON value (byte 3)"},
		`{"a":1`:                  {"", "a comma or the closing bracket is expected (byte 6)"},
		`{"a" 1}`:                 {"/a", "a colon is expected (byte 5)"},
		`{a:1}`:                   {"", "a member name in double quotes is expected (byte 1)"},
		`{"a":1,}`:                {"", "a member name in double quotes is expected (byte 7)"},
		`{"a":[0,{"b":}]}`:        {"/a/1/b", "a JSON value is expected (byte 13)"},
		`[1 2]`:                   {"", "a comma or the closing bracket is expected (byte 3)"},
		`[1,]`:                    {"/1", "a JSON value is expected (byte 3)"},
		`["a`:                     {"/0", "the JSON text ends inside a string (byte 3)"},
		`["\`:                     {"/0", "the JSON text ends inside a string (byte 3)"},
		`["a\x"]`:                 {"/0", "an invalid escape, or half of a surrogate pair, in a string (byte 3)"},
		`["\u12g4"]`:              {"/0", "an invalid escape, or half of a surrogate pair, in a string (byte 2)"},
		`["\u12"]`:                {"/0", "an invalid escape, or half of a surrogate pair, in a string (byte 2)"},
		`["\udc00"]`:              {"/0", "an invalid escape, or half of a surrogate pair, in a string (byte 2)"},
		`["\ud800\u0041"]`:        {"/0", "an invalid escape, or half of a surrogate pair, in a string (byte 2)"},
		"[\"a\x00b\"]":            {"/0", "a control character in a string must be escaped (byte 3)"},
		"[\"a\xed\xa0\x80b\"]":    {"/0", "a string is not valid UTF-8 (byte 1)"},
		`[-]`:                     {"/0", "a digit is expected (byte 2)"},
		`[1.]`:                    {"/0", "a digit is expected (byte 3)"},
		`[1e]`:                    {"/0", "a digit is expected (byte 3)"},
		`[1e+1234]`:               {"/0", "an exponent of more than 3 digits (byte 8)"},
		`{"~/":{"x":1,"x":2}}`:    {"/~0~1/x", "this name appears twice in its object"},
		`{"a":1,"\u0061":2}`:      {"/a", "this name appears twice in its object"},
		`[{"a":[{"b":[1,2,+]}]}]`: {"/0/a/0/b/2", "a JSON value is expected (byte 17)"},
	} {
		v, f := parseJSON([]byte(raw))
		if f == nil || *f != want {
			t.Errorf("%q: %+v, %+v, want %+v", raw, v, f, want)
		}
	}
}

func TestParseJSONResolvesEveryEscape(t *testing.T) {
	t.Parallel()
	v, f := parseJSON([]byte(`"\"\\\/\b\f\n\r\t\u00e9\u00E9\uD83D\uDE42\u0000 é"`))
	if f != nil {
		t.Fatal(f)
	}
	if want := "\"\\/\b\f\n\r\téé🙂\x00 é"; v.text != want {
		t.Errorf("got %q, want %q", v.text, want)
	}
}

func TestAnIntegerIsOneByItsValue(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0", "-0": "0", "1": "1", "1.0": "1", "10e-1": "1", "1E2": "100", "-7": "-7", "9223372036854775807": "9223372036854775807",
		"9223372036854775808": "9223372036854775808", "-9223372036854775809": "-9223372036854775809", "1e20": "100000000000000000000",
	} {
		if got := (&value{kind: kindNumber, text: text}).integer(); got == nil || got.String() != want {
			t.Errorf("%s: %v, want %s", text, got, want)
		}
	}
	for _, v := range []value{{kind: kindNumber, text: "1.5"}, {kind: kindNumber, text: "1e-999"}, {kind: kindString, text: "1"}} {
		if got := v.integer(); got != nil {
			t.Errorf("%+v: %v", v, got)
		}
	}
}

// FuzzParseJSON: what the strict reader takes, encoding/json takes too, with the same meaning.
func FuzzParseJSON(f *testing.F) {
	for _, folder := range []string{"accepted", "refused", "outcomes"} {
		for _, raw := range golden(f, folder) {
			f.Add(raw)
		}
	}
	for _, seed := range []string{`[1,-0.5e+2,true,null,"\ud83d\ude42\b\f\n\r\t\/\\"]`, ` [ { } , [ ] ] `, `"a"`, `1`, `{"":{"":0}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, fault := parseJSON(raw)
		if fault != nil {
			if fault.detail == "" {
				t.Fatal("no detail")
			}
			return
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		var want any
		if err := d.Decode(&want); err != nil {
			t.Fatalf("encoding/json refuses it: %v", err)
		}
		if _, err := d.Token(); err != io.EOF {
			t.Fatalf("trailing data was taken: %v", err)
		}
		if diff := cmp.Diff(want, v.tree()); diff != "" {
			t.Fatalf("(-encoding/json +strict):\n%s", diff)
		}
	})
}
