package consumer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"refundworker/refund"
	"refundworker/schemas"
)

var (
	hk    = refund.AccountID{Gateway: schemas.Antom, Name: "hk"}
	macau = refund.AccountID{Gateway: schemas.EftPay, Name: "macau"}
)

// desk is a partition's lanes on an executor, and a note of everything that ran on them.
type desk struct {
	executor *Executor
	of       *lanes
	mark     *watermark
	next     int64

	mu    sync.Mutex
	begun []string
	// now and most count works that run at once, by account.
	now, most map[refund.AccountID]int
	// ended counts works that are done.
	ended int
}

func newDesk(executor *Executor, p priority) *desk {
	d := &desk{executor: executor, mark: newWatermark(0, 0), now: make(map[refund.AccountID]int), most: make(map[refund.AccountID]int)}
	d.of = newLanes(executor, p, room{messages: 1 << 20, bytes: 1 << 30})
	d.of.doFunc = func(s *slot, permit refund.Permit) error {
		if err := s.work.DoFunc(context.Background(), permit); err != nil {
			return err
		}
		s.mark.finish(s.place)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.ended++
		return nil
	}
	d.of.pauseFunc = func(_ *slot, err error) (time.Duration, bool) {
		if notYet, ok := errors.AsType[*refund.NotYetError](err); ok {
			return notYet.In, true
		}
		return time.Second, true
	}
	return d
}

// put hands in a work that takes d, or does what do says.
func (d *desk) put(name string, lane string, account refund.AccountID, do func(refund.Permit) error) {
	s := &slot{message: refund.Message{Offset: d.next}, size: 1, place: d.mark.add(d.next), mark: d.mark}
	d.next++
	s.work = refund.Work{Lane: refund.Lane{Key: lane}, Account: account, DoFunc: func(_ context.Context, permit refund.Permit) error {
		d.enter(name, permit.Account)
		defer d.leave(permit.Account)
		return do(permit)
	}}
	d.executor.submit(d.of, s)
}

func (d *desk) enter(name string, account refund.AccountID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begun = append(d.begun, name)
	d.now[account]++
	d.most[account] = max(d.most[account], d.now[account])
}

func (d *desk) leave(account refund.AccountID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now[account]--
}

func (d *desk) order() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.begun)
}

func (d *desk) done() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ended
}

func (d *desk) atOnce() map[refund.AccountID]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.most)
}

// takes is a work that calls its gateway for that long.
func takes(t time.Duration) func(refund.Permit) error {
	return func(refund.Permit) error {
		time.Sleep(t) //nolint:forbidigo // virtual time
		return nil
	}
}

func limits(hkLimits, macauLimits Limits) *Executor {
	return NewExecutor(map[refund.AccountID]Limits{hk: hkLimits, macau: macauLimits}, Limits{InFlight: 8}, prometheus.NewRegistry())
}

// use is what an account has given out.
func (e *Executor) use(id refund.AccountID) (held, begun int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.account(id)
	return a.held, a.begun
}

func wantBegun(t *testing.T, d *desk, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, d.order()); diff != "" {
		t.Errorf("begun (-want +got):\n%s", diff)
	}
}

func TestALaneIsInOrderAndOthersRunBesideIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(limits(Limits{InFlight: 8}, Limits{InFlight: 1}), high)
		d.put("a1", "a", hk, takes(3*time.Second))
		d.put("a2", "a", hk, takes(time.Second))
		d.put("b1", "b", hk, takes(time.Second))
		d.put("none", "", hk, takes(time.Second))
		d.put("none again", "", hk, takes(time.Second))
		synctest.Wait()
		if got := d.order(); len(got) != 4 || slices.Contains(got, "a2") {
			t.Errorf("begun %v, want all but a2", got)
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // virtual time
		if at, _ := d.mark.position(); at != 0 {
			t.Errorf("the watermark is at %d while the first message runs", at)
		}
		time.Sleep(3 * time.Second) //nolint:forbidigo // virtual time
		if at, _ := d.mark.position(); at != 5 || d.done() != 5 {
			t.Errorf("the watermark is at %d, %d works ended, want 5 and 5", at, d.done())
		}
	})
}

func TestAnAccountHasSoManyPermitsAndAnotherItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(limits(Limits{InFlight: 3}, Limits{InFlight: 2}), high)
		for i := range 30 {
			d.put("black hole", strconv.Itoa(i), hk, takes(time.Hour))
		}
		for i := range 20 {
			d.put("quick", "q"+strconv.Itoa(i), macau, takes(time.Second))
		}
		started := time.Now()
		for d.done() < 20 {
			time.Sleep(time.Second / 2) //nolint:forbidigo // virtual time
			synctest.Wait()
		}
		if took := time.Since(started); took > 11*time.Second {
			t.Errorf("20 works of a second, two at once, took %s beside an account that hangs", took)
		}
		if diff := cmp.Diff(map[refund.AccountID]int{hk: 3, macau: 2}, d.atOnce()); diff != "" {
			t.Errorf("most at once (-want +got):\n%s", diff)
		}
		time.Sleep(11 * time.Hour) //nolint:forbidigo // virtual time
	})
}

func TestAPermitIsFreeBeforeThePublishingAndTheTailIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(limits(Limits{InFlight: 2}, Limits{InFlight: 1}), high)
		publish := make(chan struct{})
		for i := range 10 {
			d.put(strconv.Itoa(i), strconv.Itoa(i), hk, func(permit refund.Permit) error {
				permit.FreeFunc()
				permit.FreeFunc() // a second time gives nothing
				<-publish
				return nil
			})
		}
		synctest.Wait()
		if got := len(d.order()); got != 4 {
			t.Errorf("%d works begun while nothing can be published, want twice the permits", got)
		}
		close(publish)
		synctest.Wait()
		if d.done() != 10 {
			t.Errorf("%d works ended, want all 10", d.done())
		}
	})
}

func TestTheRateIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(limits(Limits{InFlight: 100, Rate: 5}, Limits{InFlight: 1}), high)
		started := time.Now()
		for i := range 51 {
			d.put(strconv.Itoa(i), strconv.Itoa(i), hk, takes(0))
		}
		for d.done() < 51 {
			time.Sleep(time.Second / 10) //nolint:forbidigo // virtual time
			synctest.Wait()
		}
		if took := time.Since(started); took < 10*time.Second || took > 10*time.Second+200*time.Millisecond {
			t.Errorf("51 at 5 a second took %v, want 10 s", took)
		}
	})
}

func TestLowPriorityGetsWhatIsLeftAndNeverLessThanItsShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := limits(Limits{InFlight: 1}, Limits{InFlight: 1})
		live, backfill := newDesk(e, high), newDesk(e, low)
		for i := range 400 {
			backfill.put("backfill", strconv.Itoa(i), hk, takes(time.Second))
			live.put("live", strconv.Itoa(i), hk, takes(time.Second))
		}
		time.Sleep(200*time.Second - time.Millisecond) //nolint:forbidigo // virtual time
		if got := len(backfill.order()); got < 10 || got > 11 {
			t.Errorf("%d of 200 were backfill while live had enough, want 5 %%", got)
		}
		time.Sleep(601 * time.Second) //nolint:forbidigo // virtual time
		if live.done() != 400 || backfill.done() != 400 {
			t.Errorf("%d and %d ended, want all", live.done(), backfill.done())
		}
		// What comes now goes before what waits.
		for i := range 3 {
			backfill.put("backfill", strconv.Itoa(i), hk, takes(time.Second))
		}
		began := time.Now()
		live.put("live", "x", hk, func(refund.Permit) error {
			if waited := time.Since(began); waited > time.Second {
				t.Errorf("live waited %s behind backfill", waited)
			}
			return nil
		})
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
	})
}

func TestWhoWaitsForAClaimHoldsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(limits(Limits{InFlight: 1}, Limits{InFlight: 1}), high)
		held := 3
		d.put("a1", "a", hk, func(refund.Permit) error {
			if held--; held >= 0 {
				return &refund.NotYetError{RequestID: "a1", In: 10 * time.Second}
			}
			return nil
		})
		d.put("a2", "a", hk, takes(0))
		d.put("b1", "b", hk, takes(time.Second))
		time.Sleep(2 * time.Second) //nolint:forbidigo // virtual time
		wantBegun(t, d, "a1", "b1")
		if held, begun := d.executor.use(hk); held != 0 || begun != 0 {
			t.Errorf("%d permits held and %d works begun while a lane waits", held, begun)
		}
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		wantBegun(t, d, "a1", "b1", "a1", "a1", "a1", "a2")
	})
}

func TestAWorkThatNeedsAnotherAccountGetsItsPermit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(limits(Limits{InFlight: 1}, Limits{InFlight: 1}), high)
		d.put("signal", "", refund.AccountID{}, func(permit refund.Permit) error {
			if permit.Account != macau {
				return &refund.NotYetError{RequestID: "r", Account: macau}
			}
			return takes(time.Second)(permit)
		})
		d.put("first", "f", macau, takes(time.Second))
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		if d.done() != 2 || d.atOnce()[macau] != 1 {
			t.Errorf("%d ended, %d at once with the second account", d.done(), d.atOnce()[macau])
		}
	})
}

func TestAFailedWorkKeepsItsPlaceAndNobodyElseWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(limits(Limits{InFlight: 1}, Limits{InFlight: 1}), high)
		fails := 2
		d.put("a1", "a", hk, func(refund.Permit) error {
			if fails--; fails >= 0 {
				return errors.New("not now")
			}
			return nil
		})
		d.put("a2", "a", hk, takes(0))
		d.put("b1", "b", hk, takes(0))
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		wantBegun(t, d, "a1", "b1", "a1", "a1", "a2")
	})
}

func TestAClosedPartitionBeginsNothingAndAwaitsWhatRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := limits(Limits{InFlight: 1}, Limits{InFlight: 1})
		d, other := newDesk(e, high), newDesk(e, high)
		d.put("sleeps", "s", hk, func(refund.Permit) error { return errors.New("not now") })
		d.put("runs", "a", hk, takes(time.Minute))
		d.put("next in the lane", "a", hk, takes(0))
		d.put("waits for a permit", "b", hk, takes(0))
		time.Sleep(time.Second / 2) //nolint:forbidigo // virtual time
		e.close(d.of)
		d.put("too late", "c", hk, takes(0))
		other.put("another partition", "a", hk, takes(0))
		if n := e.running(d.of); n != 1 {
			t.Errorf("%d works run, want 1", n)
		}
		began := time.Now()
		d.of.busy.Wait()
		if took := time.Since(began); took != time.Minute-time.Second/2 {
			t.Errorf("waited %s for what ran", took)
		}
		time.Sleep(time.Hour) //nolint:forbidigo // virtual time
		wantBegun(t, d, "sleeps", "runs")
		wantBegun(t, other, "another partition")
	})
}

// Whatever is handed in, fails, waits and is taken away: a lane's works are in order and never at once, permits are
// never exceeded, and what is not taken away is done.
func TestTheExecutorKeepsItsPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			inFlight := rapid.IntRange(1, 4).Draw(r, "in flight")
			e := limits(Limits{InFlight: inFlight}, Limits{InFlight: 2, Rate: 50})
			desks := []*desk{newDesk(e, high), newDesk(e, low), newDesk(e, high)}
			running := make(map[string]bool)
			last := make(map[string]int)
			var mu sync.Mutex
			total := make([]int, len(desks))
			closed := make([]bool, len(desks))
			for i := range rapid.IntRange(1, 80).Draw(r, "works") {
				which := rapid.IntRange(0, len(desks)-1).Draw(r, "partition")
				if rapid.IntRange(0, 40).Draw(r, "close") == 0 {
					closed[which] = true
					e.close(desks[which].of)
				}
				lane := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "lane")
				account := rapid.SampledFrom([]refund.AccountID{hk, macau, {}}).Draw(r, "account")
				failures := rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(r, "failures")
				long := time.Duration(rapid.IntRange(0, 1500).Draw(r, "takes")) * time.Millisecond
				early := rapid.Bool().Draw(r, "frees early")
				key := fmt.Sprint(which, lane)
				total[which]++
				desks[which].put(key, lane, account, func(permit refund.Permit) error {
					mu.Lock()
					if running[key] || i < last[key] {
						t.Errorf("work %d of lane %s after %d, running: %t", i, key, last[key], running[key])
					}
					running[key], last[key] = true, i
					mu.Unlock()
					defer func() {
						mu.Lock()
						defer mu.Unlock()
						running[key] = false
					}()
					time.Sleep(long) //nolint:forbidigo // virtual time
					if early {
						permit.FreeFunc()
						time.Sleep(long) //nolint:forbidigo // virtual time
					}
					if failures--; failures >= 0 {
						return &refund.NotYetError{RequestID: "r", In: long, Account: macau}
					}
					return nil
				})
				if held, begun := e.use(hk); held > inFlight || begun > tail*inFlight {
					t.Errorf("%d permits held, %d works begun, of %d", held, begun, inFlight)
				}
				time.Sleep(time.Duration(rapid.IntRange(0, 300).Draw(r, "pause")) * time.Millisecond) //nolint:forbidigo // virtual time
			}
			time.Sleep(time.Hour) //nolint:forbidigo // virtual time
			for i, d := range desks {
				if !closed[i] && d.done() != total[i] {
					t.Errorf("partition %d: %d of %d works ended", i, d.done(), total[i])
				}
			}
			for _, id := range []refund.AccountID{hk, macau, {}} {
				if held, begun := e.use(id); held != 0 || begun != 0 {
					t.Errorf("account %s: %d permits and %d works left over", id.Name, held, begun)
				}
			}
		})
	})
}
