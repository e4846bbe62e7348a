package schemas

import (
	"fmt"
	"math/big"
)

// Limits of a command that JSON Schema cannot state. They are checked before a command is claimed, so that its outcome
// and its copies always fit their topics.
const (
	// MaxCommandBytes is the largest command, as it lies in the topic.
	MaxCommandBytes = 256 << 10
	// MaxMetadataBytes is the most that metadata's names and values may have together, in UTF-8.
	MaxMetadataBytes = 16 << 10
)

// DecodeCommand reads a command. The error is always a *[DecodeError]:
//
//   - UNREADABLE: not one JSON text in UTF-8, or with duplicate keys, trailing data, more than [MaxDepth] levels, or a
//     number beyond 64 characters or three digits of exponent;
//   - SCHEMA_VIOLATION: against command.schema.json, or original amount and amount differ in currency;
//   - TOO_LARGE: more than [MaxCommandBytes] or [MaxMetadataBytes].
//
// A readable command of a newer schema version gives an error that is [ErrNewerVersion], whatever else it holds.
// Fields that the schema does not name are ignored and not kept. Times are cut to milliseconds, and eftPay's service,
// pay type and buyer type are filled in where absent; eftPay fields that contradict each other are taken, see
// [EftPayFields.Conflict].
//
// The command's strings share one copy of the message and keep it in memory.
func DecodeCommand(raw []byte) (Command, error) {
	if len(raw) > MaxCommandBytes {
		return Command{}, &DecodeError{
			Code:   CodeTooLarge,
			Detail: fmt.Sprintf("the message has %d bytes, the limit is %d", len(raw), MaxCommandBytes),
		}
	}
	root, f := parseJSON(raw)
	if f != nil {
		return Command{}, refuse(CodeUnreadable, f)
	}
	if version, isNewer := newerVersion(&root, CommandVersion); isNewer {
		return Command{}, version
	}
	cmd, f := readCommand(&root)
	if f == nil {
		f = cmd.crossFields()
	}
	if f != nil {
		e := refuse(CodeSchemaViolation, f)
		e.RequestID = readableRequestID(&root)
		return Command{}, e
	}
	if n := cmd.metadataBytes(); n > MaxMetadataBytes {
		return Command{}, &DecodeError{
			Code: CodeTooLarge, Pointer: "/metadata", RequestID: cmd.RequestID,
			Detail: fmt.Sprintf("metadata has %d bytes of names and values, the limit is %d", n, MaxMetadataBytes),
		}
	}
	return cmd, nil
}

// newerVersion says that a message is of a newer version than known; nothing else about it can then be judged.
func newerVersion(root *value, known int64) (e *DecodeError, isNewer bool) {
	field, ok := root.member("schemaVersion")
	if !ok {
		return nil, false
	}
	version := field.integer()
	if version == nil || version.Cmp(big.NewInt(known)) <= 0 {
		return nil, false
	}
	return &DecodeError{
		Code:         CodeSchemaViolation,
		Pointer:      "/schemaVersion",
		Detail:       fmt.Sprintf("the schema version is newer than %d, the newest this build understands", known),
		RequestID:    readableRequestID(root),
		NewerVersion: true,
	}, true
}

// readableRequestID is the request ID of a message that breaks other rules; empty where it is not a valid one.
func readableRequestID(root *value) string {
	id, ok := root.member("requestId")
	if !ok || id.kind != kindString || !validRequestID(id.text) {
		return ""
	}
	return id.text
}

// crossFields checks the rules between fields that command.schema.json can only tell in words.
func (c *Command) crossFields() *fault {
	if c.OriginalAmount != nil && c.OriginalAmount.Currency != c.Amount.Currency {
		return &fault{"/originalAmount/currency", "the original amount must have the amount's currency"}
	}
	if c.Deadline != nil && !encodableYear(c.Deadline.Time) {
		return &fault{"/deadline", "the deadline must lie in the years 1000 to 2999, in UTC"}
	}
	return nil
}

func (c *Command) metadataBytes() (n int) {
	for name, text := range c.Metadata {
		n += len(name) + len(text)
	}
	return n
}
