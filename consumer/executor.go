package consumer

import (
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"refundworker/refund"
)

const (
	// leastShare is how many works of high priority go before one of low priority that waits for the same account: low
	// priority gets 5 % even while high priority could use everything.
	leastShare = 19
	// tail is how many works, as a multiple of an account's permits, may be on their way at once: those that have given
	// their permit back store and publish, and when that stops nothing more is begun.
	tail = 2
)

// Limits are what one account's gateway takes from this process.
type Limits struct {
	// InFlight is how many permits there are, at least 1.
	InFlight int
	// Rate is how many works may be begun per second; 0: no limit.
	Rate float64
}

// Executor runs the works of all consumers of a process. Works of one lane run one after the other, in the order of the
// log; works of different lanes run at the same time, as many per account as its limits permit. One account's trouble
// holds up nobody else's works. It is safe for concurrent use.
//
// A work holds a permit only while it may call its gateway, and a goroutine only while it runs: lanes that wait for a
// permit, a turn or somebody else's claim hold neither.
type Executor struct {
	mu       sync.Mutex
	accounts map[refund.AccountID]*account
	// others is for works of no account that is known: signals before they have looked, and what cannot be read.
	others *account
	// idle are goroutines that have no work at the moment, the latest last. A work's calls go deep, and a new goroutine
	// would grow its stack for each.
	idle []*hand
	// consumers run; without one no goroutine waits for more.
	consumers int
}

// hand is a goroutine that does works.
type hand struct{ next chan *permit }

// account is one account's permits and the lanes that wait for one.
type account struct {
	limits Limits
	pace   *rate.Limiter
	// held are the permits that are out, and begun the works that have not returned.
	held, begun int
	// ready are the lanes whose first work may begin, by priority, and passed how many went before the head of low.
	ready  [2]fifo
	passed int
	// alarmed: a timer will look again when the pace allows one more.
	alarmed bool
}

// priority decides who goes first where both wait for the same account.
type priority uint8

const (
	high priority = iota
	low
)

// NewExecutor makes the executor of a process with the limits of its accounts. others bounds works of no known account.
// It panics when its metrics are registered already, as promauto does.
func NewExecutor(accounts map[refund.AccountID]Limits, others Limits, reg prometheus.Registerer) *Executor {
	e := &Executor{accounts: make(map[refund.AccountID]*account, len(accounts)), others: newAccount(others)}
	for id, limits := range accounts {
		e.accounts[id] = newAccount(limits)
	}
	e.register(reg)
	return e
}

func newAccount(limits Limits) *account {
	a := &account{limits: limits, pace: rate.NewLimiter(rate.Inf, 0)}
	if limits.Rate > 0 {
		a.pace = rate.NewLimiter(rate.Limit(limits.Rate), max(1, int(math.Ceil(limits.Rate/10))))
	}
	return a
}

func (e *Executor) account(id refund.AccountID) *account {
	if a, ok := e.accounts[id]; ok {
		return a
	}
	return e.others
}

// submit puts a slot into its lane. The caller has made sure that there is room.
func (e *Executor) submit(of *lanes, s *slot) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if l := of.add(s); l != nil {
		e.begin(e.queue(l))
	}
}

// queue lets a lane wait for its turn with the account of its first work.
func (e *Executor) queue(l *lane) *account {
	a := e.account(l.first().work.Account)
	a.ready[l.of.priority].push(l)
	return a
}

// begin begins what can begin.
func (e *Executor) begin(a *account) {
	for p := e.pick(a); p != nil; p = e.pick(a) {
		if n := len(e.idle); n > 0 {
			h := e.idle[n-1]
			e.idle[n-1] = nil
			e.idle = e.idle[:n-1]
			h.next <- p // it has room for one, and an idle hand has none
			continue
		}
		go e.run(p)
	}
}

// pick gives the next lane that may begin its permit; nil where there is none.
func (e *Executor) pick(a *account) *permit {
	for a.held < a.limits.InFlight && a.begun < tail*a.limits.InFlight {
		from := a.next()
		l := from.head()
		switch {
		case l == nil:
			return nil
		case l.of.closed:
			from.pop()
			continue
		case !a.pace.Allow():
			e.lookLater(a)
			return nil
		}
		from.pop()
		a.passed++
		if from == &a.ready[low] {
			a.passed = 0
		}
		a.held++
		a.begun++
		l.of.running++
		l.of.busy.Add(1)
		return &permit{executor: e, account: a, lane: l, slot: l.first()}
	}
	return nil
}

// next is the queue whose turn it is.
func (a *account) next() *fifo {
	if a.ready[high].head() == nil || a.passed >= leastShare && a.ready[low].head() != nil {
		return &a.ready[low]
	}
	return &a.ready[high]
}

// lookLater picks again when the pace allows it.
func (e *Executor) lookLater(a *account) {
	if a.alarmed {
		return
	}
	a.alarmed = true
	turn := a.pace.Reserve()
	delay := turn.Delay()
	turn.Cancel()
	time.AfterFunc(delay, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		a.alarmed = false
		e.begin(a)
	})
}

// run does the first work of a lane, then whatever else may begin, until nothing has begun for a while.
func (e *Executor) run(p *permit) {
	h := &hand{next: make(chan *permit, 1)}
	rest := time.NewTimer(restFor)
	defer rest.Stop()
	for p != nil {
		err := p.lane.of.doFunc(p.slot, refund.Permit{Account: p.slot.work.Account, FreeFunc: p.free})
		if p = e.after(h, p, err); p != nil {
			continue
		}
		rest.Reset(restFor)
		select {
		case p = <-h.next:
		case <-rest.C:
			p = e.dismiss(h)
		}
	}
}

// restFor is how long a goroutine waits for another work.
const restFor = time.Second

// dismiss takes a hand off the idle ones; where it has just been given a work, it does that.
func (e *Executor) dismiss(h *hand) *permit {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := slices.Index(e.idle, h); i >= 0 {
		e.idle = slices.Delete(e.idle, i, i+1)
		return nil
	}
	return <-h.next
}

// after takes note of a work that has returned, and gives its goroutine the next one, or lets it wait for one.
func (e *Executor) after(h *hand, p *permit, err error) *permit {
	e.mu.Lock()
	defer e.mu.Unlock()
	a, l := p.account, p.lane
	p.giveBack()
	a.begun--
	l.of.running--
	l.of.busy.Done()
	switch {
	case l.of.closed:
	case err == nil:
		if l.of.finish(l) {
			e.again(l, a)
		}
	default:
		e.sleep(l, a, p.slot, err)
	}
	next := e.pick(a)
	e.begin(a)
	switch {
	case next != nil:
	case e.consumers == 0:
		close(h.next)
	default:
		e.idle = append(e.idle, h)
	}
	return next
}

// attach lets goroutines wait for the works of a consumer that runs.
func (e *Executor) attach() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.consumers++
}

// detach ends those that wait when the last consumer has ended.
func (e *Executor) detach() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.consumers--; e.consumers > 0 {
		return
	}
	for _, h := range e.idle {
		close(h.next)
	}
	e.idle = nil
}

// again queues a lane once more. The caller goes on with the account a; nobody does with another one.
func (e *Executor) again(l *lane, a *account) {
	if other := e.queue(l); other != a {
		e.begin(other)
	}
}

// sleep lets a lane wait before its first work is tried again.
func (e *Executor) sleep(l *lane, a *account, s *slot, err error) {
	pause, again := l.of.pauseFunc(s, err)
	if !again {
		return
	}
	if notYet, ok := errors.AsType[*refund.NotYetError](err); ok && notYet.Account != (refund.AccountID{}) {
		s.work.Account = notYet.Account
	}
	if pause <= 0 {
		e.again(l, a)
		return
	}
	l.alarm = time.AfterFunc(pause, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if !l.of.closed {
			e.begin(e.queue(l))
		}
	})
}

// close forgets what a partition's lanes hold and has not begun. What runs goes on and is awaited by the lanes.
func (e *Executor) close(of *lanes) {
	e.mu.Lock()
	defer e.mu.Unlock()
	of.close()
}

// running is how many works of the lanes have not returned.
func (e *Executor) running(of *lanes) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return of.running
}

// permit is the permission of a lane's first work to call a gateway.
type permit struct {
	executor *Executor
	account  *account
	lane     *lane
	slot     *slot
	back     bool
}

// free gives the permit to the next.
func (p *permit) free() {
	p.executor.mu.Lock()
	defer p.executor.mu.Unlock()
	p.giveBack()
	p.executor.begin(p.account)
}

func (p *permit) giveBack() {
	if !p.back {
		p.back = true
		p.account.held--
	}
}

// fifo is a queue of lanes.
type fifo struct {
	lanes []*lane
	// first is where the head is; what is before it is gone.
	first int
}

func (f *fifo) push(l *lane) { f.lanes = append(f.lanes, l) }

func (f *fifo) head() *lane {
	if f.first == len(f.lanes) {
		return nil
	}
	return f.lanes[f.first]
}

func (f *fifo) pop() {
	f.lanes[f.first] = nil
	f.first++
	switch {
	case f.first == len(f.lanes):
		f.lanes, f.first = f.lanes[:0], 0
	case f.first >= len(f.lanes)/2 && f.first > 64:
		left := copy(f.lanes, f.lanes[f.first:])
		clear(f.lanes[left:])
		f.lanes, f.first = f.lanes[:left], 0
	}
}

func (f *fifo) len() int { return len(f.lanes) - f.first }
