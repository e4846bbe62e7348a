package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"refundworker/gateway/sandbox"
	"refundworker/internal/kafka/kafkatest"
	"refundworker/schemas"
)

// reconfigure writes the configuration anew with texts replaced, each of which it must hold, and runs init with it.
func (s *setup) reconfigure(t *testing.T, replace map[string]string) {
	t.Helper()
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	changed := string(text)
	for from, to := range replace {
		if !strings.Contains(changed, from) {
			t.Fatalf("the configuration holds no %q", from)
		}
		changed = strings.Replace(changed, from, to, 1)
	}
	s.config = filepath.Join(t.TempDir(), "worker.yaml")
	if err := os.WriteFile(s.config, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := command(t, nil, "init", "--config", s.config); code != 0 {
		t.Fatalf("worker init: exit %d\n%s", code, out)
	}
}

// unfinished makes n commands that are sent at once and end ten seconds later: Antom finishes by itself, and eftPay has
// carried the refund out, but the answer is lost and no inquiry shows it yet.
func unfinished(t *testing.T, n int) *mix {
	t.Helper()
	m := &mix{endings: make(map[string]ending)}
	success := ending{status: schemas.Success, code: schemas.CodeRefunded}
	for i := range n {
		id, minor := fmt.Sprintf("rf-%05d", i), int64(100+i/2)
		if i%2 == 0 {
			m.command(t, id, "long-"+id, minor, success)
		} else {
			m.eftpay(t, id, minor, success, sandbox.Fault{Kind: sandbox.DropAfter, HideFor: 10 * time.Second})
		}
		m.records[i].Partition = i % partitions
	}
	return m
}

// Refunds are under way when the workers are restarted with another name for their account, other tiers, and a currency
// that makes the account refuse what it took before; producers are ahead with their schema. Nothing of it may fail what was
// sent, and what nobody can work on waits for the configuration that can.
func TestARestartWithAnotherConfigurationLosesNothingAndFailsNothingThatWasPaid(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		m := unfinished(t, 48)
		s := newSetup(t, b, sandbox.RefundAgain, m.rules)
		first := s.startWorker(t)
		first.ready(t)
		s.produce(t.Context(), t, m.records)
		until(t, "that all are under way", settleWithin, func(ctx context.Context) bool {
			return len(s.results(ctx, t).progress) == len(m.endings)
		})
		if _, code := first.terminate(t, 10*time.Second); code != 0 {
			t.Fatalf("SIGTERM: exit %d", code)
		}

		ordinary := s.config
		s.reconfigure(t, map[string]string{
			"name: shop\n": "name: store\n", "tiers: [1s, 2s, 10s]": "tiers: [3s, 5s]", "currency: HKD": "currency: USD",
		})
		newer := newerSchema(t, m.records[0])
		s.produce(t.Context(), t, append(m.records, newer)) // each of them once more
		other := s.startWorker(t)
		other.ready(t)
		named := func(id string) bool { return m.endings[id].key == id && m.endings[id].minor%2 == 1 } // of the account shop
		until(t, "all but those of the account that has another name", settleWithin, func(ctx context.Context) bool {
			finals, want := s.results(ctx, t).finals, 0
			for id := range m.endings {
				if _, final := finals[id]; !final && !named(id) {
					return false
				}
				if named(id) {
					want++
				}
			}
			return len(finals) == len(m.endings)-want
		})
		if _, code := other.terminate(t, 10*time.Second); code != 0 {
			t.Fatalf("SIGTERM: exit %d", code)
		}

		s.config = ordinary
		s.startWorker(t).ready(t)
		s.audit(t, m, s.settled(t, m))
		if copies := s.copies(t, "1s", "2s", "3s", "5s", "10s"); copies[string(newer.Value)] == 0 {
			t.Error("the command of a newer schema is in no retry topic")
		}
	})
}

// newerSchema is a command that only a later build can read.
func newerSchema(t *testing.T, r kafkatest.Record) kafkatest.Record {
	t.Helper()
	value := bytes.Replace(r.Value, []byte(`"schemaVersion":1`), []byte(`"schemaVersion":2`), 1)
	value = bytes.Replace(value, []byte("rf-00000"), []byte("rf-newer"), 1)
	if bytes.Equal(value, r.Value) || !bytes.Contains(value, []byte(`"schemaVersion":2`)) {
		t.Fatalf("no command to make newer: %s", r.Value)
	}
	return kafkatest.Record{Partition: r.Partition, Key: r.Key, Value: value}
}

// copies counts the copies of each command in the retry topics.
func (s *setup) copies(t *testing.T, tiers ...string) map[string]int {
	t.Helper()
	n := make(map[string]int)
	for _, tier := range tiers {
		records, err := s.kafka.ReadAll(t.Context(), s.prefix+".retry."+tier)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			n[string(r.Value)]++
		}
	}
	return n
}
