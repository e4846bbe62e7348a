package dedupe

import (
	"context"
	"errors"
	"testing"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// line delivers the halves that it is told to, once, and then everything.
type line struct {
	arrive Halves
	err    error
	used   int
}

func (l *line) carry(_ context.Context, deliver func(Halves)) error {
	l.used++
	if l.used > 1 {
		deliver(Halves{Payment: true, Record: true})
		return nil
	}
	deliver(l.arrive)
	return l.err
}

func TestAConnectionThatFailsAnswersThatTheStoreIsUnavailableWhateverArrived(t *testing.T) {
	t.Parallel()
	for name, arrive := range map[string]Halves{
		"nothing": {}, "the payment": {Payment: true}, "the record": {Record: true}, "all": {Payment: true, Record: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := NewMemory(Config{})
			l := &line{arrive: arrive, err: errors.New("cut")}
			c := m.Connect(l.carry)
			q := request("a", "t1", pays("p", 10, 100))
			if _, err := c.Claim(t.Context(), q); !errors.Is(err, refund.ErrStoreUnavailable) {
				t.Fatalf("claim over a connection that is cut: %v", err)
			}
			got := Halves{Payment: len(m.payments) == 1, Record: len(m.records) == 1}
			equal(t, got, arrive)
			again, err := c.Claim(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, again.Status, refund.ClaimGranted)
		})
	}
}

func TestAConnectionMakesEveryCallOfTheStore(t *testing.T) {
	t.Parallel()
	m := NewMemory(Config{})
	c := m.Connect((&line{arrive: Halves{Payment: true, Record: true}}).carry)
	q := request("a", "t1", pays("p", 10, 100))
	for _, q.Token = range []string{"t1", "t2"} {
		if got, err := c.Claim(t.Context(), q); err != nil || got.Status != refund.ClaimGranted {
			t.Fatalf("claim: %+v, %v", got, err)
		}
		if err := c.Release(t.Context(), refund.ReleaseRequest{RequestID: "a", Token: q.Token, Payment: q.Payment}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Claim(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Wait(t.Context(), waits(q, 1, 1, true)); err != nil || !got.Stored {
		t.Fatalf("wait: %+v, %v", got, err)
	}
	if got, err := c.Look(t.Context(), "a"); err != nil || got.State != refund.SightWaiting {
		t.Fatalf("look: %+v, %v", got, err)
	}
	if got, err := c.Settle(t.Context(), proven(q, "moved")); err != nil || !got.Stored {
		t.Fatalf("settle: %+v, %v", got, err)
	}
	for name, err := range map[string]error{
		"claim":   second(c.Claim(t.Context(), refund.ClaimRequest{})),
		"wait":    second(c.Wait(t.Context(), refund.WaitRequest{})),
		"settle":  second(c.Settle(t.Context(), refund.SettleRequest{})),
		"release": c.Release(t.Context(), refund.ReleaseRequest{}),
	} {
		if !errors.Is(err, ErrRequest) {
			t.Errorf("%s without anything: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestARestoredSnapshotForgetsWhatHappenedSince(t *testing.T) {
	t.Parallel()
	m := NewMemory(Config{})
	p := play{t: t, port: m}
	a, b := request("a", "t1", pays("p", 60, 100)), request("b", "t2", pays("p", 60, 100))
	p.claims(a, refund.ClaimGranted)
	wait := waits(a, 1, 1, true)
	wait.LookAt = time.Now()
	p.waited(wait)
	before := m.Snapshot()
	for range 2 { // a snapshot outlives its own restoration
		p.settle(proven(a, "moved"))
		p.claims(b, refund.ClaimGranted)
		m.Rewind(before)
		sight, err := m.Look(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		equal(t, sight.State, refund.SightWaiting)
		open, oldest, err := m.Scheduled(t.Context())
		if err != nil || open != 1 || oldest.IsZero() {
			t.Errorf("%d on the schedule, the oldest at %s, %v", open, oldest, err)
		}
	}
	equal(t, p.claims(b, refund.ClaimGranted).CapExceeded, true)
}

func TestWhatIsForgottenIsAbsentAndTheOtherHalfStays(t *testing.T) {
	t.Parallel()
	m := NewMemory(Config{})
	p := play{t: t, port: m}
	q := request("a", "t1", pays("p", 60, 100))
	p.claims(q, refund.ClaimGranted)
	p.settle(proven(q, "moved"))
	m.Lose("a")
	p.claims(request("a", "t2", pays("p", 60, 100)), refund.ClaimTombstone)
	m.LosePayment(refund.PaymentRef{Gateway: schemas.Antom, PaymentID: "p"})
	equal(t, p.claims(request("a", "t3", pays("p", 60, 100)), refund.ClaimGranted).Fresh, true)
}

func TestTheStoresClockIsTheOneItWasGiven(t *testing.T) {
	t.Parallel()
	m := NewMemory(Config{})
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	m.SetClock(func() time.Time { return now })
	p := play{t: t, port: m}
	equal(t, p.claims(request("a", "t1", pays("p", 10, 0)), refund.ClaimGranted).Now, now)
}
