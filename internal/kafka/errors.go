package kafka

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	kafkago "github.com/segmentio/kafka-go"
)

// UnreachableError says that no broker could be asked, or that the cluster could not answer yet. Waiting may mend it.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string { return "kafka unreachable: " + e.Err.Error() }

// Unwrap is the network's or the broker's own error.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Problem names what makes a topic unfit. The set is closed.
type Problem string

// The problems.
const (
	// Missing: the topic does not exist.
	Missing Problem = "missing"
	// Compacted: cleanup.policy is not exactly "delete", so Kafka may drop a message that a newer key shadows.
	Compacted Problem = "cleanup.policy"
	// TooSmall: max.message.bytes would refuse a message that has to be written.
	TooSmall Problem = "max.message.bytes"
	// TooFewInSync: min.insync.replicas is below what was asked, so an acked message may have one copy only.
	TooFewInSync Problem = "min.insync.replicas"
	// TooFewReplicas: a partition has fewer replicas than min.insync.replicas: nothing can be written to it.
	TooFewReplicas Problem = "replicas"
	// TooShort: a retry tier's retention.ms may delete a copy before it is due.
	TooShort Problem = "retention.ms"
)

// Finding is one reason why a topic must not be used.
type Finding struct {
	Topic   string
	Problem Problem
	// Have and Want are the configured and the needed value; empty for a missing topic.
	Have, Want string
}

func (f Finding) String() string {
	if f.Problem == Missing {
		return f.Topic + ": missing"
	}
	return f.Topic + ": " + string(f.Problem) + " is " + f.Have + ", needs " + f.Want
}

// TopicsError says that topics are missing or unfit. No waiting mends it: a person has to.
type TopicsError struct{ Findings []Finding }

func (e *TopicsError) Error() string {
	texts := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		texts[i] = f.String()
	}
	return "unfit topics: " + strings.Join(texts, "; ")
}

// MayPass reports whether a broker's answer may be another one later without anybody changing anything: what Kafka
// calls retriable, and the two codes by which kafka-go says that it knows no broker to ask or got no clear answer.
func MayPass(code kafkago.Error) bool {
	return code.Temporary() || code == kafkago.BrokerNotAvailable || code == kafkago.Unknown
}

// mark wraps the errors that waiting may mend in an UnreachableError and leaves all others as they are.
func mark(err error) error {
	if err == nil {
		return nil
	}
	var known *UnreachableError
	var network net.Error
	var broker kafkago.Error
	switch {
	case errors.As(err, &known), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &broker):
		if !MayPass(broker) {
			return err
		}
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
	default:
		return err
	}
	return &UnreachableError{Err: err}
}
