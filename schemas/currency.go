package schemas

import (
	"errors"
	"fmt"

	"github.com/Rhymond/go-money"
)

// ErrCurrency is wrapped by every error about a code that is not an ISO 4217 code of this contract.
var ErrCurrency = errors.New("unknown currency")

// notTaken are the codes of go-money's table that are no currency of this contract: withdrawn by ISO 4217 for longer
// than any refund window (365 days; a payment in them can no longer be refunded), never part of ISO 4217 (GGP, IMP,
// JEP), or without a minor unit (XAG, XAU, XDR), so that "minor units" would mean nothing.
//
//nolint:gochecknoglobals // a constant table
var notTaken = map[string]struct{}{
	"ANG": {}, "BYR": {}, "CUC": {}, "EEK": {}, "GHC": {}, "HRK": {}, "LTL": {}, "LVL": {}, "RUR": {}, "SKK": {},
	"SLL": {}, "STD": {}, "TRL": {}, "VEF": {}, "ZWD": {}, "ZWL": {},
	"GGP": {}, "IMP": {}, "JEP": {},
	"XAG": {}, "XAU": {}, "XDR": {},
}

// ParseCurrency takes a three-letter upper-case ISO 4217 code that is in force and has a minor unit. The error wraps
// [ErrCurrency].
func ParseCurrency(code string) (string, error) {
	if !ValidCurrency(code) {
		return "", fmt.Errorf("%w: %q is not an ISO 4217 code in force with a minor unit", ErrCurrency, code)
	}
	return code, nil
}

// ValidCurrency says whether ParseCurrency would take the code.
func ValidCurrency(code string) bool {
	_, known := exponent(code)
	return known
}

// Exponent is how many decimals the amount's currency has: 2 for HKD, 0 for JPY, 3 for KWD. The error wraps
// [ErrCurrency].
func (m Money) Exponent() (int, error) {
	decimals, known := exponent(m.Currency)
	if !known {
		return 0, fmt.Errorf("%w: %q is not an ISO 4217 code in force with a minor unit", ErrCurrency, m.Currency)
	}
	return decimals, nil
}

// exponent reads go-money's table: it agrees with ISO 4217, which golang.org/x/text/currency does not (it follows CLDR
// and knows no decimals for IDR or COP).
func exponent(code string) (decimals int, known bool) {
	if !upperCode(code) { // the table's own look-up folds case
		return 0, false
	}
	if _, out := notTaken[code]; out {
		return 0, false
	}
	entry := money.GetCurrency(code)
	if entry == nil {
		return 0, false
	}
	return entry.Fraction, true
}

// upperCode says whether a code is three letters from A to Z.
func upperCode(code string) bool {
	if len(code) != 3 {
		return false
	}
	for i := range len(code) {
		if code[i] < 'A' || code[i] > 'Z' {
			return false
		}
	}
	return true
}
