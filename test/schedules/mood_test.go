package schedules

import "time"

// reach is how far a refund call comes.
type reach int

const (
	arrives reach = iota
	// cut: not one byte is written.
	cut
	// lost: written, and the gateway never gets it.
	lost
	// late: the gateway gets it long after the client has given up.
	late
)

func (r reach) String() string { return [...]string{"arrives", "cut", "lost", "late"}[r] }

// ending is what a gateway does with a refund that it sees for the first time.
type ending int

const (
	succeeds ending = iota
	// succeedsLater and failsLater: it is in process for a while.
	succeedsLater
	failsLater
	// staysOpen: it is in process until it is sent again, or for ever.
	staysOpen
	// declined: it fails for good, and an inquiry says so.
	declined
	// declinedUnkept: it is declined, and an inquiry does not know it afterwards.
	declinedUnkept
	// throttled: a proxy refuses it, before or after the work.
	throttled
	throttledAfter
	// rejected: the account's credentials are refused.
	rejected
)

func (e ending) String() string {
	return [...]string{
		"succeeds", "succeeds later", "fails later", "stays open", "declined", "declined, unkept", "throttled", "throttled after the work",
		"account rejected",
	}[e]
}

// answering is what becomes of the answer.
type answering int

const (
	given answering = iota
	// dropped: the connection is cut at once.
	dropped
	// hang: nothing comes until the client gives up.
	hang
	// slow: it comes after two thirds of the client's patience.
	slow
	// panics: the client itself breaks on it.
	panics
)

func (a answering) String() string {
	return [...]string{"given", "dropped", "hangs", "slow", "panics"}[a]
}

// mood is what a gateway does with one refund call. The zero value is honest and quick.
type mood struct {
	reach  reach
	ending ending
	answer answering
	// hide is for how long inquiries do not show it.
	hide time.Duration
	// after is how long "late" and "later" take.
	after time.Duration
	// blame: a repeat is declined because of the first send.
	blame bool
	// hint: an accepted refund is said to be worth an inquiry at once.
	hint bool
}

// ask is what a gateway does with one inquiry.
type ask int

const (
	askHonest ask = iota
	askDropped
	askCut
	askThrottled
	askHang
	askPanic
	askRejected
)

func (a ask) String() string {
	return [...]string{"honest", "dropped", "cut", "throttled", "hangs", "panics", "account rejected"}[a]
}

func (r *request) nextSend() mood {
	if len(r.sends) == 0 {
		return mood{}
	}
	m := r.sends[0]
	r.sends = r.sends[1:]
	return m
}

func (r *request) nextAsk() ask {
	if len(r.asks) == 0 {
		return askHonest
	}
	a := r.asks[0]
	r.asks = r.asks[1:]
	return a
}

// repeats is what eftPay does with a refund number that it has carried out: nobody has promised anything.
type repeats int

const (
	refundsAgain repeats = iota
	replays
	refuses
)

func (r repeats) String() string { return [...]string{"refunds again", "replays", "refuses"}[r] }

// unknowns is what eftPay says about a refund number that it does not know.
type unknowns int

const (
	saysNotFound unknowns = iota
	saysError
	saysSale
	// saysEcho: refunds are shown without their own number, the latest of the payment.
	saysEcho
)

func (u unknowns) String() string {
	return [...]string{"not found", "an error", "the sale", "an echo"}[u]
}
