package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// command is one refund command of some 600 bytes. Refunds of a payment have amounts that rise in the order in which
// they are asked for, so that the gateway can tell whether it sees them in order.
func command(gateway, run string, payment, nth int) kafka.Message {
	id := fmt.Sprintf("%s-%d-%d", run, payment, nth)
	paymentID := fmt.Sprintf("%s-p%d", run, payment)
	more := ""
	if gateway == "eftpay" {
		more = `"eftpay":{"paymentType":"ALIPAYHK"},`
	}
	value := fmt.Sprintf(`{"schemaVersion":1,"requestId":%q,"gateway":%q,"account":"%s-hk","paymentId":%q,`+
		`"amount":{"value":"%d","currency":"HKD"},%s"reason":"goods returned by the customer","batchId":"bench-%s",`+
		`"metadata":{"orderId":"SO-%08d","storeId":"hk-central-017","requestedBy":"customer-care@example.test",`+
		`"channel":"web","note":"%s"}}`,
		id, gateway, gateway, paymentID, 1000+nth, more, run, payment, strings.Repeat("free text of a clerk, ", 9))
	return kafka.Message{Key: []byte(paymentID), Value: []byte(value)}
}

// load produces n commands, two in a row of each payment; hot of 100 are of one payment.
func (s *stack) load(ctx context.Context, topic, gateway, run string, n, hot int) error {
	w := &kafka.Writer{
		Addr: kafka.TCP(s.broker), Transport: &kafka.Transport{}, Topic: topic, Balancer: kafka.Murmur2Balancer{}, RequiredAcks: kafka.RequireAll,
		BatchSize: 500, BatchTimeout: 2 * time.Millisecond,
	}
	defer func() { _ = w.Close() }()
	const chunk = 5000
	batch := make([]kafka.Message, 0, chunk)
	hottest := 0
	for i := range n {
		m := command(gateway, run, 1+i/2, i%2)
		if i%100 < hot {
			m = command(gateway, run, 0, hottest)
			hottest++
		}
		if batch = append(batch, m); len(batch) == chunk || i == n-1 {
			if err := w.WriteMessages(ctx, batch...); err != nil {
				return fmt.Errorf("load commands: %w", err)
			}
			batch = batch[:0]
		}
	}
	return nil
}

// outcomes reads a topic of outcomes from its beginning.
type outcomes struct {
	mu   sync.Mutex
	seen map[string]time.Time
	// other counts outcomes that are no success.
	other int
	last  time.Time
	stop  func()
	news  chan struct{}
}

func (s *stack) read(ctx context.Context, topic string) *outcomes {
	ctx, cancel := context.WithCancel(ctx)
	o := &outcomes{seen: make(map[string]time.Time), news: make(chan struct{}, 1)}
	var all sync.WaitGroup
	for p := range partitions {
		r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{s.broker}, Topic: topic, Partition: p, MaxWait: 250 * time.Millisecond})
		all.Go(func() {
			defer func() { _ = r.Close() }()
			for {
				m, err := r.FetchMessage(ctx)
				switch {
				case errors.Is(err, io.EOF) || ctx.Err() != nil:
					return
				case err == nil:
					o.take(m)
				}
			}
		})
	}
	o.stop = func() { cancel(); all.Wait() }
	return o
}

func (o *outcomes) take(m kafka.Message) {
	now := time.Now()
	text := string(m.Value)
	_, rest, _ := strings.Cut(text, `"requestId":"`)
	id, _, _ := strings.Cut(rest, `"`)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !strings.Contains(text, `"status":"success"`) {
		o.other++
	} else if _, again := o.seen[id]; !again {
		o.seen[id] = now
		o.last = now
	}
	select {
	case o.news <- struct{}{}:
	default:
	}
}

func (o *outcomes) count() (n, other int, last time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.seen), o.other, o.last
}

// await waits for n successes, as long as there is one every idle while.
func (o *outcomes) await(ctx context.Context, n int, idle time.Duration) error {
	timer := time.NewTimer(idle)
	defer timer.Stop()
	for {
		got, other, _ := o.count()
		if got >= n {
			return nil
		}
		timer.Reset(idle)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return fmt.Errorf("%w: %d of %d outcomes, %d that are no success, then none for %s", errStalled, got, n, other, idle)
		case <-o.news:
		}
	}
}

var errStalled = errors.New("incomplete")
