package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"refundworker/consumer"
	"refundworker/dedupe"
	"refundworker/gateway"
	"refundworker/internal/config"
	"refundworker/internal/kafka"
	"refundworker/internal/observe"
	"refundworker/internal/rebuild"
	"refundworker/internal/reload"
	"refundworker/internal/serve"
	"refundworker/producer"
	"refundworker/refund"
)

const (
	// source is the CloudEvents source of every event this product publishes.
	source = "/refund-worker"
	// grace is how long a pass that has sent may go on storing and publishing after a stop.
	grace = 5 * time.Second
	// waitInterval is how often a dependency that is away at the start is asked again.
	waitInterval = 2 * time.Second
	// leastQueue is how many messages of a group may be read and not done, however few may be in flight. Four times as many
	// as those leave enough payments to choose from where each has two messages in a row.
	leastQueue = 256
	// closeTimeout bounds the closing of connections once no work is left.
	closeTimeout = 2 * time.Second
)

// UnfitError says that something outside the process has to be mended by a person before a worker can run: topics that
// are missing or unfit, a login or a certificate that is refused, a missing right, a Redis that evicts keys, a layout of
// another build. Waiting does not help. Only a start ends with it: a running worker waits for whatever refuses it.
type UnfitError struct{ Err error }

func (e *UnfitError) Error() string { return e.Err.Error() }

// Unwrap is the finding itself.
func (e *UnfitError) Unwrap() error { return e.Err }

// Worker is one process's worth of refund work.
type Worker struct {
	cfg    config.Config
	log    zerolog.Logger
	health *observe.Health
	reg    *prometheus.Registry

	conn      kafka.Config
	topics    kafka.Topics
	store     *dedupe.Redis
	producer  *producer.Producer
	processor *refund.Processor
	tracing   *tracing
	gate      *gate
	watchdog  *watchdog
	keeper    *rebuild.Keeper
	executor  *consumer.Executor
	server    *observe.Server
	files     *reload.Watcher
	// reloadInterval is how often files are looked at.
	reloadInterval time.Duration
	// notify is nil where no notifications are listened for.
	notify *serve.Server
}

// New builds a worker from its configuration. It connects to nothing; every fault is of the configuration.
func New(cfg config.Config, version string, log zerolog.Logger) (*Worker, error) {
	w := &Worker{cfg: cfg, log: log, health: observe.NewHealth(), reg: observe.NewRegistry(version)}
	creds, err := newCredentials(cfg, w.reg)
	if err != nil {
		return nil, err
	}
	if w.conn, w.topics, err = kafkaOf(cfg, creds); err != nil {
		return nil, err
	}
	if w.store, err = storeOf(cfg, creds, log, w.reg); err != nil {
		return nil, err
	}
	accounts, err := NewAccounts(cfg, log, gateway.NewMetrics(w.reg, accountNames(cfg)))
	if err != nil {
		return nil, err
	}
	if w.tracing, err = newTracing(cfg.Trace, version, log, w.reg); err != nil {
		return nil, err
	}
	w.files = reload.New(slices.Concat(creds.sources, accounts.sources, w.tracing.files()), log, w.reg)
	w.reloadInterval = reload.Interval
	if w.producer, err = producer.New(producer.Config{}, w.conn, w.topics, log, producer.NewMetrics(w.reg)); err != nil {
		return nil, err
	}
	if w.notify, err = listenerOf(cfg, accounts, w.producer, log, w.reg); err != nil {
		return nil, err
	}
	w.processor, err = refund.New(refund.Config{
		Lease: cfg.Limits.Lease, GatewayTimeout: cfg.Limits.GatewayTimeout, Settling: cfg.Limits.Settling, Grace: grace,
		Source: source,
		Policy: refund.Policy{
			Tiers: cfg.Retry.Tiers, Horizon: cfg.Limits.Horizon,
			LapseAfter: cfg.Retry.LapseAfter, ReviewInterval: cfg.Retry.ReviewInterval,
		},
		Tracer: w.tracing.tracer(),
	}, accounts, w.store, w.producer, log, refund.NewMetrics(w.reg))
	if err != nil {
		return nil, err
	}
	w.keeper = rebuild.NewKeeper(
		rebuild.New(rebuild.Config{Conn: w.conn, Results: w.topics.Results()}, w.store, log, rebuild.NewMetrics(w.reg)),
		w.store, cfg.Limits.Lease+cfg.Limits.GatewayTimeout+cfg.Limits.Settling, log)
	w.gate = newGate(w.store, func(err error) {
		w.health.Set("redis", err)
		w.keeper.Notice(err)
	}, log, w.reg)
	w.watchdog = newWatchdog(w.store, w.producer, w.gate, log, w.reg)
	w.executor = consumer.NewExecutor(accounts.limits, consumer.Limits{InFlight: cfg.Limits.InFlight}, w.reg)
	w.server, err = observe.New(observe.Config{Listen: cfg.HTTP.Listen}, w.health, w.reg, log)
	return w, err
}

// Run works until ctx ends, then stops in bounded time: no new message is begun, running gateway calls end, what they
// learned is stored and published, connections are closed. Dependencies that are away are waited for, at the start and
// later; an *UnfitError ends it at once. The first part that fails for good ends all others.
func (w *Worker) Run(ctx context.Context) error {
	w.tracing.start()
	defer w.close(context.WithoutCancel(ctx))
	w.health.Set("kafka", errors.New("not joined yet"))

	// The listener outlives the work, so that probes see a draining worker as alive.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	all, serving := errgroup.WithContext(serving)
	all.Go(func() error { return w.server.Run(serving) })
	// From the first moment on: what a dependency refuses may be mended by a file.
	all.Go(func() error { return w.files.Run(serving, w.reloadInterval) })
	all.Go(func() error {
		defer stopServing()
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(serving, func() { cancel(context.Cause(serving)) })()
		return w.work(ctx)
	})
	return all.Wait()
}

func (w *Worker) work(ctx context.Context) error {
	if err := w.ready(ctx); err != nil {
		return unlessStopped(ctx, err)
	}
	consumers, err := w.consumers(ctx)
	if err != nil {
		return unlessStopped(ctx, err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return w.gate.Run(ctx) })
	group.Go(func() error { return w.keeper.Run(ctx) })
	for _, c := range consumers {
		group.Go(func() error { return c.Run(ctx) })
	}
	group.Go(func() error { return w.watch(ctx, consumers) })
	group.Go(func() error { return w.watchdog.Run(ctx) })
	if w.notify != nil {
		// It ends with the work, in less time than the consumers may take; the producer is closed behind both.
		group.Go(func() error { return w.notify.Run(ctx) })
	}
	w.log.Info().Int("in_flight", w.cfg.Limits.InFlight).Int("accounts", len(w.cfg.Accounts)).Msg("working")
	err = group.Wait()
	w.log.Info().Err(err).Msg("stopped")
	if _, gone := errors.AsType[*kafka.TopicsError](err); gone {
		return &UnfitError{Err: err}
	}
	return err
}

// unlessStopped drops the error of a part that ended only because it was told to.
func unlessStopped(ctx context.Context, err error) error {
	select {
	case <-ctx.Done():
		return nil
	default:
		return err
	}
}

// consumers are one per group. Topics of one group are consumed by one member of it.
func (w *Worker) consumers(ctx context.Context) ([]*consumer.Consumer, error) {
	metrics := consumer.NewMetrics(w.reg)
	commands, backfill, retry, signals := groups(w.cfg)
	retries, err := w.retries(ctx)
	if err != nil {
		return nil, err
	}
	var list []*consumer.Consumer
	var errs []error
	for _, c := range []struct {
		group   string
		topics  []string
		delay   func(string) time.Duration
		handler consumer.Handler
		low     bool
	}{
		{commands, []string{w.topics.Commands()}, nil, w.processor.ReadCommand, false},
		{backfill, []string{w.topics.Backfill()}, nil, w.processor.ReadCommand, true},
		{retry, retries, w.topics.Tier, w.processor.ReadCopy, false},
		{signals, []string{w.topics.Signals()}, nil, w.processor.ReadSignal, false},
	} {
		made, err := consumer.New(consumer.Config{
			GroupID: c.group, Topics: c.topics, Delay: c.delay, Drain: w.cfg.Limits.Drain, SessionTimeout: config.SessionTimeout,
			// A running call may end and be stored; nothing new is begun.
			StopTimeout: w.cfg.Limits.GatewayTimeout + grace + time.Second,
			LowPriority: c.low, Queue: max(leastQueue, 4*w.cfg.Limits.InFlight),
		}, w.conn, w.executor, w.gated(c.handler), w.log, metrics)
		list, errs = append(list, made), append(errs, err)
	}
	return list, errors.Join(errs...)
}

// retries are the topics of the configured tiers, and of those that were configured once and still exist: copies may
// wait in them.
func (w *Worker) retries(ctx context.Context) ([]string, error) {
	var former []time.Duration
	err := w.await(ctx, "kafka", func(ctx context.Context) error {
		var err error
		former, err = kafka.FormerTiers(ctx, w.conn, w.topics)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for former retry tiers: %w", err)
	}
	topics := make([]string, 0, len(w.topics.Tiers)+len(former))
	for _, tier := range append(slices.Clone(w.topics.Tiers), former...) {
		topics = append(topics, w.topics.Retry(tier))
	}
	if len(former) > 0 {
		w.log.Warn().Strs("topics", topics[len(w.topics.Tiers):]).Msg("retry tiers that are no longer configured are drained")
	}
	return topics, nil
}

// gated keeps works back while intake is closed.
func (w *Worker) gated(handler consumer.Handler) consumer.Handler {
	return func(m refund.Message) refund.Work {
		work := handler(m)
		do := work.DoFunc
		work.DoFunc = func(ctx context.Context, permit refund.Permit) error {
			if err := w.gate.Pass(ctx); err != nil {
				return err
			}
			return do(ctx, permit)
		}
		return work
	}
}

// ready waits until Redis and Kafka answer and finds out whether they are fit.
func (w *Worker) ready(ctx context.Context) error {
	err := w.await(ctx, "redis", func(ctx context.Context) error {
		return CheckRedis(ctx, w.cfg, w.store, w.log)
	})
	if err != nil {
		return err
	}
	return w.await(ctx, "kafka", func(ctx context.Context) error {
		return CheckKafka(ctx, w.cfg, w.conn, w.topics)
	})
}

// await asks again while the dependency cannot be reached.
func (w *Worker) await(ctx context.Context, name string, ask func(context.Context) error) error {
	for {
		err := ask(ctx)
		if _, unfit := errors.AsType[*UnfitError](err); err == nil || unfit {
			return err
		}
		w.health.Set(name, err)
		w.log.Warn().Err(err).Str("dependency", name).Dur("next", waitInterval).Msg("a dependency is away; waiting for it")
		timer := time.NewTimer(waitInterval)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("wait for %s: %w", name, context.Cause(ctx))
		}
	}
}

// watch tells readiness whether every group is joined.
func (w *Worker) watch(ctx context.Context, consumers []*consumer.Consumer) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		var errs []error
		for _, c := range consumers {
			errs = append(errs, c.Ready())
		}
		w.health.Set("kafka", errors.Join(errs...))
		select {
		case <-ticker.C:
		case <-ctx.Done():
			w.health.Set("kafka", errors.New("stopping"))
			return nil
		}
	}
}

// close ends the connections, last in first out, when no work is left. Spans are flushed meanwhile.
func (w *Worker) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	var flushed sync.WaitGroup
	flushed.Go(func() { w.tracing.close(ctx) })
	defer flushed.Wait()
	if err := w.producer.Close(ctx); err != nil {
		w.log.Warn().Err(err).Msg("close producer")
	}
	if err := w.store.Close(); err != nil {
		w.log.Warn().Err(err).Msg("close redis")
	}
}
