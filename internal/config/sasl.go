package config

import (
	"fmt"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// The SASL mechanisms, as they are written in the configuration.
const (
	mechanismPlain       = "plain"
	mechanismScramSHA256 = "scram-sha-256"
	mechanismScramSHA512 = "scram-sha-512"
)

// Build returns the login for kafka-go; nil without an error means no login. The error never carries the password.
func (s SASL) Build() (sasl.Mechanism, error) { return s.BuildWith(s.Password.Reveal()) }

// BuildWith is Build with another password.
func (s SASL) BuildWith(password string) (sasl.Mechanism, error) {
	if s.Username == "" {
		return nil, nil
	}
	var algorithm scram.Algorithm
	switch s.Mechanism {
	case mechanismPlain:
		return plain.Mechanism{Username: s.Username, Password: password}, nil
	case mechanismScramSHA256:
		algorithm = scram.SHA256
	case mechanismScramSHA512:
		algorithm = scram.SHA512
	default:
		return nil, s.unknownMechanism()
	}
	login, err := scram.Mechanism(algorithm, s.Username, password)
	if err != nil {
		// SASLprep refuses some characters, and its text may quote them: the cause is left out on purpose.
		return nil, &FaultError{Path: "password", What: "username or password holds characters that SCRAM forbids", Fix: "use letters, digits and signs"}
	}
	return login, nil
}

func (s SASL) unknownMechanism() *FaultError {
	return &FaultError{
		Path: "mechanism",
		What: show(s.Mechanism) + " is not a known mechanism",
		Fix:  fmt.Sprintf("write %s, %s or %s", mechanismPlain, mechanismScramSHA256, mechanismScramSHA512),
	}
}
