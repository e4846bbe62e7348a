package dedupe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"refundworker/refund"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/rs/zerolog"
)

// Timeouts of the driver. Its own defaults let a dead server answer after seconds and ignore the context's deadline
// while reading. A script is over in well under a millisecond, so 200 ms without an answer is a server in trouble.
const (
	dialTimeout = 500 * time.Millisecond
	ioTimeout   = 200 * time.Millisecond
	// One repeat by the driver heals a connection that was cut; scripts answer a repeat as they did the first time.
	driverRetries = 1
	bufferSize    = 16 << 10
)

// Redis is the store that the fleet shares. Its methods may be called concurrently. Every error about a Redis that did
// not answer, or answered that it cannot, wraps refund.ErrStoreUnavailable; the same call, with the same token, may be
// repeated until it succeeds.
type Redis struct {
	client  redis.UniversalClient
	cfg     Config
	keys    keys
	scripts scripts
	log     zerolog.Logger
	metrics *Metrics
	batches batcher
}

var _ backend = (*Redis)(nil)

// New prepares a store; it connects to nothing. The error is the configuration's.
func New(cfg Config, log zerolog.Logger, m *Metrics) (*Redis, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("dedupe configuration: %w", err)
	}
	cfg = cfg.withDefaults()
	return newRedis(cfg, clientOptions(cfg), log, m)
}

// silenceDriver keeps go-redis from writing to standard error beside our log. What it would say there (failed dials)
// comes back from the calls as errors.
var silenceDriver = sync.OnceFunc(func() { redis.SetLogger(silence{}) }) //nolint:gochecknoglobals // the driver's logger is global

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

func newRedis(cfg Config, opts *redis.UniversalOptions, log zerolog.Logger, m *Metrics) (*Redis, error) {
	silenceDriver()
	loaded, err := loadScripts()
	if err != nil {
		return nil, err
	}
	r := &Redis{
		client: redis.NewUniversalClient(opts), cfg: cfg, keys: keys{prefix: cfg.KeyPrefix}, scripts: loaded, log: log, metrics: m,
	}
	r.batches.sendFunc = r.sendAll
	return r, nil
}

// clientOptions leaves every read on the primary: a replica may not know yet who has claimed what.
func clientOptions(cfg Config) *redis.UniversalOptions {
	opts := &redis.UniversalOptions{
		Addrs: cfg.Addresses, MasterName: cfg.MasterName,
		SentinelUsername: cfg.SentinelUsername, SentinelPassword: cfg.SentinelPassword,
		DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: ioTimeout, WriteTimeout: ioTimeout, ContextTimeoutEnabled: true,
		MaxRetries: driverRetries, MinRetryBackoff: 8 * time.Millisecond, MaxRetryBackoff: 64 * time.Millisecond,
		PoolSize: cfg.PoolSize, PoolTimeout: time.Second, ReadBufferSize: bufferSize, WriteBufferSize: bufferSize,
		// Every call is a pipeline; the driver's own pool for pipelines stops at 10 connections.
		PipelinePoolSize:         -1,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if cfg.PasswordFunc != nil {
		opts.CredentialsProviderContext = func(context.Context) (string, string, error) { return cfg.Username, cfg.PasswordFunc(), nil }
	}
	if cfg.TLSFunc != nil {
		// As the driver itself dials, only that its TLS settings are fixed when the client is made.
		opts.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
			dialer := &net.Dialer{
				Timeout: dialTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3},
			}
			return (&tls.Dialer{NetDialer: dialer, Config: cfg.TLSFunc()}).DialContext(ctx, network, address)
		}
	}
	return opts
}

// Claim asks for a request and its payment; see refund.ClaimRequest. A taken-over record's Attempt counts the lapsed
// pass, which may have reached the gateway. A success whose record is gone and whose payment still knows it is a
// ClaimTombstone with an empty Record. An error that wraps ErrRequest is the caller's.
func (r *Redis) Claim(ctx context.Context, req refund.ClaimRequest) (refund.Claim, error) {
	started := time.Now()
	answer, err := refund.Claim{}, validateClaim(req, r.cfg.MaxLease)
	if err == nil {
		answer, err = claim(ctx, r, req)
	}
	r.metrics.observe(callClaim, claimLabel(answer.Status), started, err)
	return answer, err
}

// Settle stores a terminal outcome; see refund.SettleRequest. A success is only taken with Proof.
func (r *Redis) Settle(ctx context.Context, req refund.SettleRequest) (refund.Settled, error) {
	started := time.Now()
	answer, err := refund.Settled{}, validateSettle(req)
	if err == nil {
		answer, err = settle(ctx, r, req)
	}
	r.metrics.observe(callSettle, storedLabel(answer.Stored), started, err)
	return answer, err
}

// Wait puts a claimed request aside; see refund.WaitRequest. Its Hop must be above the claimed record's.
func (r *Redis) Wait(ctx context.Context, req refund.WaitRequest) (refund.Waited, error) {
	started := time.Now()
	answer, err := refund.Waited{}, validateWait(req)
	if err == nil {
		answer, err = wait(ctx, r, req)
	}
	r.metrics.observe(callWait, storedLabel(answer.Stored), started, err)
	return answer, err
}

// Release gives a claim back; what the token does not own stays as it is, without an error.
func (r *Redis) Release(ctx context.Context, req refund.ReleaseRequest) error {
	started := time.Now()
	err := validateRelease(req)
	if err == nil {
		err = release(ctx, r, req)
	}
	r.metrics.observe(callRelease, answerStored, started, err)
	return err
}

// Ping asks every primary for a sign of life.
func (r *Redis) Ping(ctx context.Context) error {
	return r.eachPrimary(ctx, func(ctx context.Context, node *redis.Client) error {
		if err := node.Ping(ctx).Err(); err != nil {
			return fmt.Errorf("ping redis: %w", unavailable(err))
		}
		return nil
	})
}

// Close ends all connections. Calls that are running fail.
func (r *Redis) Close() error {
	if err := r.client.Close(); err != nil {
		return fmt.Errorf("close redis: %w", err)
	}
	return nil
}

// eachPrimary calls do for every primary of a cluster, concurrently, or for the one there is.
func (r *Redis) eachPrimary(ctx context.Context, do func(context.Context, *redis.Client) error) error {
	switch client := r.client.(type) {
	case *redis.ClusterClient:
		var mu sync.Mutex
		var errs []error
		if err := client.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			err := do(ctx, node)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			return nil
		}); err != nil {
			return fmt.Errorf("find the primaries: %w", unavailable(err))
		}
		return errors.Join(errs...)
	case *redis.Client:
		return do(ctx, client)
	}
	return fmt.Errorf("find the primaries: unexpected client %T", r.client)
}

func unavailable(err error) error {
	if errors.Is(err, refund.ErrStoreUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", refund.ErrStoreUnavailable, err)
}

func (r *Redis) exchange(ctx context.Context, payment *paymentCall, record *recordCall) (paymentAnswer, recordAnswer, error) {
	var pay paymentAnswer
	var rec recordAnswer
	calls := make([]scriptCall, 0, 2)
	if payment != nil {
		calls = append(calls, r.paymentScript(*payment))
	}
	if record != nil {
		calls = append(calls, r.recordScript(*record))
	}
	replies, err := r.batches.do(ctx, calls)
	if err != nil {
		return pay, rec, unavailable(err)
	}
	if payment != nil {
		if pay, err = readPayment(replies[0]); err != nil {
			return pay, rec, err
		}
	}
	if record != nil {
		rec, err = readRecord(*record, replies[len(replies)-1])
	}
	return pay, rec, err
}

// load gives the scripts to the primaries alone: a replica that is away must not keep them from those.
func (r *Redis) load(ctx context.Context) error {
	return r.eachPrimary(ctx, func(ctx context.Context, node *redis.Client) error {
		for _, script := range r.scripts.all() {
			if err := script.Load(ctx, node).Err(); err != nil {
				return fmt.Errorf("load scripts: %w", err)
			}
		}
		return nil
	})
}

func readPayment(reply []string) (paymentAnswer, error) {
	if len(reply) == 1 {
		return paymentAnswer{found: reply[0]}, nil
	}
	if len(reply) != 4 {
		return paymentAnswer{}, fmt.Errorf("%w: a payment's answer of %d fields", ErrCorrupt, len(reply))
	}
	ms, err := strconv.ParseInt(reply[1], 10, 64)
	if err != nil {
		return paymentAnswer{}, fmt.Errorf("%w: payment lease: %w", ErrCorrupt, err)
	}
	return paymentAnswer{
		found: reply[0], retryIn: time.Duration(ms) * time.Millisecond, exceeded: reply[2] == "1", others: reply[3] == "1",
	}, nil
}

func readRecord(call recordCall, reply []string) (recordAnswer, error) {
	switch {
	case len(reply) == 1 && reply[0] == foundForgot:
		return recordAnswer{found: foundForgot}, nil
	case call.claim != nil:
		return readClaim(reply)
	case call.settle != nil:
		return readSettle(reply)
	case call.look != nil:
		return readLook(reply)
	}
	if len(reply) != 1 {
		return recordAnswer{}, errLength(reply)
	}
	return recordAnswer{found: reply[0]}, nil
}

func errLength(reply []string) error {
	return fmt.Errorf("%w: a record's answer of %d fields", ErrCorrupt, len(reply))
}

func readClaim(reply []string) (recordAnswer, error) {
	if len(reply) != 7 {
		return recordAnswer{}, errLength(reply)
	}
	a := recordAnswer{found: reply[0]}
	began, beganErr := strconv.ParseInt(reply[5], 10, 64)
	since, sinceErr := strconv.ParseInt(reply[6], 10, 64)
	now, nowErr := strconv.ParseInt(reply[1], 10, 64)
	left, leftErr := strconv.ParseInt(reply[2], 10, 64)
	if err := errors.Join(nowErr, leftErr, beganErr, sinceErr); err != nil {
		return a, fmt.Errorf("%w: claim times: %w", ErrCorrupt, err)
	}
	a.now, a.retryIn = fromMillis(now), time.Duration(left)*time.Millisecond
	a.epoch = refund.Epoch{Began: fromMillis(began), Since: fromMillis(since)}
	err := a.readStored(reply[3], reply[4])
	return a, err
}

func readSettle(reply []string) (recordAnswer, error) {
	if len(reply) != 3 {
		return recordAnswer{}, errLength(reply)
	}
	a := recordAnswer{found: reply[0]}
	err := a.readStored(reply[1], reply[2])
	return a, err
}
