package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// ErrSecretReference is returned for a secret that is not written as a reference. It never carries the text at fault,
// which may well be the secret itself.
var ErrSecretReference = errors.New("not a file: or env: reference")

// hidden is what a secret prints as, whatever it holds.
const hidden = "***"

const (
	fileReference = "file:"
	envReference  = "env:"
)

// Secret is a value that is only written down as a reference, file:/run/secrets/name or env:NAME, and only read
// through [Secret.Reveal]. However it is printed or encoded, it shows three stars. The zero value is no secret at all.
type Secret struct {
	reference string
	// value is a pointer because fmt cannot call our methods on an unexported field of somebody else's struct; there
	// it prints an address instead of the secret.
	value *string
	// src is what it was read from.
	src Source
}

// Reveal returns the secret itself, "" while it is unset or not resolved. Never log what it returns.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// InFile says that the secret was read from a file that can be read again. A variable never changes, and a pipe gives
// its content once: reading it again could wait for ever.
func (s Secret) InFile() bool {
	name, ok := strings.CutPrefix(s.reference, fileReference)
	return ok && s.value != nil && !isPipe(name)
}

// isPipe looks on the host. The files of another source are not found there, and no pipes.
func isPipe(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket|os.ModeDevice) != 0
}

// Again reads the reference once more and returns what it gives now. The error is a [*FaultError] without a path.
func (s Secret) Again() (string, error) {
	if fault := s.resolve(s.src); fault != nil {
		return "", fault
	}
	return s.Reveal(), nil
}

// IsZero says that no reference was given.
func (s Secret) IsZero() bool { return s.reference == "" }

// String returns three stars.
func (s Secret) String() string { return hidden }

// GoString returns three stars.
func (s Secret) GoString() string { return hidden }

// Format prints three stars for every verb and flag.
func (s Secret) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, hidden)
}

// MarshalText returns three stars.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// MarshalJSON returns three stars, quoted.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

// UnmarshalText takes a reference; the empty text means no secret. Anything else is [ErrSecretReference]. The secret
// is not read yet.
func (s *Secret) UnmarshalText(text []byte) error {
	reference := string(text)
	for _, scheme := range []string{fileReference, envReference} {
		if target, ok := strings.CutPrefix(reference, scheme); ok && target != "" && !strings.ContainsAny(target, "\r\n\x00") {
			*s = Secret{reference: reference}
			return nil
		}
	}
	if reference == "" {
		*s = Secret{}
		return nil
	}
	return ErrSecretReference
}

// resolve reads what the reference points at. Trailing line ends are cut off: editors and echo add them, and no
// credential ends in one.
func (s *Secret) resolve(src Source) *FaultError {
	if s.IsZero() {
		return nil
	}
	var text string
	if name, ok := strings.CutPrefix(s.reference, envReference); ok {
		if text, ok = src.LookupEnvFunc(name); !ok {
			return &FaultError{What: "the environment variable " + show(name) + " is not set", Fix: "set it, or mend the reference"}
		}
	} else {
		raw, fault := readBounded(src, strings.TrimPrefix(s.reference, fileReference))
		if fault != nil {
			return fault
		}
		text = string(raw)
	}
	text = strings.TrimRight(text, "\r\n")
	if text == "" {
		return &FaultError{What: "the secret at " + show(s.reference) + " is empty", Fix: "write the secret there, or mend the reference"}
	}
	s.value, s.src = &text, src
	return nil
}
