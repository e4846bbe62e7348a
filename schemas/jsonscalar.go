package schemas

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// str reads a string; the position is at its opening quote.
func (p *jsonParser) str() (string, *fault) {
	start := p.pos + 1
	escaped, ascii := false, true
	i := start
	for ; i < len(p.text) && p.text[i] != '"'; i++ {
		switch c := p.text[i]; {
		case c == '\\':
			escaped = true
			i++ // the byte after it, were it a quote, does not end the string
		case c < ' ':
			p.pos = i
			return "", p.fault("a control character in a string must be escaped")
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	if i >= len(p.text) {
		p.pos = len(p.text)
		return "", p.fault("the JSON text ends inside a string")
	}
	literal := p.text[start:i]
	if !ascii && !utf8.ValidString(literal) {
		return "", p.fault("a string is not valid UTF-8")
	}
	p.pos = i + 1
	if !escaped {
		return literal, nil
	}
	text, bad := unescape(literal)
	if bad >= 0 {
		p.pos = start + bad
		return "", p.fault("an invalid escape, or half of a surrogate pair, in a string")
	}
	return text, nil
}

// unescape resolves the escapes of a string literal without its quotes. The second result is the position of the
// first invalid one, -1 when there is none.
func unescape(literal string) (string, int) {
	var b strings.Builder
	b.Grow(len(literal))
	for i := 0; i < len(literal); {
		next := strings.IndexByte(literal[i:], '\\')
		if next < 0 {
			b.WriteString(literal[i:])
			break
		}
		b.WriteString(literal[i : i+next])
		i += next
		r, size := unescapeOne(literal[i:])
		if size == 0 {
			return "", i
		}
		b.WriteRune(r)
		i += size
	}
	return b.String(), -1
}

// unescapeOne reads the escape that s begins with; size 0 means that it is invalid. A backslash is never the last byte
// of s: str ends a string only at a quote that no backslash precedes.
func unescapeOne(s string) (r rune, size int) {
	switch s[1] {
	case '"', '\\', '/':
		return rune(s[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r = hex4(s)
		if !utf16.IsSurrogate(r) {
			return r, sizeIf(r >= 0, 6)
		}
		// Half a surrogate pair has no UTF-8 form; taken as U+FFFD, two different keys could become one.
		r = utf16.DecodeRune(r, hex4(s[6:]))
		return r, sizeIf(r != utf8.RuneError, 12)
	}
	return 0, 0
}

func sizeIf(valid bool, size int) int {
	if valid {
		return size
	}
	return 0
}

// hex4 reads the escape of \u and four hexadecimal digits that s begins with; -1 when it does not.
func hex4(s string) rune {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range []byte(s[2:6]) {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return -1
		}
	}
	return r
}

// number reads a number literal.
func (p *jsonParser) number() (string, *fault) {
	start := p.pos
	if p.peek() == '-' {
		p.pos++
	}
	if p.peek() == '0' {
		p.pos++
	} else if p.digits() == 0 {
		return "", p.fault("a digit is expected")
	}
	if p.peek() == '.' {
		p.pos++
		if p.digits() == 0 {
			return "", p.fault("a digit is expected")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.pos++
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		switch n := p.digits(); {
		case n == 0:
			return "", p.fault("a digit is expected")
		case n > maxExponentDigits:
			return "", p.fault(fmt.Sprintf("an exponent of more than %d digits", maxExponentDigits))
		}
	}
	if p.pos-start > maxNumberChars {
		return "", p.fault(fmt.Sprintf("a number of more than %d characters", maxNumberChars))
	}
	return p.text[start:p.pos], nil
}

func (p *jsonParser) digits() (n int) {
	for ; p.peek() >= '0' && p.peek() <= '9'; p.pos++ {
		n++
	}
	return n
}
