package worker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
	kafkago "github.com/segmentio/kafka-go"

	"refundworker/dedupe"
	"refundworker/internal/config"
	"refundworker/internal/kafka"
	"refundworker/refund"
)

// dependency is what the worker logs in to, in words for the person who has to mend it.
type dependency struct {
	name, at string
	// section holds the TLS settings, login names the settings of the login.
	section, login string
}

func kafkaAt(cfg config.Config) dependency {
	return dependency{"kafka", strings.Join(cfg.Kafka.Brokers, ","), "kafka.tls", "kafka.sasl"}
}

func redisAt(cfg config.Config) dependency {
	at := strings.Join(cfg.Redis.Addresses, ",")
	if cfg.Redis.MasterName != "" {
		at = cfg.Redis.MasterName + ", which sentinels name,"
	}
	return dependency{"redis", at, "redis.tls", "redis.username and redis.password"}
}

// judgeKafka turns what waiting does not mend into an *UnfitError. What it leaves as it is can be asked again.
func judgeKafka(cfg config.Config, err error) error {
	if refused := kafkaAt(cfg).refusal(err); refused != nil {
		return &UnfitError{Err: refused}
	}
	if _, away := errors.AsType[*kafka.UnreachableError](err); away {
		return err
	}
	return unfitUnless(err, context.Canceled)
}

// judgeRedis is judgeKafka for Redis and its Sentinels.
func judgeRedis(cfg config.Config, err error) error {
	at, cause := redisAt(cfg), err
	if sentinel, ok := errors.AsType[*dedupe.SentinelError](err); ok {
		at = dependency{"sentinel", sentinel.Address, "redis.tls", "redis.sentinel_username and redis.sentinel_password"}
		cause = sentinel.Err
	}
	if refused := at.refusal(cause); refused != nil {
		return &UnfitError{Err: refused}
	}
	return unfitUnless(err, refund.ErrStoreUnavailable)
}

// tlsAlert is what crypto/tls calls the operation when the other side ends a connection with an alert. The type of the
// alert itself is not exported.
const tlsAlert = "remote error"

// refusal says what a person has to mend at a dependency that is there and does not take the worker as it is, in one
// line: what, where, and what to do. It is nil for every other error.
func (d dependency) refusal(err error) error {
	var what, mend string
	var untrusted *tls.CertificateVerificationError
	var plain tls.RecordHeaderError
	var alert *net.OpError
	switch {
	case errors.As(err, &untrusted):
		what = "its certificate is not trusted"
		mend = "name its authority in " + d.section + ".ca_file, or give it a certificate that is valid for this address"
	case errors.As(err, &plain):
		what = "it does not speak TLS"
		mend = "mend the address, or take out " + d.section
	case errors.As(err, &alert) && alert.Op == tlsAlert:
		what = "it refuses our side of TLS"
		mend = "name a certificate that it trusts in " + d.section + ".cert_file and key_file"
	case refusedLogin(err):
		what = "it refuses the login"
		mend = "mend " + d.login + ", or the user there"
	case missingRight(err):
		what = "a right is missing"
		mend = "give the user what docs/security.md lists"
	case errors.Is(err, dedupe.ErrUnknownPrimary):
		what = "it watches no such primary"
		mend = "mend redis.master_name"
	default:
		return nil
	}
	// A cluster's nodes give an error each, and a line for each would hide what it is about.
	cause := strings.ReplaceAll(err.Error(), "\n", "; ")
	return &refusedError{text: fmt.Sprintf("%s at %s: %s; %s: %s", d.name, d.at, what, mend, cause), err: err}
}

func refusedLogin(err error) bool {
	return redis.IsAuthError(err) || isOneOf(err, kafkago.SASLAuthenticationFailed, kafkago.UnsupportedSASLMechanism, kafkago.IllegalSASLState)
}

func missingRight(err error) bool {
	_, atKafka := errors.AsType[*kafka.RightsError](err)
	_, atRedis := errors.AsType[*dedupe.RightsError](err)
	return atKafka || atRedis || redis.IsPermissionError(err) ||
		isOneOf(err, kafkago.TopicAuthorizationFailed, kafkago.GroupAuthorizationFailed, kafkago.ClusterAuthorizationFailed)
}

func isOneOf(err error, codes ...kafkago.Error) bool {
	return slices.ContainsFunc(codes, func(code kafkago.Error) bool { return errors.Is(err, code) })
}

// refusedError is a refusal and what it was made of.
type refusedError struct {
	text string
	err  error
}

func (e *refusedError) Error() string { return e.text }

func (e *refusedError) Unwrap() error { return e.err }

// unfitUnless turns an error into an UnfitError unless it is of the kind that waiting mends.
func unfitUnless(err, mendable error) error {
	if err == nil || errors.Is(err, mendable) {
		return err
	}
	return &UnfitError{Err: err}
}
