package kafka_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"refundworker/internal/kafka"
	"refundworker/internal/kafka/kafkatest"
)

func TestABrokerWithoutAuthorizerAllowsEverything(t *testing.T) {
	t.Parallel()
	broker, topics := kafkatest.Any(t), installation(t)
	ctx := timeout(t, 30*time.Second)
	groups := []string{topics.Prefix, topics.Prefix + ".retry"}
	// Topics that are missing are Check's to name.
	if err := kafka.CheckRights(ctx, broker.Config(), topics, groups); err != nil {
		t.Errorf("before the topics exist: %v", err)
	}
	if _, err := kafka.Create(ctx, broker.Config(), topics, oneReplica); err != nil {
		t.Fatal(err)
	}
	if err := kafka.CheckRights(ctx, broker.Config(), topics, groups); err != nil {
		t.Errorf("rights: %v", err)
	}
}

// field is the bitfield of operations by their numbers in the protocol.
func field(operations ...int) int32 {
	var bits int32
	for _, op := range operations {
		bits |= 1 << op
	}
	return bits
}

const (
	opRead, opWrite, opDescribe, opDescribeConfigs = 3, 4, 8, 10
	notTold                                        = -1 << 31
)

// rightsOf makes an embedded broker tell these operations of topics, by the end of the name, and of every group.
func rightsOf(broker *kafkatest.Broker, topics map[string]int32, group int32, groupCode int16) {
	broker.Cluster.ControlKey(int16(kmsg.DescribeGroups), func(req kmsg.Request) (kmsg.Response, error, bool) {
		broker.Cluster.KeepControl()
		asked, ok := req.(*kmsg.DescribeGroupsRequest)
		if !ok || !asked.IncludeAuthorizedOperations {
			return nil, errors.New("not asked for authorized operations"), true
		}
		answer, ok := asked.ResponseKind().(*kmsg.DescribeGroupsResponse)
		if !ok {
			return nil, errors.New("no answer to groups"), true
		}
		for _, name := range asked.Groups {
			one := kmsg.NewDescribeGroupsResponseGroup()
			one.Group, one.AuthorizedOperations, one.ErrorCode = name, group, groupCode
			answer.Groups = append(answer.Groups, one)
		}
		return answer, nil, true
	})
	broker.Cluster.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		broker.Cluster.KeepControl()
		asked, ok := req.(*kmsg.MetadataRequest)
		if !ok || !asked.IncludeTopicAuthorizedOperations {
			return nil, nil, false
		}
		answer, ok := asked.ResponseKind().(*kmsg.MetadataResponse)
		if !ok {
			return nil, errors.New("no answer to metadata"), true
		}
		for _, topic := range asked.Topics {
			one := kmsg.NewMetadataResponseTopic()
			one.Topic, one.AuthorizedOperations = topic.Topic, field(opRead, opWrite, opDescribe, opDescribeConfigs)
			for suffix, bits := range topics {
				if strings.HasSuffix(*topic.Topic, suffix) {
					one.AuthorizedOperations = bits
					if bits == 0 {
						one.ErrorCode = kerr.TopicAuthorizationFailed.Code
					}
				}
			}
			answer.Topics = append(answer.Topics, one)
		}
		return answer, nil, true
	})
	broker.Cluster.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		broker.Cluster.KeepControl()
		asked, ok := req.(*kmsg.DescribeConfigsRequest)
		if !ok {
			return nil, errors.New("not asked for settings"), true
		}
		answer, ok := asked.ResponseKind().(*kmsg.DescribeConfigsResponse)
		if !ok {
			return nil, errors.New("no answer to settings"), true
		}
		for _, resource := range asked.Resources {
			one := kmsg.NewDescribeConfigsResponseResource()
			one.ResourceType, one.ResourceName = resource.ResourceType, resource.ResourceName
			// The results' settings may be read, unlike all others that are asked for here.
			if !strings.HasSuffix(resource.ResourceName, ".results") {
				one.ErrorCode = kerr.TopicAuthorizationFailed.Code
			}
			answer.Resources = append(answer.Resources, one)
		}
		return answer, nil, true
	})
}

func TestMissingRightsAreNamedAtOnceInOneLine(t *testing.T) {
	t.Parallel()
	full, read := field(opRead, opWrite, opDescribe, opDescribeConfigs), field(opRead, opDescribe)
	for name, tc := range map[string]struct {
		topics map[string]int32
		group  int32
		code   int16
		// want is the error with P for the prefix; empty: none.
		want string
	}{
		"all there":                                      {nil, full, 0, ""},
		"brokers that do not tell":                       {map[string]int32{".results": notTold, ".commands": 0x10}, notTold, 0, ""},
		"more than what is needed":                       {map[string]int32{".commands": 0x7ffffff8}, 0x7ffffff8, 0, ""},
		"a topic that may not be seen":                   {map[string]int32{".signals": 0}, full, 0, "Read and Write and DescribeConfigs on topic P.signals"},
		"a topic of which only the settings may be seen": {map[string]int32{".results": 0}, full, 0, "Read and Write on topic P.results"},
		"a group that may only be seen":                  {nil, field(opDescribe), 0, "Read on groups P, P.retry"},
		"a group that may not be seen":                   {nil, 0, kerr.GroupAuthorizationFailed.Code, "Read on groups P, P.retry"},
		"what is alike is said together":                 {map[string]int32{".10s": read, ".1m": read}, full, 0, "Write and DescribeConfigs on topics P.retry.10s, P.retry.1m"},
		"several": {
			map[string]int32{".commands": field(opDescribe, opDescribeConfigs), ".results": field(opDescribe, opDescribeConfigs), ".deadletters": 0},
			field(opDescribe), 0,
			"Read on topic P.commands; Read and Write on topic P.results; Write and DescribeConfigs on topic P.deadletters; Read on groups P, P.retry",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker, topics := kafkatest.Start(t), installation(t)
			rightsOf(broker, tc.topics, tc.group, tc.code)
			err := kafka.CheckRights(timeout(t, 30*time.Second), broker.Config(), topics, []string{topics.Prefix, topics.Prefix + ".retry"})
			got, want := "", tc.want
			if err != nil {
				if _, missing := errors.AsType[*kafka.RightsError](err); !missing {
					t.Errorf("%v is no RightsError", err)
				}
				got = err.Error()
			}
			if want != "" {
				want = "missing rights: " + strings.ReplaceAll(want, "P.", topics.Prefix+".")
				want = strings.ReplaceAll(want, " P,", " "+topics.Prefix+",")
			}
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestAGroupWithoutCoordinatorIsAskedAboutAgain(t *testing.T) {
	t.Parallel()
	broker, topics := kafkatest.Start(t), installation(t)
	broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeGroups}, Err: kerr.CoordinatorNotAvailable, Count: 2})
	if err := kafka.CheckRights(timeout(t, 30*time.Second), broker.Config(), topics, []string{topics.Prefix}); err != nil {
		t.Errorf("rights: %v", err)
	}
	broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeGroups}, Err: kerr.CoordinatorNotAvailable, Count: -1})
	err := kafka.CheckRights(timeout(t, time.Second), broker.Config(), topics, []string{topics.Prefix})
	if _, away := errors.AsType[*kafka.UnreachableError](err); !away {
		t.Errorf("rights without a coordinator = %v, want an UnreachableError", err)
	}
}

func TestTopicsThatMayNotBeCreatedAreNamedInOneError(t *testing.T) {
	t.Parallel()
	broker, topics := kafkatest.Start(t), installation(t)
	ctx := timeout(t, 30*time.Second)
	broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Err: kerr.TopicAuthorizationFailed})
	_, err := kafka.Create(ctx, broker.Config(), topics, oneReplica)
	refused, ok := errors.AsType[*kafka.RightsError](err)
	if !ok || len(refused.Missing) != len(topics.All()) || strings.Count(err.Error(), "Create on topics ") != 1 {
		t.Errorf("create = %v, want a RightsError of %d topics", err, len(topics.All()))
	}
}
