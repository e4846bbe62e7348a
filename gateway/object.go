package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDepth bounds the nesting of an answer; the documented ones have three levels at most.
const maxDepth = 16

// usualMembers is room for the documented answers. Up to so many names are compared one by one, more by a set.
const usualMembers = 24

// ErrAmbiguous is wrapped by the error for a text that is JSON but that two readers could understand differently:
// names that are there twice or differ in case only, invalid UTF-8, something after the end.
var ErrAmbiguous = errors.New("ambiguous JSON")

// errNotJSON stands for the decoder's own error, whose text can quote the answer.
var errNotJSON = errors.New("not JSON")

// Object is a decoded JSON object. Values are nil, bool, string, json.Number (the digits as they are written), Object or
// []any. Names count as they are written: encoding/json alone would take Result for result, and the last of two.
type Object map[string]any

// ParseObject decodes exactly one JSON object whose values lie at most 16 levels deep. No error quotes the text.
func ParseObject(text []byte) (Object, error) {
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("%w: invalid UTF-8", ErrAmbiguous)
	}
	if !json.Valid(text) {
		return nil, notValid(text)
	}
	r := reader{text: text}
	value, err := r.value(0)
	if err != nil {
		return nil, err
	}
	obj, ok := value.(Object)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	return obj, nil
}

// notValid says why a text is not valid JSON: a whole value with something behind it can be understood in two ways.
func notValid(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	var first json.RawMessage
	if dec.Decode(&first) == nil && len(bytes.TrimSpace(text[dec.InputOffset():])) > 0 {
		return fmt.Errorf("%w: text after the end", ErrAmbiguous)
	}
	return errNotJSON
}

// reader walks through a text that encoding/json has found valid, so it checks no syntax. The tokens of the standard
// decoder come to the same and cost several times as much, which every answer of a gateway would pay.
type reader struct {
	text []byte
	at   int
}

// skip passes white space and the given signs, and returns the byte after them.
func (r *reader) skip(signs string) byte {
	for {
		c := r.text[r.at]
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' && strings.IndexByte(signs, c) < 0 {
			return c
		}
		r.at++
	}
}

func (r *reader) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("JSON is nested deeper than %d", maxDepth)
	}
	switch c := r.skip(""); c {
	case '{':
		return r.members(depth)
	case '[':
		return r.list(depth)
	case '"':
		return r.string()
	case 't', 'f', 'n':
		return r.word(c), nil
	}
	begin := r.at
	for r.at < len(r.text) && strings.IndexByte("+-.eE0123456789", r.text[r.at]) >= 0 {
		r.at++
	}
	return json.Number(r.text[begin:r.at]), nil
}

// word reads true, false or null, of which c is the first letter.
func (r *reader) word(c byte) any {
	switch c {
	case 't':
		r.at += len("true")
		return true
	case 'f':
		r.at += len("false")
		return false
	}
	r.at += len("null")
	return nil
}

func (r *reader) list(depth int) (any, error) {
	var list []any
	r.at++
	for r.skip(",") != ']' {
		value, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	r.at++
	return list, nil
}

// members reads an object.
func (r *reader) members(depth int) (any, error) {
	obj := make(Object, usualMembers)
	few := make([]string, 0, usualMembers)
	var many map[string]bool
	r.at++
	for r.skip(",") != '}' {
		name, err := r.string()
		if err != nil {
			return nil, err
		}
		folded := fold(name)
		if slices.Contains(few, folded) || many[folded] {
			return nil, fmt.Errorf("%w: a name is there twice", ErrAmbiguous)
		}
		switch {
		case len(few) < usualMembers:
			few = append(few, folded)
		case many == nil:
			many = map[string]bool{folded: true}
		default:
			many[folded] = true
		}
		r.skip(":")
		if obj[name], err = r.value(depth + 1); err != nil {
			return nil, err
		}
	}
	r.at++
	return obj, nil
}

// string reads a string, whose first quote is here.
func (r *reader) string() (string, error) {
	begin := r.at
	escaped := false
	for r.at++; r.text[r.at] != '"'; r.at++ {
		if r.text[r.at] == '\\' {
			escaped = true
			r.at++
		}
	}
	r.at++
	if !escaped {
		return string(r.text[begin+1 : r.at-1]), nil
	}
	var text string
	if err := json.Unmarshal(r.text[begin:r.at], &text); err != nil {
		return "", errNotJSON
	}
	return text, nil
}

// fold gives all names that differ in case only one form, in the sense of strings.EqualFold and of readers that match
// names as encoding/json does: ſign is sign to them, which lower case alone would not show.
func fold(name string) string {
	if isASCII(name) {
		return strings.ToUpper(name) // of all forms of such a letter its capital is the least
	}
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, name)
}

func isASCII(name string) bool {
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Text returns the string under name; "" where it is missing or null. Any other type is an error.
func (o Object) Text(name string) (string, error) {
	switch v := o[name].(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return "", fmt.Errorf("%s is not a string", name)
}

// Object returns the object under name; nil where it is missing or null. Any other type is an error.
func (o Object) Object(name string) (Object, error) {
	switch v := o[name].(type) {
	case nil:
		return nil, nil
	case Object:
		return v, nil
	}
	return nil, fmt.Errorf("%s is not an object", name)
}
