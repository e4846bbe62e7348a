package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"refundworker/refund"
)

// The conditions a transport error can wrap beside the system's own.
var (
	// ErrTimeout is the cause when a call took longer than HTTPConfig.Timeout.
	ErrTimeout = errors.New("gateway call timed out")
	// ErrTooLate says that the deadline had passed, or the caller had given up, when the first byte was to be written.
	ErrTooLate = errors.New("too late to write the request")
	// ErrConnectTimeout is the cause when connecting took longer than HTTPConfig.ConnectTimeout.
	ErrConnectTimeout = errors.New("connecting timed out")
	// ErrNoAnswer says that the connection ended before the first byte of an answer.
	ErrNoAnswer = errors.New("connection ended without an answer")
	// ErrMalformed says that the answer is not HTTP, or too long in its head. The answer's text is not kept: it may
	// repeat what we sent.
	ErrMalformed = errors.New("answer is not readable as HTTP")
)

// errNoCall refuses writes on a connection that no call has taken.
var errNoCall = errors.New("write outside of a call")

// Stage says how far a call came.
type Stage string

// The stages of a call that was written, or may have been.
const (
	// StageWait: something was written, no byte of an answer has come.
	StageWait Stage = "wait for the answer"
	// StageHead: part of the answer's head has come.
	StageHead Stage = "read the answer's head"
	// StageBody: the head has come, the body is not complete.
	StageBody Stage = "read the answer's body"
)

// ConnectError is a dial or a TLS handshake that failed. Step is "dial" or "tls handshake".
type ConnectError struct {
	Step string
	Err  error
}

// Error names the step and the cause.
func (e *ConnectError) Error() string { return e.Step + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// NotSentError proves that not one byte of the request was written, and that none will be.
type NotSentError struct{ Err error }

// Error says that nothing was sent, and why.
func (e *NotSentError) Error() string { return "nothing sent: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *NotSentError) Unwrap() error { return e.Err }

// LostError says that the request may have arrived and that there is no complete answer.
type LostError struct {
	Stage Stage
	Err   error
}

// Error names the stage and the cause.
func (e *LostError) Error() string { return string(e.Stage) + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *LostError) Unwrap() error { return e.Err }

// TooLargeError says that an answer's body is longer than Limit bytes.
type TooLargeError struct{ Limit int64 }

// Error names the limit.
func (e *TooLargeError) Error() string { return fmt.Sprintf("answer is longer than %d bytes", e.Limit) }

// StatusError says that the answer's HTTP status was not 200.
type StatusError struct{ Status int }

// Error names the status.
func (e *StatusError) Error() string { return fmt.Sprintf("http status %d", e.Status) }

// UnverifiedError says why an answer is not proved to be the gateway's. Its text never holds what the peer sent.
type UnverifiedError struct{ Reason string }

// Error names the reason.
func (e *UnverifiedError) Error() string { return "answer not verified: " + e.Reason }

// UnreadableError says that an answer is not one of the documented form. Its text never quotes the answer.
type UnreadableError struct{ Err error }

// Error names what cannot be read.
func (e *UnreadableError) Error() string { return "answer not readable: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *UnreadableError) Unwrap() error { return e.Err }

// Verdict is what an error of [HTTP.Post] proves about the request: NotSent for a [NotSentError], Unknown for
// everything else.
func Verdict(err error) refund.Verdict {
	if _, ok := errors.AsType[*NotSentError](err); ok {
		return refund.NotSent
	}
	return refund.Unknown
}

// presentable returns err where its text is the system's or ours, and nil where it may hold what the peer sent: such a
// text could repeat our signature into a log.
func presentable(err error) error {
	if e, ok := errors.AsType[*ConnectError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e
	}
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.ErrUnexpectedEOF
	}
	return nil
}
