package dedupe

import (
	"context"
	"errors"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// ErrCorrupt is wrapped when an entry in the store cannot be read though its format is the known one: somebody else
// writes to these keys. Waiting does not mend it.
var ErrCorrupt = errors.New("dedupe store entry is corrupt")

// maxTakeovers is how many times a lapsed claim is handed on. A command that outlives more owners than this probably
// kills them, so it goes to review.
const maxTakeovers = 5

// backend carries one call to the payment's record, one to the request's, or both in one round trip. Each half is
// atomic by itself; the two together are not. An error means that either half may have happened, or none.
type backend interface {
	exchange(ctx context.Context, payment *paymentCall, record *recordCall) (paymentAnswer, recordAnswer, error)
}

// recordCall is a call to a request's record: exactly one of the pointers is set.
type recordCall struct {
	claim   *refund.ClaimRequest
	settle  *refund.SettleRequest
	wait    *refund.WaitRequest
	release *refund.ReleaseRequest
	// look is a request ID. announced goes with it: the request's outcome, if it has one, is published.
	look      *string
	announced bool
}

// paymentCall is a call to a payment's record: exactly one of the last four is set.
type paymentCall struct {
	requestID, token string
	ref              refund.PaymentRef

	acquire *paymentAcquire
	settle  *paymentSettle
	wait    *paymentWait
	release *paymentRelease
}

// The modes of an acquire; payment_acquire.lua tells them apart.
const (
	acquireCommand = "command"
	acquireCopy    = "copy"
	acquireKnown   = "known"
)

type paymentAcquire struct {
	lease time.Duration
	mode  string
}

// The modes of a settle; payment_settle.lua tells them apart.
const (
	settleOwn   = "own"
	settleKnown = "known"
)

type paymentSettle struct {
	declined bool
	mode     string
}

type paymentWait struct{ maybeSent bool }

type paymentRelease struct{ stray bool }

// What a script answers. The texts are the scripts' own.
const (
	foundGranted   = "granted"
	foundAbsent    = "absent"
	foundClaimed   = "claimed"
	foundBusy      = "busy"
	foundWaiting   = "waiting"
	foundHere      = "here"
	foundReview    = "review"
	foundSettled   = "settled"
	foundTombstone = "tombstone"
	foundConflict  = "conflict"
	foundVersion   = "version"
	foundMine      = "mine"
	foundLost      = "lost"
	foundStored    = "stored"
	foundReleased  = "released"
	foundKept      = "kept"
	foundForgot    = "forgot"
	foundRestored  = "restored"

	foundAcquired = "acquired"
	foundDone     = "done"
	foundLapsed   = "lapsed"
)

// recordAnswer is what a record's half found.
type recordAnswer struct {
	found   string
	now     time.Time
	retryIn time.Duration
	record  refund.Record
	// settled is how the record ended, also where a claim finds a conflict with it.
	settled refund.SettledAs
	outcome []byte
	// message is a packed message, see packMessage.
	message []byte
	// born: the claim that owns the record found none.
	born bool
	// fresh: born, and the claim was made for a command.
	fresh bool
	// epoch is that of the record's bucket.
	epoch refund.Epoch
	// payment is the digest of the payment the record was made for.
	payment string
}

// paymentAnswer is what a payment's half found.
type paymentAnswer struct {
	found            string
	retryIn          time.Duration
	exceeded, others bool
}

// declinedAs tells a payment's record how a request ended.
func declinedAs(status schemas.Status) bool { return status != schemas.Success }
