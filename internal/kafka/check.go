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

// outage is how long the whole fleet may stand still without a waiting retry copy being deleted by retention.
const outage = 24 * time.Hour

// Check looks whether every topic of the installation exists and may be depended on: nothing is compacted, every
// topic that takes copies holds the largest input message with its headers, min.insync.replicas is at least minInSync
// and can be met, and no tier forgets a copy before it is due and a day has passed.
//
// It returns a *TopicsError with every finding, an *UnreachableError when waiting may help, and any other error
// as the broker gave it (refused credentials, for one).
func Check(ctx context.Context, conn Config, topics Topics, minInSync int) error {
	if err := errors.Join(conn.Validate(), topics.Validate()); err != nil {
		return err
	}
	transport := conn.Transport(topics.All()...)
	defer transport.CloseIdleConnections()
	client := conn.Client(transport, askTimeout)

	found, findings, err := describe(ctx, client, topics.All())
	if err != nil {
		return err
	}
	findings = append(findings, topics.judge(found, minInSync)...)
	if len(findings) > 0 {
		return &TopicsError{Findings: findings}
	}
	return nil
}

// Partitions asks for the number of partitions of each topic. Missing topics make a *TopicsError; a topic that is
// being created or has lost its leaders makes an *UnreachableError.
func Partitions(ctx context.Context, client *kafkago.Client, names []string) (map[string]int, error) {
	metadata, err := client.Metadata(ctx, &kafkago.MetadataRequest{Topics: names})
	if err != nil {
		return nil, mark(fmt.Errorf("ask for topics: %w", err))
	}
	counts := make(map[string]int, len(names))
	var findings []Finding
	for _, topic := range metadata.Topics {
		switch {
		case errors.Is(topic.Error, kafkago.UnknownTopicOrPartition):
			findings = append(findings, Finding{Topic: topic.Name, Problem: Missing})
		case topic.Error != nil:
			return nil, mark(fmt.Errorf("ask for topic %s: %w", topic.Name, topic.Error))
		default:
			counts[topic.Name] = len(topic.Partitions)
		}
	}
	if len(findings) > 0 {
		return counts, &TopicsError{Findings: findings}
	}
	return counts, nil
}

// FormerTiers lists the retry tiers that exist in the cluster and are no longer configured, ascending. They may hold
// copies, so they are consumed until a person deletes them.
func FormerTiers(ctx context.Context, conn Config, topics Topics) ([]time.Duration, error) {
	if err := errors.Join(conn.Validate(), topics.Validate()); err != nil {
		return nil, err
	}
	transport := conn.Transport()
	defer transport.CloseIdleConnections()
	metadata, err := conn.Client(transport, askTimeout).Metadata(ctx, &kafkago.MetadataRequest{})
	if err != nil {
		return nil, mark(fmt.Errorf("list topics: %w", err))
	}
	var former []time.Duration
	for _, topic := range metadata.Topics {
		if tier := topics.Tier(topic.Name); tier > 0 && !slices.Contains(topics.Tiers, tier) {
			former = append(former, tier)
		}
	}
	slices.Sort(former)
	return former, nil
}

// settings are the values of one topic that Check judges.
type settings struct {
	policy string
	// size is max.message.bytes, inSync min.insync.replicas; retention is in ms, -1 for ever.
	size, inSync, retention int64
	// replicas is the number of copies of the partition that has fewest.
	replicas int
}

func describe(ctx context.Context, client *kafkago.Client, names []string) (map[string]settings, []Finding, error) {
	metadata, err := client.Metadata(ctx, &kafkago.MetadataRequest{Topics: names})
	if err != nil {
		return nil, nil, mark(fmt.Errorf("ask for topics: %w", err))
	}
	var findings []Finding
	found := make(map[string]settings, len(names))
	request := &kafkago.DescribeConfigsRequest{}
	for _, topic := range metadata.Topics {
		switch {
		case errors.Is(topic.Error, kafkago.UnknownTopicOrPartition):
			findings = append(findings, Finding{Topic: topic.Name, Problem: Missing})
			continue
		case topic.Error != nil:
			return nil, nil, mark(fmt.Errorf("ask for topic %s: %w", topic.Name, topic.Error))
		}
		found[topic.Name] = settings{replicas: fewestReplicas(topic)}
		request.Resources = append(request.Resources, settingsOf(topic.Name))
	}
	if len(request.Resources) == 0 {
		return found, findings, nil
	}
	answer, err := client.DescribeConfigs(ctx, request)
	if err != nil {
		return nil, nil, mark(fmt.Errorf("describe topics: %w", err))
	}
	for _, resource := range answer.Resources {
		if resource.Error != nil {
			return nil, nil, mark(fmt.Errorf("describe topic %s: %w", resource.ResourceName, resource.Error))
		}
		s, err := found[resource.ResourceName].with(resource.ConfigEntries)
		if err != nil {
			return nil, nil, fmt.Errorf("describe topic %s: %w", resource.ResourceName, err)
		}
		found[resource.ResourceName] = s
	}
	return found, findings, nil
}

// settingsOf asks for what Check judges.
func settingsOf(topic string) kafkago.DescribeConfigRequestResource {
	return kafkago.DescribeConfigRequestResource{
		ResourceType: kafkago.ResourceTypeTopic,
		ResourceName: topic,
		ConfigNames:  []string{"cleanup.policy", "max.message.bytes", "min.insync.replicas", "retention.ms"},
	}
}

func fewestReplicas(topic kafkago.Topic) int {
	if len(topic.Partitions) == 0 {
		return 0
	}
	fewest := slices.MinFunc(topic.Partitions, func(a, b kafkago.Partition) int { return len(a.Replicas) - len(b.Replicas) })
	return len(fewest.Replicas)
}

func (s settings) with(entries []kafkago.DescribeConfigResponseConfigEntry) (settings, error) {
	for _, entry := range entries {
		var number *int64
		switch entry.ConfigName {
		case "cleanup.policy":
			s.policy = entry.ConfigValue
			continue
		case "max.message.bytes":
			number = &s.size
		case "min.insync.replicas":
			number = &s.inSync
		case "retention.ms":
			number = &s.retention
		default:
			continue
		}
		n, err := strconv.ParseInt(entry.ConfigValue, 10, 64)
		if err != nil {
			return s, fmt.Errorf("read %s: %w", entry.ConfigName, err)
		}
		*number = n
	}
	return s, nil
}

// judge compares what was found with what each topic is used for. Topics that were not found are not judged.
func (t Topics) judge(found map[string]settings, minInSync int) []Finding {
	// The broker's limit is for a batch, and the producer never builds one above CommandBytes unless a single message
	// is larger; a copy has to hold the largest message that any input topic lets in.
	largest := int64(CommandBytes)
	for _, name := range t.Inputs() {
		if t.Tier(name) == 0 {
			largest = max(largest, found[name].size)
		}
	}
	copies := t.Copies()
	var findings []Finding
	for _, name := range t.All() {
		s, ok := found[name]
		if !ok {
			continue
		}
		report := func(problem Problem, have, want string) {
			findings = append(findings, Finding{Topic: name, Problem: problem, Have: have, Want: want})
		}
		if s.policy != "delete" {
			report(Compacted, s.policy, "delete")
		}
		size := int64(0)
		switch {
		case slices.Contains(copies, name):
			size = largest + HeaderBytes
		case name == t.Results():
			size = CommandBytes
		}
		if s.size < size {
			report(TooSmall, strconv.FormatInt(s.size, 10), strconv.FormatInt(size, 10))
		}
		if s.inSync < int64(minInSync) {
			report(TooFewInSync, strconv.FormatInt(s.inSync, 10), strconv.Itoa(minInSync))
		}
		if int64(s.replicas) < s.inSync {
			report(TooFewReplicas, strconv.Itoa(s.replicas), strconv.FormatInt(s.inSync, 10))
		}
		if tier := t.Tier(name); tier > 0 && s.retention >= 0 && s.retention < (tier+outage).Milliseconds() {
			report(TooShort, strconv.FormatInt(s.retention, 10), strconv.FormatInt((tier+outage).Milliseconds(), 10))
		}
	}
	return findings
}
