package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

const plainText = "hunter2-plain"

func TestASecretPrintsStarsHoweverItIsPrinted(t *testing.T) {
	t.Parallel()
	s := secret("file:/x", plainText)
	account := Account{Name: "a", Secret: s, PrivateKey: s, AntomPublicKey: []Secret{s}}
	// client is somebody else's struct with an unexported field, which fmt prints without calling our methods.
	client := struct{ secret Secret }{s}
	var logged strings.Builder
	logger := zerolog.New(&logged)
	logger.Info().Stringer("a", s).Interface("b", account).Any("c", s).Msg("")
	asJSON, err := json.Marshal(account) //nolint:musttag // a secret must not show even where nobody thought of JSON
	if err != nil {
		t.Fatal(err)
	}
	asText, err := s.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	asKey, err := json.Marshal(map[string]any{"s": s, "p": &s})
	if err != nil {
		t.Fatal(err)
	}
	outputs := []string{s.String(), s.GoString(), string(asJSON), string(asText), string(asKey), logged.String(), fmt.Sprint(s), fmt.Sprint(account)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%20s", "%T"} {
		outputs = append(outputs, fmt.Sprintf(verb, s), fmt.Sprintf(verb, &s), fmt.Sprintf(verb, account), fmt.Sprintf(verb, client))
	}
	for _, out := range outputs {
		if strings.Contains(out, plainText) || strings.Contains(out, fmt.Sprintf("%x", plainText)) || strings.Contains(out, fmt.Sprintf("%X", plainText)) {
			t.Errorf("the secret shows in %s", out)
		}
	}
	for _, out := range []string{s.String(), s.GoString(), string(asText), fmt.Sprintf("%#v", s), fmt.Sprintf("%x", s)} {
		if out != "***" {
			t.Errorf("got %q, want three stars", out)
		}
	}
	if s.Reveal() != plainText {
		t.Errorf("revealed %q", s.Reveal())
	}
}

func TestOnlyReferencesAreTakenAsSecrets(t *testing.T) {
	t.Parallel()
	for _, text := range []string{plainText, "file:", "env:", "FILE:/x", "vault:x", " file:/x", "file:/x\ny", "env:A\x00"} {
		s := secret("file:/before", "before")
		err := s.UnmarshalText([]byte(text))
		if !errors.Is(err, ErrSecretReference) {
			t.Errorf("%q: got %v", text, err)
			continue
		}
		if err.Error() != "not a file: or env: reference" {
			t.Errorf("%q: the error is %q", text, err)
		}
		if s.Reveal() != "before" {
			t.Errorf("%q changed the secret", text)
		}
	}
	for _, text := range []string{"file:/x", "env:NAME", ""} {
		var s Secret
		if err := s.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if s.IsZero() != (text == "") || s.Reveal() != "" {
			t.Errorf("%q: zero %t, revealed %q before it was read", text, s.IsZero(), s.Reveal())
		}
	}
}

func TestSecretsAreReadAndStripped(t *testing.T) {
	t.Parallel()
	h := host{
		env: map[string]string{"PW": "from env\n", "EMPTY": ""},
		files: map[string]string{
			"/unix": "pw\n", "/dos": "pw\r\n", "/many": "pw\n\n", "/none": "pw", "/inner": "a\nb\n", "/space": " pw ",
			"/empty": "\n", "/large": strings.Repeat("x", largestFile+1),
		},
		errs: map[string]error{"/locked": syscall.EACCES, "/dir": syscall.EISDIR},
	}
	tests := []struct{ reference, want, fault string }{
		{"env:PW", "from env", ""},
		{"file:/unix", "pw", ""},
		{"file:/dos", "pw", ""},
		{"file:/many", "pw", ""},
		{"file:/none", "pw", ""},
		{"file:/inner", "a\nb", ""},
		{"file:/space", " pw ", ""},
		{"env:GONE", "", `the environment variable "GONE" is not set; set it, or mend the reference`},
		{"env:EMPTY", "", `the secret at "env:EMPTY" is empty; write the secret there, or mend the reference`},
		{"file:/empty", "", `the secret at "file:/empty" is empty; write the secret there, or mend the reference`},
		{"file:/gone", "", `the file "/gone" does not exist; create it, or mend the path`},
		{"file:/locked", "", `the file "/locked" may not be read by this user; let the worker's user read it`},
		{"file:/dir", "", `the file "/dir" cannot be read: is a directory; mend the path or the file`},
		{"file:/large", "", `the file "/large" has 1048577 bytes; name one of at most 1048576 bytes`},
	}
	for _, tt := range tests {
		t.Run(tt.reference, func(t *testing.T) {
			t.Parallel()
			var s Secret
			if err := s.UnmarshalText([]byte(tt.reference)); err != nil {
				t.Fatal(err)
			}
			got := ""
			if fault := s.resolve(h.source()); fault != nil {
				got = fault.Error()
			}
			if got != tt.fault || s.Reveal() != tt.want {
				t.Errorf("got %q and fault %q, want %q and fault %q", s.Reveal(), got, tt.want, tt.fault)
			}
		})
	}
}

func TestSASLBuildsTheLoginOfItsMechanism(t *testing.T) {
	t.Parallel()
	for mechanism, want := range map[string]string{"plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512"} {
		login, err := SASL{Mechanism: mechanism, Username: "u", Password: secret("env:X", "pw")}.Build()
		if err != nil {
			t.Fatal(err)
		}
		if login.Name() != want {
			t.Errorf("%s became %s", mechanism, login.Name())
		}
	}
	if login, err := (SASL{Mechanism: "scram-sha-512"}).Build(); login != nil || err != nil {
		t.Errorf("without a username: %v, %v", login, err)
	}
	if _, err := (SASL{Mechanism: "gssapi", Username: "u"}).Build(); err == nil {
		t.Error("an unknown mechanism was accepted")
	}
	_, err := SASL{Mechanism: "scram-sha-512", Username: "u", Password: secret("env:X", "pw\x01hunter2")}.Build()
	var fault *FaultError
	if !errors.As(err, &fault) || fault.Path != "password" || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a password that SASLprep forbids: %v", err)
	}
}

func TestPlainSASLSendsUserAndPassword(t *testing.T) {
	t.Parallel()
	login, err := SASL{Mechanism: "plain", Username: "u", Password: secret("env:X", "pw")}.Build()
	if err != nil {
		t.Fatal(err)
	}
	_, first, err := login.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if string(first) != "\x00u\x00pw" {
		t.Errorf("first message is %q", first)
	}
}

func TestTheNestingConstantsFitTheDefaults(t *testing.T) {
	t.Parallel()
	cfg := defaults()
	if cfg.Limits.Lease <= 2*cfg.Limits.GatewayTimeout+SettleAllowance || cfg.Limits.Drain >= SessionTimeout {
		t.Error("the defaults break the nesting")
	}
	if SettleAllowance != 10*time.Second || SessionTimeout != 10*time.Second {
		t.Error("the documented constants have changed; change docs/configuration.md too")
	}
}
