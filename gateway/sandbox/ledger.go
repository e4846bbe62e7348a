package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

var (
	// ErrLedger is wrapped by the error about a ledger file that cannot be understood.
	ErrLedger = errors.New("ledger is damaged")
	// ErrClosed is wrapped by errors about a server that was closed.
	ErrClosed = errors.New("sandbox is closed")
)

// State is what an entry says about a refund.
type State string

// The states. A refund has one Succeeded or one Failed entry, and before it one Processing entry when it did not end
// within the call that started it.
const (
	// Processing: accepted, its amount is reserved, no money has moved.
	Processing State = "PROCESSING"
	// Succeeded: the money moved. Two of these under one request ID mean that it moved twice.
	Succeeded State = "SUCCESS"
	// Failed: declined at once, or failed after Processing. No money moved, and none will under this refund.
	Failed State = "FAIL"
)

// Entry is one line of the ledger. Entries are never changed; a later state is a later entry of the same refund ID.
type Entry struct {
	// Seq counts the entries from 1.
	Seq int64 `json:"seq"`
	// Gateway is "antom" or "eftpay".
	Gateway string `json:"gateway"`
	// ClientID is Antom's client-id or eftPay's user_confirm_key.
	ClientID string `json:"clientId"`
	// RequestID is Antom's refundRequestId or eftPay's refund_no. eftPay never learns the request ID behind a refund_no:
	// who looks for a request has to look for the number that was made of it.
	RequestID string `json:"requestId"`
	// RefundID is the gateway's own ID. A request that was dealt with twice has two of them.
	RefundID string `json:"refundId"`
	// PaymentID is Antom's paymentId or eftPay's out_trade_no.
	PaymentID string `json:"paymentId"`
	// Minor is the amount in minor units of Currency.
	Minor    int64  `json:"minor"`
	Currency string `json:"currency"`
	State    State  `json:"state"`
	// Code is the gateway's result code, or return_status, of a Failed entry.
	Code string `json:"code,omitempty"`
	// Time is the moment of the state, in UTC.
	Time time.Time `json:"time"`
	// Settled is what the merchant paid, for a Succeeded entry settled in another currency.
	Settled *Settled `json:"settled,omitempty"`
}

// Settled is an amount in the settlement currency with the rate it was made at.
type Settled struct {
	Minor    int64      `json:"minor"`
	Currency string     `json:"currency"`
	Rate     Settlement `json:"rate"`
}

// Summary is the ledger added up, over Succeeded entries only.
type Summary struct {
	// Refunds is how often money moved, by request ID; at eftPay by refund_no.
	Refunds map[string]int `json:"refunds"`
	// Payments is the money refunded in minor units, by payment and currency.
	Payments map[string]map[string]int64 `json:"payments"`
	// Currencies is the money refunded in minor units, by currency.
	Currencies map[string]int64 `json:"currencies"`
}

// Twice lists the request IDs that moved money more than once, in order.
func (s Summary) Twice() []string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(s.Refunds)) {
		if s.Refunds[id] > 1 {
			ids = append(ids, id)
		}
	}
	return ids
}

// ledger appends in memory under mu and makes durable in groups under syncMu: whoever comes first writes and syncs for
// all who appended before it, so that a slow disk costs one sync at a time and not one per entry.
type ledger struct {
	mu        sync.Mutex
	entries   []Entry
	byRequest map[string][]int
	pending   []byte
	unwritten error

	syncMu  sync.Mutex
	file    *os.File
	durable int64
	broken  error
}

// openLedger reads what the file holds and goes on behind it. An empty path keeps everything in memory.
func openLedger(path string) (*ledger, error) {
	l := &ledger{byRequest: map[string][]int{}}
	if path == "" {
		return l, nil
	}
	// The path is the operator's own.
	file, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	if err := l.restore(file); err != nil {
		return nil, errors.Join(fmt.Errorf("restore ledger %s: %w", path, err), file.Close())
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(fmt.Errorf("sync directory of ledger %s: %w", path, err), file.Close())
	}
	l.file = file
	return l, nil
}

// restore reads the entries. A last line without its end was cut by a crash before anybody was answered from it, and
// is removed; damage anywhere else is an error.
func (l *ledger) restore(file *os.File) error {
	raw, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(raw, '\n') + 1
	for line := range bytes.Lines(raw[:whole]) {
		var entry Entry
		if err := decodeStrict(line, &entry); err != nil {
			return fmt.Errorf("%w: line %d: %w", ErrLedger, len(l.entries)+1, err)
		}
		if entry.Seq != int64(len(l.entries)+1) {
			return fmt.Errorf("%w: line %d has sequence number %d", ErrLedger, len(l.entries)+1, entry.Seq)
		}
		l.keep(entry)
	}
	if err := file.Truncate(int64(whole)); err != nil {
		return err
	}
	_, err = file.Seek(int64(whole), io.SeekStart)
	return err
}

func syncDir(path string) error {
	dir, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// keep adds a finished entry; the caller holds mu or is alone.
func (l *ledger) keep(entry Entry) {
	l.byRequest[entry.RequestID] = append(l.byRequest[entry.RequestID], len(l.entries))
	l.entries = append(l.entries, entry)
}

// append numbers the entry and adds it. It is in force at once; nobody may be told before flush has returned nil.
func (l *ledger) append(entry Entry) Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry.Seq = int64(len(l.entries) + 1)
	if entry.RefundID == "" {
		digits := 24
		if entry.Gateway == gatewayEftPay {
			digits = maxNumber - len("20060102")
		}
		entry.RefundID = fmt.Sprintf("%s%0*d", entry.Time.Format("20060102"), digits, entry.Seq)
	}
	if l.file != nil {
		line, err := json.Marshal(entry)
		if err != nil {
			l.unwritten = fmt.Errorf("encode ledger entry: %w", err)
		}
		l.pending = append(append(l.pending, line...), '\n')
	}
	l.keep(entry)
	return entry
}

// flush returns when the entry with this number is on disk. An error stays: after it nothing can be proved durable.
func (l *ledger) flush(seq int64) error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	if l.broken != nil || l.file == nil || l.durable >= seq {
		return l.broken
	}
	l.mu.Lock()
	pending, last := l.pending, int64(len(l.entries))
	l.pending, l.broken = nil, l.unwritten
	l.mu.Unlock()
	if l.broken != nil {
		return l.broken
	}
	if _, err := l.file.Write(pending); err != nil {
		l.broken = fmt.Errorf("write ledger: %w", err)
		return l.broken
	}
	if err := l.file.Sync(); err != nil {
		l.broken = fmt.Errorf("sync ledger: %w", err)
		return l.broken
	}
	l.durable = last
	return nil
}

// close writes what is pending and refuses everything after it.
func (l *ledger) close() error {
	l.mu.Lock()
	last := int64(len(l.entries))
	l.mu.Unlock()
	err := l.flush(last)
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	l.broken = fmt.Errorf("flush ledger: %w", ErrClosed)
	if l.file == nil {
		return err
	}
	return errors.Join(err, l.file.Close())
}

func (l *ledger) all() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

func (l *ledger) of(requestID string) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []Entry
	for _, i := range l.byRequest[requestID] {
		found = append(found, l.entries[i])
	}
	return found
}

func (l *ledger) summary() Summary {
	sum := Summary{Refunds: map[string]int{}, Payments: map[string]map[string]int64{}, Currencies: map[string]int64{}}
	for _, entry := range l.all() {
		if entry.State != Succeeded {
			continue
		}
		sum.Refunds[entry.RequestID]++
		if sum.Payments[entry.PaymentID] == nil {
			sum.Payments[entry.PaymentID] = map[string]int64{}
		}
		sum.Payments[entry.PaymentID][entry.Currency] += entry.Minor
		sum.Currencies[entry.Currency] += entry.Minor
	}
	return sum
}
