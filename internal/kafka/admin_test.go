package kafka_test

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"refundworker/internal/kafka"
	"refundworker/internal/kafka/kafkatest"
)

var oneReplica = kafka.Layout{Partitions: 2, Replication: 1, MinInSync: 1}

func installation(tb testing.TB) kafka.Topics {
	tb.Helper()
	return kafka.Topics{Prefix: kafkatest.Name(tb), Tiers: []time.Duration{10 * time.Second, time.Minute}}
}

func timeout(tb testing.TB, d time.Duration) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), d)
	tb.Cleanup(cancel)
	return ctx
}

func TestCreateMakesWhatCheckAccepts(t *testing.T) {
	t.Parallel()
	broker, topics := kafkatest.Any(t), installation(t)
	ctx := timeout(t, 30*time.Second)

	created, err := kafka.Create(ctx, broker.Config(), topics, oneReplica)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	for i, name := range topics.All() {
		if want := (kafka.Created{Topic: name}); created[i] != want {
			t.Errorf("created[%d] = %+v, want %+v", i, created[i], want)
		}
	}
	if err := kafka.Check(ctx, broker.Config(), topics, 1); err != nil {
		t.Errorf("check: %v", err)
	}
	transport := broker.Config().Transport(topics.All()...)
	t.Cleanup(transport.CloseIdleConnections)
	counts, err := kafka.Partitions(ctx, broker.Config().Client(transport, 5*time.Second), topics.All())
	if err != nil {
		t.Fatalf("partitions: %v", err)
	}
	for _, name := range topics.All() {
		if counts[name] != 2 {
			t.Errorf("%s has %d partitions, want 2", name, counts[name])
		}
	}
}

func TestCreateIsRepeatableAndAltersNothing(t *testing.T) {
	t.Parallel()
	broker, topics := kafkatest.Any(t), installation(t)
	ctx := timeout(t, 30*time.Second)
	if err := broker.CreateTopic(ctx, topics.Results(), 1, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		created, err := kafka.Create(ctx, broker.Config(), topics, oneReplica)
		if err != nil {
			t.Fatalf("create: %v", err)
		}
		for _, c := range created {
			if want := round == 1 || c.Topic == topics.Results(); c.Existed != want {
				t.Errorf("round %d: %s existed = %t, want %t", round, c.Topic, c.Existed, want)
			}
		}
	}
	var unfit *kafka.TopicsError
	if err := kafka.Check(ctx, broker.Config(), topics, 1); !errors.As(err, &unfit) {
		t.Fatalf("check = %v, want a TopicsError: the compacted topic must not have been altered", err)
	}
	want := []kafka.Finding{{Topic: topics.Results(), Problem: kafka.Compacted, Have: "compact", Want: "delete"}}
	// The broker's default message size is above CommandBytes, so the policy is the only finding.
	if diff := cmp.Diff(want, unfit.Findings); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestCheckNamesEveryUnfitTopicAtOnce(t *testing.T) {
	t.Parallel()
	broker, topics := kafkatest.Any(t), installation(t)
	ctx := timeout(t, 30*time.Second)
	good := map[string]string{"max.message.bytes": "3145728"}
	with := func(name, value string) map[string]string {
		configs := maps.Clone(good)
		configs[name] = value
		return configs
	}
	for topic, configs := range map[string]map[string]string{
		topics.Commands():              with("max.message.bytes", "2097152"),
		topics.Backfill():              {"cleanup.policy": "compact,delete"},
		topics.Retry(10 * time.Second): with("retention.ms", "3600000"),
		topics.Results():               with("max.message.bytes", "1000"),
		topics.DeadLetters():           {"max.message.bytes": "2097152"},
		topics.Retry(time.Minute):      good,
	} {
		if err := broker.CreateTopic(ctx, topic, 1, configs); err != nil {
			t.Fatal(err)
		}
	}
	var unfit *kafka.TopicsError
	if err := kafka.Check(ctx, broker.Config(), topics, 1); !errors.As(err, &unfit) {
		t.Fatalf("check = %v, want a TopicsError", err)
	}
	type pair struct {
		topic   string
		problem kafka.Problem
	}
	var got []pair
	for _, f := range unfit.Findings {
		got = append(got, pair{f.Topic, f.Problem})
	}
	for _, want := range []pair{
		{topics.Backfill(), kafka.Compacted},
		{topics.Retry(10 * time.Second), kafka.TooShort},
		{topics.Results(), kafka.TooSmall},
		{topics.DeadLetters(), kafka.TooSmall},
		{topics.Signals(), kafka.Missing},
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no finding %v in %v", want, unfit)
		}
	}
	if len(got) != 5 {
		t.Errorf("%d findings, want 5: %v", len(got), unfit)
	}
}

func TestCheckAsksForEnoughInSyncReplicasAndForReplicasToMeetThem(t *testing.T) {
	t.Parallel()
	broker, topics := kafkatest.Start(t), installation(t)
	ctx := timeout(t, 30*time.Second)
	if _, err := kafka.Create(ctx, broker.Config(), topics, oneReplica); err != nil {
		t.Fatal(err)
	}
	var unfit *kafka.TopicsError
	if err := kafka.Check(ctx, broker.Config(), topics, 2); !errors.As(err, &unfit) || len(unfit.Findings) != len(topics.All()) {
		t.Fatalf("check = %v, want one finding for each of %d topics", err, len(topics.All()))
	}
	for _, f := range unfit.Findings {
		if f.Problem != kafka.TooFewInSync || f.Have != "1" || f.Want != "2" {
			t.Errorf("finding %+v, want min.insync.replicas 1 below 2", f)
		}
	}
}

func TestAnUnreachableBrokerIsToldFromAnUnfitTopic(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn := kafka.Config{Brokers: []string{listener.Addr().String()}}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	topics := installation(t)
	_, createErr := kafka.Create(timeout(t, 5*time.Second), conn, topics, oneReplica)
	_, formerErr := kafka.FormerTiers(timeout(t, 5*time.Second), conn, topics)
	for name, err := range map[string]error{
		"check": kafka.Check(timeout(t, 5*time.Second), conn, topics, 1), "create": createErr, "former tiers": formerErr,
	} {
		if _, ok := errors.AsType[*kafka.UnreachableError](err); !ok {
			t.Errorf("%s = %v, want an UnreachableError", name, err)
		}
	}
}

func TestABrokerThatRefusesIsNotUnreachable(t *testing.T) {
	t.Parallel()
	broker, topics := kafkatest.Start(t), installation(t)
	ctx := timeout(t, 30*time.Second)
	broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Err: kerr.TopicAuthorizationFailed})
	_, err := kafka.Create(ctx, broker.Config(), topics, oneReplica)
	var unreachable *kafka.UnreachableError
	if err == nil || errors.As(err, &unreachable) {
		t.Errorf("create = %v, want the broker's refusal", err)
	}
	if _, err := kafka.Create(ctx, broker.Config(), topics, oneReplica); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		err  *kerr.Error
		wait bool
	}{{kerr.TopicAuthorizationFailed, false}, {kerr.RequestTimedOut, true}} {
		handle := broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Err: c.err, Count: -1})
		err := kafka.Check(ctx, broker.Config(), topics, 1)
		if err == nil || errors.As(err, &unreachable) != c.wait {
			t.Errorf("check under %v = %v, want unreachable: %t", c.err, err, c.wait)
		}
		handle.Remove()
	}
}

func TestFormerTiersAreListed(t *testing.T) {
	t.Parallel()
	broker, topics := kafkatest.Any(t), installation(t)
	ctx := timeout(t, 30*time.Second)
	for _, suffix := range []string{".retry.10s", ".retry.5m", ".retry.30s", ".retry.300s", ".retry.soon", ".commands"} {
		if err := broker.CreateTopic(ctx, topics.Prefix+suffix, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	former, err := kafka.FormerTiers(ctx, broker.Config(), topics)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]time.Duration{30 * time.Second, 5 * time.Minute}, former); diff != "" {
		t.Errorf("former tiers (-want +got):\n%s", diff)
	}
}

func TestBadArgumentsAreRefusedBeforeAnythingIsAsked(t *testing.T) {
	t.Parallel()
	good, topics := kafka.Config{Brokers: []string{"127.0.0.1:1"}}, installation(t)
	for name, layout := range map[string]kafka.Layout{
		"no partitions":  {Replication: 1, MinInSync: 1},
		"no replication": {Partitions: 1, MinInSync: 1},
		"no in-sync":     {Partitions: 1, Replication: 1},
		"too much":       {Partitions: 1, Replication: 2, MinInSync: 3},
	} {
		_, err := kafka.Create(t.Context(), good, topics, layout)
		var unreachable *kafka.UnreachableError
		if err == nil || errors.As(err, &unreachable) {
			t.Errorf("%s: create = %v, want a refusal", name, err)
		}
	}
	if err := kafka.Check(t.Context(), kafka.Config{}, topics, 1); err == nil {
		t.Error("check took a connection without brokers")
	}
	if _, err := kafka.FormerTiers(t.Context(), good, kafka.Topics{}); err == nil {
		t.Error("former tiers took topics without a prefix")
	}
}
