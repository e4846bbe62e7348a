package dedupe

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"refundworker/refund"

	"pgregory.net/rapid"
)

// history is a fleet over one memory store. Its processes are slow, work on the same message at once, and die anywhere;
// a message that is not done is read again, and only that. The halves of a call are not atomic together: what else the
// fleet does can fall between them.
type history struct {
	*Memory
	clock    *clock
	t        *rapid.T
	actions  []func()
	requests []*told
	queue    []message
	passes   []pass
	tokens   int
	// alone: nothing falls between the halves of what runs now. Without actions nobody dies, either.
	alone bool
}

// told is a request and its fate: every send of it moves the money, or every send is declined.
type told struct {
	id    string
	minor int64
	moves bool
	// died: a process has died over a message of it or of a rival, and may have left an entry until that is read again.
	died bool
	// rivalled: another command has used its ID.
	rivalled bool
}

// message is a command, or with a hop a copy; a rival is another command under the same ID.
type message struct {
	*told
	hop   int
	rival string
}

// pass is a granted claim of a process that is still at it.
type pass struct {
	message
	request refund.ClaimRequest
	record  refund.Record
	// detached: the message was given to another process in the meantime.
	detached bool
}

// process is a worker's way to the store; it dies before its n-th half, or lives if dies is 0.
type process struct {
	*history
	dies int
}

func (p *process) exchange(ctx context.Context, payment *paymentCall, record *recordCall) (paymentAnswer, recordAnswer, error) {
	var pay paymentAnswer
	var rec recordAnswer
	var err error
	if payment != nil {
		if pay, _, err = p.half(ctx, payment, nil); err != nil {
			return pay, rec, err
		}
	}
	if record != nil {
		_, rec, err = p.half(ctx, nil, record)
	}
	return pay, rec, err
}

func (p *process) half(ctx context.Context, payment *paymentCall, record *recordCall) (paymentAnswer, recordAnswer, error) {
	if !p.alone && rapid.IntRange(0, 3).Draw(p.t, "meanwhile") == 0 {
		p.alone = true
		rapid.SampledFrom(p.actions).Draw(p.t, "action")()
		p.alone = false
	}
	if p.dies == 1 {
		return paymentAnswer{}, recordAnswer{}, errCut
	}
	p.dies--
	return p.Memory.exchange(ctx, payment, record)
}

func (h *history) process() *process {
	p := &process{history: h}
	if len(h.actions) > 0 {
		p.dies = rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2, 3, 4}).Draw(h.t, "dies before half")
	}
	return p
}

// survived fails the run at any error but a death.
func (h *history) survived(r *told, err error) bool {
	if err != nil && !errors.Is(err, errCut) {
		h.t.Fatal(err)
	}
	r.died = r.died || err != nil
	return err == nil
}

func (h *history) claimFor(m message) refund.ClaimRequest {
	h.tokens++
	q := request(m.id, "t"+strconv.Itoa(h.tokens), pays("p", m.minor, 0))
	if m.hop > 0 {
		copyOf(m.hop, 0, "retry/0/"+strconv.Itoa(m.hop))(&q)
	}
	if m.rival != "" {
		printed(1, "another command")(&q)
		pays(m.rival, m.minor+1, 0)(&q)
	}
	return q
}

// entry is what a payment knows of a request.
func (h *history) entry(payment string, r *told) byte {
	if p := h.payments[paymentName(request("", "", pays(payment, 1, 0)).Payment)]; p != nil {
		return p.entries[r.id].kind
	}
	return entryNone
}

// read takes one message from the queue; what is not done goes back.
func (h *history) read() {
	if len(h.queue) == 0 {
		return
	}
	i := rapid.IntRange(0, len(h.queue)-1).Draw(h.t, "message")
	m := h.queue[i]
	proven, unknown := h.entry("p", m.told) == entrySettled, h.records[m.id] == nil
	alone := h.alone
	if m.rival != "" {
		if unknown {
			return // it would be the first command of the ID
		}
		h.alone = true
	}
	h.queue = slices.Delete(h.queue, i, i+1)
	q := h.claimFor(m)
	c, err := claim(h.t.Context(), h.process(), q)
	h.alone = alone
	if !h.survived(m.told, err) {
		h.queue = append(h.queue, m)
		return
	}
	switch c.Status {
	case refund.ClaimGranted:
		if proven && (unknown || !c.Record.MaybeSent) {
			h.t.Fatalf("%s has succeeded, as its payment knows, and is granted: %+v", m.id, c)
		}
		if m.rival != "" {
			h.t.Fatalf("%s is granted to another command: %+v", m.id, c)
		}
		h.passes = append(h.passes, pass{message: m, request: q, record: c.Record})
	case refund.ClaimBusy, refund.ClaimPaymentBusy:
		h.queue = append(h.queue, m)
	case refund.ClaimRewrite:
		h.queue = append(h.queue, message{told: m.told, hop: c.Record.Hop})
	case refund.ClaimSettled, refund.ClaimTombstone, refund.ClaimConflict, refund.ClaimSuperseded, refund.ClaimInReview:
		// The message is done.
	case refund.ClaimInvalid, refund.ClaimUnknownVersion:
		h.t.Fatalf("claim of %s: %s", m.id, claimLabel(c.Status))
	}
}

// detach reads the message of a pass that goes on, as a rebalance does.
func (h *history) detach() {
	if i := slices.IndexFunc(h.passes, func(p pass) bool { return !p.detached }); i >= 0 {
		h.passes[i].detached = true
		h.queue = append(h.queue, h.passes[i].message)
	}
}

// end brings a pass to its end.
func (h *history) end() {
	if len(h.passes) == 0 {
		return
	}
	i := rapid.IntRange(0, len(h.passes)-1).Draw(h.t, "pass")
	p := h.passes[i]
	h.passes = slices.Delete(h.passes, i, i+1)
	if !h.ended(p) && !p.detached {
		h.queue = append(h.queue, p.message)
	}
}

// ended tells whether the message is done.
func (h *history) ended(p pass) bool {
	end := rapid.SampledFrom([]string{"settle", "wait", "release", "die"}).Draw(h.t, "end")
	if len(h.actions) == 0 {
		end = "settle"
	}
	switch end {
	case "settle":
		return h.settled(p)
	case "wait":
		q := waits(p.request, p.record.Hop+1, 0, p.record.MaybeSent || rapid.Bool().Draw(h.t, "maybe sent"))
		w, err := wait(h.t.Context(), h.process(), q)
		if h.survived(p.told, err) && w.Stored {
			h.queue = append(h.queue, message{told: p.told, hop: q.Hop})
			return true
		}
	case "release":
		h.survived(p.told, release(h.t.Context(), h.process(), refund.ReleaseRequest{
			RequestID: p.id, Token: p.request.Token, Payment: p.request.Payment,
		}))
	}
	return false
}

func (h *history) settled(p pass) bool {
	q := failed(p.request, "declined")
	if p.moves {
		q = proven(p.request, "moved")
	}
	s, err := settle(h.t.Context(), h.process(), q)
	if !h.survived(p.told, err) || !s.Stored {
		return false
	}
	if kind := h.entry("p", p.told); !p.moves && !p.died && kind != entryNone {
		h.t.Fatalf("%s is declined, and its payment still holds it as %q", p.id, kind)
	}
	return true
}

func (h *history) rival() {
	if r := rapid.SampledFrom(h.requests).Draw(h.t, "request"); h.records[r.id] != nil && !h.alone {
		r.rivalled = true
		h.queue = append(h.queue, message{told: r, rival: rapid.SampledFrom([]string{"p", "q"}).Draw(h.t, "payment")})
	}
}

func (h *history) timePasses() {
	h.clock.move(rapid.SampledFrom([]time.Duration{time.Millisecond, 31 * time.Second, 61 * time.Second}).Draw(h.t, "for"))
}

func (h *history) forget() {
	if r := rapid.SampledFrom(h.requests).Draw(h.t, "request"); !r.rivalled {
		delete(h.records, r.id)
		delete(h.outcomes, r.id)
	}
}

// calm ends all passes, with nobody dying, until every message is done.
func (h *history) calm() {
	h.alone, h.actions = true, nil
	for _, p := range h.passes {
		if !p.detached {
			h.queue = append(h.queue, p.message)
		}
	}
	h.passes = nil
	for range 200 {
		if len(h.queue) == 0 {
			return
		}
		h.read()
		h.end()
		h.timePasses()
	}
	h.t.Skip("a rival that would be the first command by now, or chance, keeps the queue from running dry")
}

func TestOnceEveryMessageIsDoneAPaymentCountsWhatHasMoved(t *testing.T) {
	t.Parallel()
	// The rarest of the known ways to go wrong takes some 2000 histories to come up; a check draws 100.
	for i := range 50 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, playHistory)
		})
	}
}

func playHistory(t *rapid.T) {
	h := &history{Memory: NewMemory(Config{}), clock: newClock(), t: t}
	h.now = h.clock.now
	for i, id := range []string{"a", "b"} {
		r := &told{id: id, minor: int64(10 * (i + 1)), moves: rapid.Bool().Draw(t, "moves")}
		h.requests = append(h.requests, r)
		h.queue = append(h.queue, message{told: r}, message{told: r})
	}
	h.actions = []func(){h.read, h.read, h.read, h.end, h.end, h.detach, h.rival, h.timePasses, h.forget}
	for range rapid.IntRange(10, 60).Draw(t, "actions") {
		rapid.SampledFrom(h.actions).Draw(t, "action")()
	}
	h.calm()
	for _, r := range h.requests {
		if record := h.records[r.id]; record != nil && record.state == memoryReview {
			continue // it counts until somebody closes it
		}
		want := entryNone
		if r.moves {
			want = entrySettled
		}
		if got := [2]byte{h.entry("p", r), h.entry("q", r)}; got != [2]byte{want, entryNone} {
			t.Fatalf("%s, moved %t: in its payment as %q, in the other as %q", r.id, r.moves, got[0], got[1])
		}
	}
}
