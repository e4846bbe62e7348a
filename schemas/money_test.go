package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/Rhymond/go-money"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestTheExponentsAreThoseOfISO4217 compares with the minor units of ISO 4217, list one, typed from the standard.
func TestTheExponentsAreThoseOfISO4217(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]int{
		"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0,
		"VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
		"AED": 2, "ALL": 2, "AUD": 2, "BRL": 2, "CAD": 2, "CHF": 2, "CNY": 2, "COP": 2, "EUR": 2, "GBP": 2, "HKD": 2,
		"HUF": 2, "IDR": 2, "INR": 2, "IRR": 2, "LAK": 2, "LBP": 2, "MGA": 2, "MMK": 2, "MOP": 2, "MRU": 2, "MXN": 2,
		"MYR": 2, "NZD": 2, "PHP": 2, "PKR": 2, "RSD": 2, "RUB": 2, "SGD": 2, "SLE": 2, "THB": 2, "TWD": 2, "USD": 2,
		"UZS": 2, "XCG": 2, "YER": 2, "ZAR": 2,
		"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
		"CLF": 4,
	} {
		got, err := Money{Minor: 1, Currency: code}.Exponent()
		if err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", code, got, err, want)
		}
		if parsed, err := ParseCurrency(code); err != nil || parsed != code {
			t.Errorf("%s: parsed as %q, %v", code, parsed, err)
		}
	}
}

func TestWhatIsNoCurrencyOfTheContractIsRefused(t *testing.T) {
	t.Parallel()
	for _, code := range []string{
		"", "HK", "HKDX", "hkd", "Hkd", "344", "ABC", "É$", "HK\x00",
		"XAU", "XAG", "XDR", "XPT", "XTS", "XUA", // no minor unit
		strings.Repeat("X", 3),                          // ISO 4217 for a transaction without a currency
		"DEM", "LTL", "HRK", "ZWL", "BYR", "VEF", "ANG", // withdrawn
		"GGP", "IMP", "JEP", // never in ISO 4217
	} {
		if ValidCurrency(code) {
			t.Errorf("%q is taken", code)
		}
		if _, err := ParseCurrency(code); !errors.Is(err, ErrCurrency) {
			t.Errorf("ParseCurrency(%q): %v", code, err)
		}
		if _, err := (Money{Minor: 1, Currency: code}).Exponent(); !errors.Is(err, ErrCurrency) {
			t.Errorf("Exponent of %q: %v", code, err)
		}
	}
}

func TestEveryCodeThatIsNotTakenIsStillInTheTable(t *testing.T) {
	t.Parallel()
	for code := range notTaken {
		if money.GetCurrency(code) == nil {
			t.Errorf("go-money dropped %s: the entry has nothing to exclude any more", code)
		}
	}
}

func TestMoneyOnTheWireIsAStringOfDigits(t *testing.T) {
	t.Parallel()
	m := Money{Minor: 1001, Currency: "HKD"}
	raw := marshal(t, m)
	if got, want := string(raw), `{"currency":"HKD","value":"1001"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var back Money
	if err := json.Unmarshal(raw, &back); err != nil || back != m {
		t.Errorf("got %v, %v", back, err)
	}
}

func TestMoneyWithACurrencyThatNeedsEscapesIsStillJSON(t *testing.T) {
	t.Parallel()
	raw := marshal(t, Money{Minor: math.MinInt64, Currency: `"<é` + "\x00"})
	var wire map[string]string
	if err := json.Unmarshal(raw, &wire); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"currency": `"<é` + "\x00", "value": strconv.Itoa(math.MinInt64)}
	if diff := cmp.Diff(want, wire); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMoneyThatIsNotPositiveAndWholeIsRefused(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`{"currency":"HKD","value":"0"}`, `{"currency":"HKD","value":"-1"}`, `{"currency":"HKD","value":1001}`,
		`{"currency":"HKD","value":"10.01"}`, `{"currency":"HKD"}`, `7`,
	} {
		m := Money{Minor: 5, Currency: "USD"}
		if err := json.Unmarshal([]byte(raw), &m); !errors.Is(err, ErrMoney) || m.Minor != 5 {
			t.Errorf("%s: %v, %v", raw, m, err)
		}
	}
}

func TestMoneyInTextsSaysThatItCountsMinorUnits(t *testing.T) {
	t.Parallel()
	if got, want := (Money{1001, "HKD"}).String(), "HKD 1001 (minor units)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzParseMinor(f *testing.F) {
	for _, seed := range []string{"1", "0", "", "01", "-1", "+1", "1.0", "999999999999999", "1000000000000000", "١", "1e3", "9223372036854775808"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, digits string) {
		minor, err := ParseMinor(digits)
		if err != nil {
			if !errors.Is(err, ErrMoney) || minor != 0 {
				t.Fatalf("%d, %v", minor, err)
			}
			return
		}
		if minor < 1 || minor > maxMinor || strconv.FormatInt(minor, 10) != digits {
			t.Fatalf("%q is read as %d", digits, minor)
		}
	})
}

// currencies are all codes of the contract, found by asking for every one that three letters can make.
func currencies() []string {
	var codes []string
	for n := range 26 * 26 * 26 {
		code := string([]byte{'A' + byte(n/676), 'A' + byte(n/26%26), 'A' + byte(n%26)})
		if ValidCurrency(code) {
			codes = append(codes, code)
		}
	}
	return codes
}

// Money that is written is read back as the same, in every currency: by itself, and as part of a command, which is read
// by another reader.
func TestMoneyGoesBothWaysInEveryCurrency(t *testing.T) {
	t.Parallel()
	codes := currencies()
	if len(codes) < 150 {
		t.Fatalf("only %d currencies", len(codes))
	}
	cmd, err := DecodeCommand(golden(t, "accepted")["minimal"])
	if err != nil {
		t.Fatal(err)
	}
	bothWays := func(m Money) error {
		raw, err := json.Marshal(m)
		if want := `{"currency":"` + m.Currency + `","value":"` + strconv.FormatInt(m.Minor, 10) + `"}`; err != nil || string(raw) != want {
			return fmt.Errorf("%s is written as %s: %w", m, raw, err)
		}
		var back Money
		if err := json.Unmarshal(raw, &back); err != nil || back != m {
			return fmt.Errorf("%s is read as %s: %w", raw, back, err)
		}
		c := cmd
		c.Amount, c.OriginalAmount = m, &m
		whole, err := json.Marshal(c)
		if err != nil {
			return err
		}
		again, err := DecodeCommand(whole)
		if err != nil || again.Amount != m || *again.OriginalAmount != m {
			return fmt.Errorf("%s is read as %s: %w", whole, again.Amount, err)
		}
		return nil
	}
	for _, code := range codes {
		for _, minor := range []int64{1, 9, 10, 99, 100, 1001, maxMinor - 1, maxMinor} {
			if err := bothWays(Money{minor, code}); err != nil {
				t.Error(err)
			}
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		m := Money{rapid.Int64Range(1, maxMinor).Draw(rt, "minor"), rapid.SampledFrom(codes).Draw(rt, "currency")}
		if err := bothWays(m); err != nil {
			rt.Fatal(err)
		}
	})
}
