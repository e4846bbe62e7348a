package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func nested(levels int, open, inside, end string) string {
	return strings.Repeat(open, levels) + inside + strings.Repeat(end, levels)
}

func TestAmbiguousOrBrokenTextIsNoObject(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		ambiguous  bool
	}{
		{"a name twice", `{"a":1,"a":2}`, true},
		{"a name twice, deeper", `{"a":[{"b":1,"b":1}]}`, true},
		{"a name twice by escapes", `{"a":1,"\u0061":2}`, true},
		{"names that differ in case", `{"result":{},"Result":{}}`, true},
		{"names that differ in case, beyond lower case", `{"sign":"1","ſign":"2"}`, true},
		{"names that are mended to one", `{"\ud800":1,"\ud801":2}`, true},
		{"text after the end", `{} {}`, true},
		{"garbage after the end", `{}x`, true},
		{"a bracket after the end", `{}}`, true},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", true},
		{"empty", ``, false},
		{"a list", `[]`, false},
		{"null", `null`, false},
		{"HTML", `<html>`, false},
		{"cut after the brace", `{`, false},
		{"cut after a name", `{"a"`, false},
		{"cut in a value", `{"a":"b`, false},
		{"cut in an object", `{"a":{"b":`, false},
		{"cut in a list", `{"a":[1`, false},
		{"cut before the end", `{"a":"b"`, false},
		{"number for a name", `{1:2}`, false},
		{"wrong bracket", `{"a":1]`, false},
		{"no value", `{"a":}`, false},
		{"a comma too many", `{"a":1,}`, false},
		{"a comma too many in a list", `{"a":[1,]}`, false},
		{"too deep", nested(40, `{"a":`, `1`, `}`), false},
		{"too deep in lists", `{"a":` + nested(40, `[`, ``, `]`) + `}`, false},
		{"too deep for a stack", `{"a":` + nested(20000, `[`, ``, `]`) + `}`, false},
		{"one level too deep", nested(maxDepth+1, `{"a":`, `1`, `}`), false},
	} {
		if obj, err := ParseObject([]byte(tc.text)); err == nil || errors.Is(err, ErrAmbiguous) != tc.ambiguous {
			t.Errorf("%s: %v, %v", tc.name, obj, err)
		}
	}
	if _, err := ParseObject([]byte(nested(maxDepth, `{"a":`, `1`, `}`))); err != nil {
		t.Errorf("the deepest object that is taken: %v", err)
	}
}

func TestNamesAndValuesCountAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	obj, err := ParseObject([]byte(" {\"Result\":{}, \"s\":\"\\u9000\\\"&\", \"e\":\"\", \"z\":null, \"n\":1.50, \"t\":true, \"o\":{\"b\":[true,1e2]}, \"l\":[]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Object{
		"Result": Object{}, "s": "退\"&", "e": "", "z": nil, "n": json.Number("1.50"), "t": true,
		"o": Object{"b": []any{true, json.Number("1e2")}}, "l": []any(nil),
	}
	if diff := cmp.Diff(want, obj); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{"s": "退\"&", "e": "", "z": "", "missing": "", "S": ""} {
		if got, err := obj.Text(name); got != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"n", "t", "o", "l"} {
		if got, err := obj.Text(name); err == nil {
			t.Errorf("%s was taken for the string %q", name, got)
		}
	}
	for _, name := range []string{"z", "missing", "result"} {
		if got, err := obj.Object(name); got != nil || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"s", "n", "l"} {
		if got, err := obj.Object(name); err == nil {
			t.Errorf("%s was taken for the object %v", name, got)
		}
	}
	if got, err := obj.Object("o"); len(got) != 1 || err != nil {
		t.Errorf("o: %v, %v", got, err)
	}
}

// A text is taken where, and only where, it is one JSON object that everybody reads alike; and then it is read as
// encoding/json reads it.
func FuzzParseObject(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, ` {"a":1} `, `{"a":1,"a":2}`, `{"a":{"b":1},"A":[]}`, `{"\u0061":1,"a":2}`, `{"sign":"","ſign":""}`, `{"K":1,"k":2}`,
		`{"\ud800":1,"\ud801":2}`, `{"a":"\ud83d\ude00"}`, `{"n":1e400,"m":-0,"x":0.10}`, `{"a":[1,{"b":[{"c":null,"C":0}]}]}`,
		`{} {}`, `{}]`, `{"a":[1,]}`, `{"a" 1}`, `{"a":01}`, `{,}`, `[{}]`, `null`, "{\"a\":\"\xff\"}", "{\"a\":\"\x80\"}", "\ufeff{}",
		nested(maxDepth, `{"a":`, `1`, `}`), nested(maxDepth+1, `{"a":`, `1`, `}`), `{"a":` + nested(maxDepth+1, `[`, ``, `]`) + `}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		obj, err := ParseObject(text)
		tree, plain := plainTree(text)
		want := plain && utf8.Valid(text) && depthOf(tree) <= maxDepth && !isAmbiguous(tree) && namesIn(tree) == namesWritten(text)
		if (err == nil) != want {
			t.Fatalf("%q: %v, and it should be taken: %v", text, err, want)
		}
		if err != nil {
			return
		}
		if diff := cmp.Diff(tree, generic(obj)); diff != "" {
			t.Fatalf("%q (-encoding/json +got):\n%s", text, diff)
		}
	})
}

// plainTree is what encoding/json reads, where that is one object.
func plainTree(text []byte) (tree map[string]any, ok bool) {
	if !json.Valid(text) {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	err := dec.Decode(&tree)
	return tree, err == nil && tree != nil
}

// generic is v in the types of encoding/json.
func generic(v any) any {
	switch v := v.(type) {
	case Object:
		out := make(map[string]any, len(v))
		for name, member := range v {
			out[name] = generic(member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = generic(item)
		}
		return out
	}
	return v
}

// children are the values right below v.
func children(v any) []any {
	switch v := v.(type) {
	case map[string]any:
		var list []any
		for _, member := range v {
			list = append(list, member)
		}
		return list
	case []any:
		return v
	}
	return nil
}

// depthOf counts the levels below v.
func depthOf(v any) int {
	deepest := 0
	for _, child := range children(v) {
		deepest = max(deepest, 1+depthOf(child))
	}
	return deepest
}

// isAmbiguous finds two names of one object that differ in case only.
func isAmbiguous(v any) bool {
	if obj, ok := v.(map[string]any); ok {
		for a := range obj {
			for b := range obj {
				if a != b && strings.EqualFold(a, b) {
					return true
				}
			}
		}
	}
	return slices.ContainsFunc(children(v), isAmbiguous)
}

// namesIn counts the names of all objects in v.
func namesIn(v any) int {
	n := 0
	if obj, ok := v.(map[string]any); ok {
		n = len(obj)
	}
	for _, child := range children(v) {
		n += namesIn(child)
	}
	return n
}

// namesWritten counts the names that stand in a text, which are more than those read where one is there twice: a colon
// outside of a string follows each.
func namesWritten(text []byte) int {
	n, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch {
		case inString && text[i] == '\\':
			i++
		case text[i] == '"':
			inString = !inString
		case text[i] == ':' && !inString:
			n++
		}
	}
	return n
}
