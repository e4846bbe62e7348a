package schedules

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"refundworker/refund"
	"refundworker/schemas"
)

// plan is which kinds of trouble a schedule has. Most schedules have no loss of the store's memory: those are held to
// every promise.
type plan struct {
	forgetful, jumping, builds bool
}

// action is one thing that a schedule can do.
type action struct {
	name string
	do   func(*rapid.T)
}

// actions are what a schedule is made of; one is drawn at a time. The generator is in favour of the first, so they stand
// in the order of what a schedule needs most.
func (w *world) actions(p plan) map[string]func(*rapid.T) {
	list := []action{
		{"delivery", w.delivery},
		{"delivery", w.delivery},
		{"step", w.step},
		{"step", w.step},
		{"next due", w.nextDue},
		{"delivery", w.delivery},
		{"step", w.step},
		{"command", w.produce},
		{"the rest", w.smoothen},
		{"time", w.timePasses},
		{"step", w.step},
		{"mood", w.moody},
		{"command", w.produce},
		{"next due", w.nextDue},
		{"move", w.moves},
		{"overtaken", w.overtaken},
		{"the rest", w.smoothen},
		{"crash", func(t *rapid.T) { w.crash(w.slot(t, "a crash"), w.build(t, p)); w.settle() }},
		{"duplicate", w.duplicate},
		{"time", w.timePasses},
		{"notification", w.notify},
		{"watchdog", func(t *rapid.T) { w.watch(); w.did(t, "the watchdog looks") }},
		{"copy twice", func(t *rapid.T) {
			w.onCopy(t, "a copy is written twice", func(p *partition, r *record) { p.append(r.message.Key, r.message.Value, r.message.Headers) })
		}},
		{"stop", func(t *rapid.T) { w.stop(w.slot(t, "a stop"), w.build(t, p)); w.settle() }},
		{"commit lost", w.rewinds},
		{"redrive", w.redrive},
		{"copy lost", func(t *rapid.T) { w.onCopy(t, "a copy is lost", w.loseCopy) }},
	}
	if p.jumping {
		list = append(list, action{"jump", w.jump})
	}
	if p.forgetful {
		list = append(list, action{"record lost", w.loseRecord}, action{"payment lost", w.losePayment},
			action{"snapshot", w.takeSnapshot}, action{"restore", w.restore})
	}
	named := make(map[string]func(*rapid.T), len(list))
	for i, a := range list {
		named[fmt.Sprintf("%02d %s", i, a.name)] = a.do
	}
	return named
}

// did tallies an action and lets the workers run.
func (w *world) did(t *rapid.T, what string) {
	w.bank.tally.add("action: " + what)
	t.Logf("%s: %s", time.Now().Format(time.TimeOnly), what)
	w.settle()
}

// choose draws one of a list, and gives the action up where there is none.
func choose[T any](t *rapid.T, label string, list []T) T {
	if len(list) == 0 {
		t.Skip("nothing to choose from")
	}
	return list[rapid.IntRange(0, len(list)-1).Draw(t, label)]
}

func (w *world) slot(t *rapid.T, what string) int {
	slot := rapid.IntRange(0, slots-1).Draw(t, "slot")
	w.bank.tally.add("action: " + what)
	t.Logf("%s: %s of worker %d", time.Now().Format(time.TimeOnly), what, slot)
	return slot
}

// build draws how a worker is configured that takes another's place.
func (w *world) build(t *rapid.T, p plan) build {
	if !p.builds {
		return build{}
	}
	b := build{
		otherTiers: rapid.IntRange(0, 2).Draw(t, "other tiers") == 0, strict: rapid.IntRange(0, 2).Draw(t, "strict") == 0,
		renamed: rapid.IntRange(0, 3).Draw(t, "renamed") == 0, both: rapid.IntRange(0, 3).Draw(t, "both") == 0,
		// Without its record a request would get a second key, and nobody has promised anything about that.
		otherKeys: !p.forgetful && rapid.IntRange(0, 9).Draw(t, "other keys") == 0,
	}
	if b != (build{}) {
		w.bank.tally.add("action: another build")
	}
	return b
}

func (w *world) produce(t *rapid.T) {
	w.send(t, choose(t, "request", w.bank.order), "a command")
}

// duplicate is a command that was produced before, in an order of its own.
func (w *world) duplicate(t *rapid.T) {
	var known []*request
	for _, r := range w.bank.order {
		if slices.ContainsFunc(w.commands(), func(m refund.Message) bool { return string(m.Key) == r.id }) {
			known = append(known, r)
		}
	}
	w.send(t, choose(t, "request", known), "a duplicate")
}

func (w *world) send(t *rapid.T, r *request, what string) {
	variant := rapid.SampledFrom([]int{0, 0, 0, 0, 1}).Draw(t, "variant")
	if variant == 1 {
		what = "a conflicting command"
	}
	p := w.partitions[rapid.IntRange(0, 1).Draw(t, "partition")]
	p.append([]byte(r.id), message(r.variants[variant]), nil)
	w.did(t, what)
}

// commands are all that were produced.
func (w *world) commands() []refund.Message {
	var list []refund.Message
	for _, p := range w.partitions {
		if p.kind == commands {
			for _, r := range p.log {
				list = append(list, r.message)
			}
		}
	}
	return list
}

func (w *world) delivery(t *rapid.T) {
	var ready []*partition
	for _, p := range w.partitions {
		if p.head(time.Now()) != nil {
			ready = append(ready, p)
		}
	}
	p := choose(t, "partition", ready)
	smooth := rapid.IntRange(0, 2).Draw(t, "smooth") == 0
	h := w.deliver(p, smooth, rapid.IntRange(0, 3).Draw(t, "commit") != 3)
	t.Logf("worker %d gets %s as %d", p.owner, p.place(h.at), h.id)
	w.did(t, "delivery of a "+p.kind.String())
}

// step lets a handler make its step, with a fate.
func (w *world) step(t *rapid.T) {
	var parked []*handler
	for _, h := range w.handlers {
		if h.parked() != nil {
			parked = append(parked, h)
		}
	}
	h := choose(t, "handler", parked)
	name := h.parked().name
	fates := []fate{passes, passes, passes, passes, passes, passes, passes, failsBefore, failsAfter, held, diesBefore, diesAfter}
	if name == "store" || name == "publish" {
		fates = append(fates, failsHalf, failsOtherHalf, arrivesTwice, diesHalf, diesOtherHalf)
	}
	f := rapid.SampledFrom(fates).Draw(t, "fate")
	t.Logf("%s: handler %d, %s: %s", time.Now().Format(time.TimeOnly), h.id, name, f)
	w.bank.tally.add("step: " + name + " " + f.String())
	w.grant(h, f)
	if f.deadly() && !h.detached {
		w.crash(h.part.owner, build{})
	}
	w.settle()
}

func (w *world) smoothen(t *rapid.T) {
	var rough []*handler
	for _, h := range w.handlers {
		if !h.smooth {
			rough = append(rough, h)
		}
	}
	h := choose(t, "handler", rough)
	h.smooth = true
	if h.detached {
		w.bank.tally.add("action: a zombie goes on")
	}
	t.Logf("handler %d goes on", h.id)
	w.did(t, "the rest of a handler")
}

func (w *world) timePasses(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{
		65 * time.Second, quantum, 20 * time.Second, 65 * time.Second, 11 * time.Minute, quantum, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	}).Draw(t, "time")
	w.pass(d)
	w.did(t, "time passes: "+d.String())
}

// nextDue passes the time until a copy can be handed over.
func (w *world) nextDue(t *rapid.T) {
	var next time.Time
	for _, p := range w.partitions {
		p.skipLost()
		if p.busy == nil && p.next < len(p.log) {
			if due := p.log[p.next].due; due.After(time.Now()) && (next.IsZero() || due.Before(next)) {
				next = due
			}
		}
	}
	if next.IsZero() {
		t.Skip("no copy waits")
	}
	w.pass(time.Until(next))
	w.did(t, "the next copy is due")
}

// moves gives a partition to another worker while its former owner may still work on it.
func (w *world) moves(t *rapid.T) {
	p := choose(t, "partition", w.partitions)
	told := rapid.Bool().Draw(t, "told")
	switch {
	case p.busy == nil:
	case told:
		w.bank.tally.add("action: two owners, the first is told")
	default:
		w.bank.tally.add("action: two owners, the first is frozen")
	}
	w.move(p, rapid.IntRange(0, slots-1).Draw(t, "slot"), told)
	t.Logf("%s moves", p.place(p.next))
	w.did(t, "a partition moves")
}

// overtaken freezes a worker at a step until its lease is over, and another one takes its message up and is done with it. The
// frozen one is left at its step: what it does when it wakes is up to the schedule, and nobody has its message any more.
func (w *world) overtaken(t *rapid.T) {
	var owned []*handler
	for _, h := range w.handlers {
		if h.parked() != nil && !h.detached {
			owned = append(owned, h)
		}
	}
	h := choose(t, "handler", owned)
	w.move(h.part, rapid.IntRange(0, slots-1).Draw(t, "slot"), false)
	w.pass(lease + quantum)
	w.deliver(h.part, true, true)
	t.Logf("handler %d is frozen and overtaken", h.id)
	w.did(t, "a worker is frozen, and overtaken")
}

func (w *world) moody(t *rapid.T) {
	r := choose(t, "request", w.bank.order)
	if rapid.Bool().Draw(t, "of refunds") {
		r.sends = append(r.sends, moods(longest).Draw(t, "mood"))
	} else {
		r.asks = append(r.asks, asks().Draw(t, "ask"))
	}
	w.did(t, "a gateway's mood")
}

// notify writes a signal with a notification: true, forged, of another amount, repeated, or one that says failed though
// the refund did not fail. A gateway that signs a success that did not happen is beyond anybody's help.
func (w *world) notify(t *rapid.T) {
	r := choose(t, "request", slices.DeleteFunc(slices.Clone(w.bank.order), func(r *request) bool { return r.gateway != schemas.Antom }))
	first := r.variants[0]
	key := keyOf(r.gateway, r.id)
	var body []byte
	kind := rapid.SampledFrom([]string{"true", "true", "true", "forged", "of another amount", "repeated", "of a false failure"}).Draw(t, "kind")
	switch kind {
	case "true":
		e := w.bank.books[r.gateway].entries["first/"+key]
		if e == nil {
			t.Skip("the gateway knows nothing")
		}
		verdict := map[state]refund.Verdict{processing: refund.Pending, done: refund.Succeeded, failed: refund.Declined}[e.state]
		body = notification(key, verdict, e.minor, true)
		w.notes = append(w.notes, body)
	case "forged":
		body = notification(key, refund.Succeeded, first.Amount.Minor, false)
	case "of another amount":
		body = notification(key, refund.Succeeded, first.Amount.Minor+7, true)
	case "repeated":
		body = choose(t, "note", w.notes)
	case "of a false failure":
		body = notification(key, refund.Declined, first.Amount.Minor, true)
	}
	w.signal(schemas.Signal{
		RequestID: r.id, Kind: schemas.SignalNotification, OccurredAt: schemas.Time{Time: time.Now()},
		Notification: &schemas.Notification{
			Gateway: r.gateway, Account: "first", Path: "/notify", Headers: map[string]string{"client-id": "C"}, Body: body,
		},
	})
	w.did(t, "a notification, "+kind)
}

func (w *world) signal(s schemas.Signal) {
	value, err := schemas.EncodeSignal(s)
	if err != nil {
		w.fault("%v", err)
		return
	}
	w.signals.append([]byte(s.RequestID), value, schemas.SignalHeaders(s, "/refund-worker"))
}

// redrive is a signal that nobody had to write: for any request, at any time.
func (w *world) redrive(t *rapid.T) {
	r := choose(t, "request", w.bank.order)
	w.signal(schemas.Signal{RequestID: r.id, Kind: schemas.SignalRedrive, OccurredAt: schemas.Time{Time: time.Now()}})
	w.did(t, "a redrive")
}

// watch is one look of the watchdog.
func (w *world) watch() {
	ids, err := w.memory.Overdue(w.t.Context(), 16, 10*time.Second)
	if err == nil {
		err = w.memory.Postpone(w.t.Context(), ids, 10*time.Minute)
	}
	if err != nil {
		w.fault("%v", err)
	}
	for _, id := range ids {
		w.bank.tally.add("the watchdog drives a request")
		w.signal(schemas.Signal{RequestID: id, Kind: schemas.SignalRedrive, OccurredAt: schemas.Time{Time: time.Now()}})
	}
}

func (w *world) rewinds(t *rapid.T) {
	var used []*partition
	for _, p := range w.partitions {
		if p.committed > 0 && p.busy == nil {
			used = append(used, p)
		}
	}
	p := choose(t, "partition", used)
	p.rewind(rapid.IntRange(1, 3).Draw(t, "by"))
	t.Logf("read again from %s", p.place(p.next))
	w.did(t, "a commit is lost: "+p.kind.String())
}

// loseCopy is a topic that was removed with what was in it, or a retention that was too short.
func (w *world) loseCopy(_ *partition, rec *record) {
	rec.lost = true
	state, err := schemas.ParseRetryState(rec.message.Headers)
	if r := w.bank.requests[requestOf(rec.message)]; err == nil {
		r.parkedLost = r.parkedLost || state.Hop == 0
		r.triedLost = r.triedLost || rec.tried
	}
}

// onCopy does something to a message that waits in a tier.
func (w *world) onCopy(t *rapid.T, what string, do func(*partition, *record)) {
	type waiting struct {
		part   *partition
		record *record
	}
	var list []waiting
	for _, p := range w.tiers {
		for i := p.next; i < len(p.log); i++ {
			if p.busy == nil || i > p.next {
				list = append(list, waiting{p, p.log[i]})
			}
		}
	}
	slices.SortFunc(list, func(a, b waiting) int {
		if c := a.record.due.Compare(b.record.due); c != 0 {
			return c
		}
		return int(a.record.message.Offset - b.record.message.Offset)
	})
	found := choose(t, "copy", list)
	do(found.part, found.record)
	w.did(t, what)
}
