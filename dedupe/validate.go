package dedupe

import (
	"errors"
	"fmt"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// ErrRequest is wrapped when a call's own fields make no sense: the caller's mistake, and nothing was asked of the
// store.
var ErrRequest = errors.New("invalid dedupe request")

type faults struct{ errs []error }

func (f *faults) when(broken bool, text string) {
	if broken {
		f.errs = append(f.errs, errors.New(text))
	}
}

func (f *faults) payment(ref refund.PaymentRef) {
	f.when(ref.Gateway == "" || ref.PaymentID == "", "Payment: gateway or payment ID is empty")
	f.when(ref.Minor < 0 || ref.OriginalMinor < 0, "Payment: an amount is negative")
}

func (f *faults) owner(requestID, token string) {
	f.when(requestID == "", "RequestID is empty")
	f.when(token == "", "Token is empty")
}

func (f *faults) join(call, requestID string) error {
	if len(f.errs) == 0 {
		return nil
	}
	return fmt.Errorf("%s %s: %w: %w", call, requestID, ErrRequest, errors.Join(f.errs...))
}

func validateClaim(req refund.ClaimRequest, maxLease time.Duration) error {
	var f faults
	f.owner(req.RequestID, req.Token)
	f.payment(req.Payment)
	f.when(req.Lease < time.Millisecond, "Lease is below 1ms")
	f.when(req.Lease > maxLease, "Lease is above Config.MaxLease")
	f.when(len(req.Fingerprints) == 0, "Fingerprints is empty")
	f.when(req.Hop < 0 || req.Attempt < 0, "Hop or Attempt is negative")
	return f.join("claim", req.RequestID)
}

func validateSettle(req refund.SettleRequest) error {
	var f faults
	f.owner(req.RequestID, req.Token)
	f.payment(req.Claim.Payment)
	f.when(req.Status != schemas.Success && req.Status != schemas.Failed, "Status is not final")
	f.when(req.Proof != (req.Status == schemas.Success), "Proof and Status disagree: a success needs proof, and nothing else has any")
	f.when(len(req.Outcome) == 0, "Outcome is empty")
	f.when(len(req.Claim.Fingerprints) == 0, "Claim.Fingerprints is empty")
	return f.join("settle", req.RequestID)
}

func validateWait(req refund.WaitRequest) error {
	var f faults
	f.owner(req.RequestID, req.Token)
	f.payment(req.Payment)
	f.when(req.Hop < 1 || req.Attempt < 0, "Hop is below 1, or Attempt negative")
	return f.join("wait", req.RequestID)
}

func validateRelease(req refund.ReleaseRequest) error {
	var f faults
	f.owner(req.RequestID, req.Token)
	f.payment(req.Payment)
	return f.join("release", req.RequestID)
}
