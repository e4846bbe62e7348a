package worker

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/dedupe"
	"refundworker/internal/config"
	"refundworker/internal/kafka"
)

func kafkaOf(cfg config.Config, creds *credentials) (kafka.Config, kafka.Topics, error) {
	conn := kafka.Config{Brokers: cfg.Kafka.Brokers, ClientID: cfg.Kafka.Group}
	creds.secure(&conn)
	topics := kafka.Topics{Prefix: cfg.Kafka.TopicPrefix, Tiers: cfg.Retry.Tiers}
	return conn, topics, errors.Join(conn.Validate(), topics.Validate())
}

func storeOf(cfg config.Config, creds *credentials, log zerolog.Logger, reg prometheus.Registerer) (*dedupe.Redis, error) {
	conf := dedupe.Config{
		Addresses: cfg.Redis.Addresses, MasterName: cfg.Redis.MasterName, Username: cfg.Redis.Username,
		SentinelUsername: cfg.Redis.SentinelUsername, SentinelPassword: cfg.Redis.SentinelPassword.Reveal(),
		KeyPrefix: cfg.Redis.KeyPrefix, MaxLease: cfg.Limits.Lease,
		OutcomeTTL: cfg.Dedupe.OutcomeTTL, TombstoneTTL: cfg.Dedupe.TombstoneTTL,
		// Every pass makes one call at a time, and the gate makes its own.
	}
	if !cfg.Redis.Password.IsZero() {
		conf.PasswordFunc = func() string { return *creds.redisPassword.Load() }
	}
	if creds.redisTLS.now.Load() != nil {
		conf.TLSFunc = creds.redisTLS.now.Load
	}
	return dedupe.New(conf, log, dedupe.NewMetrics(reg))
}

func accountNames(cfg config.Config) []string {
	names := make([]string, len(cfg.Accounts))
	for i, a := range cfg.Accounts {
		names[i] = a.Name
	}
	return names
}

// groups are the consumer groups of the commands, of the backfill and of the retries.
func groups(cfg config.Config) (commands, backfill, retries, signals string) {
	group := cfg.Kafka.Group
	return group, group + ".backfill", group + ".retry", group + ".signals"
}

// CheckRedis finds out whether Redis may be trusted with claims, and whether it takes them from this user. An error
// that wraps refund.ErrStoreUnavailable means that it could not be asked; an *UnfitError that a person has to mend it.
// What the server does not answer is logged as such, never guessed.
func CheckRedis(ctx context.Context, cfg config.Config, store *dedupe.Redis, log zerolog.Logger) error {
	report, err := store.CheckServer(ctx)
	for _, line := range report.Warnings {
		log.Warn().Str("dependency", "redis").Msg(line)
	}
	if err == nil {
		err = store.CheckRights(ctx)
	}
	if err == nil {
		err = store.CheckLayout(ctx)
	}
	if err == nil {
		err = sayEpochs(ctx, store, log)
	}
	return judgeRedis(cfg, err)
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

// CheckKafka finds out whether the worker has its rights, and whether every topic exists and is fit. An
// *kafka.UnreachableError means that no broker could be asked; an *UnfitError that a person has to mend something.
func CheckKafka(ctx context.Context, cfg config.Config, conn kafka.Config, topics kafka.Topics) error {
	commands, backfill, retries, signals := groups(cfg)
	err := kafka.CheckRights(ctx, conn, topics, []string{commands, backfill, retries, signals})
	if err == nil {
		err = kafka.Check(ctx, conn, topics, cfg.Kafka.MinInsync)
	}
	return judgeKafka(cfg, err)
}
