package refund

import (
	"context"
	"errors"
	"time"

	"refundworker/schemas"
)

// ErrStoreUnavailable is wrapped by every store error that says "the store could not be asked": the caller waits and
// asks again, and starts nothing new.
var ErrStoreUnavailable = errors.New("dedupe store unavailable")

// Fingerprint is a hash over every field of a command that reaches the gateway, with the version of the recipe.
type Fingerprint struct {
	Version int
	Sum     string
}

// PaymentRef is a request's share in the record of its payment.
type PaymentRef struct {
	Gateway   schemas.Gateway
	PaymentID string
	// Minor is the amount of this request, in minor units.
	Minor int64
	// OriginalMinor is the payment's full amount when the command states it; 0 arms no cap.
	OriginalMinor int64
}

// ClaimRequest asks for a request ID and the lease of its payment, in one round trip.
type ClaimRequest struct {
	RequestID string
	// Token is new and random for every call of Claim by the processor (a driver's own replay reuses it).
	Token string
	Lease time.Duration
	// Fingerprints holds the command's fingerprint in every version this build can compute, newest first. A stored
	// one is compared in its own version; a version this build does not know is a conflict-free ClaimUnknownVersion.
	Fingerprints []Fingerprint
	// Account and GatewayKey are frozen into the record when it is born here.
	Account, GatewayKey string
	Payment             PaymentRef

	// Hop is 0 for a command, the copy's hop for a retry copy.
	Hop int
	// Copy: the message is a retry copy; if the record is gone it is adopted with Attempt, FirstSeen and maybeSent.
	Copy bool
	// Signal: the message brings evidence, or a look that is due. A waiting record is granted whatever hop it waits for,
	// and one in review too, unless its evidence contradicts itself. Goes with Copy.
	Signal    bool
	Attempt   int
	FirstSeen time.Time
	// Via identifies the message itself (its topic/partition/offset), so that a redelivery of the very message that
	// put the record to waiting can be told from a stale copy.
	Via string
}

// ClaimStatus says what a claim found.
type ClaimStatus uint8

// The answers of Claim.
const (
	// ClaimInvalid is the zero value and never returned without an error.
	ClaimInvalid ClaimStatus = iota
	// ClaimGranted: the request is ours until the lease ends, and the payment's lease with it.
	ClaimGranted
	// ClaimBusy: another owner holds the request; RetryIn says for how long at most.
	ClaimBusy
	// ClaimPaymentBusy: another claim of the payment holds it; RetryIn says for how long at most. Nothing
	// is held: neither the request nor the payment.
	ClaimPaymentBusy
	// ClaimSettled: Outcome holds the stored terminal outcome, byte for byte.
	ClaimSettled
	// ClaimTombstone: settled, and the outcome's bytes have expired; Settled holds status and code.
	ClaimTombstone
	// ClaimConflict: the request ID is known with another fingerprint. The record is untouched.
	ClaimConflict
	// ClaimSuperseded: the record waits for a later hop than this message's; the message is done.
	ClaimSuperseded
	// ClaimRewrite: the record waits, and this message (the one that put it there, or a producer's duplicate) must
	// write its retry copy and retry-pending again.
	ClaimRewrite
	// ClaimInReview: only evidence closes it.
	ClaimInReview
	// ClaimUnknownVersion: the record was written by a newer build; park the message.
	ClaimUnknownVersion
)

// Record is the state of a request as the store holds it.
type Record struct {
	Hop, Attempt int
	// MaybeSent is true once a send was not provably unsent, and for every taken-over or adopted record.
	MaybeSent bool
	// Contradicted: evidence about the request contradicts itself, so nothing that a gateway says closes it any more; a
	// person has to. It implies MaybeSent.
	Contradicted bool
	// Takeovers counts claims granted because an earlier owner's lease had run out.
	Takeovers           int
	Account, GatewayKey string
	GatewayRefundID     string
	FirstSeen           time.Time
	// SentSince is since when it may have been sent; zero where that is not known, and where it was not.
	SentSince time.Time
	// Token is the claim's token while claimed, and the last owner's while waiting or in review.
	Token string
	// Code and Due tell why and until when a waiting record waits.
	Code schemas.Code
	Due  time.Time
	// Via is the message whose pass put it to waiting or into review (its topic/partition/offset).
	Via string
}

// SettledAs is what remains of a settled request after its outcome's bytes expired.
type SettledAs struct {
	Status schemas.Status
	Code   schemas.Code
}

// openFor is how long it has been waited for an answer: not at all before something may have been sent.
func (r Record) openFor(now time.Time) time.Duration {
	if !r.MaybeSent {
		return 0
	}
	return now.Sub(r.openSince())
}

// openSince is from when the horizon counts.
func (r Record) openSince() time.Time {
	if r.SentSince.IsZero() {
		return r.FirstSeen
	}
	return r.SentSince
}

// inReview tells a claimed record that came from a review: a claim keeps what the request waited for.
func (r Record) inReview() bool { return r.Code == schemas.CodeNeedsReview }

// Claim is the answer to a ClaimRequest.
type Claim struct {
	Status ClaimStatus
	Record Record
	// Fresh: the record was absent and the message is no retry copy, so nothing of this request was ever sent.
	Fresh bool
	// CapExceeded: with this request the settled, in-flight and unknown refunds would exceed the stated original.
	CapExceeded bool
	// OthersKnown: the payment's record holds another request.
	OthersKnown bool
	RetryIn     time.Duration
	Outcome     []byte
	Settled     SettledAs
	// Now is the store's clock when the claim was decided.
	Now time.Time
	// Epoch is the zero Epoch for as long as the store has never forgotten anything.
	Epoch Epoch
}

// SettleRequest stores a terminal outcome and releases the payment, in one round trip.
type SettleRequest struct {
	RequestID, Token string
	Status           schemas.Status
	Code             schemas.Code
	// Outcome is the encoded event that every publication of this request will carry.
	Outcome []byte
	// Proof: a verified success. It settles over any unsettled owner and over an absent record. Without it, the
	// token must own the claim; the lease is not looked at. Where the token does not own it, the request stays on the
	// schedule until it is announced, because the message that the proof came from may be done for long.
	Proof bool
	// Claim is the request the claim was made with; it rebuilds the record where Proof finds none.
	Claim ClaimRequest
}

// Settled is the answer to a SettleRequest.
type Settled struct {
	// Stored: this request's terminal outcome is now in the store, by us or by somebody before us. Outcome holds
	// the bytes that are stored: publish those. Outcome is nil only where a tombstone was found.
	Stored  bool
	Outcome []byte
	// Lost: somebody else owns the unsettled request; claim again.
	Lost bool
}

// WaitRequest puts a claimed request to waiting (or into review) and releases the payment, in one round trip.
type WaitRequest struct {
	RequestID, Token string
	// Hop is the hop of the retry copy that is about to be written: the claimed record's hop + 1.
	Hop, Attempt    int
	MaybeSent       bool
	SentSince       time.Time
	Contradicted    bool
	Code            schemas.Code
	Due             time.Time
	GatewayRefundID string
	Via             string
	// Review: only evidence closes it from now on.
	Review  bool
	Payment PaymentRef
	// Message is the command as it was read from its origin. It is kept while the request is open, so that a signal can
	// be worked on without the message that is in a retry tier.
	Message Message
	// LookAt is when the request is put on the schedule of the store, for a look that does not come from its retry copy;
	// zero: never.
	LookAt time.Time
}

// Waited is the answer to a WaitRequest.
type Waited struct {
	// Stored: the record waits (or is in review) under this token and hop.
	Stored bool
	// Lost: the request is owned, settled or moved on by somebody else; claim again to see.
	Lost bool
}

// ReleaseRequest gives a claim back though nothing was sent in this pass: the record returns to what it was.
type ReleaseRequest struct {
	RequestID, Token string
	Payment          PaymentRef
}

// SightState is the state of a request as a look found it.
type SightState uint8

// The states.
const (
	// SightInvalid is the zero value and never returned without an error.
	SightInvalid SightState = iota
	SightAbsent
	SightClaimed
	SightWaiting
	SightReview
	SightSettled
	// SightTombstone: settled, and the outcome's bytes have expired.
	SightTombstone
	// SightUnknownVersion: the record was written by a newer build.
	SightUnknownVersion
)

// Sight is what the store knows of a request, without any claim on it: it may have changed since.
type Sight struct {
	State  SightState
	Record Record
	// LeaseLeft is for how long at most a claimed request is still owned.
	LeaseLeft time.Duration
	// Message is the stored command of an open request; nil where none is stored, as before its first wait.
	Message *Message
	Settled SettledAs
	Outcome []byte
}

type store interface {
	Claim(context.Context, ClaimRequest) (Claim, error)
	Settle(context.Context, SettleRequest) (Settled, error)
	Wait(context.Context, WaitRequest) (Waited, error)
	Release(context.Context, ReleaseRequest) error
	Look(ctx context.Context, requestID string) (Sight, error)
	// Announced takes a settled request off the store's schedule: its outcome is published.
	Announced(ctx context.Context, requestID string) error
}
