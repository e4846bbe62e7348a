package refund_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"refundworker/refund"
	"refundworker/schemas"
)

// sequence is what one play of a command came to.
type sequence struct {
	*truth
	outcomes []schemas.Outcome
	// final is the outcome that counts; empty when the request still waits, or is in review.
	final schemas.Status
	// passes is how many messages were handed in; done: the last of them was, and left no copy to come.
	passes int
	done   bool
}

// play drives a command and its copies through the real core, with a worker that may die in any pass and messages that
// may come again, against a gateway that knows the truth. The bytes decide everything.
func play(t *testing.T, plan []byte) (seq sequence) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		g := &truth{choices: &choices{left: plan}, began: time.Now()}
		acct := b.account()
		acct.Client = g
		if g.pick(2) == 1 {
			acct.ResendWindow, acct.InquireFirst = 0, g.pick(2) == 0
		}
		g.contract = contract{acct.ResendWindow, acct.InquireFirst, g.pick(2) == 1, g.pick(2) == 1}
		if g.pick(4) == 3 {
			b.cmd.Deadline = &schemas.Time{Time: g.began.Add(time.Minute)}
		}
		p := b.processor(t, acct)
		m, take := b.message(t), p.Command
		for ; seq.passes < 30; seq.passes++ {
			copies := len(b.broker.on(refund.Retry))
			if g.one(5) {
				b.dies(t, take, m)
				continue // the message comes again
			}
			if err := take(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if g.one(6) {
				continue // its offset was not committed
			}
			if seq.done = len(b.broker.on(refund.Retry)) == copies; seq.done {
				break
			}
			m, take = b.copyMessage(t), p.Copy
			pass([]time.Duration{10 * time.Second, time.Hour, 11 * time.Hour, 13 * time.Hour}[g.pick(4)])
		}
		seq.truth, seq.outcomes = g, b.outcomes(t)
	})
	seq.land()
	for _, out := range seq.outcomes {
		if out.Final {
			if seq.final != "" && seq.final != out.Status {
				seq.broken = append(seq.broken, "two ends: "+string(seq.final)+" and "+string(out.Status))
			}
			seq.final = out.Status
		}
	}
	switch last := len(seq.outcomes) - 1; {
	case seq.done && (last < 0 || seq.final == "" && !seq.outcomes[last].NeedsReview):
		seq.broken = append(seq.broken, "done, and neither ended nor in review")
	case seq.times > 1:
		seq.broken = append(seq.broken, "the money has moved "+strconv.Itoa(seq.times)+" times")
	case seq.final == schemas.Failed && seq.times > 0:
		seq.broken = append(seq.broken, "called failed, and the money has moved")
	case seq.final == schemas.Success && seq.times == 0:
		seq.broken = append(seq.broken, "called a success, and no money has moved")
	}
	return seq
}

// String says what is wrong, and how it came about.
func (s sequence) String() string {
	return fmt.Sprintf("%v\nafter %d passes and %d sends: %v", s.broken, s.passes, s.sends, status(s.outcomes))
}

// dies runs a pass whose process dies behind its calls: nothing after the claim reaches the store.
func (b *bundle) dies(t *testing.T, take func(context.Context, refund.Message) error, m refund.Message) {
	t.Helper()
	ctx, die := context.WithTimeout(t.Context(), time.Second)
	defer die()
	b.store.cut.Store(true)
	defer b.store.cut.Store(false)
	// It may have had nothing to store, as for a message that was done before.
	_ = take(ctx, m)
}

// No sequence of verdicts, over as many passes as it takes, leads to a false end, a second movement of money, or a
// second send that was not provably safe.
func TestNoSequenceOfPassesMovesMoneyTwiceOrTellsAFalseEnd(t *testing.T) {
	t.Parallel()
	for i := range 12 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				plan := rapid.SliceOfN(rapid.Byte(), 80, 120).Draw(rt, "plan")
				if seq := play(t, plan); len(seq.broken) > 0 {
					rt.Fatal(seq)
				}
			})
		})
	}
}

// The same, led by the fuzzer to sequences that chance does not meet.
func FuzzSequence(f *testing.F) {
	for _, plan := range []string{
		"",                                 // sent, and a success at once
		"\x00\x00\x00\x00\x00\x00\x00\xdd", // a lost answer, a safe second send
		"\x00\x00\x00\x00\x00\x00\x00\x37\x51\x49",                                                         // the same after deaths
		"\x00\x00\x00\x00\x34\x00\x00\x87\x00\x00\x00\x00\x00\x00\x68",                                     // a second send that is declined, and so is the inquiry
		"\x00\x00\x00\x00\x3c\x00\x00\xa1\x00\x00\x00\x00\x00\x37\x00\x00\x00\x5b\xf6\x00\x9d",             // the same over several passes
		"\x00\x00\x00\xd4\x38\x00\x00\xb5\x00\x00\x00\x00\x00\x76\x00\x00\x00\x00\x00\x00\x9a",             // two sends, and a review
		"\xa2\x00\x00\x00\x42\x00\x00\x00\x00\x00\x6c\x00\x53\x00\x4b\x00\x29",                             // a deadline that passes, nothing sent
		"\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x24\x00\xff\x00\x00\x00\x00\x00\x72",                 // no second send is safe: a review
		"\x29\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xe1\x00\x00\x00\x00\x00\x00\x00\x00\x00\x51\x4d", // no second send is safe: many passes
	} {
		f.Add([]byte(plan))
	}
	f.Fuzz(func(t *testing.T, plan []byte) {
		if seq := play(t, plan); len(seq.broken) > 0 {
			t.Fatal(seq)
		}
	})
}
