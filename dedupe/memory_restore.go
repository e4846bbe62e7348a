package dedupe

import (
	"bytes"
	"context"

	"refundworker/refund"
	"refundworker/schemas"
)

// Forget makes the store forget everything, as a flush does: it takes nothing in before NewEpoch.
func (m *Memory) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.records)
	clear(m.outcomes)
	clear(m.payments)
	clear(m.messages)
	clear(m.schedule)
	m.forgotten = true
}

// Distrust keeps what there is and takes nothing in before NewEpoch, as after a failover.
func (m *Memory) Distrust() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgotten = true
}

// NewEpoch opens the store again. Of since, see refund.Epoch.
func (m *Memory) NewEpoch(since refund.Epoch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgotten, m.epoch = false, since
}

// asksTrust: releasing only gives back, and a payment's settle and wait are ruled by their record's half.
func asksTrust(payment *paymentCall, record *recordCall) bool {
	return payment != nil && payment.acquire != nil || record != nil && record.release == nil
}

// Restore is Redis.Restore.
func (m *Memory) Restore(ctx context.Context, events []Remembered) (Restored, error) {
	var count Restored
	if err := ctx.Err(); err != nil {
		return count, unavailable(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range events {
		m.restore(e, &count)
	}
	return count, nil
}

func (m *Memory) restore(e Remembered, count *Restored) {
	now := m.now()
	recordLeft, outcomeLeft := e.lives(m.cfg, now)
	if recordLeft == 0 {
		count.Expired++
		return
	}
	old := m.record(e.RequestID, now.UnixMilli())
	restored := old == nil || old.state != memorySettled && (e.Final() || old.hop < e.Hop)
	if !restored {
		count.Kept++
	} else {
		next := memoryRecord{
			state: memoryWaiting, print: e.print(), payment: paymentDigest(e.Payment), hop: e.Hop, attempt: e.Attempt,
			refundID: e.GatewayRefundID, firstSeen: millis(e.firstSeen()), expires: now.Add(recordLeft).UnixMilli(),
		}
		if old != nil {
			next.takeovers = old.takeovers
			if old.firstSeen > 0 {
				next.firstSeen = min(next.firstSeen, old.firstSeen)
			}
		}
		if e.Final() {
			next.state, next.status, next.code = memorySettled, e.Status, e.Code
			if outcomeLeft > 0 {
				m.outcomes[e.RequestID] = memoryOutcome{value: bytes.Clone(e.Outcome), expires: now.Add(outcomeLeft).UnixMilli()}
			}
			delete(m.messages, e.RequestID)
			delete(m.schedule, e.RequestID)
		} else {
			next.token, next.maybeSent, next.account, next.gatewayKey = e.Token, true, e.Account, e.GatewayKey
			next.code, next.due = e.Code, millis(e.Due)
			next.contradicted = old != nil && old.contradicted
			m.schedule[e.RequestID] = now.Add(restoredLook).UnixMilli()
			if e.review() {
				next.state, next.code, next.due = memoryReview, schemas.CodeNeedsReview, 0
				delete(m.schedule, e.RequestID)
			}
		}
		m.records[e.RequestID] = &next
		old = &next
		count.count(e, outcomeLeft)
	}
	m.restorePayment(e, entryFor(e, restored, old.answer("", now.UnixMilli())), now.UnixMilli())
}

func (m *Memory) restorePayment(e Remembered, kind byte, now int64) {
	if kind == entryNone {
		return
	}
	p := m.payment(e.Payment, now)
	entry := p.entries[e.RequestID]
	switch kind {
	case entrySettled:
		p.entries[e.RequestID] = memoryEntry{kind: entrySettled, minor: e.Payment.Minor}
	case entryUnknown:
		if entry.kind == entryNone {
			p.entries[e.RequestID] = memoryEntry{kind: entryUnknown, minor: e.Payment.Minor}
		}
	case entryDeclined:
		if entry.kind != entrySettled {
			delete(p.entries, e.RequestID)
			p.decline(e.RequestID)
		}
	}
	p.expires = now + m.cfg.TombstoneTTL.Milliseconds()
	m.keep(e.Payment, p)
}
