package dedupe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	// ErrRemembers is returned by BeginRebuild when no bucket has forgotten anything.
	ErrRemembers = errors.New("redis has forgotten nothing")
	// ErrRebuilding is returned by BeginRebuild when somebody else is at it.
	ErrRebuilding = errors.New("another process refills redis")
	// ErrOvertaken is returned by Keep and Finish when the refill is void: Redis forgot again, or the lock ran out and
	// somebody else has begun. Beginning anew is right.
	ErrOvertaken = errors.New("the refill was overtaken")
)

const (
	// lockTTL is how long a refill that died holds up the next one.
	lockTTL = 15 * time.Second
	// tailMargin is taken off the last beat. It covers the clocks: a beat is the store's time, an event has its
	// producer's or its broker's.
	tailMargin = 10 * time.Minute
	// sinceFor is how long an earlier epoch's doubts are carried into the next one.
	sinceFor = 24 * time.Hour
	// doneTTL lets the notes of a refill go that nobody ended.
	doneTTL = 24 * time.Hour
)

// Rebuild is one refill of the buckets that have forgotten, from the published outcomes. While it runs, no script
// claims, settles or puts aside anything in these buckets: nothing can come between what it reads and what it writes.
// Correctness does not rest on its lock, which only keeps two processes from doing the work twice: every bucket is
// marked with the refill's name, and gets its new epoch only if that very mark is still there, on the server it was
// written to. A flush takes the marks away, a failover changes the server.
type Rebuild struct {
	r     *Redis
	token string
	name  string
	// marks are the buckets that this refill gives a new epoch.
	marks map[uint64]sight
	since time.Time
	// resumable: the marks prove that what was restored under this name is still there.
	resumable bool
}

// BeginRebuild takes the lock and marks every bucket that has forgotten. With all, it is a refill of everything, also
// where nothing was forgotten: those buckets stay open meanwhile, and what their records know better stays. The error
// is ErrRemembers, ErrRebuilding, or wraps refund.ErrStoreUnavailable.
func (r *Redis) BeginRebuild(ctx context.Context, all bool) (*Rebuild, error) {
	b := &Rebuild{r: r, token: rand.Text(), marks: make(map[uint64]sight)}
	taken, err := r.client.SetNX(ctx, r.keys.lock(), b.token, lockTTL).Result()
	switch {
	case err != nil:
		return nil, fmt.Errorf("begin a refill: %w", unavailable(err))
	case !taken:
		return nil, ErrRebuilding
	}
	if err := b.begin(ctx, all); err != nil {
		return nil, errors.Join(err, b.Close(context.WithoutCancel(ctx)))
	}
	return b, nil
}

func (b *Rebuild) begin(ctx context.Context, all bool) error {
	seen, err := b.r.look(ctx)
	if err != nil {
		return err
	}
	stale := make(map[uint64]sight)
	for n, s := range seen {
		if !s.current() {
			stale[uint64(n)] = s
		}
	}
	if len(stale) == 0 && !all {
		return ErrRemembers
	}
	b.resume(stale)
	if err := b.mark(ctx, stale); err != nil {
		return err
	}
	if all {
		return nil
	}
	b.since, err = b.tail(ctx)
	return err
}

// resume takes up the refill of a process that died, if every bucket still carries its mark on the server it was set on:
// then nothing of what it restored can be missing. Otherwise the refill gets a name of its own.
func (b *Rebuild) resume(stale map[uint64]sight) {
	names := make(map[string]struct{})
	marked := true
	b.resumable = len(stale) > 0
	for _, s := range stale {
		e := parseEpoch(s.raw)
		names[e.refill] = struct{}{}
		marked = marked && e.state == stateRefill && e.server == s.server
		b.resumable = b.resumable && s.server != noReplicationID
	}
	b.name = rand.Text()
	if b.resumable && marked && len(names) == 1 {
		for name := range names {
			b.name = name
		}
	}
}

// mark puts the refill's name over what every forgotten bucket holds, and keeps that behind it.
func (b *Rebuild) mark(ctx context.Context, stale map[uint64]sight) error {
	swaps := make(map[uint64]swap, len(stale))
	for n, s := range stale {
		before := s.raw
		if e := parseEpoch(s.raw); e.state == stateRefill {
			before = e.before
		}
		raw := strings.Join([]string{stateRefill, b.name, s.server, before}, " ")
		b.marks[n] = sight{raw: raw, server: s.server}
		swaps[n] = swap{seen: s, next: raw}
	}
	return b.r.swapAll(ctx, swaps)
}

// tail is where the reading may begin: before the last beat that has survived, in the bucket that lost most. Without an
// epoch or without a beat nothing is known to have survived, and the time is zero.
func (b *Rebuild) tail(ctx context.Context) (time.Time, error) {
	pipe := b.r.client.Pipeline()
	beats := make([]*redis.StringCmd, 0, len(b.marks))
	for n, mark := range b.marks {
		if parseEpoch(parseEpoch(mark.raw).before).state != stateEpoch {
			return time.Time{}, nil
		}
		beats = append(beats, pipe.Get(ctx, b.r.keys.beat(n)))
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return time.Time{}, fmt.Errorf("read the beats: %w", unavailable(err))
	}
	var oldest int64
	for _, beat := range beats {
		ms, err := beat.Int64()
		if err != nil || ms == 0 {
			return time.Time{}, nil //nolint:nilerr // a beat that is missing or unreadable proves nothing
		}
		if oldest == 0 || ms < oldest {
			oldest = ms
		}
	}
	return fromMillis(oldest).Add(-tailMargin), nil
}

// Since is from when on published outcomes may be missing; zero means from the beginning.
func (b *Rebuild) Since() time.Time { return b.since }

// Buckets is how many buckets wait for this refill.
func (b *Rebuild) Buckets() int { return len(b.marks) }

// Concerns says whether an event about the request and its payment can restore anything that this refill is for.
func (b *Rebuild) Concerns(m Remembered) bool {
	if len(b.marks) == 0 {
		return true
	}
	_, record := b.marks[bucket(m.RequestID)]
	_, payment := b.marks[bucket(paymentName(m.Payment))]
	return record || payment
}

// notes is the key of Done. A refill of everything does not go on where one of the tail has stopped.
func (b *Rebuild) notes() string {
	key := b.r.keys.done(b.name)
	if b.since.IsZero() {
		key += ":all"
	}
	return key
}

// Done notes how far a partition has been restored, for the process that has to go on if this one dies.
func (b *Rebuild) Done(ctx context.Context, partition int, next int64) error {
	if !b.resumable {
		return nil
	}
	key := b.notes()
	pipe := b.r.client.Pipeline()
	pipe.HSet(ctx, key, strconv.Itoa(partition), next)
	pipe.PExpire(ctx, key, doneTTL)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("note the refill's progress: %w", unavailable(err))
	}
	return nil
}

// Progress is what Done has noted under this refill's name, by partition.
func (b *Rebuild) Progress(ctx context.Context) (map[int]int64, error) {
	if !b.resumable {
		return map[int]int64{}, nil
	}
	noted, err := b.r.client.HGetAll(ctx, b.notes()).Result()
	if err != nil {
		return nil, fmt.Errorf("read the refill's progress: %w", unavailable(err))
	}
	next := make(map[int]int64, len(noted))
	for partition, offset := range noted {
		p, partitionErr := strconv.Atoi(partition)
		n, offsetErr := strconv.ParseInt(offset, 10, 64)
		if err := errors.Join(partitionErr, offsetErr); err != nil {
			return nil, fmt.Errorf("%w: the refill's progress: %w", ErrCorrupt, err)
		}
		next[p] = n
	}
	return next, nil
}

// Keep renews the lock; it has to be called well within 15 s of the last time. ErrOvertaken when it is lost.
func (b *Rebuild) Keep(ctx context.Context) error {
	replies, err := b.r.batches.do(ctx, []scriptCall{{b.r.scripts.lockKeep, []string{b.r.keys.lock()}, []any{b.token, lockTTL.Milliseconds()}}})
	switch {
	case err != nil:
		return fmt.Errorf("keep the refill's lock: %w", unavailable(err))
	case replies[0][0] != foundDone:
		return fmt.Errorf("keep the refill's lock: %w", ErrOvertaken)
	}
	return nil
}

// Finish begins a new epoch in every marked bucket, and writes the layout where it went with the rest. ErrOvertaken
// when a mark is gone: some buckets may then be open, and those rightly.
func (b *Rebuild) Finish(ctx context.Context) error {
	if err := b.r.Init(ctx); err != nil {
		return err
	}
	swaps := make(map[uint64]swap, len(b.marks))
	for n, mark := range b.marks {
		since := millis(b.since)
		before := parseEpoch(parseEpoch(mark.raw).before)
		if recent := before.began > since-sinceFor.Milliseconds(); before.state == stateEpoch && !before.first && recent {
			// What the epoch before may have forgotten can still be on its way.
			since = min(since, before.since)
		}
		swaps[n] = swap{seen: mark, next: strings.Join([]string{stateEpoch, mark.server, "@", strconv.FormatInt(since, 10), "0"}, " ")}
	}
	if err := b.r.swapAll(ctx, swaps); err != nil {
		return err
	}
	if err := b.r.client.Del(ctx, b.notes()).Err(); err != nil {
		return fmt.Errorf("end the refill: %w", unavailable(err))
	}
	return nil
}

// Close gives the lock back. Buckets that are still marked stay closed until somebody refills them.
func (b *Rebuild) Close(ctx context.Context) error {
	if _, err := b.r.batches.do(ctx, []scriptCall{{b.r.scripts.lockKeep, []string{b.r.keys.lock()}, []any{b.token, 0}}}); err != nil {
		return fmt.Errorf("give the refill's lock back: %w", unavailable(err))
	}
	return nil
}

// swap is the change of a bucket's epoch from what was seen to the next value.
type swap struct {
	seen sight
	next string
}

// swapAll changes epochs by compare-and-set. ErrOvertaken, with the others changed, when one is not what was seen.
func (r *Redis) swapAll(ctx context.Context, swaps map[uint64]swap) error {
	calls := make([]scriptCall, 0, len(swaps))
	for n, s := range swaps {
		server := s.seen.server
		if server == noReplicationID {
			server = ""
		}
		calls = append(calls, scriptCall{r.scripts.epochSwap, []string{r.keys.epoch(n)}, []any{s.seen.raw, server, s.next}})
	}
	replies, err := r.runAll(ctx, calls)
	if err != nil {
		return fmt.Errorf("change the epochs: %w", err)
	}
	for _, reply := range replies {
		if reply[0] != foundDone {
			return fmt.Errorf("change the epochs: %w", ErrOvertaken)
		}
	}
	return nil
}
