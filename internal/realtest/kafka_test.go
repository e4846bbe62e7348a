package realtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
)

func TestTheRealBrokerCarriesWhatTheWorkerUses(t *testing.T) {
	t.Parallel()
	addr := StartKafka(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const topic, group = "realtest.carries", "realtest.carries"
	createTopic(ctx, t, addr, topic)

	transport := &kafka.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	writer := &kafka.Writer{
		Addr: kafka.TCP(addr), Topic: topic, Balancer: kafka.Murmur2Balancer{},
		RequiredAcks: kafka.RequireAll, BatchTimeout: 2 * time.Millisecond, Transport: transport,
	}
	t.Cleanup(func() { _ = writer.Close() })
	want := map[string]string{}
	var messages []kafka.Message
	for i := range 40 {
		key, value := fmt.Sprintf("payment-%d", i), fmt.Sprintf("command-%d", i)
		want[key] = value
		messages = append(messages, kafka.Message{
			Key: []byte(key), Value: []byte(value), Headers: []kafka.Header{{Key: "n", Value: []byte(value)}},
		})
	}
	if err := writer.WriteMessages(ctx, messages...); err != nil {
		t.Fatal(err)
	}

	// The group joins, reads everything, commits and leaves; a second member finds nothing left.
	got := consume(ctx, t, addr, group, topic, len(want))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the group read:\n%s", diff)
	}
	client := &kafka.Client{Addr: kafka.TCP(addr), Transport: transport}
	offsets, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{
		GroupID: group, Topics: map[string][]int{topic: {0, 1, 2, 3}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var committed int64
	for _, p := range offsets.Topics[topic] {
		if p.CommittedOffset > 0 {
			committed += p.CommittedOffset
		}
	}
	if committed != int64(len(want)) {
		t.Errorf("committed offsets add up to %d, want %d", committed, len(want))
	}
}

// consume runs one member of the group by kafka.ConsumerGroup and Generation, as the worker does, until n messages are
// read; it commits them inside the generation.
func consume(ctx context.Context, t *testing.T, addr, group, topic string, n int) map[string]string {
	t.Helper()
	begin := time.Now()
	member, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: group, Brokers: []string{addr}, Topics: []string{topic}, StartOffset: kafka.FirstOffset,
		HeartbeatInterval: 200 * time.Millisecond, SessionTimeout: 2 * time.Second, RebalanceTimeout: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := member.Close(); err != nil {
			t.Errorf("leave the group: %v", err)
		}
	}()
	gen, err := member.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("joined as generation %d after %s", gen.ID, time.Since(begin).Round(time.Millisecond))
	read := make(chan kafka.Message)
	for _, assigned := range gen.Assignments[topic] {
		gen.Start(func(ctx context.Context) {
			reader := kafka.NewReader(kafka.ReaderConfig{
				Brokers: []string{addr}, Topic: topic, Partition: assigned.ID, MaxWait: 250 * time.Millisecond,
			})
			defer func() { _ = reader.Close() }()
			if err := reader.SetOffset(assigned.Offset); err != nil {
				t.Errorf("seek partition %d: %v", assigned.ID, err)
			}
			for {
				m, err := reader.ReadMessage(ctx)
				if err != nil {
					<-ctx.Done()
					return
				}
				select {
				case read <- m:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	got, next := map[string]string{}, map[int]int64{}
	for range n {
		select {
		case m := <-read:
			got[string(m.Key)] = string(m.Headers[0].Value)
			next[m.Partition] = m.Offset + 1
		case <-ctx.Done():
			t.Fatalf("read %d of %d messages: %v", len(got), n, ctx.Err())
		}
	}
	if err := gen.CommitOffsets(map[string]map[int]int64{topic: next}); err != nil {
		t.Errorf("commit: %v", err)
	}
	return got
}

func TestTheRealBrokerRefusesATopicNobodyCreated(t *testing.T) {
	t.Parallel()
	addr := StartKafka(t)
	transport := &kafka.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := &kafka.Client{Addr: kafka.TCP(addr), Transport: transport}
	meta, err := client.Metadata(t.Context(), &kafka.MetadataRequest{Topics: []string{"realtest.nobody"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(meta.Topics) != 1 || meta.Topics[0].Error == nil {
		t.Errorf("topics %+v, want one unknown topic", meta.Topics)
	}
}

func TestTheBrokerIsSharedByTheTestsOfAProcess(t *testing.T) {
	t.Parallel()
	if a, b := StartKafka(t), StartKafka(t); a != b {
		t.Errorf("two brokers, %s and %s", a, b)
	}
	if shared.broker == nil {
		return // another broker was named by the environment
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", shared.broker.proc.pid))
	if err != nil {
		t.Skip("no /proc to read the broker's memory from")
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmHWM:") {
			t.Logf("peak memory of the broker so far: %s", strings.Join(strings.Fields(line)[1:], " "))
		}
	}
}

func TestABrokerThatCannotStartSaysWhyAndLeavesNoFolder(t *testing.T) {
	parts := Available()
	require(t, parts.KafkaMissing)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	parts.libs = t.TempDir() // no jars in it
	_, err := tryKafka(t.Context(), parts, KafkaOptions{})
	if err == nil || !strings.Contains(err.Error(), "StorageTool") {
		t.Errorf("tryKafka: %v, want the class that is missing", err)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestABrokerNamedByTheEnvironmentIsUsedAsItIs(t *testing.T) {
	t.Setenv(KafkaEnv, "broker.example:9092")
	if got := StartKafka(t); got != "broker.example:9092" {
		t.Errorf("StartKafka = %s, want the named one", got)
	}
}

func createTopic(ctx context.Context, t *testing.T, addr, topic string) {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = kafka.NewConn(conn, "", 0).CreateTopics(kafka.TopicConfig{Topic: topic, NumPartitions: 4, ReplicationFactor: 1})
	if err != nil {
		t.Fatal(err)
	}
	// The answer comes before every broker knows the topic's leaders.
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(addr), Transport: transport}
	eventually(t, "the topic has its leaders", func() bool {
		meta, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
		return err == nil && len(meta.Topics) == 1 && meta.Topics[0].Error == nil && len(meta.Topics[0].Partitions) == 4
	})
}
