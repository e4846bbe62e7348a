package eftpay

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"refundworker/gateway"
)

// signField is the field that holds the signature and is not signed itself.
const signField = "sign"

// field is one field of a message, as it is signed.
type field struct{ name, value string }

// empties says how an answer's empty fields were signed.
type empties string

// Both ways are seen. A tester's tool (RSM-Backend, VMPHelper/Util.py) and a merchant that verified live notifications
// leave empty fields out; OAPM's notes (CardTrain, oapm-sign.ts) keep them as "name=", null as an empty text. The
// vendor's page on it could not be read, and real answers do hold empty fields (joy_, AliPayHK_EftPay.md).
const (
	emptiesSkipped empties = "skipped"
	emptiesKept    empties = "kept"
)

// signer signs requests and verifies answers of one merchant.
type signer struct {
	// secret is a pointer for the reason given at [Secret].
	secret *Secret
}

// usualText is room for the text of a usual message.
const usualText = 512

// sign is the hex text, in small letters, of SHA-256 over the secret and, right behind it, name=value of every field,
// by name in ASCII order, joined by "&"; values are not escaped. The same for requests and answers. CardTrain compared
// it with a live signed redirect (oapm-sign.ts); RSM-Backend does the same (VMPHelper/Util.py). fields are sorted in
// place.
func (s *signer) sign(fields []field) string {
	slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	text := make([]byte, 0, usualText)
	text = append(text, *s.secret...)
	for i, f := range fields {
		if i > 0 {
			text = append(text, '&')
		}
		text = append(append(append(text, f.name...), '='), f.value...)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// verify proves that an answer was signed with our secret, over exactly these names and values, and says how its empty
// fields were signed. Every field takes part, known or not: "new response fields may appear at any time"
// (https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/BaseInfo.html).
//
// The signed text has no escapes, so "a=1&b=2" is one field or two. An answer that could be cut in another way than it
// is proves nothing.
//
// That [gateway.ParseObject] refuses invalid UTF-8 is also what closes the weakness of the signature, a plain hash over
// secret and text: who has seen one can append to the text, but only behind the hash's own padding, whose first byte,
// 0x80, begins no character.
func (s *signer) verify(obj gateway.Object) (empties, error) {
	got, err := obj.Text(signField)
	if err != nil || got == "" {
		return "", &gateway.UnverifiedError{Reason: "sign is missing"}
	}
	filled, all := make([]field, 0, len(obj)), make([]field, 0, len(obj))
	for name, v := range obj {
		if name == signField {
			continue
		}
		text, ok := scalar(v)
		switch {
		case !ok:
			// How an object would be signed is not known.
			return "", &gateway.UnverifiedError{Reason: "a field is an object or a list"}
		case strings.ContainsAny(name, "&=") || splits(text):
			return "", &gateway.UnverifiedError{Reason: "the signed text can be read in two ways"}
		}
		all = append(all, field{name, text})
		if text != "" {
			filled = append(filled, field{name, text})
		}
	}
	switch {
	case equal(got, s.sign(filled)):
		return emptiesSkipped, nil
	case len(all) > len(filled) && equal(got, s.sign(all)):
		return emptiesKept, nil
	}
	return "", &gateway.UnverifiedError{Reason: "sign does not match"}
}

// scalar is a value as it is signed: a string's content, a number or a bool as it is written, nothing for null. Objects
// and lists are none.
func scalar(v any) (text string, ok bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// splits tells whether a value holds what another reader of the signed text would take for a field of its own.
func splits(text string) bool {
	_, rest, found := strings.Cut(text, "&")
	return found && strings.Contains(rest, "=")
}

// equal compares without telling by its time where two texts differ.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
