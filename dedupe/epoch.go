package dedupe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"refundworker/refund"

	"github.com/redis/go-redis/v9"
)

// ErrForgot is wrapped, beside refund.ErrStoreUnavailable, when Redis answers and may not be believed: a bucket's epoch
// is missing (a flush, a restored or an empty server), or was written for another server (a restart, a failover, a moved
// slot), or a refill is under way. Waiting mends it, as soon as somebody refills.
var ErrForgot = errors.New("redis has forgotten what it acknowledged")

// An epoch's key holds one of
//
//	e <replication ID> <began> <since> <first>     the bucket may be believed on that server
//	r <refill> <replication ID> <what was there>   a refill has begun on that server, and what was there before it
//
// Times are milliseconds. The replication ID is noReplicationID where the server does not tell it: presence is all that
// counts there. Redis takes a new ID at every start as a primary and at every promotion, which are the moments at which
// it can have lost acknowledged writes, and carries it along to nothing else.
const (
	stateEpoch      = "e"
	stateRefill     = "r"
	noReplicationID = "-"
)

// epoch is a parsed epoch key.
type epoch struct {
	state, server string
	began, since  int64
	first         bool
	// refill and before belong to a refill under way: its name, and the raw value it found.
	refill, before string
}

func parseEpoch(raw string) epoch {
	words := strings.SplitN(raw, " ", 5)
	switch {
	case len(words) == 5 && words[0] == stateEpoch && (words[4] == "0" || words[4] == "1"):
		began, beganErr := strconv.ParseInt(words[2], 10, 64)
		since, sinceErr := strconv.ParseInt(words[3], 10, 64)
		if errors.Join(beganErr, sinceErr) == nil {
			return epoch{state: stateEpoch, server: words[1], began: began, since: since, first: words[4] == "1"}
		}
	case len(words) >= 3 && words[0] == stateRefill:
		_, before, _ := strings.Cut(strings.TrimPrefix(raw, words[0]+" "+words[1]+" "), " ")
		return epoch{state: stateRefill, refill: words[1], server: words[2], before: before}
	}
	return epoch{}
}

// firstEpoch is what Init writes: nothing was ever forgotten.
func firstEpoch(server string, now time.Time) string {
	return strings.Join([]string{stateEpoch, server, strconv.FormatInt(now.UnixMilli(), 10), "0", "1"}, " ")
}

// sight is a bucket's epoch as it was seen, and the server it was seen on.
type sight struct{ raw, server string }

// current is the scripts' own judgement in Go.
func (s sight) current() bool {
	e := parseEpoch(s.raw)
	return e.state == stateEpoch && (s.server == noReplicationID || s.server == e.server)
}

// EpochReport counts the buckets by what their epochs say.
type EpochReport struct {
	// Current buckets may be believed. Missing ones have no epoch, Other ones that of another server, and Refilling ones
	// are being refilled.
	Current, Missing, Other, Refilling int
	// Untold: a server does not tell its replication ID, so that only Missing can be noticed there.
	Untold bool
}

// Forgotten is how many buckets may not be believed.
func (e EpochReport) Forgotten() int { return e.Missing + e.Other + e.Refilling }

// Epochs looks at every bucket's epoch: one pipeline for each primary.
func (r *Redis) Epochs(ctx context.Context) (EpochReport, error) {
	seen, err := r.look(ctx)
	if err != nil {
		return EpochReport{}, err
	}
	return reportOf(seen), nil
}

func reportOf(seen []sight) EpochReport {
	var report EpochReport
	for _, s := range seen {
		report.Untold = report.Untold || s.server == noReplicationID
		switch e := parseEpoch(s.raw); {
		case s.current():
			report.Current++
		case s.raw == "":
			report.Missing++
		case e.state == stateRefill:
			report.Refilling++
		default:
			report.Other++
		}
	}
	return report
}

// Remembers is nil when every bucket may be believed. The error wraps refund.ErrStoreUnavailable, and ErrForgot when
// Redis answered.
func (r *Redis) Remembers(ctx context.Context) error {
	report, err := r.Epochs(ctx)
	if err != nil {
		return err
	}
	r.metrics.epochs(report)
	if report.Forgotten() == 0 {
		return nil
	}
	return fmt.Errorf("%w: of %d buckets %d have no epoch, %d that of another server, %d are being refilled",
		unavailable(ErrForgot), bucketCount, report.Missing, report.Other, report.Refilling)
}

// pieceSize bounds how much one pipeline brings, so that other clients are not held up for long, and the answer comes
// well within ioTimeout.
const pieceSize = 32

// Beat marks the time in every bucket that has not forgotten. After a failover or a restart the newest mark that is
// still there says up to when nothing is missing: a server's writes reach its append-only file and its replicas in
// order. Where no replication ID is told, nothing would ever read the marks, and none are written.
func (r *Redis) Beat(ctx context.Context) error {
	seen, err := r.look(ctx)
	if err != nil {
		return err
	}
	var calls []scriptCall
	for b := range uint64(bucketCount) {
		if seen[b].current() && seen[b].server != noReplicationID {
			calls = append(calls, scriptCall{r.scripts.epochBeat, []string{r.keys.beat(b), r.keys.epoch(b)}, nil})
		}
	}
	_, err = r.runAll(ctx, calls)
	return err
}

// LastBeat is the time of the newest mark of the fleet in one bucket that stands for all; zero when there is none.
func (r *Redis) LastBeat(ctx context.Context) (time.Time, error) {
	ms, err := r.client.Get(ctx, r.keys.beat(0)).Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return time.Time{}, fmt.Errorf("read the last beat: %w", unavailable(err))
	}
	return fromMillis(ms), nil
}

// FirstEpochs begins the first epoch of every bucket that has none: nothing was ever forgotten. It is right only where
// there is no history, and wipes out the sign of a flush elsewhere.
func (r *Redis) FirstEpochs(ctx context.Context) error {
	seen, err := r.look(ctx)
	if err != nil {
		return err
	}
	var missing []uint64
	for b := range uint64(bucketCount) {
		if seen[b].raw == "" {
			missing = append(missing, b)
		}
	}
	for piece := range slices.Chunk(missing, pieceSize) {
		pipe := r.client.Pipeline()
		for _, b := range piece {
			pipe.SetNX(ctx, r.keys.epoch(b), firstEpoch(seen[b].server, time.Now()), 0)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("begin the first epoch: %w", unavailable(err))
		}
	}
	return nil
}

// look reads all epochs. Every value is read from the primary whose replication ID stands beside it, so that a failover
// between the two questions cannot pair a value with the wrong server.
func (r *Redis) look(ctx context.Context) ([]sight, error) {
	seen := make([]sight, bucketCount)
	nodes, err := r.byPrimary(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at the epochs: %w", unavailable(err))
	}
	var wait sync.WaitGroup
	errs := make([]error, 0, len(nodes))
	var mu sync.Mutex
	for node, buckets := range nodes {
		wait.Go(func() {
			for piece := range slices.Chunk(buckets, pieceSize) {
				if err := r.lookAt(ctx, node, piece, seen); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, fmt.Errorf("look at the epochs of %s: %w", node.Options().Addr, unavailable(err)))
					return
				}
			}
		})
	}
	wait.Wait()
	return seen, errors.Join(errs...)
}

func (r *Redis) lookAt(ctx context.Context, node *redis.Client, buckets []uint64, seen []sight) error {
	pipe := node.Pipeline()
	info := pipe.Info(ctx, "replication")
	values := make([]*redis.StringCmd, 0, len(buckets))
	for _, b := range buckets {
		values = append(values, pipe.Get(ctx, r.keys.epoch(b)))
	}
	if _, err := pipe.Exec(ctx); err != nil && !isReply(err) {
		return err
	}
	server := noReplicationID
	switch text, err := info.Result(); {
	case err == nil:
		if id := replicationID(text); id != "" {
			server = id
		}
	case !isReply(err):
		return err
	}
	for i, b := range buckets {
		raw, err := values[i].Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		seen[b] = sight{raw: raw, server: server}
	}
	return nil
}

func replicationID(info string) string {
	for line := range strings.Lines(info) {
		if id, found := strings.CutPrefix(line, "master_replid:"); found {
			return strings.TrimSpace(id)
		}
	}
	return ""
}

// byPrimary groups the buckets by the primary that holds them.
func (r *Redis) byPrimary(ctx context.Context) (map[*redis.Client][]uint64, error) {
	nodes := make(map[*redis.Client][]uint64)
	for b := range uint64(bucketCount) {
		var node *redis.Client
		switch client := r.client.(type) {
		case *redis.Client:
			node = client
		case *redis.ClusterClient:
			var err error
			if node, err = client.MasterForKey(ctx, r.keys.epoch(b)); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("unexpected client %T", r.client)
		}
		nodes[node] = append(nodes[node], b)
	}
	return nodes, nil
}

// runAll runs any number of scripts, a piece at a time.
func (r *Redis) runAll(ctx context.Context, calls []scriptCall) ([][]string, error) {
	replies := make([][]string, 0, len(calls))
	for len(calls) > 0 {
		n := min(pieceSize, len(calls))
		some, err := r.batches.do(ctx, calls[:n])
		if err != nil {
			return nil, unavailable(err)
		}
		replies, calls = append(replies, some...), calls[n:]
	}
	return replies, nil
}

// forgot gives back what the half that still remembers has granted, as far as that is possible, and is the claim's
// error. What cannot be given back ends by its lease.
func forgot(ctx context.Context, b backend, req refund.ClaimRequest) error {
	back := refund.ReleaseRequest{RequestID: req.RequestID, Token: req.Token, Payment: req.Payment}
	return errors.Join(unavailable(ErrForgot), release(ctx, b, back))
}
