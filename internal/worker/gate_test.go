package worker

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
)

// fakeStore answers as it is told.
type fakeStore struct {
	mu       sync.Mutex
	err      error
	forgot   error
	used     float64
	usedErr  error
	lookedAt int
}

var _ storeHealth = (*fakeStore)(nil)

func (f *fakeStore) Probe(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lookedAt++
	return f.err
}

func (f *fakeStore) Remembers(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.forgot
}

func (f *fakeStore) MemoryPressure(context.Context) (float64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used, f.usedErr
}

func (f *fakeStore) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

type gateBundle struct {
	*gate
	store    *fakeStore
	reported func() error
	log      *bytes.Buffer
}

func setupGate(t *testing.T) gateBundle {
	t.Helper()
	b := gateBundle{store: &fakeStore{}, log: &bytes.Buffer{}}
	var mu sync.Mutex
	var last error
	b.reported = func() error {
		mu.Lock()
		defer mu.Unlock()
		return last
	}
	b.gate = newGate(b.store, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		last = err
	}, zerolog.New(b.log), prometheus.NewRegistry())
	return b
}

// run watches until the test ends.
func (b gateBundle) run(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
}

func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestTheGateIsClosedUntilTheStoreHasAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setupGate(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Pass(ctx); !errors.Is(err, errStarting) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Pass before the first answer: %v", err)
		}
		if !errors.Is(b.reported(), errStarting) {
			t.Errorf("reported: %v", b.reported())
		}
	})
}

func TestTheGateClosesWhileTheStoreIsAwayAndOpensByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setupGate(t)
		b.run(t)
		if err := b.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		away := errors.New("connection refused")
		b.store.set(away)
		after(2 * gateInterval)
		if !errors.Is(b.reported(), away) || testutil.ToFloat64(b.open) != 0 {
			t.Errorf("reported %v, gauge %v", b.reported(), testutil.ToFloat64(b.open))
		}
		passed := make(chan error, 1)
		started := time.Now()
		go func() { passed <- b.Pass(t.Context()) }()
		after(time.Minute)
		select {
		case err := <-passed:
			t.Fatalf("passed a closed gate: %v", err)
		default:
		}
		if said := strings.Count(b.log.String(), "intake is closed"); said < 5 || said > 8 {
			t.Errorf("%d lines in a minute, want about one in %v", said, sayAgain)
		}
		b.store.set(nil)
		if err := <-passed; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started); took > time.Minute+2*gateInterval {
			t.Errorf("opened after %v", took)
		}
		if b.reported() != nil || testutil.ToFloat64(b.open) != 1 {
			t.Errorf("reported %v, gauge %v", b.reported(), testutil.ToFloat64(b.open))
		}
	})
}

func TestTheGateClosesBeforeTheStoreIsFull(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		used float64
		err  error
		open bool
	}{{0, nil, true}, {0.849, nil, true}, {0.85, nil, false}, {1, nil, false}, {0, errors.New("not answered"), true}} {
		synctest.Test(t, func(t *testing.T) {
			b := setupGate(t)
			b.store.used, b.store.usedErr = tc.used, tc.err
			b.run(t)
			after(2 * gateInterval)
			if open := b.reported() == nil; open != tc.open {
				t.Errorf("used %v (%v): open %v, want %v (%v)", tc.used, tc.err, open, tc.open, b.reported())
			}
		})
	}
}

func TestTheGateIsClosedWhileTheStoreHasForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setupGate(t)
		b.store.forgot = errors.New("redis has forgotten")
		b.run(t)
		synctest.Wait()
		if err := b.reported(); err == nil || !strings.Contains(err.Error(), "has forgotten") {
			t.Errorf("readiness says %v", err)
		}
		if open := testutil.ToFloat64(b.open); open != 0 {
			t.Error("intake is open")
		}
		b.store.mu.Lock()
		b.store.forgot = nil
		b.store.mu.Unlock()
		<-time.After(2 * gateInterval)
		if err := b.reported(); err != nil {
			t.Errorf("readiness says %v", err)
		}
	})
}
