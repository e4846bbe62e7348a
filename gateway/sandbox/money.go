package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// maxDigits keeps every amount inside int64.
const maxDigits = 18

var errAmount = errors.New("not an amount")

// parseMinor reads what the gateway takes as an amount: a whole number of minor units of at least 1, as digits without
// sign or leading zero. https://docs.antom.com/ac/ams/refund
func parseMinor(text string) (int64, error) {
	minor, err := strconv.ParseInt(text, 10, 64)
	if err != nil || len(text) > maxDigits || text[0] < '1' || text[0] > '9' {
		return 0, fmt.Errorf("%q: %w", text, errAmount)
	}
	return minor, nil
}

func isCurrency(code string) bool {
	return len(code) == 3 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// decimals is the number of minor digits by ISO 4217, for the currencies the sandbox may settle between.
func decimals(currency string) int {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	default:
		return 2
	}
}

// parsePrice takes plain decimals only, in a form that may also stand in JSON as a number.
func parsePrice(text string) (*big.Rat, error) {
	price, ok := new(big.Rat).SetString(text)
	if !ok || price.Sign() <= 0 || strings.Trim(text, "0123456789.") != "" || !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("price %q: %w", text, errAmount)
	}
	return price, nil
}

// convert gives what the merchant pays for a refund of minor units, rounded half up to the settlement's minor unit.
func convert(minor int64, currency string, st Settlement) (int64, error) {
	price, err := parsePrice(st.Price)
	if err != nil {
		return 0, err
	}
	value := new(big.Rat).Mul(new(big.Rat).SetInt64(minor), price)
	for range decimals(st.Currency) {
		value.Mul(value, big.NewRat(10, 1))
	}
	for range decimals(currency) {
		value.Quo(value, big.NewRat(10, 1))
	}
	value.Add(value, big.NewRat(1, 2))
	whole := new(big.Int).Quo(value.Num(), value.Denom())
	if !whole.IsInt64() {
		return 0, fmt.Errorf("%s at %s: %w", strconv.FormatInt(minor, 10), st.Price, errAmount)
	}
	return whole.Int64(), nil
}
