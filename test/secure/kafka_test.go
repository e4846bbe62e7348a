package secure

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"refundworker/internal/kafka/kafkatest"
	"refundworker/internal/realtest"
)

// The broker's listeners.
const (
	listenTLS  = "TLS"
	listenMTLS = "MTLS"
	listenSASL = "SASL"
	// listenBrief closes every connection some seconds after its login: who is logged in has to do it again and again.
	listenBrief = "BRIEF"
	// listenRotated asks for a certificate and a login, and closes every connection after briefly. Its own certificate and
	// the authorities it trusts are changed by the test of rotations.
	listenRotated = "ROTATED"
)

// briefly is how long a connection of listenRotated lives.
const briefly = 2 * time.Second

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
		store := joined(t, filepath.Join(built.dir, "keystore.pem"), built.server.key, built.server.cert)
		const modules = "org.apache.kafka.common.security."
		shared.kafka = realtest.StartOwnKafka(t, realtest.KafkaOptions{
			Listeners: []realtest.Listener{{Name: listenTLS, Protocol: "SSL"}, {Name: listenMTLS, Protocol: "SSL"}, {Name: listenSASL, Protocol: "SASL_SSL"}, {Name: listenBrief, Protocol: "SASL_SSL"}, {Name: listenRotated, Protocol: "SASL_SSL"}},
			Properties: []string{
				"ssl.keystore.type=PEM", "ssl.keystore.location=" + store,
				"ssl.truststore.type=PEM", "ssl.truststore.location=" + built.ours.file,
				"listener.name.mtls.ssl.client.auth=required",
				"listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
				fmt.Sprintf("listener.name.sasl.plain.sasl.jaas.config=%splain.PlainLoginModule required user_plain=%q;", modules, password),
				"listener.name.sasl.scram-sha-256.sasl.jaas.config=" + modules + "scram.ScramLoginModule required;",
				"listener.name.sasl.scram-sha-512.sasl.jaas.config=" + modules + "scram.ScramLoginModule required;",
				"listener.name.brief.sasl.enabled.mechanisms=SCRAM-SHA-512",
				"listener.name.brief.scram-sha-512.sasl.jaas.config=" + modules + "scram.ScramLoginModule required;",
				"listener.name.brief.scram-sha-512.connections.max.reauth.ms=3000",
				"listener.name.rotated.ssl.client.auth=required",
				"listener.name.rotated.sasl.enabled.mechanisms=SCRAM-SHA-512",
				"listener.name.rotated.scram-sha-512.sasl.jaas.config=" + modules + "scram.ScramLoginModule required;",
				fmt.Sprintf("listener.name.rotated.scram-sha-512.connections.max.reauth.ms=%d", briefly.Milliseconds()),
				"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
				"super.users=User:ANONYMOUS",
			},
			ScramUsers: []string{
				"SCRAM-SHA-256=[name=scram256,password=" + password + "]",
				"SCRAM-SHA-512=[name=scram512,password=" + password + "]",
				"SCRAM-SHA-512=[name=" + rotatedUser + ",password=" + password + "]",
			},
		})
	})
	if shared.kafka == nil {
		t.Fatal("the broker did not start, see the first test that asked for it")
	}
	return shared.kafka
}

// joined writes files one behind the other into one, and returns its name.
func joined(t *testing.T, name string, files ...string) string {
	t.Helper()
	var text []byte
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, raw...)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
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

func TestABrokerThatRefusesTheWorkerIsNamedInOneLineAndEndsEveryCommand(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	_, port, err := net.SplitHostPort(broker.Listener(listenTLS))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		at, tls, sasl string
		says          []string
		// waits: it looks like a broker that is away.
		waits bool
	}{
		"wrong authority": {
			at: broker.Listener(listenSASL), tls: trust(built.theirs), sasl: login(t, "scram-sha-512", "scram512", password),
			says: []string{"its certificate is not trusted", "kafka.tls.ca_file", "certificate signed by unknown authority"},
		},
		"an address that is not in its certificate": {
			at: "localhost:" + port, tls: trust(built.ours), sasl: "{}",
			says: []string{"its certificate is not trusted", "valid for this address", "localhost"},
		},
		"wrong password, PLAIN": {
			at: broker.Listener(listenSASL), tls: trust(built.ours), sasl: login(t, "plain", "plain", "not-the-one"),
			says: []string{"it refuses the login", "kafka.sasl", "SASL Authentication Failed"},
		},
		"wrong password, SCRAM": {
			at: broker.Listener(listenSASL), tls: trust(built.ours), sasl: login(t, "scram-sha-512", "scram512", "not-the-one"),
			says: []string{"it refuses the login", "kafka.sasl", "SASL Authentication Failed"},
		},
		"a mechanism that is not offered": {
			at: broker.Listener(listenBrief), tls: trust(built.ours), sasl: login(t, "plain", "plain", password),
			says: []string{"it refuses the login", "kafka.sasl", "Unsupported SASL Mechanism"},
		},
		"no client certificate": {
			at: broker.Listener(listenMTLS), tls: trust(built.ours), sasl: "{}",
			says: []string{"it refuses our side of TLS", "kafka.tls.cert_file", "bad certificate"},
		},
		"TLS where none is spoken": {at: broker.Addr, tls: trust(built.ours), sasl: "{}", says: []string{"EOF"}, waits: true},
		"no TLS where it is needed": {
			at: broker.Listener(listenTLS), tls: "{}", sasl: "{}", says: []string{"expecting TLS"}, waits: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := realtest.StartRedis(t, realtest.RedisOptions{})
			prefix := kafkatest.Name(t)
			i := install(t, broker.Addr, prefix,
				fmt.Sprintf("brokers: [%q], tls: %s, sasl: %s", tc.at, tc.tls, tc.sasl),
				fmt.Sprintf("addresses: [%q]", redis.Addr), password, "not-the-one")
			says := append(tc.says, tc.at)
			if tc.waits {
				i.do(t, "init").refused(t, 1, tc.says...)
				i.do(t, "check").refused(t, 1, tc.says...)
				p := i.run(t)
				p.says(t, append(tc.says, "waiting for it", `"dependency":"kafka"`)...)
				p.stop(t)
				return
			}
			i.do(t, "init").refused(t, 2, append(says, "init")...)
			i.do(t, "check").refused(t, 2, says...)
			i.run(t).ends(t).refused(t, 2, says...)
		})
	}
}

func TestInitNamesTheRightThatItLacks(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	for name, tc := range map[string]struct {
		lacks kafkago.ACLOperationType
		says  string
	}{
		"create":   {kafkago.ACLOperationTypeCreate, "Create on topics "},
		"describe": {kafkago.ACLOperationTypeDescribe, "Describe on topics "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := realtest.StartRedis(t, realtest.RedisOptions{})
			i := scramInstallation(t, broker, redis, kafkatest.Name(t))
			setRights(t, broker.Addr, scramUser, i.prefix,
				without(kafkaRights(t, "kafka-init", scramUser, i.prefix), i.prefix+".", tc.lacks))
			i.do(t, "init").refused(t, 2, "init: kafka at", "a right is missing", tc.says, i.prefix+".commands, ", i.prefix+".deadletters", "docs/security.md")
		})
	}
}

// missing is each right of docs/security.md that work needs, and how its absence is called.
func missing() map[string]struct {
	resource string
	op       kafkago.ACLOperationType
	says     string
} {
	const (
		read, write, settings = kafkago.ACLOperationTypeRead, kafkago.ACLOperationTypeWrite, kafkago.ACLOperationTypeDescribeConfigs
	)
	return map[string]struct {
		resource string
		op       kafkago.ACLOperationType
		says     string
	}{
		"read the commands":           {".commands", read, "Read on topic P.commands"},
		"settings of the commands":    {".commands", settings, "DescribeConfigs on topic P.commands"},
		"read the backfill":           {".commands.backfill", read, "Read on topic P.commands.backfill"},
		"read the signals":            {".signals", read, "Read on topic P.signals"},
		"write the signals":           {".signals", write, "Write on topic P.signals"},
		"read the results":            {".results", read, "Read on topic P.results"},
		"write the results":           {".results", write, "Write on topic P.results"},
		"write the dead letters":      {".deadletters", write, "Write on topic P.deadletters"},
		"read a retry tier":           {".retry.", read, "Read on topics P.retry.1s, P.retry.2s"},
		"write a retry tier":          {".retry.", write, "Write on topics P.retry.1s, P.retry.2s"},
		"settings of a retry tier":    {".retry.", settings, "DescribeConfigs on topics P.retry.1s, P.retry.2s"},
		"join the group":              {"", read, "Read on group P"},
		"join the group of the tiers": {".", read, "Read on groups P.backfill, P.retry, P.signals"},
	}
}

func TestAMissingRightAtKafkaIsFoundByCheckAndEndsTheStart(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	for name, tc := range missing() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i, rights := initialised(t, broker)
			setRights(t, broker.Addr, scramUser, i.prefix, without(rights, i.prefix+tc.resource, tc.op))
			says := []string{"kafka at", "a right is missing", "docs/security.md", strings.ReplaceAll(tc.says, "P", i.prefix)}
			i.do(t, "check").refused(t, 2, says...)
			i.run(t).ends(t).refused(t, 2, says...)
		})
	}
}

// A right that is taken from a running worker makes the work that needs it wait, and it goes on when it is given back.
func TestARightThatIsTakenWhileTheWorkerRunsIsWaitedFor(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	for name, says := range map[string][]string{
		"join the group":              {"Group Authorization Failed"},
		"join the group of the tiers": {"Group Authorization Failed"},
		"read a retry tier":           {"Topic Authorization Failed"},
		"write a retry tier":          {"trying again", "Topic Authorization Failed"},
		"write the results":           {"trying again", "Topic Authorization Failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i, rights := initialised(t, broker)
			setRights(t, broker.Addr, scramUser, i.prefix, rights)
			p := i.run(t)
			p.ready(t, true)
			taken := missing()[name]
			setRights(t, broker.Addr, scramUser, i.prefix, without(rights, i.prefix+taken.resource, taken.op))
			i.command(t, "slow")
			p.says(t, says...)
			setRights(t, broker.Addr, scramUser, i.prefix, rights)
			i.succeed(t, p, []string{"slow"})
			p.ready(t, true)
			p.stop(t)
		})
	}
}

// A password that is rotated in the wrong order refuses a worker that runs. It must outlive that.
func TestAKafkaLoginThatIsRefusedLaterIsWaitedFor(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	redis := realtest.StartRedis(t, realtest.RedisOptions{})
	prefix, store := kafkatest.Name(t), fmt.Sprintf("addresses: [%q]", redis.Addr)
	install(t, broker.Addr, prefix, fmt.Sprintf("brokers: [%q]", broker.Addr), store).must(t, "init")
	i := install(t, broker.Addr, prefix, fmt.Sprintf("brokers: [%q], tls: %s, sasl: %s", broker.Listener(listenBrief),
		trust(built.ours), login(t, "scram-sha-512", rotatedUser, password)), store, password)
	setRights(t, broker.Addr, rotatedUser, prefix, kafkaRights(t, "kafka-run", rotatedUser, prefix))
	p := i.run(t)
	p.ready(t, true)
	i.command(t, "before")
	i.succeed(t, p, []string{"before"})

	setPassword(t, broker.Addr, rotatedUser, "another-one")
	p.says(t, "SASL Authentication Failed")
	p.ready(t, false)
	i.command(t, "meanwhile")
	i.do(t, "check").refused(t, 2, "it refuses the login")

	setPassword(t, broker.Addr, rotatedUser, password)
	i.succeed(t, p, []string{"before", "meanwhile"})
	p.ready(t, true)
	p.stop(t)
}

const (
	scramUser = "scram512"
	// rotatedUser is one test's own: its password changes.
	rotatedUser = "rotated"
)

// initialised is an installation whose topics exist, and the rights its worker needs.
func initialised(t *testing.T, broker *realtest.Kafka) (*installation, []kafkago.ACLEntry) {
	t.Helper()
	redis := realtest.StartRedis(t, realtest.RedisOptions{})
	prefix := kafkatest.Name(t)
	install(t, broker.Addr, prefix, fmt.Sprintf("brokers: [%q]", broker.Addr), fmt.Sprintf("addresses: [%q]", redis.Addr)).must(t, "init")
	return scramInstallation(t, broker, redis, prefix), kafkaRights(t, "kafka-run", scramUser, prefix)
}

// scramInstallation is one that logs in as the SCRAM user.
func scramInstallation(t *testing.T, broker *realtest.Kafka, redis *realtest.Redis, prefix string) *installation {
	t.Helper()
	return install(t, broker.Addr, prefix, fmt.Sprintf("brokers: [%q], tls: %s, sasl: %s", broker.Listener(listenSASL),
		trust(built.ours), login(t, "scram-sha-512", scramUser, password)), fmt.Sprintf("addresses: [%q]", redis.Addr), password)
}
