package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/dedupe"
	"refundworker/internal/config"
	"refundworker/internal/kafka"
	"refundworker/refund"
)

func kafkaOf(cfg config.Config) (kafka.Config, kafka.Topics, error) {
	secure, tlsErr := cfg.Kafka.TLS.Build()
	login, saslErr := cfg.Kafka.SASL.Build()
	if err := errors.Join(tlsErr, saslErr); err != nil {
		return kafka.Config{}, kafka.Topics{}, fmt.Errorf("kafka: %w", err)
	}
	conn := kafka.Config{Brokers: cfg.Kafka.Brokers, ClientID: cfg.Kafka.Group, TLS: secure, SASL: login}
	topics := kafka.Topics{Prefix: cfg.Kafka.TopicPrefix, Tiers: cfg.Retry.Tiers}
	return conn, topics, errors.Join(conn.Validate(), topics.Validate())
}

func storeOf(cfg config.Config, log zerolog.Logger, reg prometheus.Registerer) (*dedupe.Redis, error) {
	secure, err := cfg.Redis.TLS.Build()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	return dedupe.New(dedupe.Config{
		Addresses: cfg.Redis.Addresses, MasterName: cfg.Redis.MasterName, Username: cfg.Redis.Username,
		Password: cfg.Redis.Password.Reveal(), TLS: secure, KeyPrefix: cfg.Redis.KeyPrefix, MaxLease: cfg.Limits.Lease,
		OutcomeTTL: cfg.Dedupe.OutcomeTTL, TombstoneTTL: cfg.Dedupe.TombstoneTTL,
		// Every pass makes one call at a time, and the gate makes its own.
		PoolSize: cfg.Limits.InFlight + 2,
	}, log, dedupe.NewMetrics(reg))
}

func accountNames(cfg config.Config) []string {
	names := make([]string, len(cfg.Accounts))
	for i, a := range cfg.Accounts {
		names[i] = a.Name
	}
	return names
}

// CheckRedis finds out whether Redis may be trusted with claims. An error that wraps refund.ErrStoreUnavailable means
// that it could not be asked; an *UnfitError that a person has to mend it. What the server does not answer is logged as
// such, never guessed.
func CheckRedis(ctx context.Context, store *dedupe.Redis, log zerolog.Logger) error {
	report, err := store.CheckServer(ctx)
	for _, line := range report.Warnings {
		log.Warn().Str("dependency", "redis").Msg(line)
	}
	if err == nil {
		err = store.CheckLayout(ctx)
	}
	if err == nil {
		err = sayEpochs(ctx, store, log)
	}
	return unfitUnless(err, refund.ErrStoreUnavailable)
}

// sayEpochs warns of what the epochs cannot show, and of what they show. Neither keeps a worker from starting: the first
// is the server's way, and the second is mended by the workers.
func sayEpochs(ctx context.Context, store *dedupe.Redis, log zerolog.Logger) error {
	report, err := store.Epochs(ctx)
	if err != nil {
		return err
	}
	if report.Untold {
		log.Warn().Str("dependency", "redis").Msg("INFO replication is not served: a flush is noticed, but no restart, failover or " +
			"restored snapshot. What those lose of claims and outcomes stays lost until `worker rebuild --all`")
	}
	if report.Forgotten() > 0 {
		log.Warn().Str("dependency", "redis").Int("buckets", report.Forgotten()).
			Msg("redis has forgotten; nothing is taken in until the workers, or `worker rebuild`, have refilled it from the results")
	}
	return nil
}

// CheckKafka finds out whether every topic exists and is fit. An *kafka.UnreachableError means that no broker could be
// asked; an *UnfitError that a person has to mend something.
func CheckKafka(ctx context.Context, conn kafka.Config, topics kafka.Topics, minInsync int) error {
	err := kafka.Check(ctx, conn, topics, minInsync)
	if _, away := errors.AsType[*kafka.UnreachableError](err); away {
		return err
	}
	return unfitUnless(err, context.Canceled)
}

// unfitUnless turns an error into an UnfitError unless it is of the kind that waiting mends.
func unfitUnless(err, mendable error) error {
	if err == nil || errors.Is(err, mendable) {
		return err
	}
	return &UnfitError{Err: err}
}
