package consumer

import (
	"errors"
	"fmt"
	"time"
)

// Config tunes one member of one consumer group. Zero durations and counts take the default.
type Config struct {
	// GroupID names the consumer group. Required.
	GroupID string
	// Topics are read by this group. At least one; all have to exist.
	Topics []string
	// Delay is the constant delay of a retry tier, 0 for a topic without one. nil: no topic has a delay. The head of a
	// delayed partition waits until its refund-due header, and never longer than the delay after it was first seen.
	Delay func(topic string) time.Duration

	// LowPriority lets the works of other consumers on the same executor go first, down to a share of 5 %.
	LowPriority bool

	// Drain is how long running works may take to finish when the generation ends. Default 2 s. Together with
	// HeartbeatInterval it must stay below SessionTimeout.
	Drain time.Duration
	// StopTimeout bounds what Run does after its context ended: leaving the group and waiting for detached works.
	// Default 15 s; not below Drain.
	StopTimeout time.Duration

	// SessionTimeout is how long the group waits for a dead member. Default 10 s; brokers refuse less than 6 s unless
	// told otherwise.
	SessionTimeout time.Duration
	// HeartbeatInterval is how late a member learns of a rebalance. Default 500 ms.
	HeartbeatInterval time.Duration
	// RebalanceTimeout is how long a rebalance waits for slow members. Default 30 s.
	RebalanceTimeout time.Duration
	// JoinGroupBackoff is the pause after a failed join. Default 500 ms.
	JoinGroupBackoff time.Duration

	// CommitInterval is how often done offsets are committed: what a crash repeats is what was done since. Default
	// 150 ms.
	CommitInterval time.Duration
	// MaxWait is how long a fetch waits at the broker for the first message, and a stop for a fetch. Default 800 ms. 1 s to 2 s is refused: the
	// driver asks for MaxWait less one second then, and polls without waiting.
	MaxWait time.Duration
	// QueueCapacity is how many fetched messages a partition holds in memory. Default 128.
	QueueCapacity int

	// Queue and QueueBytes are how many messages may be read and not done: they wait in their lanes, or are worked on. The
	// assigned partitions share them, and each may have 64 messages and 512 KiB in any case. Defaults 1024 and 16 MiB.
	Queue, QueueBytes int
	// Window is how far a partition is read ahead of its first message that is not done; what is done in it is repeated
	// after a crash. Default 8192.
	Window int64

	// RetryMin and RetryMax bound the pause before a message whose work failed is tried again; it doubles from one
	// to the other. Defaults 100 ms and 5 s.
	RetryMin, RetryMax time.Duration
	// WatchInterval is how often the log's ends are asked for: for the lag, for new partitions, and to notice a fetch
	// that hangs. Default 5 s.
	WatchInterval time.Duration
	// StallTimeout is how long a fetch may deliver nothing while the log holds more, before it is started anew. Default
	// 30 s.
	StallTimeout time.Duration
	// ReportInterval is the pause between two log lines about the same lasting trouble. Default 10 s.
	ReportInterval time.Duration
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		value *time.Duration
		unset time.Duration
	}{
		{&c.Drain, 2 * time.Second},
		{&c.StopTimeout, 15 * time.Second},
		{&c.SessionTimeout, 10 * time.Second},
		{&c.HeartbeatInterval, 500 * time.Millisecond},
		{&c.RebalanceTimeout, 30 * time.Second},
		{&c.JoinGroupBackoff, 500 * time.Millisecond},
		{&c.CommitInterval, 150 * time.Millisecond},
		{&c.MaxWait, 800 * time.Millisecond},
		{&c.RetryMin, 100 * time.Millisecond},
		{&c.RetryMax, 5 * time.Second},
		{&c.WatchInterval, 5 * time.Second},
		{&c.StallTimeout, 30 * time.Second},
		{&c.ReportInterval, 10 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.unset
		}
	}
	if c.QueueCapacity == 0 {
		c.QueueCapacity = 128
	}
	if c.Queue == 0 {
		c.Queue = 1024
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = 16 << 20
	}
	if c.Window == 0 {
		c.Window = 8192
	}
	return c
}

// Validate reports every fault at once, with the defaults in place.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf("consumer: "+format, args...)) }
	if c.GroupID == "" {
		fault("a group ID is needed")
	}
	if len(c.Topics) == 0 {
		fault("at least one topic is needed")
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"drain", c.Drain},
		{"stop timeout", c.StopTimeout},
		{"session timeout", c.SessionTimeout},
		{"heartbeat interval", c.HeartbeatInterval},
		{"rebalance timeout", c.RebalanceTimeout},
		{"join group backoff", c.JoinGroupBackoff},
		{"commit interval", c.CommitInterval},
		{"max wait", c.MaxWait},
		{"retry min", c.RetryMin},
		{"retry max", c.RetryMax},
		{"watch interval", c.WatchInterval},
		{"stall timeout", c.StallTimeout},
		{"report interval", c.ReportInterval},
	} {
		if d.value < time.Millisecond {
			fault("%s %s: must be at least 1 ms", d.name, d.value)
		}
	}
	if c.Drain+c.HeartbeatInterval >= c.SessionTimeout {
		fault("drain %s and heartbeat interval %s together must stay below the session timeout %s", c.Drain, c.HeartbeatInterval, c.SessionTimeout)
	}
	if c.Drain >= c.RebalanceTimeout {
		fault("drain %s must stay below the rebalance timeout %s", c.Drain, c.RebalanceTimeout)
	}
	if c.StopTimeout < c.Drain {
		fault("stop timeout %s must not be below drain %s", c.StopTimeout, c.Drain)
	}
	if c.MaxWait >= time.Second && c.MaxWait < 2*time.Second {
		fault("max wait %s: 1 s to 2 s makes the driver poll without waiting", c.MaxWait)
	}
	if c.RetryMax < c.RetryMin {
		fault("retry max %s must not be below retry min %s", c.RetryMax, c.RetryMin)
	}
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"queue", int64(c.Queue)},
		{"queue bytes", int64(c.QueueBytes)},
		{"window", c.Window},
	} {
		if n.value < 1 {
			fault("%s %d: at least 1 is needed", n.name, n.value)
		}
	}
	if c.QueueCapacity < 1 {
		fault("queue capacity %d: at least 1 is needed", c.QueueCapacity)
	}
	return errors.Join(errs...)
}
