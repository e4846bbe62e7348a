package refund_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"refundworker/refund"
	"refundworker/schemas"
)

// quarantine is lease, gateway timeout and settling time of the test's processors.
const quarantine = lease + 15*time.Second + time.Minute

// forgetful is a bundle whose store has forgotten a claim of which nothing was published, and has been opened again. Its
// command was written an hour before, and its account promises nothing about repeats unless a window is given.
func forgetful(t *testing.T, window time.Duration) *bundle {
	t.Helper()
	// A bubble's time begins with the first moment that a message may have: there has to be a past.
	pass(48 * time.Hour)
	b := setup(t)
	acct := b.account()
	acct.ResendWindow = window
	if window == 0 {
		acct.Gateway, acct.InquireFirst = schemas.EftPay, true
		b.cmd.Gateway, b.cmd.EftPay = schemas.EftPay, &schemas.EftPayFields{PaymentType: "ALIPAYHK"}
	}
	b.Processor = b.processor(t, acct)
	b.store.Forget()
	b.store.NewEpoch(refund.Epoch{Began: time.Now()})
	return b
}

// old is the command as a message of before the epoch.
func (b *bundle) old(t *testing.T, age time.Duration) refund.Message {
	t.Helper()
	m := b.message(t)
	m.Time = time.Now().Add(-age)
	return m
}

// copied is the newest copy, with the time at which it was written.
func (b *bundle) copied(t *testing.T, at time.Time) refund.Message {
	t.Helper()
	m := b.copyMessage(t)
	m.Time = at
	return m
}

func absent() answer    { return answer{Result: refund.Result{Verdict: refund.Absent}} }
func showsNone() answer { return answer{Result: refund.Result{ShowsNone: true}} }
func declined() answer {
	return answer{Result: refund.Result{Verdict: refund.Declined, Code: schemas.CodeAmountExceeded}}
}

func (b *bundle) calls(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, b.gateway.called()); diff != "" {
		t.Fatalf("calls (-want +got):\n%s", diff)
	}
}

// last is the newest outcome.
func (b *bundle) last(t *testing.T) schemas.Outcome {
	t.Helper()
	all := b.outcomes(t)
	if len(all) == 0 {
		t.Fatal("no outcome")
	}
	return all[len(all)-1]
}

// M5: a refund that is not visible yet when the store has forgotten it, and a duplicate that looks new.
func TestAfterAmnesiaAGatewayWithoutPromisesIsOnlyAskedUntilItMustHaveShown(t *testing.T) {
	t.Parallel()
	for name, age := range map[string]time.Duration{"the command again": time.Hour, "a duplicate written since": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := forgetful(t, 0)
				b.gateway.inquiries = []answer{showsNone(), absent(), succeeded()}
				b.run(t, b.old(t, age))
				b.calls(t, "inquire")
				if out := b.last(t); out.Code != schemas.CodeGatewayUnavailable || out.Attempt != 0 || out.NeedsReview {
					t.Fatalf("%+v", out)
				}
				wait := time.Until(b.last(t).NextAttemptAt.Time)
				if wait < quarantine {
					t.Errorf("the next pass is due after %v, within the quarantine of %v", wait, quarantine)
				}
				written := time.Now()
				pass(quarantine - time.Second)
				b.runCopy(t, b.copied(t, written))
				b.calls(t, "inquire", "inquire")
				pass(2 * time.Second)
				b.runCopy(t, b.copied(t, time.Now()))
				b.calls(t, "inquire", "inquire", "inquire")
				if out := b.last(t); out.Status != schemas.Success || out.Attempt != 1 {
					t.Errorf("%+v", out)
				}
			})
		})
	}
}

func TestAfterTheQuarantineWhatAnInquiryDoesNotShowIsSentForTheFirstTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := forgetful(t, 0)
		pass(quarantine)
		b.gateway.inquiries, b.gateway.refunds = []answer{showsNone()}, []answer{declined()}
		b.run(t, b.old(t, time.Hour))
		b.calls(t, "inquire", "refund")
		if out := b.last(t); out.Status != schemas.Failed || out.Code != schemas.CodeAmountExceeded || out.Attempt != 1 {
			t.Errorf("%+v", out)
		}
	})
}

func TestInTheQuarantineProofCounts(t *testing.T) {
	t.Parallel()
	for want, found := range map[schemas.Status]answer{schemas.Success: succeeded(), schemas.Failed: declined()} {
		synctest.Test(t, func(t *testing.T) {
			b := forgetful(t, 0)
			b.gateway.inquiries = []answer{found}
			b.run(t, b.old(t, time.Hour))
			b.calls(t, "inquire")
			if out := b.last(t); out.Status != want {
				t.Errorf("%+v", out)
			}
		})
	}
}

// An account may be told not to inquire before a first send. After amnesia a first send is not known to be one.
func TestWhatWasOnItsWayWhenTheStoreForgotIsInquiredWhateverTheAccountSays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := forgetful(t, 0)
		acct := b.account()
		acct.Gateway, acct.ResendWindow = schemas.EftPay, 0
		b.Processor = b.processor(t, acct)
		b.gateway.inquiries = []answer{{Result: refund.Result{Verdict: refund.NotSent}}, succeeded()}
		pass(quarantine)
		b.run(t, b.old(t, time.Hour+quarantine))
		b.calls(t, "inquire")
		// Its copy is new, and carries the doubt on: nobody has answered yet.
		pass(time.Minute)
		b.runCopy(t, b.copied(t, time.Now()))
		b.calls(t, "inquire", "inquire")
		if out := b.last(t); out.Status != schemas.Success {
			t.Errorf("%+v", out)
		}
		// What was written after the doubt had ended is sent as ever.
		b.cmd.RequestID = "rf-2"
		b.gateway.refunds = []answer{succeeded()}
		b.run(t, b.old(t, 0))
		b.calls(t, "inquire", "inquire", "refund")
	})
}

// M4 at the gateway that makes a repeat safe: the claim and the send are lost, the command comes again.
func TestAfterAmnesiaARepeatWithinTheWindowIsSentAgainOnceAnInquiryShowsNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := forgetful(t, 12*time.Hour)
		b.gateway.inquiries, b.gateway.refunds = []answer{absent()}, []answer{succeeded()}
		b.run(t, b.old(t, time.Hour))
		b.calls(t, "inquire", "refund")
		if out := b.last(t); out.Status != schemas.Success {
			t.Errorf("%+v", out)
		}
	})
}

func TestAfterAmnesiaARepeatPastTheWindowIsNeverSent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		since time.Duration
		calls []string
		code  schemas.Code
	}{
		"anything may be lost":                    {calls: []string{"inquire"}, code: schemas.CodeNeedsReview},
		"only what was claimed in the last hours": {since: 2 * time.Hour, calls: []string{"inquire", "refund"}, code: schemas.CodeRefunded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := forgetful(t, 12*time.Hour)
				if tt.since > 0 {
					b.store.NewEpoch(refund.Epoch{Began: time.Now(), Since: time.Now().Add(-tt.since)})
				}
				b.gateway.inquiries, b.gateway.refunds = []answer{absent()}, []answer{succeeded()}
				b.run(t, b.old(t, 13*time.Hour))
				b.calls(t, tt.calls...)
				if out := b.last(t); out.Code != tt.code {
					t.Errorf("%+v", out)
				}
			})
		})
	}
}

// The first send may still be under way, and be what the second one is declined for.
func TestADeclineWhileTheDoubtRunsNeedsAnInquiryThatAgrees(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		after  answer
		status schemas.Status
	}{
		"it agrees":        {declined(), schemas.Failed},
		"it found it":      {succeeded(), schemas.Success},
		"it does not know": {answer{}, schemas.RetryPending},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := forgetful(t, 12*time.Hour)
				b.gateway.inquiries, b.gateway.refunds = []answer{absent(), tt.after}, []answer{declined()}
				b.run(t, b.old(t, time.Minute))
				b.calls(t, "inquire", "refund", "inquire")
				if out := b.last(t); out.Status != tt.status {
					t.Errorf("%+v", out)
				}
			})
		})
	}
}

// EXPIRED, and every other refusal of our own, is for what was never sent. After amnesia it takes time and an inquiry to
// say so.
func TestAfterAmnesiaOurOwnSideRefusesNothingThatMayHaveBeenSent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		refuse func(*bundle)
		code   schemas.Code
	}{
		"expired":    {func(b *bundle) { b.cmd.Deadline = schemas.TimePtr(time.Now().Add(-time.Minute)) }, schemas.CodeExpired},
		"the limits": {func(b *bundle) { b.gateway.check = "more than the gateway takes" }, schemas.CodeInvalidRequest},
		"the cap": {func(b *bundle) {
			b.store.answer = func(c refund.Claim) refund.Claim { c.CapExceeded = true; return c }
		}, schemas.CodeAmountExceeded},
	} {
		for _, window := range []time.Duration{0, 12 * time.Hour} {
			t.Run(name+" "+window.String(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					b := forgetful(t, window)
					tt.refuse(b)
					b.gateway.inquiries = []answer{absent(), {}, absent()}
					b.run(t, b.old(t, time.Hour))
					b.calls(t, "inquire")
					if out := b.last(t); out.Code != schemas.CodeGatewayUnavailable || out.Attempt != 0 {
						t.Fatalf("while the doubt runs: %+v", out)
					}
					written := time.Now()
					pass(quarantine)
					b.runCopy(t, b.copied(t, written))
					b.calls(t, "inquire", "inquire")
					if out := b.last(t); out.Status != schemas.RetryPending {
						t.Fatalf("without an answer: %+v", out)
					}
					pass(time.Minute)
					b.runCopy(t, b.copied(t, time.Now()))
					b.calls(t, "inquire", "inquire", "inquire")
					if out := b.last(t); out.Status != schemas.Failed || out.Code != tt.code {
						t.Errorf("once it is cleared: %+v", out)
					}
				})
				synctest.Test(t, func(t *testing.T) {
					b := forgetful(t, window)
					tt.refuse(b)
					b.gateway.inquiries = []answer{succeeded()}
					b.run(t, b.old(t, time.Hour))
					b.calls(t, "inquire")
					if out := b.last(t); out.Status != schemas.Success {
						t.Errorf("what has moved is called %+v", out)
					}
				})
			})
		}
	}
}

func TestPastTheWindowOurOwnLimitsFailNothingEither(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := forgetful(t, 12*time.Hour)
		b.gateway.check = "more than the gateway takes"
		b.gateway.inquiries = []answer{absent()}
		pass(quarantine)
		b.run(t, b.old(t, 13*time.Hour))
		b.calls(t, "inquire")
		if out := b.last(t); out.Code != schemas.CodeNeedsReview {
			t.Errorf("%+v", out)
		}
	})
}

func TestAFirstEpochDoubtsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pass(48 * time.Hour)
		b := setup(t)
		b.cmd.Deadline = schemas.TimePtr(time.Now().Add(-time.Minute))
		b.run(t, b.old(t, time.Hour))
		if called := b.gateway.called(); len(called) > 0 {
			t.Errorf("calls %v", called)
		}
		if out := b.last(t); out.Code != schemas.CodeExpired {
			t.Errorf("%+v", out)
		}
	})
}

// While the store has forgotten, passes wait as they do while it is away; what was under way is stored afterwards.
func TestAPassThatIsUnderWayWaitsUntilTheStoreIsRefilled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{succeeded()}
		b.gateway.refunds[0].hook = b.store.Forget
		done := make(chan error, 1)
		go func() { done <- b.Command(t.Context(), b.message(t)) }()
		pass(time.Minute)
		synctest.Wait()
		if n := len(b.outcomes(t)); n > 0 {
			t.Fatalf("%d outcomes were published of a store that cannot keep them", n)
		}
		b.store.NewEpoch(refund.Epoch{Began: time.Now()})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if out := b.last(t); out.Status != schemas.Success {
			t.Errorf("%+v", out)
		}
	})
}

// The record of a decline went with the rest: the claim is lost, and what was sent must not look like nothing.
func TestADeclineWhoseRecordWasForgottenIsInquiredAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds, b.gateway.inquiries = []answer{declined()}, []answer{declined()}
		b.gateway.refunds[0].hook = func() {
			b.store.Forget()
			b.store.NewEpoch(refund.Epoch{Began: time.Now()})
		}
		b.run(t, b.message(t))
		b.calls(t, "refund", "inquire")
		if out := b.last(t); out.Status != schemas.Failed {
			t.Errorf("%+v", out)
		}
	})
}

// What the rebuild needs of an event is in its headers.
func TestEveryOutcomeCarriesWhatRebuildsItsRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		seen := time.Now()
		b.gateway.refunds, b.gateway.inquiries = []answer{{}}, []answer{succeeded()}
		b.run(t, b.message(t))
		pass(10 * time.Second)
		b.runCopy(t, b.copyMessage(t))
		b.run(t, b.message(t)) // a duplicate, which is answered with the stored outcome
		var memos []schemas.Memo
		for _, e := range b.broker.on(refund.Results) {
			memo, err := schemas.ParseMemo(e.Headers)
			if err != nil {
				t.Fatal(err)
			}
			if memo.FingerprintVersion != 1 || memo.FingerprintSum == "" || memo.FingerprintSum != first(memos, memo).FingerprintSum {
				t.Errorf("fingerprint %+v", memo)
			}
			memos = append(memos, memo)
		}
		if len(memos) != 3 {
			t.Fatalf("%d events", len(memos))
		}
		for i, key := range []string{"rf-1", "", ""} {
			if memos[i].GatewayKey != key || !memos[i].FirstSeen.Equal(seen.Truncate(time.Millisecond)) {
				t.Errorf("event %d: %+v", i, memos[i])
			}
		}
	})
}

func first(memos []schemas.Memo, other schemas.Memo) schemas.Memo {
	if len(memos) > 0 {
		return memos[0]
	}
	return other
}
