package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/dedupe"
	"refundworker/internal/config"
	"refundworker/internal/kafka"
	"refundworker/internal/rebuild"
	"refundworker/schemas"
)

// rebuildPause is how long a rebuild by hand waits for another process that is at it.
const rebuildPause = 2 * time.Second

// leaderPause is how long init waits for the leaders of a topic that it has just created.
const leaderPause = 200 * time.Millisecond

// Rebuild refills what Redis has forgotten, or with all everything, from the results topic, and says on out what it did.
// It does what the workers do by themselves, and may run beside them. progress is told how many of how many events have
// been read. The error is an *UnfitError when a person has to mend something.
func Rebuild(ctx context.Context, cfg config.Config, all bool, log zerolog.Logger, out io.Writer, progress func(done, total int64)) error {
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
	// A layout of another build has to stop this before it writes; a missing one went with the rest.
	if err := store.CheckLayout(ctx); err != nil && !errors.Is(err, dedupe.ErrLayoutMissing) {
		return fmt.Errorf("rebuild: %w", judgeRedis(cfg, err))
	}
	rebuilder := rebuild.New(rebuild.Config{Conn: conn, Results: topics.Results()}, store, log, rebuild.NewMetrics(reg))
	for {
		report, err := rebuilder.Run(ctx, all, progress)
		switch {
		case errors.Is(err, dedupe.ErrRemembers):
			_, _ = fmt.Fprintln(out, "nothing to do: redis has forgotten nothing")
			return nil
		case errors.Is(err, dedupe.ErrRebuilding):
			_, _ = fmt.Fprintln(out, "another process refills redis; waiting for it")
		case errors.Is(err, dedupe.ErrOvertaken):
			_, _ = fmt.Fprintln(out, "redis forgot again meanwhile; beginning anew")
		case err != nil:
			return unfitRebuild(cfg, err)
		default:
			sayReport(out, report)
			return nil
		}
		if err := pauseFor(ctx, rebuildPause); err != nil {
			return fmt.Errorf("rebuild: %w", err)
		}
	}
}

func unfitRebuild(cfg config.Config, err error) error {
	_, topics := errors.AsType[*kafka.TopicsError](err)
	_, layout := errors.AsType[*dedupe.LayoutError](err)
	if topics || layout || errors.Is(err, schemas.ErrNewerVersion) {
		return &UnfitError{Err: err}
	}
	for _, at := range []dependency{kafkaAt(cfg), redisAt(cfg)} {
		if refused := at.refusal(err); refused != nil {
			return &UnfitError{Err: refused}
		}
	}
	return err
}

func sayReport(out io.Writer, r rebuild.Report) {
	since := "the beginning"
	if !r.Since.IsZero() {
		since = r.Since.UTC().Format(time.RFC3339)
	}
	_, _ = fmt.Fprintf(out, "read %d events since %s in %s\n", r.Events, since, r.Took.Round(time.Millisecond))
	_, _ = fmt.Fprintf(out, "restored %d settled, %d tombstones, %d waiting, %d in review; kept %d; expired %d; foreign %d\n",
		r.Restored.Settled, r.Restored.Tombstones, r.Restored.Waiting, r.Restored.Review, r.Restored.Kept, r.Restored.Expired, r.Foreign)
	_, _ = fmt.Fprintf(out, "opened %d buckets\n", r.Buckets)
}

func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// beginEpochs begins the first epoch where there is no history. Where there is, an epoch would hide that Redis has
// forgotten it: the epochs are then left to the rebuild.
func beginEpochs(ctx context.Context, cfg config.Config, conn kafka.Config, topics kafka.Topics, store *dedupe.Redis, out io.Writer) error {
	report, err := store.Epochs(ctx)
	if err != nil {
		return judgeRedis(cfg, err)
	}
	state := "ready"
	if report.Forgotten() > 0 {
		spans, err := heldBy(ctx, conn, topics.Results())
		if err != nil {
			return judgeKafka(cfg, err)
		}
		history := report.Other+report.Refilling > 0
		for _, span := range spans {
			history = history || span.To > 0
		}
		if history {
			state = "left to the rebuild: redis has forgotten what " + topics.Results() + " tells. Workers refill it by themselves, `worker rebuild` does it now"
		} else if err := store.FirstEpochs(ctx); err != nil {
			return judgeRedis(cfg, err)
		}
	}
	_, _ = fmt.Fprintf(out, "redis  %-40s %s\n", "epochs", state)
	return nil
}

// heldBy asks what a topic holds, again while its leaders are not known: it may have been created a moment ago.
func heldBy(ctx context.Context, conn kafka.Config, topic string) ([]kafka.Span, error) {
	for {
		spans, err := kafka.Spans(ctx, conn, topic, time.Time{})
		if _, away := errors.AsType[*kafka.UnreachableError](err); !away {
			return spans, err
		}
		if pauseFor(ctx, leaderPause) != nil {
			return nil, err
		}
	}
}
