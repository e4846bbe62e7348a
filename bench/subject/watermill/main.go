// Watermill is a Watermill router as its documentation shows it, with a Deduplicator whose keys are in Redis: the request
// is marked before the call, so a crash loses it, and one message per partition is in flight.
package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	kafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/redis/go-redis/v9"

	"refundworker/bench/subject"
)

func main() { subject.Main(run) }

// seen keeps the Deduplicator's keys.
type seen struct{ client *redis.Client }

// IsDuplicate marks the key at the first sight.
func (s seen) IsDuplicate(ctx context.Context, key string) (bool, error) {
	first, err := s.client.SetNX(ctx, "seen:"+key, "1", time.Hour).Result()
	return !first, err
}

func run(ctx context.Context, o subject.Options) error {
	gateway := subject.NewGateway(o)
	log := watermill.NopLogger{}
	config := kafka.DefaultSaramaSubscriberConfig()
	config.Consumer.Offsets.Initial = -2 // the oldest
	subscriber, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers: []string{o.Broker}, Unmarshaler: kafka.DefaultMarshaler{}, ConsumerGroup: "watermill-" + o.Topic, OverwriteSaramaConfig: config,
	}, log)
	if err != nil {
		return err
	}
	publisher, err := kafka.NewPublisher(kafka.PublisherConfig{Brokers: []string{o.Broker}, Marshaler: kafka.DefaultMarshaler{}}, log)
	if err != nil {
		return err
	}
	router, err := message.NewRouter(message.RouterConfig{}, log)
	if err != nil {
		return err
	}
	router.AddMiddleware((&middleware.Deduplicator{
		KeyFactory: func(m *message.Message) (string, error) {
			var c subject.Command
			err := json.Unmarshal(m.Payload, &c)
			return c.RequestID, err
		},
		Repository: seen{subject.Redis(o)},
		Timeout:    time.Second,
	}).Middleware)
	router.AddHandler("refund", o.Topic, subscriber, o.Results, publisher, func(m *message.Message) ([]*message.Message, error) {
		var c subject.Command
		if err := json.Unmarshal(m.Payload, &c); err != nil {
			return nil, err
		}
		if err := gateway.Refund(m.Context(), c); err != nil {
			return nil, err
		}
		value, err := subject.Succeeded(c)
		return []*message.Message{message.NewMessage(c.RequestID, value)}, err
	})
	return router.Run(ctx)
}
