package dedupe

import (
	"errors"

	"refundworker/refund"
	"refundworker/schemas"
)

// crashes plays a process that dies when both halves of its claim are done, and nothing after them.
func (p play) crashes(q refund.ClaimRequest) {
	p.t.Helper()
	cut := &cutter{backend: p.half(), at: 1, keep: halves{payment: true, record: true}}
	if _, err := claim(p.t.Context(), cut, q); !errors.Is(err, errCut) {
		p.t.Fatalf("error %v", err)
	}
}

// loses drops a request's record and outcome and leaves its payment, as the loss of a shard does.
func (p play) loses(q refund.ClaimRequest) {
	p.t.Helper()
	switch s := p.port.(type) {
	case *Memory:
		delete(s.records, q.RequestID)
		delete(s.outcomes, q.RequestID)
	case *Redis:
		for _, key := range []string{s.keys.record(q.RequestID), s.keys.outcome(q.RequestID)} {
			if err := s.client.Del(p.t.Context(), key).Err(); err != nil {
				p.t.Fatal(err)
			}
		}
	default:
		p.t.Fatalf("store %T", p.port)
	}
}

// onlyPayment does the payment's half of a call, as a connection does that is cut between the two.
func (p play) onlyPayment(call *paymentCall) {
	p.t.Helper()
	if _, _, err := p.half().exchange(p.t.Context(), call, nil); err != nil {
		p.t.Fatal(err)
	}
}

// counts checks that the other requests of a payment add up to want.
func (p play) counts(payment string, want int64) {
	p.t.Helper()
	const original = 1000
	for minor, exceeded := range map[int64]bool{original - want: false, original - want + 1: true} {
		probe := request("probe", "t-probe", pays(payment, minor, original))
		if c := p.claims(probe, refund.ClaimGranted); c.CapExceeded != exceeded {
			p.t.Fatalf("with %d of %d: exceeded %t, so the others are not %d", minor, original, c.CapExceeded, want)
		}
		p.release(probe)
	}
}

// leftoverScenarios are what every store must do about one half that knows what the other has lost or has never heard.
var leftoverScenarios = []scenario{
	{"a rival that dies in its claim leaves the payment no less than it counted", func(p play) {
		q := request("a", "t1", pays("p", 60, 100))
		p.claims(q, refund.ClaimGranted)
		p.waited(waits(q, 1, 1, true))
		p.crashes(request("a", "t2", pays("p", 1, 100), printed(1, "rival"), p.brief()))
		p.lapse()
		p.counts("p", 60)
	}},
	{"a claim whose lease has ended is not given back: a rival may have been rejected for it", func(p play) {
		q := request("a", "t1", pays("p", 10, 100), p.brief())
		p.claims(q, refund.ClaimGranted)
		p.lapse()
		p.claims(request("a", "t2", pays("p", 10, 100), printed(1, "rival")), refund.ClaimConflict)
		p.release(q)
		p.claims(request("a", "t3", pays("p", 10, 100), printed(1, "rival")), refund.ClaimConflict)
		equal(p.t, p.claims(request("a", "t4", pays("p", 10, 100)), refund.ClaimGranted).Record.MaybeSent, true)
	}},
	{"a slow owner's decline ends its place after a takeover was given back", func(p play) {
		slow := request("a", "t1", pays("p", 100, 100), p.brief())
		p.claims(slow, refund.ClaimGranted)
		p.lapse()
		for _, token := range []string{"t2", "t3"} {
			taken := request("a", token, pays("p", 100, 100))
			p.claims(taken, refund.ClaimGranted)
			p.release(taken)
		}
		p.counts("p", 100)
		p.settles(failed(slow, "late"), "late")
		p.settles(failed(slow, "late"), "late")
		p.counts("p", 0)
	}},
	{"a slow owner's decline ends its place after half a takeover", func(p play) {
		slow := request("a", "t1", pays("p", 100, 100), p.brief())
		p.claims(slow, refund.ClaimGranted)
		p.lapse()
		p.onlyPayment(acquireFor(request("a", "t2", pays("p", 100, 100), p.brief()), acquireCommand))
		p.settles(failed(slow, "late"), "late")
		p.lapse()
		p.counts("p", 0)
	}},
	{"a slow owner's lost decline leaves the place of a claim that still runs", func(p play) {
		slow := request("a", "t1", pays("p", 100, 100), p.brief())
		p.claims(slow, refund.ClaimGranted)
		p.lapse()
		owner := request("a", "t2", pays("p", 100, 100))
		p.claims(owner, refund.ClaimGranted)
		equal(p.t, p.settle(failed(slow, "late")), refund.Settled{Lost: true})
		p.release(owner)
		p.counts("p", 100)
	}},
	{"a crashed duplicate of a declined request leaves nothing once it is read again, at once", func(p play) {
		p.decline()
		p.crashes(request("a", "t2", pays("p", 100, 100), p.brief()))
		p.claims(request("a", "t3", pays("p", 100, 100)), refund.ClaimSettled)
		p.lapse()
		p.counts("p", 0)
	}},
	{"a crashed duplicate of a declined request leaves nothing once it is read again, its payment busy", func(p play) {
		p.decline()
		p.crashes(request("a", "t2", pays("p", 100, 100), p.brief()))
		p.lapse()
		other := request("b", "t3", pays("p", 1, 0))
		p.claims(other, refund.ClaimGranted)
		p.claims(request("a", "t4", pays("p", 100, 100)), refund.ClaimSettled)
		p.claims(request("c", "t5", pays("p", 1, 0)), refund.ClaimPaymentBusy)
		p.release(other)
		p.counts("p", 0)
	}},
	{"a crashed conflict leaves nothing in a strange payment once it is read again, after its lease", func(p play) {
		rival := p.crashedConflict()
		p.lapse()
		p.claims(rival, refund.ClaimConflict)
		p.counts("p", 0)
	}},
	{"a crashed conflict leaves nothing in a strange payment once it is read again, at once", func(p play) {
		p.claims(p.crashedConflict(), refund.ClaimConflict)
		p.lapse()
		p.counts("p", 0)
	}},
	{"a crashed conflict leaves nothing in a strange payment once it is read again, the payment busy", func(p play) {
		rival := p.crashedConflict()
		p.lapse()
		other := request("b", "t4", pays("p", 1, 0))
		p.claims(other, refund.ClaimGranted)
		p.claims(rival, refund.ClaimConflict)
		p.release(other)
		p.counts("p", 0)
	}},
	{"a crashed conflict with a declined request of the same payment leaves nothing once it is read again", func(p play) {
		p.decline()
		rival := request("a", "t2", pays("p", 60, 100), printed(1, "another command"), p.brief())
		p.crashes(rival)
		rival.Token = "t3"
		c := p.claims(rival, refund.ClaimConflict)
		c.Now = firstSeen
		equal(p.t, c, refund.Claim{Status: refund.ClaimConflict, Now: firstSeen})
		p.lapse()
		p.counts("p", 0)
	}},
	{"a conflict never ends the place of the first command while that is open, nor after its success", func(p play) {
		first := request("a", "t1", pays("p", 100, 0))
		rival := request("a", "t2", pays("p", 60, 0), printed(1, "another command"))
		p.claims(first, refund.ClaimGranted)
		p.claims(rival, refund.ClaimConflict)
		p.waited(waits(first, 1, 1, true))
		p.claims(rival, refund.ClaimConflict)
		p.counts("p", 100)
		p.settle(proven(first, "moved"))
		p.claims(rival, refund.ClaimConflict)
		p.counts("p", 100)
	}},
	{"M13: a displaced command's late decline enters no success in its own payment", func(p play) {
		rival := request("a", "t1", printed(1, "fifty"), pays("elsewhere", 50, 0), p.brief())
		p.claims(rival, refund.ClaimGranted)
		p.lapse()
		p.settles(proven(request("a", "t2", pays("p", 100, 0)), "a hundred moved"), "a hundred moved")
		p.settles(failed(rival, "declined"), "a hundred moved")
		p.counts("elsewhere", 0)
		p.counts("p", 100)
	}},
	{"a success outlives its record in the payment: neither a command nor a copy is granted again", func(p play) {
		q := request("a", "t1", pays("p", 100, 0))
		p.claims(q, refund.ClaimGranted)
		p.settles(proven(q, "moved"), "moved")
		p.loses(q)
		for _, again := range []refund.ClaimRequest{
			request("a", "t2", pays("p", 100, 0)),
			request("a", "t3", pays("p", 100, 0)),
			request("a", "t4", pays("p", 100, 0), copyOf(3, 2, "retry/0/9")),
			request("a", "t4", pays("p", 100, 0), copyOf(3, 2, "retry/0/9")),
		} {
			c := p.claims(again, refund.ClaimTombstone)
			if c.Now.IsZero() {
				p.t.Fatal("no time")
			}
			c.Now = firstSeen
			equal(p.t, c, refund.Claim{
				Status: refund.ClaimTombstone, Now: firstSeen,
				Settled: refund.SettledAs{Status: schemas.Success, Code: schemas.CodeRefunded},
			})
		}
		p.counts("p", 100)
	}},
	{"a decline that has lost its record is not taken for a success", func(p play) {
		p.loses(p.decline())
		equal(p.t, p.claims(request("a", "t2", pays("p", 100, 100)), refund.ClaimGranted).Fresh, true)
	}},
	{"a success that only its payment has heard of is asked for again, and published", func(p play) {
		q := request("a", "t1", pays("p", 100, 0), p.brief())
		p.claims(q, refund.ClaimGranted)
		p.onlyPayment(succeed(q))
		p.lapse()
		taken := request("a", "t2", pays("p", 100, 0))
		equal(p.t, p.claims(taken, refund.ClaimGranted).Record.MaybeSent, true)
		p.claims(request("b", "t3", pays("p", 1, 0)), refund.ClaimPaymentBusy)
		p.settles(proven(taken, "moved"), "moved")
		p.counts("p", 100)
	}},
	{"a record that waits unsent while its payment knows the success is granted as maybe sent", func(p play) {
		q := request("a", "t1", pays("p", 100, 0))
		p.claims(q, refund.ClaimGranted)
		p.waited(waits(q, 1, 0, false))
		p.onlyPayment(succeed(q))
		copied := request("a", "t2", pays("p", 100, 0), copyOf(1, 0, "retry/0/9"))
		for range 2 {
			c := p.claims(copied, refund.ClaimGranted)
			equal(p.t, [2]bool{c.Fresh, c.Record.MaybeSent}, [2]bool{false, true})
		}
	}},
}

// decline ends request a of 100 of 100 on payment p.
func (p play) decline() refund.ClaimRequest {
	p.t.Helper()
	q := request("a", "t1", pays("p", 100, 100))
	p.claims(q, refund.ClaimGranted)
	p.settles(failed(q, "declined"), "declined")
	return q
}

// crashedConflict leaves the entry of another command in payment p, which is not the request's, and returns the message
// as it is read again.
func (p play) crashedConflict() refund.ClaimRequest {
	p.t.Helper()
	p.claims(request("a", "t1", pays("its own", 10, 100)), refund.ClaimGranted)
	rival := request("a", "t2", pays("p", 100, 100), printed(1, "another command"), p.brief())
	p.crashes(rival)
	rival.Token = "t3"
	return rival
}

// succeed is the payment's half of a verified success.
func succeed(q refund.ClaimRequest) *paymentCall {
	return &paymentCall{requestID: q.RequestID, token: q.Token, ref: q.Payment, settle: &paymentSettle{mode: settleKnown}}
}
