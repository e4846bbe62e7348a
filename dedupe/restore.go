package dedupe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// Remembered is what one published outcome tells of its request.
type Remembered struct {
	RequestID string
	// Fingerprint is the command's; zero where the event does not carry it. Such a request is compared by its payment,
	// and is never worked on again while it is open: it comes back in review.
	Fingerprint refund.Fingerprint
	Payment     refund.PaymentRef
	Status      schemas.Status
	Code        schemas.Code
	Review      bool
	// Token is the claim's whose pass the event tells of; only of progress.
	Token               string
	Hop, Attempt        int
	Account, GatewayKey string
	GatewayRefundID     string
	FirstSeen, Due      time.Time
	// OccurredAt begins the life of the record and of the outcome's bytes.
	OccurredAt time.Time
	// Outcome is the event, byte for byte.
	Outcome []byte
}

// Final says that the event ends its request.
func (m Remembered) Final() bool { return m.Status != schemas.RetryPending }

// unprinted stands in records for the fingerprint of an event without one; common.lua calls it NO_FINGERPRINT.
const unprinted = 0

// print is the fingerprint as a record keeps it.
func (m Remembered) print() refund.Fingerprint {
	if m.Fingerprint.Sum == "" {
		return refund.Fingerprint{Version: unprinted}
	}
	return refund.Fingerprint{Version: m.Fingerprint.Version, Sum: fingerprintDigest(m.Fingerprint)}
}

// review: only evidence may close it. Without fingerprint or gateway key nobody can tell whose message comes, or what to
// ask the gateway about.
func (m Remembered) review() bool {
	return m.Review || m.Fingerprint.Sum == "" || m.GatewayKey == ""
}

func (m Remembered) firstSeen() time.Time {
	if m.FirstSeen.IsZero() {
		return m.OccurredAt
	}
	return m.FirstSeen
}

// lives are what is left of the record's life, and of its outcome's bytes: 0 when it is over.
func (m Remembered) lives(cfg Config, now time.Time) (record, outcome time.Duration) {
	age := max(now.Sub(m.OccurredAt), 0)
	return max(cfg.TombstoneTTL-age, 0).Truncate(time.Millisecond), max(cfg.OutcomeTTL-age, 0).Truncate(time.Millisecond)
}

// Restored counts what a call of Restore has changed, and what it has found to be as new or newer.
type Restored struct{ Settled, Tombstones, Waiting, Review, Kept, Expired int }

// Add sums up.
func (r Restored) Add(o Restored) Restored {
	return Restored{
		r.Settled + o.Settled, r.Tombstones + o.Tombstones, r.Waiting + o.Waiting, r.Review + o.Review, r.Kept + o.Kept, r.Expired + o.Expired,
	}
}

// Records is how many records were put back.
func (r Restored) Records() int { return r.Settled + r.Tombstones + r.Waiting + r.Review }

func (r *Restored) count(m Remembered, outcomeLeft time.Duration) {
	switch {
	case m.Final() && outcomeLeft == 0:
		r.Tombstones++
	case m.Final():
		r.Settled++
	case m.review():
		r.Review++
	default:
		r.Waiting++
	}
}

// entryFor says what the payment's record should hold of the request, from the record that is there after the restore:
// that of the event, or the one that was kept because it knows better. entryNone where nothing should be touched.
func entryFor(m Remembered, restored bool, after recordAnswer) byte {
	switch {
	case after.payment != paymentDigest(m.Payment):
		return entryNone // another command owns the ID, and another payment
	case after.settled.Status == schemas.Success:
		return entrySettled
	case after.settled.Status != "":
		return entryDeclined
	case restored || after.record.MaybeSent:
		return entryUnknown
	}
	return entryNone
}

// entryDeclined is no entry: it crosses the request out and leaves the declined mark.
const entryDeclined byte = 'd'

// Restore puts back what the events tell, in their order. A final outcome wins over everything that is not settled, and
// nothing after it counts; progress wins over nothing, and over an open record of an earlier hop. Every call may be
// repeated. The error wraps refund.ErrStoreUnavailable, and then any part may have happened.
func (r *Redis) Restore(ctx context.Context, events []Remembered) (Restored, error) {
	var count Restored
	now := time.Now()
	calls := make([]scriptCall, 0, len(events))
	alive := make([]Remembered, 0, len(events))
	for _, m := range events {
		record, outcome := m.lives(r.cfg, now)
		if record == 0 {
			count.Expired++
			continue
		}
		alive = append(alive, m)
		calls = append(calls, r.restoreScript(m, now, record, outcome))
	}
	replies, err := r.runAll(ctx, calls)
	if err != nil {
		return count, fmt.Errorf("restore records: %w", err)
	}
	payments := calls[:0]
	for i, m := range alive {
		after, restored, err := readRestored(replies[i])
		switch {
		case errors.Is(err, errForeign):
			count.Kept++
			continue
		case err != nil:
			return count, fmt.Errorf("restore %s: %w", m.RequestID, err)
		case restored:
			_, outcome := m.lives(r.cfg, now)
			count.count(m, outcome)
		default:
			count.Kept++
		}
		if kind := entryFor(m, restored, after); kind != entryNone {
			payments = append(payments, scriptCall{r.scripts.paymentRestore, []string{r.keys.payment(m.Payment)}, []any{
				m.RequestID, string(kind), m.Payment.Minor, r.cfg.TombstoneTTL.Milliseconds(),
			}})
		}
	}
	if _, err := r.runAll(ctx, payments); err != nil {
		return count, fmt.Errorf("restore payments: %w", err)
	}
	return count, nil
}

// restoredLook is when a request that was put back as waiting is looked at, should its retry copy be lost as well: later
// than the longest tier lasts, because the event may be of an earlier wait, and a copy that waits is no news.
const restoredLook = 25 * time.Hour

func (r *Redis) restoreScript(m Remembered, now time.Time, record, outcome time.Duration) scriptCall {
	state := "w"
	switch {
	case m.Final():
		state = stateSettled
	case m.review():
		state = "r"
	}
	fingerprint, due, code := m.print(), millis(m.Due), m.Code
	packed := escape(string(code))
	switch state {
	case "r":
		due, packed = 0, string(schemas.CodeNeedsReview)
	case stateSettled:
		packed = packCode(m.Status, code)
	}
	keys := []string{r.keys.record(m.RequestID), r.keys.outcome(m.RequestID), r.keys.message(m.RequestID), r.keys.schedule(bucket(m.RequestID))}
	return scriptCall{r.scripts.recordRestore, keys, []any{
		state, fingerprint.Version, fingerprint.Sum, paymentDigest(m.Payment), escape(m.Token), m.Hop, m.Attempt, escape(m.Account),
		escape(m.GatewayKey), escape(m.GatewayRefundID), millis(m.firstSeen()), packed, due,
		packStatus(m.Status), m.Outcome, record.Milliseconds(), outcome.Milliseconds(), m.RequestID, millis(now.Add(restoredLook)),
	}}
}

// errForeign: the record is of a format that this build does not know, so it is newer, and none of its business.
var errForeign = errors.New("record of a newer format")

func readRestored(reply []string) (after recordAnswer, restored bool, err error) {
	if len(reply) != 2 {
		return after, false, errLength(reply)
	}
	if len(reply[1]) < 2 || reply[1][:2] != recordFormat+"|" {
		return after, false, errForeign
	}
	err = after.readPacked(reply[1])
	return after, reply[0] == foundRestored, err
}
