package refund_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// choices decides everything that chance decides in a sequence. Once they are used up, the plain thing happens.
type choices struct{ left []byte }

// pick returns one of 0 to n-1; 0 is the plain choice.
func (c *choices) pick(n int) int {
	if len(c.left) == 0 {
		return 0
	}
	b := c.left[0]
	c.left = c.left[1:]
	// rapid draws small bytes most of the time; multiplied by an odd number they stand for any choice alike.
	return int(b*167>>2) % n
}

// one says that something that happens once in n times happens.
func (c *choices) one(n int) bool { return c.pick(n) == n-1 }

// contract is what a gateway promises about repeats, and how its inquiries look.
type contract struct {
	// resendWindow is how long an identical repeat is safe; 0 where each one that arrives moves the money again.
	resendWindow time.Duration
	inquireFirst bool
	// hidesDeclined: a refund that was declined leaves no record, and may still be accepted later.
	hidesDeclined bool
	// late: an inquiry may not show yet what has happened.
	late bool
}

// progress is how far the gateway is with the refund.
type progress uint8

const (
	nothing progress = iota
	working
	moved
	failed
)

var errLost = errors.New("the answer was lost")

// truth is a gateway that knows what really happened to one refund, behind a wire that loses and delays. Its answers are
// never untrue. It notes what no client may do.
type truth struct {
	*choices
	contract
	began time.Time

	state progress
	// times is how often the money has moved.
	times int
	// air counts requests that were written and have not arrived yet.
	air int
	// sends counts the requests that may have arrived, as the client could know it.
	sends int
	first refund.Request
	// shown is the answer to the latest call if that was an inquiry.
	shown   refund.Verdict
	inquiry bool
	broken  []string
}

var _ refund.Client = (*truth)(nil)

func (g *truth) Check(refund.Request) string { return "" }

// arrive is a refund request that reaches the gateway, and what the gateway says to it.
func (g *truth) arrive() refund.Result {
	if g.resendWindow == 0 && g.state != nothing {
		g.move()
		return succeeded().Result
	}
	declined := refund.Result{Verdict: refund.Declined, Code: schemas.CodeWindowExceeded}
	switch g.state {
	case nothing:
		switch g.pick(4) {
		case 1:
			g.state = working
			return refund.Result{Verdict: refund.Pending}
		case 2:
			if !g.hidesDeclined {
				g.state = failed
			}
			return declined
		}
		g.move()
	case working:
		if g.one(3) {
			return refund.Result{Verdict: refund.Pending}
		}
		g.finish()
	case moved:
		if g.one(2) {
			return declined // for the money that our own first send took: no new refund fits
		}
	case failed:
	}
	if g.state == failed {
		return declined
	}
	return succeeded().Result
}

// move moves the money.
func (g *truth) move() {
	g.state = moved
	g.times++
}

// finish brings a refund that is worked on to its end.
func (g *truth) finish() {
	if g.state == working && g.one(4) {
		g.state = failed
	} else if g.state == working {
		g.move()
	}
}

// meanwhile is what happens at the gateway without a call.
func (g *truth) meanwhile() {
	if g.air > 0 && g.one(3) {
		g.air--
		g.arrive()
	}
	if g.one(4) {
		g.finish()
	}
}

// land lets everything happen that still can, the worse way.
func (g *truth) land() {
	for ; g.air > 0; g.air-- {
		g.arrive()
	}
	if g.state == working {
		g.move()
	}
}

// Refund judges the send, and then lets the wire decide.
func (g *truth) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	if ctx.Err() != nil {
		return refund.Result{Verdict: refund.NotSent}, context.Cause(ctx)
	}
	g.meanwhile()
	if g.one(6) {
		g.inquiry = false
		return refund.Result{Verdict: refund.NotSent}, errLost
	}
	g.judge(req)
	g.sends++
	g.inquiry = false
	switch g.pick(6) {
	case 1:
		return refund.Result{}, errLost // it never arrives
	case 2:
		g.air++
		return refund.Result{}, errLost
	case 3:
		g.arrive()
		return refund.Result{}, errLost
	case 4:
		return refund.Result{Code: schemas.CodeThrottled}, nil
	case 5:
		// Taken, and how it ends is for an inquiry to tell.
		if r := g.arrive(); r.Verdict == refund.Declined {
			return r, nil
		}
		return refund.Result{Verdict: refund.Pending, InquireNow: true}, nil
	}
	return g.arrive(), nil
}

// judge notes a send that is not provably safe: a second one, but for an identical one, at a gateway that promises to
// replay it, in the time for which we believe that, right behind an inquiry that found nothing or found it unfinished.
func (g *truth) judge(req refund.Request) {
	if g.sends == 0 {
		g.first = req
		return
	}
	fault := func(format string, args ...any) { g.broken = append(g.broken, fmt.Sprintf(format, args...)) }
	if g.resendWindow == 0 {
		fault("sent again where a repeat is not safe")
	}
	if age := time.Since(g.began); age > g.resendWindow+lease {
		fault("sent again %s after the first sight", age)
	}
	if !g.inquiry || g.shown != refund.Absent && g.shown != refund.Pending {
		fault("sent again without an inquiry that allows it: %v, %s", g.inquiry, g.shown)
	}
	if req.GatewayKey != g.first.GatewayKey || req.PaymentID != g.first.PaymentID || req.Amount != g.first.Amount {
		fault("sent again as another request: %+v", req)
	}
}

// Inquire tells the truth, or nothing.
func (g *truth) Inquire(ctx context.Context, _ refund.Request) (refund.Result, error) {
	if ctx.Err() != nil {
		return refund.Result{Verdict: refund.NotSent}, context.Cause(ctx)
	}
	g.meanwhile()
	res, err := g.found()
	g.inquiry, g.shown = true, res.Verdict
	return res, err
}

func (g *truth) found() (refund.Result, error) {
	switch g.pick(6) {
	case 1:
		return refund.Result{Verdict: refund.NotSent}, errLost
	case 2:
		return refund.Result{}, errLost
	case 3, 4:
		if g.late {
			return g.none(), nil
		}
	}
	switch g.state {
	case working:
		return refund.Result{Verdict: refund.Pending}, nil
	case moved:
		return succeeded().Result, nil
	case failed:
		return refund.Result{Verdict: refund.Declined}, nil
	case nothing:
	}
	return g.none(), nil
}

// none is an inquiry that shows no refund: as proof, or where a gateway has none, as a mere hint.
func (g *truth) none() refund.Result {
	if g.resendWindow == 0 && g.one(2) {
		return refund.Result{ShowsNone: true}
	}
	return refund.Result{Verdict: refund.Absent}
}
