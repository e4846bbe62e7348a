package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/describegroups"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// groupPause lies between two questions about a group whose coordinator is not there yet: the first group that a
// cluster is asked about makes it create the topic of the offsets.
const groupPause = 200 * time.Millisecond

// Right is what the worker has to be allowed on one resource.
type Right struct {
	// Kind is "topic" or "group".
	Kind, Name string
	// Operations are in the words of kafka-acls.sh. Never empty.
	Operations []kafkago.ACLOperationType
}

func topicRight(name string, operations ...kafkago.ACLOperationType) Right {
	return Right{Kind: "topic", Name: name, Operations: operations}
}

// RightsError says what the worker's principal is not allowed and needs. No waiting mends it: a person has to.
type RightsError struct{ Missing []Right }

// Error names every right once, and resources that lack the same ones together.
func (e *RightsError) Error() string {
	var texts []string
	for i := 0; i < len(e.Missing); {
		first := e.Missing[i]
		names := []string{first.Name}
		for i++; i < len(e.Missing) && e.Missing[i].Kind == first.Kind && slices.Equal(e.Missing[i].Operations, first.Operations); i++ {
			names = append(names, e.Missing[i].Name)
		}
		operations := make([]string, len(first.Operations))
		for k, op := range first.Operations {
			operations[k] = op.String()
		}
		text := strings.Join(operations, " and ") + " on " + first.Kind
		if len(names) > 1 {
			text += "s"
		}
		texts = append(texts, text+" "+strings.Join(names, ", "))
	}
	return "missing rights: " + strings.Join(texts, "; ")
}

// CheckRights looks whether the worker may do what it does with the topics of the installation and these groups. It
// asks for the operations that the brokers would allow, and touches nothing. Brokers that do not tell are believed to
// allow everything, and so are topics that do not exist: Check names those.
//
// It returns a *RightsError with everything that is missing, an *UnreachableError when waiting may help, and any other
// error as the broker gave it.
func CheckRights(ctx context.Context, conn Config, topics Topics, groups []string) error {
	if err := errors.Join(conn.Validate(), topics.Validate()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	transport := conn.Transport(topics.All()...)
	defer transport.CloseIdleConnections()

	allowed, err := allowedTopics(ctx, conn, transport, topics.All())
	if err != nil {
		return err
	}
	denied, err := deniedSettings(ctx, conn.Client(transport, askTimeout), allowed)
	if err != nil {
		return err
	}
	var missing []Right
	for _, need := range topics.rights() {
		if allowed[need.Name] == nothing && !denied[need.Name] {
			allowed[need.Name] = 1 << kafkago.ACLOperationTypeDescribeConfigs
		}
		if lacks := allowed[need.Name].without(need.Operations); len(lacks) > 0 {
			missing = append(missing, topicRight(need.Name, lacks...))
		}
	}
	for _, group := range groups {
		ops, err := allowedGroup(ctx, conn, transport, group)
		if err != nil {
			return err
		}
		if lacks := ops.without([]kafkago.ACLOperationType{kafkago.ACLOperationTypeRead}); len(lacks) > 0 {
			missing = append(missing, Right{Kind: "group", Name: group, Operations: lacks})
		}
	}
	if len(missing) > 0 {
		return &RightsError{Missing: missing}
	}
	return nil
}

// rights are what a running worker does with each topic. Read and Write bring Describe with them
// (https://kafka.apache.org/documentation/#security_authz).
func (t Topics) rights() []Right {
	const (
		read, write = kafkago.ACLOperationTypeRead, kafkago.ACLOperationTypeWrite
		judge       = kafkago.ACLOperationTypeDescribeConfigs
	)
	var rights []Right
	for _, name := range t.All() {
		operations := []kafkago.ACLOperationType{write, judge}
		switch {
		case t.Tier(name) > 0, name == t.Signals(), name == t.Results():
			operations = []kafkago.ACLOperationType{read, write, judge}
		case name == t.Commands(), name == t.Backfill():
			operations = []kafkago.ACLOperationType{read, judge}
		}
		rights = append(rights, topicRight(name, operations...))
	}
	return rights
}

// allowed are the operations on a resource, a bit for each by its number in the protocol (KIP-430).
type allowed int32

const (
	// everything is what a broker that does not tell is believed to allow.
	everything allowed = -1
	nothing    allowed = 0
)

// told reads the field of an answer. Who may see a resource at all may Describe it, so a field without that bit is not
// an answer: brokers before 2.3 have no such field, and others send its default.
func told(field int32) allowed {
	if field > 0 && field&(1<<kafkago.ACLOperationTypeDescribe) != 0 {
		return allowed(field)
	}
	return everything
}

// without lists which of the operations are not allowed.
func (a allowed) without(operations []kafkago.ACLOperationType) []kafkago.ACLOperationType {
	var lacks []kafkago.ACLOperationType
	for _, op := range operations {
		if a&(1<<op) == 0 {
			lacks = append(lacks, op)
		}
	}
	return lacks
}

func allowedTopics(ctx context.Context, conn Config, transport *kafkago.Transport, names []string) (map[string]allowed, error) {
	answer, err := askFreshMetadata(ctx, conn, transport, &metadata.Request{TopicNames: names, IncludeTopicAuthorizedOperations: true})
	if err != nil {
		return nil, mark(fmt.Errorf("ask for the rights on topics: %w", err))
	}
	all := make(map[string]allowed, len(names))
	for _, topic := range answer.Topics {
		all[topic.Name] = told(topic.TopicAuthorizedOperations)
		if code := kafkago.Error(topic.ErrorCode); code == kafkago.TopicAuthorizationFailed {
			all[topic.Name] = nothing
		} else if code == kafkago.UnknownTopicOrPartition {
			all[topic.Name] = everything
		} else if code != 0 {
			return nil, mark(fmt.Errorf("ask for the rights on topic %s: %w", topic.Name, code))
		}
	}
	return all, nil
}

// deniedSettings asks for the settings of the topics that may not be seen: the right to them is one of its own.
func deniedSettings(ctx context.Context, client *kafkago.Client, allowed map[string]allowed) (map[string]bool, error) {
	request := &kafkago.DescribeConfigsRequest{}
	for name, operations := range allowed {
		if operations == nothing {
			request.Resources = append(request.Resources, settingsOf(name))
		}
	}
	if len(request.Resources) == 0 {
		return nil, nil
	}
	answer, err := client.DescribeConfigs(ctx, request)
	if err != nil {
		return nil, mark(fmt.Errorf("describe topics: %w", err))
	}
	denied := make(map[string]bool)
	for _, resource := range answer.Resources {
		denied[resource.ResourceName] = errors.Is(resource.Error, kafkago.TopicAuthorizationFailed)
	}
	return denied, nil
}

// allowedGroup asks until the group has a coordinator, or ctx ends.
func allowedGroup(ctx context.Context, conn Config, transport *kafkago.Transport, group string) (allowed, error) {
	request := &describegroups.Request{Groups: []string{group}, IncludeAuthorizedOperations: true}
	for {
		message, err := transport.RoundTrip(ctx, conn.Addr(), request)
		if err != nil {
			return nothing, mark(fmt.Errorf("ask for the rights on group %s: %w", group, err))
		}
		answer, ok := message.(*describegroups.Response)
		if !ok || len(answer.Groups) != 1 {
			return nothing, fmt.Errorf("ask for the rights on group %s: unexpected answer %T", group, message)
		}
		code := kafkago.Error(answer.Groups[0].ErrorCode)
		switch {
		case code == 0:
			return told(answer.Groups[0].AuthorizedOperations), nil
		case code == kafkago.GroupAuthorizationFailed:
			return nothing, nil
		case !MayPass(code):
			return nothing, fmt.Errorf("ask for the rights on group %s: %w", group, code)
		}
		timer := time.NewTimer(groupPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nothing, mark(fmt.Errorf("ask for the rights on group %s: %w", group, code))
		}
	}
}
