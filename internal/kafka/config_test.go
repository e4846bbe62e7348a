package kafka_test

import (
	"testing"
	"time"

	"refundworker/internal/kafka"
)

func TestConfigRefusesBrokersThatCannotBeDialled(t *testing.T) {
	t.Parallel()
	for _, brokers := range [][]string{nil, {"host"}, {":9092"}, {"host:"}, {"host:0"}, {"host:70000"}, {"host:x"}, {"a:1", "b"}} {
		if (kafka.Config{Brokers: brokers}).Validate() == nil {
			t.Errorf("brokers %q: accepted", brokers)
		}
	}
	if err := (kafka.Config{Brokers: []string{"127.0.0.1:9092", "[::1]:9092", "kafka:19092"}}).Validate(); err != nil {
		t.Errorf("good brokers: %v", err)
	}
}

func TestDialerAndTransportCarryTheSettings(t *testing.T) {
	t.Parallel()
	conn := kafka.Config{
		Brokers: []string{"127.0.0.1:9092"}, ClientID: "me",
	}
	dialer, transport := conn.Dialer(), conn.Transport("a", "b")
	if dialer.SASLMechanism != nil || transport.SASL != nil {
		t.Error("a login that nobody asked for")
	}
	if dialer.ClientID != "me" || transport.ClientID != "me" {
		t.Error("the client ID is not passed on")
	}
	if dialer.Timeout <= 0 || dialer.Timeout > 5*time.Second {
		t.Errorf("dial timeout %s is not bounded", dialer.Timeout)
	}
	// A leader that moved is found again after this; writers try for 2.4 s.
	if transport.MetadataTTL <= 0 || transport.MetadataTTL > 2*time.Second {
		t.Errorf("metadata TTL %s: must be up to 2 s", transport.MetadataTTL)
	}
	if len(transport.MetadataTopics) != 2 {
		t.Errorf("metadata topics %q: want those named", transport.MetadataTopics)
	}
	if text := conn.String(); text != "127.0.0.1:9092" {
		t.Errorf("String() = %q: must name the brokers and nothing else", text)
	}
}
