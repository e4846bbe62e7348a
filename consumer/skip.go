package consumer

import (
	"bytes"

	kafkago "github.com/segmentio/kafka-go"
)

// Kinds of messages that are no commands; a closed set, used as metric label and alarm.
const (
	kindControl   = "control-record"
	kindTombstone = "tombstone"
)

// skipKind says why a message cannot be a command; "" when it can.
//
// kafka-go delivers the control records of transactional producers as messages: a key of version and type (0: abort,
// 1: commit), two bytes each, and a value of version and coordinator epoch, six bytes (segmentio/kafka-go issue 1332).
// It also delivers the records of aborted transactions, and those cannot be told apart: hence the alarm.
func skipKind(m kafkago.Message) string {
	switch {
	case len(m.Value) == 0:
		return kindTombstone
	case len(m.Value) == 6 && (bytes.Equal(m.Key, []byte{0, 0, 0, 0}) || bytes.Equal(m.Key, []byte{0, 0, 0, 1})):
		return kindControl
	}
	return ""
}
