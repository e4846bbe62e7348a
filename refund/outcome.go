package refund

import (
	"fmt"
	"time"

	"refundworker/schemas"
)

// outcome builds the event for a decision. hop is the schedule generation it speaks of.
func (p *Processor) outcome(in input, rec Record, d decision, hop int) schemas.Outcome {
	r := d.result
	out := schemas.Outcome{
		SchemaVersion:   schemas.OutcomeVersion,
		RequestID:       in.cmd.RequestID,
		Status:          d.status,
		Final:           d.status != schemas.RetryPending,
		NeedsReview:     d.next == nextReview,
		Code:            d.code,
		Gateway:         in.cmd.Gateway,
		Account:         rec.Account,
		PaymentID:       in.cmd.PaymentID,
		Amount:          in.cmd.Amount,
		GatewayRefundID: firstOf(r.RefundID, rec.GatewayRefundID),
		GatewayCode:     r.RawCode,
		GatewayMessage:  r.RawMessage,
		Attempt:         d.attempt,
		Hop:             hop,
		Origin:          in.state.Origin,
		BatchID:         in.cmd.BatchID,
		Metadata:        in.cmd.Metadata,
		OccurredAt:      schemas.Time{Time: time.Now().UTC()},
	}
	if r.Verdict == NotSent && r.RawCode == "" && d.status == schemas.Failed {
		out.GatewayMessage = r.Detail // our own refusal explains itself; no gateway was asked
	}
	if d.status == schemas.Success {
		out.RefundedAmount, out.RefundTime, out.Settlement = r.Refunded, schemas.TimePtr(r.RefundTime), r.Settlement
	}
	if d.next == nextWait && d.status == schemas.RetryPending {
		out.NextAttemptAt = schemas.TimePtr(rec.Due)
		out.GiveUpAt = p.giveUpAt(in, rec)
	}
	return out
}

// giveUpAt is when a waiting request stops being retried by itself: at the horizon it goes to review once something may
// have been sent, and before that only the command's deadline ends it. nil: never.
func (p *Processor) giveUpAt(in input, rec Record) *schemas.Time {
	switch {
	case rec.MaybeSent && p.cfg.Policy.Horizon > 0:
		return schemas.TimePtr(rec.openSince().Add(p.cfg.Policy.Horizon))
	case !rec.MaybeSent:
		return in.cmd.Deadline
	}
	return nil
}

// encode writes an outcome, without the gateway's free texts if those are what makes it unfit: a settled refund is worth
// more than its message.
func encode(out schemas.Outcome) ([]byte, error) {
	value, err := schemas.EncodeOutcome(out)
	if err == nil {
		return value, nil
	}
	out.GatewayCode, out.GatewayMessage, out.Settlement = "", "", nil
	bare, bareErr := schemas.EncodeOutcome(out)
	if bareErr != nil {
		return nil, fmt.Errorf("encode outcome: %w", err)
	}
	return bare, nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
