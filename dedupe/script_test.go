package dedupe

import (
	"testing"
	"time"

	"refundworker/refund"
	"refundworker/schemas"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// play drives a store through one scenario and fails the test at the first error.
type play struct {
	t *testing.T
	port
	bench bench
}

func newPlay(t *testing.T, b bench) play {
	t.Helper()
	return play{t: t, port: b.open(t, Config{}), bench: b}
}

// change edits a request of the tables.
type change func(*refund.ClaimRequest)

func hop(n int) change { return func(q *refund.ClaimRequest) { q.Hop = n } }

func copyOf(hop, attempt int, via string) change {
	return func(q *refund.ClaimRequest) { q.Copy, q.Hop, q.Attempt, q.Via = true, hop, attempt, via }
}

func lease(d time.Duration) change { return func(q *refund.ClaimRequest) { q.Lease = d } }

func printed(version int, sum string) change {
	return func(q *refund.ClaimRequest) { q.Fingerprints = []refund.Fingerprint{{Version: version, Sum: sum}} }
}

func pays(payment string, minor, original int64) change {
	return func(q *refund.ClaimRequest) {
		q.Payment = refund.PaymentRef{Gateway: schemas.Antom, PaymentID: payment, Minor: minor, OriginalMinor: original}
	}
}

var firstSeen = time.Date(2026, 11, 20, 8, 0, 0, 123e6, time.UTC)

// request is a plain command of 1001 minor units on a payment of its own.
func request(id, token string, changes ...change) refund.ClaimRequest {
	q := refund.ClaimRequest{
		RequestID: id, Token: token, Lease: time.Minute, Fingerprints: []refund.Fingerprint{{Version: 1, Sum: "sum of " + id}},
		Account: "hk-stores", GatewayKey: "key of " + id, FirstSeen: firstSeen, Via: "refunds.commands/3/1042",
	}
	pays("payment of "+id, 1001, 0)(&q)
	for _, edit := range changes {
		edit(&q)
	}
	return q
}

func (p play) claim(q refund.ClaimRequest) refund.Claim {
	p.t.Helper()
	c, err := p.Claim(p.t.Context(), q)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

func (p play) claims(q refund.ClaimRequest, want refund.ClaimStatus) refund.Claim {
	p.t.Helper()
	c := p.claim(q)
	if c.Status != want {
		p.t.Fatalf("claim of %s by %s: %s, want %s", q.RequestID, q.Token, claimLabel(c.Status), claimLabel(want))
	}
	return c
}

func failed(q refund.ClaimRequest, outcome string) refund.SettleRequest {
	return refund.SettleRequest{
		RequestID: q.RequestID, Token: q.Token, Status: schemas.Failed, Code: schemas.CodeRefundFailed, Outcome: []byte(outcome), Claim: q,
	}
}

func proven(q refund.ClaimRequest, outcome string) refund.SettleRequest {
	return refund.SettleRequest{
		RequestID: q.RequestID, Token: q.Token, Status: schemas.Success, Code: schemas.CodeRefunded, Outcome: []byte(outcome),
		Proof: true, Claim: q,
	}
}

func (p play) settle(q refund.SettleRequest) refund.Settled {
	p.t.Helper()
	s, err := p.Settle(p.t.Context(), q)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

func (p play) settles(q refund.SettleRequest, want string) {
	p.t.Helper()
	equal(p.t, p.settle(q), refund.Settled{Stored: true, Outcome: []byte(want)})
}

var due = time.Date(2026, 11, 21, 12, 0, 10, 0, time.UTC)

func waits(q refund.ClaimRequest, hop, attempt int, maybeSent bool) refund.WaitRequest {
	return refund.WaitRequest{
		RequestID: q.RequestID, Token: q.Token, Hop: hop, Attempt: attempt, MaybeSent: maybeSent, Code: schemas.CodeUnknownOutcome,
		Due: due, Via: q.Via, Payment: q.Payment,
	}
}

func (p play) wait(q refund.WaitRequest) refund.Waited {
	p.t.Helper()
	w, err := p.Wait(p.t.Context(), q)
	if err != nil {
		p.t.Fatal(err)
	}
	return w
}

func (p play) waited(q refund.WaitRequest) {
	p.t.Helper()
	equal(p.t, p.wait(q), refund.Waited{Stored: true})
}

func (p play) release(q refund.ClaimRequest) {
	p.t.Helper()
	if err := p.Release(p.t.Context(), refund.ReleaseRequest{RequestID: q.RequestID, Token: q.Token, Payment: q.Payment}); err != nil {
		p.t.Fatal(err)
	}
}

// lapse outwaits a lease of bench.brief.
func (p play) lapse() {
	p.t.Helper()
	p.bench.pass(p.t, p.bench.brief)
}

func (p play) brief() change { return lease(p.bench.brief) }

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}
}
