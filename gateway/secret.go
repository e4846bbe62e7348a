package gateway

import (
	"fmt"
	"io"
)

// hidden is what a secret prints as.
const hidden = "***"

// Secret is a credential in memory. However it is printed or encoded, it shows three stars; string(s) is the secret
// itself. fmt cannot call methods on unexported fields, so a struct that may be printed must not keep one there by
// value.
type Secret string

// String returns three stars.
func (s Secret) String() string { return hidden }

// GoString returns three stars.
func (s Secret) GoString() string { return hidden }

// Format prints three stars for every verb and flag.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, hidden) }

// MarshalText returns three stars.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// MarshalJSON returns three stars, quoted.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }
