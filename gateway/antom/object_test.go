package antom

import (
	"errors"
	"strings"
	"testing"
)

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
		{"text after the end", `{} {}`, true},
		{"garbage after the end", `{}x`, true},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", true},
		{"empty", ``, false},
		{"a list", `[]`, false},
		{"null", `null`, false},
		{"HTML", `<html>`, false},
		{"cut", `{"a":{"b":`, false},
		{"cut in a list", `{"a":[1`, false},
		{"cut after a name", `{"a"`, false},
		{"number for a name", `{1:2}`, false},
		{"wrong bracket", `{"a":1]`, false},
		{"too deep", strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40), false},
		{"too deep in lists", `{"a":` + strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40) + `}`, false},
	} {
		if obj, err := parseObject([]byte(tc.text)); err == nil || errors.Is(err, ErrAmbiguous) != tc.ambiguous {
			t.Errorf("%s: %v, %v", tc.name, obj, err)
		}
	}
}

func TestNamesCountAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	obj, err := parseObject([]byte(" {\"Result\":{}, \"a\":null, \"n\":1, \"s\":\"x\", \"o\":{\"b\":[true,1.50]}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if inner, err := obj.object("result"); inner != nil || err != nil {
		t.Errorf("Result was taken for result: %v, %v", inner, err)
	}
	if s, err := obj.text("a"); s != "" || err != nil {
		t.Errorf("null: %q, %v", s, err)
	}
	if o, err := obj.object("a"); o != nil || err != nil {
		t.Errorf("null: %v, %v", o, err)
	}
	if _, err := obj.text("n"); err == nil {
		t.Error("a number was taken for a string")
	}
	if _, err := obj.object("s"); err == nil {
		t.Error("a string was taken for an object")
	}
	if s, err := obj.text("s"); s != "x" || err != nil {
		t.Errorf("string: %q, %v", s, err)
	}
}
