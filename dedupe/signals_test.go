package dedupe

import (
	"errors"
	"slices"
	"testing"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

func signalled(q *refund.ClaimRequest) { q.Copy, q.Signal = true, true }

// held is a wait with what a signal works with.
func held(q refund.ClaimRequest, hop int, lookAt time.Time) refund.WaitRequest {
	w := waits(q, hop, 1, true)
	w.Message = refund.Message{
		Topic: "refunds.commands", Partition: 3, Offset: 1042, Key: []byte("pay"), Value: []byte("{\"a\": \"\u00e9|%\"}"), Time: firstSeen,
		Headers: []schemas.Header{{Key: "traceparent", Value: []byte("00-1")}},
	}
	w.LookAt = lookAt
	return w
}

// look looks at the request a.
func (p play) look() refund.Sight {
	p.t.Helper()
	s, err := p.Look(p.t.Context(), "a")
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// overdue tells what is due, some time after the last look, and puts it off.
func (p play) overdue() []string {
	p.t.Helper()
	var ids []string
	for range 2 { // the question may be repeated
		var err error
		if ids, err = p.Overdue(p.t.Context(), 10, time.Millisecond); err != nil {
			p.t.Fatal(err)
		}
		p.lapse()
	}
	if err := p.Postpone(p.t.Context(), ids, time.Hour); err != nil {
		p.t.Fatal(err)
	}
	slices.Sort(ids)
	return ids
}

// longAgo and farOff are due, and not, by every clock.
var (
	longAgo = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	farOff  = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// signalScenarios are what every store must do for requests that are looked at and taken up without their copy.
var signalScenarios = []scenario{
	{"a look tells the state, and what an open request is worked on with", func(p play) {
		equal(p.t, p.look(), refund.Sight{State: refund.SightAbsent})
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		s := p.look()
		if s.State != refund.SightClaimed || s.LeaseLeft <= 0 || s.LeaseLeft > time.Minute || s.Message != nil || s.Record.Token != "t1" {
			p.t.Fatalf("claimed: %+v", s)
		}
		w := held(q, 1, farOff)
		p.waited(w)
		s = p.look()
		equal(p.t, s.State, refund.SightWaiting)
		equal(p.t, *s.Message, w.Message)
		equal(p.t, s.Record.Hop, 1)
		p.claims(request("a", "t2", copyOf(1, 1, "r/0/1")), refund.ClaimGranted)
		if s = p.look(); s.State != refund.SightClaimed || s.Message == nil {
			p.t.Fatalf("claimed again: %+v", s)
		}
		p.settles(failed(request("a", "t2"), "bytes"), "bytes")
		s = p.look()
		equal(p.t, s, refund.Sight{
			State: refund.SightSettled, Outcome: []byte("bytes"), Record: s.Record,
			Settled: refund.SettledAs{Status: schemas.Failed, Code: schemas.CodeRefundFailed},
		})
	}},
	{"a look finds a tombstone", func(p play) {
		p.port = p.bench.open(p.t, Config{OutcomeTTL: p.bench.brief, TombstoneTTL: time.Hour})
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		p.settle(proven(q, "bytes"))
		p.lapse()
		s := p.look()
		equal(p.t, [2]any{s.State, s.Settled.Status}, [2]any{refund.SightTombstone, schemas.Success})
	}},
	{"a signal takes up a waiting request, whatever hop it waits for", func(p play) {
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		p.waited(held(q, 3, farOff))
		c := p.claims(request("a", "t2", signalled, hop(3)), refund.ClaimGranted)
		equal(p.t, [2]any{c.Record.Hop, c.Fresh}, [2]any{3, false})
		p.release(request("a", "t2"))
		c = p.claims(request("a", "t3", signalled, hop(1)), refund.ClaimGranted)
		equal(p.t, c.Record.Hop, 3)
	}},
	{"a signal takes up a request in review, and nothing else does", func(p play) {
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		w := held(q, 1, farOff)
		w.Review, w.Code = true, schemas.CodeNeedsReview
		p.waited(w)
		p.claims(request("a", "t2", copyOf(9, 1, "r/0/1")), refund.ClaimInReview)
		c := p.claims(request("a", "t3", signalled, hop(1), p.brief()), refund.ClaimGranted)
		equal(p.t, c.Record.Code, schemas.CodeNeedsReview)
		p.release(request("a", "t3"))
		p.claims(request("a", "t4"), refund.ClaimInReview)
		p.claims(request("a", "t5", signalled, hop(1), p.brief()), refund.ClaimGranted)
		p.lapse()
		c = p.claims(request("a", "t6"), refund.ClaimGranted)
		equal(p.t, [2]any{c.Record.Code, c.Record.Takeovers}, [2]any{schemas.CodeNeedsReview, 1})
	}},
	{"a signal without a record adopts the request as maybe sent", func(p play) {
		c := p.claims(request("a", "t1", signalled, hop(2)), refund.ClaimGranted)
		equal(p.t, [2]any{c.Fresh, c.Record.MaybeSent}, [2]any{false, true})
	}},
	{"a contradicted review is taken up by nobody, not even by a signal that looked before it was one", func(p play) {
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		w := held(q, 1, time.Time{})
		w.Review, w.Contradicted = true, true
		p.waited(w)
		p.claims(request("a", "t2", signalled, hop(1)), refund.ClaimInReview)
		equal(p.t, p.look().State, refund.SightReview)
	}},
	{"evidence that contradicts itself is never forgotten", func(p play) {
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		w := held(q, 1, time.Time{})
		w.Contradicted = true
		p.waited(w)
		equal(p.t, p.look().Record.Contradicted, true)
		again := request("a", "t2", signalled, hop(1), p.brief())
		equal(p.t, p.claims(again, refund.ClaimGranted).Record.Contradicted, true)
		p.lapse()
		again.Token = "t3"
		equal(p.t, p.claims(again, refund.ClaimGranted).Record.Contradicted, true)
		p.waited(waits(again, 2, 1, false))
		s := p.look()
		equal(p.t, [2]bool{s.Record.Contradicted, s.Record.MaybeSent}, [2]bool{true, true})
	}},
	{"L2: what is overdue is taken from the schedule, once in a while, until it settles", func(p play) {
		for _, id := range []string{"a", "b", "c"} {
			q := request(id, "t1")
			p.claims(q, refund.ClaimGranted)
			p.waited(held(q, 1, map[string]time.Time{"a": longAgo, "b": farOff}[id]))
		}
		equal(p.t, p.overdue(), []string{"a"})
		equal(p.t, p.overdue(), nil)
		q := request("b", "t2", copyOf(1, 1, "r/0/1"))
		p.claims(q, refund.ClaimGranted)
		p.waited(held(q, 2, longAgo))
		equal(p.t, p.overdue(), []string{"b"})
		q = request("c", "t2", copyOf(1, 1, "r/0/1"))
		p.claims(q, refund.ClaimGranted)
		p.waited(held(q, 2, longAgo))
		q = request("c", "t3", copyOf(2, 1, "r/0/2"))
		p.claims(q, refund.ClaimGranted)
		p.settles(proven(q, "done"), "done")
		equal(p.t, p.overdue(), nil)
	}},
	{"a success proved by an owner that had lost the claim is overdue until it is announced", func(p play) {
		p.port = p.bench.open(p.t, Config{MaxLease: p.bench.brief})
		for _, id := range []string{"a", "b"} {
			late := request(id, "t1", p.brief())
			p.claims(late, refund.ClaimGranted)
			p.lapse()
			owner := request(id, "t2", p.brief())
			p.claims(owner, refund.ClaimGranted)
			w := held(owner, 1, time.Time{})
			w.Review = true
			p.waited(w)
			p.settles(proven(late, "moved"), "moved")
		}
		if err := p.Announced(p.t.Context(), "b"); err != nil {
			p.t.Fatal(err)
		}
		equal(p.t, p.look().State, refund.SightSettled) // a look is no announcement
		p.lapse()
		equal(p.t, p.overdue(), []string{"a"})
	}},
	{"an announcement takes no open request off the schedule", func(p play) {
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		p.waited(held(q, 1, longAgo))
		if err := p.Announced(p.t.Context(), "a"); err != nil {
			p.t.Fatal(err)
		}
		equal(p.t, p.overdue(), []string{"a"})
	}},
	{"a look crosses a request off the schedule whose record is gone", func(p play) {
		p.port = p.bench.open(p.t, Config{OutcomeTTL: p.bench.brief / 2, TombstoneTTL: p.bench.brief})
		q := request("a", "t1", p.brief())
		p.claims(q, refund.ClaimGranted)
		p.waited(held(q, 1, longAgo))
		p.lapse()
		equal(p.t, p.look().State, refund.SightAbsent)
		equal(p.t, p.overdue(), nil)
	}},
}

func TestOfSeveralWorkersOneLooksForOverdueRequests(t *testing.T) {
	t.Parallel()
	p := newPlay(t, realBench(startServer(t).Addr)(t))
	q := request("a", "t1")
	p.claims(q, refund.ClaimGranted)
	p.waited(held(q, 1, longAgo))
	r, ok := p.port.(*Redis)
	if !ok {
		t.Fatalf("store %T", p.port)
	}
	for _, want := range [][]string{{"a"}, nil, nil} {
		ids, err := r.Overdue(t.Context(), 10, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, ids, want)
	}
	for _, want := range []time.Time{longAgo, time.Now().Add(time.Hour)} {
		open, first, err := r.Scheduled(t.Context())
		if err != nil || open != 1 || first.Sub(want).Abs() > time.Minute {
			t.Errorf("%d open, the first at %v, %v; want about %v", open, first, err, want)
		}
		if err := r.Postpone(t.Context(), []string{"a", "gone"}, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAScheduleThatCannotBeAskedIsUnavailable(t *testing.T) {
	t.Parallel()
	r := openRedis(t, Config{Addresses: []string{"127.0.0.1:1"}})
	_, overdue := r.Overdue(t.Context(), 1, time.Second)
	_, _, counted := r.Scheduled(t.Context())
	for what, err := range map[string]error{"overdue": overdue, "count": counted, "postpone": r.Postpone(t.Context(), []string{"a"}, time.Second)} {
		if !errors.Is(err, refund.ErrStoreUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
