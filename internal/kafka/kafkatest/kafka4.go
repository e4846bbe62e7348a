package kafkatest

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// RequireKafka4 makes an embedded broker refuse the request versions that Kafka 4.0 no longer takes (KIP-896), and
// fails the test when a client sends one. kafka-go up to v0.4.47 did.
func (b *Broker) RequireKafka4(tb testing.TB) {
	tb.Helper()
	least := map[kmsg.Key]int16{
		kmsg.Produce: 3, kmsg.Fetch: 4, kmsg.ListOffsets: 1, kmsg.OffsetCommit: 2, kmsg.OffsetFetch: 1,
		kmsg.JoinGroup: 2, kmsg.CreateTopics: 2, kmsg.DeleteTopics: 1, kmsg.DescribeConfigs: 1,
	}
	b.Cluster.ControlKey(-1, func(request kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster.KeepControl()
		key, version := kmsg.Key(request.Key()), request.GetVersion()
		if version >= least[key] {
			return nil, nil, false
		}
		tb.Errorf("%s v%d was sent; Kafka 4.0 takes v%d and later", key.Name(), version, least[key])
		return nil, fmt.Errorf("unsupported version %d of %s", version, key.Name()), true
	})
}
