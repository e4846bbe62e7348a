package schedules

import (
	"time"

	"pgregory.net/rapid"

	"refundworker/refund"
)

// mostSkew is how far the store's clock may be off.
const mostSkew = 10 * time.Minute

// jump moves the store's clock, as a failover to a server with another one does.
func (w *world) jump(t *rapid.T) {
	by := rapid.SampledFrom([]time.Duration{-5 * time.Minute, -90 * time.Second, -30 * time.Second, 30 * time.Second, 90 * time.Second, 5 * time.Minute}).Draw(t, "jump")
	w.skew = min(max(w.skew+by, -mostSkew), mostSkew)
	what := "the store's clock jumps back"
	w.bank.mu.Lock()
	w.bank.skewed, w.bank.jumped = true, w.bank.jumped || by > 0
	w.bank.mu.Unlock()
	if by > 0 {
		what = "the store's clock jumps ahead"
	}
	w.did(t, what)
}

func (w *world) loseRecord(t *rapid.T) {
	r := choose(t, "request", w.bank.order)
	w.memory.Lose(r.id)
	w.forget(func(o *request) bool { return o == r }, false)
	t.Logf("the record of %s is lost", r.id)
	w.did(t, "a record is lost")
}

func (w *world) losePayment(t *rapid.T) {
	r := choose(t, "request", w.bank.order)
	payment := r.variants[0].PaymentID
	w.memory.LosePayment(refund.PaymentRef{Gateway: r.gateway, PaymentID: payment})
	w.forget(func(o *request) bool { return o.gateway == r.gateway && o.paysFrom(payment) }, true)
	t.Logf("the record of %s is lost", payment)
	w.did(t, "a payment is lost")
}

// paysFrom tells whether a command of the request names the payment.
func (r *request) paysFrom(payment string) bool {
	for _, cmd := range r.variants {
		if cmd.PaymentID == payment {
			return true
		}
	}
	return false
}

func (w *world) takeSnapshot(t *rapid.T) {
	s := w.memory.Snapshot()
	w.snapshot, w.touched = &s, make(map[string]bool)
	w.did(t, "a snapshot is taken")
}

// restore puts the store back to the snapshot: what happened since is forgotten.
func (w *world) restore(t *rapid.T) {
	if w.snapshot == nil {
		t.Skip("no snapshot")
	}
	w.memory.Rewind(*w.snapshot)
	w.forget(func(r *request) bool { return w.touched[r.id] }, false)
	w.forget(func(r *request) bool {
		for _, other := range w.bank.order {
			for _, cmd := range other.variants {
				if w.touched[other.id] && other.gateway == r.gateway && r.paysFrom(cmd.PaymentID) {
					return true
				}
			}
		}
		return false
	}, true)
	w.did(t, "a snapshot is restored")
}
