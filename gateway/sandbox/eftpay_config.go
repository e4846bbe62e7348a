package sandbox

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// defaultClockWindow is a guess: the pages say nothing of a permitted difference.
const defaultClockWindow = 5 * time.Minute

// Merchant is a merchant of eftPay.
type Merchant struct {
	// Key is the user_confirm_key, 1 to 12 characters.
	Key string
	// Secret is what both sides sign with; see [NewTestSecret].
	Secret string
	// FormerSecret is taken for requests as well, and answers to those are signed with it; empty means none. The vendor
	// does not say whether two secrets ever count at once.
	FormerSecret string
	// Currency is what the merchant sells in: the requests name none. Its minor unit has to be a hundredth. Payments in
	// another currency do not exist for the merchant.
	Currency string
}

// DuplicateMode says what becomes of a refund whose refund_no is known. The vendor does not.
type DuplicateMode string

// The modes.
const (
	// Replay answers what is known of the first refund, whatever is asked for now.
	Replay DuplicateMode = "replay"
	// Reject answers an error code.
	Reject DuplicateMode = "reject"
	// RefundAgain moves the money again, as long as the rest of the sale allows.
	RefundAgain DuplicateMode = "refund-again"
)

// UnknownMode says what Query answers for a refund_no that is not known. The vendor does not.
type UnknownMode string

// The modes.
const (
	// AnswerError answers an error code.
	AnswerError UnknownMode = "error"
	// AnswerSale answers with the sale's record, as if no refund_no had been given.
	AnswerSale UnknownMode = "sale"
	// AnswerOther answers with the newest other refund of the sale that succeeded or may, else with the error code.
	AnswerOther UnknownMode = "other-refund"
)

// EftPayConfig is how the eftPay side behaves where the vendor's pages are silent. The zero value is a plain choice of
// each; a client has to be safe under every other, too.
type EftPayConfig struct {
	// ClockWindow is the largest difference between a request's time and the server's clock, both ways; 0 means 5 min.
	ClockWindow time.Duration
	// SignClock signs the answer 12 to a wrong time, as return_status ≥ 00 would have it; a live integration could not
	// verify that answer.
	SignClock bool
	// KeepEmpty signs empty and null fields as "name=" instead of skipping them. Requests may do either at any time.
	KeepEmpty bool
	// Duplicate is the mode for a refund_no that is known; empty means Replay.
	Duplicate DuplicateMode
	// Unknown is the mode for a refund_no that is not known to Query; empty means AnswerError.
	Unknown UnknownMode
	// HideDeclined makes a refund that was declined with an error code leave no record: Query does not know it, and its
	// number stays free. Otherwise Query says TRADE_FAIL and the number is taken.
	HideDeclined bool
	// HideFor and HideQueries hide every refund from Query at first: until the time has passed, and until that many
	// queries have asked for it in vain. A restart ends the hiding.
	HideFor     time.Duration
	HideQueries int
	// Seed picks the answers that have an empty return_char, a null refund_trade_no or a field no page names: one in four
	// each, by operation, refund_no and number of the call.
	Seed uint64
	// Codes are the return_status values that the pages do not give.
	Codes EftPayCodes
}

// EftPayCodes are values of return_status, one to three digits, and not zero. All but BadSign are positive, and signed.
// The defaults are inventions.
type EftPayCodes struct {
	// BadSign goes out unsigned, whatever it is; empty means "-1". It may be negative.
	BadSign string
	// BadField is for fields that are missing, too long or wrong; empty means "20". It leaves no record.
	BadField string
	// UnknownOrder is for an out_trade_no that the merchant does not have; empty means "21".
	UnknownOrder string
	// WrongWallet is for another payment_type than the sale's; empty means "22".
	WrongWallet string
	// NotRefundable is for a sale that may not be refunded: not paid, window over, or against another rule of the
	// [Payment]; empty means "23".
	NotRefundable string
	// Exceeded is for more than the rest of the sale; empty means "24".
	Exceeded string
	// Duplicate is for Reject; empty means "25".
	Duplicate string
	// UnknownRefund is for AnswerError; empty means "26".
	UnknownRefund string
}

// Validate reports all faults of the configuration, joined.
func (c EftPayConfig) Validate() error {
	var errs []error
	if c.ClockWindow < 0 {
		errs = append(errs, fmt.Errorf("eftpay: clock window %s is negative", c.ClockWindow))
	}
	if c.HideFor < 0 || c.HideQueries < 0 {
		errs = append(errs, fmt.Errorf("eftpay: hidden for %s, %d queries", c.HideFor, c.HideQueries))
	}
	c = c.withDefaults()
	if c.Duplicate != Replay && c.Duplicate != Reject && c.Duplicate != RefundAgain {
		errs = append(errs, fmt.Errorf("eftpay: duplicate mode %q", c.Duplicate))
	}
	if c.Unknown != AnswerError && c.Unknown != AnswerSale && c.Unknown != AnswerOther {
		errs = append(errs, fmt.Errorf("eftpay: unknown mode %q", c.Unknown))
	}
	if n, err := strconv.Atoi(c.Codes.BadSign); err != nil || n == 0 || !isReturnStatus(c.Codes.BadSign) {
		errs = append(errs, fmt.Errorf("eftpay: code %q for a bad sign", c.Codes.BadSign))
	}
	for _, code := range []string{
		c.Codes.BadField, c.Codes.UnknownOrder, c.Codes.WrongWallet, c.Codes.NotRefundable, c.Codes.Exceeded,
		c.Codes.Duplicate, c.Codes.UnknownRefund,
	} {
		if n, err := strconv.Atoi(code); err != nil || n < 1 || !isReturnStatus(code) {
			errs = append(errs, fmt.Errorf("eftpay: code %q is not positive, of three digits at most", code))
		}
	}
	return errors.Join(errs...)
}

func (c EftPayConfig) withDefaults() EftPayConfig {
	if c.ClockWindow == 0 {
		c.ClockWindow = defaultClockWindow
	}
	if c.Duplicate == "" {
		c.Duplicate = Replay
	}
	if c.Unknown == "" {
		c.Unknown = AnswerError
	}
	for code, value := range map[*string]string{
		&c.Codes.BadSign: "-1", &c.Codes.BadField: "20", &c.Codes.UnknownOrder: "21", &c.Codes.WrongWallet: "22",
		&c.Codes.NotRefundable: "23", &c.Codes.Exceeded: "24", &c.Codes.Duplicate: "25", &c.Codes.UnknownRefund: "26",
	} {
		if *code == "" {
			*code = value
		}
	}
	return c
}

func checkMerchants(merchants []Merchant) error {
	var errs []error
	known := map[string]bool{}
	for i, m := range merchants {
		if m.Key == "" || len(m.Key) > maxKey || known[m.Key] {
			errs = append(errs, fmt.Errorf("merchants[%d]: key %q is taken, or not 1 to %d characters", i, m.Key, maxKey))
		}
		if m.Secret == "" {
			errs = append(errs, fmt.Errorf("merchants[%d]: no secret", i))
		}
		if !isCurrency(m.Currency) || decimals(m.Currency) != 2 {
			errs = append(errs, fmt.Errorf("merchants[%d]: currency %q", i, m.Currency))
		}
		known[m.Key] = true
	}
	return errors.Join(errs...)
}
