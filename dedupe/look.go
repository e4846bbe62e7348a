package dedupe

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// Look tells what is known of a request, without claiming it; see refund.Sight.
func (r *Redis) Look(ctx context.Context, requestID string) (refund.Sight, error) {
	started := time.Now()
	answer, err := look(ctx, r, requestID)
	r.metrics.observe(callLook, answerFound, started, err)
	return answer, err
}

// Announced takes a settled request off the schedule, because its outcome is published. Of an open request it changes
// nothing.
func (r *Redis) Announced(ctx context.Context, requestID string) error {
	started := time.Now()
	err := announced(ctx, r, requestID)
	r.metrics.observe(callLook, answerFound, started, err)
	return err
}

// Look is Redis.Look.
func (m *Memory) Look(ctx context.Context, requestID string) (refund.Sight, error) {
	return look(ctx, m, requestID)
}

// Announced is Redis.Announced.
func (m *Memory) Announced(ctx context.Context, requestID string) error {
	return announced(ctx, m, requestID)
}

func announced(ctx context.Context, b backend, requestID string) error {
	_, err := lookAt(ctx, b, recordCall{look: &requestID, announced: true})
	return err
}

func look(ctx context.Context, b backend, requestID string) (refund.Sight, error) {
	return lookAt(ctx, b, recordCall{look: &requestID})
}

func lookAt(ctx context.Context, b backend, call recordCall) (refund.Sight, error) {
	requestID := *call.look
	if requestID == "" {
		return refund.Sight{}, fmt.Errorf("look: %w: RequestID is empty", ErrRequest)
	}
	_, rec, err := b.exchange(ctx, nil, &call)
	if err != nil {
		return refund.Sight{}, fmt.Errorf("look at %s: %w", requestID, err)
	}
	if rec.found == foundForgot {
		return refund.Sight{}, fmt.Errorf("look at %s: %w", requestID, unavailable(ErrForgot))
	}
	state, err := sightState(rec.found)
	if err != nil {
		return refund.Sight{}, fmt.Errorf("look at %s: %w", requestID, err)
	}
	sight := refund.Sight{
		State: state, Record: rec.record, LeaseLeft: rec.retryIn, Settled: rec.settled, Outcome: rec.outcome,
	}
	if len(rec.message) > 0 {
		if sight.Message, err = unpackMessage(rec.message); err != nil {
			return refund.Sight{}, fmt.Errorf("look at %s: %w", requestID, err)
		}
	}
	return sight, nil
}

func sightState(found string) (refund.SightState, error) {
	switch found {
	case foundAbsent:
		return refund.SightAbsent, nil
	case foundClaimed:
		return refund.SightClaimed, nil
	case foundWaiting:
		return refund.SightWaiting, nil
	case foundReview:
		return refund.SightReview, nil
	case foundSettled:
		return refund.SightSettled, nil
	case foundTombstone:
		return refund.SightTombstone, nil
	case foundVersion:
		return refund.SightUnknownVersion, nil
	}
	return refund.SightInvalid, fmt.Errorf("%w: answer %q", ErrCorrupt, found)
}

// readLook reads an answer of record_look.lua.
func readLook(reply []string) (recordAnswer, error) {
	if len(reply) == 5 && reply[0] == foundAbsent {
		return recordAnswer{found: foundAbsent}, nil
	}
	a, err := readClaim(append(reply, "0", "0")) // as a claim's, without an epoch
	if err == nil && a.found != foundSettled {
		a.message, a.outcome = a.outcome, nil
	}
	return a, err
}

// packedMessage is a stored message. Its topic, partition and offset are the command's origin.
type packedMessage struct {
	Topic     string         `json:"t"`
	Partition int            `json:"p"`
	Offset    int64          `json:"o"`
	Time      int64          `json:"ms"`
	Key       []byte         `json:"k,omitempty"`
	Value     []byte         `json:"v"`
	Headers   []packedHeader `json:"h,omitempty"`
}

type packedHeader struct {
	Key   string `json:"k"`
	Value []byte `json:"v"`
}

// packMessage writes a message as the store keeps it. It cannot fail: the type has no value that JSON lacks.
func packMessage(m refund.Message) []byte {
	p := packedMessage{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Time: millis(m.Time), Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		p.Headers = append(p.Headers, packedHeader(h))
	}
	packed, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return packed
}

func unpackMessage(packed []byte) (*refund.Message, error) {
	var p packedMessage
	if err := json.Unmarshal(packed, &p); err != nil {
		return nil, fmt.Errorf("%w: a stored message: %w", ErrCorrupt, err)
	}
	m := &refund.Message{Topic: p.Topic, Partition: p.Partition, Offset: p.Offset, Time: fromMillis(p.Time), Key: p.Key, Value: p.Value}
	for _, h := range p.Headers {
		m.Headers = append(m.Headers, schemas.Header(h))
	}
	return m, nil
}
