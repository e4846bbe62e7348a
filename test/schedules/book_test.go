package schedules

import (
	"strconv"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// state is the true state of a refund at its gateway.
type state int

const (
	processing state = iota
	done
	failed
)

// entry is a refund as a gateway knows it.
type entry struct {
	request *request
	payment string
	minor   int64
	id      string
	state   state
	born    time.Time
	shown   time.Time
	// stuck: it is finished when it is sent again.
	stuck bool
	// accepted: the gateway has told its own ID.
	accepted bool
}

// book is one gateway. Its methods are called with the bank's lock.
type book struct {
	bank    *bank
	gateway schemas.Gateway
	// memory is for how long a key is known; 0 is for ever. Only Antom forgets.
	memory   time.Duration
	repeats  repeats
	unknowns unknowns
	// entries are by account and key, payments by account and payment, the oldest first.
	entries  map[string]*entry
	payments map[string][]*entry
}

func (b *book) find(account, key string, now time.Time) *entry {
	e := b.entries[account+"/"+key]
	if e != nil && b.memory > 0 && now.Sub(e.born) > b.memory {
		return nil
	}
	return e
}

// receive carries out a refund, or repeats what became of it, and says so truly.
func (b *book) receive(r *request, account string, req refund.Request, m mood, blind bool) refund.Result {
	now := time.Now()
	known := b.find(account, req.GatewayKey, now)
	if known == nil {
		return b.first(r, account, req, m, now, blind)
	}
	b.bank.tally.add("gateway: repeat")
	if known.payment != req.PaymentID || known.minor != req.Amount.Minor {
		return refund.Result{Code: schemas.CodeNeedsReview, Alarm: refund.AlarmMismatch, Review: true, Detail: "model: the key has other content"}
	}
	if b.gateway == schemas.EftPay {
		switch b.repeats {
		case refundsAgain:
			b.move(r, account, known, now, blind)
			known.state = done
			return b.told(known, req)
		case refuses:
			return refund.Result{Code: schemas.CodeUnknownOutcome, RawCode: "51", Detail: "model: refund number is taken"}
		case replays:
		}
	}
	if m.blame && known.state != failed {
		b.bank.tally.add("gateway: declines a repeat because of the first")
		r.blamed = true
		return refund.Result{Verdict: refund.Declined, Code: schemas.CodePaymentNotRefundable, RawCode: "ORDER_STATUS_INVALID"}
	}
	if known.stuck && known.state == processing {
		known.stuck = false
		b.finish(r, account, known, done)
	}
	return b.told(known, req)
}

// first is a refund that the gateway does not know.
func (b *book) first(r *request, account string, req refund.Request, m mood, now time.Time, blind bool) refund.Result {
	b.bank.tally.add("gateway: " + m.ending.String())
	switch m.ending {
	case throttled:
		return refund.Result{Code: schemas.CodeThrottled, RetryAfter: m.after, Detail: "model: throttled"}
	case rejected:
		return refund.Result{Code: schemas.CodeAccountRejected, Alarm: refund.AlarmConfiguration, Detail: "model: key refused"}
	case declinedUnkept:
		return refund.Result{Verdict: refund.Declined, Code: schemas.CodeBalanceNotEnough, RawCode: "MERCHANT_BALANCE_NOT_ENOUGH"}
	case succeeds, succeedsLater, failsLater, staysOpen, declined, throttledAfter:
	}
	b.bank.serial++
	e := &entry{
		request: r, payment: req.PaymentID, minor: req.Amount.Minor, id: "gw-" + strconv.Itoa(b.bank.serial), born: now,
		shown: now.Add(m.hide), stuck: m.ending == staysOpen,
	}
	b.entries[account+"/"+req.GatewayKey] = e
	b.payments[account+"/"+req.PaymentID] = append(b.payments[account+"/"+req.PaymentID], e)
	switch m.ending {
	case succeeds, throttledAfter:
		b.move(r, account, e, now, blind)
		e.state = done
	case declined:
		e.state = failed
	case succeedsLater:
		b.bank.at(now.Add(m.after), func() { b.finish(r, account, e, done) })
	case failsLater:
		b.bank.at(now.Add(m.after), func() { b.finish(r, account, e, failed) })
	case staysOpen, declinedUnkept, throttled, rejected:
	}
	if m.ending == throttledAfter {
		return refund.Result{Code: schemas.CodeThrottled, Detail: "model: throttled after the work"}
	}
	res := b.told(e, req)
	res.InquireNow = res.Verdict == refund.Pending && m.hint
	return res
}

// finish ends a refund that was in process.
func (b *book) finish(r *request, account string, e *entry, as state) {
	if e.state != processing {
		return
	}
	if as == done {
		b.move(r, account, e, time.Now(), false)
	}
	e.state = as
}

func (b *book) move(r *request, account string, e *entry, now time.Time, blind bool) {
	b.bank.tally.add("gateway: money moved")
	moved := move{at: now, account: account, payment: e.payment, minor: e.minor, blind: blind, repeat: e.state == done}
	moved.forgotten = !moved.repeat && len(r.moves) > 0
	r.moves = append(r.moves, moved)
	if len(r.moves) > 1 && !b.bank.excused(mayMoveTwice, r) {
		b.bank.fault(r, "money moved %d times: %+v", len(r.moves), r.moves)
	}
}

// told is what an honest answer about a known refund proves, as the real clients read it.
func (b *book) told(e *entry, req refund.Request) refund.Result {
	switch e.state {
	case done:
		amount := schemas.Money{Minor: e.minor, Currency: req.Amount.Currency}
		e.accepted = true
		return refund.Result{
			Verdict: refund.Succeeded, Code: schemas.CodeRefunded, RawCode: "SUCCESS", RefundID: e.id, Refunded: &amount, RefundTime: e.born,
		}
	case failed:
		return refund.Result{Verdict: refund.Declined, Code: schemas.CodeRefundFailed, RawCode: "PROCESS_FAIL"}
	case processing:
	}
	res := refund.Result{Verdict: refund.Pending, Code: schemas.CodeInProcess, RawCode: "REFUND_IN_PROCESS"}
	if !e.stuck {
		e.accepted = true
		res.RefundID = e.id
	}
	return res
}

// show answers an inquiry.
func (b *book) show(r *request, account string, req refund.Request, now time.Time) refund.Result {
	e := b.find(account, req.GatewayKey, now)
	if e != nil && now.Before(e.shown) {
		b.bank.tally.add("inquiry: the refund is hidden still")
		e = nil
	}
	if b.gateway == schemas.EftPay && b.unknowns == saysEcho {
		return b.echo(r, account, req, now)
	}
	if e != nil {
		// Antom's inquiry names no payment.
		if e.minor != req.Amount.Minor || b.gateway == schemas.EftPay && e.payment != req.PaymentID {
			return refund.Result{Code: schemas.CodeNeedsReview, Alarm: refund.AlarmMismatch, Review: true, Detail: "model: the record is another's"}
		}
		return b.told(e, req)
	}
	if b.gateway == schemas.EftPay && b.unknowns != saysNotFound {
		return refund.Result{ShowsNone: true, Detail: "model: " + b.unknowns.String()}
	}
	if req.GatewayRefundID != "" {
		return refund.Result{Code: schemas.CodeNeedsReview, Alarm: refund.AlarmMismatch, Review: true, Detail: "model: a refund with an ID is not found"}
	}
	return refund.Result{Verdict: refund.Absent}
}

// echo shows the latest refund of the payment, without its number. As the real client reads it, it speaks of ours only if
// no other refund of the payment is known.
func (b *book) echo(r *request, account string, req refund.Request, now time.Time) refund.Result {
	var last *entry
	for _, e := range b.payments[account+"/"+req.PaymentID] {
		if !now.Before(e.shown) {
			last = e
		}
	}
	switch {
	case last == nil:
		return refund.Result{ShowsNone: true, Detail: "model: the sale"}
	case last.minor == req.Amount.Minor && !req.OthersKnown:
		r.echoed = true
		b.bank.tally.add("inquiry: an echo is taken for ours")
		return b.told(last, req)
	}
	b.bank.tally.add("inquiry: an echo is taken for another's")
	return refund.Result{
		ShowsNone: req.OthersKnown && last.minor != req.Amount.Minor, Alarm: refund.AlarmMismatch, Detail: "model: an echo",
	}
}
