package schemas

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// readCommand is command.schema.json compiled by hand, because the general validator costs several times as much as all
// the rest of reading a command. The schema stays the authority: tests hold the two equal on every golden message, on
// messages broken in every field and under fuzzing, down to the pointer.
func readCommand(root *value) (Command, *fault) {
	if root.kind != kindObject {
		return Command{}, &fault{detail: "a command is a JSON object, not " + root.kind.String()}
	}
	r := fieldReader{object: root}
	var c Command
	c.SchemaVersion = r.version(CommandVersion)
	c.RequestID = r.text("requestId", required, requestIDRule)
	c.Gateway = Gateway(r.text("gateway", required, gatewayRule))
	c.Account = r.text("account", optional, accountRule)
	paymentRule := paymentIDRule
	if c.Gateway == EftPay {
		paymentRule = outTradeNoRule
	}
	c.PaymentID = r.text("paymentId", required, paymentRule)
	if amount := r.money("amount", required); amount != nil {
		c.Amount = *amount
	}
	c.OriginalAmount = r.money("originalAmount", optional)
	c.Reason = r.text("reason", optional, reasonRule)
	if c.Gateway == EftPay {
		r.absent("referenceRefundId", "only Antom takes a reference refund ID; leave it out")
	}
	c.ReferenceRefundID = r.text("referenceRefundId", optional, referenceRule)
	c.Deadline = r.moment("deadline")
	c.BatchID = r.text("batchId", optional, batchRule)
	c.Metadata = r.texts("metadata")
	switch c.Gateway {
	case Antom:
		r.absent("eftpay", "only gateway eftpay has these fields; leave them out")
	case EftPay:
		c.EftPay = readEftPay(&r)
	}
	return c, r.fault
}

func readEftPay(r *fieldReader) *EftPayFields {
	var fields EftPayFields
	r.nested("eftpay", required, func(in *fieldReader) {
		fields.Service = in.text("service", optional, serviceRule)
		fields.PayType = in.text("payType", optional, payTypeRule)
		fields.PaymentType = in.text("paymentType", required, paymentTypeRule)
		fields.BuyerType = in.text("buyerType", optional, buyerTypeRule)
	})
	fields = fields.withDefaults()
	return &fields
}

// The rules of the string fields, one for each pattern of the schemas.
//
//nolint:gochecknoglobals // constant tables
var (
	requestIDRule  = textRule{validRequestID, "1 to 64 of A-Z a-z 0-9 - _ are needed"}
	gatewayRule    = textRule{oneOf(string(Antom), string(EftPay)), `"antom" or "eftpay" is needed`}
	accountRule    = textRule{validAccount, "an account name is 1 to 64 of a-z 0-9 . _ -, and begins with a letter or digit"}
	paymentIDRule  = textRule{graphic(64), "1 to 64 printable ASCII characters without spaces are needed"}
	outTradeNoRule = textRule{graphic(28), "for eftPay 1 to 28 printable ASCII characters without spaces are needed"}
	reasonRule     = textRule{words(256), "1 to 256 characters without control characters are needed, or no such field"}
	referenceRule  = textRule{graphic(64), "1 to 64 printable ASCII characters without spaces are needed, or no such field"}
	currencyRule   = textRule{ValidCurrency, "an ISO 4217 code in force with a minor unit is needed, in upper case"}
	batchRule      = textRule{words(64), "1 to 64 characters without control characters are needed, or no such field"}

	serviceRule     = textRule{graphic(64), "1 to 64 printable ASCII characters without spaces are needed, or no such field"}
	payTypeRule     = textRule{graphic(16), "1 to 16 printable ASCII characters without spaces are needed, or no such field"}
	paymentTypeRule = textRule{validWallet, "a wallet of eftPay's qrcode scene is needed, such as ALIPAYHK"}
	buyerTypeRule   = textRule{oneOf("ios", "android", BuyerTypeOthers), `"ios", "android" or "others" is needed, or no such field`}
)

func validRequestID(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(c rune) bool {
		return !isLetterOrDigit(c) && c != '-' && c != '_'
	})
}

func validAccount(s string) bool {
	return s != "" && len(s) <= 64 && (s[0] >= 'a' && s[0] <= 'z' || s[0] >= '0' && s[0] <= '9') &&
		!strings.ContainsFunc(s, func(c rune) bool {
			return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-'
		})
}

func validWallet(paymentType string) bool {
	_, known := wallets[paymentType]
	return known
}

func isLetterOrDigit(c rune) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
}

// oneOf is a closed list.
func oneOf(list ...string) func(string) bool {
	return func(s string) bool { return slices.Contains(list, s) }
}

// graphic is 1 to limit printable ASCII characters without spaces: an identifier that no gateway trims or re-encodes,
// so that two spellings of one payment cannot pass as two payments.
func graphic(limit int) func(string) bool {
	return func(s string) bool {
		if s == "" || len(s) > limit {
			return false
		}
		for i := range len(s) {
			if s[i] < '!' || s[i] > '~' {
				return false
			}
		}
		return true
	}
}

// words is 1 to limit characters, none of them a control character (C0, DEL, C1).
func words(limit int) func(string) bool {
	return func(s string) bool {
		return s != "" && utf8.RuneCountInString(s) <= limit && !strings.ContainsFunc(s, func(c rune) bool {
			return c < ' ' || c >= 0x7f && c <= 0x9f
		})
	}
}
