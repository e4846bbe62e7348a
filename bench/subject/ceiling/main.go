// Ceiling shows the most that kafka-go, go-redis and net/http give with no safety at all: messages of all partitions go
// to as many goroutines as there are calls at once; each asks one SETNX, calls, does one SET, and hands the outcome to a
// writer that batches in the background. Offsets are committed every second, whatever is done. A crash loses refunds.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"refundworker/bench/subject"
)

func main() { subject.Main(run) }

func run(ctx context.Context, o subject.Options) error {
	gateway, redis := subject.NewGateway(o), subject.Redis(o)
	addr, err := net.ResolveTCPAddr("tcp", o.Broker)
	if err != nil {
		return err
	}
	transport := &kafka.Transport{}
	writer := &kafka.Writer{
		Addr: addr, Topic: o.Results, Transport: transport, Balancer: kafka.Murmur2Balancer{}, RequiredAcks: kafka.RequireAll, Async: true,
		BatchTimeout: 5 * time.Millisecond, BatchSize: 500,
	}
	messages := make(chan kafka.Message, o.InFlight)
	read := make([]atomic.Int64, o.Partitions)
	var all sync.WaitGroup
	for p := range o.Partitions {
		reader := kafka.NewReader(kafka.ReaderConfig{
			Brokers: []string{o.Broker}, Topic: o.Topic, Partition: p, MaxWait: 250 * time.Millisecond, QueueCapacity: 128, MaxBytes: 1 << 20,
		})
		all.Go(func() {
			for {
				m, err := reader.FetchMessage(ctx)
				if err != nil {
					return
				}
				read[p].Store(m.Offset + 1)
				messages <- m
			}
		})
	}
	for range o.InFlight {
		all.Go(func() {
			for m := range messages {
				var c subject.Command
				if json.Unmarshal(m.Value, &c) != nil {
					continue
				}
				if first, err := redis.SetNX(ctx, "seen:"+c.RequestID, "1", time.Hour).Result(); err != nil || !first {
					continue
				}
				if err := gateway.Refund(ctx, c); err != nil {
					_, _ = fmt.Fprintln(os.Stderr, err)
					continue
				}
				value, err := subject.Succeeded(c)
				if err == nil {
					err = errors.Join(redis.Set(ctx, "outcome:"+c.RequestID, value, time.Hour).Err(),
						writer.WriteMessages(ctx, kafka.Message{Key: []byte(c.RequestID), Value: value}))
				}
				if err != nil {
					_, _ = fmt.Fprintln(os.Stderr, err)
				}
			}
		})
	}
	client := &kafka.Client{Addr: addr, Transport: transport}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			commits := make([]kafka.OffsetCommit, o.Partitions)
			for p := range commits {
				commits[p] = kafka.OffsetCommit{Partition: p, Offset: read[p].Load()}
			}
			_, _ = client.OffsetCommit(ctx, &kafka.OffsetCommitRequest{
				GroupID: "ceiling", GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{o.Topic: commits},
			})
		}
	}
}
