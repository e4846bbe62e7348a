package secure

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha512"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	kafkago "github.com/segmentio/kafka-go"

	"refundworker/internal/kafka/kafkatest"
	"refundworker/internal/realtest"
)

// mounted is a folder of files as Kubernetes mounts a Secret.
type mounted struct {
	dir     string
	version int
}

// set replaces all files at once.
func (m *mounted) set(t *testing.T, texts map[string]string) {
	t.Helper()
	m.version++
	folder := "..version" + strconv.Itoa(m.version)
	if err := os.Mkdir(filepath.Join(m.dir, folder), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(m.dir, folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), m.file(name)); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	next := m.file("..data_tmp")
	if err := errors.Join(os.Symlink(folder, next), os.Rename(next, m.file("..data"))); err != nil {
		t.Fatal(err)
	}
}

func (m *mounted) file(name string) string { return filepath.Join(m.dir, name) }

// text is the content of a file.
func text(t *testing.T, files ...string) string {
	t.Helper()
	raw, err := os.ReadFile(joined(t, filepath.Join(t.TempDir(), "joined"), files...))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

const (
	nextPassword = "n3xt-and-longer"
)

// Everything that the worker logs in with and trusts changes, and in the end nothing of before is taken any more. The
// connections to the broker live for two seconds each; those to Redis are cut.
func TestARunningWorkerOutlivesTheRotationOfPasswordsCertificatesAndAuthorities(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	prefix := kafkatest.Name(t)
	dir := t.TempDir()
	nextServer, nextClient := issued(t, dir, "server"), issued(t, dir, documentedUser)
	either := joined(t, filepath.Join(dir, "either.pem"), built.ours.file, built.theirs.file)

	setPassword(t, broker.Addr, prefix, password)
	present(t, broker.Addr, built.server, either)
	own, err := built.ours.client(built.client)
	if err != nil {
		t.Fatal(err)
	}
	server := realtest.StartRedis(t, realtest.RedisOptions{
		Args: append(redisRights(t, password, keyPrefix), "--user", "admin", "on", ">"+adminPassword, "~*", "&*", "+@all"),
		TLS:  &realtest.RedisTLS{CertFile: built.server.cert, KeyFile: built.server.key, CAFile: either, Client: own},
	})
	admin := redis.NewClient(&redis.Options{Addr: server.Addr, Username: "admin", Password: adminPassword, TLSConfig: own})
	t.Cleanup(func() { _ = admin.Close() })

	secret := &mounted{dir: t.TempDir()}
	now := map[string]string{
		"ca": text(t, built.ours.file), "cert": text(t, built.client.cert), "key": text(t, built.client.key),
		"kafka": password, "redis": password,
	}
	secret.set(t, now)
	files := fmtFiles(pair{cert: secret.file("cert"), key: secret.file("key")}, secret.file("ca"))
	i := install(t, broker.Addr, prefix,
		fmt.Sprintf("brokers: [%q], tls: %s, sasl: {mechanism: scram-sha-512, username: %q, password: %q}",
			broker.Listener(listenRotated), files, prefix, "file:"+secret.file("kafka")),
		fmt.Sprintf("addresses: [%q], tls: %s, username: %s, password: %q, key_prefix: %s",
			server.Addr, files, documentedUser, "file:"+secret.file("redis"), keyPrefix),
		password, nextPassword)
	setRights(t, broker.Addr, prefix, prefix, append(kafkaRights(t, "kafka-init", prefix, prefix), kafkaRights(t, "kafka-run", prefix, prefix)...))
	i.must(t, "init")
	p := i.run(t)
	var ids []string
	goOn := func(phase string) {
		t.Helper()
		for n := range 2 * partitions {
			ids = append(ids, fmt.Sprintf("%s-%d", phase, n))
		}
		i.command(t, ids[len(ids)-2*partitions:]...)
		i.succeed(t, p, ids)
	}
	used := map[string]int{}
	mount := func(settings ...string) {
		t.Helper()
		secret.set(t, now)
		for _, setting := range settings {
			used[setting]++
			p.saysTimes(t, used[setting], `"setting":"`+setting+`"`, "in use")
		}
	}
	goOn("before")

	now["ca"], now["cert"], now["key"] = text(t, either), text(t, nextClient.cert), text(t, nextClient.key)
	now["kafka"], now["redis"] = nextPassword, nextPassword
	do(t, admin, "ACL", "SETUSER", documentedUser, ">"+nextPassword)
	setPassword(t, broker.Addr, prefix, nextPassword)
	mount("kafka.tls", "redis.tls", "redis.password", "kafka.sasl.password")
	do(t, admin, "ACL", "SETUSER", documentedUser, "<"+password)
	goOn("ours")

	old := connections(t, broker.Listener(listenRotated))
	present(t, broker.Addr, nextServer, built.theirs.file)
	do(t, admin, "CONFIG", "SET", "tls-cert-file", nextServer.cert, "tls-key-file", nextServer.key, "tls-ca-cert-file", built.theirs.file)
	do(t, admin, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	goOn("theirs")
	// What consumes now is new. A pooled connection that nobody has used since then may be left.
	until(t, "new connections to the broker", 10*briefly, func(context.Context) bool {
		fresh := 0
		for line := range connections(t, broker.Listener(listenRotated)) {
			if _, there := old[line]; !there {
				fresh++
			}
		}
		return fresh >= 3 // one per group at least
	})
	now["ca"] = text(t, built.theirs.file)
	mount("kafka.tls", "redis.tls")
	do(t, admin, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	goOn("after")
	if log := p.log.String(); strings.Contains(log, "unfit-files") {
		t.Error("an alarm about files that were fit")
	}

	// A half-written pair, and a password that is gone, change nothing.
	whole := now["key"]
	now["key"], now["redis"] = whole[:len(whole)/2], ""
	mount()
	for _, setting := range []string{"kafka.tls", "redis.tls", "redis.password"} {
		p.says(t, `"alarm":"unfit-files"`, `"setting":"`+setting+`"`)
	}
	do(t, admin, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	goOn("broken")
	p.stop(t)

	// Nothing of before is taken any more: whoever starts with it is refused.
	now["ca"], now["cert"], now["key"] = text(t, built.ours.file), text(t, built.client.cert), text(t, built.client.key)
	now["kafka"], now["redis"] = password, password
	mount()
	if a := i.do(t, "check"); a.code == 0 || !strings.Contains(a.stderr, "unknown authority") {
		t.Errorf("check with what counted before: %v", a)
	}
}

// issued is a certificate of theirs in a folder of the test's own.
func issued(t *testing.T, dir, name string) pair {
	t.Helper()
	a := *built.theirs
	a.dir = dir
	p, err := a.issue(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func do(t *testing.T, admin *redis.Client, args ...any) {
	t.Helper()
	if err := admin.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("redis %v: %v", args[:2], err)
	}
}

// saysTimes waits until the worker has logged so many lines that hold all the parts.
func (p *process) saysTimes(t *testing.T, times int, parts ...string) {
	t.Helper()
	until(t, fmt.Sprintf("%d lines with %q", times, parts), 30*time.Second, func(context.Context) bool {
		n := 0
		for line := range strings.Lines(p.log.String()) {
			if holds(line, parts) {
				n++
			}
		}
		return n >= times || p.ended()
	})
	if p.ended() {
		t.Fatalf("the worker ended with %d", p.cmd.ProcessState.ExitCode())
	}
}

// setPassword gives a broker's user a password for SCRAM-SHA-512, in place of the one it may have.
func setPassword(t *testing.T, broker, user, password string) {
	t.Helper()
	const iterations = 4096
	salt := []byte("salt-of-a-test")
	salted, err := pbkdf2.Key(sha512.New, password, salt, iterations, sha512.Size)
	if err != nil {
		t.Fatal(err)
	}
	withAdmin(t, broker, func(ctx context.Context, client *kafkago.Client) error {
		answer, err := client.AlterUserScramCredentials(ctx, &kafkago.AlterUserScramCredentialsRequest{
			Upsertions: []kafkago.UserScramCredentialsUpsertion{{
				Name: user, Mechanism: kafkago.ScramMechanismSha512, Iterations: iterations, Salt: salt, SaltedPassword: salted,
			}},
		})
		if err != nil {
			return err
		}
		return answer.Results[0].Error
	})
}

// present makes the broker show another certificate on listenRotated, and trust other authorities there.
func present(t *testing.T, broker string, own pair, trusted string) {
	t.Helper()
	store := joined(t, filepath.Join(t.TempDir(), "keystore.pem"), own.key, own.cert)
	const listener = "listener.name.rotated.ssl."
	withAdmin(t, broker, func(ctx context.Context, client *kafkago.Client) error {
		answer, err := client.IncrementalAlterConfigs(ctx, &kafkago.IncrementalAlterConfigsRequest{
			Resources: []kafkago.IncrementalAlterConfigsRequestResource{{
				ResourceType: kafkago.ResourceTypeBroker, ResourceName: "1",
				Configs: []kafkago.IncrementalAlterConfigsRequestConfig{
					{Name: listener + "keystore.location", Value: store, ConfigOperation: kafkago.ConfigOperationSet},
					{Name: listener + "truststore.location", Value: trusted, ConfigOperation: kafkago.ConfigOperationSet},
				},
			}},
		})
		if err != nil {
			return err
		}
		return answer.Resources[0].Error
	})
}

func withAdmin(t *testing.T, broker string, ask func(context.Context, *kafkago.Client) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	transport := &kafkago.Transport{}
	defer transport.CloseIdleConnections()
	if err := ask(ctx, &kafkago.Client{Addr: kafkago.TCP(broker), Transport: transport}); err != nil {
		t.Fatal(err)
	}
}

// connections are this machine's ends of the connections that are established to an address.
func connections(t *testing.T, addr string) map[string]struct{} {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Skipf("connections cannot be told apart here: %v", err)
	}
	const established = "01"
	found := map[string]struct{}{}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", n)) && f[3] == established {
			found[f[1]] = struct{}{}
		}
	}
	return found
}
