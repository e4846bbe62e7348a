package gateway

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestALimitAdmitsOnlySoManyAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimit(3, 0)
		var mu sync.Mutex
		running, most := 0, 0
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				free, err := l.Admit(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				defer free()
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				<-time.After(time.Second)
				mu.Lock()
				running--
				mu.Unlock()
			})
		}
		wg.Wait()
		if most != 3 {
			t.Errorf("%d at once, want 3", most)
		}
	})
}

func TestALimitKeepsItsPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimit(1, 5)
		started := time.Now()
		for range 51 {
			free, err := l.Admit(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			free()
		}
		if took := time.Since(started); took != 10*time.Second {
			t.Errorf("51 at 5 a second took %v, want 10 s", took)
		}
	})
}

func TestALimitLetsGoWhenTheContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimit(1, 1)
		free, err := l.Admit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := l.Admit(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting for a slot: %v", err)
		}
		free()
		again, cancelAgain := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancelAgain()
		if _, err := l.Admit(again); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting for a token: %v", err)
		}
		free, err = l.Admit(t.Context())
		if err != nil {
			t.Fatalf("the slot was not given back: %v", err)
		}
		free()
	})
}
