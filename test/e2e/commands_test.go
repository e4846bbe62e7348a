package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
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
	// key is what the gateway calls the request.
	key string
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
	success := ending{status: schemas.Success, code: schemas.CodeRefunded}
	failed := func(code schemas.Code) ending { return ending{status: schemas.Failed, code: code} }
	for i := 0; len(m.records) < n; i++ {
		id := fmt.Sprintf("rf-%05d", i)
		minor := int64(100 + i)
		switch i % 27 {
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
		case 20:
			m.eftpay(t, id, minor, success)
		case 21:
			m.eftpay(t, id, minor, success)
			m.records = append(m.records, m.records[len(m.records)-1])
		case 22:
			m.eftpay(t, id, minor, success, sandbox.Fault{Kind: sandbox.DropAfter})
		case 23:
			m.eftpay(t, id, minor, success, sandbox.Fault{Kind: sandbox.DropAfter, HideQueries: 1})
		case 24:
			m.eftpay(t, id, minor, success, sandbox.Fault{Kind: sandbox.SloppyEcho})
		case 25:
			m.eftpay(t, id, minor, success, sandbox.Fault{Kind: sandbox.SystemExceptionAfter})
		case 26:
			m.eftpay(t, id, 10_000_000, failed(schemas.CodeInvalidRequest))
		default:
			m.command(t, id, fmt.Sprintf("pay-%05d", i), minor, success)
		}
	}
	return m
}

func (m *mix) command(t *testing.T, id, paymentID string, minor int64, end ending, faults ...sandbox.Kind) {
	t.Helper()
	account := "shop"
	if minor%2 == 0 {
		account = "shop-2"
	}
	value, err := json.Marshal(schemas.Command{
		SchemaVersion: schemas.CommandVersion, RequestID: id, Gateway: schemas.Antom, Account: account, PaymentID: paymentID,
		Amount: schemas.Money{Minor: minor, Currency: "HKD"}, Metadata: map[string]string{"order": id},
	})
	if err != nil {
		t.Fatal(err)
	}
	m.records = append(m.records, kafkatest.Record{Key: []byte(paymentID), Value: value})
	end.minor, end.key = minor, id
	m.endings[id] = end
	for _, kind := range faults {
		m.rules = append(m.rules, sandbox.Rule{
			RequestID: id, Operation: sandbox.Refund, Faults: []sandbox.Fault{{Kind: kind}},
		})
	}
}

// eftpay is a command for eftPay. Its refund_no is written down here once more, as an oracle should.
func (m *mix) eftpay(t *testing.T, id string, minor int64, end ending, faults ...sandbox.Fault) {
	t.Helper()
	paymentID := "eft" + id[len(id)-5:]
	value, err := json.Marshal(schemas.Command{
		SchemaVersion: schemas.CommandVersion, RequestID: id, Gateway: schemas.EftPay, PaymentID: paymentID,
		Amount: schemas.Money{Minor: minor, Currency: "HKD"}, EftPay: &schemas.EftPayFields{PaymentType: "ALIPAYHK"},
	})
	if err != nil {
		t.Fatal(err)
	}
	m.records = append(m.records, kafkatest.Record{Key: []byte(paymentID), Value: value})
	sum := sha256.Sum256([]byte(id))
	end.minor, end.key = minor, "R"+base32.StdEncoding.EncodeToString(sum[:])[:27]
	m.endings[id] = end
	if len(faults) > 0 {
		m.rules = append(m.rules, sandbox.Rule{
			Gateway: string(schemas.EftPay), RequestID: end.key, Operation: sandbox.Refund, Faults: faults,
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
