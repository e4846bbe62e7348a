package e2e

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"refundworker/internal/kafka/kafkatest"
	"refundworker/schemas"
)

// books is what the results topic says.
type books struct {
	finals   map[string]schemas.Outcome
	progress map[string]int
	// reason is the code of the newest progress.
	reason     map[string]schemas.Code
	rejections map[schemas.Origin]schemas.Rejection
}

// results reads the whole results topic and checks every event by itself: its schema, its headers, and that all
// terminal events of a request ID carry the same bytes under the same event ID.
func (s *setup) results(ctx context.Context, t *testing.T) books {
	t.Helper()
	records, err := s.kafka.ReadAll(ctx, s.prefix+".results")
	if err != nil {
		t.Fatal(err)
	}
	b := books{
		finals: make(map[string]schemas.Outcome), progress: make(map[string]int), reason: make(map[string]schemas.Code),
		rejections: make(map[schemas.Origin]schemas.Rejection),
	}
	bytesOf := make(map[string]string)
	eventIDs := make(map[string]string)
	for _, r := range records {
		id, kind := header(r, schemas.HeaderCEID), header(r, schemas.HeaderCEType)
		for _, key := range []string{schemas.HeaderCESource, schemas.HeaderCETime, schemas.HeaderCESpecVersion, schemas.HeaderContentType} {
			if header(r, key) == "" {
				t.Errorf("event %s has no header %s", id, key)
			}
		}
		says := meaning(t, kind, r)
		if before, seen := eventIDs[id]; seen && before != says {
			t.Errorf("event ID %s names two different events:\n%s\n%s", id, before, says)
		}
		eventIDs[id] = says
		if kind == schemas.TypeRejected {
			rejection, err := schemas.DecodeRejection(r.Value)
			if err != nil {
				t.Errorf("rejection %s: %v", id, err)
			}
			b.rejections[rejection.Origin] = rejection
			continue
		}
		out, err := schemas.DecodeOutcome(r.Value)
		if err != nil {
			t.Errorf("outcome %s: %v", id, err)
			continue
		}
		if string(r.Key) != out.RequestID {
			t.Errorf("outcome %s has the key %q", id, r.Key)
		}
		if !out.Final {
			b.progress[out.RequestID]++
			b.reason[out.RequestID] = out.Code
			continue
		}
		if id != schemas.FinalEventID(out.RequestID) {
			t.Errorf("final outcome of %s has the event ID %s", out.RequestID, id)
		}
		if before, seen := bytesOf[out.RequestID]; seen && before != string(r.Value) {
			t.Errorf("final outcomes of %s differ:\n%s\n%s", out.RequestID, before, r.Value)
		}
		bytesOf[out.RequestID] = string(r.Value)
		b.finals[out.RequestID] = out
	}
	return b
}

// meaning is what may never differ under one event ID: all of it, but for progress events. Those are repeated after a
// crash from the record, which keeps the promise and not the gateway's words, and for a duplicate, which has a place of
// its own.
func meaning(t *testing.T, kind string, r kafkatest.Record) string {
	t.Helper()
	if kind == schemas.TypeRejected {
		return string(r.Value)
	}
	out, err := schemas.DecodeOutcome(r.Value)
	if err != nil {
		t.Errorf("outcome: %v", err)
	}
	if out.Final {
		return string(r.Value)
	}
	out.OccurredAt, out.GatewayCode, out.GatewayMessage, out.Origin = schemas.Time{}, "", "", schemas.Origin{}
	promise, err := json.Marshal(out)
	if err != nil {
		t.Errorf("outcome: %v", err)
	}
	return string(promise)
}

func header(r kafkatest.Record, key string) string {
	value, _ := schemas.HeaderValue(r.Headers, key)
	return string(value)
}

// settled waits until every request of the mix has its final outcome and every bad message its rejection.
func (s *setup) settled(t *testing.T, m *mix) books {
	t.Helper()
	var b books
	deadline := time.Now().Add(settleWithin)
	for {
		b = s.results(t.Context(), t)
		if len(b.finals)+len(s.neverSent(m, b)) >= len(m.endings) && len(b.rejections) >= m.unreadable+len(m.conflicts) {
			return b
		}
		if time.Now().After(deadline) {
			for id := range m.endings {
				if _, ok := b.finals[id]; !ok {
					t.Errorf("%s: no final outcome (%d progress events)", id, b.progress[id])
				}
			}
			t.Fatalf("after %v: %d of %d final outcomes, %d of %d rejections", settleWithin,
				len(b.finals), len(m.endings), len(b.rejections), m.unreadable+len(m.conflicts))
		}
		select {
		case <-time.After(250 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

// neverSent are the requests that stay pending because nothing may be sent: a worker died with the claim and before the
// call, and the gateway (eftPay) promises nothing about repeats. A person closes them.
func (s *setup) neverSent(m *mix, b books) map[string]struct{} {
	ids := make(map[string]struct{})
	ledger := s.gateway.Summary()
	for id, end := range m.endings {
		if _, final := b.finals[id]; !final && end.key != id && b.progress[id] > 0 && ledger.Refunds[end.key] == 0 && s.killed {
			ids[id] = struct{}{}
		}
	}
	return ids
}

// audit holds commands, outcomes and ledger against each other, and the offsets against the commands.
func (s *setup) audit(t *testing.T, m *mix, b books) {
	t.Helper()
	ledger := s.gateway.Summary()
	if twice := ledger.Twice(); len(twice) > 0 {
		t.Errorf("money moved twice: %v", twice)
	}
	var want int64
	pending := s.neverSent(m, b)
	if len(pending) > inFlight {
		t.Errorf("%d requests stay pending, more than a killed worker can have had on their way to eftPay", len(pending))
	}
	for id, end := range m.endings {
		if _, ok := pending[id]; ok {
			continue
		}
		out, ok := b.finals[id]
		switch {
		case !ok:
			t.Errorf("%s: lost", id)
			continue
		case out.Status != end.status || out.Code != end.code && !s.reasonLost(out):
			t.Errorf("%s: %s %s, want %s %s", id, out.Status, out.Code, end.status, end.code)
		case out.Amount.Minor != end.minor:
			t.Errorf("%s: amount %d, want %d", id, out.Amount.Minor, end.minor)
		}
		moved := ledger.Refunds[end.key]
		if (out.Status == schemas.Success) != (moved == 1) {
			t.Errorf("%s: outcome %s, and the ledger holds %d refunds", id, out.Status, moved)
		}
		if out.Status == schemas.Success {
			want += end.minor
		}
	}
	if len(b.finals)+len(pending) != len(m.endings) {
		t.Errorf("%d requests have outcomes, %d were sent", len(b.finals), len(m.endings))
	}
	if got := ledger.Currencies["HKD"]; got != want {
		t.Errorf("the ledger moved HKD %d, the outcomes say %d", got, want)
	}
	s.auditRejections(t, m, b)
	s.auditOffsets(t)
}

// reasonLost: the worker that got the decline died with it, and an inquiry proves the failure without its reason.
func (s *setup) reasonLost(out schemas.Outcome) bool {
	return s.killed && out.Status == schemas.Failed && out.Code == schemas.CodeRefundFailed
}

func (s *setup) auditRejections(t *testing.T, m *mix, b books) {
	t.Helper()
	unreadable, conflicts := 0, make(map[string]struct{})
	for _, r := range b.rejections {
		if r.Code == schemas.CodeUnreadable {
			unreadable++
			continue
		}
		if r.Code != schemas.CodeRequestIDConflict {
			t.Errorf("rejection %+v was not asked for", r)
		}
		conflicts[r.RequestID] = struct{}{}
	}
	if unreadable != m.unreadable || len(conflicts) != len(m.conflicts) {
		t.Errorf("%d unreadable and %d conflicts rejected, want %d and %d", unreadable, len(conflicts), m.unreadable, len(m.conflicts))
	}
	dead, err := s.kafka.ReadAll(t.Context(), s.prefix+".deadletters")
	if err != nil {
		t.Fatal(err)
	}
	origins := make(map[string]struct{})
	for _, r := range dead {
		origins[header(r, schemas.HeaderOrigin)] = struct{}{}
	}
	if len(origins) != len(b.rejections) {
		t.Errorf("%d messages are in the dead letters, %d were rejected", len(origins), len(b.rejections))
	}
}

// auditOffsets wants every command committed, and no commit past the end.
func (s *setup) auditOffsets(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ends := s.ends(ctx, t)
	if err := s.kafka.AwaitCommitted(ctx, s.prefix, s.commands(), ends); err != nil {
		t.Fatal(err)
	}
	have, err := s.kafka.Committed(ctx, s.prefix, s.commands())
	if err != nil {
		t.Fatal(err)
	}
	for partition, offset := range have {
		if offset > ends[partition] {
			t.Errorf("partition %d: committed %d, past the end %d", partition, offset, ends[partition])
		}
	}
}

// ends are the offsets after the last command, by partition.
func (s *setup) ends(ctx context.Context, t *testing.T) map[int]int64 {
	t.Helper()
	records, err := s.kafka.ReadAll(ctx, s.commands())
	if err != nil {
		t.Fatal(err)
	}
	ends := make(map[int]int64)
	for _, r := range records {
		ends[r.Partition] = max(ends[r.Partition], r.Offset+1)
	}
	return ends
}

// committed is the sum of the group's offsets: how many commands are done.
func (s *setup) committed(ctx context.Context, t *testing.T) int64 {
	t.Helper()
	have, err := s.kafka.Committed(ctx, s.prefix, s.commands())
	if err != nil {
		return 0 // the group does not exist yet, or its coordinator is moving
	}
	var sum int64
	for _, offset := range have {
		sum += offset
	}
	return sum
}
