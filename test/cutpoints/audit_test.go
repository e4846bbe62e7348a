package cutpoints

import (
	"context"
	"encoding/json"
	"time"

	"refundworker/gateway/sandbox"
	"refundworker/refund"
	"refundworker/schemas"
)

// nothingIsLost is asked whenever a process dies: every request has a final outcome that was published, or is in review,
// or somebody will come back to it.
func (w *world) nothingIsLost(ctx context.Context) {
	open := w.log.open()
	for id := range amounts() {
		if w.finals()[id] != nil {
			continue
		}
		kept := false
		for _, m := range open {
			kept = kept || speaksOf(w.t, m, id)
		}
		sight := w.look(ctx, id)
		scheduled := sight.Message != nil && w.scenario.copiesLost > 0 // audited by its effect
		if !kept && !scheduled && sight.State != refund.SightReview {
			w.t.Errorf("%s is lost: no outcome, no message, state %d", id, sight.State)
		}
	}
}

// finals are the bytes of the final outcomes that were published.
func (w *world) finals() map[string][]byte {
	found := make(map[string][]byte)
	for _, m := range w.log.all(w.log.names.Results()) {
		if out, err := schemas.DecodeOutcome(m.Value); err == nil && out.Final {
			found[out.RequestID] = m.Value
		}
	}
	return found
}

// audit holds outcomes, ledger, store and offsets against each other.
func (w *world) audit() {
	w.t.Helper()
	w.auditEvents()
	ledger := w.sandbox.Summary()
	if twice := ledger.Twice(); len(twice) > 0 {
		w.t.Errorf("money moved twice: %v", twice)
	}
	finals := w.finals()
	var counted int64
	for id, minor := range amounts() {
		moved := ledger.Refunds[w.gateway.key(id)] > 0
		sight := w.look(w.t.Context(), id)
		if moved || sight.State == refund.SightReview {
			counted += minor
		}
		if finals[id] == nil {
			w.auditReview(id, sight, moved)
			continue
		}
		out, err := schemas.DecodeOutcome(finals[id])
		if err != nil {
			w.t.Errorf("outcome of %s: %v", id, err)
		}
		if sight.State != refund.SightSettled || string(sight.Outcome) != string(finals[id]) {
			w.t.Errorf("%s: published %s, and the store holds state %d, %s", id, finals[id], sight.State, sight.Outcome)
		}
		if (out.Status == schemas.Success) != moved {
			w.t.Errorf("%s: outcome %s, and the ledger has moved %d times", id, out.Status, ledger.Refunds[w.gateway.key(id)])
		}
		if want := w.scenario.wants(id); want != out.Status && moved == (want == schemas.Success) {
			w.t.Errorf("%s: outcome %s, want %s", id, out.Status, want)
		}
		if out.Amount.Minor != minor {
			w.t.Errorf("%s: amount %d, want %d", id, out.Amount.Minor, minor)
		}
	}
	w.auditPayment(counted)
	if open := w.log.open(); len(open) > 0 {
		w.t.Errorf("%d messages are not committed", len(open))
	}
}

// auditReview allows a review where nothing proves an end: at a gateway that promises nothing about a repeat, and only
// while no money has moved.
func (w *world) auditReview(id string, sight refund.Sight, moved bool) {
	if sight.State != refund.SightReview {
		w.t.Errorf("%s: no outcome, and state %d", id, sight.State)
	}
	if moved || w.gateway.name != schemas.EftPay {
		w.t.Errorf("%s: in review, moved %t: the gateway could have told", id, moved)
	}
	told := false
	for _, m := range w.log.all(w.log.names.Results()) {
		out, err := schemas.DecodeOutcome(m.Value)
		told = told || err == nil && out.RequestID == id && out.NeedsReview
	}
	filed := false
	for _, m := range w.log.all(w.log.names.DeadLetters()) {
		filed = filed || speaksOf(w.t, m, id)
	}
	if !told || !filed {
		w.t.Errorf("%s: in review, told %t, filed %t", id, told, filed)
	}
}

// auditEvents checks every event by itself, and that no event ID means two things.
func (w *world) auditEvents() {
	meanings := make(map[string]string)
	for _, m := range w.log.all(w.log.names.Results()) {
		out, err := schemas.DecodeOutcome(m.Value)
		if err != nil {
			w.t.Errorf("result %d: %v", m.Offset, err)
			continue
		}
		raw, _ := schemas.HeaderValue(m.Headers, schemas.HeaderCEID)
		id, says := string(raw), string(m.Value)
		if out.Final != (id == schemas.FinalEventID(out.RequestID)) {
			w.t.Errorf("result %d, final %t: event ID %s", m.Offset, out.Final, id)
		}
		if !out.Final {
			says = w.promise(out)
		}
		if before, seen := meanings[id]; seen && before != says {
			w.t.Errorf("event ID %s means two things:\n%s\n%s", id, before, says)
		}
		meanings[id] = says
	}
	w.auditPromises()
	w.auditOverlaps()
}

// auditOverlaps: two refunds of the payment were never at the gateway at once. The sandbox counts two that touch in one
// instant; here the clock is exact.
func (w *world) auditOverlaps() {
	var calls []sandbox.Call
	for id := range amounts() {
		for _, c := range w.sandbox.Calls(w.gateway.key(id)) {
			if c.Operation != sandbox.Refund {
				continue
			}
			for _, other := range calls {
				if c.Received.Before(other.Ended) && other.Received.Before(c.Ended) {
					w.t.Errorf("two refunds of the payment were at the gateway at once:\n%+v\n%+v", c, other)
				}
			}
			calls = append(calls, c)
		}
	}
}

// promise is what a repeated progress event says again: a record keeps the promise, not the gateway's words.
func (w *world) promise(out schemas.Outcome) string {
	out.OccurredAt, out.GatewayCode, out.GatewayMessage = schemas.Time{}, "", ""
	raw, err := json.Marshal(out)
	if err != nil {
		w.t.Errorf("outcome: %v", err)
	}
	return string(raw)
}

// auditPromises holds the give-up time of every retry-pending event against when the request was given up or ended.
func (w *world) auditPromises() {
	ended := make(map[string]time.Time)
	for _, m := range w.log.all(w.log.names.Results()) {
		out, err := schemas.DecodeOutcome(m.Value)
		if _, known := ended[out.RequestID]; err == nil && (out.Final || out.NeedsReview) && !known {
			ended[out.RequestID] = out.OccurredAt.Time
		}
	}
	// A pass can come one tier later; a death costs a lease, and a lost copy what it takes to lapse.
	const slack = time.Minute + lapseAfter + takeAgain + 2*standstill + 4*lease
	for _, m := range w.log.all(w.log.names.Results()) {
		out, err := schemas.DecodeOutcome(m.Value)
		if err != nil || out.GiveUpAt == nil {
			continue
		}
		if at, ok := ended[out.RequestID]; !ok || at.After(out.GiveUpAt.Add(slack)) {
			w.t.Errorf("%s: promised to be given up at %v, ended at %v", out.RequestID, out.GiveUpAt, at)
		}
	}
}

// auditPayment asks the cap what the payment counts: one more minor unit than is left has to exceed it.
func (w *world) auditPayment(want int64) {
	for minor, exceeds := range map[int64]bool{original - want: false, original - want + 1: true} {
		q := refund.ClaimRequest{
			RequestID: "probe", Token: "probe", Lease: lease, Fingerprints: []refund.Fingerprint{{Version: 1, Sum: "probe"}},
			Account: accountName, GatewayKey: "probe",
			Payment: refund.PaymentRef{Gateway: w.gateway.name, PaymentID: paymentID, Minor: minor, OriginalMinor: original},
		}
		c, err := w.store.Claim(w.t.Context(), q)
		if err != nil || c.Status != refund.ClaimGranted {
			w.t.Errorf("the payment cannot be claimed: %d, %v", c.Status, err)
		}
		if c.CapExceeded != exceeds {
			w.t.Errorf("the payment does not count %d: with %d of %d more, exceeded %t", want, minor, original, c.CapExceeded)
		}
		if err := w.store.Release(w.t.Context(), refund.ReleaseRequest{
			RequestID: q.RequestID, Token: q.Token, Payment: q.Payment,
		}); err != nil {
			w.t.Errorf("release: %v", err)
		}
	}
}

// auditReviews waits for the next look at what is in review: that is promised, too.
func (w *world) auditReviews() {
	looks := make(map[string]int)
	for id := range amounts() {
		if sight := w.look(w.t.Context(), id); sight.State == refund.SightReview && !sight.Record.Contradicted {
			looks[id] = w.inquiries(id)
		}
	}
	if len(looks) == 0 {
		return
	}
	// Whoever took it off the schedule may have died; then it is taken again.
	w.drive(reviewInterval+takeAgain+lease+time.Minute, func() bool {
		for id, before := range looks {
			if w.inquiries(id) == before {
				return false
			}
		}
		return w.isAtRest()
	})
	for id, before := range looks {
		if now := w.inquiries(id); now == before {
			w.t.Errorf("%s: in review, and not looked at for %v", id, reviewInterval)
		}
	}
}

func (w *world) inquiries(id string) int {
	n := 0
	for _, c := range w.sandbox.Calls(w.gateway.key(id)) {
		if c.Operation == sandbox.Inquiry {
			n++
		}
	}
	return n
}

// dump shows how a run that failed went.
func (w *world) dump(steps [][]step) {
	for i, list := range steps {
		for _, s := range list {
			w.t.Logf("process %d: %v", i, s.point)
		}
	}
	for _, topic := range w.log.names.All() {
		for _, m := range w.log.all(topic) {
			w.t.Logf("%s/%d %v %s", topic, m.Offset, m.Time, m.Value)
		}
	}
	for _, e := range w.sandbox.Ledger() {
		w.t.Logf("ledger: %+v", e)
	}
	for id := range amounts() {
		for _, c := range w.sandbox.Calls(w.gateway.key(id)) {
			w.t.Logf("call: %+v", c)
		}
		w.t.Logf("store: %s %+v", id, w.look(w.t.Context(), id))
	}
}
