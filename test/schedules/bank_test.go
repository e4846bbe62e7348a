package schedules

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"refundworker/gateway/antom"
	"refundworker/gateway/eftpay"
	"refundworker/refund"
	"refundworker/schemas"
)

// bank is the two model gateways with the truth about the money, which no worker can see, and the judge of every call
// that reaches them. Its methods may be called concurrently.
type bank struct {
	tally *tally
	pace  pace

	mu       sync.Mutex
	books    map[schemas.Gateway]*book
	requests map[string]*request
	order    []*request
	// running are the refund calls that are at a gateway.
	running map[*call]struct{}
	// later is what the gateways do by themselves, sorted by time.
	later []event
	// jumped: the store's clock has jumped ahead, so leases may end early. skewed: it has jumped at all.
	jumped, skewed bool
	faults         []string
	serial         int
}

// request is one request ID with what was sent for it and what really became of it.
type request struct {
	id      string
	gateway schemas.Gateway
	// variants are the commands under this ID: the first, and others that conflict with it.
	variants []schemas.Command
	// sends and asks are what the gateway does with the next calls; when they are used up it is honest and quick.
	sends []mood
	asks  []ask

	moves []move
	// sent counts the calls of which something was on the wire; account and key are the first one's.
	sent         int
	firstSent    time.Time
	account, key string
	// forgot: the store has lost states of the request.
	forgot bool
	// paymentForgot: the store has lost states of its payment.
	paymentForgot bool
	// parkedLost: the broker has lost a copy that was parked before anybody claimed the request. triedLost: it has lost one
	// that a worker had in its hands and did not end.
	parkedLost, triedLost bool
	// blamed: a repeat was answered with a decline that the first send had caused.
	blamed bool
	// echoed: an inquiry was answered with a record that does not name its refund.
	echoed bool

	final     []byte
	finalSays schemas.Outcome
	announced int
	reviews   int
	filed     int
}

// move is money that has moved.
type move struct {
	at      time.Time
	account string
	payment string
	minor   int64
	// repeat: the gateway carried a request out that it had carried out before.
	repeat bool
	// blind: the worker took the request for a new one, after an inquiry that showed none.
	blind bool
	// forgotten: the gateway itself no longer knew the key.
	forgotten bool
}

// event is something a gateway does by itself.
type event struct {
	at time.Time
	do func()
}

// call is one refund call while it is at the gateway.
type call struct {
	request *request
	payment string
	until   time.Time
}

func newBank(tally *tally, pace pace) *bank {
	b := &bank{
		tally: tally, pace: pace, books: make(map[schemas.Gateway]*book), requests: make(map[string]*request), running: make(map[*call]struct{}),
	}
	for _, gw := range []schemas.Gateway{schemas.Antom, schemas.EftPay} {
		b.books[gw] = &book{bank: b, gateway: gw, entries: make(map[string]*entry), payments: make(map[string][]*entry)}
	}
	return b
}

// fault notes a broken promise.
func (b *bank) fault(r *request, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if r != nil {
		text = r.id + ": " + text
	}
	b.faults = append(b.faults, text)
}

// fault of the schedule, if any.
func (b *bank) firstFault() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults) == 0 {
		return ""
	}
	return b.faults[0]
}

func (b *bank) at(when time.Time, do func()) {
	b.later = append(b.later, event{when, do})
	slices.SortStableFunc(b.later, func(x, y event) int { return x.at.Compare(y.at) })
}

// happen does what is due.
func (b *bank) happen(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.later) > 0 && !b.later[0].at.After(now) {
		next := b.later[0]
		b.later = b.later[1:]
		next.do()
	}
}

// next is when the gateways do something by themselves again; the zero time for never.
func (b *bank) next() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.later) == 0 {
		return time.Time{}
	}
	return b.later[0].at
}

// keyOf is the gateway's idempotency key as the real clients make it.
func keyOf(gw schemas.Gateway, requestID string) string {
	if gw == schemas.EftPay {
		return eftpay.Key(requestID)
	}
	return antom.Key(requestID)
}

// send takes a refund call off the wire. The call counts as being at the gateway until it is left.
func (b *bank) send(v *visit, account string, req refund.Request, until time.Time) (*call, refund.Result, mood) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	r := b.requests[req.RequestID]
	m := r.nextSend()
	b.tally.add("send: " + m.reach.String())
	if m.reach == cut {
		return nil, refund.Result{Verdict: refund.NotSent, Detail: "model: cut before the first byte"}, mood{}
	}
	b.judge(v, r, account, req, now)
	c := &call{request: r, payment: req.PaymentID, until: until}
	b.running[c] = struct{}{}
	if r.sent++; r.sent == 1 {
		r.firstSent, r.account, r.key = now, account, req.GatewayKey
	}
	switch m.reach {
	case lost:
		m.answer = cmp.Or(m.answer, hang)
		return c, refund.Result{}, m
	case late:
		m.answer = cmp.Or(m.answer, hang)
		blind := v.first && v.inquired
		b.at(now.Add(m.after), func() { b.books[r.gateway].receive(r, account, req, mood{}, blind) })
		return c, refund.Result{}, m
	case arrives, cut:
	}
	return c, b.books[r.gateway].receive(r, account, req, m, v.first && v.inquired), m
}

func (b *bank) leave(c *call) {
	if c == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.running, c)
}

// judge holds a call that is on the wire against the rules that keep money from moving twice.
func (b *bank) judge(v *visit, r *request, account string, req refund.Request, now time.Time) {
	for c := range b.running {
		if c.payment == req.PaymentID && c.request.gateway == r.gateway && now.Before(c.until) && !b.excused(mayOverlap, r) && !b.excused(mayOverlap, c.request) {
			b.fault(r, "sent while %s of the same payment is at the gateway", c.request.id)
		}
	}
	if r.gateway == schemas.EftPay && !v.inquired {
		b.fault(r, "sent to a gateway that is inquired first, without an inquiry")
	}
	if r.sent == 0 {
		return
	}
	if (account != r.account || req.GatewayKey != r.key) && !b.excused(mayChangeAccount, r) {
		b.fault(r, "sent as %s by account %s, and before as %s by %s", req.GatewayKey, account, r.key, r.account)
	}
	if r.gateway == schemas.EftPay && !b.excused(mayResendBlindly, r) {
		b.fault(r, "sent a second time to a gateway that promises nothing about repeats")
	}
	if !v.inquired && !b.excused(maySkipInquiry, r) {
		b.fault(r, "sent again without an inquiry in the same pass")
	}
	if r.final != nil && !b.excused(maySendAfterFinal, r) {
		b.fault(r, "sent after its final outcome was published")
	}
	window := b.pace.resendWindow
	if b.skewed {
		window += mostSkew // the age of a request is the store's time less a worker's
	}
	if now.Sub(r.firstSent) > window && !b.excused(mayLeaveWindow, r) {
		b.fault(r, "sent again %s after the first send", now.Sub(r.firstSent))
	}
}

// inquire takes an inquiry off the wire.
func (b *bank) inquire(v *visit, account string, req refund.Request) (refund.Result, ask) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.requests[req.RequestID]
	a := r.nextAsk()
	b.tally.add("inquiry: " + a.String())
	switch a {
	case askCut:
		return refund.Result{Verdict: refund.NotSent, Detail: "model: cut before the first byte"}, a
	case askThrottled:
		return refund.Result{Code: schemas.CodeThrottled, Detail: "model: throttled"}, a
	case askRejected:
		return refund.Result{Code: schemas.CodeAccountRejected, Alarm: refund.AlarmConfiguration, Detail: "model: key refused"}, a
	case askDropped, askHang, askPanic:
		return refund.Result{}, a
	case askHonest:
	}
	res := b.books[r.gateway].show(r, account, req, time.Now())
	v.inquired = true
	b.tally.add("inquiry says " + res.Verdict.String())
	return res, a
}
