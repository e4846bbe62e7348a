package dedupe

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// server is a Redis that takes a while for each exchange, one pipeline at a time, and notes how many came together.
type server struct {
	// turn has room for one pipeline: a mutex would stop virtual time.
	turn  chan struct{}
	each  time.Duration
	sizes []int
	took  []time.Duration
	err   error
}

func (s *server) send(_ context.Context, calls []*batchCall) {
	began := time.Now()
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	time.Sleep(s.each * time.Duration(len(calls))) //nolint:forbidigo // virtual time
	s.sizes = append(s.sizes, len(calls))
	s.took = append(s.took, time.Since(began))
	for _, c := range calls {
		c.replies, c.err = [][]string{{"done"}}, s.err
	}
}

func flood(t *testing.T, b *batcher, n int) {
	t.Helper()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if replies, err := b.do(t.Context(), nil); err != nil || len(replies) != 1 {
				t.Errorf("do = %v, %v", replies, err)
			}
		})
	}
	all.Wait()
	synctest.Wait() // for the senders too
}

func TestExchangesShareAPipelineAndALoneOneDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{turn: make(chan struct{}, 1), each: 20 * time.Microsecond}
		b := &batcher{sendFunc: s.send}
		began := time.Now()
		flood(t, b, 1)
		if took := time.Since(began); took != s.each {
			t.Errorf("a lone exchange took %s", took)
		}
		flood(t, b, 1000)
		if n := len(s.sizes); n > 40 {
			t.Errorf("%d pipelines for 1001 exchanges", n)
		}
		if b.running != 0 || b.waiting != nil {
			t.Errorf("%d senders and %d exchanges are left over", b.running, len(b.waiting))
		}
	})
}

// A server that is slow by a factor of a hundred must not be given so much at once that all of it times out.
func TestASlowServerIsGivenLessAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{turn: make(chan struct{}, 1), each: 4 * time.Millisecond}
		b := &batcher{sendFunc: s.send}
		flood(t, b, 1000)
		for i, took := range s.took[8:] {
			if took >= ioTimeout {
				t.Fatalf("pipeline %d took %s with what waited for the other sender, and times out at %s: %v", i+8, took, ioTimeout, s.sizes)
			}
		}
		s.each = 20 * time.Microsecond
		s.sizes = nil
		flood(t, b, 5000)
		if last := s.sizes[len(s.sizes)-3]; last < batchCalls {
			t.Errorf("%d exchanges share a pipeline once the server is fast again, want %d", last, batchCalls)
		}
	})
}

func TestACallerThatGoesIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{turn: make(chan struct{}, 1), each: time.Second}
		b := &batcher{sendFunc: s.send}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := b.do(ctx, nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 100*time.Millisecond {
			t.Errorf("do = %v after %s", err, time.Since(began))
		}
		// One whose caller had gone before its turn is not sent at all.
		gone, leave := context.WithCancel(t.Context())
		leave()
		if _, err := b.do(gone, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("do = %v", err)
		}
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		synctest.Wait()
		if len(s.sizes) != 1 {
			t.Errorf("pipelines: %v, want the first alone", s.sizes)
		}
	})
}
