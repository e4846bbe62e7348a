package producer

import (
	"errors"
	"fmt"
	"time"

	"refundworker/internal/kafka"
)

// Config tunes how events are written. The zero value is sound.
type Config struct {
	// WriteTimeout bounds one attempt of one batch, the brokers' replication included. Default 3 s; 0 is the default.
	WriteTimeout time.Duration
	// Attempts is how often a batch is sent before Publish returns its error; the waits between are 0.1, 0.4, 0.9, 1,
	// 1 … s. Default 5, which outlasts the second a moved partition leader can go unnoticed; 0 is the default, and
	// below 4 is refused for that reason.
	Attempts int
	// Linger is how long after a busy write the next one begins at the earliest, so that more events share its requests; a
	// lone event does not wait. Default 10 ms; 0 is the default. At most 1 s.
	Linger time.Duration
	// Batch is the largest number of events in a batch. Default 100; 0 is the default. The driver allocates 152 B for
	// each at once.
	Batch int
}

const (
	defaultWriteTimeout = 3 * time.Second
	defaultAttempts     = 5
	leastAttempts       = 4
	defaultLinger       = 10 * time.Millisecond
	defaultBatch        = 100

	leastPause = 100 * time.Millisecond
	mostPause  = time.Second

	// bulkBytes is the size up to which events share batches, and largeEvent the size from which one travels alone. The
	// brokers' max.message.bytes is a limit on the batch; every topic takes kafka.CommandBytes, so a shared batch always
	// fits, and only an event that is itself too large can be refused.
	bulkBytes  = kafka.CommandBytes - kafka.HeaderBytes
	largeEvent = bulkBytes / 2
	// soloBytes is where the driver itself refuses an event: well below the 100 MiB at which brokers drop connections.
	soloBytes = 64 << 20
)

// Validate reports every fault at once.
func (c Config) Validate() error {
	var errs []error
	if c.WriteTimeout < 0 {
		errs = append(errs, fmt.Errorf("producer write timeout %s: must not be negative", c.WriteTimeout))
	}
	if c.Attempts < 0 || (c.Attempts > 0 && c.Attempts < leastAttempts) {
		errs = append(errs, fmt.Errorf("producer attempts %d: must be at least %d", c.Attempts, leastAttempts))
	}
	if c.Linger < 0 || c.Linger > time.Second {
		errs = append(errs, fmt.Errorf("producer linger %s: must be 0 to 1 s", c.Linger))
	}
	if c.Batch < 0 {
		errs = append(errs, fmt.Errorf("producer batch %d: must not be negative", c.Batch))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.WriteTimeout == 0 {
		c.WriteTimeout = defaultWriteTimeout
	}
	if c.Attempts == 0 {
		c.Attempts = defaultAttempts
	}
	if c.Linger == 0 {
		c.Linger = defaultLinger
	}
	if c.Batch == 0 {
		c.Batch = defaultBatch
	}
	return c
}
