package rebuild

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"refundworker/dedupe"
	"refundworker/internal/kafka"
	"refundworker/refund"
	"refundworker/schemas"
)

// errNotOurs is returned for messages that tell nothing of a request: rejections, and what is no event of ours.
var errNotOurs = errors.New("no outcome")

// remember reads what a message of the results topic tells. A newer version of the event is an error of its own: this
// build would forget what a newer one has published.
func remember(m kafka.Record) (dedupe.Remembered, error) {
	if kind, found := schemas.HeaderValue(m.Headers, schemas.HeaderCEType); found && string(kind) != schemas.TypeOutcome {
		return dedupe.Remembered{}, errNotOurs
	}
	out, err := schemas.DecodeOutcome(m.Value)
	switch {
	case errors.Is(err, schemas.ErrNewerVersion):
		return dedupe.Remembered{}, fmt.Errorf("outcome at %d/%d: %w", m.Partition, m.Offset, err)
	case err != nil:
		return dedupe.Remembered{}, errNotOurs
	}
	// What a header does not tell for certain it does not tell.
	memo, err := schemas.ParseMemo(m.Headers)
	if err != nil {
		memo = schemas.Memo{}
	}
	told := dedupe.Remembered{
		RequestID: out.RequestID,
		Payment:   refund.PaymentRef{Gateway: out.Gateway, PaymentID: out.PaymentID, Minor: out.Amount.Minor},
		Status:    out.Status, Code: out.Code, Review: out.NeedsReview, Hop: out.Hop, Attempt: out.Attempt,
		Account: out.Account, GatewayKey: memo.GatewayKey, GatewayRefundID: out.GatewayRefundID,
		FirstSeen: memo.FirstSeen, Due: timeOf(out.NextAttemptAt), OccurredAt: out.OccurredAt.Time, Outcome: m.Value,
	}
	if memo.FingerprintSum != "" {
		told.Fingerprint = refund.Fingerprint{Version: memo.FingerprintVersion, Sum: memo.FingerprintSum}
	}
	if !out.Final {
		id, _ := schemas.HeaderValue(m.Headers, schemas.HeaderCEID)
		told.Token = string(id)[strings.LastIndexByte(string(id), '/')+1:]
	}
	return told, nil
}

func timeOf(t *schemas.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}
