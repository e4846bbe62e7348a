package eftpay

import (
	"strconv"
	"strings"
)

// The limits of an amount: "String(8), numeric, at most 2 decimals"
// (https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html). With both decimals written, 99999.99 is
// the largest. Whether a larger one may be written without them is not documented, so it is refused.
const (
	maxAmountText = 8
	maxMinor      = 9_999_999
)

// formatAmount writes minor units with two decimals: 1001 is 10.01. Only for 1 to maxMinor.
func formatAmount(minor int64) string {
	fraction := strconv.FormatInt(minor%100, 10)
	if len(fraction) == 1 {
		fraction = "0" + fraction
	}
	return strconv.FormatInt(minor/100, 10) + "." + fraction
}

// parseAmount reads an amount of an answer into minor units; 0 where it is none, which no amount of ours equals. Real
// answers are not padded ("100", "540.2": joy_, AliPayHK_EftPay.md), so 1, 1.0 and 1.00 are one amount. Signs,
// exponents, more than two decimals and leading zeros are refused: what they mean would be a guess.
func parseAmount(text string) int64 {
	whole, fraction, point := strings.Cut(text, ".")
	if len(text) > maxAmountText || whole == "" || len(whole) > 1 && whole[0] == '0' ||
		point && fraction == "" || len(fraction) > decimals {
		return 0
	}
	var minor int64
	for _, c := range []byte(whole + (fraction + "00")[:decimals]) {
		if c < '0' || c > '9' {
			return 0
		}
		minor = minor*10 + int64(c-'0')
	}
	return minor
}
