package schedules

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"refundworker/consumer"
	"refundworker/dedupe"
	"refundworker/refund"
)

// quantum is longer than any pause of a worker between two tries at something of ours, jitter included, so that where a
// worker stands after it is the same in every run.
const quantum = 5 * time.Second

// slots is how many workers there are.
const slots = 3

// world is one schedule: workers, a broker, a store, two gateways, in one synctest bubble. Everything but the workers'
// own code runs in the driver's goroutine.
type world struct {
	t      *rapid.T
	bank   *bank
	book   *results
	memory *dedupe.Memory
	// skew is how far the store's clock is off.
	skew     time.Duration
	snapshot *dedupe.Snapshot
	// touched are the requests that the store was called for since the snapshot.
	touched map[string]bool

	parts      parts
	workers    [slots]*worker
	partitions []*partition
	tiers      map[time.Duration]*partition
	signals    *partition
	handlers   []*handler
	serial     int
	// notes are the notifications that were sent, for a replay.
	notes [][]byte
	// slack is how long after its due time a copy may still be on its way at the end.
	slack time.Duration
	// trouble: faults of ours may still be to blame for a handler's error.
	trouble bool
}

func newWorld(t *rapid.T, tally *tally, metrics *refund.Metrics) *world {
	bank := newBank(tally, pace{resendWindow: 2 * time.Hour, horizon: 4 * time.Hour, reviewInterval: 2 * time.Hour, lapseAfter: 10 * time.Minute})
	w := &world{
		t: t, bank: bank, book: &results{bank: bank, meanings: make(map[string]string)}, touched: make(map[string]bool),
		tiers: make(map[time.Duration]*partition), trouble: true,
		memory: dedupe.NewMemory(dedupe.Config{MaxLease: lease, OutcomeTTL: outcomeTTL}),
	}
	w.memory.SetClock(func() time.Time { return time.Now().Add(w.skew) })
	connection := w.memory.Connect(func(ctx context.Context, deliver func(dedupe.Halves)) error {
		return handlerOf(ctx).carry(ctx, "store", deliver)
	})
	w.parts = parts{
		bank: bank, road: roads{}, metrics: metrics, publish: w.publish, store: store{Connection: connection, bank: bank, road: roads{}},
	}
	for i := range w.workers {
		w.workers[i] = newWorker(t, w.parts, build{})
	}
	for id := range 2 {
		w.partition("refunds.commands", id, commands)
	}
	for _, tier := range allTiers() {
		w.tiers[tier] = w.partition("refunds.retry."+tier.String(), 0, copies)
	}
	w.signals = w.partition("refunds.signals", 0, signals)
	t.Cleanup(w.tearDown)
	return w
}

func (w *world) partition(topic string, id int, k kind) *partition {
	p := &partition{topic: topic, id: id, kind: k, owner: len(w.partitions) % slots}
	w.partitions = append(w.partitions, p)
	return p
}

// publish is the producer of every worker: a step of the handler that calls it.
func (w *world) publish(ctx context.Context, events ...refund.Event) error {
	return handlerOf(ctx).carry(ctx, "publish", func(arrive dedupe.Halves) {
		for i, e := range events {
			if i == 0 && arrive.Payment || i > 0 && arrive.Record {
				w.append(e)
			}
		}
	})
}

func (w *world) append(e refund.Event) {
	switch e.Channel {
	case refund.Retry:
		p := w.tiers[e.Tier]
		if p == nil {
			w.fault("a copy for a tier of %s, which does not exist", e.Tier)
			return
		}
		p.append(e.Key, e.Value, e.Headers)
	case refund.Signals:
		w.signals.append(e.Key, e.Value, e.Headers)
	case refund.Results:
		w.book.result(e)
	case refund.DeadLetters:
		w.book.deadLetter(e)
	}
}

func (w *world) fault(format string, args ...any) {
	w.bank.mu.Lock()
	defer w.bank.mu.Unlock()
	w.bank.fault(nil, format, args...)
}

// deliver hands the head of a partition to its owner.
func (w *world) deliver(p *partition, smooth, commit bool) *handler {
	r := p.head(time.Now())
	if r == nil {
		return nil
	}
	r.tried = true
	w.serial++
	ctx, cancel := context.WithCancelCause(context.Background())
	h := &handler{id: w.serial, worker: w.workers[p.owner], part: p, at: p.next, smooth: smooth, commit: commit, cancel: cancel}
	p.busy = h
	w.handlers = append(w.handlers, h)
	go h.run(ctx, r.message)
	return h
}

// settle lets everything run that the driver has not stopped, and stops when only its choice can go on.
func (w *world) settle() {
	for {
		synctest.Wait()
		if !w.turn() {
			break
		}
	}
	if fault := w.bank.firstFault(); fault != "" {
		w.t.Fatalf("%s", fault)
	}
}

// turn lets the first handler that may go on make its step. One goes at a time: what two do at the same moment has an
// order, and it is the same each time.
func (w *world) turn() bool {
	for i, h := range w.handlers {
		if h.hasEnded() {
			w.handlers = slices.Delete(w.handlers, i, i+1)
			w.complete(h)
			return true
		}
		if s := h.parked(); h.smooth && s != nil {
			w.grant(h, passes)
			return true
		}
	}
	return false
}

func (w *world) grant(h *handler, f fate) {
	s := h.parked()
	if s == nil || s.name != "store" {
		h.grant(f)
		return
	}
	id := requestOf(h.part.log[h.at].message)
	w.touched[id] = true
	claim := h.visit.claim
	if claim == nil || claim.Signal {
		h.grant(f)
		return
	}
	before := w.sight(id)
	h.grant(f)
	if after := w.sight(id); before.State == refund.SightWaiting && after.Record.Token == claim.Token && claim.Hop < before.Record.Hop {
		w.fault("%s: a message of hop %d was taken up while the request waits for hop %d", id, claim.Hop, before.Record.Hop)
	}
}

// sight is what the store holds of a request.
func (w *world) sight(id string) refund.Sight {
	sight, err := w.memory.Look(context.Background(), id)
	if err != nil {
		w.fault("%v", err)
	}
	return sight
}

// complete does what a consumer does when a handler has returned.
func (w *world) complete(h *handler) {
	h.cancel(nil)
	if h.returned && h.err != nil && !w.trouble {
		w.fault("%s %s/%d/%d: %v", h.part.kind, h.part.topic, h.part.id, h.at, h.err)
	}
	if h.detached || h.part.busy != h {
		return
	}
	h.part.busy = nil
	if !h.returned || h.err != nil {
		return // it is handed over again
	}
	h.part.next = h.at + 1
	if h.commit {
		h.part.committed = h.part.next
	}
}

// moving tells whether a handler goes on by itself as time passes.
func (w *world) moving() bool {
	return slices.ContainsFunc(w.handlers, func(h *handler) bool { return h.parked() == nil })
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	for end := time.Now().Add(d); ; {
		w.settle()
		now := time.Now()
		if !now.Before(end) {
			return
		}
		until := end
		if next := w.bank.next(); next.After(now) && next.Before(until) {
			until = next
		}
		if w.moving() && until.Sub(now) > quantum {
			until = now.Add(quantum)
		}
		timer := time.NewTimer(until.Sub(now))
		<-timer.C
		w.bank.happen(time.Now())
	}
}

// crash kills a worker: its handlers make no further step, and others begin at the last commits.
func (w *world) crash(slot int, b build) {
	for _, h := range w.handlers {
		if h.worker == w.workers[slot] {
			h.detached = true
			h.die()
		}
	}
	w.replace(slot, b)
}

// stop tells a worker to stop: its handlers end by themselves, and their offsets are not committed any more.
func (w *world) stop(slot int, b build) {
	for _, h := range w.handlers {
		if h.worker == w.workers[slot] {
			h.detached = true
			h.cancel(consumer.ErrRevoked)
		}
	}
	w.replace(slot, b)
}

func (w *world) replace(slot int, b build) {
	w.workers[slot] = newWorker(w.t, w.parts, b)
	for _, p := range w.partitions {
		if p.owner == slot {
			p.reassign(slot)
		}
	}
}

// move gives a partition to another worker. Without a word to the former one, that is a process that was frozen, or that
// has not heard yet.
func (w *world) move(p *partition, slot int, told bool) {
	if h := p.busy; h != nil {
		h.detached = true
		if told {
			h.cancel(consumer.ErrRevoked)
		}
	}
	p.reassign(slot)
}

// forget notes which requests the store has lost states of.
func (w *world) forget(lost func(*request) bool, payment bool) {
	w.bank.mu.Lock()
	defer w.bank.mu.Unlock()
	for _, r := range w.bank.order {
		if lost(r) && payment {
			r.paymentForgot = true
		} else if lost(r) {
			r.forgot = true
		}
	}
}

var errOver = errors.New("the schedule is over")

// tearDown ends every goroutine, so that the bubble can end.
func (w *world) tearDown() {
	for _, h := range w.handlers {
		h.smooth = false
		h.cancel(errOver)
		h.die()
	}
	for len(w.handlers) > 0 {
		synctest.Wait()
		w.handlers = slices.DeleteFunc(w.handlers, (*handler).hasEnded)
		if len(w.handlers) > 0 {
			<-time.NewTimer(quantum).C
		}
	}
}

// place is where a record lies, as events name it.
func (p *partition) place(offset int) string {
	return p.topic + "/" + strconv.Itoa(p.id) + "/" + strconv.Itoa(offset)
}
