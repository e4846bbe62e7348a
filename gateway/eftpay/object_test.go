package eftpay

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAmbiguousOrBrokenTextIsNoObject(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		ambiguous  bool
	}{
		{"a name twice", `{"a":1,"a":2}`, true},
		{"a name twice by escapes", `{"a":1,"\u0061":2}`, true},
		{"names that differ in case", `{"sign":"1","Sign":"2"}`, true},
		{"text after the end", `{} {}`, true},
		{"garbage after the end", `{}x`, true},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", true},
		{"empty", ``, false},
		{"a list", `[]`, false},
		{"null", `null`, false},
		{"HTML", `<html>`, false},
		{"cut after the brace", `{`, false},
		{"cut after a name", `{"a"`, false},
		{"cut in a value", `{"a":"b`, false},
		{"cut in an object", `{"a":{"b":`, false},
		{"cut before the end", `{"a":"b"`, false},
		{"number for a name", `{1:2}`, false},
		{"wrong bracket", `{"a":1]`, false},
		{"no value", `{"a":}`, false},
		{"a comma too many", `{"a":1,}`, false},
		{"too deep", `{"a":` + strings.Repeat(`[`, 20000) + strings.Repeat(`]`, 20000) + `}`, false},
	} {
		if obj, err := parseObject([]byte(tc.text)); err == nil || errors.Is(err, ErrAmbiguous) != tc.ambiguous {
			t.Errorf("%s: %v, %v", tc.name, obj, err)
		}
	}
}

func TestEveryValueIsKeptAsItIsWritten(t *testing.T) {
	t.Parallel()
	obj, err := parseObject([]byte(" {\"s\":\"\\u9000\\\"&\", \"e\":\"\", \"n\":null, \"d\":1.50, \"t\":true, \"o\":{\"a\":[1]}, \"l\":[]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := object{
		"s": {kindString, "退\"&"}, "e": {kindString, ""}, "n": {kindNull, ""}, "d": {kindScalar, "1.50"}, "t": {kindScalar, "true"},
		"o": {kindNested, ""}, "l": {kindNested, ""},
	}
	if diff := cmp.Diff(want, obj, cmp.AllowUnexported(value{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, text := range map[string]string{"s": "退\"&", "e": "", "n": "", "missing": ""} {
		if got, err := obj.text(name); got != text || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"d", "t", "o", "l"} {
		if got, err := obj.text(name); err == nil {
			t.Errorf("%s was taken for the string %q", name, got)
		}
	}
}
