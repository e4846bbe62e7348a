package refund_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// permitOf is a permit that notes what had happened by the time it was given back.
func (b *bundle) permitOf(account refund.AccountID, freed func()) refund.Permit {
	return refund.Permit{Account: account, FreeFunc: freed}
}

// heldFor wants an error that holds nothing.
func heldFor(t *testing.T, err error) *refund.NotYetError {
	t.Helper()
	notYet, ok := errors.AsType[*refund.NotYetError](err)
	if !ok {
		t.Fatalf("work = %v, want a NotYetError", err)
	}
	return notYet
}

func TestMessagesOfOnePaymentShareALane(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.pending(t)
		b.cmd.RequestID = "rf-2"
		payment := refund.Lane{Gateway: schemas.Antom, Key: "pay-1"}
		antom := b.account().ID()
		for _, c := range []struct {
			name    string
			work    refund.Work
			lane    refund.Lane
			account refund.AccountID
		}{
			{"command", b.ReadCommand(b.message(t)), payment, antom},
			{"retry copy", b.ReadCopy(b.copyMessage(t)), payment, antom},
			{"signal", b.ReadSignal(b.signalMessage(t, schemas.SignalRedrive)), refund.Lane{Key: "rf-2"}, refund.AccountID{}},
			{"unreadable", b.ReadCommand(refund.Message{Value: []byte("{")}), refund.Lane{}, refund.AccountID{}},
			{"unreadable signal", b.ReadSignal(refund.Message{Value: []byte("{")}), refund.Lane{}, refund.AccountID{}},
		} {
			wantEqual(t, "lane of "+c.name, c.lane, c.work.Lane)
			wantEqual(t, "account of "+c.name, c.account, c.work.Account)
		}
		b.cmd.Account = "nobody's"
		wantEqual(t, "account of an unknown name", refund.AccountID{}, b.ReadCommand(b.message(t)).Account)
	})
}

func TestThePermitIsGivenBackBetweenTheCallAndTheSettle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{succeeded()}
		freed := 0
		work := b.ReadCommand(b.message(t))
		err := work.DoFunc(t.Context(), b.permitOf(work.Account, func() {
			freed++
			sight, err := b.store.Memory.Look(t.Context(), "rf-1")
			if err != nil || sight.State != refund.SightClaimed {
				t.Errorf("freed when the request was %d (%v), want it claimed", sight.State, err)
			}
			wantEqual(t, "calls by then", []string{"refund"}, b.gateway.called())
		}))
		if err != nil || freed != 1 {
			t.Fatalf("work = %v, freed %d times", err, freed)
		}
		// A duplicate calls nobody, and does not hold the permit while it publishes.
		again := b.ReadCommand(b.message(t))
		b.broker.fail = 3
		if err := again.DoFunc(t.Context(), b.permitOf(again.Account, func() {
			freed++
			wantEqual(t, "publications tried by then", 0, b.broker.failed)
		})); err != nil || freed != 2 {
			t.Fatalf("duplicate = %v, freed %d times", err, freed)
		}
	})
}

func TestAClaimThatSomebodyElseOwnsIsNotWaitedForInPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{{Result: succeeded().Result, delay: 5 * time.Second}}
		m := b.message(t)
		done := make(chan error, 1)
		go func() { done <- b.Command(context.WithoutCancel(t.Context()), m) }()
		synctest.Wait()
		b.cmd.RequestID = "rf-2"
		for what, message := range map[string]refund.Message{"the request": m, "the payment": b.message(t)} {
			started := time.Now()
			work := b.ReadCommand(message)
			notYet := heldFor(t, work.DoFunc(t.Context(), b.permitOf(work.Account, func() {})))
			if notYet.In <= 0 || notYet.In > time.Second || time.Since(started) != 0 {
				t.Errorf("%s: told to wait %s after %s", what, notYet.In, time.Since(started))
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		b.run(t, b.message(t))
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/1", "success REFUNDED 0/1"}, status(b.outcomes(t)))
	})
}

// late is a store whose answer to a claim comes when the caller was told to stop meanwhile.
type late struct {
	*flaky
	stop func()
}

func (l late) Claim(ctx context.Context, r refund.ClaimRequest) (refund.Claim, error) {
	c, err := l.flaky.Claim(context.WithoutCancel(ctx), r)
	l.stop()
	select {
	case <-ctx.Done():
		return refund.Claim{}, context.Cause(ctx)
	case <-time.After(time.Second):
		return c, err
	}
}

func TestAClaimThatIsGrantedDuringAStopIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		ctx, stop := context.WithCancel(t.Context())
		p := b.processorOn(t, b.account(), late{b.store, stop})
		if err := p.Command(ctx, b.message(t)); !errors.Is(err, context.Canceled) {
			t.Errorf("command = %v, want the stop", err)
		}
		sight, err := b.store.Memory.Look(t.Context(), "rf-1")
		if err != nil || sight.State != refund.SightAbsent {
			t.Errorf("the request is %d (%v), want it absent: nobody else could tell that nothing was sent", sight.State, err)
		}
		wantEqual(t, "calls", []string{}, b.gateway.called())
		// Nothing is even asked for once the stop is known.
		claims := 0
		b.store.claimed = func() { claims++ }
		if err := b.Command(ctx, b.message(t)); !errors.Is(err, context.Canceled) {
			t.Errorf("command after the stop = %v", err)
		}
		wantEqual(t, "claims", 0, claims)
	})
}

func TestTheFrozenAccountsPermitIsNeededBeforeItsClaim(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.pending(t)
		old, renamed := b.account(), b.account()
		renamed.Name = "new-default"
		b.Processor = b.processorFor(t, twoAccounts{named: old, fallback: renamed}, b.store)
		b.gateway.inquiries = []answer{succeeded()}
		m := b.copyMessage(t)
		for i, h := range m.Headers {
			if h.Key == schemas.HeaderAccount {
				m.Headers = append(m.Headers[:i:i], m.Headers[i+1:]...)
				break
			}
		}
		claims := 0
		b.store.claimed = func() { claims++ }
		work := b.ReadCopy(m)
		wantEqual(t, "account that the copy names", renamed.ID(), work.Account)
		// The claim tells the frozen account, and is given back.
		wantEqual(t, "pause", 0, heldFor(t, work.DoFunc(t.Context(), b.permitOf(renamed.ID(), func() {}))).In)
		notYet := heldFor(t, work.DoFunc(t.Context(), b.permitOf(renamed.ID(), func() {})))
		wantEqual(t, "account that is needed", old.ID(), notYet.Account)
		wantEqual(t, "claims by then", 1, claims)
		wantEqual(t, "calls by then", []string{"refund"}, b.gateway.called())
		if err := work.DoFunc(t.Context(), b.permitOf(old.ID(), func() {})); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "calls", []string{"refund", "inquire"}, b.gateway.called())
	})
}

func TestASignalNeedsThePermitOfItsRequestsAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.pending(t)
		b.gateway.inquiries = []answer{succeeded()}
		work := b.ReadSignal(b.signalMessage(t, schemas.SignalRedrive))
		notYet := heldFor(t, work.DoFunc(t.Context(), b.permitOf(refund.AccountID{}, func() {})))
		wantEqual(t, "account that is needed", b.account().ID(), notYet.Account)
		wantEqual(t, "calls by then", []string{"refund"}, b.gateway.called())
		if err := work.DoFunc(t.Context(), b.permitOf(notYet.Account, func() {})); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "outcomes", []string{"retry-pending IN_PROCESS 1/1", "success REFUNDED 1/2"}, status(b.outcomes(t)))
	})
}

// A signal's pass that has sent and lost its claim must know of it when it looks again, even if the store has forgotten
// the request by then: what comes next must not look like a first send.
func TestASignalThatHadToWaitRemembersWhatItsPassDid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.pending(t)
		b.gateway.inquiries = []answer{{Result: refund.Result{Verdict: refund.Absent}}}
		b.gateway.refunds = []answer{
			// Everything is gone while the answer is on its way.
			{Result: refund.Result{Verdict: refund.Unknown}, hook: func() { b.store.Memory = emptyStore() }},
			verdict(refund.Unknown),
		}
		b.runSignal(t, b.signalMessage(t, schemas.SignalRedrive))
		last := b.last(t)
		if last.Status != schemas.RetryPending || last.Hop == 0 {
			t.Errorf("the request ended as %s at hop %d, want a wait", last.Status, last.Hop)
		}
		copies := b.broker.on(refund.Retry)
		wantEqual(t, "copies", 2, len(copies))
		sent, _ := schemas.HeaderValue(copies[len(copies)-1].Headers, schemas.HeaderMaybeSent)
		wantEqual(t, "maybe sent in the new copy", "1", string(sent))
	})
}

// twoAccounts has a default that changed: commands without an account mean another one than they did.
type twoAccounts struct{ named, fallback refund.Account }

func (a twoAccounts) Account(_ schemas.Gateway, name string) (refund.Account, error) {
	if name == a.named.Name {
		return a.named, nil
	}
	return a.fallback, nil
}
