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
	*memoryBooks
	halfFunc func(context.Context, Half) error
}

// memoryBooks is what all ways to one store share.
type memoryBooks struct {
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
	return &Memory{memoryBooks: &memoryBooks{
		cfg: cfg.withDefaults(), now: time.Now,
		records: make(map[string]*memoryRecord), outcomes: make(map[string]memoryOutcome), payments: make(map[string]*memoryPayment),
		messages: make(map[string]memoryOutcome), schedule: make(map[string]int64),
	}}
}

// Half names one of the two scripts that a call is made of.
type Half string

// The halves, in the order in which they are done.
const (
	PaymentHalf Half = "payment"
	RecordHalf  Half = "record"
)

// Split is the same store, reached by a way of one's own, for tests of crashes: halfFunc is asked before each half of a
// call, with no lock held, so that a process can die there, or another one's calls can fall between the two. A half for
// which it returns an error is not done. The other one is done all the same, as on a cluster whose two nodes are asked
// at once, and the call fails with refund.ErrStoreUnavailable.
func (m *Memory) Split(halfFunc func(context.Context, Half) error) *Memory {
	return &Memory{memoryBooks: m.memoryBooks, halfFunc: halfFunc}
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
	if m.distrusted(payment, record) {
		return paymentAnswer{found: foundForgot}, recordAnswer{found: foundForgot}, nil
	}
	var payErr, recErr error
	if payment != nil {
		payErr = m.half(ctx, PaymentHalf, func(now int64) (err error) {
			pay, err = m.onPayment(*payment, now)
			return err
		})
	}
	if record != nil {
		recErr = m.half(ctx, RecordHalf, func(now int64) (err error) {
			rec, err = m.onRecord(*record, now)
			rec.epoch = m.epoch
			return err
		})
	}
	return pay, rec, errors.Join(payErr, recErr)
}

// distrusted says whether the store has forgotten, so far as the call asks for trust.
func (m *Memory) distrusted(payment *paymentCall, record *recordCall) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.forgotten && asksTrust(payment, record)
}

// half does one half of a call; it is atomic, and the two together are not.
func (m *Memory) half(ctx context.Context, which Half, do func(now int64) error) error {
	if m.halfFunc != nil {
		if err := m.halfFunc(ctx, which); err != nil {
			return unavailable(err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return do(m.now().UnixMilli())
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
		return m.lookRecord(*call.look, call.announced, now), nil
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
	if answer.found != foundBusy && answer.found != foundSettled {
		p.expires = now + m.cfg.TombstoneTTL.Milliseconds()
	}
	m.keep(call.ref, p)
	return answer, nil
}
