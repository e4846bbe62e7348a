package dedupe

import (
	"context"
	"errors"
	"testing"

	"refundworker/refund"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var errCut = errors.New("the connection was cut")

// cutter is a backend whose connection is cut at one exchange, before, between or after the halves.
type cutter struct {
	backend
	exchanges int
	at        int
	keep      halves
}

// halves says what of the cut exchange the server still did.
type halves struct{ payment, record bool }

func (c *cutter) exchange(ctx context.Context, payment *paymentCall, record *recordCall) (paymentAnswer, recordAnswer, error) {
	c.exchanges++
	if c.exchanges != c.at {
		return c.backend.exchange(ctx, payment, record)
	}
	if !c.keep.payment {
		payment = nil
	}
	if !c.keep.record {
		record = nil
	}
	if _, _, err := c.backend.exchange(ctx, payment, record); err != nil {
		return paymentAnswer{}, recordAnswer{}, err
	}
	return paymentAnswer{}, recordAnswer{}, unavailable(errCut)
}

// half returns the store as what carries single exchanges.
func (p play) half() backend {
	p.t.Helper()
	b, ok := p.port.(backend)
	if !ok {
		p.t.Fatalf("store %T", p.port)
	}
	return b
}

// calls are one call of every kind of answer, each behind a history that leads to it.
var calls = []struct {
	name    string
	history func(play)
	call    func(context.Context, backend) (any, error)
}{
	{"a fresh claim", func(play) {}, cutClaim(request("a", "new", pays("p", 10, 100)))},
	{"an adopted copy", func(play) {}, cutClaim(request("a", "new", pays("p", 10, 100), copyOf(2, 1, "retry/0/1")))},
	{"a takeover", func(p play) {
		p.claims(request("a", "t1", pays("p", 10, 100), p.brief()), refund.ClaimGranted)
		p.lapse()
	}, cutClaim(request("a", "new", pays("p", 10, 100)))},
	{"a claim of a waiting request", func(p play) {
		q := request("a", "t1", pays("p", 10, 100))
		p.claims(q, refund.ClaimGranted)
		p.waited(waits(q, 1, 1, true))
	}, cutClaim(request("a", "new", pays("p", 10, 100), copyOf(1, 1, "retry/0/1")))},
	{"a claim whose payment is busy", func(p play) {
		p.claims(request("b", "t1", pays("p", 10, 100)), refund.ClaimGranted)
	}, cutClaim(request("a", "new", pays("p", 10, 100)))},
	{"a claim of a waiting request whose payment is busy", func(p play) {
		q := request("a", "t1", pays("p", 10, 100))
		p.claims(q, refund.ClaimGranted)
		p.waited(waits(q, 1, 1, true))
		p.claims(request("b", "t2", pays("p", 10, 100)), refund.ClaimGranted)
	}, cutClaim(request("a", "new", pays("p", 10, 100), copyOf(1, 1, "retry/0/1")))},
	{"a claim of a request settled as declined", func(p play) {
		q := request("a", "t1", pays("p", 10, 100))
		p.claims(q, refund.ClaimGranted)
		p.settle(failed(q, "declined"))
	}, cutClaim(request("a", "new", pays("p", 10, 100)))},
	{"a claim of a request settled as success whose payment was lost", func(p play) {
		q := request("a", "t1", pays("elsewhere", 10, 100))
		p.claims(q, refund.ClaimGranted)
		p.settle(proven(q, "moved"))
	}, cutClaim(request("a", "new", pays("p", 10, 100)))},
	{"a conflict on another payment", func(p play) {
		p.claims(request("a", "t1", pays("elsewhere", 10, 100)), refund.ClaimGranted)
	}, cutClaim(request("a", "new", pays("p", 10, 100), printed(1, "another command")))},
	{"a takeover above the cap", func(p play) {
		b := request("b", "t1", pays("p", 95, 100))
		p.claims(b, refund.ClaimGranted)
		p.settle(proven(b, "moved"))
		p.claims(request("a", "t2", pays("p", 10, 100), p.brief()), refund.ClaimGranted)
		p.lapse()
	}, cutClaim(request("a", "new", pays("p", 10, 100)))},
	{"a claim of a declined request whose entry a crash left", func(p play) {
		p.decline()
		p.crashes(request("a", "t2", pays("p", 100, 100)))
	}, cutClaim(request("a", "new", pays("p", 100, 100)))},
	{"a claim of a declined request whose entry a crash left, its payment busy", func(p play) {
		p.decline()
		p.crashes(request("a", "t2", pays("p", 100, 100), p.brief()))
		p.lapse()
		p.claims(request("b", "t3", pays("p", 1, 0)), refund.ClaimGranted)
	}, cutClaim(request("a", "new", pays("p", 100, 100)))},
	{"a conflict whose entry a crash left in another payment", func(p play) {
		p.crashedConflict()
	}, cutClaim(request("a", "new", pays("p", 100, 100), printed(1, "another command")))},
	{"a claim of a success that has lost its record", func(p play) {
		q := request("a", "t1", pays("p", 10, 100))
		p.claims(q, refund.ClaimGranted)
		p.settle(proven(q, "moved"))
		p.loses(q)
	}, cutClaim(request("a", "new", pays("p", 10, 100)))},
	{"a copy of a success that has lost its record", func(p play) {
		q := request("a", "t1", pays("p", 10, 100))
		p.claims(q, refund.ClaimGranted)
		p.settle(proven(q, "moved"))
		p.loses(q)
	}, cutClaim(request("a", "new", pays("p", 10, 100), copyOf(2, 1, "retry/0/1")))},
	{"a settle as success", func(p play) {
		p.claims(request("a", "new", pays("p", 10, 100)), refund.ClaimGranted)
	}, cutSettle(proven(request("a", "new", pays("p", 10, 100)), "moved"))},
	{"a settle as declined", func(p play) {
		p.claims(request("a", "new", pays("p", 10, 100)), refund.ClaimGranted)
	}, cutSettle(failed(request("a", "new", pays("p", 10, 100)), "declined"))},
	{"a settle as declined after the lease", func(p play) {
		p.claims(request("a", "new", pays("p", 10, 100), p.brief()), refund.ClaimGranted)
		p.lapse()
	}, cutSettle(failed(request("a", "new", pays("p", 10, 100)), "declined"))},
	{"a settle as declined after a takeover was given back", func(p play) {
		p.claims(request("a", "new", pays("p", 10, 100), p.brief()), refund.ClaimGranted)
		p.lapse()
		taken := request("a", "t2", pays("p", 10, 100))
		p.claims(taken, refund.ClaimGranted)
		p.release(taken)
	}, cutSettle(failed(request("a", "new", pays("p", 10, 100)), "declined"))},
	{"a wait", func(p play) {
		p.claims(request("a", "new", pays("p", 10, 100)), refund.ClaimGranted)
	}, cutWait(waits(request("a", "new", pays("p", 10, 100)), 1, 1, true))},
	{"a release of what was absent", func(p play) {
		p.claims(request("a", "new", pays("p", 10, 100)), refund.ClaimGranted)
	}, cutRelease(request("a", "new", pays("p", 10, 100)))},
	{"a release of what waited", func(p play) {
		q := request("a", "t1", pays("p", 10, 100))
		p.claims(q, refund.ClaimGranted)
		p.waited(waits(q, 1, 1, true))
		p.claims(request("a", "new", pays("p", 10, 100), copyOf(1, 1, "retry/0/1")), refund.ClaimGranted)
	}, cutRelease(request("a", "new", pays("p", 10, 100)))},
}

func cutClaim(q refund.ClaimRequest) func(context.Context, backend) (any, error) {
	return func(ctx context.Context, b backend) (any, error) { return claim(ctx, b, q) }
}

func cutSettle(q refund.SettleRequest) func(context.Context, backend) (any, error) {
	return func(ctx context.Context, b backend) (any, error) { return settle(ctx, b, q) }
}

func cutWait(q refund.WaitRequest) func(context.Context, backend) (any, error) {
	return func(ctx context.Context, b backend) (any, error) { return wait(ctx, b, q) }
}

func cutRelease(q refund.ClaimRequest) func(context.Context, backend) (any, error) {
	return func(ctx context.Context, b backend) (any, error) {
		return nil, release(ctx, b, refund.ReleaseRequest{RequestID: q.RequestID, Token: q.Token, Payment: q.Payment})
	}
}

// whatever compares answers and stores, fields of our own included.
var whatever = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.AllowUnexported(state{}, memoryRecord{}, memoryPayment{}, memoryOutcome{}, memoryEntry{}),
}

func TestACallCutAnywhereAnswersARepeatAsIfItHadNotBeenCut(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds[:2] {
		for _, c := range calls {
			t.Run(kind.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				lead := func() play {
					p := newPlay(t, kind.start(t)(t))
					c.history(p)
					return p
				}
				p := lead()
				whole := &cutter{backend: p.half()}
				want, err := c.call(t.Context(), whole)
				if err != nil {
					t.Fatal(err)
				}
				holds := p.bench.dump(p.port)
				for at := 1; at <= whole.exchanges; at++ {
					for _, kept := range []halves{{}, {payment: true}, {record: true}, {payment: true, record: true}} {
						p := lead()
						cut := &cutter{backend: p.half(), at: at, keep: kept}
						if _, err := c.call(t.Context(), cut); !errors.Is(err, refund.ErrStoreUnavailable) || !errors.Is(err, errCut) {
							t.Fatalf("cut at exchange %d, keeping %+v: error %v", at, kept, err)
						}
						got, err := c.call(t.Context(), cut)
						if err != nil {
							t.Fatal(err)
						}
						if diff := cmp.Diff(want, got, whatever); diff != "" {
							t.Errorf("cut at exchange %d, keeping %+v: the repeat's answer (-uncut +repeat)\n%s", at, kept, diff)
						}
						if diff := cmp.Diff(holds, p.bench.dump(p.port), whatever); diff != "" {
							t.Errorf("cut at exchange %d, keeping %+v: the store (-uncut +repeat)\n%s", at, kept, diff)
						}
					}
				}
			})
		}
	}
}
