package refund_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"refundworker/dedupe"
	"refundworker/refund"
	"refundworker/schemas"
)

const (
	lease = 60 * time.Second
	grace = 10 * time.Second
	// lapseAfter is how late a copy may be.
	lapseAfter = 10 * time.Minute
	topic      = "refunds.commands"
)

// gateway is a scripted client: each call takes the next answer of its list, and the last one for ever.
type gateway struct {
	mu        sync.Mutex
	refunds   []answer
	inquiries []answer
	check     string
	calls     []string
	requests  []refund.Request
}

type answer struct {
	refund.Result
	err   error
	delay time.Duration
	panic any
	// hook runs when the call begins, done when it ends.
	hook, done func()
}

var _ refund.Client = (*gateway)(nil)

func (g *gateway) Check(refund.Request) string { return g.check }

func (g *gateway) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	return g.next(ctx, "refund", &g.refunds, req)
}

func (g *gateway) Inquire(ctx context.Context, req refund.Request) (refund.Result, error) {
	return g.next(ctx, "inquire", &g.inquiries, req)
}

func (g *gateway) next(ctx context.Context, name string, list *[]answer, req refund.Request) (refund.Result, error) {
	g.mu.Lock()
	g.calls = append(g.calls, name)
	g.requests = append(g.requests, req)
	var a answer
	if len(*list) > 0 {
		a = (*list)[0]
		if len(*list) > 1 {
			*list = (*list)[1:]
		}
	}
	g.mu.Unlock()
	if ctx.Err() != nil { // as real clients do: nothing is written after the pass's deadline
		return refund.Result{Verdict: refund.NotSent}, context.Cause(ctx)
	}
	if a.hook != nil {
		a.hook()
	}
	if a.done != nil {
		defer a.done()
	}
	if a.panic != nil {
		panic(a.panic)
	}
	if a.delay > 0 {
		select {
		case <-time.After(a.delay):
		case <-ctx.Done():
			return refund.Result{}, context.Cause(ctx)
		}
	}
	return a.Result, a.err
}

func (g *gateway) called() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string{}, g.calls...)
}

// broker records what was published; while away it fails.
type broker struct {
	mu     sync.Mutex
	events []refund.Event
	fail   int
	failed int
}

func (b *broker) Publish(_ context.Context, events ...refund.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail > 0 {
		b.fail--
		b.failed++
		return errors.New("the broker is away")
	}
	b.events = append(b.events, events...)
	return nil
}

func (b *broker) on(ch refund.Channel) []refund.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []refund.Event
	for _, e := range b.events {
		if e.Channel == ch {
			list = append(list, e)
		}
	}
	return list
}

// flaky is the in-memory store behind a switch. While away nothing answers; while cut only claims do, as if the process
// died right after.
type flaky struct {
	*dedupe.Memory
	away, cut atomic.Bool
	// claimed runs after a claim was made, looked after a look, answer replaces what a claim found.
	claimed, looked func()
	answer          func(refund.Claim) refund.Claim
}

func (f *flaky) fault(claiming bool) error {
	if f.away.Load() || f.cut.Load() && !claiming {
		return fmt.Errorf("test: %w", refund.ErrStoreUnavailable)
	}
	return nil
}

func (f *flaky) Claim(ctx context.Context, r refund.ClaimRequest) (refund.Claim, error) {
	if err := f.fault(true); err != nil {
		return refund.Claim{}, err
	}
	c, err := f.Memory.Claim(ctx, r)
	if f.claimed != nil {
		f.claimed()
	}
	if f.answer != nil {
		c = f.answer(c)
	}
	return c, err
}

func (f *flaky) Settle(ctx context.Context, r refund.SettleRequest) (refund.Settled, error) {
	if err := f.fault(false); err != nil {
		return refund.Settled{}, err
	}
	return f.Memory.Settle(ctx, r)
}

func (f *flaky) Wait(ctx context.Context, r refund.WaitRequest) (refund.Waited, error) {
	if err := f.fault(false); err != nil {
		return refund.Waited{}, err
	}
	return f.Memory.Wait(ctx, r)
}

func (f *flaky) Release(ctx context.Context, r refund.ReleaseRequest) error {
	if err := f.fault(false); err != nil {
		return err
	}
	return f.Memory.Release(ctx, r)
}

func (f *flaky) Look(ctx context.Context, requestID string) (refund.Sight, error) {
	if err := f.fault(true); err != nil {
		return refund.Sight{}, err
	}
	sight, err := f.Memory.Look(ctx, requestID)
	if f.looked != nil {
		f.looked()
	}
	return sight, err
}

func (f *flaky) Announced(ctx context.Context, requestID string) error {
	if err := f.fault(false); err != nil {
		return err
	}
	return f.Memory.Announced(ctx, requestID)
}

// oneAccount is the whole configuration.
type oneAccount struct{ only refund.Account }

func (a oneAccount) Account(gw schemas.Gateway, name string) (refund.Account, error) {
	if gw != a.only.Gateway || name != "" && name != a.only.Name {
		return refund.Account{}, fmt.Errorf("account %q of %s: %w", name, gw, refund.ErrUnknownAccount)
	}
	return a.only, nil
}

type bundle struct {
	*refund.Processor
	gateway *gateway
	broker  *broker
	store   *flaky
	cmd     schemas.Command
	offset  int64
	tracer  trace.Tracer
	log     io.Writer
}

// setup runs inside a synctest bubble: time is virtual everywhere below.
func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{
		gateway: &gateway{},
		broker:  &broker{},
		log:     io.Discard,
		cmd: schemas.Command{
			SchemaVersion: 1, RequestID: "rf-1", Gateway: schemas.Antom, PaymentID: "pay-1",
			Amount: schemas.Money{Minor: 1001, Currency: "HKD"}, Metadata: map[string]string{"orderId": "SO-1"},
		},
	}
	b.store = &flaky{Memory: emptyStore()}
	b.Processor = b.processor(t, b.account())
	return b
}

func emptyStore() *dedupe.Memory {
	return dedupe.NewMemory(dedupe.Config{KeyPrefix: "refund", MaxLease: lease, OutcomeTTL: 720 * time.Hour, TombstoneTTL: 9600 * time.Hour})
}

func (b *bundle) account() refund.Account {
	return refund.Account{
		Name: "hk", Gateway: schemas.Antom, Client: b.gateway, ResendWindow: 12 * time.Hour,
		KeyFunc: func(id string) string { return id },
	}
}

func (b *bundle) processor(t *testing.T, acct refund.Account) *refund.Processor {
	t.Helper()
	return b.processorOn(t, acct, b.store)
}

// claims is what the core asks of a store.
type claims interface {
	Claim(context.Context, refund.ClaimRequest) (refund.Claim, error)
	Settle(context.Context, refund.SettleRequest) (refund.Settled, error)
	Wait(context.Context, refund.WaitRequest) (refund.Waited, error)
	Release(context.Context, refund.ReleaseRequest) error
	Look(context.Context, string) (refund.Sight, error)
	Announced(context.Context, string) error
}

func (b *bundle) processorOn(t *testing.T, acct refund.Account, store claims) *refund.Processor {
	t.Helper()
	return b.processorFor(t, oneAccount{acct}, store)
}

// accounts is the whole configuration of accounts.
type accounts interface {
	Account(schemas.Gateway, string) (refund.Account, error)
}

func (b *bundle) processorFor(t *testing.T, accts accounts, store claims) *refund.Processor {
	t.Helper()
	p, err := refund.New(refund.Config{
		Lease: lease, GatewayTimeout: 15 * time.Second, Settling: time.Minute, Grace: grace, Source: "/test",
		Policy: refund.Policy{
			Tiers: []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour}, Horizon: 24 * time.Hour,
			LapseAfter: lapseAfter, ReviewInterval: 24 * time.Hour,
		},
		Tracer: b.tracer,
	}, accts, store, b.broker, zerolog.New(b.log), refund.NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// message is the bundle's command as a new message of the commands topic.
func (b *bundle) message(t *testing.T) refund.Message {
	t.Helper()
	b.offset++
	return refund.Message{Topic: topic, Partition: 3, Offset: b.offset, Key: []byte(b.cmd.PaymentID), Value: commandJSON(t, b.cmd)}
}

// copyMessage is the newest retry copy as the retry consumer would hand it in.
func (b *bundle) copyMessage(t *testing.T) refund.Message {
	t.Helper()
	copies := b.broker.on(refund.Retry)
	if len(copies) == 0 {
		t.Fatal("no retry copy was written")
	}
	c := copies[len(copies)-1]
	b.offset++
	return refund.Message{Topic: "refunds.retry.10s", Partition: 1, Offset: b.offset, Key: c.Key, Value: c.Value, Headers: c.Headers}
}

func (b *bundle) outcomes(t *testing.T) []schemas.Outcome {
	t.Helper()
	var list []schemas.Outcome
	for _, e := range b.broker.on(refund.Results) {
		if kind, _ := schemas.HeaderValue(e.Headers, schemas.HeaderCEType); string(kind) != schemas.TypeOutcome {
			continue
		}
		out, err := schemas.DecodeOutcome(e.Value)
		if err != nil {
			t.Fatalf("published outcome: %v", err)
		}
		list = append(list, out)
	}
	return list
}

func (b *bundle) rejections(t *testing.T) []schemas.Rejection {
	t.Helper()
	var list []schemas.Rejection
	for _, e := range b.broker.on(refund.Results) {
		if kind, _ := schemas.HeaderValue(e.Headers, schemas.HeaderCEType); string(kind) != schemas.TypeRejected {
			continue
		}
		r, err := schemas.DecodeRejection(e.Value)
		if err != nil {
			t.Fatalf("published rejection: %v", err)
		}
		list = append(list, r)
	}
	return list
}

func (b *bundle) run(t *testing.T, m refund.Message) {
	t.Helper()
	if err := b.Command(t.Context(), m); err != nil {
		t.Fatalf("Command: %v", err)
	}
}

func (b *bundle) runCopy(t *testing.T, m refund.Message) {
	t.Helper()
	if err := b.Copy(t.Context(), m); err != nil {
		t.Fatalf("Copy: %v", err)
	}
}

func commandJSON(t *testing.T, cmd schemas.Command) []byte {
	t.Helper()
	raw, err := json.Marshal(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func succeeded() answer {
	return answer{Result: refund.Result{
		Verdict: refund.Succeeded, Code: schemas.CodeRefunded, RawCode: "SUCCESS", RefundID: "g-1",
		Refunded: &schemas.Money{Minor: 1001, Currency: "HKD"}, RefundTime: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}}
}

func verdict(v refund.Verdict) answer { return answer{Result: refund.Result{Verdict: v}} }

// status is a short form of an outcome for comparisons.
func status(outs []schemas.Outcome) []string {
	list := make([]string, len(outs))
	for i, o := range outs {
		list[i] = fmt.Sprintf("%s %s %d/%d", o.Status, o.Code, o.Hop, o.Attempt)
	}
	return list
}

func wantEqual[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// pass lets time pass; it is the bubble's time.
func pass(d time.Duration) { <-time.After(d) }

func TestACommandIsRefundedSettledAndPublished(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{succeeded()}
		b.run(t, b.message(t))

		wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/1"}, status(b.outcomes(t)))
		out := b.outcomes(t)[0]
		wantEqual(t, "origin", schemas.Origin{Topic: topic, Partition: 3, Offset: 1}, out.Origin)
		wantEqual(t, "metadata", b.cmd.Metadata, out.Metadata)
		wantEqual(t, "refunded", &schemas.Money{Minor: 1001, Currency: "HKD"}, out.RefundedAmount)
		id, _ := schemas.HeaderValue(b.broker.on(refund.Results)[0].Headers, schemas.HeaderCEID)
		wantEqual(t, "event ID", "rf-1/final", string(id))
	})
}

func TestADuplicateGetsTheSameBytesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{succeeded()}
		b.run(t, b.message(t))
		b.cmd.Metadata = map[string]string{"orderId": "another note, which never reaches the gateway"}
		b.run(t, b.message(t))

		wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
		events := b.broker.on(refund.Results)
		if len(events) != 2 || string(events[0].Value) != string(events[1].Value) {
			t.Fatalf("want the same bytes twice, got %q", events)
		}
		first, _ := schemas.HeaderValue(events[0].Headers, schemas.HeaderReplayed)
		again, _ := schemas.HeaderValue(events[1].Headers, schemas.HeaderReplayed)
		wantEqual(t, "replay marks", []string{"", "1"}, []string{string(first), string(again)})
	})
}

func TestAConflictingDuplicateIsRejectedAndFiled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{succeeded()}
		b.run(t, b.message(t))
		b.cmd.Amount.Minor = 5000
		m := b.message(t)
		b.run(t, m)

		wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/1"}, status(b.outcomes(t)))
		rejected := b.rejections(t)
		if len(rejected) != 1 || rejected[0].Code != schemas.CodeRequestIDConflict || rejected[0].RequestID != "rf-1" {
			t.Fatalf("rejections: %+v", rejected)
		}
		dead := b.broker.on(refund.DeadLetters)
		if len(dead) != 1 || string(dead[0].Value) != string(m.Value) || string(dead[0].Key) != string(m.Key) {
			t.Fatalf("dead letters: %+v", dead)
		}
	})
}

func TestAnUnreadableMessageIsRejectedWithItsBytesAndHeadersKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		m := refund.Message{
			Topic: topic, Partition: 1, Offset: 7, Key: []byte("k"), Value: []byte(`{"schemaVersion":1,`),
			Headers: []schemas.Header{
				{Key: "x-team", Value: []byte("shop")}, {Key: schemas.HeaderCause, Value: []byte("an older one")},
			}, Time: time.Now(),
		}
		b.run(t, m)

		wantEqual(t, "calls", []string{}, b.gateway.called())
		pass(time.Minute)
		b.run(t, m) // again, after a crash: the same bytes
		if r := b.broker.on(refund.Results); len(r) != 2 || string(r[0].Value) != string(r[1].Value) {
			t.Fatalf("a repeated rejection differs: %q", r)
		}
		rejected := b.rejections(t)
		if rejected[0].Code != schemas.CodeUnreadable {
			t.Fatalf("rejections: %+v", rejected)
		}
		dead := b.broker.on(refund.DeadLetters)[0]
		cause, _ := schemas.HeaderValue(dead.Headers, schemas.HeaderCause)
		origin, _ := schemas.HeaderValue(dead.Headers, schemas.HeaderOrigin)
		team, _ := schemas.HeaderValue(dead.Headers, "x-team")
		wantEqual(t, "dead letter", []string{string(m.Value), "UNREADABLE", "refunds.commands/1/7", "shop"},
			[]string{string(dead.Value), string(cause), string(origin), string(team)})
	})
}

func TestAnUnknownOutcomeWaitsIsInquiredAndFound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{verdict(refund.Unknown)}
		b.gateway.inquiries = []answer{succeeded()}
		b.run(t, b.message(t))
		wantEqual(t, "outcomes", []string{"retry-pending UNKNOWN_OUTCOME 1/1"}, status(b.outcomes(t)))
		first := b.outcomes(t)[0]
		if first.NextAttemptAt == nil || first.GiveUpAt == nil {
			t.Fatalf("a promise without its times: %+v", first)
		}

		m := b.copyMessage(t)
		state, err := schemas.ParseRetryState(m.Headers)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "copy", []any{1, 1, true, "hk", "rf-1", int64(1)},
			[]any{state.Hop, state.Attempt, state.MaybeSent, state.Account, state.GatewayKey, state.Origin.Offset})
		b.runCopy(t, m)

		wantEqual(t, "calls", []string{"refund", "inquire"}, b.gateway.called())
		wantEqual(t, "outcomes", []string{"retry-pending UNKNOWN_OUTCOME 1/1", "success REFUNDED 1/2"}, status(b.outcomes(t)))
	})
}

func TestAnUnknownOutcomeThatAnInquiryShowsAbsentIsSentAgainUnderTheSameKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{verdict(refund.Unknown), succeeded()}
		b.gateway.inquiries = []answer{verdict(refund.Absent)}
		b.run(t, b.message(t))
		pass(10 * time.Second)
		b.runCopy(t, b.copyMessage(t))

		wantEqual(t, "calls", []string{"refund", "inquire", "refund"}, b.gateway.called())
		first, again := b.gateway.requests[0], b.gateway.requests[2]
		if !again.ClaimedAt.After(first.ClaimedAt) {
			t.Errorf("the resend carries the time of the first claim: %v", again.ClaimedAt)
		}
		again.ClaimedAt = first.ClaimedAt
		wantEqual(t, "both sends", first, again)
	})
}

func TestAbsentAfterTheResendWindowIsNeverSentAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{verdict(refund.Unknown)}
		b.gateway.inquiries = []answer{verdict(refund.Absent)}
		b.run(t, b.message(t))
		pass(13 * time.Hour)
		b.runCopy(t, b.copyMessage(t))

		wantEqual(t, "calls", []string{"refund", "inquire"}, b.gateway.called())
		outs := b.outcomes(t)
		wantEqual(t, "outcomes", []string{"retry-pending UNKNOWN_OUTCOME 1/1", "retry-pending NEEDS_REVIEW 2/2"}, status(outs))
		if len(outs) != 2 || !outs[1].NeedsReview || outs[1].Final {
			t.Errorf("review outcome: %+v", outs)
		}
		if dead := b.broker.on(refund.DeadLetters); len(dead) != 1 {
			t.Errorf("dead letters: %+v", dead)
		}
	})
}

func TestRetryPendingIsToldOncePerReason(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{verdict(refund.Unknown), verdict(refund.Pending)}
		b.gateway.inquiries = []answer{verdict(refund.Unknown), verdict(refund.Pending), succeeded()}
		b.run(t, b.message(t))
		for range 3 {
			b.runCopy(t, b.copyMessage(t))
		}
		wantEqual(t, "outcomes", []string{
			"retry-pending UNKNOWN_OUTCOME 1/1", "retry-pending IN_PROCESS 3/3", "success REFUNDED 3/4",
		}, status(b.outcomes(t)))
		if copies := b.broker.on(refund.Retry); len(copies) != 3 {
			t.Errorf("%d retry copies, want one per hop", len(copies))
		}
	})
}

func TestAnAcceptedRefundIsInquiredInPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{{Result: refund.Result{Verdict: refund.Pending, InquireNow: true, RefundID: "g-9"}}}
		b.gateway.inquiries = []answer{succeeded()}
		b.run(t, b.message(t))
		wantEqual(t, "calls", []string{"refund", "inquire"}, b.gateway.called())
		wantEqual(t, "the inquiry's gateway refund ID", "", b.gateway.requests[1].GatewayRefundID)
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/1"}, status(b.outcomes(t)))
	})
}

func TestADeclineCausedByOurOwnFirstSendIsASuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{verdict(refund.Unknown), {Result: refund.Result{Verdict: refund.Declined, Code: schemas.CodeAmountExceeded}}}
		b.gateway.inquiries = []answer{verdict(refund.Absent), succeeded()}
		b.run(t, b.message(t))
		b.runCopy(t, b.copyMessage(t))
		wantEqual(t, "outcomes", []string{"retry-pending UNKNOWN_OUTCOME 1/1", "success REFUNDED 1/2"}, status(b.outcomes(t)))
	})
}

func TestARedeliveryAfterADeadOwnerIsInquiredBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		m := b.message(t)
		b.deadOwner(t, m)
		b.gateway.inquiries = []answer{succeeded()}
		started := time.Now()
		b.run(t, m)
		if waited := time.Since(started); waited < lease-grace-time.Second || waited > lease {
			t.Errorf("waited %v for what was left of the dead owner's lease of %v", waited, lease)
		}
		wantEqual(t, "calls", []string{"inquire"}, b.gateway.called())
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/2"}, status(b.outcomes(t)))
	})
}

// deadOwner claims the command as a worker that dies right after would.
func (b *bundle) deadOwner(t *testing.T, m refund.Message) {
	t.Helper()
	dead := b.processor(t, b.account())
	ctx, die := context.WithCancel(t.Context())
	b.gateway.refunds = []answer{{hook: die, err: errors.New("the process is dying")}}
	b.gateway.inquiries = b.gateway.refunds
	b.store.cut.Store(true)
	if err := dead.Command(ctx, m); err == nil {
		t.Fatal("the dying worker finished its message")
	}
	b.store.cut.Store(false)
	b.gateway.mu.Lock()
	defer b.gateway.mu.Unlock()
	b.gateway.calls, b.gateway.requests, b.gateway.refunds, b.gateway.inquiries = nil, nil, nil, nil
}

func TestACommandWithoutItsAccountIsParkedNotFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.cmd.Account = "not-configured-yet"
		b.gateway.refunds = []answer{succeeded()}
		b.run(t, b.message(t))
		wantEqual(t, "outcomes", []string{}, status(b.outcomes(t)))
		wantEqual(t, "calls", []string{}, b.gateway.called())
		m := b.copyMessage(t)
		wantEqual(t, "tier", time.Minute, b.broker.on(refund.Retry)[0].Tier)

		// The account gets configured: the parked copy is worked as the command it is.
		acct := b.account()
		acct.Name = "not-configured-yet"
		if err := b.processor(t, acct).Copy(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		outs := b.outcomes(t)
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/1"}, status(outs))
		wantEqual(t, "origin", schemas.Origin{Topic: topic, Partition: 3, Offset: 1}, outs[0].Origin)
	})
}

func TestANewerSchemaIsParkedNotRejected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		m := b.message(t)
		m.Value = []byte(strings.Replace(string(m.Value), `"schemaVersion":1`, `"schemaVersion":2`, 1))
		b.run(t, m)
		wantEqual(t, "results", 0, len(b.broker.on(refund.Results)))
		wantEqual(t, "parked bytes", string(m.Value), string(b.broker.on(refund.Retry)[0].Value))
	})
}

func TestLocalRefusalsFailOnlyWhatWasNeverSent(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		prepare func(*bundle)
		want    string
	}{
		"a gateway limit": {func(b *bundle) { b.gateway.check = "the gateway takes no such amount" }, "failed INVALID_REQUEST 0/0"},
		"a deadline that has passed": {
			func(b *bundle) { b.cmd.Deadline = &schemas.Time{Time: time.Now().Add(-time.Second)} }, "failed EXPIRED 0/0",
		},
		"the cap of its payment": {func(b *bundle) {
			b.cmd.OriginalAmount = &schemas.Money{Minor: 1000, Currency: "HKD"}
		}, "failed AMOUNT_EXCEEDED 0/0"},
	} {
		t.Run("fresh: "+name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				tc.prepare(b)
				b.run(t, b.message(t))
				wantEqual(t, "calls", []string{}, b.gateway.called())
				wantEqual(t, "outcomes", []string{tc.want}, status(b.outcomes(t)))
			})
		})
		t.Run("maybe sent: "+name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.gateway.refunds = []answer{verdict(refund.Unknown)}
				b.run(t, b.message(t))
				tc.prepare(b)
				b.gateway.inquiries = []answer{succeeded()}
				m := b.copyMessage(t)
				m.Value = commandJSON(t, b.cmd) // the same refund, with the new deadline or original amount
				b.runCopy(t, m)
				wantEqual(t, "outcomes", []string{"retry-pending UNKNOWN_OUTCOME 1/1", "success REFUNDED 1/2"}, status(b.outcomes(t)))
			})
		})
	}
}

func TestAPanicInAGatewayCallIsAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{{panic: "boom"}}
		b.run(t, b.message(t))
		wantEqual(t, "outcomes", []string{"retry-pending UNKNOWN_OUTCOME 1/1"}, status(b.outcomes(t)))
	})
}

func TestACallThatNeverEndsIsCutAtTheGatewayTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{{delay: time.Hour}}
		started := time.Now()
		b.run(t, b.message(t))
		wantEqual(t, "time", 15*time.Second, time.Since(started))
		wantEqual(t, "outcomes", []string{"retry-pending UNKNOWN_OUTCOME 1/1"}, status(b.outcomes(t)))
	})
}

func TestAStopBeforeTheSendGivesTheClaimBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		ctx, stop := context.WithCancel(t.Context())
		stop()
		m := b.message(t)
		if err := b.Command(ctx, m); !errors.Is(err, context.Canceled) {
			t.Fatalf("Command after a stop: %v", err)
		}
		wantEqual(t, "calls", []string{}, b.gateway.called())
		started := time.Now()
		b.gateway.refunds = []answer{succeeded()}
		b.run(t, m)
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/1"}, status(b.outcomes(t)))
		if time.Since(started) > time.Second {
			t.Error("the stopped pass still held its claim")
		}
	})
}

func TestAStopDuringTheSendStillSettlesAndPublishes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		ctx, stop := context.WithCancel(t.Context())
		a := succeeded()
		a.delay, a.hook = 3*time.Second, stop
		b.gateway.refunds = []answer{a}
		if err := b.Command(ctx, b.message(t)); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/1"}, status(b.outcomes(t)))
	})
}

func TestWhileTheBrokerIsAwayNothingIsDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{succeeded()}
		b.broker.fail = 20
		b.run(t, b.message(t))
		wantEqual(t, "failed publishes", 20, b.broker.failed)
		wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/1"}, status(b.outcomes(t)))
	})
}

func TestWhileTheStoreIsAwayNoGatewayIsCalled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gateway.refunds = []answer{succeeded()}
		b.store.away.Store(true)
		time.AfterFunc(10*time.Minute, func() {
			wantEqual(t, "calls while away", []string{}, b.gateway.called())
			b.store.away.Store(false)
		})
		b.run(t, b.message(t))
		wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/1"}, status(b.outcomes(t)))
	})
}

func TestAVerifiedSuccessWaitsForTheStoreAndIsNotDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		a := succeeded()
		a.hook = func() {
			b.store.away.Store(true)
			time.AfterFunc(5*time.Minute, func() { b.store.away.Store(false) })
		}
		b.gateway.refunds = []answer{a}
		b.run(t, b.message(t))
		wantEqual(t, "calls", []string{"refund"}, b.gateway.called())
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/1"}, status(b.outcomes(t)))
	})
}

func TestTwoRefundsOfOnePaymentAreNeverAtTheGatewayTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		var mu sync.Mutex
		running, most := 0, 0
		busy := succeeded()
		busy.delay = 2 * time.Second
		busy.hook = func() {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
		}
		busy.done = func() {
			mu.Lock()
			running--
			mu.Unlock()
		}
		b.gateway.refunds = []answer{busy}
		var wg sync.WaitGroup
		for i := range 5 {
			b.cmd.RequestID = fmt.Sprintf("rf-%d", i)
			m := b.message(t)
			wg.Go(func() { b.run(t, m) })
		}
		wg.Wait()
		wantEqual(t, "most at once", 1, most)
		wantEqual(t, "outcomes", 5, len(b.outcomes(t)))
	})
}

func TestABadConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	_, err := refund.New(refund.Config{}, oneAccount{}, nil, nil, zerolog.Nop(), nil)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{"gateway timeout", "lease", "grace", "source", "tiers"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not name %q: %v", part, err)
		}
	}
}
