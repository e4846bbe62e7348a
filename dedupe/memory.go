package dedupe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"refundworker/refund"
)

// Memory is the store of one process, with the answers of Redis: for tests in virtual time, where no socket may be
// waited for. It forgets everything with the process and drops expired entries only when they are asked for. Its
// methods may be called concurrently.
type Memory struct {
	cfg Config
	now func() time.Time

	mu       sync.Mutex
	records  map[string]*memoryRecord
	outcomes map[string]memoryOutcome
	messages map[string]memoryOutcome
	schedule map[string]int64
	payments map[string]*memoryPayment
	// forgotten: nothing is claimed, settled or put aside before NewEpoch.
	forgotten bool
	epoch     refund.Epoch
}

var _ backend = (*Memory)(nil)

// NewMemory makes an empty store; of cfg it uses MaxLease and the two TTLs.
func NewMemory(cfg Config) *Memory {
	return &Memory{
		cfg: cfg.withDefaults(), now: time.Now,
		records: make(map[string]*memoryRecord), outcomes: make(map[string]memoryOutcome), payments: make(map[string]*memoryPayment),
		messages: make(map[string]memoryOutcome), schedule: make(map[string]int64),
	}
}

// Claim is Redis.Claim.
func (m *Memory) Claim(ctx context.Context, req refund.ClaimRequest) (refund.Claim, error) {
	if err := validateClaim(req, m.cfg.MaxLease); err != nil {
		return refund.Claim{}, err
	}
	return claim(ctx, m, req)
}

// Settle is Redis.Settle.
func (m *Memory) Settle(ctx context.Context, req refund.SettleRequest) (refund.Settled, error) {
	if err := validateSettle(req); err != nil {
		return refund.Settled{}, err
	}
	return settle(ctx, m, req)
}

// Wait is Redis.Wait.
func (m *Memory) Wait(ctx context.Context, req refund.WaitRequest) (refund.Waited, error) {
	if err := validateWait(req); err != nil {
		return refund.Waited{}, err
	}
	return wait(ctx, m, req)
}

// Release is Redis.Release.
func (m *Memory) Release(ctx context.Context, req refund.ReleaseRequest) error {
	if err := validateRelease(req); err != nil {
		return err
	}
	return release(ctx, m, req)
}

var errNoCall = errors.New("a call without a transition")

func (m *Memory) exchange(ctx context.Context, payment *paymentCall, record *recordCall) (paymentAnswer, recordAnswer, error) {
	var pay paymentAnswer
	var rec recordAnswer
	if err := ctx.Err(); err != nil {
		return pay, rec, unavailable(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now().UnixMilli()
	if m.forgotten && asksTrust(payment, record) {
		return paymentAnswer{found: foundForgot}, recordAnswer{found: foundForgot}, nil
	}
	var err error
	if payment != nil {
		if pay, err = m.onPayment(*payment, now); err != nil {
			return pay, rec, err
		}
	}
	if record != nil {
		rec, err = m.onRecord(*record, now)
		rec.epoch = m.epoch
	}
	return pay, rec, err
}

func (m *Memory) onRecord(call recordCall, now int64) (recordAnswer, error) {
	switch {
	case call.claim != nil:
		return m.claimRecord(*call.claim, now), nil
	case call.settle != nil:
		return m.settleRecord(*call.settle, now), nil
	case call.wait != nil:
		return m.waitRecord(*call.wait, now), nil
	case call.release != nil:
		return m.releaseRecord(*call.release, now), nil
	case call.look != nil:
		return m.lookRecord(*call.look, now), nil
	}
	return recordAnswer{}, fmt.Errorf("record: %w", errNoCall)
}

func (m *Memory) onPayment(call paymentCall, now int64) (paymentAnswer, error) {
	p := m.payment(call.ref, now)
	var answer paymentAnswer
	switch {
	case call.acquire != nil:
		answer = p.acquire(call, now, m.cfg.MaxLease.Milliseconds())
	case call.settle != nil:
		answer = p.settle(call, now)
	case call.wait != nil:
		p.wait(call)
	case call.release != nil:
		p.release(call)
	default:
		return answer, fmt.Errorf("payment: %w", errNoCall)
	}
	if answer.found != foundBusy && answer.found != foundRival && answer.found != foundSettled {
		p.expires = now + m.cfg.TombstoneTTL.Milliseconds()
	}
	m.keep(call.ref, p)
	return answer, nil
}
