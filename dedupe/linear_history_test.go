package dedupe

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"refundworker/refund"

	"github.com/anishathalye/porcupine"
)

// diary is a history: the halves of every exchange as porcupine reads them, by the object that they are about.
type diary struct {
	clock atomic.Int64

	mu       sync.Mutex
	records  map[string][]porcupine.Operation
	payments map[string][]porcupine.Operation
	// holds are granted claims, by payment and by request.
	holds map[string][]hold
	// unknown counts halves without an answer.
	unknown int
	prelude bool
}

// hold is the time from a granted claim to what its owner did next.
type hold struct {
	token    string
	from, to int64
}

func newDiary() *diary {
	return &diary{
		records: make(map[string][]porcupine.Operation), payments: make(map[string][]porcupine.Operation), holds: make(map[string][]hold),
	}
}

// watched is a backend that keeps a diary. repeats counts what can make the driver send an exchange once more; nil where
// it never does.
type watched struct {
	backend
	diary   *diary
	client  int
	repeats *atomic.Int64
}

func (w *watched) exchange(ctx context.Context, payment *paymentCall, record *recordCall) (paymentAnswer, recordAnswer, error) {
	var before int64
	if w.repeats != nil {
		before = w.repeats.Load()
	}
	began := w.diary.clock.Add(1)
	pay, rec, err := w.backend.exchange(ctx, payment, record)
	ended := w.diary.clock.Add(1)
	w.diary.note(w.client, payment, record, pay, rec, began, ended, err == nil)
	if w.repeats != nil && w.repeats.Load() != before {
		// The driver may have sent it twice, answered in the end or not, and the server may do either of them at any time.
		w.diary.note(w.client, payment, record, pay, rec, began, ended, false)
	}
	return pay, rec, err
}

// note writes an exchange down. Without an answer each half may have happened at any time since, or not at all; at the
// end of time that comes to the same.
func (d *diary) note(
	client int, payment *paymentCall, record *recordCall, pay paymentAnswer, rec recordAnswer, began, ended int64, answered bool,
) {
	d.mu.Lock()
	defer d.mu.Unlock()
	op := porcupine.Operation{ClientId: client, Call: began, Return: math.MaxInt64}
	if answered {
		op.Return = ended
	}
	if payment != nil {
		asked := *payment // settle asks with it once more, for something else
		op.Input, op.Output = input{payment: &asked, prelude: d.prelude}, nil
		if answered {
			op.Output = timelessPayment(pay)
		} else {
			d.unknown++
		}
		name := paymentName(payment.ref)
		d.payments[name] = append(d.payments[name], op)
	}
	if record != nil {
		in := input{record: record, prelude: d.prelude}
		op.Input, op.Output = in, nil
		if answered {
			op.Output = timeless(rec)
		} else {
			d.unknown++
		}
		d.records[requestOf(in)] = append(d.records[requestOf(in)], op)
	}
}

func (d *diary) held(q refund.ClaimRequest, from, to int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range []string{"request " + q.RequestID, "payment " + paymentName(q.Payment)} {
		d.holds[name] = append(d.holds[name], hold{q.Token, from, to})
	}
}

// operations counts what the checker is given.
func (d *diary) operations() int {
	n := 0
	for _, ops := range d.records {
		n += len(ops)
	}
	for _, ops := range d.payments {
		n += len(ops)
	}
	return n
}

// decideWithin bounds one object's check; a history of some thirty operations takes milliseconds.
const decideWithin = 30 * time.Second

// fault says what is wrong with a history, "" if nothing is.
func (d *diary) fault() string {
	for kind, objects := range map[string]struct {
		model   porcupine.Model
		history map[string][]porcupine.Operation
	}{"request": {recordModel(), d.records}, "payment": {paymentModel(), d.payments}} {
		for name, ops := range objects.history {
			switch porcupine.CheckOperationsTimeout(objects.model, ops, decideWithin) {
			case porcupine.Ok:
			case porcupine.Illegal:
				var text strings.Builder
				fmt.Fprintf(&text, "no order of these explains the answers, %s %s:\n", kind, name)
				for _, op := range ops {
					fmt.Fprintf(&text, "  %d..%d %s\n", op.Call, op.Return, objects.model.DescribeOperation(op.Input, op.Output))
				}
				return text.String()
			case porcupine.Unknown:
				return kind + " " + name + " could not be decided in time"
			}
		}
	}
	for name, holds := range d.holds {
		for i, a := range holds {
			for _, b := range holds[:i] {
				if a.token != b.token && a.from < b.to && b.from < a.to {
					return fmt.Sprintf("two owners of %s at once: %+v and %+v", name, a, b)
				}
			}
		}
	}
	return ""
}

// lossy is the memory store behind a bad line: halves are lost, or their answers are, and others' calls fall between.
type lossy struct {
	*Memory
	fateFunc func() fate
}

func (l lossy) exchange(ctx context.Context, payment *paymentCall, record *recordCall) (paymentAnswer, recordAnswer, error) {
	what := l.fateFunc()
	if what == lost {
		return paymentAnswer{}, recordAnswer{}, unavailable(errCut)
	}
	if what == halved && payment != nil {
		record = nil
	}
	pay, rec, err := l.Split(func(context.Context, Half) error {
		runtime.Gosched()
		return nil
	}).exchange(ctx, payment, record)
	if err == nil && what != handedOn {
		err = unavailable(errCut)
	}
	return pay, rec, err
}

// fates are drawn for each request: most pass.
func fates(seed uint64) func() fate {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 1))
	return func() fate {
		mu.Lock()
		defer mu.Unlock()
		return []fate{handedOn, handedOn, handedOn, handedOn, handedOn, handedOn, handedOn, handedOn, handedOn, lost, halved, unanswered}[r.IntN(12)]
	}
}

// party is what plays one history: clients of one store that work on a few requests at once.
type party struct {
	t *testing.T
	*diary
	prefix string
	seed   uint64
	// openFunc gives each client its way to the store.
	openFunc func() backend
	// repeats as in watched.
	repeats *atomic.Int64
}

const (
	partyClients = 4
	partyRounds  = 5
)

// play runs a prelude, then all clients at once, then one look at everything.
func (p *party) play(prelude func()) {
	p.t.Helper()
	p.prelude = true
	begin := &member{party: p, random: rand.New(rand.NewPCG(p.seed, 2)), backend: p.watch(0)}
	begin.prelude()
	prelude()
	p.prelude = false
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range partyClients {
		m := &member{party: p, number: i + 1, random: rand.New(rand.NewPCG(p.seed, uint64(i+3))), backend: p.watch(i + 1)}
		all.Go(func() {
			<-start
			for range partyRounds {
				m.round()
			}
		})
	}
	close(start)
	all.Wait()
	for _, id := range []string{"a", "b", "c"} {
		begin.look(id)
	}
}

func (p *party) watch(client int) *watched {
	return &watched{backend: p.openFunc(), diary: p.diary, client: client, repeats: p.repeats}
}

// member is one client.
type member struct {
	*party
	number  int
	tokens  int
	random  *rand.Rand
	backend *watched
	// latest is the newest claim that it made, whatever came of it.
	latest *refund.ClaimRequest
}

// request draws a claim of few requests and payments, so that the members meet.
func (m *member) request() refund.ClaimRequest {
	m.tokens++
	id := []string{"a", "a", "b", "c"}[m.random.IntN(4)]
	q := m.on(id, fmt.Sprintf("t%d-%d", m.number, m.tokens), []int64{0, 100}[m.random.IntN(2)])
	q.Via = "via" + strconv.Itoa(m.random.IntN(3))
	switch m.random.IntN(4) {
	case 0:
		copyOf(1+m.random.IntN(3), m.random.IntN(3), q.Via)(&q)
	case 1:
		copyOf(1+m.random.IntN(3), m.random.IntN(3), q.Via)(&q)
		q.Signal = true
	}
	if m.random.IntN(12) == 0 {
		printed(1, "another command")(&q)
	}
	return q
}

// on is a claim of a request: a and b are of one payment, c of another.
func (m *member) on(id, token string, original int64) refund.ClaimRequest {
	payment := map[string]string{"a": "p", "b": "p", "c": "q"}[id]
	return request(m.prefix+id, token, pays(m.prefix+payment, 60, original), lease(DefaultMaxLease))
}

// old is the claim of an owner whose lease is over, if the prelude has made it.
func (m *member) old(id string) refund.ClaimRequest { return m.on(id, "old-"+id, 0) }

// prelude leaves a lapsed claim in each payment, in one of two cases.
func (m *member) prelude() {
	for _, id := range []string{[]string{"a", "b"}[m.random.IntN(2)], "c"} {
		if m.random.IntN(2) == 0 {
			continue
		}
		q := m.old(id)
		q.Lease = lapsed
		if !m.repeated(func() error {
			_, err := claim(m.t.Context(), m.backend, q)
			return err
		}) {
			m.t.Error("the prelude's claim was not answered")
		}
	}
}

// repeated makes a call until it is answered, three times at most, with the same token: as a worker does, and the driver.
func (m *member) repeated(call func() error) bool {
	for range 3 {
		err := call()
		if err == nil {
			return true
		}
		if !errors.Is(err, refund.ErrStoreUnavailable) {
			m.t.Errorf("call: %v", err)
			return false
		}
	}
	return false
}

func (m *member) round() {
	ctx := m.t.Context()
	switch m.random.IntN(6) {
	case 0:
		m.look([]string{"a", "b", "c"}[m.random.IntN(3)])
		return
	case 1:
		m.stranger(ctx)
		return
	}
	q := m.request()
	m.latest = &q
	var c refund.Claim
	if !m.repeated(func() (err error) {
		c, err = claim(ctx, m.backend, q)
		return err
	}) || c.Status != refund.ClaimGranted {
		return
	}
	from := m.clock.Add(1)
	if m.random.IntN(3) == 0 {
		runtime.Gosched()
	}
	to := m.clock.Add(1)
	m.held(q, from, to)
	m.finish(ctx, q, c.Record.Hop)
}

// finish does one of the things that the owner of a claim does, or dies.
func (m *member) finish(ctx context.Context, q refund.ClaimRequest, hop int) {
	switch m.random.IntN(9) {
	case 0:
		m.settle(ctx, proven(q, "moved by "+q.Token))
	case 1, 2:
		m.settle(ctx, failed(q, "declined for "+q.Token))
	case 3, 4, 5:
		w := waits(q, hop+1, m.random.IntN(3), m.random.IntN(2) == 0)
		w.Review = m.random.IntN(4) == 0
		m.repeated(func() error {
			_, err := wait(ctx, m.backend, w)
			return err
		})
	case 6, 7:
		m.repeated(func() error {
			return release(ctx, m.backend, refund.ReleaseRequest{RequestID: q.RequestID, Token: q.Token, Payment: q.Payment})
		})
	}
}

func (m *member) settle(ctx context.Context, q refund.SettleRequest) {
	m.repeated(func() error {
		_, err := settle(ctx, m.backend, q)
		return err
	})
}

// stranger does what an owner does with a token that owns nothing, or owned it long ago.
func (m *member) stranger(ctx context.Context) {
	id := []string{"a", "b", "c"}[m.random.IntN(3)]
	q := m.old(id)
	if m.latest != nil && m.random.IntN(2) == 0 {
		q = *m.latest
	}
	m.finish(ctx, q, m.random.IntN(3))
}

func (m *member) look(id string) {
	m.repeated(func() error {
		_, err := look(m.t.Context(), m.backend, m.prefix+id)
		return err
	})
}
