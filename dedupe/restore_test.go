package dedupe

import (
	"context"
	"errors"
	"testing"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// tell edits an event of the table below.
type tell func(*Remembered)

// told is what an outcome event of the request would tell that request makes. It is a minute old.
func (p play) told(id string, edits ...tell) Remembered {
	q := request(id, "t0")
	now := time.Now()
	if m, ok := p.port.(*Memory); ok {
		now = m.now()
	}
	m := Remembered{
		RequestID: id, Fingerprint: q.Fingerprints[0], Payment: q.Payment, Status: schemas.Success, Code: schemas.CodeRefunded,
		Hop: 2, Attempt: 3, Account: q.Account, GatewayKey: q.GatewayKey, GatewayRefundID: "gw|1", FirstSeen: firstSeen,
		OccurredAt: now.Add(-time.Minute), Outcome: []byte("what was published of " + id),
	}
	for _, edit := range edits {
		edit(&m)
	}
	return m
}

func failing(m *Remembered) { m.Status, m.Code = schemas.Failed, schemas.CodeRefundFailed }

func open(hop int) tell {
	return func(m *Remembered) {
		m.Status, m.Code, m.Hop, m.Token, m.Due = schemas.RetryPending, schemas.CodeUnknownOutcome, hop, "t-open", due
	}
}

func reviewed(m *Remembered)        { open(4)(m); m.Review, m.Code = true, schemas.CodeNeedsReview }
func withoutPrint(m *Remembered)    { m.Fingerprint = refund.Fingerprint{} }
func withoutKey(m *Remembered)      { m.GatewayKey = "" }
func aged(d time.Duration) tell     { return func(m *Remembered) { m.OccurredAt = m.OccurredAt.Add(-d) } }
func saying(outcome string) tell    { return func(m *Remembered) { m.Outcome = []byte(outcome) } }
func since(first time.Time) tell    { return func(m *Remembered) { m.FirstSeen = first } }
func of(ref refund.PaymentRef) tell { return func(m *Remembered) { m.Payment = ref } }

func (p play) restores(events ...Remembered) Restored {
	p.t.Helper()
	s, ok := p.port.(interface {
		Restore(context.Context, []Remembered) (Restored, error)
	})
	if !ok {
		p.t.Fatalf("%T restores nothing", p.port)
	}
	r, err := s.Restore(p.t.Context(), events)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// restoreScenarios are what every store must do with what was published.
var restoreScenarios = []scenario{
	{"a final outcome comes back with its bytes", func(p play) {
		equal(p.t, p.restores(p.told("a")), Restored{Settled: 1})
		c := p.claims(request("a", "t1"), refund.ClaimSettled)
		equal(p.t, string(c.Outcome), "what was published of a")
		equal(p.t, c.Settled, refund.SettledAs{Status: schemas.Success, Code: schemas.CodeRefunded})
		equal(p.t, c.Record, refund.Record{FirstSeen: firstSeen})
		equal(p.t, p.restores(p.told("a", saying("other"))), Restored{Kept: 1})
		equal(p.t, string(p.claims(request("a", "t2"), refund.ClaimSettled).Outcome), "what was published of a")
	}},
	// M12: a failure that was forgotten, and replaced by the producer, is not carried out after all.
	{"a failure comes back before its duplicate is taken", func(p play) {
		p.restores(p.told("a", failing))
		c := p.claims(request("a", "t1"), refund.ClaimSettled)
		equal(p.t, c.Settled, refund.SettledAs{Status: schemas.Failed, Code: schemas.CodeRefundFailed})
	}},
	// M13: another command under the ID comes first after the forgetting.
	{"a rival of a final outcome that came back is a conflict", func(p play) {
		p.restores(p.told("a"))
		p.claims(request("a", "t1", printed(1, "another")), refund.ClaimConflict)
		p.claims(request("a", "t2", printed(9, "later build")), refund.ClaimUnknownVersion)
	}},
	{"a final outcome wins over a claim that a worker has just made", func(p play) {
		p.claims(request("a", "t1"), refund.ClaimGranted)
		equal(p.t, p.restores(p.told("a")), Restored{Settled: 1})
		equal(p.t, p.settle(failed(request("a", "t1"), "late")), refund.Settled{Stored: true, Outcome: []byte("what was published of a")})
		equal(p.t, p.wait(waits(request("a", "t1"), 1, 1, true)), refund.Waited{Lost: true})
		p.claims(request("b", "t2", pays("payment of a", 5, 0)), refund.ClaimGranted)
	}},
	{"a final outcome wins over waiting and review", func(p play) {
		p.claims(request("a", "t1"), refund.ClaimGranted)
		p.waited(waits(request("a", "t1"), 9, 1, true))
		p.restores(p.told("b", reviewed))
		equal(p.t, p.restores(p.told("a"), p.told("b", failing)), Restored{Settled: 2})
		p.claims(request("a", "t2"), refund.ClaimSettled)
		p.claims(request("b", "t3"), refund.ClaimSettled)
	}},
	{"what waits again is looked at should its copy be lost, and what settled is not", func(p play) {
		q := request("b", "t1")
		p.claims(q, refund.ClaimGranted)
		p.waited(held(q, 1, longAgo))
		equal(p.t, p.restores(p.told("a", open(1)), p.told("b")), Restored{Waiting: 1, Settled: 1})
		equal(p.t, p.overdue(), nil)
		equal(p.t, p.look().Message, nil) // nobody could work on it, so it is crossed off the schedule
		s, err := p.Look(p.t.Context(), "b")
		if err != nil || s.State != refund.SightSettled {
			p.t.Fatalf("%+v, %v", s, err)
		}
	}},
	{"the first final absorbs what comes after it, progress included", func(p play) {
		equal(p.t, p.restores(p.told("a", open(1)), p.told("a"), p.told("a", failing), p.told("a", open(7))), Restored{Waiting: 1, Settled: 1, Kept: 2})
		c := p.claims(request("a", "t1"), refund.ClaimSettled)
		equal(p.t, c.Settled.Status, schemas.Success)
	}},
	{"an old outcome comes back as a tombstone, and a very old one not at all", func(p play) {
		equal(p.t, p.restores(p.told("a", aged(DefaultOutcomeTTL)), p.told("b", aged(DefaultTombstoneTTL))), Restored{Tombstones: 1, Expired: 1})
		c := p.claims(request("a", "t1"), refund.ClaimTombstone)
		equal(p.t, c.Settled, refund.SettledAs{Status: schemas.Success, Code: schemas.CodeRefunded})
		p.claims(request("b", "t2"), refund.ClaimGranted)
	}},
	{"an open request comes back waiting, and maybe sent", func(p play) {
		equal(p.t, p.restores(p.told("a", open(2))), Restored{Waiting: 1})
		c := p.claims(request("a", "t1", copyOf(2, 3, "retry/0/7")), refund.ClaimGranted)
		equal(p.t, c.Record, refund.Record{
			Hop: 2, Attempt: 3, MaybeSent: true, Account: "hk-stores", GatewayKey: "key of a", GatewayRefundID: "gw|1",
			FirstSeen: firstSeen, Token: "t1", Code: schemas.CodeUnknownOutcome, Due: due,
		})
		equal(p.t, c.Fresh, false)
	}},
	{"whatever message of a restored request comes early may write its copy again", func(p play) {
		p.restores(p.told("a", open(2)))
		c := p.claims(request("a", "t1"), refund.ClaimRewrite)
		equal(p.t, c.Record.Token, "t-open")
		p.claims(request("a", "t2", copyOf(1, 1, "retry/0/6")), refund.ClaimRewrite)
	}},
	{"a review comes back as one", func(p play) {
		equal(p.t, p.restores(p.told("a", reviewed)), Restored{Review: 1})
		c := p.claims(request("a", "t1"), refund.ClaimInReview)
		equal(p.t, c.Record.Code, schemas.CodeNeedsReview)
		equal(p.t, c.Record.MaybeSent, true)
	}},
	// L8: a refill beside workers neither loses to their claims nor takes away what is newer than it knows.
	{"progress takes a claim of an earlier hop, and none of its own or a later one", func(p play) {
		p.claims(request("a", "t1"), refund.ClaimGranted)
		p.claims(request("b", "t2", copyOf(3, 3, "v")), refund.ClaimGranted)
		equal(p.t, p.restores(p.told("a", open(1)), p.told("b", open(3)), p.told("b", open(2))), Restored{Waiting: 1, Kept: 2})
		equal(p.t, p.settle(failed(request("a", "t1"), "x")), refund.Settled{Lost: true})
		p.settles(failed(request("b", "t2"), "b is done"), "b is done")
	}},
	{"a verified success settles over what came back", func(p play) {
		p.claims(request("a", "t1"), refund.ClaimGranted)
		p.restores(p.told("a", open(5)))
		p.settles(proven(request("a", "t1"), "moved"), "moved")
	}},
	{"the later of two progress events counts, whatever their order", func(p play) {
		equal(p.t, p.restores(p.told("a", open(3)), p.told("a", open(2))), Restored{Waiting: 1, Kept: 1})
		p.claims(request("a", "t1", copyOf(2, 2, "v")), refund.ClaimRewrite)
		p.claims(request("a", "t2", copyOf(3, 2, "v")), refund.ClaimGranted)
	}},
	{"a claim of which nothing was published is still a claim", func(p play) {
		p.claims(request("a", "t1"), refund.ClaimGranted)
		p.restores(p.told("b"))
		p.claims(request("a", "t2"), refund.ClaimBusy)
	}},
	{"the earlier first sight stays", func(p play) {
		p.claims(request("a", "t1", p.brief()), refund.ClaimGranted)
		p.restores(p.told("a", open(1), since(firstSeen.Add(time.Hour))), p.told("b", open(1), since(time.Time{})))
		p.lapse()
		equal(p.t, p.claims(request("a", "t2", copyOf(1, 1, "v")), refund.ClaimGranted).Record.FirstSeen, firstSeen)
	}},
	{"without a fingerprint the payment has to tell a rival, and an open request is in review", func(p play) {
		equal(p.t, p.restores(p.told("a", withoutPrint), p.told("b", withoutPrint, open(1)), p.told("c", withoutKey, open(1))), Restored{Settled: 1, Review: 2})
		p.claims(request("a", "t1", printed(7, "any")), refund.ClaimSettled)
		p.claims(request("a", "t2", pays("another payment", 1, 0)), refund.ClaimConflict)
		p.claims(request("b", "t3"), refund.ClaimInReview)
		p.claims(request("c", "t4"), refund.ClaimInReview)
	}},
	{"a payment gets its entries back: success, unknown, declined", func(p play) {
		ref := func(minor int64) refund.PaymentRef {
			r := request("x", "t", pays("shared", minor, 0)).Payment
			return r
		}
		p.restores(p.told("a", of(ref(400))), p.told("b", of(ref(300)), open(1)), p.told("c", of(ref(300)), open(1)), p.told("c", of(ref(300)), failing))
		// 400 have moved and 300 may have; the declined 300 do not count.
		if c := p.claims(request("fits", "t1", pays("shared", 300, 1000)), refund.ClaimGranted); c.CapExceeded || !c.OthersKnown {
			p.t.Fatalf("%+v", c)
		}
		p.release(request("fits", "t1", pays("shared", 300, 1000)))
		if c := p.claims(request("not", "t2", pays("shared", 301, 1000)), refund.ClaimGranted); !c.CapExceeded {
			p.t.Fatalf("%+v", c)
		}
	}},
	{"a declined request alone makes another one known", func(p play) {
		q := request("x", "t", pays("shared", 1, 0))
		p.restores(p.told("a", of(q.Payment), failing), p.told("b", of(q.Payment), failing))
		equal(p.t, p.claims(request("a2", "t1", pays("shared", 1, 0)), refund.ClaimGranted).OthersKnown, true)
	}},
	{"a success in the payment outlives a refill that knows less", func(p play) {
		q := request("a", "t1", pays("shared", 400, 0))
		p.claims(q, refund.ClaimGranted)
		p.settles(proven(q, "moved"), "moved")
		equal(p.t, p.restores(p.told("a", of(q.Payment), open(9)), p.told("a", of(q.Payment), failing)), Restored{Kept: 2})
		if c := p.claims(request("b", "t2", pays("shared", 700, 1000)), refund.ClaimGranted); !c.CapExceeded {
			p.t.Fatalf("%+v", c)
		}
	}},
	{"a request that was never sent is not made unknown to its payment", func(p play) {
		q := request("a", "t1", pays("shared", 400, 0))
		p.claims(q, refund.ClaimGranted)
		p.waited(waits(q, 1, 0, false))
		equal(p.t, p.restores(p.told("a", of(q.Payment), open(1))), Restored{Kept: 1})
		equal(p.t, p.claims(request("b", "t2", pays("shared", 1000, 1000)), refund.ClaimGranted).CapExceeded, false)
	}},
	{"restoring all of it again changes nothing", func(p play) {
		events := []Remembered{p.told("a", open(1)), p.told("a"), p.told("b", reviewed), p.told("c", open(3)), p.told("d", failing)}
		equal(p.t, p.restores(events...).Records(), 5)
		equal(p.t, p.restores(events...), Restored{Kept: 5})
		p.claims(request("c", "t1", copyOf(3, 1, "v")), refund.ClaimGranted)
		equal(p.t, p.restores(events...), Restored{Kept: 5})
		p.settles(failed(request("c", "t1"), "c is done"), "c is done")
	}},
}

func TestARecordOfANewerFormatIsLeftAlone(t *testing.T) {
	t.Parallel()
	r, _ := miniStore(t)
	if err := r.client.Set(t.Context(), r.keys.record("a"), "2|whatever", 0).Err(); err != nil {
		t.Fatal(err)
	}
	p := play{t: t, port: r}
	equal(t, p.restores(p.told("a")), Restored{Kept: 1})
	equal(t, r.client.Get(t.Context(), r.keys.record("a")).Val(), "2|whatever")
}

func TestTheRestOfALifeIsWhatIsLeftOfIt(t *testing.T) {
	t.Parallel()
	r, server := miniStore(t)
	p := play{t: t, port: r}
	p.restores(p.told("a", aged(time.Hour)))
	for key, whole := range map[string]time.Duration{r.keys.record("a"): DefaultTombstoneTTL, r.keys.outcome("a"): DefaultOutcomeTTL} {
		if left := server.TTL(key); left > whole-time.Hour || left < whole-2*time.Hour {
			t.Errorf("%s lives for %v of %v", key, left, whole)
		}
	}
}

func TestAStoreThatIsAwayRestoresNothing(t *testing.T) {
	t.Parallel()
	r, server := miniStore(t)
	server.Close()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	p := play{t: t, port: r}
	_, redisErr := r.Restore(t.Context(), []Remembered{p.told("a")})
	_, memoryErr := NewMemory(Config{}).Restore(cancelled, []Remembered{p.told("a")})
	_, beginErr := r.BeginRebuild(t.Context(), true)
	for name, err := range map[string]error{
		"redis": redisErr, "memory": memoryErr, "begin": beginErr, "beat": r.Beat(t.Context()), "first": r.FirstEpochs(t.Context()),
		"remembers": r.Remembers(t.Context()),
	} {
		if !errors.Is(err, refund.ErrStoreUnavailable) || errors.Is(err, ErrForgot) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheMemoryStoreForgetsAsRedisDoes(t *testing.T) {
	t.Parallel()
	m := NewMemory(Config{})
	p := play{t: t, port: m}
	p.claims(request("a", "t1"), refund.ClaimGranted)
	m.Distrust()
	refuses(t, m)
	m.NewEpoch(refund.Epoch{Began: due})
	equal(t, p.claims(request("a", "t2"), refund.ClaimBusy).Status, refund.ClaimBusy)
	m.Forget()
	refuses(t, m)
	m.NewEpoch(refund.Epoch{Began: due, Since: firstSeen})
	equal(t, p.claims(request("a", "t3"), refund.ClaimGranted).Epoch, refund.Epoch{Began: due, Since: firstSeen})
}
