package dedupe

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The values that zero fields of a Config stand for.
const (
	DefaultKeyPrefix    = "refund"
	DefaultMaxLease     = 5 * time.Minute
	DefaultOutcomeTTL   = 720 * time.Hour
	DefaultTombstoneTTL = 9600 * time.Hour
	DefaultPoolSize     = 64
)

// Config says where Redis is and how long things are kept. NewMemory uses only MaxLease and the two TTLs.
type Config struct {
	// Addresses are host:port pairs; at least one. One is a single server, several are a Redis Cluster's seeds, or the
	// Sentinels when MasterName is set.
	Addresses []string
	// MasterName is the Sentinel name of the primary. Empty: no Sentinel.
	MasterName string
	// Username authenticates to Redis together with the password. Empty: the default user. It is never logged.
	Username string
	// PasswordFunc is asked at every dial for the password, so that it can change while the process runs. Nil: no login.
	PasswordFunc func() string
	// SentinelUsername and SentinelPassword authenticate to the Sentinels, whose users are not those of Redis. Empty:
	// none asked for. They are never logged.
	SentinelUsername, SentinelPassword string
	// TLSFunc is asked likewise for what the connection is wrapped in, to Redis and to the Sentinels. Nil:
	// plaintext. An empty ServerName is taken from
	// each server's address.
	TLSFunc func() *tls.Config
	// KeyPrefix starts every key; it may not contain braces or spaces. Empty: DefaultKeyPrefix.
	KeyPrefix string
	// MaxLease is the longest lease a claim may ask for, and the longest a stored lease counts for when the server's
	// clock has jumped back. At least 1 ms. Zero: DefaultMaxLease.
	MaxLease time.Duration
	// OutcomeTTL is how long an outcome's bytes can be published again. At least 1 ms. Zero: DefaultOutcomeTTL.
	OutcomeTTL time.Duration
	// TombstoneTTL is how long a request ID is known at all, counted from the record's last change; it may not be
	// shorter than OutcomeTTL. Zero: DefaultTombstoneTTL.
	TombstoneTTL time.Duration
	// PoolSize is the most connections held to each Redis server. Zero: DefaultPoolSize.
	PoolSize int
}

// Validate reports every fault at once, each with its field's name as a configuration file spells it.
func (c Config) Validate() error {
	var errs []error
	if len(c.Addresses) == 0 {
		errs = append(errs, errors.New("addresses: at least one is needed"))
	}
	for _, address := range c.Addresses {
		if !strings.Contains(address, ":") {
			errs = append(errs, fmt.Errorf("addresses: %q is not host:port", address))
		}
	}
	if strings.ContainsAny(c.KeyPrefix, "{} \t\r\n") {
		errs = append(errs, fmt.Errorf("key_prefix: %q contains a brace or a space, which would break the bucket tag", c.KeyPrefix))
	}
	if c.PoolSize < 0 {
		errs = append(errs, fmt.Errorf("pool_size: %d is negative", c.PoolSize))
	}
	return errors.Join(append(errs, c.validateTimes())...)
}

func (c Config) validateTimes() error {
	var errs []error
	filled := c.withDefaults()
	for _, field := range []struct {
		name  string
		value time.Duration
	}{{"max_lease", filled.MaxLease}, {"outcome_ttl", filled.OutcomeTTL}, {"tombstone_ttl", filled.TombstoneTTL}} {
		if field.value < time.Millisecond {
			errs = append(errs, fmt.Errorf("%s: %s is below 1ms", field.name, field.value))
		}
	}
	if filled.TombstoneTTL < filled.OutcomeTTL {
		errs = append(errs, fmt.Errorf("tombstone_ttl: %s is shorter than outcome_ttl %s: a request would be forgotten before its outcome",
			filled.TombstoneTTL, filled.OutcomeTTL))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	orDuration := func(value *time.Duration, fallback time.Duration) {
		if *value == 0 {
			*value = fallback
		}
	}
	orDuration(&c.MaxLease, DefaultMaxLease)
	orDuration(&c.OutcomeTTL, DefaultOutcomeTTL)
	orDuration(&c.TombstoneTTL, DefaultTombstoneTTL)
	if c.KeyPrefix == "" {
		c.KeyPrefix = DefaultKeyPrefix
	}
	if c.PoolSize == 0 {
		c.PoolSize = DefaultPoolSize
	}
	return c
}
