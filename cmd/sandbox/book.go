package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"refundworker/schemas"
)

// quiet is how long nothing may arrive after every message came to its end: repeats of outcomes are still on their way.
const quiet = 300 * time.Millisecond

// message is one sending of a line.
type message struct {
	line   *line
	origin schemas.Origin
}

// request is what the results topic said about one request ID.
type request struct {
	// final is the first terminal outcome; values are the bytes of all of them.
	final  *schemas.Outcome
	values [][]byte
	// pending are the codes of the progress events.
	pending map[schemas.Code]struct{}
}

// book is what was sent and what came back.
type book struct {
	messages   []message
	requests   map[string]*request
	rejections map[schemas.Origin]schemas.Rejection
	// keys are the request IDs by what the gateways call them.
	keys map[string]string
	// unreadable are results that break their own schema.
	unreadable []string
}

func newBook() *book {
	return &book{
		requests: make(map[string]*request), rejections: make(map[schemas.Origin]schemas.Rejection), keys: make(map[string]string),
	}
}

func (b *book) sent(l *line, origin schemas.Origin) {
	b.messages = append(b.messages, message{line: l, origin: origin})
	b.keys[gatewayKey(l.command)] = l.command.RequestID
}

// end is what became of a message.
type end struct {
	status string
	code   schemas.Code
}

// end returns the message's end as far as it is known; the zero end when nothing came back.
func (b *book) end(m message) end {
	if r, ok := b.rejections[m.origin]; ok {
		return end{rejected, r.Code}
	}
	r, ok := b.requests[m.line.command.RequestID]
	switch {
	case !ok || m.line.Raw != nil:
		return end{}
	case r.final != nil:
		return end{string(r.final.Status), r.final.Code}
	}
	e := end{status: string(schemas.RetryPending)}
	for code := range r.pending {
		if e.code = code; m.line.Expect != nil && m.line.Expect.Code == code {
			break
		}
	}
	return e
}

// over says that nothing more is to be waited for. A message that is expected to be rejected waits for its rejection,
// whatever is said about the request ID it shares; one that is expected to stay pending is over once it says so.
func (b *book) over(m message) bool {
	e := b.end(m)
	if want := m.line.Expect; want != nil && want.Status != string(schemas.Success) && want.Status != string(schemas.Failed) {
		return e.status == want.Status && e.code == want.Code
	}
	return e.status != "" && e.status != string(schemas.RetryPending)
}

func (b *book) allOver() bool {
	for _, m := range b.messages {
		if !b.over(m) {
			return false
		}
	}
	return true
}

// follow prints events as they arrive until every message is over, or the time is up.
func (b *book) follow(ctx context.Context, events <-chan *kgo.Record, out io.Writer) error {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		select {
		case record, ok := <-events:
			if !ok {
				return context.Cause(ctx)
			}
			b.take(record, out)
			timer.Reset(quiet)
		case <-timer.C:
			if b.allOver() {
				return nil
			}
			timer.Reset(quiet)
		case <-ctx.Done():
			return nil
		}
	}
}

// followUntil prints events until ctx ends.
func (b *book) followUntil(ctx context.Context, events <-chan *kgo.Record, out io.Writer) {
	for {
		select {
		case record, ok := <-events:
			if !ok {
				return
			}
			b.take(record, out)
		case <-ctx.Done():
			return
		}
	}
}

func (b *book) take(record *kgo.Record, out io.Writer) {
	kind, replayed := "", ""
	for _, h := range record.Headers {
		switch h.Key {
		case schemas.HeaderCEType:
			kind = string(h.Value)
		case schemas.HeaderReplayed:
			replayed = " (repeated)"
		}
	}
	if kind == schemas.TypeRejected {
		r, err := schemas.DecodeRejection(record.Value)
		if err != nil {
			b.unreadable = append(b.unreadable, err.Error())
			return
		}
		b.rejections[r.Origin] = r
		_, _ = fmt.Fprintf(out, "%-14s %-32s %-28s %s\n", rejected, r.Code, r.RequestID, r.Detail)
		return
	}
	o, err := schemas.DecodeOutcome(record.Value)
	if err != nil {
		b.unreadable = append(b.unreadable, err.Error())
		return
	}
	b.outcome(o, record.Value)
	_, _ = fmt.Fprintf(out, "%-14s %-32s %-28s %s %d  attempt %d%s\n",
		o.Status, o.Code, o.RequestID, o.Amount.Currency, o.Amount.Minor, o.Attempt, replayed)
}

func (b *book) outcome(o schemas.Outcome, value []byte) {
	r, ok := b.requests[o.RequestID]
	if !ok {
		r = &request{pending: make(map[schemas.Code]struct{})}
		b.requests[o.RequestID] = r
	}
	if !o.Final {
		r.pending[o.Code] = struct{}{}
		return
	}
	if r.final == nil {
		r.final = &o
	}
	r.values = append(r.values, bytes.Clone(value))
}
