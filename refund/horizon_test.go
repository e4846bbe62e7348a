package refund_test

import (
	"testing"
	"testing/synctest"
	"time"

	"refundworker/refund"
)

// givesUp wants the last outcome to promise when waiting ends.
func (b *bundle) givesUp(t *testing.T, at time.Time) {
	t.Helper()
	out := b.last(t)
	if out.GiveUpAt == nil || out.GiveUpAt.UnixMilli() != at.UnixMilli() {
		t.Fatalf("%s %s gives up at %v, want %v", out.Status, out.Code, out.GiveUpAt, at)
	}
}

// The gateway is out of reach for longer than the horizon. That is no time of waiting for an answer: the day begins with the
// first send.
func TestTimeInWhichNothingCouldBeSentDoesNotCountTowardsTheHorizon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{verdict(refund.NotSent)}
		b.run(t, b.message(t))
		pass(30 * time.Hour)
		b.gateway.refunds = []answer{verdict(refund.Unknown)}
		sent := time.Now()
		b.runCopy(t, b.copyMessage(t))
		wantEqual(t, "outcomes", []string{"retry-pending GATEWAY_UNAVAILABLE 1/0", "retry-pending UNKNOWN_OUTCOME 2/1"}, status(b.outcomes(t)))
		b.givesUp(t, sent.Add(24*time.Hour))

		// A repeat of the copy after a crash makes the same promise.
		b.run(t, b.message(t))
		b.givesUp(t, sent.Add(24*time.Hour))

		pass(23 * time.Hour)
		b.gateway.inquiries = []answer{verdict(refund.Pending)}
		b.runCopy(t, b.copyMessage(t))
		wantEqual(t, "an hour before", "retry-pending IN_PROCESS 3/2", status(b.outcomes(t))[3])
		pass(time.Hour + time.Minute)
		b.gateway.inquiries = []answer{verdict(refund.Pending)}
		b.runCopy(t, b.copyMessage(t))
		wantEqual(t, "a day after the send", "retry-pending NEEDS_REVIEW 4/3", status(b.outcomes(t))[4])
	})
}

// A pass that died may have sent; its horizon begins when that was found out.
func TestTheHorizonOfATakenOverRequestBeginsWithTheTakeover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		m := b.message(t)
		b.deadOwner(t, m)
		pass(30 * time.Hour)
		b.gateway.inquiries = []answer{verdict(refund.Unknown)}
		taken := time.Now()
		b.run(t, m)
		wantEqual(t, "outcomes", []string{"retry-pending UNKNOWN_OUTCOME 1/2"}, status(b.outcomes(t)))
		b.givesUp(t, taken.Add(24*time.Hour))
	})
}
