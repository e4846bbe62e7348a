package secure

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// The names that docs/security.md uses.
const (
	documentedUser  = "refund-worker"
	documentedTopic = "refunds."
)

// documented is the text of one fenced block of docs/security.md, by the word after its fence's language.
func documented(t *testing.T, block string) []string {
	t.Helper()
	raw, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(raw), "\n```sh "+block+"\n")
	text, _, closed := strings.Cut(rest, "\n```")
	if !found || !closed {
		t.Fatalf("docs/security.md has no block %q", block)
	}
	return strings.Split(strings.ReplaceAll(text, "\\\n", " "), "\n")
}

// kafkaRights are the ACLs of a documented block, for a principal and an installation of the test's own. Each command
// of the block is one kafka-acls.sh call.
func kafkaRights(t *testing.T, block, principal, prefix string) []kafkago.ACLEntry {
	t.Helper()
	var all []kafkago.ACLEntry
	for _, line := range documented(t, block) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "kafka-acls.sh" {
			t.Fatalf("%q is no kafka-acls.sh command", line)
		}
		one := kafkago.ACLEntry{
			Principal: "User:" + principal, Host: "*", PermissionType: kafkago.ACLPermissionTypeAllow,
			ResourcePatternType: kafkago.PatternTypeLiteral,
		}
		var operations []kafkago.ACLOperationType
		for i := 1; i+1 < len(words); i++ {
			value := words[i+1]
			switch words[i] {
			case "--operation":
				var op kafkago.ACLOperationType
				if err := op.UnmarshalText([]byte(value)); err != nil {
					t.Fatal(err)
				}
				operations = append(operations, op)
			case "--topic":
				one.ResourceType = kafkago.ResourceTypeTopic
				one.ResourceName = prefix + "." + strings.TrimPrefix(value, documentedTopic)
			case "--group":
				one.ResourceType = kafkago.ResourceTypeGroup
				one.ResourceName = prefix + strings.TrimPrefix(value, documentedUser)
			case "--resource-pattern-type":
				if err := one.ResourcePatternType.UnmarshalText([]byte(value)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(operations) == 0 || one.ResourceName == "" {
			t.Fatalf("%q grants nothing", line)
		}
		for _, op := range operations {
			one.Operation = op
			all = append(all, one)
		}
	}
	return all
}

// without leaves out one right.
func without(all []kafkago.ACLEntry, resource string, op kafkago.ACLOperationType) []kafkago.ACLEntry {
	return slices.DeleteFunc(slices.Clone(all), func(e kafkago.ACLEntry) bool {
		return e.ResourceName == resource && e.Operation == op
	})
}

// setRights takes every right from a principal on an installation and gives it these, and returns when the broker
// knows.
func setRights(t *testing.T, broker, principal, prefix string, rights []kafkago.ACLEntry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	transport := &kafkago.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafkago.Client{Addr: kafkago.TCP(broker), Transport: transport}

	owned := func() []kafkago.DeleteACLsFilter {
		answer, err := client.DescribeACLs(ctx, &kafkago.DescribeACLsRequest{Filter: kafkago.ACLFilter{
			ResourceTypeFilter: kafkago.ResourceTypeAny, ResourcePatternTypeFilter: kafkago.PatternTypeAny,
			PrincipalFilter: "User:" + principal,
			Operation:       kafkago.ACLOperationTypeAny, PermissionType: kafkago.ACLPermissionTypeAny,
		}})
		if err != nil {
			t.Fatal(err)
		}
		var list []kafkago.DeleteACLsFilter
		for _, resource := range answer.Resources {
			if !strings.HasPrefix(resource.ResourceName, prefix) {
				continue
			}
			for _, acl := range resource.ACLs {
				list = append(list, kafkago.DeleteACLsFilter{
					ResourceTypeFilter: resource.ResourceType, ResourceNameFilter: resource.ResourceName,
					ResourcePatternTypeFilter: resource.PatternType, PrincipalFilter: acl.Principal, HostFilter: acl.Host,
					Operation: acl.Operation, PermissionType: acl.PermissionType,
				})
			}
		}
		return list
	}
	if old := owned(); len(old) > 0 {
		answer, err := client.DeleteACLs(ctx, &kafkago.DeleteACLsRequest{Filters: old})
		if err != nil {
			t.Fatal(err)
		}
		for _, result := range answer.Results {
			if result.Error != nil {
				t.Fatal(result.Error)
			}
		}
		until(t, "the taking of rights", 10*time.Second, func(context.Context) bool { return len(owned()) == 0 })
	}
	answer, err := client.CreateACLs(ctx, &kafkago.CreateACLsRequest{ACLs: rights})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range answer.Errors {
		if err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the granting of rights", 10*time.Second, func(context.Context) bool { return len(owned()) == len(rights) })
}

// keyPrefix is what the tests' records begin with at Redis.
const keyPrefix = "money"

// redisRights are the arguments of redis-server that make the documented ACL user, with a password and key prefix of
// the test's own.
func redisRights(t *testing.T, password, prefix string) []string {
	t.Helper()
	lines := documented(t, "redis")
	words := strings.Fields(lines[0])
	if len(lines) != 1 || len(words) < 4 || !slices.Equal(words[:4], []string{"redis-cli", "ACL", "SETUSER", documentedUser}) {
		t.Fatalf("the documented Redis user is no ACL SETUSER command: %q", lines)
	}
	args := []string{"--user", documentedUser}
	for _, word := range words[4:] {
		word = strings.Trim(word, "'")
		switch {
		case strings.HasPrefix(word, ">"):
			word = ">" + password
		case strings.HasPrefix(word, "~"):
			word = strings.Replace(word, "refund:", prefix+":", 1)
		}
		args = append(args, word)
	}
	return append(args, "--user", "default", "off")
}

func fmtFiles(p pair, ca string) string {
	return fmt.Sprintf("{ca_file: %q, cert_file: %q, key_file: %q}", ca, p.cert, p.key)
}
