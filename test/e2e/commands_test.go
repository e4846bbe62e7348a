package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"refundworker/gateway/sandbox"
	"refundworker/internal/kafka/kafkatest"
	"refundworker/schemas"
)

// ending is what must become of a request ID.
type ending struct {
	status schemas.Status
	code   schemas.Code
	minor  int64
}

// mix is a set of messages with the ends they must come to.
type mix struct {
	records []kafkatest.Record
	endings map[string]ending
	rules   []sandbox.Rule
	// conflicts are the request IDs of which a second, different command must be rejected; unreadable counts the
	// messages that are no command.
	conflicts  map[string]struct{}
	unreadable int
}

// mixed makes n messages of every kind, the same for the same n.
func mixed(t *testing.T, n int) *mix {
	t.Helper()
	m := &mix{endings: make(map[string]ending), conflicts: make(map[string]struct{})}
	success := ending{schemas.Success, schemas.CodeRefunded, 0}
	failed := func(code schemas.Code) ending { return ending{schemas.Failed, code, 0} }
	for i := 0; len(m.records) < n; i++ {
		id := fmt.Sprintf("rf-%05d", i)
		minor := int64(100 + i)
		switch i % 20 {
		case 1: // a second refund of the payment before
			m.command(t, id, fmt.Sprintf("pay-%05d", i-1), minor, success)
		case 10: // sent twice
			m.command(t, id, "pay-"+id, minor, success)
			m.records = append(m.records, m.records[len(m.records)-1])
		case 11: // sent again with another amount
			m.command(t, id, "pay-"+id, minor, success)
			first := m.endings[id]
			m.command(t, id, "pay-"+id, minor+1, success)
			m.endings[id] = first
			m.conflicts[id] = struct{}{}
		case 12:
			m.records = append(m.records, kafkatest.Record{Key: []byte(id), Value: []byte(`{"schemaVersion": 1, "requestId": `)})
			m.unreadable++
		case 13:
			m.command(t, id, "window-"+id, minor, failed(schemas.CodeWindowExceeded))
		case 14:
			m.command(t, id, "missing-"+id, minor, failed(schemas.CodePaymentNotFound))
		case 15:
			m.command(t, id, "async-"+id, minor, success)
		case 16:
			m.command(t, id, "pay-"+id, minor, success, sandbox.DropAfter)
		case 17:
			m.command(t, id, "pay-"+id, minor, success, sandbox.UnknownBefore)
		case 18:
			m.command(t, id, "pay-"+id, 2_000_000, failed(schemas.CodeAmountExceeded))
		case 19:
			m.command(t, id, "plain-"+id, minor, success)
		default:
			m.command(t, id, fmt.Sprintf("pay-%05d", i), minor, success)
		}
	}
	return m
}

func (m *mix) command(t *testing.T, id, paymentID string, minor int64, end ending, faults ...sandbox.Kind) {
	t.Helper()
	value, err := json.Marshal(schemas.Command{
		SchemaVersion: schemas.CommandVersion, RequestID: id, Gateway: schemas.Antom, PaymentID: paymentID,
		Amount: schemas.Money{Minor: minor, Currency: "HKD"}, Metadata: map[string]string{"order": id},
	})
	if err != nil {
		t.Fatal(err)
	}
	m.records = append(m.records, kafkatest.Record{Key: []byte(paymentID), Value: value})
	end.minor = minor
	m.endings[id] = end
	for _, kind := range faults {
		m.rules = append(m.rules, sandbox.Rule{
			RequestID: id, Operation: sandbox.Refund, Faults: []sandbox.Fault{{Kind: kind}},
		})
	}
}

func (s *setup) commands() string { return s.prefix + ".commands" }

// produce sends a part of the mix.
func (s *setup) produce(ctx context.Context, t *testing.T, records []kafkatest.Record) {
	t.Helper()
	if err := s.kafka.Produce(ctx, s.commands(), records...); err != nil {
		t.Fatal(err)
	}
}
