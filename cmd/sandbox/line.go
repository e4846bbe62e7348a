package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"refundworker/gateway/sandbox"
	"refundworker/schemas"
)

// line is one line of the file: one message, sent one or more times, with what the gateway knows and does about it.
type line struct {
	// Kind groups lines in the table.
	Kind string `json:"kind"`
	// Send is a command, as the JSON that goes on the wire; Raw is any text. One of the two.
	Send json.RawMessage `json:"send"`
	Raw  *string         `json:"raw"`
	// Times is how often the message is sent; 0 means once.
	Times int `json:"times"`
	// Expect is the end the message must come to; nil expects nothing.
	Expect *expectation `json:"expect"`
	// Payment is what the gateway knows of the command's payment; its paymentId follows from the command. Absent: a
	// payment of 1 000 000 minor units in the command's currency, unless the payment ID begins with "missing".
	Payment *sandbox.Payment `json:"payment"`
	// Faults are what the gateway does to the refund calls of this request, one after the other. Inquiries are answered.
	Faults []sandbox.Fault `json:"faults"`

	// number is the line's place in the file, from 1; command is what Send says, as far as it can be read.
	number  int
	command schemas.Command
}

// expectation is the end of a message: success, failed, retry-pending, or rejected.
type expectation struct {
	Status string       `json:"status"`
	Code   schemas.Code `json:"code"`
}

// rejected is the status of the table for messages that were no command.
const rejected = "rejected"

func readLines(name string, raw []byte) ([]line, error) {
	var lines []line
	number := 0
	for text := range bytes.Lines(raw) {
		number++
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		l, err := readLine(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		l.number = number
		lines = append(lines, l)
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s: no lines; a line is {\"send\": {…}} or {\"raw\": \"…\"}", name)
	}
	return lines, nil
}

func readLine(text []byte) (line, error) {
	var l line
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return line{}, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return line{}, errors.New("more than one JSON value on the line")
	}
	if (l.Send == nil) == (l.Raw == nil) {
		return line{}, errors.New("exactly one of send and raw is needed")
	}
	if l.Times < 0 || l.Times > 1000 {
		return line{}, fmt.Errorf("times: %d is not 0 to 1000", l.Times)
	}
	l.Times = max(l.Times, 1)
	if l.Kind == "" {
		l.Kind = "other"
	}
	if l.Send != nil {
		// Only to know what to set up and to look for; whether it is a command is for the worker to say.
		if err := json.Unmarshal(l.Send, &l.command); err != nil && len(l.Faults) > 0 {
			return line{}, fmt.Errorf("faults go with a readable command: %w", err)
		}
	}
	errs := []error{l.Expect.validate()}
	if l.Payment != nil {
		l.Payment.ID = l.command.PaymentID
		errs = append(errs, l.Payment.Validate())
	}
	for _, f := range l.Faults {
		errs = append(errs, f.Validate())
	}
	return l, errors.Join(errs...)
}

func (e *expectation) validate() error {
	if e == nil {
		return nil
	}
	info, known := e.Code.Info()
	want := string(info.Status)
	if want == "" {
		want = rejected
	}
	if !known || e.Status != want {
		return fmt.Errorf("expect: code %q goes with status %q, not with %q", e.Code, want, e.Status)
	}
	return nil
}

// value is the message's bytes; key its payment, as producers should key commands.
func (l line) value() []byte {
	if l.Raw != nil {
		return []byte(*l.Raw)
	}
	return l.Send
}

func (l line) key() []byte { return []byte(l.command.PaymentID) }

// payments is what the gateway knows: the payments of the lines, and a rule for all others.
func payments(lines []line) (given []sandbox.Payment, rule func(string) (sandbox.Payment, bool)) {
	currencies := make(map[string]string)
	for _, l := range lines {
		if l.Payment != nil {
			given = append(given, *l.Payment)
		}
		if _, known := currencies[l.command.PaymentID]; !known && l.command.Amount.Currency != "" {
			currencies[l.command.PaymentID] = l.command.Amount.Currency
		}
	}
	return given, func(id string) (sandbox.Payment, bool) {
		currency, known := currencies[id]
		if !known {
			currency = "HKD"
		}
		return sandbox.Payment{ID: id, Minor: 1_000_000, Currency: currency}, !strings.HasPrefix(id, "missing")
	}
}

// gatewayKey is what a gateway calls a request: Antom takes the request ID as it is; eftPay's refund_no is "R" and the
// first 27 characters of base32(SHA-256(request ID)). It is written down here a second time, as an oracle should.
func gatewayKey(cmd schemas.Command) string {
	if cmd.Gateway != schemas.EftPay {
		return cmd.RequestID
	}
	sum := sha256.Sum256([]byte(cmd.RequestID))
	return "R" + base32.StdEncoding.EncodeToString(sum[:])[:27]
}

func rules(lines []line) []sandbox.Rule {
	var list []sandbox.Rule
	for _, l := range lines {
		if len(l.Faults) > 0 {
			list = append(list, sandbox.Rule{
				Gateway: string(l.command.Gateway), RequestID: gatewayKey(l.command), Operation: sandbox.Refund, Faults: l.Faults,
			})
		}
	}
	return list
}
