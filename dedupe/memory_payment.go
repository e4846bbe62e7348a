package dedupe

import (
	"time"

	"refundworker/refund"
)

// The kinds of a payment's entries, as payment_acquire.lua writes them.
const (
	entryNone     byte = 0
	entryInFlight byte = 'i'
	entryUnknown  byte = 'u'
	entrySettled  byte = 's'
)

// memoryEntry is one request's share in a payment. Token and prior belong to entries in flight only.
type memoryEntry struct {
	kind  byte
	minor int64
	token string
	prior *memoryEntry
}

func (e memoryEntry) heldBy(token string) bool { return e.kind == entryInFlight && e.token == token }

type memoryPayment struct {
	token   string
	lease   int64
	entries map[string]memoryEntry
	// declined is the one declined request, or severalDeclined.
	declined string
	expires  int64
}

const severalDeclined = "*"

func durationOf(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

func (m *Memory) payment(ref refund.PaymentRef, now int64) *memoryPayment {
	name := paymentName(ref)
	if p := m.payments[name]; p != nil && now < p.expires {
		return p
	}
	delete(m.payments, name)
	return &memoryPayment{entries: make(map[string]memoryEntry)}
}

// keep stores a payment that holds anything.
func (m *Memory) keep(ref refund.PaymentRef, p *memoryPayment) {
	if p.token == "" && p.declined == "" && len(p.entries) == 0 {
		delete(m.payments, paymentName(ref))
		return
	}
	m.payments[paymentName(ref)] = p
}

func (p *memoryPayment) acquire(call paymentCall, now, maxLease int64) paymentAnswer {
	own := p.entries[call.requestID]
	if own.kind == entrySettled && call.acquire.mode != acquireKnown {
		return paymentAnswer{found: foundSettled}
	}
	if p.token != "" && p.token != call.token {
		p.lease = min(p.lease, now+maxLease)
		if p.lease > now {
			return paymentAnswer{found: foundBusy, retryIn: durationOf(p.lease - now)}
		}
	}
	answer := paymentAnswer{found: foundAcquired, others: p.declined != "" && p.declined != call.requestID}
	sum := call.ref.Minor
	for id, entry := range p.entries {
		if id != call.requestID {
			sum += entry.minor
			answer.others = true
		}
	}
	answer.exceeded = call.ref.OriginalMinor > 0 && sum > call.ref.OriginalMinor
	keep := own.kind == entrySettled || own.heldBy(call.token)
	enter := own.kind != entryNone || !answer.exceeded || call.acquire.mode != acquireCommand
	if !keep && enter {
		entry := memoryEntry{kind: entryInFlight, minor: call.ref.Minor, token: call.token}
		if own.kind != entryNone {
			entry.prior = &memoryEntry{kind: own.kind, minor: own.minor}
			entry.minor = max(entry.minor, own.minor)
		}
		p.entries[call.requestID] = entry
	}
	p.token, p.lease = call.token, now+call.acquire.lease.Milliseconds()
	return answer
}

// leave drops the lease if the token holds it, and tells so.
func (p *memoryPayment) leave(token string) bool {
	if p.token != token {
		return false
	}
	p.token = ""
	return true
}

func (p *memoryPayment) settle(call paymentCall, now int64) paymentAnswer {
	running := p.lease > now
	own := p.leave(call.token)
	entry := p.entries[call.requestID]
	mine := entry.heldBy(call.token)
	known := call.settle.mode == settleKnown
	switch {
	case !call.settle.declined:
		p.entries[call.requestID] = memoryEntry{kind: entrySettled, minor: call.ref.Minor}
	case entry.kind == entryNone || entry.kind == entrySettled:
	case !known && (!mine || !own || !running):
		if mine || entry.token == "" {
			p.entries[call.requestID] = memoryEntry{kind: entryUnknown, minor: call.ref.Minor}
		}
		return paymentAnswer{found: foundLapsed}
	default:
		delete(p.entries, call.requestID)
		if !known || !mine || entry.prior != nil {
			p.decline(call.requestID)
		}
	}
	return paymentAnswer{found: foundDone}
}

func (p *memoryPayment) decline(requestID string) {
	if p.declined != "" && p.declined != requestID {
		requestID = severalDeclined
	}
	p.declined = requestID
}

func (p *memoryPayment) wait(call paymentCall) {
	own := p.leave(call.token)
	entry := p.entries[call.requestID]
	if entry.kind == entrySettled || !own && !entry.heldBy(call.token) {
		return
	}
	if call.wait.maybeSent {
		p.entries[call.requestID] = memoryEntry{kind: entryUnknown, minor: call.ref.Minor}
	} else {
		delete(p.entries, call.requestID)
	}
}

func (p *memoryPayment) release(call paymentCall) {
	p.leave(call.token)
	entry := p.entries[call.requestID]
	switch {
	case entry.kind == entryInFlight && call.release.stray:
		delete(p.entries, call.requestID)
	case entry.heldBy(call.token):
		if entry.prior == nil {
			delete(p.entries, call.requestID)
		} else {
			p.entries[call.requestID] = *entry.prior
		}
	}
}
