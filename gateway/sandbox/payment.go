package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// PaymentStatus is the state of a payment; the zero value is a paid one.
type PaymentStatus string

// The states of a payment. Only a paid one can be refunded.
const (
	Paid      PaymentStatus = ""
	Cancelled PaymentStatus = "CANCELLED"
	// Unpaid stands for everything the gateway answers ORDER_STATUS_INVALID for: not paid, not captured, disputed.
	Unpaid PaymentStatus = "UNPAID"
)

// Payment is one payment that may be refunded. Its zero rules are the ordinary ones: paid, refundable in parts, as
// often as the amount allows, at any time, synchronously, settled in its own currency.
type Payment struct {
	// ID is Antom's paymentId or eftPay's out_trade_no. Both gateways find it, and each keeps its own count of what was
	// refunded: give the payments of the two different IDs.
	ID string `json:"paymentId"`
	// ClientID is the merchant it belongs to, by client-id or user_confirm_key; for others it does not exist. Empty means
	// any merchant.
	ClientID string `json:"clientId,omitempty"`
	// Minor is the amount paid, in minor units of Currency, at least 1.
	Minor int64 `json:"minor"`
	// Currency is the ISO 4217 code.
	Currency string        `json:"currency"`
	Status   PaymentStatus `json:"status,omitempty"`
	// Wallet is eftPay's payment_type of the sale, such as ALIPAYHK; requests that name another are declined. Empty means
	// any. Antom knows no wallets.
	Wallet string `json:"wallet,omitempty"`
	// WindowEnd is the moment after which refunds are refused; the zero time means never.
	WindowEnd time.Time `json:"windowEnd,omitzero"`
	// SingleRefund refuses a second refund, FullOnly a partial one.
	SingleRefund bool `json:"singleRefund,omitempty"`
	FullOnly     bool `json:"fullOnly,omitempty"`
	// MinRefund is the smallest refund in minor units; 0 means 1. Below it the answer is REFUND_AMOUNT_EXCEED too:
	// https://global.alipay.com/docs/ac/apo/refund
	MinRefund int64 `json:"minRefund,omitempty"`
	// Async makes refunds asynchronous; nil means synchronous.
	Async *Async `json:"async,omitempty"`
	// Settlement is how Antom's merchant is settled in another currency; nil means in the payment's own.
	Settlement *Settlement `json:"settlement,omitempty"`
}

// Async says how a refund of an asynchronous payment method comes to its end. It ends when Delay has passed, or at the
// first look (an inquiry, or the same refund sent again) after Looks unfinished ones, whichever is first. With neither
// set, the first look finds it final.
type Async struct {
	// Status is Antom's resultStatus that goes with REFUND_IN_PROCESS: U, S or F. Empty means U; the pages do not say it:
	// https://docs.antom.com/ac/cashierpay_zh-cn/refund
	Status string `json:"status,omitempty"`
	// PlainSuccess is Antom's too: it answers S SUCCESS without refundTime instead of REFUND_IN_PROCESS, as the in-store page has it:
	// https://docs.antom.com/ac/ams/refund
	PlainSuccess bool `json:"plainSuccess,omitempty"`
	// Delay is the time until the final state; 0 means that time alone does not finish it.
	Delay time.Duration `json:"-"`
	// Looks is the number of looks that still find it unfinished.
	Looks int `json:"looks,omitempty"`
	// Stuck refunds never end.
	Stuck bool `json:"stuck,omitempty"`
	// FailCode, when set, makes the refund fail in the end, with this code, for example PROCESS_FAIL.
	FailCode string `json:"failCode,omitempty"`
}

// due says whether time alone has ended the refund.
func (a *Async) due(accepted, now time.Time) bool {
	return !a.Stuck && a.Delay > 0 && !now.Before(accepted.Add(a.Delay))
}

// ended says whether a look, the last of these, ends the refund.
func (a *Async) ended(accepted time.Time, looks int, now time.Time) bool {
	byLooks := a.Looks > 0 || a.Delay == 0
	return a.due(accepted, now) || !a.Stuck && byLooks && looks > a.Looks
}

type plainAsync Async

type wireAsync struct {
	plainAsync
	// Delay is a Go duration text such as "1.5s".
	Delay string `json:"delay,omitempty"`
}

// MarshalJSON writes the delay as text, such as "1.5s".
func (a Async) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireAsync{plainAsync: plainAsync(a), Delay: durationText(a.Delay)})
}

// UnmarshalJSON reads what MarshalJSON writes, and refuses unknown fields.
func (a *Async) UnmarshalJSON(raw []byte) error {
	var wire wireAsync
	if err := decodeStrict(raw, &wire); err != nil {
		return err
	}
	delay, err := parseDuration(wire.Delay)
	if err != nil {
		return err
	}
	*a = Async(wire.plainAsync)
	a.Delay = delay
	return nil
}

// Settlement says what the gateway takes from the merchant for a refund, in another currency than the customer gets.
type Settlement struct {
	// Currency is the ISO 4217 code of the settlement.
	Currency string `json:"currency"`
	// Price is the number of settlement units for one unit of the payment's currency, a decimal such as "0.128".
	Price string `json:"price"`
	// QuoteID is the ID of a locked rate; empty means none, and the answer then has no settlementQuote.
	QuoteID string `json:"quoteId,omitempty"`
	// NumericPrice writes quotePrice as a JSON number, as some SDK models have it, not as a string.
	NumericPrice bool `json:"numericPrice,omitempty"`
}

// Validate reports all faults of the payment, joined.
func (p Payment) Validate() error {
	var errs []error
	if p.ID == "" || len(p.ID) > maxID {
		errs = append(errs, fmt.Errorf("payment %q: ID is not 1 to %d characters", p.ID, maxID))
	}
	if p.Minor < 1 || p.MinRefund < 0 {
		errs = append(errs, fmt.Errorf("payment %q: amount %d, smallest refund %d", p.ID, p.Minor, p.MinRefund))
	}
	if !isCurrency(p.Currency) {
		errs = append(errs, fmt.Errorf("payment %q: currency %q", p.ID, p.Currency))
	}
	if p.Status != Paid && p.Status != Cancelled && p.Status != Unpaid {
		errs = append(errs, fmt.Errorf("payment %q: status %q", p.ID, p.Status))
	}
	if p.Wallet != "" && !isWallet(p.Wallet) {
		errs = append(errs, fmt.Errorf("payment %q: wallet %q", p.ID, p.Wallet))
	}
	if a := p.Async; a != nil {
		if a.Status != "" && a.Status != statusS && a.Status != statusF && a.Status != statusU {
			errs = append(errs, fmt.Errorf("payment %q: async status %q", p.ID, a.Status))
		}
		if a.Delay < 0 || a.Looks < 0 {
			errs = append(errs, fmt.Errorf("payment %q: async delay %s, looks %d", p.ID, a.Delay, a.Looks))
		}
	}
	if st := p.Settlement; st != nil {
		// No refund is larger than the payment, so if the whole can be converted every part can.
		if _, err := convert(p.Minor, p.Currency, *st); err != nil || !isCurrency(st.Currency) {
			errs = append(errs, fmt.Errorf("payment %q: settlement in %q at %q", p.ID, st.Currency, st.Price))
		}
	}
	return errors.Join(errs...)
}

// payments is what the gateway has sold: explicit payments first, then the rule.
type payments struct {
	mu    sync.RWMutex
	given map[string]Payment
	rule  func(string) (Payment, bool)
}

func newPayments(given []Payment, rule func(string) (Payment, bool)) *payments {
	p := &payments{given: make(map[string]Payment, len(given)), rule: rule}
	p.add(given...)
	return p
}

func (p *payments) add(more ...Payment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, payment := range more {
		p.given[payment.ID] = payment
	}
}

// find returns nil for a payment that is not known. What the rule makes up is held to the same checks as what is given:
// a payment that breaks them is not known.
func (p *payments) find(paymentID string) *Payment {
	p.mu.RLock()
	payment, ok := p.given[paymentID]
	p.mu.RUnlock()
	if !ok && p.rule != nil {
		payment, ok = p.rule(paymentID)
		payment.ID = paymentID
		ok = ok && payment.Validate() == nil
	}
	if !ok {
		return nil
	}
	return &payment
}
