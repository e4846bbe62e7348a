package dedupe

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// scenario begins with an empty store.
type scenario struct {
	name string
	play func(play)
}

// recordScenarios are what every store must do with a request's record.
var recordScenarios = []scenario{
	{"an absent request is granted fresh", func(p play) {
		c := p.claims(request("a", "t1"), refund.ClaimGranted)
		if c.Now.IsZero() {
			p.t.Fatal("no time")
		}
		c.Now = time.Time{}
		equal(p.t, c, refund.Claim{Status: refund.ClaimGranted, Fresh: true, Record: refund.Record{
			Account: "hk-stores", GatewayKey: "key of a", FirstSeen: firstSeen, Token: "t1",
		}})
	}},
	{"a first sight that nobody states is the store's own time", func(p play) {
		q := request("a", "t1")
		q.FirstSeen = time.Time{}
		c := p.claims(q, refund.ClaimGranted)
		equal(p.t, c.Record.FirstSeen, c.Now)
	}},
	{"the same token gets the same answer again, fresh included", func(p play) {
		first := p.claims(request("a", "t1"), refund.ClaimGranted)
		again := p.claims(request("a", "t1"), refund.ClaimGranted)
		first.Now, again.Now = time.Time{}, time.Time{}
		equal(p.t, again, first)
		p.lapse()
		if c := p.claims(request("a", "t1"), refund.ClaimGranted); !c.Fresh || c.Record.Takeovers != 0 {
			p.t.Fatalf("after its lease: %+v", c)
		}
		p.claims(request("a", "t2"), refund.ClaimBusy)
	}},
	{"another token is busy for what is left of the lease", func(p play) {
		p.claims(request("a", "t1"), refund.ClaimGranted)
		c := p.claims(request("a", "t2"), refund.ClaimBusy)
		if c.RetryIn <= 0 || c.RetryIn > time.Minute {
			p.t.Fatalf("retry in %s", c.RetryIn)
		}
		equal(p.t, c.Record.Token, "t1")
	}},
	{"a lapsed claim is taken over, and what it may have sent counts", func(p play) {
		p.claims(request("a", "t1", p.brief()), refund.ClaimGranted)
		p.lapse()
		c := p.claims(request("a", "t2"), refund.ClaimGranted)
		if c.Fresh || !c.Record.MaybeSent || c.Record.Takeovers != 1 || c.Record.Attempt != 1 {
			p.t.Fatalf("%+v", c)
		}
		again := p.claims(request("a", "t2"), refund.ClaimGranted)
		equal(p.t, again.Record, c.Record)
	}},
	{"since when a request may have been sent is what its owner says, or when an owner's death was found out", func(p play) {
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		w := waits(q, 1, 1, true)
		w.SentSince = firstSeen.Add(time.Hour)
		p.waited(w)
		c := p.claims(request("a", "t2", copyOf(1, 1, "v"), p.brief()), refund.ClaimGranted)
		equal(p.t, c.Record.SentSince, firstSeen.Add(time.Hour))
		p.lapse()
		equal(p.t, p.claims(request("a", "t3", copyOf(1, 1, "v")), refund.ClaimGranted).Record.SentSince, firstSeen.Add(time.Hour))

		p.claims(request("b", "t1", p.brief()), refund.ClaimGranted)
		p.lapse()
		c = p.claims(request("b", "t2"), refund.ClaimGranted)
		equal(p.t, c.Record.SentSince, c.Now)
		equal(p.t, p.claims(request("c", "t1", copyOf(2, 1, "v")), refund.ClaimGranted).Record.SentSince, time.Time{}) // not known
	}},
	{"a command that outlives six owners goes to review", func(p play) {
		for i := range maxTakeovers + 1 {
			c := p.claims(request("a", "t"+strconv.Itoa(i), p.brief()), refund.ClaimGranted)
			equal(p.t, c.Record.Takeovers, i)
			p.lapse()
		}
		c := p.claims(request("a", "last"), refund.ClaimInReview)
		equal(p.t, c.Record.Takeovers, maxTakeovers+1)
		equal(p.t, c.Record.Code, schemas.CodeNeedsReview)
		equal(p.t, c.Record.MaybeSent, true)
		p.claims(request("a", "later"), refund.ClaimInReview)
		equal(p.t, p.settle(failed(request("a", "t5"), "no")), refund.Settled{Lost: true})
		p.claims(request("b", "other", pays("payment of a", 1, 0)), refund.ClaimGranted)
	}},
	{"a settled request answers with its bytes, and with its status once they expired", func(p play) {
		s := p.bench.open(p.t, Config{OutcomeTTL: p.bench.brief, TombstoneTTL: time.Hour})
		p.port = s
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		p.settles(proven(q, "bytes \x00|%"), "bytes \x00|%")
		if c := p.claim(request("a", "t2")); c.Status == refund.ClaimSettled {
			equal(p.t, string(c.Outcome), "bytes \x00|%")
		}
		p.lapse()
		c := p.claims(request("a", "t3"), refund.ClaimTombstone)
		equal(p.t, c.Settled, refund.SettledAs{Status: schemas.Success, Code: schemas.CodeRefunded})
		equal(p.t, c.Record, refund.Record{FirstSeen: firstSeen})
		equal(p.t, p.settle(proven(q, "other")), refund.Settled{Stored: true})
	}},
	{"a settled request never changes", func(p play) {
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		p.settles(failed(q, "first"), "first")
		p.settles(failed(q, "second"), "first")
		p.settles(proven(q, "third"), "first")
		equal(p.t, p.wait(waits(q, 1, 1, true)), refund.Waited{Lost: true})
		p.release(q)
		c := p.claims(request("a", "t2"), refund.ClaimSettled)
		equal(p.t, string(c.Outcome), "first")
		equal(p.t, c.Settled, refund.SettledAs{Status: schemas.Failed, Code: schemas.CodeRefundFailed})
	}},
	{"a settle looks at the token, not at the lease", func(p play) {
		q := request("a", "t1", p.brief())
		p.claims(q, refund.ClaimGranted)
		p.lapse()
		p.settles(failed(q, "late"), "late")
	}},
	{"a decline without the claim is lost", func(p play) {
		q := request("a", "t1", p.brief())
		equal(p.t, p.settle(failed(q, "absent")), refund.Settled{Lost: true})
		p.claims(q, refund.ClaimGranted)
		p.lapse()
		p.claims(request("a", "t2"), refund.ClaimGranted)
		equal(p.t, p.settle(failed(q, "taken over")), refund.Settled{Lost: true})
		p.claims(request("a", "t3"), refund.ClaimBusy)
	}},
	{"L1: a copy above its record is granted, as maybe sent", func(p play) {
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		p.waited(waits(q, 1, 1, false))
		c := p.claims(request("a", "t2", copyOf(3, 2, "retry/0/9")), refund.ClaimGranted)
		if c.Fresh || !c.Record.MaybeSent || c.Record.Hop != 3 || c.Record.Attempt != 2 {
			p.t.Fatalf("%+v", c)
		}
	}},
	{"L1: a copy without a record is adopted as maybe sent, and so again by the same token", func(p play) {
		q := request("a", "t1", copyOf(3, 2, "retry/0/9"))
		for range 2 {
			c := p.claims(q, refund.ClaimGranted)
			c.Now = time.Time{}
			equal(p.t, c, refund.Claim{Status: refund.ClaimGranted, Record: refund.Record{
				Hop: 3, Attempt: 2, MaybeSent: true, Account: "hk-stores", GatewayKey: "key of a", FirstSeen: firstSeen, Token: "t1",
			}})
		}
	}},
	{"a waiting request is granted to its copy, with what it knew", func(p play) {
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		w := waits(q, 1, 1, true)
		w.GatewayRefundID = "gw|1%"
		p.waited(w)
		early := request("a", "t2", copyOf(1, 1, "retry/0/9"))
		early.FirstSeen = firstSeen.Add(-time.Hour)
		c := p.claims(early, refund.ClaimGranted)
		equal(p.t, c.Record, refund.Record{
			Hop: 1, Attempt: 1, MaybeSent: true, Account: "hk-stores", GatewayKey: "key of a", GatewayRefundID: "gw|1%",
			FirstSeen: firstSeen.Add(-time.Hour), Token: "t2", Code: schemas.CodeUnknownOutcome, Due: due,
			Via: "refunds.commands/3/1042",
		})
		equal(p.t, c.Fresh, false)
	}},
	{"what was never sent waits as never sent, and is not fresh again", func(p play) {
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		p.waited(waits(q, 1, 0, false))
		c := p.claims(request("a", "t2", copyOf(1, 0, "retry/0/9")), refund.ClaimGranted)
		if c.Fresh || c.Record.MaybeSent || c.Record.Attempt != 0 {
			p.t.Fatalf("%+v", c)
		}
	}},
	{"L2: whoever put a request to waiting, and any duplicate command, writes the copy again; a stale copy does not", func(p play) {
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		p.waited(waits(q, 1, 1, true))
		second := request("a", "t2", copyOf(1, 1, "retry/0/9"))
		p.claims(second, refund.ClaimGranted)
		w := waits(second, 2, 2, true)
		w.Code, w.GatewayRefundID = schemas.CodeInProcess, "gw-2"
		p.waited(w)
		want := refund.Record{
			Hop: 2, Attempt: 2, MaybeSent: true, Account: "hk-stores", GatewayKey: "key of a", GatewayRefundID: "gw-2",
			FirstSeen: firstSeen, Token: "t2", Code: schemas.CodeInProcess, Due: due, Via: "retry/0/9",
		}
		equal(p.t, p.claims(request("a", "t3", copyOf(1, 1, "retry/0/9")), refund.ClaimRewrite).Record, want)
		equal(p.t, p.claims(request("a", "t4"), refund.ClaimRewrite).Record, want)
		p.claims(request("a", "t5", copyOf(1, 1, "retry/0/8")), refund.ClaimSuperseded)
		p.claims(request("a", "t6", copyOf(2, 2, "retry/0/10")), refund.ClaimGranted)
	}},
	{"a wait is repeatable by its token and hop, and by nothing else", func(p play) {
		q := request("a", "t1")
		equal(p.t, p.wait(waits(q, 1, 1, true)), refund.Waited{Lost: true})
		p.claims(q, refund.ClaimGranted)
		p.waited(waits(q, 1, 1, true))
		p.waited(waits(q, 1, 1, true))
		equal(p.t, p.wait(waits(q, 2, 1, true)), refund.Waited{Lost: true})
		equal(p.t, p.wait(waits(request("a", "t2"), 1, 1, true)), refund.Waited{Lost: true})
	}},
	{"a wait must lead on from the claimed hop", func(p play) {
		q := request("a", "t1", copyOf(2, 1, "retry/0/9"))
		p.claims(q, refund.ClaimGranted)
		equal(p.t, p.wait(waits(q, 2, 1, true)), refund.Waited{Lost: true})
		p.waited(waits(q, 3, 1, true))
	}},
	{"L9: a replayed wait of an earlier attempt moves nothing", func(p play) {
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		p.waited(waits(q, 1, 1, true))
		later := request("a", "t2", copyOf(1, 1, "retry/0/9"))
		p.claims(later, refund.ClaimGranted)
		equal(p.t, p.wait(waits(q, 1, 1, true)), refund.Waited{Lost: true})
		equal(p.t, p.wait(waits(q, 2, 1, true)), refund.Waited{Lost: true})
		p.release(q)
		equal(p.t, p.settle(failed(q, "stale")), refund.Settled{Lost: true})
		p.claims(request("a", "t3"), refund.ClaimBusy)
		p.waited(waits(later, 2, 2, true))
		equal(p.t, p.wait(waits(q, 1, 1, true)), refund.Waited{Lost: true})
		equal(p.t, p.claims(request("a", "t4"), refund.ClaimRewrite).Record.Hop, 2)
	}},
	{"L9: a replayed claim of an earlier attempt moves nothing", func(p play) {
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		p.waited(waits(q, 1, 1, true))
		p.claims(q, refund.ClaimRewrite)
		later := request("a", "t2", copyOf(1, 1, "retry/0/9"))
		p.claims(later, refund.ClaimGranted)
		p.claims(q, refund.ClaimBusy)
		p.settles(failed(later, "done"), "done")
		p.claims(q, refund.ClaimSettled)
	}},
	{"review is closed to everything but proof", func(p play) {
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		w := waits(q, 1, 1, true)
		w.Review, w.Code = true, schemas.CodeNeedsReview
		p.waited(w)
		p.waited(w)
		c := p.claims(request("a", "t2", copyOf(1, 1, "retry/0/9")), refund.ClaimInReview)
		equal(p.t, c.Record.Code, schemas.CodeNeedsReview)
		equal(p.t, p.settle(failed(q, "no")), refund.Settled{Lost: true})
		p.settles(proven(request("a", "t3"), "yes"), "yes")
		p.claims(request("a", "t4"), refund.ClaimSettled)
	}},
	{"L6: a verified success settles over another owner, and over an absent record", func(p play) {
		q := request("a", "t1", p.brief())
		p.claims(q, refund.ClaimGranted)
		p.lapse()
		thief := request("a", "t2")
		p.claims(thief, refund.ClaimGranted)
		p.settles(proven(q, "moved"), "moved")
		equal(p.t, p.settle(failed(thief, "declined")), refund.Settled{Stored: true, Outcome: []byte("moved")})
		p.settles(proven(request("b", "t3", hop(2)), "moved too"), "moved too")
		c := p.claims(request("b", "t4"), refund.ClaimSettled)
		equal(p.t, string(c.Outcome), "moved too")
		equal(p.t, c.Record, refund.Record{FirstSeen: firstSeen})
		p.claims(request("b", "t5", printed(1, "another command")), refund.ClaimConflict)
	}},
	{"L6: a verified success settles over waiting", func(p play) {
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		p.waited(waits(q, 1, 1, true))
		p.settles(proven(q, "moved"), "moved")
		p.claims(request("a", "t2", copyOf(1, 1, "retry/0/9")), refund.ClaimSettled)
	}},
	{"M13: proof of one command takes the ID back from another that owns it", func(p play) {
		rival := request("a", "t1", printed(1, "fifty"), pays("elsewhere", 50, 0))
		p.claims(rival, refund.ClaimGranted)
		p.settles(proven(request("a", "t2"), "a hundred moved"), "a hundred moved")
		p.claims(request("a", "t3"), refund.ClaimSettled)
		p.claims(rival, refund.ClaimConflict)
	}},
	{"M14: another command under a known ID is a conflict in every state, and changes nothing", func(p play) {
		other := request("a", "x", printed(1, "another command"))
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		conflict := func() {
			p.t.Helper()
			equal(p.t, p.claims(other, refund.ClaimConflict).Record, refund.Record{})
		}
		conflict()
		p.waited(waits(q, 1, 1, true))
		conflict()
		second := request("a", "t2", copyOf(1, 1, "retry/0/9"))
		equal(p.t, p.claims(second, refund.ClaimGranted).Record.Attempt, 1)
		p.settles(failed(second, "done"), "done")
		conflict()
	}},
	{"M14: a fingerprint is compared in the version it was stored in", func(p play) {
		p.claims(request("a", "t1"), refund.ClaimGranted)
		newer := func(sum string) change {
			return func(q *refund.ClaimRequest) {
				q.Fingerprints = []refund.Fingerprint{{Version: 2, Sum: "a newer recipe"}, {Version: 1, Sum: sum}}
			}
		}
		p.claims(request("a", "t2", newer("sum of a")), refund.ClaimBusy)
		p.claims(request("a", "t2", newer("another command")), refund.ClaimConflict)
		p.claims(request("a", "t2", printed(2, "a newer recipe")), refund.ClaimUnknownVersion)
	}},
	{"M3: account and gateway key stay as they were first claimed", func(p play) {
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		p.waited(waits(q, 1, 1, true))
		moved := request("a", "t2", copyOf(1, 1, "retry/0/9"))
		moved.Account, moved.GatewayKey = "other account", "other key"
		c := p.claims(moved, refund.ClaimGranted)
		equal(p.t, [2]string{c.Record.Account, c.Record.GatewayKey}, [2]string{"hk-stores", "key of a"})
	}},
	{"M6: a request is known long after its outcome", func(p play) {
		p.port = p.bench.open(p.t, Config{OutcomeTTL: p.bench.brief / 2, TombstoneTTL: 1000 * p.bench.brief})
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		p.settle(failed(q, "done"))
		p.lapse()
		p.claims(request("a", "t2"), refund.ClaimTombstone)
	}},
	{"a record and its payment are forgotten when the tombstone ends", func(p play) {
		p.port = p.bench.open(p.t, Config{OutcomeTTL: p.bench.brief, TombstoneTTL: p.bench.brief})
		q := request("a", "t1", pays("p", 10, 10), p.brief())
		p.claims(q, refund.ClaimGranted)
		p.settle(proven(q, "done"))
		p.lapse()
		if c := p.claims(request("a", "t2", pays("p", 10, 10)), refund.ClaimGranted); !c.Fresh || c.CapExceeded || c.OthersKnown {
			p.t.Fatalf("%+v", c)
		}
	}},
	{"a released request is absent again, and its payment free", func(p play) {
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		p.release(q)
		p.release(q)
		if c := p.claims(request("a", "t2"), refund.ClaimGranted); !c.Fresh || c.Record.Takeovers != 0 {
			p.t.Fatalf("%+v", c)
		}
	}},
	{"a released request waits again as it did", func(p play) {
		q := request("a", "t1")
		p.claims(q, refund.ClaimGranted)
		p.waited(waits(q, 1, 1, false))
		before := p.claims(q, refund.ClaimRewrite).Record
		above := request("a", "t2", copyOf(4, 3, "retry/0/9"))
		p.claims(above, refund.ClaimGranted)
		p.release(above)
		equal(p.t, p.claims(q, refund.ClaimRewrite).Record, before)
	}},
	{"a released takeover leaves the lapsed claim as it was", func(p play) {
		q := request("a", "t1", p.brief())
		p.claims(q, refund.ClaimGranted)
		p.lapse()
		taken := request("a", "t2")
		p.claims(taken, refund.ClaimGranted)
		p.release(taken)
		c := p.claims(request("a", "t3"), refund.ClaimGranted)
		equal(p.t, [2]int{c.Record.Takeovers, c.Record.Attempt}, [2]int{1, 1})
		p.release(request("a", "t3"))
		p.settles(failed(q, "the first owner was only slow"), "the first owner was only slow")
	}},
}

func TestEveryStoreConforms(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			bench := kind.start(t)
			for _, s := range slices.Concat(recordScenarios, paymentScenarios, leftoverScenarios, signalScenarios, restoreScenarios) {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					s.play(newPlay(t, bench(t)))
				})
			}
		})
	}
}
