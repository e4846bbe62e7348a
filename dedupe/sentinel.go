package dedupe

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// ErrUnknownPrimary is wrapped when a Sentinel watches no primary of the configured name. No waiting mends it.
var ErrUnknownPrimary = errors.New("it knows no primary of this name")

// SentinelError is the failure of one Sentinel, so that it is not taken for one of the Redis behind it: the two have
// logins of their own.
type SentinelError struct {
	Address string
	Err     error
}

func (e *SentinelError) Error() string { return "sentinel " + e.Address + ": " + e.Err.Error() }

// Unwrap is the Sentinel's or the network's own error.
func (e *SentinelError) Unwrap() error { return e.Err }

// askSentinels asks every Sentinel for the primary. One that answers is enough, as it is for the driver; the others are
// warnings then. The error is that of a Sentinel that answered and refused, if there is one, because that is what a
// person can mend.
func (r *Redis) askSentinels(ctx context.Context) (warnings []string, err error) {
	answered := false
	for _, address := range r.cfg.Addresses {
		failed := r.askSentinel(ctx, address)
		if failed == nil {
			answered = true
			continue
		}
		warnings = append(warnings, failed.Error())
		if err == nil || (!refusedBy(err) && refusedBy(failed)) {
			err = failed
		}
	}
	if answered {
		return warnings, nil
	}
	return nil, fmt.Errorf("no sentinel names the primary %q: %w", r.cfg.MasterName, unavailable(err))
}

func (r *Redis) askSentinel(ctx context.Context, address string) error {
	from := clientOptions(r.cfg)
	sentinel := redis.NewSentinelClient(&redis.Options{
		Addr: address, Username: from.SentinelUsername, Password: from.SentinelPassword, Dialer: from.Dialer,
		DialTimeout: from.DialTimeout, DialerRetries: from.DialerRetries, ReadTimeout: from.ReadTimeout, WriteTimeout: from.WriteTimeout,
		ContextTimeoutEnabled: true, MaxRetries: from.MaxRetries, DisableIdentity: true, MaintNotificationsConfig: from.MaintNotificationsConfig,
	})
	defer func() { _ = sentinel.Close() }()
	err := sentinel.GetMasterAddrByName(ctx, r.cfg.MasterName).Err()
	if errors.Is(err, redis.Nil) {
		err = fmt.Errorf("%w: %q", ErrUnknownPrimary, r.cfg.MasterName)
	}
	if err != nil {
		return &SentinelError{Address: address, Err: err}
	}
	return nil
}

// refusedBy says that a server answered, and refused.
func refusedBy(err error) bool {
	return errors.Is(err, ErrUnknownPrimary) || redis.IsAuthError(err) || redis.IsPermissionError(err)
}
