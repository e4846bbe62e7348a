package realtest

import (
	"net"
	"testing"

	"github.com/segmentio/kafka-go"
)

func TestABrokerOfATestsOwnAnswersOnItsListenersUntilItIsKilled(t *testing.T) {
	t.Parallel()
	own := StartOwnKafka(t, KafkaOptions{
		Listeners: []Listener{{Name: "EXTRA", Protocol: "PLAINTEXT"}}, Properties: []string{"num.partitions=7"},
	})
	if own.Listener("OTHER") != "" {
		t.Errorf("a listener nobody asked for: %s", own.Listener("OTHER"))
	}
	transport := &kafka.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := &kafka.Client{Addr: kafka.TCP(own.Listener("EXTRA")), Transport: transport}
	answer, err := client.DescribeConfigs(t.Context(), &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{{
			ResourceType: kafka.ResourceTypeBroker, ResourceName: "1", ConfigNames: []string{"num.partitions"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	// The template's own value stands first; a later line wins.
	if got := answer.Resources[0].ConfigEntries[0].ConfigValue; got != "7" {
		t.Errorf("num.partitions is %s, want 7", got)
	}
	if err := own.Kill(); err != nil {
		t.Fatal(err)
	}
	if conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", own.Addr); err == nil {
		conn.Close()
		t.Error("the broker still listens")
	}
}
