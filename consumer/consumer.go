package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	kafkago "github.com/segmentio/kafka-go"

	"refundworker/internal/kafka"
	"refundworker/refund"
)

// Handler reads one message and says what has to be done. It is called in the order of the log, and must not block or do
// anything yet. The work may be called again after a crash or a rebalance, also while a detached call of it still runs.
//
// The context of the work ends with ErrRevoked as its cause when the partition is taken away or the process stops. A work
// that waits for something has to give up then; what must not be torn apart belongs on a context of its own.
type Handler func(m refund.Message) refund.Work

// ErrRevoked is the cause of a work's context that ended with its generation.
var ErrRevoked = errors.New("partition revoked")

// ErrNotReady is wrapped by Ready.
var ErrNotReady = errors.New("consumer not ready")

// ErrStillRunning is wrapped by Run when works had not returned within StopTimeout.
var ErrStillRunning = errors.New("works still running")

// askTimeout bounds one question to the cluster: which topics are there, where do the logs end.
const askTimeout = 5 * time.Second

// state is what a consumer is about; its text goes into Ready's error.
type state string

const (
	stateStopped state = "stopped"
	stateWaiting state = "waiting for the brokers"
	stateJoining state = "joining the group"
	stateHolding state = "holding an assignment"
)

// Consumer is one member of one consumer group.
type Consumer struct {
	cfg      Config
	conn     kafka.Config
	executor *Executor
	handler  Handler
	log      zerolog.Logger
	metrics  *Metrics

	// trouble paces the lines about brokers that are away.
	trouble pacer
	// missing paces the alarm about topics that have gone. It has its own pace: the fetches of such a topic are in
	// trouble too, and would take every turn.
	missing pacer
	// background counts what outlives a generation: detached works and readers that finish their last fetch.
	background sync.WaitGroup

	mu    sync.Mutex
	state state
	// counts are the partitions per topic that the group is assumed to share; 0 for a topic that went missing.
	counts map[string]int
}

// New makes a consumer; Run connects it. Its works run on the executor, beside those of others.
func New(cfg Config, conn kafka.Config, executor *Executor, handler Handler, log zerolog.Logger, metrics *Metrics) (*Consumer, error) {
	if err := errors.Join(cfg.Validate(), conn.Validate()); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	metrics.prepare(cfg)
	return &Consumer{
		cfg:      cfg,
		conn:     conn,
		executor: executor,
		handler:  handler,
		log:      log.With().Str("group", cfg.GroupID).Logger(),
		metrics:  metrics,
		trouble:  pacer{interval: cfg.ReportInterval},
		missing:  pacer{interval: cfg.ReportInterval},
		state:    stateStopped,
	}, nil
}

// Run reads until ctx ends, and returns nil after a clean stop: the last offsets are committed, the group is left,
// and no work runs any more. It waits for brokers that are away. It returns a *kafka.TopicsError when a topic is
// missing, and an error that wraps ErrStillRunning when works outlast StopTimeout. It must not run twice at a time.
func (c *Consumer) Run(ctx context.Context) error {
	defer c.become(stateStopped)
	c.executor.attach()
	defer c.executor.detach()
	transport := c.conn.Transport(c.cfg.Topics...)
	defer transport.CloseIdleConnections()
	client := c.conn.Client(transport, askTimeout)

	c.become(stateWaiting)
	if err := c.awaitTopics(ctx, client); err != nil {
		if ctx.Err() != nil {
			return nil // the process stops while it still waits for the brokers: nothing is left undone
		}
		return fmt.Errorf("start consumer %s: %w", c.cfg.GroupID, err)
	}

	c.become(stateJoining)
	base := context.WithoutCancel(ctx)
	lines := new(lines)
	group, err := c.join(lines)
	if err != nil {
		return fmt.Errorf("start consumer %s: %w", c.cfg.GroupID, err)
	}
	c.attend(ctx, group, func(ended context.Context, gen *kafkago.Generation) { c.live(ended, base, client, gen) })

	stop, cancel := context.WithTimeout(base, c.cfg.StopTimeout)
	defer cancel()
	c.leave(stop, group, lines)
	return c.awaitDetached(stop)
}

// Ready returns nil while the consumer holds an assignment, also an empty one, and an error that wraps ErrNotReady
// and says what it is waiting for otherwise.
func (c *Consumer) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == stateHolding {
		return nil
	}
	return fmt.Errorf("%w: group %s is %s", ErrNotReady, c.cfg.GroupID, c.state)
}

func (c *Consumer) become(s state) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = s
}

func (c *Consumer) holding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == stateHolding
}

// awaitDetached waits for works that outlived their generation: what they sent to a gateway is worth an answer.
func (c *Consumer) awaitDetached(stop context.Context) error {
	done := make(chan struct{})
	go func() {
		c.background.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-stop.Done():
		return fmt.Errorf("stop consumer %s after %s: %w", c.cfg.GroupID, c.cfg.StopTimeout, ErrStillRunning)
	}
}
