package sandbox

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// gatewayEftPay is the value of Entry.Gateway on this side.
const gatewayEftPay = "eftpay"

// eftpayRefund is a refund as the gateway remembers it: its newest entry, and what is needed to finish and to show it.
type eftpayRefund struct {
	entry    Entry
	accepted time.Time
	looks    int
	// declined: refused at once, never accepted.
	declined bool
	// upTo is what had been refunded of the sale when this refund succeeded, itself included.
	upTo int64
	// Query does not see it before this time, nor for this many queries.
	hiddenUntil   time.Time
	hiddenQueries int
}

func (r *eftpayRefund) isHidden(now time.Time) bool {
	return now.Before(r.hiddenUntil) || r.hiddenQueries > 0
}

type saleKey struct{ key, outTradeNo string }

// eftpayBook is the gateway's memory on the eftPay side: everything in it but the looks, the hiding and the count of
// calls comes back from the ledger. One lock covers check and entry; nothing slow happens under it.
type eftpayBook struct {
	cfg      EftPayConfig
	payments *payments
	ledger   *ledger

	mu sync.Mutex
	// numbers holds the refunds by refund_no, oldest first. There is more than one only after [RefundAgain].
	numbers map[requestKey][]*eftpayRefund
	// sales holds the refunds by out_trade_no, oldest first.
	sales      map[saleKey][]*eftpayRefund
	refunds    map[string]*eftpayRefund
	unfinished map[string]*eftpayRefund
	// used is what refunds have taken of a sale, those in process included; moved is what has been refunded.
	used  map[string]usage
	moved map[string]int64
	// served counts the admitted calls.
	served map[callKey]int
}

func newEftPayBook(cfg EftPayConfig, pays *payments, led *ledger) *eftpayBook {
	b := &eftpayBook{
		cfg: cfg, payments: pays, ledger: led,
		numbers: map[requestKey][]*eftpayRefund{}, sales: map[saleKey][]*eftpayRefund{},
		refunds: map[string]*eftpayRefund{}, unfinished: map[string]*eftpayRefund{},
		used: map[string]usage{}, moved: map[string]int64{}, served: map[callKey]int{},
	}
	for _, entry := range led.all() {
		if entry.Gateway == gatewayEftPay {
			b.apply(entry)
		}
	}
	return b
}

// nextOddities draws those of the next answer.
func (b *eftpayBook) nextOddities(op Operation, req vmpRequest) oddities {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := callKey{operation: op, requestID: req.refundNo}
	b.served[key]++
	return drawOddities(b.cfg.Seed, op, req.refundNo, b.served[key])
}

// apply brings the memory to where the entry says it is, at run time and at a restart alike.
func (b *eftpayBook) apply(entry Entry) *eftpayRefund {
	r, known := b.refunds[entry.RefundID]
	if !known {
		r = &eftpayRefund{accepted: entry.Time, declined: entry.State == Failed}
		if r.declined && b.cfg.HideDeclined {
			r.entry = entry
			return r
		}
		b.refunds[entry.RefundID] = r
		number, sale := requestKey{entry.ClientID, entry.RequestID}, saleKey{entry.ClientID, entry.PaymentID}
		b.numbers[number] = append(b.numbers[number], r)
		b.sales[sale] = append(b.sales[sale], r)
	}
	// What the refund took before this entry, and what it takes with it.
	before, after := 0, 1
	if known && r.entry.State != Failed {
		before = 1
	}
	if entry.State == Failed {
		after = 0
	}
	u := b.used[entry.PaymentID]
	b.used[entry.PaymentID] = usage{u.minor + int64(after-before)*entry.Minor, u.refunds + after - before}
	if entry.State == Succeeded {
		b.moved[entry.PaymentID] += entry.Minor
		r.upTo = b.moved[entry.PaymentID]
	}
	r.entry = entry
	delete(b.unfinished, entry.RefundID)
	if entry.State == Processing {
		b.unfinished[entry.RefundID] = r
	}
	return r
}

// enter writes the entry into the ledger and applies it.
func (b *eftpayBook) enter(entry Entry) *eftpayRefund { return b.apply(b.ledger.append(entry)) }

// finish ends an unfinished refund.
func (b *eftpayBook) finish(r *eftpayRefund, a *Async, now time.Time) {
	entry := r.entry
	entry.State, entry.Time = Succeeded, now.UTC()
	if a != nil && a.FailCode != "" {
		entry.State, entry.Code = Failed, a.FailCode
	}
	b.enter(entry)
}

// look is what a query does to an unfinished refund: it may find it final. A sale that has become synchronous since
// finishes it at once.
func (b *eftpayBook) look(r *eftpayRefund, payment *Payment, now time.Time) {
	if r.entry.State != Processing {
		return
	}
	r.looks++
	if a := payment.Async; a == nil || a.ended(r.accepted, r.looks, now) {
		b.finish(r, a, now)
	}
}

// finishDue ends the refunds whose delay has passed. It runs before the ledger is read, so that reading shows what a
// query would.
func (b *eftpayBook) finishDue(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(b.unfinished)) {
		b.ripen(b.unfinished[id], now)
	}
}

// ripen ends an unfinished refund whose delay has passed.
func (b *eftpayBook) ripen(r *eftpayRefund, now time.Time) {
	if r.entry.State != Processing {
		return
	}
	payment := b.payments.find(r.entry.PaymentID)
	if payment != nil && payment.Async != nil && payment.Async.due(r.accepted, now) {
		b.finish(r, payment.Async, now)
	}
}

// best is the refund that stands for a number: the newest that succeeded or still may, else the newest. nil when there
// is none.
func best(refunds []*eftpayRefund) *eftpayRefund {
	var found *eftpayRefund
	for _, r := range slices.Backward(refunds) {
		if r.entry.State != Failed {
			return r
		}
		if found == nil {
			found = r
		}
	}
	return found
}

// visible is what Query can see of the refunds, as they stand now.
func (b *eftpayBook) visible(refunds []*eftpayRefund, now time.Time) []*eftpayRefund {
	var seen []*eftpayRefund
	for _, r := range refunds {
		b.ripen(r, now)
		if !r.isHidden(now) {
			seen = append(seen, r)
		}
	}
	return seen
}
