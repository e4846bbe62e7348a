package schemas

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Versions and limits of the events.
const (
	// OutcomeVersion and RejectionVersion are the versions this build writes and the newest it reads.
	OutcomeVersion   = 1
	RejectionVersion = 1
	// MaxOutcomeBytes is the largest event this package writes. Metadata at its limit, where every character needs a
	// six-byte escape, takes most of it.
	MaxOutcomeBytes = 160 << 10
)

// What a gateway or a message gives us is held to these lengths, in characters; see [EncodeOutcome].
const (
	maxGatewayCode     = 64
	maxGatewayMessage  = 256
	maxGatewayRefundID = 128
	maxCurrencyPair    = 32
	maxPrice           = 64
	maxQuoteID         = 64
	maxDetail          = 512
)

// EncodeOutcome writes an outcome event. A zero SchemaVersion means [OutcomeVersion]. Equal outcomes give equal bytes.
//
// What a gateway said must never keep an outcome from being published, so its words are held to the schema first:
// code and message are cut (to 64 and 256 characters) and mended to valid UTF-8; an ID, quote, amount or time beyond
// the contract is left out, because half of it would name something else. Everything else is our own, and breaking
// outcome.schema.json with it is a bug: the error then wraps a *[DecodeError] with pointer.
func EncodeOutcome(o Outcome) ([]byte, error) {
	if o.SchemaVersion == 0 {
		o.SchemaVersion = OutcomeVersion
	}
	o.boundGatewayWords()
	if f := o.check(); f != nil {
		return nil, fmt.Errorf("encode outcome %q: %w", o.RequestID, refuse(CodeSchemaViolation, f))
	}
	raw, err := json.Marshal(&o)
	if err != nil {
		return nil, fmt.Errorf("encode outcome %q: %w", o.RequestID, err)
	}
	if len(raw) > MaxOutcomeBytes {
		return nil, fmt.Errorf("encode outcome %q: %w", o.RequestID, &DecodeError{
			Code: CodeTooLarge, Detail: fmt.Sprintf("the outcome has %d bytes, the limit is %d", len(raw), MaxOutcomeBytes),
		})
	}
	return raw, nil
}

// EncodeRejection writes a rejection event. A zero SchemaVersion means [RejectionVersion]. Detail is cut after 512
// characters and the pointer at the nearest parent within 256 bytes; a request ID that is not a valid one is left out.
// The error wraps a *[DecodeError] with pointer.
func EncodeRejection(r Rejection) ([]byte, error) {
	if r.SchemaVersion == 0 {
		r.SchemaVersion = RejectionVersion
	}
	if !validRequestID(r.RequestID) {
		r.RequestID = ""
	}
	r.Detail = cut(r.Detail, maxDetail)
	r.Pointer = boundPointer(strings.ToValidUTF8(r.Pointer, string(utf8.RuneError)))
	raw, err := json.Marshal(&r)
	if err != nil {
		return nil, fmt.Errorf("encode rejection of %s: %w", r.Origin, err)
	}
	if _, err := DecodeRejection(raw); err != nil {
		return nil, fmt.Errorf("encode rejection of %s: %w", r.Origin, err)
	}
	return raw, nil
}

// boundGatewayWords holds the gateway's part of an outcome to the schema. It replaces what pointers point to and never
// writes through them: they are the caller's.
func (o *Outcome) boundGatewayWords() {
	o.GatewayCode = cut(o.GatewayCode, maxGatewayCode)
	o.GatewayMessage = cut(o.GatewayMessage, maxGatewayMessage)
	if !fits(o.GatewayRefundID, maxGatewayRefundID) {
		o.GatewayRefundID = ""
	}
	if o.RefundTime != nil && !encodableYear(o.RefundTime.Time) {
		o.RefundTime = nil
	}
	if !o.RefundedAmount.fits() {
		o.RefundedAmount = nil
	}
	if o.Settlement == nil {
		return
	}
	s := *o.Settlement
	if !s.Amount.fits() {
		s.Amount = nil
	}
	if q := s.Quote; q != nil && (!fits(q.CurrencyPair, maxCurrencyPair) || !fits(q.Price, maxPrice) || !fits(q.ID, maxQuoteID)) {
		s.Quote = nil
	}
	o.Settlement = &s
	if s == (Settlement{}) {
		o.Settlement = nil
	}
}

// cut mends a text to valid UTF-8 and keeps its first characters.
func cut(s string, limit int) string {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	if len(s) <= limit {
		return s
	}
	for i := range s {
		if limit == 0 {
			return s[:i]
		}
		limit--
	}
	return s
}

func fits(s string, limit int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= limit
}

// fits says whether the wire form can hold the amount; no amount at all fits.
func (m *Money) fits() bool {
	return m == nil || m.Minor >= 1 && m.Minor <= maxMinor && ValidCurrency(m.Currency)
}
