package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/gateway"
	"refundworker/internal/config"
	"refundworker/internal/kafka"
)

// askTimeout bounds init and check: both are run by people and pipelines that would rather have an answer than wait.
const askTimeout = 30 * time.Second

// Init creates the topics that are missing, writes the layout of the records to Redis, and begins its first epoch unless
// the results topic shows that there is a history. It is safe to repeat; nothing that exists is altered. The error is an
// *UnfitError when a person has to mend something first: a right, a login, a layout of another build.
func Init(ctx context.Context, cfg config.Config, log zerolog.Logger, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	reg := prometheus.NewRegistry()
	creds, err := newCredentials(cfg, reg)
	if err != nil {
		return &UnfitError{Err: err}
	}
	conn, topics, err := kafkaOf(cfg, creds)
	if err != nil {
		return &UnfitError{Err: err}
	}
	store, err := storeOf(cfg, creds, log, reg)
	if err != nil {
		return &UnfitError{Err: err}
	}
	defer func() { _ = store.Close() }()

	created, kafkaErr := kafka.Create(ctx, conn, topics, kafka.Layout{
		Partitions: cfg.Kafka.Partitions, Replication: cfg.Kafka.Replication, MinInSync: cfg.Kafka.MinInsync,
	})
	for _, c := range created {
		state := "created"
		if c.Existed {
			state = "exists"
		}
		_, _ = fmt.Fprintf(out, "topic  %-40s %s\n", c.Topic, state)
	}
	redisErr := store.Init(ctx)
	if redisErr == nil {
		_, _ = fmt.Fprintf(out, "redis  %-40s %s\n", cfg.Redis.KeyPrefix+" layout", "ready")
	}
	if err := errors.Join(initFault(judgeKafka(cfg, kafkaErr)), initFault(judgeRedis(cfg, redisErr))); err != nil {
		return err
	}
	return initFault(beginEpochs(ctx, cfg, conn, topics, store, out))
}

func initFault(err error) error {
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	return nil
}

// Check asks every dependency once and says what it found, a line each. The error is an *UnfitError when a person has
// to mend something, any other when a dependency could not be asked.
func Check(ctx context.Context, cfg config.Config, log zerolog.Logger, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	reg := prometheus.NewRegistry()
	creds, err := newCredentials(cfg, reg)
	if err != nil {
		return &UnfitError{Err: err}
	}
	conn, topics, err := kafkaOf(cfg, creds)
	if err != nil {
		return &UnfitError{Err: err}
	}
	store, err := storeOf(cfg, creds, log, reg)
	if err != nil {
		return &UnfitError{Err: err}
	}
	defer func() { _ = store.Close() }()
	if _, err := NewAccounts(cfg, log, gateway.NewMetrics(reg, accountNames(cfg))); err != nil {
		return &UnfitError{Err: err}
	}
	_, _ = fmt.Fprintf(out, "config  ok: %d accounts\n", len(cfg.Accounts))

	kafkaErr := CheckKafka(ctx, cfg, conn, topics)
	say(out, "kafka", kafkaErr)
	redisErr := CheckRedis(ctx, cfg, store, log)
	say(out, "redis", redisErr)
	return errors.Join(kafkaErr, redisErr)
}

func say(out io.Writer, what string, err error) {
	if err != nil {
		_, _ = fmt.Fprintf(out, "%-7s %v\n", what, err)
		return
	}
	_, _ = fmt.Fprintf(out, "%-7s ok\n", what)
}
