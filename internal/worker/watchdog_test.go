package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"refundworker/refund"
	"refundworker/schemas"
)

// fakeSchedule hands out each list once, then nothing.
type fakeSchedule struct {
	mu    sync.Mutex
	lists [][]string
	err   error
	asked int
	since time.Time
	// postponed are all that were put off.
	postponed []string
}

var _ schedule = (*fakeSchedule)(nil)

func (f *fakeSchedule) Overdue(context.Context, int, time.Duration) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.err != nil || len(f.lists) == 0 {
		return nil, f.err
	}
	list := f.lists[0]
	f.lists = f.lists[1:]
	return list, nil
}

func (f *fakeSchedule) Postpone(_ context.Context, ids []string, by time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if by != watchAgain {
		return fmt.Errorf("test: put off by %v", by)
	}
	f.postponed = append(f.postponed, ids...)
	return nil
}

func (f *fakeSchedule) Scheduled(context.Context) (int64, time.Time, error) { return 7, f.since, nil }

type fakePublisher struct {
	mu     sync.Mutex
	events []refund.Event
	err    error
}

var _ publisher = (*fakePublisher)(nil)

func (f *fakePublisher) Publish(_ context.Context, events ...refund.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	f.events = append(f.events, events...)
	return nil
}

type watchdogBundle struct {
	*watchdog
	schedule  *fakeSchedule
	publisher *fakePublisher
	gate      gateBundle
	log       *bytes.Buffer
}

// setupWatchdog runs a watchdog behind a gate until the test ends.
func setupWatchdog(t *testing.T, schedule *fakeSchedule, publisher *fakePublisher) watchdogBundle {
	t.Helper()
	b := watchdogBundle{schedule: schedule, publisher: publisher, gate: setupGate(t), log: &bytes.Buffer{}}
	b.watchdog = newWatchdog(schedule, publisher, b.gate.gate, zerolog.New(b.log), prometheus.NewRegistry())
	ctx, stop := context.WithCancel(t.Context())
	var both sync.WaitGroup
	both.Go(func() { _ = b.gate.Run(ctx) })
	both.Go(func() {
		if err := b.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		both.Wait()
	})
	return b
}

func TestWhatIsOverdueIsDrivenAgainBySignal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setupWatchdog(t, &fakeSchedule{lists: [][]string{{"rf-1", "rf-2"}, nil, {"rf-3"}}, since: time.Now().Add(-time.Hour)}, &fakePublisher{})
		after(2*watchInterval + time.Second)
		var ids []string
		for _, e := range b.publisher.events {
			s, err := schemas.DecodeSignal(e.Value)
			if err != nil || s.Kind != schemas.SignalRedrive || e.Channel != refund.Signals || string(e.Key) != s.RequestID {
				t.Errorf("%+v: %+v, %v", e, s, err)
			}
			ids = append(ids, s.RequestID)
		}
		if got := strings.Join(ids, " "); got != "rf-1 rf-2 rf-3" {
			t.Errorf("driven: %s", got)
		}
		if got := strings.Join(b.schedule.postponed, " "); got != "rf-1 rf-2 rf-3" {
			t.Errorf("put off: %s", got)
		}
		if open, late := testutil.ToFloat64(b.open), testutil.ToFloat64(b.overdue); open != 7 || late < 3600 || late > 3700 {
			t.Errorf("%v open, overdue %v s", open, late)
		}
	})
}

func TestTheWatchdogStandsStillWhileIntakeIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setupWatchdog(t, &fakeSchedule{}, &fakePublisher{})
		after(time.Second)
		b.gate.store.set(errors.New("connection refused"))
		after(watchInterval)
		before := b.schedule.asked
		after(time.Minute)
		if b.schedule.asked > before+1 {
			t.Errorf("asked %d times behind a closed gate", b.schedule.asked-before)
		}
		b.gate.store.set(nil)
		after(2 * watchInterval)
		if b.schedule.asked <= before+1 {
			t.Error("did not go on")
		}
	})
}

func TestTheWatchdogGoesOnAfterAStoreOrABrokerThatFails(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		schedule  *fakeSchedule
		publisher *fakePublisher
	}{
		"store":  {&fakeSchedule{err: errors.New("test: away")}, &fakePublisher{}},
		"broker": {&fakeSchedule{lists: [][]string{{"rf-1"}, {"rf-1"}}}, &fakePublisher{err: errors.New("test: away")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setupWatchdog(t, tc.schedule, tc.publisher)
				after(3 * watchInterval)
				if len(b.schedule.postponed) > 0 {
					t.Errorf("put off without a signal: %v", b.schedule.postponed)
				}
				if b.schedule.asked < 3 || !strings.Contains(b.log.String(), "test: away") {
					t.Errorf("asked %d times; log %s", b.schedule.asked, b.log)
				}
			})
		})
	}
}
