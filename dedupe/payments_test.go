package dedupe

import (
	"strconv"
	"sync"
	"time"

	"refundworker/refund"
)

// paymentScenarios are what every store must do with a payment's lease and cap.
var paymentScenarios = []scenario{
	{"a payment is at the gateway once: the second request is given back whole", func(p play) {
		a, b := request("a", "t1", pays("p", 10, 0)), request("b", "t2", pays("p", 20, 0))
		p.claims(a, refund.ClaimGranted)
		c := p.claims(b, refund.ClaimPaymentBusy)
		if c.RetryIn <= 0 || c.RetryIn > time.Minute {
			p.t.Fatalf("retry in %s", c.RetryIn)
		}
		p.release(a)
		if c := p.claims(request("b", "t3", pays("p", 20, 0)), refund.ClaimGranted); !c.Fresh || c.OthersKnown {
			p.t.Fatalf("%+v", c)
		}
	}},
	{"a taken-over request is given back whole when its payment is busy", func(p play) {
		a := request("a", "t1", pays("p", 10, 0), p.brief())
		p.claims(a, refund.ClaimGranted)
		p.lapse()
		b := request("b", "t2", pays("p", 20, 0))
		p.claims(b, refund.ClaimGranted)
		for i := range maxTakeovers + 2 {
			p.claims(request("a", "t"+strconv.Itoa(10+i), pays("p", 10, 0)), refund.ClaimPaymentBusy)
		}
		p.release(b)
		equal(p.t, p.claims(request("a", "t3", pays("p", 10, 0)), refund.ClaimGranted).Record.Takeovers, 1)
	}},
	{"every end of a pass frees the payment", func(p play) {
		next := 0
		for _, end := range []func(refund.ClaimRequest){
			func(q refund.ClaimRequest) { p.settle(failed(q, "x")) },
			func(q refund.ClaimRequest) { p.settle(proven(q, "x")) },
			func(q refund.ClaimRequest) { p.waited(waits(q, 1, 1, true)) },
			func(q refund.ClaimRequest) { p.waited(waits(q, 1, 0, false)) },
			p.release,
		} {
			next++
			q := request("r"+strconv.Itoa(next), "t"+strconv.Itoa(next), pays("p", 10, 0))
			p.claims(q, refund.ClaimGranted)
			end(q)
		}
		p.claims(request("last", "t", pays("p", 10, 0)), refund.ClaimGranted)
	}},
	{"a denied claim frees the payment", func(p play) {
		q := request("a", "t1", pays("p", 10, 0))
		p.claims(q, refund.ClaimGranted)
		p.waited(waits(q, 2, 1, true))
		p.claims(request("a", "t2", pays("p", 10, 0)), refund.ClaimRewrite)
		p.claims(request("a", "t3", pays("p", 10, 0), copyOf(1, 1, "old")), refund.ClaimSuperseded)
		p.claims(request("a", "t4", pays("p", 10, 0), printed(1, "other")), refund.ClaimConflict)
		p.claims(request("a", "t5", pays("p", 10, 0), printed(9, "other")), refund.ClaimUnknownVersion)
		p.claims(request("b", "t6", pays("p", 10, 0)), refund.ClaimGranted)
	}},
	{"the cap counts what is settled, in flight and unknown, and not what was declined or given back", func(p play) {
		in := func(id string) refund.ClaimRequest { return request(id, "t-"+id, pays("p", 30, 100)) }
		p.claims(in("settled"), refund.ClaimGranted)
		p.settle(proven(in("settled"), "x"))
		p.claims(in("unknown"), refund.ClaimGranted)
		p.waited(waits(in("unknown"), 1, 1, true))
		p.claims(in("declined"), refund.ClaimGranted)
		p.settle(failed(in("declined"), "x"))
		p.claims(in("unsent"), refund.ClaimGranted)
		p.waited(waits(in("unsent"), 1, 0, false))
		p.claims(in("released"), refund.ClaimGranted)
		p.release(in("released"))
		lapsed := in("lapsed")
		lapsed.Lease = p.bench.brief
		equal(p.t, p.claims(lapsed, refund.ClaimGranted).CapExceeded, false)
		p.lapse()
		c := p.claims(in("over"), refund.ClaimGranted)
		equal(p.t, [2]bool{c.CapExceeded, c.OthersKnown}, [2]bool{true, true})
		p.settle(failed(in("over"), "over the cap"))
		fits := request("fits", "t", pays("p", 10, 100))
		equal(p.t, p.claims(fits, refund.ClaimGranted).CapExceeded, false)
		p.release(fits)
		equal(p.t, p.claims(request("uncapped", "t", pays("p", 1000, 0)), refund.ClaimGranted).CapExceeded, false)
	}},
	{"an own earlier entry does not count against a request's own cap", func(p play) {
		q := request("a", "t1", pays("p", 100, 100))
		p.claims(q, refund.ClaimGranted)
		p.waited(waits(q, 1, 1, true))
		c := p.claims(request("a", "t2", pays("p", 100, 100), copyOf(1, 1, "retry/0/9")), refund.ClaimGranted)
		equal(p.t, [2]bool{c.CapExceeded, c.OthersKnown}, [2]bool{false, false})
	}},
	{"a fresh request above the cap is not entered, whatever becomes of it", func(p play) {
		a, over := request("a", "t1", pays("p", 60, 100)), request("b", "t2", pays("p", 60, 100), p.brief())
		p.claims(a, refund.ClaimGranted)
		p.settle(proven(a, "x"))
		equal(p.t, p.claims(over, refund.ClaimGranted).CapExceeded, true)
		p.lapse()
		equal(p.t, p.claims(request("c", "t3", pays("p", 40, 100)), refund.ClaimGranted).CapExceeded, false)
	}},
	{"a request above the cap that may have been sent is entered all the same", func(p play) {
		a, over := request("a", "t1", pays("p", 60, 100)), request("b", "t2", pays("p", 60, 100), p.brief())
		p.claims(a, refund.ClaimGranted)
		p.settle(proven(a, "x"))
		p.claims(over, refund.ClaimGranted)
		p.lapse()
		taken := request("b", "t3", pays("p", 60, 100), p.brief())
		c := p.claims(taken, refund.ClaimGranted)
		equal(p.t, [2]bool{c.Fresh, c.CapExceeded}, [2]bool{false, true})
		p.lapse()
		equal(p.t, p.claims(request("c", "t4", pays("p", 40, 100)), refund.ClaimGranted).CapExceeded, true)
	}},
	{"an adopted copy above the cap is entered all the same", func(p play) {
		copied := request("b", "t2", pays("p", 160, 100), copyOf(1, 1, "retry/0/9"), p.brief())
		equal(p.t, p.claims(copied, refund.ClaimGranted).CapExceeded, true)
		p.lapse()
		equal(p.t, p.claims(request("c", "t4", pays("p", 40, 100)), refund.ClaimGranted).CapExceeded, true)
	}},
	{"amounts add up exactly at their longest", func(p play) {
		const longest = 999_999_999_999_999
		a := request("a", "t1", pays("p", longest-1, longest))
		p.claims(a, refund.ClaimGranted)
		p.settle(proven(a, "x"))
		b := request("b", "t2", pays("p", 1, longest))
		equal(p.t, p.claims(b, refund.ClaimGranted).CapExceeded, false)
		p.settle(proven(b, "x"))
		equal(p.t, p.claims(request("c", "t3", pays("p", 1, longest)), refund.ClaimGranted).CapExceeded, true)
	}},
	{"declined requests are others, and do not make a payment grow", func(p play) {
		for i := range 3 {
			q := request("r"+strconv.Itoa(i), "t"+strconv.Itoa(i), pays("p", 10, 10))
			c := p.claims(q, refund.ClaimGranted)
			equal(p.t, [2]bool{c.CapExceeded, c.OthersKnown}, [2]bool{false, i > 0})
			p.settle(failed(q, "x"))
		}
	}},
	{"a decline of a lapsed owner still leaves the payment right", func(p play) {
		q := request("a", "t1", pays("p", 100, 100), p.brief())
		p.claims(q, refund.ClaimGranted)
		p.lapse()
		p.settles(failed(q, "late"), "late")
		c := p.claims(request("b", "t2", pays("p", 100, 100)), refund.ClaimGranted)
		equal(p.t, [2]bool{c.CapExceeded, c.OthersKnown}, [2]bool{false, true})
	}},
	{"a lost decline leaves the payment as the owner has it", func(p play) {
		q := request("a", "t1", pays("p", 100, 100), p.brief())
		p.claims(q, refund.ClaimGranted)
		p.lapse()
		taken := request("a", "t2", pays("p", 100, 100))
		p.claims(taken, refund.ClaimGranted)
		equal(p.t, p.settle(failed(q, "late")), refund.Settled{Lost: true})
		p.claims(request("b", "t3", pays("p", 1, 100)), refund.ClaimPaymentBusy)
		p.waited(waits(taken, 1, 2, true))
		equal(p.t, p.claims(request("b", "t4", pays("p", 1, 100)), refund.ClaimGranted).CapExceeded, true)
	}},
	{"a settled success is answered without taking its payment", func(p play) {
		q := request("a", "t1", pays("p", 10, 0))
		p.claims(q, refund.ClaimGranted)
		p.settle(proven(q, "x"))
		other := request("b", "t2", pays("p", 10, 0))
		p.claims(other, refund.ClaimGranted)
		p.claims(request("a", "t3", pays("p", 10, 0)), refund.ClaimSettled)
		p.claims(request("c", "t4", pays("p", 10, 0)), refund.ClaimPaymentBusy)
	}},
	{"a claim waits for its payment while another claim of the same request holds it", func(p play) {
		lost := request("a", "t1", pays("p", 10, 0))
		p.claims(lost, refund.ClaimGranted)
		back := refund.ReleaseRequest{RequestID: "a", Token: "t1", Payment: lost.Payment}
		if _, _, err := p.half().exchange(p.t.Context(), nil, &recordCall{release: &back}); err != nil {
			p.t.Fatal(err)
		}
		p.claims(request("a", "t2", pays("p", 10, 0)), refund.ClaimPaymentBusy)
		p.release(lost)
		p.claims(request("a", "t3", pays("p", 10, 0)), refund.ClaimGranted)
		p.claims(request("b", "t4", pays("p", 10, 0)), refund.ClaimPaymentBusy)
	}},
	{"several declined requests are others to each of them", func(p play) {
		for _, id := range []string{"a", "b"} {
			q := request(id, "t-"+id, pays("p", 10, 0))
			p.claims(q, refund.ClaimGranted)
			p.settle(failed(q, "x"))
		}
		// The record of b was lost, its payment was not.
		pay, _, err := p.half().exchange(p.t.Context(), acquireFor(request("b", "t3", pays("p", 10, 0)), acquireCommand), nil)
		if err != nil {
			p.t.Fatal(err)
		}
		equal(p.t, pay.others, true)
	}},
	{"money that has moved is not crossed out by a decline that is stored", func(p play) {
		q := request("a", "t1", pays("p", 60, 100))
		p.claims(q, refund.ClaimGranted)
		p.settles(failed(q, "declined"), "declined")
		p.settles(proven(q, "moved after all"), "declined")
		end := &paymentCall{requestID: "a", token: "t2", ref: q.Payment, settle: &paymentSettle{declined: true, mode: settleKnown}}
		if _, _, err := p.half().exchange(p.t.Context(), end, nil); err != nil {
			p.t.Fatal(err)
		}
		equal(p.t, p.claims(request("b", "t3", pays("p", 60, 100)), refund.ClaimGranted).CapExceeded, true)
	}},
	{"one of many concurrent claims is granted", func(p play) {
		var granted sync.Map
		var group sync.WaitGroup
		for i := range 16 {
			token := "t" + strconv.Itoa(i)
			group.Go(func() {
				for {
					c, err := p.Claim(p.t.Context(), request("a", token))
					switch {
					case err != nil:
						p.t.Error(err)
					case c.Status == refund.ClaimPaymentBusy:
						continue // one that is refused holds the payment for a moment
					case c.Status == refund.ClaimGranted:
						granted.Store(token, true)
					case c.Status != refund.ClaimBusy:
						p.t.Errorf("answer %s", claimLabel(c.Status))
					}
					return
				}
			})
		}
		group.Wait()
		count := 0
		granted.Range(func(any, any) bool { count++; return true })
		equal(p.t, count, 1)
	}},
	{"many concurrent requests of one payment are never granted two at a time", func(p play) {
		var group sync.WaitGroup
		var mu sync.Mutex
		holding, done := 0, 0
		for i := range 8 {
			q := request("r"+strconv.Itoa(i), "t"+strconv.Itoa(i), pays("p", 10, 0))
			group.Go(func() {
				for p.t.Context().Err() == nil {
					c, err := p.Claim(p.t.Context(), q)
					if err != nil {
						p.t.Error(err)
						return
					}
					if c.Status != refund.ClaimGranted {
						continue
					}
					mu.Lock()
					holding++
					if holding > 1 {
						p.t.Error("two requests of one payment hold it")
					}
					holding--
					done++
					mu.Unlock()
					if _, err := p.Settle(p.t.Context(), failed(q, "x")); err != nil {
						p.t.Error(err)
					}
					return
				}
			})
		}
		group.Wait()
		equal(p.t, done, 8)
	}},
}
