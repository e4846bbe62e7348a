package schemas

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Limits of the JSON reader. RFC 8259 section 9 lets a reader set them; they bound stack, and the digits that exact
// arithmetic over a number such as 1e999999999 would otherwise write out.
const (
	// MaxDepth is how deep objects and arrays of a message may nest.
	MaxDepth          = 16
	maxNumberChars    = 64
	maxExponentDigits = 3
	// Up to so many members an object's names are compared one by one; beyond, a set keeps the cost linear.
	linearMembers = 16
)

type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindArray
	kindObject
)

// String names the kind in error texts.
func (k kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "an array", "an object"}[k]
}

// value is one JSON value. encoding/json is not used for reading because it takes duplicate keys, matches names without
// regard to case, mends invalid UTF-8 and has no pointer to what is wrong.
type value struct {
	kind kind
	// text is a string's content, a number's literal, or "true" and "false".
	text string
	// members are an object's members in order, or an array's items without names.
	members []member
}

type member struct {
	name  string
	value value
}

// fault is what is wrong with a message and where.
type fault struct {
	pointer string
	detail  string
}

// under moves a fault's pointer one level down, into the member that holds the faulty value.
func (f *fault) under(name string) *fault {
	f.pointer = "/" + escapePointer(name) + f.pointer
	return f
}

func escapePointer(name string) string {
	if !strings.ContainsAny(name, "~/") {
		return name
	}
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// parseJSON reads exactly one JSON text (RFC 8259) that is valid UTF-8, has no duplicate names, no trailing data and
// keeps the limits above.
func parseJSON(raw []byte) (value, *fault) {
	p := jsonParser{text: string(raw), scratch: make([]member, 0, linearMembers)}
	p.space()
	v, f := p.value()
	if f != nil {
		return value{}, f
	}
	p.space()
	if p.pos < len(p.text) {
		return value{}, p.fault("data after the end of the JSON value")
	}
	return v, nil
}

type jsonParser struct {
	text  string
	pos   int
	depth int
	// scratch is the stack on which members of open objects grow, so that each finished one is allocated once, in
	// its exact size.
	scratch []member
}

func (p *jsonParser) fault(detail string) *fault {
	return &fault{detail: detail + " (byte " + strconv.Itoa(p.pos) + ")"}
}

// peek is the next byte, 0 at the end. A NUL byte is no JSON token, so that the two need not be told apart.
func (p *jsonParser) peek() byte {
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

func (p *jsonParser) space() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

func (p *jsonParser) value() (value, *fault) {
	switch c := p.peek(); {
	case c == '"':
		text, f := p.str()
		return value{kind: kindString, text: text}, f
	case c == '{':
		return p.container(kindObject, '}')
	case c == '[':
		return p.container(kindArray, ']')
	case c == '-' || c >= '0' && c <= '9':
		text, f := p.number()
		return value{kind: kindNumber, text: text}, f
	case c == 't':
		return p.literal("true", kindBool)
	case c == 'f':
		return p.literal("false", kindBool)
	case c == 'n':
		return p.literal("null", kindNull)
	case p.pos >= len(p.text):
		return value{}, p.fault("the JSON text ends where a value is expected")
	default:
		return value{}, p.fault("a JSON value is expected")
	}
}

func (p *jsonParser) literal(word string, k kind) (value, *fault) {
	if !strings.HasPrefix(p.text[p.pos:], word) {
		return value{}, p.fault("a JSON value is expected")
	}
	p.pos += len(word)
	return value{kind: k, text: word}, nil
}

// container reads an object or an array; the position is at its opening bracket.
func (p *jsonParser) container(k kind, end byte) (value, *fault) {
	if p.depth == MaxDepth {
		return value{}, p.fault(fmt.Sprintf("nested deeper than %d", MaxDepth))
	}
	p.depth++
	p.pos++
	base := len(p.scratch)
	var names nameSet
	for p.space(); p.peek() != end; p.space() {
		index := len(p.scratch) - base
		if index > 0 {
			if p.peek() != ',' {
				return value{}, p.fault("a comma or the closing bracket is expected")
			}
			p.pos++
			p.space()
		}
		var m member
		var f *fault
		if k == kindObject {
			if m.name, f = p.name(); f != nil {
				return value{}, f
			}
			if names.seen(m.name, p.scratch[base:]) {
				return value{}, (&fault{detail: "this name appears twice in its object"}).under(m.name)
			}
		}
		if m.value, f = p.value(); f != nil {
			if k == kindArray {
				m.name = strconv.Itoa(index)
			}
			return value{}, f.under(m.name)
		}
		p.scratch = append(p.scratch, m)
	}
	p.pos++
	p.depth--
	v := value{kind: k}
	if n := len(p.scratch) - base; n > 0 {
		v.members = make([]member, n)
		copy(v.members, p.scratch[base:])
		p.scratch = p.scratch[:base]
	}
	return v, nil
}

// name reads a member's name with its colon.
func (p *jsonParser) name() (string, *fault) {
	if p.peek() != '"' {
		return "", p.fault("a member name in double quotes is expected")
	}
	name, f := p.str()
	if f != nil {
		return "", f
	}
	p.space()
	if p.peek() != ':' {
		return "", p.fault("a colon is expected").under(name)
	}
	p.pos++
	p.space()
	return name, nil
}

// nameSet finds duplicate names: by comparing in small objects, by a set in large ones.
type nameSet map[string]struct{}

func (s *nameSet) seen(name string, members []member) bool {
	if len(members) < linearMembers {
		for i := range members {
			if members[i].name == name {
				return true
			}
		}
		return false
	}
	if *s == nil {
		*s = make(nameSet, 4*linearMembers)
		for i := range members {
			(*s)[members[i].name] = struct{}{}
		}
	}
	if _, found := (*s)[name]; found {
		return true
	}
	(*s)[name] = struct{}{}
	return false
}

// member finds a member of an object by its exact name.
func (v *value) member(name string) (*value, bool) {
	for i := range v.members {
		if v.members[i].name == name {
			return &v.members[i].value, true
		}
	}
	return nil, false
}

// integer reads a number that is an integer by its value, as JSON Schema defines it: 1, 1.0 and 10e-1 are the same.
// nil: it is none.
func (v *value) integer() *big.Int {
	if v.kind != kindNumber {
		return nil
	}
	if n, err := strconv.ParseInt(v.text, 10, 64); err == nil {
		return big.NewInt(n)
	}
	exact, ok := new(big.Rat).SetString(v.text)
	if !ok || !exact.IsInt() {
		return nil
	}
	return exact.Num()
}

// tree is the value in the shape that the JSON Schema validator and encoding/json know.
func (v *value) tree() any {
	switch v.kind {
	case kindBool:
		return v.text == "true"
	case kindNumber:
		return json.Number(v.text)
	case kindString:
		return v.text
	case kindArray:
		items := make([]any, len(v.members))
		for i := range v.members {
			items[i] = v.members[i].value.tree()
		}
		return items
	case kindObject:
		object := make(map[string]any, len(v.members))
		for i := range v.members {
			object[v.members[i].name] = v.members[i].value.tree()
		}
		return object
	case kindNull:
	}
	return nil
}
