package consumer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"refundworker/internal/kafka"
)

const (
	// missingLooks is how often in a row a topic has to be missing before Run gives up: metadata of a new topic reach
	// the brokers one after the other.
	missingLooks = 3
	lookPause    = time.Second
	// joinGrace is how long a stop waits for a join that is under way. A cut join leaves a dead member in the group
	// until its session ends.
	joinGrace = time.Second
)

// awaitTopics waits until the brokers answer and returns nil when every topic exists. Joining with a missing topic
// would give every member an empty assignment for all topics (segmentio/kafka-go issue 1090).
func (c *Consumer) awaitTopics(ctx context.Context, client *kafkago.Client) error {
	for missing := 0; ; {
		counts, err := kafka.Partitions(ctx, client, c.cfg.Topics)
		if err == nil {
			c.mu.Lock()
			c.counts = counts
			c.mu.Unlock()
			return nil
		}
		if _, unfit := errors.AsType[*kafka.TopicsError](err); unfit {
			if missing++; missing == missingLooks {
				return err
			}
		} else if missing = 0; ctx.Err() == nil && c.trouble.pass() {
			c.log.Warn().Err(err).Stringer("brokers", c.conn).Msg("waiting for the brokers")
		}
		if err := wait(ctx, lookPause); err != nil {
			return err
		}
	}
}

func (c *Consumer) join(lines *lines) (*kafkago.ConsumerGroup, error) {
	dialer := c.conn.Dialer()
	dialer.DialFunc = lines.dialFunc(dialer.DialFunc)
	group, err := kafkago.NewConsumerGroup(kafkago.ConsumerGroupConfig{
		ID:                c.cfg.GroupID,
		Brokers:           c.conn.Brokers,
		Dialer:            dialer,
		Topics:            c.cfg.Topics,
		HeartbeatInterval: c.cfg.HeartbeatInterval,
		SessionTimeout:    c.cfg.SessionTimeout,
		RebalanceTimeout:  c.cfg.RebalanceTimeout,
		JoinGroupBackoff:  c.cfg.JoinGroupBackoff,
		// LastOffset would lose what is produced before the first commit (segmentio/kafka-go issue 1319).
		StartOffset: kafkago.FirstOffset,
		// The driver's watcher rebalances without end when a topic is missing (issue 1314); see watch.
		WatchPartitionChanges: false,
	})
	if err != nil {
		return nil, fmt.Errorf("make group member: %w", err)
	}
	return group, nil
}

// attend starts live in every generation until ctx ends. Next has to be called at once again, also after an error:
// the driver goes on joining by itself and only reports.
func (c *Consumer) attend(ctx context.Context, group *kafkago.ConsumerGroup, live func(context.Context, *kafkago.Generation)) {
	for {
		gen, err := group.Next(ctx)
		switch {
		case err == nil:
			// All work of a generation hangs on this one function: when it returns, the generation ends.
			gen.Start(func(ended context.Context) { live(ended, gen) })
		case ctx.Err() != nil:
			return
		default:
			c.metrics.joinErrors.WithLabelValues(c.cfg.GroupID).Inc()
			if c.trouble.pass() {
				c.log.Warn().Err(err).Msg("could not join the group; trying again")
			}
		}
	}
}

// leave ends the current generation, which drains, and leaves the group, so that the others take over at once. A
// join under way cannot be cancelled; its connections are cut after a moment.
func (c *Consumer) leave(stop context.Context, group *kafkago.ConsumerGroup, lines *lines) {
	patience := c.cfg.StopTimeout
	if !c.holding() {
		patience = min(joinGrace, patience)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := group.Close(); err != nil {
			c.log.Warn().Err(err).Msg("could not leave the group")
		}
	}()
	grace := time.NewTimer(patience)
	defer grace.Stop()
	select {
	case <-done:
		return
	case <-grace.C:
	case <-stop.Done():
	}
	lines.cut()
	<-done
}

// lines are the open connections of a group member. kafka-go gives no other way to interrupt a request under way.
type lines struct {
	mu     sync.Mutex
	open   map[*line]struct{}
	closed bool
}

type line struct {
	net.Conn
	lines *lines
}

// Close closes the connection and forgets it.
func (l *line) Close() error {
	l.lines.mu.Lock()
	delete(l.lines.open, l)
	l.lines.mu.Unlock()
	return l.Conn.Close()
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

func (l *lines) dialFunc(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.closed {
			return nil, errors.Join(net.ErrClosed, conn.Close())
		}
		if l.open == nil {
			l.open = make(map[*line]struct{})
		}
		kept := &line{Conn: conn, lines: l}
		l.open[kept] = struct{}{}
		return kept, nil
	}
}

// cut closes every connection and refuses new ones.
func (l *lines) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for kept := range l.open {
		// Closing the inner connection: the outer one would want the lock, and TLS would first take its leave of a peer
		// that may not read any more. The error is the interruption itself.
		inner := kept.Conn
		if secure, ok := inner.(*tls.Conn); ok {
			inner = secure.NetConn()
		}
		_ = inner.Close()
	}
}
