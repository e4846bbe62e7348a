package secure

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	kafkago "github.com/segmentio/kafka-go"

	"refundworker/internal/kafka/kafkatest"
	"refundworker/internal/realtest"
)

// The broker's listeners.
const (
	listenTLS  = "TLS"
	listenMTLS = "MTLS"
	listenSASL = "SASL"
)

const password = "s3cure-and-long"

// secureKafka is one broker with a listener for every way to log in, and an authorizer. Who comes without a login, over
// plaintext or TLS without a certificate, may do everything: this is how the tests administrate it.
func secureKafka(t *testing.T) *realtest.Kafka {
	t.Helper()
	parts := realtest.Available()
	if parts.KafkaMissing != nil {
		return realtest.StartOwnKafka(t, realtest.KafkaOptions{}) // skips or fails
	}
	shared.once.Do(func() {
		// The broker wants key and certificate in one file.
		store := filepath.Join(built.dir, "keystore.pem")
		var text []byte
		for _, file := range []string{built.server.key, built.server.cert} {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, raw...)
		}
		if err := os.WriteFile(store, text, 0o600); err != nil {
			t.Fatal(err)
		}
		const modules = "org.apache.kafka.common.security."
		shared.kafka = realtest.StartOwnKafka(t, realtest.KafkaOptions{
			Listeners: []realtest.Listener{{Name: listenTLS, Protocol: "SSL"}, {Name: listenMTLS, Protocol: "SSL"}, {Name: listenSASL, Protocol: "SASL_SSL"}},
			Properties: []string{
				"ssl.keystore.type=PEM", "ssl.keystore.location=" + store,
				"ssl.truststore.type=PEM", "ssl.truststore.location=" + built.ours.file,
				"listener.name.mtls.ssl.client.auth=required",
				"listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
				fmt.Sprintf("listener.name.sasl.plain.sasl.jaas.config=%splain.PlainLoginModule required user_plain=%q;", modules, password),
				"listener.name.sasl.scram-sha-256.sasl.jaas.config=" + modules + "scram.ScramLoginModule required;",
				"listener.name.sasl.scram-sha-512.sasl.jaas.config=" + modules + "scram.ScramLoginModule required;",
				"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
				"super.users=User:ANONYMOUS",
			},
			ScramUsers: []string{
				"SCRAM-SHA-256=[name=scram256,password=" + password + "]",
				"SCRAM-SHA-512=[name=scram512,password=" + password + "]",
			},
		})
	})
	if shared.kafka == nil {
		t.Fatal("the broker did not start, see the first test that asked for it")
	}
	return shared.kafka
}

// secretFile keeps a password where a configuration can name it.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + file
}

// login is the SASL part of a configuration.
func login(t *testing.T, mechanism, user, secret string) string {
	t.Helper()
	return fmt.Sprintf("{mechanism: %s, username: %s, password: %q}", mechanism, user, secretFile(t, secret))
}

func trust(a *authority) string { return fmt.Sprintf("{ca_file: %q}", a.file) }

func TestTheWorkerWorksOverEveryProtectedKafkaConnectionWithTheDocumentedRights(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	for name, tc := range map[string]struct {
		listener, principal string
		tls, sasl           string
	}{
		"TLS":                         {listener: listenTLS, tls: trust(built.ours)},
		"TLS with client certificate": {listener: listenMTLS, principal: "CN=" + documentedUser, tls: fmtFiles(built.client, built.ours.file)},
		"PLAIN":                       {listener: listenSASL, principal: "plain", tls: trust(built.ours), sasl: login(t, "plain", "plain", password)},
		"SCRAM-SHA-256":               {listener: listenSASL, principal: "scram256", tls: trust(built.ours), sasl: login(t, "scram-sha-256", "scram256", password)},
		"SCRAM-SHA-512":               {listener: listenSASL, principal: "scram512", tls: trust(built.ours), sasl: login(t, "scram-sha-512", "scram512", password)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := realtest.StartRedis(t, realtest.RedisOptions{})
			prefix := kafkatest.Name(t)
			kafka := fmt.Sprintf("brokers: [%q], tls: %s", broker.Listener(tc.listener), tc.tls)
			if tc.sasl != "" {
				kafka += ", sasl: " + tc.sasl
			}
			i := install(t, broker.Addr, prefix, kafka, fmt.Sprintf("addresses: [%q]", redis.Addr), password)
			if tc.principal != "" {
				setRights(t, broker.Addr, tc.principal, prefix, kafkaRights(t, "kafka-init", tc.principal, prefix))
			}
			i.must(t, "init")
			if tc.principal != "" {
				setRights(t, broker.Addr, tc.principal, prefix, kafkaRights(t, "kafka-run", tc.principal, prefix))
			}
			i.must(t, "check")
			i.refunds(t)
		})
	}
}

func TestABrokerThatRefusesTheWorkerIsNamedInOneLine(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	for name, tc := range map[string]struct {
		listener, tls, sasl string
		says                string
		// code is what check exits with. With 2 run does the same; with 1 it waits.
		code int
	}{
		"wrong authority": {
			listenSASL, trust(built.theirs), login(t, "scram-sha-512", "scram512", password),
			"certificate signed by unknown authority", 2,
		},
		"wrong password, PLAIN": {
			listenSASL, trust(built.ours), login(t, "plain", "plain", "not-the-one"), "SASL Authentication Failed", 2,
		},
		"wrong password, SCRAM": {
			listenSASL, trust(built.ours), login(t, "scram-sha-512", "scram512", "not-the-one"), "SASL Authentication Failed", 2,
		},
		"no client certificate": {listenMTLS, trust(built.ours), "{}", "tls: bad certificate", 1},
		"no TLS":                {listenTLS, "{}", "{}", "expecting TLS", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := realtest.StartRedis(t, realtest.RedisOptions{})
			prefix := kafkatest.Name(t)
			i := install(t, broker.Addr, prefix,
				fmt.Sprintf("brokers: [%q], tls: %s, sasl: %s", broker.Listener(tc.listener), tc.tls, tc.sasl),
				fmt.Sprintf("addresses: [%q]", redis.Addr), password, "not-the-one")
			i.do(t, "init").refused(t, 1, "init")
			i.do(t, "check").refused(t, tc.code, tc.says)
			p := i.run(t)
			if tc.code == 2 {
				p.ends(t).refused(t, 2, tc.says)
				return
			}
			p.says(t, "waiting for it", `"dependency":"kafka"`, tc.says)
			p.stop(t)
		})
	}
}

func TestAMissingRightOnATopicIsFoundByCheckAndEndsRun(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	for name, tc := range map[string]struct {
		resource string
		op       kafkago.ACLOperationType
	}{
		"read the commands":        {".commands", kafkago.ACLOperationTypeRead},
		"read the backfill":        {".commands.backfill", kafkago.ACLOperationTypeRead},
		"see the signals":          {".signals", kafkago.ACLOperationTypeDescribe},
		"write the dead letters":   {".deadletters", kafkago.ACLOperationTypeWrite},
		"settings of the commands": {".commands", kafkago.ACLOperationTypeDescribeConfigs},
		"settings of a retry tier": {".retry.", kafkago.ACLOperationTypeDescribeConfigs},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i, rights := initialised(t, broker)
			setRights(t, broker.Addr, scramUser, i.prefix, without(rights, i.prefix+tc.resource, tc.op))
			i.do(t, "check").refused(t, 2, tc.resource, "Topic Authorization Failed")
			i.run(t).ends(t).refused(t, 2, tc.resource, "Topic Authorization Failed")
		})
	}
}

// These rights are not asked for by check: what misses them waits, says so, and goes on when they are given.
func TestWorkThatMissesARightWaitsForIt(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	for name, tc := range map[string]struct {
		resource string
		op       kafkago.ACLOperationType
		says     []string
	}{
		"join the group":                {"", kafkago.ACLOperationTypeRead, []string{"could not join the group", "Group Authorization Failed"}},
		"join the group of the retries": {".", kafkago.ACLOperationTypeRead, []string{"could not join the group", "Group Authorization Failed"}},
		"read a retry tier":             {".retry.", kafkago.ACLOperationTypeRead, []string{"Topic Authorization Failed"}},
		"write a retry tier":            {".retry.", kafkago.ACLOperationTypeWrite, []string{"trying again", "Topic Authorization Failed"}},
		"write the results":             {".results", kafkago.ACLOperationTypeWrite, []string{"trying again", "Topic Authorization Failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i, rights := initialised(t, broker)
			setRights(t, broker.Addr, scramUser, i.prefix, without(rights, i.prefix+tc.resource, tc.op))
			i.must(t, "check")
			p := i.run(t)
			i.command(t, "slow")
			p.says(t, tc.says...)
			setRights(t, broker.Addr, scramUser, i.prefix, rights)
			i.succeed(t, p, []string{"slow"})
			p.stop(t)
		})
	}
}

const scramUser = "scram512"

// initialised is an installation whose topics exist, and the rights its worker needs.
func initialised(t *testing.T, broker *realtest.Kafka) (*installation, []kafkago.ACLEntry) {
	t.Helper()
	redis := realtest.StartRedis(t, realtest.RedisOptions{})
	prefix, store := kafkatest.Name(t), fmt.Sprintf("addresses: [%q]", redis.Addr)
	install(t, broker.Addr, prefix, fmt.Sprintf("brokers: [%q]", broker.Addr), store).must(t, "init")
	i := install(t, broker.Addr, prefix, fmt.Sprintf("brokers: [%q], tls: %s, sasl: %s", broker.Listener(listenSASL),
		trust(built.ours), login(t, "scram-sha-512", scramUser, password)), store, password)
	return i, kafkaRights(t, "kafka-run", scramUser, prefix)
}
