package dedupe

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"time"

	"github.com/anishathalye/porcupine"
)

// The sequential specification: the memory store's own rules, one record or one payment at a time. Package dedupe
// promises that each half of a call is atomic, and that the two together are not; so a request's record and a payment
// are objects of their own, each with a history of its own.
//
// Time stands still in a history but for one step: a lease of lapsed is over once the prelude is, every other one
// outlasts the history. So an answer depends on the order alone, and the clocks need not agree.

// lapsed is a lease that has ended when the prelude has.
const lapsed = 2 * time.Millisecond

// input is one half of an exchange, and whether it belongs to the prelude.
type input struct {
	payment *paymentCall
	record  *recordCall
	prelude bool
}

// now is the model's clock at an input.
func (i input) now() int64 {
	if i.prelude {
		return firstSeen.UnixMilli()
	}
	return firstSeen.Add(time.Second).UnixMilli()
}

// A state holds the object as a memory store holds it; the parts that are not there are nil.
type linearRecord struct {
	record           *memoryRecord
	outcome, message []byte
}

type linearPayment struct{ payment *memoryPayment }

// never is an expiry that no history reaches.
const never = math.MaxInt64

// recordModel is the specification of the record of one request.
func recordModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return linearRecord{} },
		Step: func(state, in, out any) (bool, any) {
			before, call := state.(linearRecord), in.(input) //nolint:errcheck // a panic fails the test, as it should
			m := NewMemory(Config{})
			id := requestOf(call)
			if before.record != nil {
				m.records[id] = before.record
			}
			if before.outcome != nil {
				m.outcomes[id] = memoryOutcome{value: before.outcome, expires: never}
			}
			if before.message != nil {
				m.messages[id] = memoryOutcome{value: before.message, expires: never}
			}
			answer, err := m.onRecord(*call.record, call.now())
			if err != nil {
				return false, state
			}
			after := linearRecord{outcome: m.outcomes[id].value, message: m.messages[id].value}
			if r := m.records[id]; r != nil {
				kept := *r
				kept.expires = never
				after.record = &kept
			}
			return agreed(out, timeless(answer)), after
		},
		Equal:             func(a, b any) bool { return reflect.DeepEqual(a, b) },
		DescribeOperation: describeHalf,
	}
}

// paymentModel is the specification of one payment.
func paymentModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return linearPayment{} },
		Step: func(state, in, out any) (bool, any) {
			before, call := state.(linearPayment), in.(input) //nolint:errcheck // as above
			m := NewMemory(Config{})
			name := paymentName(call.payment.ref)
			if p := before.payment; p != nil {
				own := *p
				own.entries = maps.Clone(p.entries)
				m.payments[name] = &own
			}
			answer, err := m.onPayment(*call.payment, call.now())
			if err != nil {
				return false, state
			}
			var after linearPayment
			if p := m.payments[name]; p != nil {
				after.payment, p.expires = p, never
				if p.token == "" {
					p.lease = 0
				}
			}
			return agreed(out, timelessPayment(answer)), after
		},
		Equal:             func(a, b any) bool { return reflect.DeepEqual(a, b) },
		DescribeOperation: describeHalf,
	}
}

// agreed compares an answer with the specification's; one that never came agrees with everything.
func agreed(got, want any) bool { return got == nil || reflect.DeepEqual(got, want) }

// timeless is an answer without what depends on the clock, and without what a store may leave out because nobody reads
// it.
func timeless(a recordAnswer) recordAnswer {
	a.now, a.retryIn = time.Time{}, 0
	if !a.record.SentSince.IsZero() {
		a.record.SentSince = firstSeen // that it is known does not depend on the clock
	}
	if len(a.outcome) == 0 {
		a.outcome = nil
	}
	if len(a.message) == 0 {
		a.message = nil
	}
	return a
}

// timelessPayment is timeless for a payment. The memory store says nothing where a script says that it is done.
func timelessPayment(a paymentAnswer) paymentAnswer {
	a.retryIn = 0
	if a.found == "" {
		a.found = foundDone
	}
	return a
}

func requestOf(i input) string {
	switch c := i.record; {
	case c.claim != nil:
		return c.claim.RequestID
	case c.settle != nil:
		return c.settle.RequestID
	case c.wait != nil:
		return c.wait.RequestID
	case c.release != nil:
		return c.release.RequestID
	default:
		return *c.look
	}
}

func describeHalf(in, out any) string {
	call := in.(input) //nolint:errcheck // as above
	answer := "no answer"
	if out != nil {
		answer = fmt.Sprintf("%+v", out)
	}
	if p := call.payment; p != nil {
		kind := "release"
		switch {
		case p.acquire != nil:
			kind = "acquire " + p.acquire.mode
		case p.settle != nil:
			kind = fmt.Sprintf("settle %s declined %t", p.settle.mode, p.settle.declined)
		case p.wait != nil:
			kind = fmt.Sprintf("wait maybe sent %t", p.wait.maybeSent)
		}
		return fmt.Sprintf("%s %s by %s: %s", kind, p.requestID, p.token, answer)
	}
	var kind, token string
	switch c := call.record; {
	case c.claim != nil:
		kind, token = fmt.Sprintf("claim hop %d copy %t signal %t", c.claim.Hop, c.claim.Copy, c.claim.Signal), c.claim.Token
	case c.settle != nil:
		kind, token = "settle as "+string(c.settle.Status), c.settle.Token
	case c.wait != nil:
		kind, token = fmt.Sprintf("wait for hop %d review %t", c.wait.Hop, c.wait.Review), c.wait.Token
	case c.release != nil:
		kind, token = "release", c.release.Token
	default:
		kind = "look"
	}
	return fmt.Sprintf("%s by %s: %s", kind, token, answer)
}
