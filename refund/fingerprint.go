package refund

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"refundworker/schemas"
)

// fingerprintVersion is the recipe fingerprints are computed with now. A new recipe gets a new number and the old one
// stays, because records are compared in the version they were stored in.
const fingerprintVersion = 1

// fingerprints computes the command's fingerprint in every known version, newest first. It covers every field that
// reaches a gateway and the account as the command names it; fields that never reach one (deadline, batch, metadata,
// original amount) may differ between two sendings of one command.
//
// Each field is written with its length in front, so that no two different commands give the same text.
func fingerprints(cmd schemas.Command) []Fingerprint {
	h := sha256.New()
	field := func(s string) {
		h.Write([]byte(strconv.Itoa(len(s)) + ":" + s))
	}
	field(string(cmd.Gateway))
	field(cmd.Account)
	field(cmd.PaymentID)
	field(cmd.Amount.Currency)
	field(strconv.FormatInt(cmd.Amount.Minor, 10))
	field(cmd.Reason)
	field(cmd.ReferenceRefundID)
	if e := cmd.EftPay; e != nil {
		field(e.Service)
		field(e.PayType)
		field(e.PaymentType)
		field(e.BuyerType)
	}
	return []Fingerprint{{Version: fingerprintVersion, Sum: hex.EncodeToString(h.Sum(nil)[:16])}}
}
