package rebuild

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"refundworker/dedupe"
	"refundworker/internal/kafka/kafkatest"
	"refundworker/internal/realtest"
	"refundworker/refund"
	"refundworker/schemas"
)

const partitions = 2

// world is a results topic and a store that has forgotten.
type world struct {
	*Rebuilder
	broker *kafkatest.Broker
	redis  string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{broker: kafkatest.Start(t), redis: redisOf(t)}
	if err := w.broker.CreateTopic(t.Context(), "refunds.results", partitions, nil); err != nil {
		t.Fatal(err)
	}
	w.Rebuilder = w.rebuilder(t)
	return w
}

// redisOf prefers a real server: thousands of scripts take miniredis seconds under the race detector.
func redisOf(t *testing.T) string {
	t.Helper()
	if realtest.Available().RedisMissing != nil {
		return miniredis.RunT(t).Addr()
	}
	return realtest.StartRedis(t, realtest.RedisOptions{}).Addr
}

// rebuilder is another process of the same world.
func (w *world) rebuilder(t *testing.T) *Rebuilder {
	t.Helper()
	store, err := dedupe.New(dedupe.Config{Addresses: []string{w.redis}}, zerolog.Nop(), dedupe.NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	cfg := Config{Conn: w.broker.Config(), Results: "refunds.results", Landing: time.Millisecond}
	return New(cfg, store, zerolog.Nop(), NewMetrics(prometheus.NewRegistry()))
}

func silent(int64, int64) {}

// event is an outcome as the processor publishes it.
func event(t *testing.T, id string, status schemas.Status, hop int) kafkatest.Record {
	t.Helper()
	code := map[schemas.Status]schemas.Code{
		schemas.Success: schemas.CodeRefunded, schemas.Failed: schemas.CodeRefundFailed, schemas.RetryPending: schemas.CodeUnknownOutcome,
	}[status]
	out := schemas.Outcome{
		RequestID: id, Status: status, Final: status != schemas.RetryPending, Code: code, Gateway: schemas.Antom, Account: "hk",
		PaymentID: "pay-" + id, Amount: schemas.Money{Minor: 100, Currency: "HKD"}, Attempt: 1, Hop: hop,
		Origin: schemas.Origin{Topic: "refunds.commands"}, OccurredAt: schemas.Time{Time: time.Now()},
	}
	memo := schemas.Memo{FingerprintVersion: 1, FingerprintSum: "sum-of-" + id, FirstSeen: time.Now()}
	eventID := schemas.FinalEventID(id)
	if !out.Final {
		out.NextAttemptAt = schemas.TimePtr(time.Now().Add(time.Minute))
		eventID, memo.GatewayKey = schemas.ProgressEventID(id, hop, "TOKEN"), id
	}
	value, err := schemas.EncodeOutcome(out)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(id[len(id)-1:])
	return kafkatest.Record{
		Partition: n % partitions, Key: []byte(id), Value: value,
		Headers: append(schemas.OutcomeHeaders(out, eventID, "/test"), memo.Headers()...),
	}
}

func (w *world) publish(t *testing.T, events ...kafkatest.Record) {
	t.Helper()
	if err := w.broker.Produce(t.Context(), "refunds.results", events...); err != nil {
		t.Fatal(err)
	}
}

func (w *world) claim(t *testing.T, id string) refund.ClaimStatus {
	t.Helper()
	c, err := w.store.Claim(t.Context(), refund.ClaimRequest{
		RequestID: id, Token: "t", Lease: time.Minute, Fingerprints: []refund.Fingerprint{{Version: 1, Sum: "sum-of-" + id}},
		Payment: refund.PaymentRef{Gateway: schemas.Antom, PaymentID: "pay-" + id, Minor: 100},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.Status
}

func TestARefillPutsBackWhatWasPublished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rejection := schemas.Rejection{RequestID: "rf-9", Code: schemas.CodeRequestIDConflict, Detail: "x", OccurredAt: schemas.Time{Time: time.Now()}}
	broken := event(t, "rf-8", schemas.Success, 0)
	broken.Value = []byte("{")
	w.publish(t,
		event(t, "rf-1", schemas.RetryPending, 1), event(t, "rf-1", schemas.Success, 1), event(t, "rf-1", schemas.RetryPending, 2),
		event(t, "rf-2", schemas.Failed, 0), event(t, "rf-3", schemas.RetryPending, 4), broken,
		kafkatest.Record{Value: []byte("{}"), Headers: schemas.RejectionHeaders(rejection, rejection.Origin, "/test")},
	)
	var last, of int64
	report, err := w.Run(t.Context(), false, func(done, total int64) { last, of = done, total })
	if err != nil {
		t.Fatal(err)
	}
	if last != 7 || of != 7 || report.Events != 7 || report.Foreign != 2 || report.Buckets != 1024 || !report.Since.IsZero() {
		t.Errorf("%d of %d, %+v", last, of, report)
	}
	if want := (dedupe.Restored{Settled: 2, Waiting: 2, Kept: 1}); report.Restored != want {
		t.Errorf("%+v, want %+v", report.Restored, want)
	}
	for id, want := range map[string]refund.ClaimStatus{
		"rf-1": refund.ClaimSettled, "rf-2": refund.ClaimSettled, "rf-3": refund.ClaimRewrite, "rf-7": refund.ClaimGranted,
	} {
		if got := w.claim(t, id); got != want {
			t.Errorf("claim of %s: %d, want %d", id, got, want)
		}
	}
	if _, err := w.Run(t.Context(), false, silent); !errors.Is(err, dedupe.ErrRemembers) {
		t.Errorf("a second time: %v", err)
	}
	if report, err := w.Run(t.Context(), true, silent); err != nil || report.Buckets != 0 || report.Restored.Records() != 0 || report.Restored.Kept != 5 {
		t.Errorf("all of it again: %+v, %v", report, err)
	}
	if n := testutil.ToFloat64(w.metrics.refills.WithLabelValues(resultDone)); n != 2 {
		t.Errorf("%v refills are counted", n)
	}
}

// What a newer build has published would be forgotten by this one: it leaves the store closed.
func TestAnOutcomeOfANewerBuildKeepsTheStoreClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	newer := event(t, "rf-1", schemas.Success, 0)
	newer.Value = []byte(`{"schemaVersion":2}`)
	w.publish(t, newer)
	if _, err := w.Run(t.Context(), false, silent); !errors.Is(err, schemas.ErrNewerVersion) {
		t.Errorf("run: %v", err)
	}
	if err := w.store.Remembers(t.Context()); !errors.Is(err, dedupe.ErrForgot) {
		t.Errorf("remembers: %v", err)
	}
	if n := testutil.ToFloat64(w.metrics.refills.WithLabelValues(resultFailed)); n != 1 {
		t.Errorf("%v failures are counted", n)
	}
}

func TestARefillThatWasEndedHalfWayIsBegunAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var events []kafkatest.Record
	for i := range 3 * batch {
		events = append(events, event(t, "rf-"+strconv.Itoa(i), schemas.Success, 0))
	}
	w.publish(t, events...)
	ctx, crash := context.WithCancel(t.Context())
	_, err := w.Run(ctx, false, func(done, _ int64) {
		if done > 0 {
			crash()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("run: %v", err)
	}
	if err := w.store.Remembers(t.Context()); !errors.Is(err, dedupe.ErrForgot) {
		t.Errorf("remembers: %v", err)
	}
	report, err := w.rebuilder(t).Run(t.Context(), false, silent)
	if err != nil || report.Events != 3*batch || report.Restored.Settled+report.Restored.Kept != 3*batch || report.Restored.Kept == 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestOfTwoProcessesOneRefills(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t, event(t, "rf-1", schemas.Success, 0))
	var both sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		other := w.rebuilder(t)
		other.cfg.Landing = 300 * time.Millisecond
		both.Go(func() { _, errs[i] = other.Run(t.Context(), false, silent) })
	}
	both.Wait()
	one := errors.Is(errs[0], dedupe.ErrRebuilding) && errs[1] == nil
	other := errors.Is(errs[1], dedupe.ErrRebuilding) && errs[0] == nil
	if one == other {
		t.Errorf("%v and %v", errs[0], errs[1])
	}
	if got := w.claim(t, "rf-1"); got != refund.ClaimSettled {
		t.Errorf("claim: %d", got)
	}
}

func TestWithoutATopicNothingIsOpened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Results = "refunds.elsewhere"
	if _, err := w.Run(t.Context(), false, silent); err == nil {
		t.Error("a refill from nowhere succeeded")
	}
	if err := w.store.Remembers(t.Context()); !errors.Is(err, dedupe.ErrForgot) {
		t.Errorf("remembers: %v", err)
	}
}

// A worker notices, refills, and later looks once more for what was held up on its way to the results.
func TestAKeeperRefillsWhatItIsToldOfAndLooksAgainLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t, event(t, "rf-1", schemas.Success, 0))
	keeper := NewKeeper(w.Rebuilder, w.store, 200*time.Millisecond, zerolog.Nop())
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- keeper.Run(ctx) }()
	keeper.Notice(errors.New("something else"))
	keeper.Notice(w.store.Remembers(t.Context()))
	keeper.Notice(w.store.Remembers(t.Context()))
	await(t, func() bool { return w.store.Remembers(t.Context()) == nil })
	if got := w.claim(t, "rf-1"); got != refund.ClaimSettled {
		t.Errorf("claim: %d", got)
	}
	if got := w.claim(t, "rf-2"); got != refund.ClaimGranted {
		t.Errorf("claim: %d", got)
	}
	w.publish(t, event(t, "rf-2", schemas.Success, 0), event(t, "rf-4", schemas.RetryPending, 3))
	await(t, func() bool { return w.claim(t, "rf-2") == refund.ClaimSettled })
	if got := w.claim(t, "rf-4"); got != refund.ClaimGranted {
		t.Errorf("progress of running workers was restored: %d", got)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func await(t *testing.T, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatal("not within 20 s")
		case <-ticker.C:
		}
	}
}
