package dedupe

import (
	"context"

	"refundworker/refund"
)

// Halves says which parts of one exchange reach the store: the payment's script, the record's, both or none.
type Halves struct{ Payment, Record bool }

// Connection is a Memory as one process sees it: over a network that may fail between any two exchanges. A call of it
// makes one exchange or two, as one of Redis does. Its methods may be called concurrently.
type Connection struct {
	memory *Memory
	carry  func(ctx context.Context, deliver func(Halves)) error
}

var _ backend = (*Connection)(nil)

// Connect makes a connection whose exchanges are carried by a function: it calls deliver once for the halves that arrive,
// or not at all, and its error is what became of the answer. An error makes the call one that the store did not answer,
// whatever had arrived.
func (m *Memory) Connect(carry func(ctx context.Context, deliver func(Halves)) error) *Connection {
	return &Connection{memory: m, carry: carry}
}

// Claim is Redis.Claim.
func (c *Connection) Claim(ctx context.Context, req refund.ClaimRequest) (refund.Claim, error) {
	if err := validateClaim(req, c.memory.cfg.MaxLease); err != nil {
		return refund.Claim{}, err
	}
	return claim(ctx, c, req)
}

// Settle is Redis.Settle.
func (c *Connection) Settle(ctx context.Context, req refund.SettleRequest) (refund.Settled, error) {
	if err := validateSettle(req); err != nil {
		return refund.Settled{}, err
	}
	return settle(ctx, c, req)
}

// Wait is Redis.Wait.
func (c *Connection) Wait(ctx context.Context, req refund.WaitRequest) (refund.Waited, error) {
	if err := validateWait(req); err != nil {
		return refund.Waited{}, err
	}
	return wait(ctx, c, req)
}

// Release is Redis.Release.
func (c *Connection) Release(ctx context.Context, req refund.ReleaseRequest) error {
	if err := validateRelease(req); err != nil {
		return err
	}
	return release(ctx, c, req)
}

// Look is Redis.Look.
func (c *Connection) Look(ctx context.Context, requestID string) (refund.Sight, error) {
	return look(ctx, c, requestID)
}

// Announced is Redis.Announced.
func (c *Connection) Announced(ctx context.Context, requestID string) error {
	return announced(ctx, c, requestID)
}

func (c *Connection) exchange(ctx context.Context, payment *paymentCall, record *recordCall) (paymentAnswer, recordAnswer, error) {
	var pay paymentAnswer
	var rec recordAnswer
	var failed error
	err := c.carry(ctx, func(arrive Halves) {
		if !arrive.Payment {
			payment = nil
		}
		if !arrive.Record {
			record = nil
		}
		// What has arrived is done, whether or not the caller still waits for it.
		pay, rec, failed = c.memory.exchange(context.WithoutCancel(ctx), payment, record)
	})
	if err != nil {
		return paymentAnswer{}, recordAnswer{}, unavailable(err)
	}
	return pay, rec, failed
}
