package kafkatest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"refundworker/schemas"
)

// Record is a message in a topic.
type Record struct {
	Partition int
	// Offset is set by the broker; Produce ignores it.
	Offset  int64
	Key     []byte
	Value   []byte
	Headers []schemas.Header
	Time    time.Time
}

// CreateTopic makes a topic with one replica and waits until it can be used.
func (b *Broker) CreateTopic(ctx context.Context, topic string, partitions int, configs map[string]string) error {
	client, err := b.client()
	if err != nil {
		return err
	}
	defer client.Close()
	request := kmsg.NewCreateTopicsRequest()
	request.TimeoutMillis = 10_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, int32(partitions), 1 //nolint:gosec // a test's partition count
	for name, value := range configs {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = name, &value
		t.Configs = append(t.Configs, c)
	}
	request.Topics = append(request.Topics, t)
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	for _, t := range answer.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return fmt.Errorf("create topic %s: %w", t.Topic, err)
		}
	}
	for {
		if _, err = ends(ctx, client, topic); err == nil {
			return nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("wait for topic %s: %w", topic, err)
		}
	}
}

// DeleteTopic deletes a topic.
func (b *Broker) DeleteTopic(ctx context.Context, topic string) error {
	client, err := b.client()
	if err != nil {
		return err
	}
	defer client.Close()
	request := kmsg.NewDeleteTopicsRequest()
	request.TimeoutMillis = 10_000
	t := kmsg.NewDeleteTopicsRequestTopic()
	t.Topic = &topic
	request.TopicNames, request.Topics = []string{topic}, append(request.Topics, t)
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("delete topic %s: %w", topic, err)
	}
	for _, t := range answer.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return fmt.Errorf("delete topic %s: %w", topic, err)
		}
	}
	return nil
}

// AddPartitions grows a topic to the given number of partitions.
func (b *Broker) AddPartitions(ctx context.Context, topic string, partitions int) error {
	client, err := b.client()
	if err != nil {
		return err
	}
	defer client.Close()
	request := kmsg.NewCreatePartitionsRequest()
	request.TimeoutMillis = 10_000
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = topic, int32(partitions) //nolint:gosec // a test's partition count
	request.Topics = append(request.Topics, t)
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("grow topic %s: %w", topic, err)
	}
	for _, t := range answer.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return fmt.Errorf("grow topic %s: %w", topic, err)
		}
	}
	for {
		found, err := ends(ctx, client, topic)
		if err == nil && len(found) == partitions {
			return nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("wait for topic %s: %w", topic, err)
		}
	}
}

// Produce writes the records to the partitions they name, in order, acked by all replicas.
func (b *Broker) Produce(ctx context.Context, topic string, records ...Record) error {
	client, err := b.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, convert(topic, records)...).FirstErr(); err != nil {
		return fmt.Errorf("produce to %s: %w", topic, err)
	}
	return nil
}

// ProduceInTransaction writes the records in one transaction and ends it, which leaves a control record in every
// partition written to.
func (b *Broker) ProduceInTransaction(ctx context.Context, id, topic string, commit bool, records ...Record) error {
	client, err := b.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID(id))
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		return fmt.Errorf("begin transaction %s: %w", id, err)
	}
	if err := client.ProduceSync(ctx, convert(topic, records)...).FirstErr(); err != nil {
		return fmt.Errorf("produce to %s: %w", topic, err)
	}
	if err := client.EndTransaction(ctx, kgo.TransactionEndTry(commit)); err != nil {
		return fmt.Errorf("end transaction %s: %w", id, err)
	}
	return nil
}

// ReadAll returns what the topic holds now, by partition and offset, control records left out. Records of aborted
// transactions are included.
func (b *Broker) ReadAll(ctx context.Context, topic string) ([]Record, error) {
	client, err := b.client(kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	begin, err := offsets(ctx, client, topic, -2)
	if err != nil {
		return nil, err
	}
	open, err := ends(ctx, client, topic)
	if err != nil {
		return nil, err
	}
	from := make(map[int32]kgo.Offset)
	for partition, end := range open {
		if begin[partition] >= end {
			delete(open, partition)
			continue
		}
		from[partition] = kgo.NewOffset().At(begin[partition])
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	var all []Record
	for len(open) > 0 {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", topic, err)
		}
		for _, failed := range fetches.Errors() {
			return nil, fmt.Errorf("read %s: %w", topic, failed.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, ok := open[r.Partition]; ok {
				if r.Offset < end && !r.Attrs.IsControl() {
					all = append(all, revert(r))
				}
				if r.Offset+1 >= end {
					delete(open, r.Partition)
				}
			}
		})
	}
	slices.SortFunc(all, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return all, nil
}

// Committed returns the offsets a group has committed for a topic, by partition; partitions without one are absent.
func (b *Broker) Committed(ctx context.Context, group, topic string) (map[int]int64, error) {
	client, err := b.client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	partitions, err := ends(ctx, client, topic)
	if err != nil {
		return nil, err
	}
	request := kmsg.NewOffsetFetchRequest()
	request.Group = group
	t := kmsg.NewOffsetFetchRequestTopic()
	t.Topic = topic
	for partition := range partitions {
		t.Partitions = append(t.Partitions, partition)
	}
	request.Topics = append(request.Topics, t)
	answer, err := client.Request(ctx, &request)
	if err != nil {
		return nil, fmt.Errorf("ask for offsets of %s: %w", group, err)
	}
	fetched, ok := answer.(*kmsg.OffsetFetchResponse)
	if !ok {
		return nil, fmt.Errorf("ask for offsets of %s: unexpected answer %T", group, answer)
	}
	committed := make(map[int]int64)
	// Newer brokers say so of a group that has never been; older ones send empty offsets.
	if err := kerr.ErrorForCode(fetched.ErrorCode); err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("ask for offsets of %s: %w", group, err)
	}
	for _, t := range fetched.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("ask for offsets of %s: %w", group, err)
			}
			if p.Offset >= 0 {
				committed[int(p.Partition)] = p.Offset
			}
		}
	}
	return committed, nil
}

// Evict makes every member leave the group. The embedded broker starts no session for a member whose join it could not
// answer, because the connection was gone by then: such a member keeps its partitions for ever. Real brokers time it out.
func (b *Broker) Evict(ctx context.Context, group string) error {
	info := b.Cluster.GroupInfo(group)
	if info == nil || len(info.Members) == 0 {
		return nil
	}
	client, err := b.client()
	if err != nil {
		return err
	}
	defer client.Close()
	request := kmsg.NewLeaveGroupRequest()
	request.Group = group
	for _, m := range info.Members {
		leaving := kmsg.NewLeaveGroupRequestMember()
		leaving.MemberID = m.MemberID
		request.Members = append(request.Members, leaving)
	}
	answer, err := request.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("evict the members of %s: %w", group, err)
	}
	return nil
}

// AwaitCommitted polls until the group has committed at least the given offset in every partition named.
func (b *Broker) AwaitCommitted(ctx context.Context, group, topic string, want map[int]int64) error {
	for {
		have, err := b.Committed(ctx, group, topic)
		if err == nil {
			reached := true
			for partition, offset := range want {
				reached = reached && have[partition] >= offset
			}
			if reached {
				return nil
			}
		}
		if pauseErr := pause(ctx); pauseErr != nil {
			return fmt.Errorf("wait for offsets of %s (have %v, want %v): %w", group, have, want, errors.Join(pauseErr, err))
		}
	}
}

func (b *Broker) client(opts ...kgo.Opt) (*kgo.Client, error) {
	opts = append([]kgo.Opt{kgo.SeedBrokers(b.Addr), kgo.FetchMaxWait(100 * time.Millisecond)}, opts...)
	if b.Dial != nil {
		opts = append(opts, kgo.Dialer(b.Dial))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("make client of %s: %w", b.Addr, err)
	}
	return client, nil
}

// ends are the log end offsets of a topic.
func ends(ctx context.Context, client *kgo.Client, topic string) (map[int32]int64, error) {
	return offsets(ctx, client, topic, -1)
}

func offsets(ctx context.Context, client *kgo.Client, topic string, timestamp int64) (map[int32]int64, error) {
	ask := kmsg.NewMetadataRequest()
	named := kmsg.NewMetadataRequestTopic()
	named.Topic = &topic
	ask.Topics = append(ask.Topics, named)
	metadata, err := ask.RequestWith(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("ask for topic %s: %w", topic, err)
	}
	request := kmsg.NewListOffsetsRequest()
	for _, t := range metadata.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, fmt.Errorf("ask for topic %s: %w", topic, err)
		}
		asked := kmsg.NewListOffsetsRequestTopic()
		asked.Topic = topic
		for _, p := range t.Partitions {
			partition := kmsg.NewListOffsetsRequestTopicPartition()
			partition.Partition, partition.Timestamp = p.Partition, timestamp
			asked.Partitions = append(asked.Partitions, partition)
		}
		request.Topics = append(request.Topics, asked)
	}
	answer, err := client.Request(ctx, &request)
	if err != nil {
		return nil, fmt.Errorf("list offsets of %s: %w", topic, err)
	}
	listed, ok := answer.(*kmsg.ListOffsetsResponse)
	if !ok {
		return nil, fmt.Errorf("list offsets of %s: unexpected answer %T", topic, answer)
	}
	found := make(map[int32]int64)
	for _, t := range listed.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("list offsets of %s: %w", topic, err)
			}
			found[p.Partition] = p.Offset
		}
	}
	return found, nil
}

func convert(topic string, records []Record) []*kgo.Record {
	out := make([]*kgo.Record, len(records))
	for i, r := range records {
		//nolint:gosec // a test's partition number
		out[i] = &kgo.Record{Topic: topic, Partition: int32(r.Partition), Key: r.Key, Value: r.Value, Timestamp: r.Time}
		for _, h := range r.Headers {
			out[i].Headers = append(out[i].Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
	}
	return out
}

func revert(r *kgo.Record) Record {
	out := Record{Partition: int(r.Partition), Offset: r.Offset, Key: r.Key, Value: r.Value, Time: r.Timestamp}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, schemas.Header{Key: h.Key, Value: h.Value})
	}
	return out
}

func pause(ctx context.Context) error {
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
