package refund

import (
	"context"
	"errors"
	"fmt"
	"time"

	"refundworker/schemas"
)

// AccountID names an account: its name is unique within its gateway only.
type AccountID struct {
	Gateway schemas.Gateway
	Name    string
}

// Lane is what two messages share that must not be worked on at the same time: the payment, or the request that a signal
// is about. The zero value is shared with nobody.
type Lane struct {
	Gateway schemas.Gateway
	Key     string
}

// Work is a message that was read, and what has to happen to it.
type Work struct {
	Lane Lane
	// Account is whose limits count; the zero value where the message names none that is known.
	Account AccountID
	// DoFunc brings the message to its end, under the permit. It returns nil when the message is done: its outcome,
	// rejection, retry copy or dead letter is acked by all in-sync replicas and the offset may be committed. A
	// [*NotYetError] says that the work has to wait and holds nothing meanwhile; after any other error the message is
	// not done either. In both cases DoFunc is called again, never twice at a time.
	//
	// While the store or the broker is away, DoFunc waits for them. When ctx ends before anything was sent to a gateway,
	// it gives its claim back and returns at once; once something was sent, it finishes its calls and stores what it
	// learned, bounded by the gateway timeout and Config.Grace.
	DoFunc func(ctx context.Context, permit Permit) error
}

// Permit lets one work call one account's gateway.
type Permit struct {
	Account AccountID
	// FreeFunc gives the permit back once no more calls will be made, while the outcome is still to be stored and
	// published. It may be called more than once.
	FreeFunc func()
}

// NotYetError says that a work has to wait for something that holds no permit: a claim or a payment that somebody else
// owns for a while, or the limits of another account than the permit's.
type NotYetError struct {
	RequestID string
	// In is how long to wait; 0: try again at once.
	In time.Duration
	// Account is whose permit is needed; the zero value: the same as before.
	Account AccountID
}

func (e *NotYetError) Error() string {
	if e.Account != (AccountID{}) {
		return fmt.Sprintf("%s needs a permit of %s account %s", e.RequestID, e.Account.Gateway, e.Account.Name)
	}
	return fmt.Sprintf("%s is held by somebody else, look again in %s", e.RequestID, e.In)
}

// ReadCommand reads a message of a commands topic.
func (p *Processor) ReadCommand(m Message) Work {
	return p.readWork(m, func() (input, error) { return readCommand(m) })
}

// ReadCopy reads a message of a retry tier: a copy that a worker wrote, with the state in its headers.
func (p *Processor) ReadCopy(m Message) Work {
	return p.readWork(m, func() (input, error) { return readCopy(m) })
}

// ReadSignal reads a message of the signals topic: a notification that a gateway sent, or an open request that nobody
// looked at in time. Its work makes a pass of the open request, by the rules of any message: the request is claimed, what
// was told is evidence, and what follows is settled or waits.
//
// A signal is never needed: what it brings can be found out by inquiry. So one that is unreadable, unverified, or about a
// request that is not open changes nothing; it is filed where a person may want to see it.
func (p *Processor) ReadSignal(m Message) Work {
	s, fault := schemas.DecodeSignal(m.Value)
	open := &signalWork{msg: m, signal: s, fault: fault}
	work := Work{DoFunc: func(ctx context.Context, permit Permit) error { return p.signal(ctx, open, permit) }}
	if fault == nil {
		work.Lane.Key = s.RequestID
	}
	return work
}

func (p *Processor) readWork(m Message, read func() (input, error)) Work {
	in, err := p.safeRead(m, read)
	work := Work{DoFunc: func(ctx context.Context, permit Permit) error { return p.process(ctx, &in, err, permit) }}
	if err == nil {
		work.Lane = Lane{Gateway: in.cmd.Gateway, Key: in.cmd.PaymentID}
		if acct, err := p.accounts.Account(in.cmd.Gateway, in.accountName()); err == nil {
			work.Account = acct.ID()
		}
	}
	return work
}

// Command brings a message of a commands topic to its end, waiting in place; see [Work.DoFunc].
func (p *Processor) Command(ctx context.Context, m Message) error {
	return finish(ctx, p.ReadCommand(m))
}

// Copy is Command for messages of retry tiers.
func (p *Processor) Copy(ctx context.Context, m Message) error { return finish(ctx, p.ReadCopy(m)) }

// Signal is Command for messages of the signals topic.
func (p *Processor) Signal(ctx context.Context, m Message) error { return finish(ctx, p.ReadSignal(m)) }

// finish does a work with nobody's limits.
func finish(ctx context.Context, work Work) error {
	permit := Permit{Account: work.Account, FreeFunc: func() {}}
	for {
		err := work.DoFunc(ctx, permit)
		notYet, ok := errors.AsType[*NotYetError](err)
		if !ok {
			return err
		}
		if notYet.Account != (AccountID{}) {
			permit.Account = notYet.Account
		}
		if err := pauseFor(ctx, notYet.In); err != nil {
			return fmt.Errorf("wait for %s: %w", notYet.RequestID, err)
		}
	}
}
