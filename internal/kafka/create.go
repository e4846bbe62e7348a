package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// askTimeout bounds one administrative request.
const askTimeout = 10 * time.Second

// Layout is what new topics are made of.
type Layout struct {
	// Partitions per topic; at least 1.
	Partitions int
	// Replication is the number of copies of each partition; at least 1.
	Replication int
	// MinInSync is min.insync.replicas: how many copies an acked message has at least; 1 to Replication.
	MinInSync int
}

// Validate reports every fault at once.
func (l Layout) Validate() error {
	var errs []error
	if l.Partitions < 1 {
		errs = append(errs, fmt.Errorf("partitions %d: at least 1 is needed", l.Partitions))
	}
	if l.Replication < 1 {
		errs = append(errs, fmt.Errorf("replication %d: at least 1 is needed", l.Replication))
	}
	if l.MinInSync < 1 || l.MinInSync > max(l.Replication, 1) {
		errs = append(errs, fmt.Errorf("min in-sync %d: must be 1 to the replication of %d", l.MinInSync, l.Replication))
	}
	return errors.Join(errs...)
}

// Created says what Create did about one topic.
type Created struct {
	Topic string
	// Existed: the topic was there before and was not touched; Check says whether it is fit.
	Existed bool
}

// Create makes the topics that are missing, in the order of Topics.All, and returns once every partition has a
// leader. Topics that exist are reported and never altered, so that it may be repeated at will. On an error the
// topics made until then stay. Topics that may not be created, or not be seen then, make a *RightsError.
func Create(ctx context.Context, conn Config, topics Topics, layout Layout) ([]Created, error) {
	if err := errors.Join(conn.Validate(), topics.Validate(), layout.Validate()); err != nil {
		return nil, err
	}
	names := topics.All()
	// By name: in a list of all topics, one that may not be seen looks like one that does not exist.
	transport := conn.Transport(names...)
	defer transport.CloseIdleConnections()
	client := conn.Client(transport, askTimeout)

	// CreateTopics has to find the controller first and hides why it could not; metadata say it: a refused login, a
	// certificate nobody knows.
	if _, err := client.Metadata(ctx, &kafkago.MetadataRequest{Topics: names}); err != nil {
		return nil, mark(fmt.Errorf("create topics: %w", err))
	}
	request := &kafkago.CreateTopicsRequest{}
	for _, name := range names {
		request.Topics = append(request.Topics, topics.config(name, layout))
	}
	answer, err := client.CreateTopics(ctx, request)
	if err != nil {
		return nil, mark(fmt.Errorf("create topics: %w", err))
	}
	created := make([]Created, 0, len(names))
	var refused []Right
	var errs []error
	for _, name := range names {
		err := answer.Errors[name]
		existed := errors.Is(err, kafkago.TopicAlreadyExists)
		switch {
		case errors.Is(err, kafkago.TopicAuthorizationFailed), errors.Is(err, kafkago.ClusterAuthorizationFailed):
			refused = append(refused, topicRight(name, kafkago.ACLOperationTypeCreate))
		case err != nil && !existed:
			errs = append(errs, mark(fmt.Errorf("create topic %s: %w", name, err)))
		default:
			created = append(created, Created{Topic: name, Existed: existed})
		}
	}
	if len(refused) > 0 {
		errs = append(errs, &RightsError{Missing: refused})
	}
	if err := errors.Join(errs...); err != nil {
		return created, err
	}
	return created, awaitLeaders(ctx, client, names)
}

// config is what a new topic is asked for. cleanup.policy is set though it is the default: a cluster may have
// another one.
func (t Topics) config(name string, layout Layout) kafkago.TopicConfig {
	size := CommandBytes
	if slices.Contains(t.Copies(), name) {
		size = CommandBytes + HeaderBytes
	}
	return kafkago.TopicConfig{
		Topic:             name,
		NumPartitions:     layout.Partitions,
		ReplicationFactor: layout.Replication,
		ConfigEntries: []kafkago.ConfigEntry{
			{ConfigName: "cleanup.policy", ConfigValue: "delete"},
			{ConfigName: "max.message.bytes", ConfigValue: strconv.Itoa(size)},
			{ConfigName: "min.insync.replicas", ConfigValue: strconv.Itoa(layout.MinInSync)},
		},
	}
}

// awaitLeaders polls until the cluster's metadata show a leader for every partition of the topics: creation is
// asynchronous in Kafka, and a worker that starts at once would find nothing. Topics that may not be seen have leaders
// that nobody will ever show.
func awaitLeaders(ctx context.Context, client *kafkago.Client, names []string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		metadata, err := client.Metadata(ctx, &kafkago.MetadataRequest{Topics: names})
		if err == nil && !slices.ContainsFunc(metadata.Topics, leaderless) {
			return nil
		}
		if err == nil {
			if hidden := hidden(metadata.Topics); len(hidden) > 0 {
				return &RightsError{Missing: hidden}
			}
		}
		select {
		case <-ctx.Done():
			return mark(fmt.Errorf("wait for leaders of new topics: %w", context.Cause(ctx)))
		case <-tick.C:
		}
	}
}

func hidden(topics []kafkago.Topic) []Right {
	var rights []Right
	for _, topic := range topics {
		if errors.Is(topic.Error, kafkago.TopicAuthorizationFailed) {
			rights = append(rights, topicRight(topic.Name, kafkago.ACLOperationTypeDescribe))
		}
	}
	return rights
}

func leaderless(topic kafkago.Topic) bool {
	return topic.Error != nil || len(topic.Partitions) == 0 ||
		slices.ContainsFunc(topic.Partitions, func(p kafkago.Partition) bool { return p.Error != nil || p.Leader.Host == "" })
}
