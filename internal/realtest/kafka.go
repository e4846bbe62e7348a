package realtest

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"text/template"
	"time"

	"github.com/segmentio/kafka-go"
)

// KafkaEnv is the variable that, set to host:port, names a broker to use instead of starting one.
const KafkaEnv = "REFUND_WORKER_KAFKA"

const (
	// kafkaStart bounds format, start and readiness together; three seconds are usual on two idle cores.
	kafkaStart = 2 * time.Minute
	// kafkaTries covers ports that somebody else bound between the look and the broker's own bind.
	kafkaTries = 3
	// clusterID is any 16 bytes in URL-safe base64: each broker is a cluster of its own.
	clusterID = "4L6g3nShT-eMCtK--X86sw"
)

//go:embed server.properties.tmpl
var serverProperties string

//go:embed log4j2.xml
var log4j []byte

// shared is the one broker of this test process: it takes seconds and 200 MB, and topics and groups keep tests apart.
//
//nolint:gochecknoglobals // shared by every test of the process is its purpose
var shared struct {
	once   sync.Once
	broker *broker
	err    error
}

type broker struct {
	addr string
	// more are the addresses of the listeners that were asked for, by name.
	more map[string]string
	// proc is held so that the pipe that keeps the broker alive is never finalised.
	proc *process
}

// StartKafka returns host:port of a real broker: a single combined KRaft node in a folder of its own. It is started on
// the first call, shared by all tests of the process, and ends with the process. Topics are not created by themselves;
// tests use names of their own.
//
// Without a real broker the test is skipped, or fails under [RequireEnv]. [KafkaEnv] names another broker to use.
func StartKafka(tb testing.TB) string {
	tb.Helper()
	if addr := os.Getenv(KafkaEnv); addr != "" {
		return addr
	}
	parts := Available()
	require(tb, parts.KafkaMissing)
	shared.once.Do(func() {
		begin := time.Now()
		// Not the context of the first test that asks: the others need the broker when that test has failed.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), kafkaStart)
		defer cancel()
		shared.broker, shared.err = startKafka(ctx, parts, KafkaOptions{})
		if shared.err == nil {
			tb.Logf("Apache Kafka %s up after %s", parts.Kafka, time.Since(begin).Round(time.Millisecond))
		}
	})
	if shared.err != nil {
		tb.Fatalf("start Apache Kafka %s: %v", parts.Kafka, shared.err)
	}
	return shared.broker.addr
}

func startKafka(ctx context.Context, parts Parts, opts KafkaOptions) (*broker, error) {
	var faults []error
	for range kafkaTries {
		b, err := tryKafka(ctx, parts, opts)
		if err == nil {
			return b, nil
		}
		faults = append(faults, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(faults...)
}

func tryKafka(ctx context.Context, parts Parts, opts KafkaOptions) (*broker, error) {
	dir, err := os.MkdirTemp("", "refund-worker-kafka-")
	if err != nil {
		return nil, err
	}
	b, err := runKafka(ctx, parts, opts, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return b, nil
}

// runKafka leaves dir behind when it fails, and to the supervisor when it succeeds.
func runKafka(ctx context.Context, parts Parts, opts KafkaOptions, dir string) (*broker, error) {
	ports, err := freePorts(ctx, 2+len(opts.Listeners))
	if err != nil {
		return nil, err
	}
	addr := loopback(ports[0])
	more := make(map[string]string, len(opts.Listeners))
	for i, l := range opts.Listeners {
		more[l.Name] = loopback(ports[2+i])
	}
	properties := filepath.Join(dir, "server.properties")
	logging := filepath.Join(dir, "log4j2.xml")
	text, err := renderProperties(brokerSettings{
		Client: addr, Controller: loopback(ports[1]), Data: filepath.Join(dir, "data"),
		Options: opts, Addresses: more,
	})
	if err == nil {
		err = errors.Join(os.WriteFile(properties, text, 0o600), os.WriteFile(logging, log4j, 0o600))
	}
	if err != nil {
		return nil, err
	}

	java := []string{
		"-Xms128m", "-Xmx512m",
		// For few cores: one collector thread.
		"-XX:+UseSerialGC", "-XX:-UsePerfData",
		"-Djava.awt.headless=true",
		"-Dlog4j2.configurationFile=file:" + logging,
		"-cp", filepath.Join(parts.libs, "*"),
	}
	if !opts.Optimised {
		java = append(java, "-XX:TieredStopAtLevel=1") // for a short life no time is spent on optimising
	}
	format := append(slices.Clip(java), "kafka.tools.StorageTool", "format",
		"--cluster-id", clusterID, "--config", properties, "--standalone")
	for _, user := range opts.ScramUsers {
		format = append(format, "--add-scram", user)
	}
	if out, err := exec.CommandContext(ctx, parts.java, format...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("format the broker's storage: %w: %s", err, bytes.TrimSpace(out))
	}

	argv := append([]string{parts.java}, java...)
	proc, err := startProcess(filepath.Join(dir, "broker.log"), dir, append(argv, "kafka.Kafka", properties)...)
	if err != nil {
		return nil, err
	}
	if err := proc.await(ctx, func(ctx context.Context) error { return kafkaReady(ctx, addr) }); err != nil {
		return nil, errors.Join(err, proc.kill())
	}
	return &broker{addr: addr, more: more, proc: proc}, nil
}

// brokerSettings fill in server.properties.tmpl.
type brokerSettings struct {
	// Client and Controller are the addresses of the plaintext listeners, Addresses those of the others by name.
	Client, Controller string
	Addresses          map[string]string
	Data               string
	Options            KafkaOptions
}

func renderProperties(settings brokerSettings) ([]byte, error) {
	tmpl, err := template.New("server.properties").Parse(serverProperties)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err = tmpl.Execute(&text, settings)
	return text.Bytes(), err
}

// kafkaReady asks for the metadata, and then for a group's offsets: the first group asked about makes the broker create
// its offsets topic, and a consumer that joins meanwhile is turned away for as long as its join backoff, 5 s by default.
func kafkaReady(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	transport := &kafka.Transport{DialTimeout: time.Second}
	defer transport.CloseIdleConnections()
	to, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return err
	}
	client := &kafka.Client{Addr: to, Transport: transport}
	meta, err := client.Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		return err
	}
	if len(meta.Brokers) != 1 {
		return fmt.Errorf("%d brokers registered", len(meta.Brokers))
	}
	const group = "realtest.ready"
	found, err := client.FindCoordinator(ctx, &kafka.FindCoordinatorRequest{Key: group})
	if err == nil {
		err = found.Error
	}
	if err != nil {
		return fmt.Errorf("find the group coordinator: %w", err)
	}
	offsets, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{}})
	if err == nil {
		err = offsets.Error
	}
	if err != nil {
		return fmt.Errorf("fetch offsets: %w", err)
	}
	return nil
}
