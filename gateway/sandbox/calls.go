package sandbox

import (
	"maps"
	"sync"
	"time"
)

// Call is one line of the call log.
type Call struct {
	Operation Operation `json:"operation"`
	// RequestID is refund_no at eftPay, and empty for a Query of a sale.
	RequestID string `json:"requestId"`
	PaymentID string `json:"paymentId,omitempty"`
	// Received is when the request had been read; Ended when the answer was written, given up or no longer waited for.
	// Ended is zero while the call is open.
	Received time.Time `json:"received"`
	Ended    time.Time `json:"ended,omitzero"`
	// Fault is the kind that hit the call.
	Fault Kind `json:"fault"`
	// Status and Code are the result as the client could read it, at eftPay trade_status and return_status; empty when
	// there was none to read.
	Status string `json:"status,omitempty"`
	Code   string `json:"code,omitempty"`
	// OpenOnPayment and OpenInAll are the refund calls that were open when this one came, itself included.
	OpenOnPayment int `json:"openOnPayment,omitempty"`
	OpenInAll     int `json:"openInAll,omitempty"`
}

// Overlaps says how many refund calls were open at the same time. A call is open from when it was read until it is
// answered or its client has hung up. The server notices a hang-up a moment after the client did it; a client that
// times out and calls again at once may therefore show an overlap of that moment.
type Overlaps struct {
	// Calls is the number of calls of both operations so far, logged or not.
	Calls int `json:"calls"`
	// InAll is the most refund calls ever open, OnPayment the most ever open on one payment.
	InAll     int `json:"inAll"`
	OnPayment int `json:"onPayment"`
	// Payments holds the most ever open by payment, for payments with more than one.
	Payments map[string]int `json:"payments"`
}

// callLog records calls and watches for overlaps.
type callLog struct {
	limit int

	mu        sync.Mutex
	kept      int
	byRequest map[string][]*Call
	open      int
	onPayment map[string]int
	worst     Overlaps
}

func newCallLog(limit int) *callLog {
	return &callLog{
		limit: limit, byRequest: map[string][]*Call{}, onPayment: map[string]int{},
		worst: Overlaps{Payments: map[string]int{}},
	}
}

// openCall is a call that has begun.
type openCall struct {
	log  *callLog
	call *Call
	left sync.Once
}

func (l *callLog) begin(op Operation, requestID, paymentID string) *openCall {
	l.mu.Lock()
	defer l.mu.Unlock()
	call := &Call{Operation: op, RequestID: requestID, PaymentID: paymentID, Received: time.Now(), Fault: None}
	l.worst.Calls++
	if op == Refund {
		l.open++
		l.onPayment[paymentID]++
		call.OpenInAll, call.OpenOnPayment = l.open, l.onPayment[paymentID]
		l.worst.InAll = max(l.worst.InAll, l.open)
		l.worst.OnPayment = max(l.worst.OnPayment, call.OpenOnPayment)
		if call.OpenOnPayment > 1 {
			l.worst.Payments[paymentID] = max(l.worst.Payments[paymentID], call.OpenOnPayment)
		}
	}
	if l.kept < l.limit {
		l.kept++
		l.byRequest[requestID] = append(l.byRequest[requestID], call)
	}
	return &openCall{log: l, call: call}
}

// note sets what became of the call; a nil result is one that the client cannot read.
func (c *openCall) note(hit Kind, res *result) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.call.Fault = hit
	if res != nil {
		c.call.Status, c.call.Code = res.status, res.code
	}
}

// leave ends the call: its handler is done, or its client has hung up. Only the first counts.
func (c *openCall) leave() {
	c.left.Do(func() {
		c.log.mu.Lock()
		defer c.log.mu.Unlock()
		c.call.Ended = time.Now()
		if c.call.Operation != Refund {
			return
		}
		c.log.open--
		if c.log.onPayment[c.call.PaymentID]--; c.log.onPayment[c.call.PaymentID] == 0 {
			delete(c.log.onPayment, c.call.PaymentID)
		}
	})
}

func (l *callLog) of(requestID string) []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	var calls []Call
	for _, call := range l.byRequest[requestID] {
		calls = append(calls, *call)
	}
	return calls
}

func (l *callLog) overlaps() Overlaps {
	l.mu.Lock()
	defer l.mu.Unlock()
	worst := l.worst
	worst.Payments = maps.Clone(l.worst.Payments)
	return worst
}
