package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// MaxMinorDigits is the longest amount the contract allows, in digits of minor units.
const MaxMinorDigits = 15

// maxMinor is the largest amount of MaxMinorDigits digits.
const maxMinor = 999_999_999_999_999

// ErrMoney is wrapped by every error about an amount that is not a whole, positive number of minor units.
var ErrMoney = errors.New("invalid money")

// Money is an amount in the minor units of an ISO 4217 currency: HKD 10.01 is {1001, "HKD"}, JPY 5 is {5, "JPY"}.
// On the wire it is {"currency":"HKD","value":"1001"}: the value is a string of digits, never a number, so that no
// reader in between can turn it into a float.
type Money struct {
	// Minor is the amount in minor units. A command's amount is at least 1.
	Minor int64
	// Currency is the three-letter ISO 4217 code, upper case.
	Currency string
}

type wireMoney struct {
	Currency string `json:"currency"`
	Value    string `json:"value"`
}

// MarshalJSON writes the wire form.
func (m Money) MarshalJSON() ([]byte, error) {
	if !upperCode(m.Currency) { // anything but three letters may need escapes
		return json.Marshal(wireMoney{Currency: m.Currency, Value: strconv.FormatInt(m.Minor, 10)})
	}
	raw := make([]byte, 0, 64)
	raw = append(raw, `{"currency":"`...)
	raw = append(raw, m.Currency...)
	raw = append(raw, `","value":"`...)
	raw = strconv.AppendInt(raw, m.Minor, 10)
	return append(raw, `"}`...), nil
}

// UnmarshalJSON reads the wire form, with the value rules of [ParseMinor].
func (m *Money) UnmarshalJSON(raw []byte) error {
	var w wireMoney
	if err := json.Unmarshal(raw, &w); err != nil {
		return fmt.Errorf("%w: %w", ErrMoney, err)
	}
	minor, err := ParseMinor(w.Value)
	if err != nil {
		return err
	}
	*m = Money{Minor: minor, Currency: w.Currency}
	return nil
}

// ParseMinor reads 1 to 15 digits without sign or leading zero; "0" alone is refused too, because no amount of the
// contract may be zero. The error wraps [ErrMoney].
func ParseMinor(digits string) (int64, error) {
	if digits == "" || len(digits) > MaxMinorDigits || digits[0] == '0' {
		return 0, fmt.Errorf("%w: %q is not 1 to %d digits without a leading zero", ErrMoney, digits, MaxMinorDigits)
	}
	var minor int64
	for _, d := range []byte(digits) {
		if d < '0' || d > '9' {
			return 0, fmt.Errorf("%w: %q is not 1 to %d digits without a leading zero", ErrMoney, digits, MaxMinorDigits)
		}
		minor = minor*10 + int64(d-'0')
	}
	return minor, nil
}

// String is for logs and error texts: "HKD 1001 (minor units)".
func (m Money) String() string {
	return m.Currency + " " + strconv.FormatInt(m.Minor, 10) + " (minor units)"
}
