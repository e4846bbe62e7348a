package sandbox

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// notifyTimeout bounds one delivery when no HTTP client is configured.
const notifyTimeout = 10 * time.Second

// Server is the fake gateway. Its methods may be called from any goroutine.
type Server struct {
	cfg         Config
	credentials atomic.Pointer[credentials]
	payments    *payments
	ledger      *ledger
	antom       *antomBook
	eftpay      *eftpayBook
	faults      *plan
	calls       *callLog
	notifier    *http.Client
	// sent and acknowledged count deliveries of notifications.
	sent, acknowledged atomic.Int64

	// closed ends every wait of the server. spawnFunc starts a goroutine whose context ends with it.
	closed    <-chan struct{}
	cancel    context.CancelFunc
	spawnFunc func(func(context.Context))

	spawnMu sync.Mutex
	stopped bool
	tasks   sync.WaitGroup
}

// New checks the configuration, and reads the ledger file when one is configured; otherwise it does no I/O. The error
// is a configuration fault, wraps [ErrLedger], or is the operating system's about the file.
func New(cfg Config) (*Server, error) {
	key, clients, err := cfg.check()
	if err != nil {
		return nil, fmt.Errorf("sandbox config: %w", err)
	}
	if cfg.MaxCalls == 0 {
		cfg.MaxCalls = defaultMaxCalls
	}
	cfg.EftPay = cfg.EftPay.withDefaults()
	led, err := openLedger(cfg.LedgerPath)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		cfg: cfg, ledger: led,
		payments: newPayments(cfg.Payments, cfg.PaymentFunc),
		faults:   &plan{}, calls: newCallLog(cfg.MaxCalls),
		notifier: cfg.Notify.HTTPClient,
		closed:   ctx.Done(), cancel: cancel,
	}
	s.credentials.Store(newCredentials(key, clients, cfg.Merchants))
	if s.notifier == nil {
		s.notifier = &http.Client{Timeout: notifyTimeout}
	}
	s.spawnFunc = func(task func(context.Context)) { s.tasks.Go(func() { task(ctx) }) }
	s.antom = newAntomBook(cfg, s.payments, led, s.announce)
	s.eftpay = newEftPayBook(cfg.EftPay, s.payments, led)
	for _, r := range cfg.Rules {
		s.faults.add(r)
	}
	return s, nil
}

// Close ends all waits and deliveries, waits for the latter, and closes the ledger. Calls that are processed later are
// answered with HTTP 500. The error of a second Close wraps [ErrClosed].
func (s *Server) Close() error {
	s.spawnMu.Lock()
	s.stopped = true
	s.spawnMu.Unlock()
	s.cancel()
	s.tasks.Wait()
	return s.ledger.close()
}

// AddPayment adds payments, or replaces those of the same ID.
func (s *Server) AddPayment(more ...Payment) error {
	for _, p := range more {
		if err := p.Validate(); err != nil {
			return fmt.Errorf("add payment: %w", err)
		}
	}
	s.payments.add(more...)
	return nil
}

// AddFunds adds minor units to what Antom's merchant can refund from. A currency that had no limit has one from now on.
func (s *Server) AddFunds(clientID, currency string, minor int64) error {
	if _, ok := s.credentials.Load().clients[clientID]; !ok || !isCurrency(currency) || minor < 0 {
		return fmt.Errorf("add funds: client %q, %d %q: not known, or not an amount", clientID, minor, currency)
	}
	s.antom.addFunds(clientID, currency, minor)
	return nil
}

// AddRule adds a rule behind those that are there, and returns its ID.
func (s *Server) AddRule(r Rule) (string, error) {
	if err := r.Validate(); err != nil {
		return "", fmt.Errorf("add rule: %w", err)
	}
	return s.faults.add(r), nil
}

// Script adds a rule that uses up the faults one per call of this request ID, or refund_no.
func (s *Server) Script(op Operation, requestID string, faults ...Fault) error {
	_, err := s.AddRule(Rule{Operation: op, RequestID: requestID, Faults: faults})
	return err
}

// ClearRules removes all rules.
func (s *Server) ClearRules() { s.faults.clear() }

// Ledger returns all entries in order. Asynchronous refunds whose time has come are finished first.
func (s *Server) Ledger() []Entry {
	s.finishDue()
	return s.ledger.all()
}

// Entries returns the entries of one request ID, or refund_no, in order, of all merchants.
func (s *Server) Entries(requestID string) []Entry {
	s.finishDue()
	return s.ledger.of(requestID)
}

// Summary adds the ledger up.
func (s *Server) Summary() Summary {
	s.finishDue()
	return s.ledger.summary()
}

// Calls returns the logged calls that named this request ID, or refund_no, in order of arrival, refused ones included.
func (s *Server) Calls(requestID string) []Call { return s.calls.of(requestID) }

// Overlaps says how many refund calls were open at the same time.
func (s *Server) Overlaps() Overlaps { return s.calls.overlaps() }

// finishDue ends the refunds whose delay has passed.
func (s *Server) finishDue() {
	now := time.Now()
	s.antom.finishDue(now)
	s.eftpay.finishDue(now)
}

// spawn runs a task that Close waits for; after Close it does nothing.
func (s *Server) spawn(task func(context.Context)) {
	s.spawnMu.Lock()
	defer s.spawnMu.Unlock()
	if !s.stopped {
		s.spawnFunc(task)
	}
}

// wait returns nil when the time has passed, else why it did not wait that long.
func (s *Server) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.closed:
		return ErrClosed
	}
}
