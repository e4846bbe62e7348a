package dedupe

import (
	"context"
	"fmt"

	"refundworker/refund"
	"refundworker/schemas"
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
	if pay.found == foundForgot || rec.found == foundForgot {
		return refund.Claim{}, fmt.Errorf("claim %s: %w", req.RequestID, forgot(ctx, b, req))
	}
	if rec.found != foundGranted {
		return denied(ctx, b, req, pay, rec)
	}
	proven := pay.found == foundSettled
	if proven && rec.born {
		return outlived(ctx, b, req, rec)
	}
	if proven || pay.exceeded && !rec.fresh {
		// The payment's half could not know what the record's half found: that the request is ours, so the lease is needed
		// though the payment calls it a success; or that it is not new, so its amount counts whatever the cap says.
		pay, _, err = b.exchange(ctx, acquireFor(req, acquireKnown), nil)
		if err != nil {
			return refund.Claim{}, fmt.Errorf("claim %s: acquire its payment: %w", req.RequestID, err)
		}
		if pay.found == foundForgot {
			return refund.Claim{}, fmt.Errorf("claim %s: %w", req.RequestID, forgot(ctx, b, req))
		}
	}
	if pay.found == foundBusy {
		back := refund.ReleaseRequest{RequestID: req.RequestID, Token: req.Token, Payment: req.Payment}
		if _, _, err := b.exchange(ctx, nil, &recordCall{release: &back}); err != nil {
			return refund.Claim{}, fmt.Errorf("claim %s: give it back, its payment is busy: %w", req.RequestID, err)
		}
		return refund.Claim{Status: refund.ClaimPaymentBusy, RetryIn: pay.retryIn, Now: rec.now}, nil
	}
	// A record that is still open while its payment knows the success has lost its last moves, the send among them.
	rec.record.MaybeSent = rec.record.MaybeSent || proven
	return refund.Claim{
		Status: refund.ClaimGranted, Record: rec.record, Fresh: rec.fresh, Now: rec.now,
		CapExceeded: pay.exceeded, OthersKnown: pay.others, Epoch: rec.epoch,
	}, nil
}

// outlived answers for a request whose record is gone while its payment still knows that it succeeded: a record's life
// runs from its settle, and every later refund of the payment renews the payment's; or the shard of the record was
// lost. The money has moved, so the record that this claim has made goes again, for a command and for a copy. Nothing
// is left of the outcome but its status.
func outlived(ctx context.Context, b backend, req refund.ClaimRequest, rec recordAnswer) (refund.Claim, error) {
	back := refund.ReleaseRequest{RequestID: req.RequestID, Token: req.Token, Payment: req.Payment}
	pay := &paymentCall{requestID: req.RequestID, token: req.Token, ref: req.Payment, release: &paymentRelease{}}
	if _, _, err := b.exchange(ctx, pay, &recordCall{release: &back}); err != nil {
		return refund.Claim{}, fmt.Errorf("claim %s: give it back, its payment knows its success: %w", req.RequestID, err)
	}
	return refund.Claim{
		Status: refund.ClaimTombstone, Now: rec.now,
		Settled: refund.SettledAs{Status: schemas.Success, Code: schemas.CodeRefunded},
	}, nil
}

// denied gives the payment what the claim owes it and turns the record's answer into the claim's.
func denied(ctx context.Context, b backend, req refund.ClaimRequest, pay paymentAnswer, rec recordAnswer) (refund.Claim, error) {
	status, err := deniedStatus(rec.found)
	if err != nil {
		return refund.Claim{}, fmt.Errorf("claim %s: %w", req.RequestID, err)
	}
	if back := giveBack(req, status, pay, rec); back != nil {
		if _, _, err := b.exchange(ctx, back, nil); err != nil {
			return refund.Claim{}, fmt.Errorf("claim %s: give its payment back: %w", req.RequestID, err)
		}
	}
	answer := refund.Claim{Status: status, Record: rec.record, RetryIn: rec.retryIn, Outcome: rec.outcome, Now: rec.now}
	if status != refund.ClaimConflict {
		answer.Settled = rec.settled
	}
	return answer, nil
}

// giveBack is what a denied claim owes the payment, or nil. A lease that it was granted goes back. And where the record
// says for good that nothing of this request is in flight in this payment, the entry of an earlier claim that died
// before it could do this goes too, whoever has the lease now: nobody may come after this claim.
func giveBack(req refund.ClaimRequest, status refund.ClaimStatus, pay paymentAnswer, rec recordAnswer) *paymentCall {
	if pay.found == foundSettled {
		return nil
	}
	back := &paymentCall{requestID: req.RequestID, token: req.Token, ref: req.Payment}
	conflict := status == refund.ClaimConflict
	declined := declinedAs(rec.settled.Status)
	switch {
	case conflict && rec.payment != paymentDigest(req.Payment):
		back.release = &paymentRelease{stray: true}
	case rec.settled.Status != "" && (declined || !conflict):
		// The first command's success is not entered for its rival: the amount is another.
		back.settle = &paymentSettle{declined: declined, mode: settleKnown}
	case pay.found == foundAcquired:
		back.release = &paymentRelease{}
	default:
		return nil
	}
	return back
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
	switch rec.found {
	case foundForgot:
		return refund.Settled{}, fmt.Errorf("settle %s: %w", req.RequestID, unavailable(ErrForgot))
	case foundLost:
		return refund.Settled{Lost: true}, nil
	}
	answer := refund.Settled{Stored: true, Outcome: rec.outcome}
	if rec.found == foundMine {
		answer.Outcome = req.Outcome
	}
	if ended.found == foundLapsed {
		// A success of another command under this ID moved no money of this payment.
		elsewhere := rec.payment != paymentDigest(req.Claim.Payment)
		pay.settle = &paymentSettle{declined: elsewhere || declinedAs(rec.settled.Status), mode: settleKnown}
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
	if rec.found == foundForgot {
		return refund.Waited{}, fmt.Errorf("wait %s: %w", req.RequestID, unavailable(ErrForgot))
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
