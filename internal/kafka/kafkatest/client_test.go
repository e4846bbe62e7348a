package kafkatest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"refundworker/internal/kafka/kafkatest"
	"refundworker/schemas"
)

func TestWhatIsProducedIsReadBackWhereItWasPut(t *testing.T) {
	t.Parallel()
	broker, topic := kafkatest.Any(t), kafkatest.Name(t)
	ctx := t.Context()
	if err := broker.CreateTopic(ctx, topic, 3, nil); err != nil {
		t.Fatal(err)
	}
	at := time.UnixMilli(1_700_000_000_000)
	in := []kafkatest.Record{
		{Partition: 0, Key: []byte("a"), Value: []byte("1"), Headers: []schemas.Header{{Key: "h", Value: []byte("x")}}, Time: at},
		{Partition: 2, Offset: 0, Key: []byte("b"), Value: []byte("2"), Time: at},
		{Partition: 2, Offset: 1, Value: []byte("3"), Time: at},
	}
	if err := broker.Produce(ctx, topic, in...); err != nil {
		t.Fatal(err)
	}
	out, err := kafkatest.At(broker.Addr).ReadAll(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Errorf("records (-in +out):\n%s", diff)
	}
}

func TestATransactionLeavesItsRecordsAndReadingEnds(t *testing.T) {
	t.Parallel()
	broker, topic := kafkatest.Any(t), kafkatest.Name(t)
	ctx := t.Context()
	if err := broker.CreateTopic(ctx, topic, 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := broker.ProduceInTransaction(ctx, topic, topic, true, kafkatest.Record{Value: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	if err := broker.ProduceInTransaction(ctx, topic, topic, false, kafkatest.Record{Value: []byte("2")}); err != nil {
		t.Fatal(err)
	}
	out, err := broker.ReadAll(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != 2 || out[1].Offset != 2 {
		t.Errorf("read %+v, want two records with a control record between them", out)
	}
	committed, err := broker.Committed(ctx, "nobody-"+topic, topic)
	if err != nil || len(committed) != 0 {
		t.Errorf("committed = %v, %v; want none for a group that never was", committed, err)
	}
	if err := broker.DeleteTopic(ctx, topic); err != nil {
		t.Fatal(err)
	}
	if err := broker.Produce(ctx, "missing-"+topic); err != nil {
		t.Errorf("produce of nothing = %v", err)
	}
	if _, err := broker.ReadAll(ctx, "missing-"+topic); err == nil {
		t.Error("a missing topic was read")
	}
}
