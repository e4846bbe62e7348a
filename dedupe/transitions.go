package dedupe

import (
	"context"
	"fmt"

	"refundworker/refund"
)

// claim asks for both halves at once and makes one answer of what they found.
func claim(ctx context.Context, b backend, req refund.ClaimRequest) (refund.Claim, error) {
	mode := acquireCommand
	if req.Copy {
		mode = acquireCopy
	}
	pay, rec, err := b.exchange(ctx, acquireFor(req, mode), &recordCall{claim: &req})
	if err != nil {
		return refund.Claim{}, fmt.Errorf("claim %s: %w", req.RequestID, err)
	}
	if rec.found != foundGranted {
		return denied(ctx, b, req, pay, rec)
	}
	if pay.found == foundSettled || pay.found == foundRival || pay.exceeded && !rec.fresh {
		// The payment's half could not know what the record's half found: that the request is ours, so a rival claim of
		// it has lost and the lease is needed whatever the payment says; or that it is not new, so its amount counts
		// whatever the cap says.
		pay, _, err = b.exchange(ctx, acquireFor(req, acquireKnown), nil)
		if err != nil {
			return refund.Claim{}, fmt.Errorf("claim %s: acquire its payment: %w", req.RequestID, err)
		}
	}
	if pay.found == foundBusy {
		back := refund.ReleaseRequest{RequestID: req.RequestID, Token: req.Token, Payment: req.Payment}
		if _, _, err := b.exchange(ctx, nil, &recordCall{release: &back}); err != nil {
			return refund.Claim{}, fmt.Errorf("claim %s: give it back, its payment is busy: %w", req.RequestID, err)
		}
		return refund.Claim{Status: refund.ClaimPaymentBusy, RetryIn: pay.retryIn, Now: rec.now}, nil
	}
	return refund.Claim{
		Status: refund.ClaimGranted, Record: rec.record, Fresh: rec.fresh, Now: rec.now,
		CapExceeded: pay.exceeded, OthersKnown: pay.others,
	}, nil
}

// denied gives the payment back, if it was granted, and turns the record's answer into the claim's.
func denied(ctx context.Context, b backend, req refund.ClaimRequest, pay paymentAnswer, rec recordAnswer) (refund.Claim, error) {
	status, err := deniedStatus(rec.found)
	if err != nil {
		return refund.Claim{}, fmt.Errorf("claim %s: %w", req.RequestID, err)
	}
	if pay.found == foundAcquired {
		back := &paymentCall{requestID: req.RequestID, token: req.Token, ref: req.Payment}
		if status == refund.ClaimSettled || status == refund.ClaimTombstone {
			back.settle = &paymentSettle{declined: declinedAs(rec.settled.Status), mode: settleKnown}
		} else {
			back.release = &paymentRelease{stray: status == refund.ClaimConflict && rec.payment != paymentDigest(req.Payment)}
		}
		if _, _, err := b.exchange(ctx, back, nil); err != nil {
			return refund.Claim{}, fmt.Errorf("claim %s: give its payment back: %w", req.RequestID, err)
		}
	}
	return refund.Claim{
		Status: status, Record: rec.record, RetryIn: rec.retryIn, Outcome: rec.outcome, Settled: rec.settled, Now: rec.now,
	}, nil
}

func deniedStatus(found string) (refund.ClaimStatus, error) {
	switch found {
	case foundBusy:
		return refund.ClaimBusy, nil
	case foundWaiting:
		return refund.ClaimSuperseded, nil
	case foundHere:
		return refund.ClaimRewrite, nil
	case foundReview:
		return refund.ClaimInReview, nil
	case foundSettled:
		return refund.ClaimSettled, nil
	case foundTombstone:
		return refund.ClaimTombstone, nil
	case foundConflict:
		return refund.ClaimConflict, nil
	case foundVersion:
		return refund.ClaimUnknownVersion, nil
	}
	return refund.ClaimInvalid, fmt.Errorf("%w: answer %q", ErrCorrupt, found)
}

func acquireFor(req refund.ClaimRequest, mode string) *paymentCall {
	return &paymentCall{
		requestID: req.RequestID, token: req.Token, ref: req.Payment,
		acquire: &paymentAcquire{lease: req.Lease, mode: mode},
	}
}

// settle stores the outcome and ends the request's place in its payment.
func settle(ctx context.Context, b backend, req refund.SettleRequest) (refund.Settled, error) {
	pay := &paymentCall{
		requestID: req.RequestID, token: req.Token, ref: req.Claim.Payment,
		settle: &paymentSettle{declined: declinedAs(req.Status), mode: settleOwn},
	}
	if req.Proof {
		pay.settle.mode = settleKnown
	}
	ended, rec, err := b.exchange(ctx, pay, &recordCall{settle: &req})
	if err != nil {
		return refund.Settled{}, fmt.Errorf("settle %s: %w", req.RequestID, err)
	}
	if rec.found == foundLost {
		return refund.Settled{Lost: true}, nil
	}
	answer := refund.Settled{Stored: true, Outcome: rec.outcome}
	if rec.found == foundMine {
		answer.Outcome = req.Outcome
	}
	if ended.found == foundLapsed {
		pay.settle = &paymentSettle{declined: declinedAs(rec.settled.Status), mode: settleKnown}
		if _, _, err := b.exchange(ctx, pay, nil); err != nil {
			return refund.Settled{}, fmt.Errorf("settle %s: end its place in the payment: %w", req.RequestID, err)
		}
	}
	return answer, nil
}

// wait puts the request aside and gives its payment up.
func wait(ctx context.Context, b backend, req refund.WaitRequest) (refund.Waited, error) {
	pay := &paymentCall{
		requestID: req.RequestID, token: req.Token, ref: req.Payment,
		wait: &paymentWait{maybeSent: req.MaybeSent},
	}
	_, rec, err := b.exchange(ctx, pay, &recordCall{wait: &req})
	if err != nil {
		return refund.Waited{}, fmt.Errorf("wait %s: %w", req.RequestID, err)
	}
	return refund.Waited{Stored: rec.found == foundStored, Lost: rec.found != foundStored}, nil
}

// release gives both halves back.
func release(ctx context.Context, b backend, req refund.ReleaseRequest) error {
	pay := &paymentCall{requestID: req.RequestID, token: req.Token, ref: req.Payment, release: &paymentRelease{}}
	if _, _, err := b.exchange(ctx, pay, &recordCall{release: &req}); err != nil {
		return fmt.Errorf("release %s: %w", req.RequestID, err)
	}
	return nil
}
