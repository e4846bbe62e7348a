package eftpay

import "testing"

func TestAnAmountIsWrittenWithTwoDecimalsInEightCharacters(t *testing.T) {
	t.Parallel()
	for minor, want := range map[int64]string{
		1: "0.01", 9: "0.09", 10: "0.10", 99: "0.99", 100: "1.00", 1001: "10.01", 1010: "10.10", 5000000: "50000.00", maxMinor: "99999.99",
	} {
		if got := formatAmount(minor); got != want || len(got) > maxAmountText {
			t.Errorf("formatAmount(%d) = %q, want %q", minor, got, want)
		}
	}
}

func TestAnAmountIsReadByItsValueOrNotAtAll(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"1": 100, "1.0": 100, "1.00": 100, "0.01": 1, "0.1": 10, "10.01": 1001, "100": 10000, "540.2": 54020, "99999.99": maxMinor, "100000": 10000000,
		"99999999": 9999999900, "0": 0, "0.00": 0,

		"": 0, ".": 0, "1.": 0, ".5": 0, "01": 0, "00.01": 0, "1.000": 0, "1.001": 0, "-1": 0, "+1": 0, "1e2": 0, "1E2": 0, "1,00": 0, "1.0.0": 0,
		" 1": 0, "1 ": 0, "HKD1": 0, "0x1": 0, "1_0": 0, "١": 0, "100000.00": 0, "999999999": 0, "1.-1": 0, "NaN": 0, "true": 0,
	} {
		if got := parseAmount(text); got != want {
			t.Errorf("parseAmount(%q) = %d, want %d", text, got, want)
		}
	}
}
