package schedules

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"refundworker/dedupe"
	"refundworker/refund"
	"refundworker/schemas"
)

const (
	lease          = 60 * time.Second
	gatewayTimeout = 15 * time.Second
	grace          = 7 * time.Second
	outcomeTTL     = 20 * time.Minute
	// strictFrom is the amount that a stricter build refuses.
	strictFrom = 60
)

// pace are the long times of a worker's configuration, shortened in proportion to those of production.
type pace struct{ resendWindow, horizon, reviewInterval, lapseAfter time.Duration }

// build is how a worker is configured. The zero value is the ordinary one.
type build struct {
	// renamed: its only account has another name. both: it has both, under the ordinary default.
	renamed, both bool
	// otherTiers are configured, and the former ones are drained.
	otherTiers bool
	// strict refuses amounts that other builds let pass.
	strict bool
	// otherKeys: it computes gateway keys in another way, which must never reach a gateway for a known request.
	otherKeys bool
}

func (b build) tiers() []time.Duration {
	if b.otherTiers {
		return []time.Duration{30 * time.Second, 5 * time.Minute, time.Hour}
	}
	return []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour}
}

func allTiers() []time.Duration {
	all := slices.Concat(build{}.tiers(), build{otherTiers: true}.tiers())
	slices.Sort(all)
	return slices.Compact(all)
}

func (b build) accounts() []string {
	switch {
	case b.both:
		return []string{"first", "second"}
	case b.renamed:
		return []string{"second"}
	}
	return []string{"first"}
}

// worker is one process.
type worker struct{ *refund.Processor }

// accounts are those of one build.
type accounts struct {
	build build
	bank  *bank
	road  road
}

// Account finds an account; without a name the first.
func (a accounts) Account(gw schemas.Gateway, name string) (refund.Account, error) {
	names := a.build.accounts()
	if name == "" {
		name = names[0]
	}
	if !slices.Contains(names, name) {
		return refund.Account{}, fmt.Errorf("account %q: %w", name, refund.ErrUnknownAccount)
	}
	acct := refund.Account{
		Name: name, Gateway: gw, Client: client{bank: a.bank, road: a.road, account: name, strict: a.build.strict},
		KeyFunc: func(id string) string { return keyOf(gw, id) },
	}
	if a.build.otherKeys {
		acct.KeyFunc = func(id string) string { return "X" + keyOf(gw, id) }
	}
	if gw == schemas.EftPay {
		acct.InquireFirst = true
		return acct, nil
	}
	acct.ResendWindow, acct.NotifiedFunc = a.bank.pace.resendWindow, notified
	return acct, nil
}

// store is a worker's connection to the shared memory store, with an eye on what claims find.
type store struct {
	*dedupe.Connection
	bank *bank
	road road
}

// Claim tells the judge what the claim found.
func (s store) Claim(ctx context.Context, req refund.ClaimRequest) (refund.Claim, error) {
	v := s.road.visit(ctx)
	v.claim = &req
	c, err := s.Connection.Claim(ctx, req)
	v.claim = nil
	if err == nil {
		s.bank.claimed(v, req, c)
	}
	return c, err
}

// Settle counts the claims that were lost meanwhile.
func (s store) Settle(ctx context.Context, req refund.SettleRequest) (refund.Settled, error) {
	got, err := s.Connection.Settle(ctx, req)
	if err == nil && got.Lost {
		s.bank.tally.add("settle: the claim was lost")
	}
	return got, err
}

// Wait counts the claims that were lost meanwhile.
func (s store) Wait(ctx context.Context, req refund.WaitRequest) (refund.Waited, error) {
	got, err := s.Connection.Wait(ctx, req)
	if err == nil && got.Lost {
		s.bank.tally.add("wait: the claim was lost")
	}
	return got, err
}

func (b *bank) claimed(v *visit, req refund.ClaimRequest, c refund.Claim) {
	b.mu.Lock()
	defer b.mu.Unlock()
	what := claimNames()[c.Status]
	switch {
	case c.Status != refund.ClaimGranted:
	case c.Fresh:
		what += ", fresh"
	case c.Record.Takeovers > 0:
		what += ", taken over"
	case req.Signal:
		what += ", for a signal"
	case c.Record.MaybeSent:
		what += ", maybe sent"
	}
	b.tally.add("claim: " + what)
	v.first, v.inquired = c.Status == refund.ClaimGranted && !c.Record.MaybeSent, false
}

func claimNames() map[refund.ClaimStatus]string {
	return map[refund.ClaimStatus]string{
		refund.ClaimGranted: "granted", refund.ClaimBusy: "busy", refund.ClaimPaymentBusy: "payment busy", refund.ClaimSettled: "settled",
		refund.ClaimTombstone: "tombstone", refund.ClaimConflict: "conflict", refund.ClaimSuperseded: "superseded",
		refund.ClaimRewrite: "rewrite", refund.ClaimInReview: "in review",
	}
}

// publisherFunc is a publisher.
type publisherFunc func(context.Context, ...refund.Event) error

// Publish calls it.
func (f publisherFunc) Publish(ctx context.Context, events ...refund.Event) error {
	return f(ctx, events...)
}

// parts are what workers of all builds share.
type parts struct {
	bank    *bank
	road    road
	store   store
	publish publisherFunc
	metrics *refund.Metrics
}

// fataler is a test of either kind.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

func newWorker(t fataler, p parts, b build) *worker {
	t.Helper()
	processor, err := refund.New(refund.Config{
		Lease: lease, GatewayTimeout: gatewayTimeout, Grace: grace, Source: "/refund-worker",
		Policy: refund.Policy{
			Tiers: b.tiers(), Horizon: p.bank.pace.horizon, LapseAfter: p.bank.pace.lapseAfter, ReviewInterval: p.bank.pace.reviewInterval,
		},
	}, accounts{build: b, bank: p.bank, road: p.road}, p.store, p.publish, zerolog.Nop(), p.metrics)
	if err != nil {
		t.Fatal(err)
	}
	return &worker{processor}
}

// A notification of the model is key|verdict|amount|signature.

const signature = "signed by the model"

func notification(key string, verdict refund.Verdict, minor int64, signed bool) []byte {
	sign := "forged"
	if signed {
		sign = signature
	}
	return []byte(strings.Join([]string{key, strconv.Itoa(int(verdict)), strconv.FormatInt(minor, 10), sign}, "|"))
}

// notified judges a notification as the real client does.
func notified(n schemas.Notification, req refund.Request) (refund.Result, error) {
	fields := strings.Split(string(n.Body), "|")
	if len(fields) != 4 || fields[3] != signature {
		return refund.Result{Alarm: refund.AlarmUnverified}, fmt.Errorf("notification: %w", errUnanswered)
	}
	minor, _ := strconv.ParseInt(fields[2], 10, 64)
	verdict, _ := strconv.Atoi(fields[1])
	if fields[0] != req.GatewayKey || minor != req.Amount.Minor {
		return refund.Result{Review: true, Alarm: refund.AlarmMismatch, Detail: "model: of another refund"}, nil
	}
	res := refund.Result{Verdict: refund.Verdict(verdict), RefundID: "gw-notified"} //nolint:gosec // a verdict of ours
	if res.Verdict == refund.Succeeded {
		res.Code = schemas.CodeRefunded
	} else {
		res.Code = schemas.CodeRefundFailed
	}
	return res, nil
}
