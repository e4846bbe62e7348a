// Loop is what a team writes in an afternoon: fetch one message, SETNX, call, publish, commit, and the next. A crash
// between the SETNX and the outcome loses the refund.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"

	"refundworker/bench/subject"
)

func main() { subject.Main(run) }

func run(ctx context.Context, o subject.Options) error {
	gateway, store := subject.NewGateway(o), subject.Redis(o)
	writer := &kafka.Writer{
		Addr: kafka.TCP(o.Broker), Topic: o.Results, RequiredAcks: kafka.RequireAll, BatchTimeout: 5 * time.Millisecond,
	}
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{o.Broker}, Topic: o.Topic, GroupID: "loop-" + o.Topic, MaxWait: 250 * time.Millisecond,
	})
	for {
		m, err := reader.FetchMessage(ctx)
		if err != nil {
			return err
		}
		if err := one(ctx, gateway, store, writer, m); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
		}
		if err := reader.CommitMessages(ctx, m); err != nil {
			return err
		}
	}
}

func one(ctx context.Context, gateway *subject.Gateway, store *redis.Client, writer *kafka.Writer, m kafka.Message) error {
	var c subject.Command
	if err := json.Unmarshal(m.Value, &c); err != nil {
		return err
	}
	if first, err := store.SetNX(ctx, "seen:"+c.RequestID, "1", time.Hour).Result(); err != nil || !first {
		return err
	}
	if err := gateway.Refund(ctx, c); err != nil {
		return err
	}
	value, err := subject.Succeeded(c)
	if err != nil {
		return err
	}
	return writer.WriteMessages(ctx, kafka.Message{Key: []byte(c.RequestID), Value: value})
}
