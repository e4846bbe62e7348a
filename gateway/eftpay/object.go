package eftpay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrAmbiguous is wrapped by the error for a text that is JSON but that two readers could understand differently:
// names that are there twice or differ in case only, invalid UTF-8, something after the end.
var ErrAmbiguous = errors.New("ambiguous JSON")

// errNotJSON stands for the decoder's own error, whose text can quote the answer.
var errNotJSON = errors.New("not JSON")

// kind is the JSON type of a value.
type kind uint8

const (
	kindNull kind = iota
	kindString
	// kindScalar is a number or a bool.
	kindScalar
	// kindNested is an object or a list.
	kindNested
)

// value is one value of an answer. text is a string's content, or a number or bool as it is written; "" otherwise.
type value struct {
	kind kind
	text string
}

// object is a decoded JSON object. All of its names are kept, known or not, because all are signed; they count as they
// are written.
type object map[string]value

// parseObject decodes exactly one JSON object.
//
// That it refuses invalid UTF-8 is also what closes the weakness of the signature, a plain hash over secret and text:
// who has seen one can append to the text, but only behind the hash's own padding, whose first byte, 0x80, begins no
// character.
func parseObject(text []byte) (object, error) {
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("%w: invalid UTF-8", ErrAmbiguous)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	obj := make(object)
	seen := make(map[string]bool)
	for dec.More() {
		token, err := dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, errNotJSON
		}
		folded := strings.ToLower(name)
		if seen[folded] {
			return nil, fmt.Errorf("%w: a name is there twice", ErrAmbiguous)
		}
		seen[folded] = true
		var v any
		if dec.Decode(&v) != nil {
			return nil, errNotJSON
		}
		obj[name] = newValue(v)
	}
	if _, err := dec.Token(); err != nil {
		return nil, errNotJSON
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: text after the end", ErrAmbiguous)
	}
	return obj, nil
}

// newValue takes over what the decoder has read.
func newValue(v any) value {
	switch v := v.(type) {
	case nil:
		return value{kind: kindNull}
	case string:
		return value{kind: kindString, text: v}
	case json.Number:
		return value{kind: kindScalar, text: v.String()}
	case bool:
		return value{kind: kindScalar, text: strconv.FormatBool(v)}
	}
	return value{kind: kindNested}
}

// text returns the string under name; "" where it is missing or null. Any other type is an error.
func (o object) text(name string) (string, error) {
	v := o[name]
	if v.kind != kindNull && v.kind != kindString {
		return "", fmt.Errorf("%s is not a string", name)
	}
	return v.text, nil
}
