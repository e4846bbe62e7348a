package cutpoints

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"refundworker/dedupe"
	"refundworker/gateway/antom"
	"refundworker/gateway/eftpay"
	"refundworker/gateway/sandbox"
	"refundworker/refund"
	"refundworker/schemas"
)

const (
	lease          = 25 * time.Second
	gatewayTimeout = 5 * time.Second
	// The waits are shorter than in life, so that a request that never settles is in review after some five passes.
	horizon        = 4 * time.Minute
	lapseAfter     = 4 * time.Minute
	reviewInterval = 30 * time.Minute
	// takeAgain is when an overdue request is taken again that was taken already.
	takeAgain = 10 * time.Minute
	// restWithin is when nothing may move any more: the horizon, leases and lapses of two cuts, and a tier.
	restWithin = 40 * time.Minute

	// Two refunds of one payment, the first sent in twice.
	paymentID = "20260101000001"
	original  = 5000
	first     = "rf-1"
	second    = "rf-2"
)

func tiers() []time.Duration { return []time.Duration{10 * time.Second, time.Minute} }

// amounts are the refunds by request ID.
func amounts() map[string]int64 { return map[string]int64{first: 1200, second: 800} }

// world is everything outside of the processes: it lives on when one dies.
type world struct {
	t        *testing.T
	gateway  gatewayKind
	scenario scenario

	store   *dedupe.Memory
	log     *messageLog
	sandbox *sandbox.Server
	network *network
	antom   *antom.Client
	eftpay  *eftpay.Client
	// lanes are all goroutines that were started.
	lanes sync.WaitGroup
	// cuts are those of the processes, one after the other.
	cuts      []cut
	processes []*process

	mu        sync.Mutex
	intrusion intrusion
	// lose is how many retry copies are still to be lost.
	lose int
	// notification is the newest one that the gateway has sent.
	notification *schemas.Signal
}

// intrusion is a signal that is worked on in the middle of a step of the first process.
type intrusion struct {
	at   point
	kind schemas.SignalKind
}

// play runs a scenario from its commands to rest, with the processes cut one after the other, and audits what is left.
// It returns the steps of each process.
func (y *tally) play(t *testing.T, g gatewayKind, s scenario, keys sandbox.Keys, in intrusion, cuts ...cut) (steps [][]step) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, gateway: g, scenario: s, log: newMessageLog(), cuts: cuts, intrusion: in, lose: s.copiesLost,
			store: dedupe.NewMemory(dedupe.Config{MaxLease: lease, OutcomeTTL: 720 * time.Hour, TombstoneTTL: 9600 * time.Hour}),
		}
		w.connect(keys)
		for _, id := range []string{first, second, first} {
			w.log.append(w.log.names.Commands(), []byte(paymentID), w.command(id), nil)
		}
		w.next()
		if !w.drive(restWithin, w.isAtRest) {
			t.Errorf("not at rest after %v", restWithin)
		}
		w.auditReviews()
		// The payment's lease, which a dead process may hold.
		w.drive(lease, func() bool { return false })
		for _, p := range w.processes {
			reached, made := p.stop()
			if p.cut.how != "" && !made {
				y.missed.Add(1)
			}
			steps = append(steps, reached)
		}
		w.hangUp()
		w.lanes.Wait()
		w.audit()
		if t.Failed() {
			t.Logf("%s, %s, %v, signal %v", g.title, s.name, cuts, in)
			w.dump(steps)
		}
	})
	return steps
}

// next starts the next process.
func (w *world) next() {
	w.t.Helper()
	c := cut{}
	if len(w.processes) < len(w.cuts) {
		c = w.cuts[len(w.processes)]
	}
	w.processes = append(w.processes, w.start(c))
}

// drive lets time pass until a condition holds, and starts a process whenever one is gone.
func (w *world) drive(within time.Duration, holds func() bool) bool {
	w.t.Helper()
	for end := time.Now().Add(within); !holds(); {
		left := time.Until(end)
		if left <= 0 {
			return false
		}
		timer := time.NewTimer(min(left, 20*time.Second))
		select {
		case <-w.processes[len(w.processes)-1].gone:
			w.next()
		case <-timer.C:
		}
		timer.Stop()
	}
	return true
}

// isAtRest: every message is done, every request has its end or is in review, and nobody stands still.
func (w *world) isAtRest() bool {
	for _, p := range w.processes {
		if p.isFrozen() {
			return false
		}
	}
	if len(w.log.open()) > 0 || !w.network.isIdle() {
		return false
	}
	for id := range amounts() {
		if state := w.look(w.t.Context(), id).State; state != refund.SightSettled && state != refund.SightReview {
			return false
		}
	}
	return true
}

func (w *world) look(ctx context.Context, id string) refund.Sight {
	sight, err := w.store.Look(ctx, id)
	if err != nil {
		w.t.Errorf("look at %s: %v", id, err)
	}
	return sight
}

func (w *world) command(id string) []byte {
	cmd := schemas.Command{
		SchemaVersion: 1, RequestID: id, Gateway: w.gateway.name, PaymentID: paymentID,
		Amount:         schemas.Money{Minor: amounts()[id], Currency: "HKD"},
		OriginalAmount: &schemas.Money{Minor: original, Currency: "HKD"},
	}
	if w.gateway.name == schemas.EftPay {
		cmd.EftPay = &schemas.EftPayFields{PaymentType: "ALIPAYHK"}
	}
	raw, err := json.Marshal(cmd)
	if err != nil {
		w.t.Error(err)
	}
	return raw
}

func (w *world) signal(s schemas.Signal) refund.Event {
	value, err := schemas.EncodeSignal(s)
	if err != nil {
		w.t.Errorf("signal: %v", err)
	}
	return refund.Event{
		Channel: refund.Signals, Key: []byte(s.RequestID), Value: value, Headers: schemas.SignalHeaders(s, "/test"),
	}
}

// published takes an event, and loses a copy where the scenario wants it: acked, and gone with its tier.
func (w *world) published(topic string, e refund.Event) {
	w.mu.Lock()
	lost := e.Channel == refund.Retry && w.lose > 0
	if lost {
		w.lose--
	}
	w.mu.Unlock()
	if !lost {
		w.log.append(topic, e.Key, e.Value, e.Headers)
	}
}

// notified takes a notification of the gateway; an intrusion brings it at its own time.
func (w *world) notified(s schemas.Signal) {
	w.mu.Lock()
	w.notification = &s
	keep := w.intrusion.kind == schemas.SignalNotification
	w.mu.Unlock()
	if !keep {
		w.deliver(s)
	}
}

func (w *world) deliver(s schemas.Signal) {
	e := w.signal(s)
	w.log.append(w.log.topic(e), e.Key, e.Value, e.Headers)
}

// intrude brings the signal at its point, and lets everybody else do with it what they can before the step goes on. A
// notification that the gateway has not sent yet comes when it is sent.
func (w *world) intrude(at point) {
	w.mu.Lock()
	in, s := w.intrusion, w.notification
	if in.kind == "" || at != in.at {
		w.mu.Unlock()
		return
	}
	w.intrusion = intrusion{}
	w.mu.Unlock()
	if in.kind == schemas.SignalRedrive {
		s = &schemas.Signal{RequestID: first, Kind: schemas.SignalRedrive, OccurredAt: schemas.Time{Time: time.Now()}}
	}
	if s != nil {
		w.deliver(*s)
		synctest.Wait()
	}
}
