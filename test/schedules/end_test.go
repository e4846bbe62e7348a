package schedules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// mostRounds is when a schedule that does not come to rest is given up.
const mostRounds = 3000

// end takes every fault away and lets everything come to its end: zombies wake and finish, every message is handed over,
// time runs. A request is at rest when it is settled or in review.
func (w *world) end() {
	for _, r := range w.bank.order {
		r.sends, r.asks = nil, nil
	}
	for slot := range w.workers {
		w.stop(slot, build{both: true})
	}
	w.settle()
	for _, h := range w.handlers {
		h.smooth = true
	}
	w.settle()
	w.pass(2 * lease) // what still runs of the old workers ends, as failed as it likes
	w.trouble = false
	patience := time.Now().Add(3 * w.bank.pace.horizon)
	looks := 0
	for range mostRounds {
		for w.deliverAll() {
			w.settle()
		}
		if w.moving() {
			w.pass(quantum)
			continue
		}
		w.watch()
		if w.deliverAll() {
			w.settle()
			continue
		}
		next := w.nextEvent()
		if w.atRest(patience) {
			if looks++; looks > 2 || next.IsZero() {
				return
			}
		}
		if next.IsZero() {
			return // nothing will ever happen; the audit says whether that is right
		}
		w.pass(max(time.Until(next), time.Second))
	}
	w.fault("the schedule does not come to rest: %s", w.states())
}

// deliverAll hands over the head of every partition, and tells whether there was one.
func (w *world) deliverAll() bool {
	found := false
	for _, p := range w.partitions {
		if w.deliver(p, true, true) != nil {
			found = true
		}
	}
	w.settle()
	return found
}

// nextEvent is when something happens by itself: a copy, a look of the watchdog, a gateway.
func (w *world) nextEvent() time.Time {
	var times []time.Time
	for _, p := range w.partitions {
		if p.skipLost(); p.next < len(p.log) {
			times = append(times, p.log[p.next].due)
		}
	}
	_, look, err := w.memory.Scheduled(w.t.Context())
	if err != nil {
		w.fault("%v", err)
	}
	if !look.IsZero() {
		times = append(times, look.Add(-w.skew))
	}
	times = slices.DeleteFunc(append(times, w.bank.next()), func(t time.Time) bool { return t.IsZero() })
	if len(times) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(times, time.Time.Compare)
}

// states are those of the requests, for a schedule that does not end.
func (w *world) states() string {
	var text strings.Builder
	for _, r := range w.bank.order {
		sight := w.sight(r.id)
		fmt.Fprintf(&text, "%s: state %d, %+v; ", r.id, sight.State, sight.Record)
	}
	return text.String()
}

// atRest tells whether nothing more can become of any request. One of which nothing was ever sent may wait for ever.
func (w *world) atRest(patience time.Time) bool {
	if !w.bank.next().IsZero() {
		return false
	}
	for _, p := range w.partitions {
		for _, rec := range p.log[p.next:] {
			if r := w.bank.requests[requestOf(rec.message)]; !rec.lost && w.sight(r.id).State != refund.SightWaiting {
				return false // a copy that was parked, or is superseded
			}
		}
	}
	return !slices.ContainsFunc(w.bank.order, func(r *request) bool {
		sight := w.sight(r.id)
		switch sight.State {
		case refund.SightClaimed:
			return sight.LeaseLeft > 0 || time.Now().Before(patience) // the audit judges a claim that nobody comes back to
		case refund.SightWaiting:
			return sight.Record.MaybeSent || time.Now().Before(patience)
		case refund.SightInvalid, refund.SightAbsent, refund.SightReview, refund.SightSettled, refund.SightTombstone, refund.SightUnknownVersion:
		}
		return false
	})
}

// audit holds the whole schedule against the promises, after its end.
func (w *world) audit() {
	b := w.bank
	sights := make(map[*request]refund.Sight)
	for _, r := range b.order {
		sights[r] = w.sight(r.id)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range w.partitions {
		if p.head(time.Now().Add(-w.slack)) != nil {
			b.fault(nil, "%s was never done", p.place(p.next))
		}
	}
	for _, r := range b.order {
		if r.final != nil {
			b.truthful(r)
		}
		w.auditEnd(r, sights[r])
		w.auditMessages(r)
	}
	w.auditCaps()
}

// auditEnd wants every request that was commanded to have ended, or to be where somebody finds it.
func (w *world) auditEnd(r *request, sight refund.Sight) {
	b := w.bank
	commanded := false
	for _, m := range w.commands() {
		commanded = commanded || string(m.Key) == r.id
	}
	switch {
	case !commanded:
		b.tally.add("end: never commanded")
	case r.final != nil:
		b.tally.add("end: " + string(r.finalSays.Status))
	case sight.State == refund.SightReview && r.reviews > 0 && r.filed > 0:
		if sight.Record.Contradicted {
			b.tally.add("end: in review, for a person only")
		} else {
			b.tally.add("end: in review")
		}
		if len(r.moves) > 0 {
			b.tally.add("end: in review, and the money has moved")
		}
	case sight.State == refund.SightWaiting && r.announced > 0 && w.copyOf(r, sight.Record.Hop):
		b.tally.add("end: waits, and nothing was ever sent")
	case sight.State == refund.SightTombstone && w.toldSettled(r):
		b.tally.add("end: settled, and told when the outcome had expired")
	case b.excused(mayBeLost, r):
	default:
		b.fault(r, "lost: state %d, %d announcements, %d of a review, %d dead letters of it", sight.State, r.announced, r.reviews, r.filed)
	}
}

// copyOf tells whether the copy of a waiting request is really there.
func (w *world) copyOf(r *request, hop int) bool {
	for _, p := range w.tiers {
		for _, rec := range p.log[p.next:] {
			state, err := schemas.ParseRetryState(rec.message.Headers)
			if err == nil && !rec.lost && state.Hop == hop && requestOf(rec.message) == r.id {
				return true
			}
		}
	}
	return false
}

// toldSettled tells whether a command of the request was answered with what the tombstone still knows.
func (w *world) toldSettled(r *request) bool {
	for _, p := range w.partitions {
		for offset, rec := range p.log {
			if requestOf(rec.message) == r.id && w.book.rejected[p.place(offset)] == schemas.CodeAlreadySettled {
				return true
			}
		}
	}
	return false
}

// auditMessages wants every command to speak of the request that has ended, or to be rejected.
func (w *world) auditMessages(r *request) {
	b := w.bank
	for _, p := range w.partitions {
		if p.kind != commands {
			continue
		}
		for offset, rec := range p.log {
			if string(rec.message.Key) != r.id {
				continue
			}
			cmd, err := schemas.DecodeCommand(rec.message.Value)
			if err != nil {
				b.fault(r, "%v", err)
			}
			code, rejected := w.book.rejected[p.place(offset)]
			same := r.final == nil || cmd.Amount == r.finalSays.Amount && cmd.PaymentID == r.finalSays.PaymentID
			switch {
			case !same && !rejected && !b.excused(mayBeLost, r):
				b.fault(r, "the command at %s is another than the one that ended, and was not rejected", p.place(offset))
			case same && r.final != nil && rejected && code == schemas.CodeRequestIDConflict && !b.excused(mayContradict, r):
				b.fault(r, "the command at %s is the one that ended, and was rejected as its rival", p.place(offset))
			}
		}
	}
}

// auditCaps wants no payment refunded beyond what its commands state.
func (w *world) auditCaps() {
	b := w.bank
	sums := make(map[string]int64)
	last := make(map[string]*request)
	excused := make(map[string]bool)
	for _, r := range b.order {
		for _, m := range r.moves {
			name := string(r.gateway) + "/" + m.payment
			sums[name] += m.minor
			last[name] = r
			excused[name] = excused[name] || r.variants[0].OriginalAmount == nil || r.forgot || r.paymentForgot
		}
	}
	for name, sum := range sums {
		if sum <= armed {
			continue
		}
		if excused[name] {
			b.tally.add("excused: a cap of a payment that is not known")
			continue
		}
		b.fault(last[name], "%s was refunded %d, and the commands state %d", name, sum, int64(armed))
	}
}
