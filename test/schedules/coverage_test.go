package schedules

import (
	"strings"

	"refundworker/refund"
)

// leastForCoverage is how many schedules it takes before a kind of event that never occurred is a fault of the harness.
const leastForCoverage = 2000

// leastStacksForCoverage is the same for the whole stack.
const leastStacksForCoverage = 60

// mustHappen is what the schedules of the core have to go through, by the names of the tally.
func mustHappen() []string {
	list := []string{
		"action: a command", "action: a conflicting command", "action: a duplicate", "action: a commit is lost: command",
		"action: a commit is lost: copy", "action: a commit is lost: signal", "action: a copy is lost", "action: a copy is written twice",
		"action: a crash", "action: a stop", "action: another build", "action: a partition moves", "action: a zombie goes on",
		"action: two owners, the first is frozen", "action: two owners, the first is told", "action: a worker is frozen, and overtaken", "action: a gateway's mood",
		"action: a notification, true", "action: a notification, forged", "action: a notification, of another amount",
		"action: a notification, repeated", "action: a notification, of a false failure", "action: a redrive",
		"action: the watchdog looks", "the watchdog drives a request", "action: the next copy is due",
		"action: the store's clock jumps ahead", "action: the store's clock jumps back",
		"action: a record is lost", "action: a payment is lost", "action: a snapshot is taken", "action: a snapshot is restored",
		"action: delivery of a command", "action: delivery of a copy", "action: delivery of a signal",
		"claim: granted, fresh", "claim: granted, maybe sent", "claim: granted, taken over", "claim: granted, for a signal",
		"settle: the claim was lost", "wait: the claim was lost",
		"gateway: money moved", "gateway: repeat", "gateway: declines a repeat because of the first",
		"inquiry: the refund is hidden still", "inquiry: an echo is taken for ours", "inquiry: an echo is taken for another's",
		"final: success REFUNDED", "final: failed AMOUNT_EXCEEDED", "final: failed EXPIRED", "final: failed INVALID_REQUEST",
		"final: failed REFUND_FAILED", "final: failed BALANCE_NOT_ENOUGH",
		"announced: UNKNOWN_OUTCOME", "announced: IN_PROCESS", "announced: THROTTLED", "announced: ACCOUNT_REJECTED",
		"announced: GATEWAY_UNAVAILABLE", "announced: NEEDS_REVIEW", "rejected: REQUEST_ID_CONFLICT", "rejected: ALREADY_SETTLED",
		"end: success", "end: failed", "end: in review", "end: in review, for a person only", "end: in review, and the money has moved",
		"end: waits, and nothing was ever sent", "end: settled, and told when the outcome had expired",
	}
	for status, name := range claimNames() {
		if status != refund.ClaimGranted {
			list = append(list, "claim: "+name)
		}
	}
	for r := arrives; r <= late; r++ {
		list = append(list, "send: "+r.String())
	}
	for e := succeeds; e <= rejected; e++ {
		list = append(list, "gateway: "+e.String())
	}
	for a := given; a <= panics; a++ {
		list = append(list, "answer: "+a.String())
	}
	for a := askHonest; a <= askRejected; a++ {
		list = append(list, "inquiry: "+a.String())
	}
	for _, verdict := range []refund.Verdict{refund.Absent, refund.Declined, refund.Pending, refund.Succeeded, refund.Unknown} {
		list = append(list, "inquiry says "+verdict.String())
	}
	for _, name := range []string{"store", "publish", "send", "inquire", "answer"} {
		for f := passes; f <= diesOtherHalf; f++ {
			if half := strings.Contains(f.String(), "half"); name != "answer" && (f != arrivesTwice && !half || name == "store" || name == "publish") {
				list = append(list, "step: "+name+" "+f.String())
			}
		}
	}
	return list
}

// mustHappenInStack is what the schedules of the whole stack have to go through.
func mustHappenInStack() []string {
	list := []string{
		"claim: granted, fresh", "claim: granted, maybe sent", "claim: granted, taken over", "claim: busy", "claim: rewrite",
		"claim: superseded", "claim: conflict", "claim: settled", "end: success", "end: failed", "end: in review", "gateway: repeat",
	}
	for _, what := range deeds() {
		list = append(list, "stack: "+what)
	}
	return list
}
