package schemas

import (
	"errors"
	"strings"
)

// ErrNewerVersion marks a message whose schemaVersion is newer than this build understands. It is parked until a
// newer worker reads it; it is neither rejected nor failed.
var ErrNewerVersion = errors.New("newer schema version")

// maxPointerBytes bounds the pointers of errors and rejections: names come from the message and may be of any length.
const maxPointerBytes = 256

// DecodeError says why a message cannot be taken. Its texts hold names and limits, never values of the message.
type DecodeError struct {
	// Code is UNREADABLE, SCHEMA_VIOLATION or TOO_LARGE.
	Code Code
	// Pointer is the JSON pointer (RFC 6901) of the value at fault, at most 256 bytes; empty for the whole message.
	// Where the value's own pointer would be longer, it is that of the nearest parent that fits.
	Pointer string
	// Detail says what to mend.
	Detail string
	// RequestID is the message's request ID, when the whole message could be parsed and the ID is a valid one.
	RequestID string
	// NewerVersion: the message is of a newer schema version; see [ErrNewerVersion].
	NewerVersion bool
}

// Error is "<code> at <pointer>: <detail>".
func (e *DecodeError) Error() string {
	at := ""
	if e.Pointer != "" {
		at = " at " + e.Pointer
	}
	return string(e.Code) + at + ": " + e.Detail
}

// Is reports whether the target is [ErrNewerVersion] and the message is of a newer version.
func (e *DecodeError) Is(target error) bool {
	return target == ErrNewerVersion && e.NewerVersion
}

// refuse turns a fault into the error of a decoder.
func refuse(code Code, f *fault) *DecodeError {
	return &DecodeError{Code: code, Pointer: boundPointer(f.pointer), Detail: f.detail}
}

// boundPointer cuts a pointer at a token, never inside one.
func boundPointer(pointer string) string {
	for len(pointer) > maxPointerBytes {
		pointer = pointer[:strings.LastIndexByte(pointer, '/')]
	}
	return pointer
}
