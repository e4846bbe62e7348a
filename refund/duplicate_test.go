package refund_test

import (
	"testing"
	"testing/synctest"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// secondSending is the command once more, as a producer may send it again: at another place, in another batch.
func (b *bundle) secondSending(t *testing.T) refund.Message {
	t.Helper()
	b.cmd.BatchID, b.cmd.Metadata = "again", map[string]string{"orderId": "SO-2"}
	return b.message(t)
}

// sameEvent wants two events to be the same under their ID, but for when and in which words.
func sameEvent(t *testing.T, first, again refund.Event) {
	t.Helper()
	id, _ := schemas.HeaderValue(first.Headers, schemas.HeaderCEID)
	idAgain, _ := schemas.HeaderValue(again.Headers, schemas.HeaderCEID)
	wantEqual(t, "event IDs", string(id), string(idAgain))
	var says [2]schemas.Outcome
	for i, e := range []refund.Event{first, again} {
		out, err := schemas.DecodeOutcome(e.Value)
		if err != nil {
			t.Fatal(err)
		}
		out.OccurredAt, out.GatewayCode, out.GatewayMessage = schemas.Time{}, "", ""
		says[i] = out
	}
	wantEqual(t, "what "+string(id)+" says", says[0], says[1])
}

func TestADuplicateOfAWaitingRequestSaysWhatTheFirstSendingSaid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{verdict(refund.Unknown)}
		b.run(t, b.message(t))
		b.run(t, b.secondSending(t))
		results, copies := b.broker.on(refund.Results), b.broker.on(refund.Retry)
		if len(results) != 2 || len(copies) != 2 {
			t.Fatalf("%d events and %d copies, want 2 each", len(results), len(copies))
		}
		sameEvent(t, results[0], results[1])
		wantEqual(t, "copies", copies[0], copies[1])
	})
}

func TestADuplicateOfARequestInReviewSaysWhatTheFirstSendingSaid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.inReview(t)
		told := b.broker.on(refund.Results)
		b.run(t, b.secondSending(t))
		again := b.broker.on(refund.Results)
		wantEqual(t, "events", len(told)+1, len(again))
		sameEvent(t, told[len(told)-1], again[len(again)-1])
		dead := b.broker.on(refund.DeadLetters)
		wantEqual(t, "dead letters", 2, len(dead))
		wantEqual(t, "what is filed", string(dead[0].Value), string(dead[1].Value))
	})
}

// The copy comes while its duplicate is being answered: what is told then is what the request has come to.
func TestADuplicateWhoseRequestMovesOnIsAnsweredWithWhatItHasComeTo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{verdict(refund.Unknown)}
		b.gateway.inquiries = []answer{succeeded()}
		b.run(t, b.message(t))
		due := b.copyMessage(t)
		b.store.claimed = func() {
			b.store.claimed = nil
			pass(10 * time.Second)
			b.runCopy(t, due)
		}
		b.run(t, b.secondSending(t))
		wantEqual(t, "outcomes", []string{"retry-pending UNKNOWN_OUTCOME 1/1", "success REFUNDED 1/2", "success REFUNDED 1/2"}, status(b.outcomes(t)))
		wantEqual(t, "copies", 1, len(b.broker.on(refund.Retry)))
	})
}
