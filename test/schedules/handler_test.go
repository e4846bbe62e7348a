package schedules

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"refundworker/dedupe"
	"refundworker/refund"
)

// handler is a worker's goroutine with one message in its hands. Every step it makes to the outside stops until the driver
// lets it go on, so that a schedule is the driver's choice alone and runs the same way each time.
type handler struct {
	id     int
	worker *worker
	part   *partition
	at     int
	visit  visit
	cancel context.CancelCauseFunc

	// smooth: the driver lets every step pass at once.
	smooth bool
	// commit: when the message is done, the offset is committed at once.
	commit bool
	// detached: the partition has another owner by now.
	detached bool

	mu   sync.Mutex
	step *step
	// dead: the process has died; no further step is made.
	dead     bool
	ended    bool
	returned bool
	err      error
}

// step is one call to the outside that waits for the driver.
type step struct {
	name string
	// do is what happens when it arrives, whole or in part.
	do     func(dedupe.Halves)
	answer chan answer
}

// answer is what the driver makes of a step.
type answer struct {
	err  error
	die  bool
	hold bool
}

type handlerKey struct{}

func handlerOf(ctx context.Context) *handler {
	h, _ := ctx.Value(handlerKey{}).(*handler)
	return h
}

// roads is the road of every handler: it finds its handler in the context.
type roads struct{}

var _ road = roads{}

func (roads) carry(ctx context.Context, name string, do func()) error {
	return handlerOf(ctx).carry(ctx, name, func(h dedupe.Halves) {
		if h.Payment || h.Record {
			do()
		}
	})
}

func (roads) visit(ctx context.Context) *visit { return &handlerOf(ctx).visit }

// carry hands a step to the driver and waits for what becomes of it. A step whose context ends meanwhile is not made.
func (h *handler) carry(ctx context.Context, name string, do func(dedupe.Halves)) error {
	for {
		s := &step{name: name, do: do, answer: make(chan answer, 1)}
		h.mu.Lock()
		if h.dead {
			h.mu.Unlock()
			runtime.Goexit()
		}
		h.step = s
		h.mu.Unlock()
		var got answer
		select {
		case got = <-s.answer:
		case <-ctx.Done():
			if h.takeBack(s) {
				return context.Cause(ctx)
			}
			got = <-s.answer
		}
		switch {
		case got.die:
			runtime.Goexit()
		case !got.hold:
			return got.err
		}
		name, do = "answer", func(dedupe.Halves) {}
	}
}

// takeBack tells whether the driver had not taken the step yet.
func (h *handler) takeBack(s *step) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	mine := h.step == s
	if mine {
		h.step = nil
	}
	return mine
}

// parked is the step that waits for the driver, or nil.
func (h *handler) parked() *step {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.step
}

func (h *handler) hasEnded() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ended
}

// run is the goroutine.
func (h *handler) run(ctx context.Context, m refund.Message) {
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ended = true
	}()
	handle := h.worker.Command
	switch h.part.kind {
	case copies:
		handle = h.worker.Copy
	case signals:
		handle = h.worker.Signal
	case commands:
	}
	err := handle(context.WithValue(ctx, handlerKey{}, h), m)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.returned, h.err = true, err
}

// fate is what the driver can make of a step.
type fate int

const (
	passes fate = iota
	failsBefore
	failsAfter
	// failsHalf and failsOtherHalf: one part of it arrives.
	failsHalf
	failsOtherHalf
	// arrivesTwice: it is repeated on the way.
	arrivesTwice
	// held: it arrives, and its answer is a step of its own.
	held
	diesBefore
	diesAfter
	diesHalf
	diesOtherHalf
)

func (f fate) String() string {
	return [...]string{
		"passes", "fails before it arrives", "fails after it arrived", "fails with its first half done", "fails with its other half done",
		"arrives twice", "arrives, and the answer is late", "the worker dies before it", "the worker dies after it",
		"the worker dies with its first half done", "the worker dies with its other half done",
	}[f]
}

func (f fate) deadly() bool { return f >= diesBefore }

var errOutage = errors.New("model: outage")

// grant lets the parked step meet its fate.
func (h *handler) grant(f fate) {
	h.mu.Lock()
	s := h.step
	h.step = nil
	if f.deadly() {
		h.dead = true
	}
	h.mu.Unlock()
	if s == nil {
		return
	}
	both := dedupe.Halves{Payment: true, Record: true}
	switch f {
	case passes, failsAfter, held, diesAfter:
		s.do(both)
	case arrivesTwice:
		s.do(both)
		s.do(both)
	case failsHalf, diesHalf:
		s.do(dedupe.Halves{Payment: true})
	case failsOtherHalf, diesOtherHalf:
		s.do(dedupe.Halves{Record: true})
	case failsBefore, diesBefore:
	}
	got := answer{die: f.deadly(), hold: f == held}
	if f >= failsBefore && f <= failsOtherHalf {
		got.err = errOutage
	}
	s.answer <- got
}

// die ends the goroutine at its next step, or at the one it stands at.
func (h *handler) die() {
	h.mu.Lock()
	h.dead = true
	h.mu.Unlock()
	h.grant(diesBefore)
}
