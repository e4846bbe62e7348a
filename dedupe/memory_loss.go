package dedupe

import (
	"maps"
	"time"

	"refundworker/refund"
)

// What a Redis can do to its data and its clock behind the back of its callers, done to a Memory.

// Snapshot is all that a Memory held at a moment.
type Snapshot struct {
	records  map[string]*memoryRecord
	outcomes map[string]memoryOutcome
	messages map[string]memoryOutcome
	schedule map[string]int64
	payments map[string]memoryPayment
}

// Snapshot copies everything, as a backup or a replica's state does.
func (m *Memory) Snapshot() Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Snapshot{
		// Stored records are never changed, only replaced; texts are cloned when they are handed out.
		records: maps.Clone(m.records), outcomes: maps.Clone(m.outcomes), messages: maps.Clone(m.messages),
		schedule: maps.Clone(m.schedule), payments: make(map[string]memoryPayment, len(m.payments)),
	}
	for name, p := range m.payments {
		kept := *p
		kept.entries = maps.Clone(p.entries)
		s.payments[name] = kept
	}
	return s
}

// Rewind forgets everything since the snapshot. A snapshot may be used more than once.
func (m *Memory) Rewind(s Snapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records, m.outcomes, m.messages = maps.Clone(s.records), maps.Clone(s.outcomes), maps.Clone(s.messages)
	m.schedule, m.payments = maps.Clone(s.schedule), make(map[string]*memoryPayment, len(s.payments))
	for name, p := range s.payments {
		p.entries = maps.Clone(p.entries)
		m.payments[name] = &p
	}
}

// Lose loses the record of a request with its outcome, its command and its place on the schedule. The payment's record
// lies elsewhere and stays.
func (m *Memory) Lose(requestID string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, requestID)
	delete(m.outcomes, requestID)
	delete(m.messages, requestID)
	delete(m.schedule, requestID)
}

// LosePayment loses the record of a payment.
func (m *Memory) LosePayment(ref refund.PaymentRef) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.payments, paymentName(ref))
}

// SetClock replaces the store's clock, which is the process's otherwise.
func (m *Memory) SetClock(now func() time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = now
}
