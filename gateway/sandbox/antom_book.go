package sandbox

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// gatewayAntom is the value of Entry.Gateway on this side.
const gatewayAntom = "antom"

type requestKey struct{ clientID, requestID string }

type fundsKey struct{ clientID, currency string }

// usage is what refunds have taken of a payment, those in process included.
type usage struct {
	minor   int64
	refunds int
}

// antomRefund is a refund as the gateway remembers it: its newest entry, and what is needed to finish it.
type antomRefund struct {
	entry     Entry
	accepted  time.Time
	looks     int
	notifyURL string
	// declined: refused at once, never accepted.
	declined bool
}

// antomBook is the gateway's memory on the Antom side: everything in it but the notify addresses and the count of looks
// comes back from the ledger. One lock covers check and entry; nothing slow happens under it.
type antomBook struct {
	forget bool
	// notifyURLs are the merchants' addresses, by client ID.
	notifyURLs map[string]string
	payments   *payments
	ledger     *ledger
	// announceFunc hears of refunds with a notify address: when they become final, and when they are accepted and will
	// become final after a delay. It is called under the lock and must not block.
	announceFunc func(entry Entry, url string, delay time.Duration)

	mu         sync.Mutex
	requests   map[requestKey]*antomRefund
	refunds    map[string]*antomRefund
	unfinished map[string]*antomRefund
	used       map[string]usage
	funds      map[fundsKey]int64
	taken      map[fundsKey]int64
}

func newAntomBook(cfg Config, pays *payments, led *ledger, announce func(Entry, string, time.Duration)) *antomBook {
	b := &antomBook{
		forget: cfg.ForgetIdempotency, notifyURLs: make(map[string]string, len(cfg.Clients)),
		payments: pays, ledger: led, announceFunc: announce,
		requests: map[requestKey]*antomRefund{}, refunds: map[string]*antomRefund{},
		unfinished: map[string]*antomRefund{}, used: map[string]usage{},
		funds: map[fundsKey]int64{}, taken: map[fundsKey]int64{},
	}
	for _, client := range cfg.Clients {
		b.notifyURLs[client.ID] = cmp.Or(client.NotifyURL, cfg.Notify.URL)
		for currency, minor := range client.Funds {
			b.funds[fundsKey{client.ID, currency}] = minor
		}
	}
	for _, entry := range led.all() {
		if entry.Gateway == gatewayAntom {
			b.apply(entry, "")
		}
	}
	return b
}

func (b *antomBook) addFunds(clientID, currency string, minor int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.funds[fundsKey{clientID, currency}] += minor
}

// apply brings the memory to where the entry says it is, at run time and at a restart alike.
func (b *antomBook) apply(entry Entry, notifyURL string) *antomRefund {
	r, known := b.refunds[entry.RefundID]
	if !known {
		r = &antomRefund{accepted: entry.Time, notifyURL: notifyURL, declined: entry.State == Failed}
		b.refunds[entry.RefundID] = r
		b.requests[requestKey{entry.ClientID, entry.RequestID}] = r
	}
	// What the refund took before this entry, and what it takes with it.
	before := 0
	if known && r.entry.State != Failed {
		before = 1
	}
	after := 1
	if entry.State == Failed {
		after = 0
	}
	b.take(entry, after-before)
	r.entry = entry
	delete(b.unfinished, entry.RefundID)
	if entry.State == Processing {
		b.unfinished[entry.RefundID] = r
	}
	return r
}

func (b *antomBook) take(entry Entry, times int) {
	u := b.used[entry.PaymentID]
	b.used[entry.PaymentID] = usage{u.minor + int64(times)*entry.Minor, u.refunds + times}
	b.taken[fundsKey{entry.ClientID, entry.Currency}] += int64(times) * entry.Minor
}

// enter writes the entry into the ledger and applies it.
func (b *antomBook) enter(entry Entry, notifyURL string) *antomRefund {
	return b.apply(b.ledger.append(entry), notifyURL)
}

// finish ends an unfinished refund.
func (b *antomBook) finish(r *antomRefund, payment *Payment, now time.Time) {
	entry := r.entry
	entry.State, entry.Time = Succeeded, now.UTC()
	if a := payment.Async; a != nil && a.FailCode != "" {
		entry.State, entry.Code = Failed, a.FailCode
	}
	settle(&entry, payment)
	if r = b.enter(entry, r.notifyURL); r.notifyURL != "" {
		b.announceFunc(r.entry, r.notifyURL, 0)
	}
}

// settle fills in what the merchant pays, for money that moved and is settled in another currency.
func settle(entry *Entry, payment *Payment) {
	st := payment.Settlement
	if st == nil || entry.State != Succeeded || st.Currency == entry.Currency {
		return
	}
	// The payment was checked to convert as a whole; only a smaller one put in its place could make this fail.
	if minor, err := convert(entry.Minor, entry.Currency, *st); err == nil {
		entry.Settled = &Settled{Minor: minor, Currency: st.Currency, Rate: *st}
	}
}

// look is what an inquiry, or the refund sent again, does to an unfinished refund: it may find it final. A refund that
// a fault left halfway on a synchronous payment is carried on only by being sent again:
// https://docs.antom.com/ac/ams/idempotency
func (b *antomBook) look(r *antomRefund, sentAgain bool, now time.Time) {
	payment := b.payments.find(r.entry.PaymentID)
	if r.entry.State != Processing || payment == nil {
		return
	}
	a := payment.Async
	if a == nil {
		if sentAgain {
			b.finish(r, payment, now)
		}
		return
	}
	r.looks++
	if a.ended(r.accepted, r.looks, now) {
		b.finish(r, payment, now)
	}
}

// finishDue ends the refunds whose delay has passed. It runs before the ledger is read, so that reading shows what an
// inquiry would, and when a notification is due.
func (b *antomBook) finishDue(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(b.unfinished)) {
		r := b.unfinished[id]
		payment := b.payments.find(r.entry.PaymentID)
		if payment != nil && payment.Async != nil && payment.Async.due(r.accepted, now) {
			b.finish(r, payment, now)
		}
	}
}

// requestIDOf finds the request ID of an inquiry that names only the refund; empty when there is none.
func (b *antomBook) requestIDOf(refundID string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r, ok := b.refunds[refundID]; ok {
		return r.entry.RequestID
	}
	return ""
}
