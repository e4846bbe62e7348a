package worker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	kafkago "github.com/segmentio/kafka-go"

	"refundworker/dedupe"
	"refundworker/internal/config"
	"refundworker/internal/kafka"
	"refundworker/refund"
)

// replies make errors as the driver makes them of a server's answers.
func replies(t *testing.T) func(string) error {
	t.Helper()
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	return func(text string) error {
		server.SetError(text)
		return client.Ping(t.Context()).Err()
	}
}

func installed() config.Config {
	return config.Config{
		Kafka: config.Kafka{Brokers: []string{"k1:9092", "k2:9092"}},
		Redis: config.Redis{Addresses: []string{"r1:6379"}},
	}
}

// away is how the store wraps all that it hears from a server.
func away(err error) error {
	return fmt.Errorf("check redis: %w", fmt.Errorf("%w: %w", refund.ErrStoreUnavailable, err))
}

func TestARefusalIsOneLineThatSaysWhatWhereAndWhatToDo(t *testing.T) {
	t.Parallel()
	reply := replies(t)
	untrusted := &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
	alert := &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}
	behind := installed()
	behind.Redis.MasterName, behind.Redis.Addresses = "refunds", []string{"s1:26379"}
	sentinel := func(err error) error { return away(&dedupe.SentinelError{Address: "s1:26379", Err: err}) }
	for name, tc := range map[string]struct {
		got  error
		want []string
	}{
		"kafka, untrusted":   {judgeKafka(installed(), untrusted), []string{"kafka at k1:9092,k2:9092: its certificate", "kafka.tls.ca_file"}},
		"kafka, alert":       {judgeKafka(installed(), alert), []string{"kafka at", "our side of TLS", "kafka.tls.cert_file"}},
		"kafka, no TLS":      {judgeKafka(installed(), tls.RecordHeaderError{}), []string{"kafka at", "does not speak TLS", "kafka.tls"}},
		"kafka, login":       {judgeKafka(installed(), fmt.Errorf("ask: %w", kafkago.SASLAuthenticationFailed)), []string{"refuses the login", "kafka.sasl"}},
		"kafka, mechanism":   {judgeKafka(installed(), kafkago.UnsupportedSASLMechanism), []string{"refuses the login", "kafka.sasl"}},
		"kafka, a right":     {judgeKafka(installed(), kafkago.GroupAuthorizationFailed), []string{"a right is missing", "docs/security.md"}},
		"kafka, rights":      {judgeKafka(installed(), &kafka.RightsError{Missing: []kafka.Right{{Kind: "group", Name: "g", Operations: []kafkago.ACLOperationType{kafkago.ACLOperationTypeRead}}}}), []string{"a right is missing", "Read on group g"}},
		"redis, untrusted":   {judgeRedis(installed(), away(untrusted)), []string{"redis at r1:6379: its certificate", "redis.tls.ca_file"}},
		"redis, alert":       {judgeRedis(installed(), away(alert)), []string{"redis at", "our side of TLS", "redis.tls.cert_file"}},
		"redis, login":       {judgeRedis(installed(), away(reply("WRONGPASS invalid"))), []string{"refuses the login", "redis.username and redis.password"}},
		"redis, no login":    {judgeRedis(installed(), away(reply("NOAUTH required"))), []string{"refuses the login"}},
		"redis, a right":     {judgeRedis(installed(), away(reply("NOPERM no"))), []string{"a right is missing", "docs/security.md"}},
		"redis, rights":      {judgeRedis(installed(), away(&dedupe.RightsError{Commands: []string{"HSET"}})), []string{"a right is missing", "HSET"}},
		"redis, two nodes":   {judgeRedis(installed(), away(errors.Join(reply("NOPERM one"), reply("NOPERM two")))), []string{"NOPERM one; NOPERM two"}},
		"redis, by sentinel": {judgeRedis(behind, away(reply("WRONGPASS invalid"))), []string{"redis at refunds", "redis.password"}},
		"sentinel, login":    {judgeRedis(behind, sentinel(reply("NOAUTH required"))), []string{"sentinel at s1:26379", "refuses the login", "redis.sentinel_password"}},
		"sentinel, name":     {judgeRedis(behind, sentinel(dedupe.ErrUnknownPrimary)), []string{"sentinel at s1:26379", "no such primary", "redis.master_name"}},
	} {
		text := fmt.Sprint(tc.got)
		if !isUnfit(tc.got) || strings.Contains(text, "\n") {
			t.Errorf("%s: %s is no UnfitError of one line", name, text)
		}
		for _, want := range tc.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %s does not say %q", name, text, want)
			}
		}
	}
}

// What may pass by itself is asked again, and so must never end a start.
func TestADependencyThatIsAwayIsNoRefusal(t *testing.T) {
	t.Parallel()
	reply := replies(t)
	for name, err := range map[string]error{
		"no error":                    judgeKafka(installed(), nil),
		"kafka, unreachable":          judgeKafka(installed(), &kafka.UnreachableError{Err: io.EOF}),
		"kafka, no leader":            judgeKafka(installed(), &kafka.UnreachableError{Err: kafkago.LeaderNotAvailable}),
		"kafka, told to stop":         judgeKafka(installed(), context.Canceled),
		"redis, no error":             judgeRedis(installed(), nil),
		"redis, unreachable":          judgeRedis(installed(), away(&net.OpError{Op: "dial", Err: io.EOF})),
		"redis, loading":              judgeRedis(installed(), away(reply("LOADING Redis is loading"))),
		"redis, a replica":            judgeRedis(installed(), away(reply("READONLY no"))),
		"sentinel, nobody is there":   judgeRedis(installed(), away(&dedupe.SentinelError{Address: "s1:1", Err: io.EOF})),
		"sentinel, does not know yet": judgeRedis(installed(), away(&dedupe.SentinelError{Address: "s1:1", Err: reply("IDONTKNOW yet")})),
	} {
		if isUnfit(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
