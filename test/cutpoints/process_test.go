package cutpoints

import (
	"context"
	"io"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/dedupe"
	"refundworker/refund"
	"refundworker/schemas"
)

// how says in which way a process is cut at a step.
type how string

const (
	// before: the step does not happen.
	before how = "before"
	// after: it happens, and nothing after it.
	after how = "after"
	// apart: of things that are done side by side (two scripts, two events), this one does not happen and the others do.
	apart how = "apart"
	// inFlight: the request has left, and the gateway serves it once the process is dead.
	inFlight how = "in flight"
	// held: as inFlight, and the network holds the request for longer than two leases.
	held how = "held"
	// frozen: the process stands still before the step for longer than two leases, others take over, and then it goes on.
	frozen how = "frozen"
)

// standstill is longer than two leases, and than every timeout of a call.
const standstill = 2*lease + gatewayTimeout

// point is a step by name, the how manieth of that name in the process.
type point struct {
	name string
	nth  int
}

func (p point) String() string { return p.name + " #" + strconv.Itoa(p.nth) }

// step is a point that was reached, when and by which lane, and the ways to cut there.
type step struct {
	point
	lane string
	at   time.Time
	ways []how
}

// cut is where and how a process dies; the zero value is nowhere.
type cut struct {
	point
	how how
}

func (c cut) String() string {
	if c.how == "" {
		return "no cut"
	}
	return string(c.how) + " " + c.point.String()
}

// process is a worker: a Processor and the lanes that feed it. It dies by the end of all of its goroutines, with whatever
// they were at, and no call of it does anything from then on.
type process struct {
	w         *world
	cut       cut
	processor *refund.Processor
	store     *dedupe.Memory

	// ctx ends with the process. gone is closed when others should take over: it died, or stands still.
	ctx    context.Context //nolint:containedctx // it is the life of the process, not of a call
	cancel context.CancelFunc
	gone   chan struct{}
	once   sync.Once

	mu    sync.Mutex
	dead  bool
	thaws time.Time
	// revoked: it stood still, so its partitions belong to another; what it was at goes on detached.
	revoked bool
	steps   []step
	counts  map[string]int
	// cutMade says that the cut was reached.
	cutMade bool
	// leaving lanes end at their next step: they were cut after one.
	leaving map[string]bool
	// giving lanes end when their call returns.
	giving map[string]bool
}

// laneKey is the context key of the lane's name.
type laneKey struct{}

func lane(ctx context.Context) string {
	name, _ := ctx.Value(laneKey{}).(string)
	return name
}

func (w *world) start(c cut) *process {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	p := &process{
		w: w, cut: c, ctx: ctx, cancel: cancel, gone: make(chan struct{}), counts: make(map[string]int),
		leaving: make(map[string]bool), giving: make(map[string]bool),
	}
	p.store = w.store.Split(p.half)
	processor, err := refund.New(refund.Config{
		Lease: lease, GatewayTimeout: gatewayTimeout, Grace: 5 * time.Second, Source: "/test",
		Policy: refund.Policy{Tiers: tiers(), Horizon: horizon, LapseAfter: lapseAfter, ReviewInterval: reviewInterval},
	}, accounts{p}, claims{p}, publisher{p}, zerolog.New(io.Discard), refund.NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		w.t.Fatal(err)
	}
	p.processor = processor
	names := w.log.names
	p.read(names.Commands(), processor.Command)
	for _, tier := range tiers() {
		p.read(names.Retry(tier), processor.Copy)
	}
	p.read(names.Signals(), processor.Signal)
	w.lanes.Go(p.watch)
	return p
}

// read hands the messages of a topic over one by one, from the committed offset on, a delayed one when it is due.
func (p *process) read(topic string, handle func(context.Context, refund.Message) error) {
	ctx := context.WithValue(p.ctx, laneKey{}, topic)
	p.w.lanes.Go(func() {
		for offset := p.w.log.position(topic); !p.isRevoked(); {
			m, err := p.w.log.fetch(ctx, topic, offset)
			if err != nil || pauseUntil(ctx, due(m)) != nil {
				return
			}
			if p.isRevoked() {
				return // it was fetched by one who does not own the partition any more
			}
			if handle(ctx, m) != nil {
				if pauseUntil(ctx, time.Now().Add(100*time.Millisecond)) != nil {
					return
				}
				continue
			}
			offset++
			p.step(ctx, "commit", func() {
				if !p.isRevoked() {
					p.w.log.commit(topic, offset)
				}
			})
		}
	})
}

func due(m refund.Message) time.Time {
	if state, err := schemas.ParseRetryState(m.Headers); err == nil {
		return state.Due
	}
	return time.Time{}
}

// watch looks for open requests that are overdue, as the worker's watchdog does.
func (p *process) watch() {
	ctx := context.WithValue(p.ctx, laneKey{}, "watch")
	for pauseUntil(ctx, time.Now().Add(10*time.Second)) == nil {
		p.live(ctx)
		ids, err := p.w.store.Overdue(ctx, 16, 10*time.Second)
		if err != nil {
			p.w.t.Errorf("look at the schedule: %v", err)
		}
		for _, id := range ids {
			p.step(ctx, "look", func() {})
			s := schemas.Signal{RequestID: id, Kind: schemas.SignalRedrive, OccurredAt: schemas.Time{Time: time.Now()}}
			_ = publisher{p}.Publish(ctx, p.w.signal(s)) // a publication here has no error but death
			p.step(ctx, "put off", func() {
				if err := p.w.store.Postpone(ctx, []string{id}, takeAgain); err != nil {
					p.w.t.Errorf("put off: %v", err)
				}
			})
		}
	}
}

func pauseUntil(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// step does one external thing, and is where the process may be cut.
func (p *process) step(ctx context.Context, name string, do func()) {
	if p.reach(ctx, name, before, after, frozen) == "" {
		do()
		p.live(ctx)
	} else {
		do()
		p.die(ctx)
	}
}

// reach notes a step that is about to be done. It does not return if the process is dead, or cut before it; else it says
// how the process is cut here: "" if it is not.
func (p *process) reach(ctx context.Context, name string, ways ...how) how {
	p.live(ctx)
	name = lane(ctx) + ": " + name
	p.mu.Lock()
	p.counts[name]++
	at := point{name, p.counts[name]}
	p.steps = append(p.steps, step{at, lane(ctx), time.Now(), ways})
	hit := at == p.cut.point && !p.cutMade
	p.cutMade = p.cutMade || hit
	p.mu.Unlock()
	p.w.intrude(at)
	p.live(ctx)
	switch {
	case !hit:
		return ""
	case p.cut.how == before:
		p.die(ctx)
	case p.cut.how == frozen:
		p.freeze()
		p.live(ctx)
		return ""
	}
	return p.cut.how
}

// live waits while the process stands still, and does not return once it is dead or its lane was cut.
func (p *process) live(ctx context.Context) {
	p.mu.Lock()
	thaws, leaving := p.thaws, p.leaving[lane(ctx)]
	p.mu.Unlock()
	if leaving {
		p.die(ctx)
	}
	if time.Now().Before(thaws) {
		_ = pauseUntil(context.WithoutCancel(ctx), thaws) // nothing ends this context
	}
	p.mu.Lock()
	dead := p.dead
	p.mu.Unlock()
	if dead {
		runtime.Goexit()
	}
}

// die ends the process and the goroutine that calls it.
func (p *process) die(ctx context.Context) {
	p.kill(ctx)
	runtime.Goexit()
}

// kill ends the process from outside.
func (p *process) kill(ctx context.Context) {
	p.mu.Lock()
	was := p.dead
	p.dead = true
	p.mu.Unlock()
	if was {
		return
	}
	p.w.nothingIsLost(context.WithoutCancel(ctx))
	p.cancel()
	p.once.Do(func() { close(p.gone) })
}

// freeze lets the whole process stand still, and others take over.
func (p *process) freeze() {
	p.mu.Lock()
	p.thaws, p.revoked = time.Now().Add(standstill), true
	p.mu.Unlock()
	p.once.Do(func() { close(p.gone) })
}

func (p *process) isRevoked() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.revoked
}

// isFrozen tells whether the process stands still, or has just woken.
func (p *process) isFrozen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.thaws.Add(time.Second))
}

// stop ends the process when its run is over, and tells which steps it has reached, and whether its cut was among them.
func (p *process) stop() (steps []step, cutMade bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
	p.cancel()
	return p.steps, p.cutMade
}

// mark notes that the lane of a call is to end.
func (p *process) mark(ctx context.Context, lanes map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lanes[lane(ctx)] = true
}
