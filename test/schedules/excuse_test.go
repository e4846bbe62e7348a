package schedules

import "refundworker/schemas"

// excuse is a case in which a promise is not kept and the README says so. Every other broken promise is a fault. The
// table is all there is: a rule that a later build closes is one row less.
type excuse struct {
	// name is what is tallied; because is where the README or the architecture says it.
	name, because string
	// holds is called with the bank's lock.
	holds func(b *bank, r *request) bool
}

// excuses are by the promise that is broken.
type promise int

const (
	mayMoveTwice promise = iota
	mayChangeAccount
	mayResendBlindly
	maySkipInquiry
	maySendAfterFinal
	mayLeaveWindow
	mayOverlap
	mayFailThoughMoved
	maySucceedFalsely
	mayContradict
	mayExceedCap
	mayBeLost
)

const (
	looksNew  = "reliability, not proved: a store that loses single records, and a command that comes again looks new"
	forgetful = "reliability, not proved: a store that loses single records"
)

// excuses is the table.
func excuses(broken promise) []excuse {
	forgot := excuse{"the record was lost", forgetful, func(_ *bank, r *request) bool { return r.forgot }}
	jumped := excuse{
		"the store's clock jumped, and a lease ended early", "reliability, not proved: a store whose clock jumps ahead",
		func(b *bank, _ *request) bool { return b.jumped },
	}
	payment := excuse{"the payment's record was lost", forgetful, func(_ *bank, r *request) bool { return r.paymentForgot }}
	switch broken {
	case mayMoveTwice:
		return []excuse{
			{"Antom itself no longer knew the request ID", looksNew, func(_ *bank, r *request) bool {
				return r.gateway == schemas.Antom && r.forgot && r.last().forgotten
			}},
			{"eftPay's inquiry did not show the first refund", looksNew, func(_ *bank, r *request) bool {
				return r.gateway == schemas.EftPay && r.forgot && r.last().blind
			}},
			{"the command looked new and went to another account", looksNew, func(_ *bank, r *request) bool {
				return r.forgot && r.last().account != r.moves[0].account
			}},
		}
	case mayBeLost:
		return []excuse{forgot, {
			"the broker lost the copy of a command that was parked", "README, G2: not covered are messages that Kafka loses",
			func(_ *bank, r *request) bool { return r.parkedLost },
		}, {
			"the broker lost the copy of a pass that had stored its end and died", "reliability, not proved: a copy that Kafka loses with its worker",
			func(_ *bank, r *request) bool { return r.triedLost },
		}}
	case maySkipInquiry, maySendAfterFinal:
		return []excuse{forgot, jumped}
	case mayChangeAccount, mayResendBlindly, mayLeaveWindow, mayFailThoughMoved, mayContradict:
		return []excuse{forgot}
	case mayOverlap:
		return []excuse{forgot, payment, jumped}
	case mayExceedCap:
		return []excuse{forgot, payment}
	case maySucceedFalsely:
		return []excuse{{
			"an echo was taken for ours, because the payment's record was lost", forgetful,
			func(_ *bank, r *request) bool { return r.echoed && r.paymentForgot },
		}, {
			"Antom names no payment, and the key was used for another one", "reliability, not proved: a key that was used for another payment",
			func(_ *bank, r *request) bool { return r.gateway == schemas.Antom && r.forgot && len(r.moves) > 0 },
		}}
	}
	return nil
}

func (r *request) last() move { return r.moves[len(r.moves)-1] }

// excused tells whether a broken promise is one that nobody has made.
func (b *bank) excused(broken promise, r *request) bool {
	for _, e := range excuses(broken) {
		if e.holds(b, r) {
			b.tally.add("excused: " + e.name)
			return true
		}
	}
	return false
}
