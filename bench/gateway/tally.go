package main

import (
	"hash/maphash"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const shards = 64

// tally counts what reaches the gateway.
type tally struct {
	seed maphash.Seed

	connections  atomic.Int64
	running      atomic.Int64
	most         atomic.Int64
	calls        atomic.Int64
	first, last  atomic.Int64
	overlaps     atomic.Int64
	wrongOrder   atomic.Int64
	repeated     atomic.Int64
	paymentShard [shards]shard
}

type shard struct {
	mu       sync.Mutex
	payments map[string]*payment
}

// payment is what was seen of one payment. Its refunds are told apart by their amounts, which rise in the order in which
// they were asked for.
type payment struct {
	running int
	highest int64
	amounts map[int64]bool
}

// Statistics are counted since the last reset; connections that were open by then are not.
type Statistics struct {
	Calls       int64 `json:"calls"`
	Repeated    int64 `json:"repeated"`
	Overlaps    int64 `json:"overlaps"`
	WrongOrder  int64 `json:"wrong_order"`
	Connections int64 `json:"connections"`
	Most        int64 `json:"most"`
	// First and Last are when the first call came and the last answer went, in nanoseconds since 1970.
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

func newTally() *tally {
	t := &tally{seed: maphash.MakeSeed()}
	t.reset()
	return t
}

func (t *tally) reset() {
	for _, n := range []*atomic.Int64{
		&t.connections, &t.most, &t.calls, &t.first, &t.last, &t.overlaps, &t.wrongOrder, &t.repeated,
	} {
		n.Store(0)
	}
	for i := range t.paymentShard {
		s := &t.paymentShard[i]
		s.mu.Lock()
		s.payments = make(map[string]*payment)
		s.mu.Unlock()
	}
}

// call notes a call's beginning and returns what notes its end.
func (t *tally) call(paymentID, amount string) func() {
	minor, _ := strconv.ParseInt(strings.ReplaceAll(amount, ".", ""), 10, 64)
	t.first.CompareAndSwap(0, time.Now().UnixNano())
	t.calls.Add(1)
	running := t.running.Add(1)
	for {
		most := t.most.Load()
		if running <= most || t.most.CompareAndSwap(most, running) {
			break
		}
	}
	s := &t.paymentShard[maphash.String(t.seed, paymentID)%shards]
	s.mu.Lock()
	p := s.payments[paymentID]
	if p == nil {
		p = &payment{amounts: make(map[int64]bool, 2)}
		s.payments[paymentID] = p
	}
	if p.running > 0 {
		t.overlaps.Add(1)
	}
	p.running++
	switch {
	case p.amounts[minor]:
		t.repeated.Add(1)
	case minor < p.highest:
		t.wrongOrder.Add(1)
	}
	p.highest = max(p.highest, minor)
	p.amounts[minor] = true
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		p.running--
		s.mu.Unlock()
		t.running.Add(-1)
		t.last.Store(time.Now().UnixNano())
	}
}

func (g *gateway) statistics() Statistics {
	t := g.tally
	return Statistics{
		Calls: t.calls.Load(), Repeated: t.repeated.Load(), Overlaps: t.overlaps.Load(), WrongOrder: t.wrongOrder.Load(),
		Connections: t.connections.Load(), Most: t.most.Load(), First: t.first.Load(), Last: t.last.Load(),
	}
}
