package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDepth bounds the nesting of an answer; the documented ones have three levels at most.
const maxDepth = 16

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
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	value, err := parseValue(dec, 0)
	if err != nil {
		return nil, err
	}
	obj, ok := value.(Object)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: text after the end", ErrAmbiguous)
	}
	return obj, nil
}

func parseValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("JSON is nested deeper than %d", maxDepth)
	}
	token, err := dec.Token()
	if err != nil {
		return nil, notJSON(err)
	}
	switch token {
	case json.Delim('{'):
		return parseMembers(dec, depth)
	case json.Delim('['):
		var list []any
		for dec.More() {
			value, err := parseValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, closing(dec)
	}
	return token, nil
}

func parseMembers(dec *json.Decoder, depth int) (any, error) {
	obj := make(Object)
	seen := make(map[string]bool)
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, notJSON(err)
		}
		name, ok := token.(string)
		if !ok {
			return nil, errNotJSON
		}
		folded := fold(name)
		if seen[folded] {
			return nil, fmt.Errorf("%w: a name is there twice", ErrAmbiguous)
		}
		seen[folded] = true
		if obj[name], err = parseValue(dec, depth+1); err != nil {
			return nil, err
		}
	}
	return obj, closing(dec)
}

func closing(dec *json.Decoder) error {
	_, err := dec.Token()
	return notJSON(err)
}

func notJSON(err error) error {
	if err == nil {
		return nil
	}
	return errNotJSON
}

// fold gives all names that differ in case only one form, in the sense of strings.EqualFold and of readers that match
// names as encoding/json does: ſign is sign to them, which lower case alone would not show.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, name)
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
