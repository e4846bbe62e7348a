package secure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"refundworker/gateway/sandbox"
	"refundworker/internal/kafka/kafkatest"
	"refundworker/schemas"
)

const (
	client = "SANDBOX_SECURE_CLIENT"
	// partitions of every topic.
	partitions = 4
)

// sharedKeys are made once: two RSA pairs cost a good part of a second.
var sharedKeys = sync.OnceValues(sandbox.NewTestKeys)

// installation is one worker's world: topics and keys of its own, and a gateway.
type installation struct {
	worker  string
	prefix  string
	gateway *sandbox.Server
	admin   *kafkatest.Broker
	config  string
	// secrets must not be found in what the worker says.
	secrets []string
}

// install writes a configuration for the given connections and starts a gateway. admin is the broker by the address
// that needs no login.
func install(t *testing.T, admin, prefix, kafka, redis string, secrets ...string) *installation {
	t.Helper()
	keys, err := sharedKeys()
	if err != nil {
		t.Fatal(err)
	}
	worker, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	i := &installation{worker: worker, prefix: prefix, admin: kafkatest.At(admin), secrets: append(secrets, keys.MerchantPrivate[40:64])}
	i.gateway, err = sandbox.New(sandbox.Config{
		PrivateKey: keys.GatewayPrivate, Clients: []sandbox.Client{{ID: client, PublicKey: keys.MerchantPublic}},
		PaymentFunc: func(id string) (sandbox.Payment, bool) {
			p := sandbox.Payment{ID: id, Minor: 1_000_000, Currency: "HKD"}
			if strings.HasPrefix(id, "pay-slow") {
				p.Async = &sandbox.Async{Looks: 1}
			}
			return p, true
		},
		// Long enough for a run of some hundred commands to be interrupted.
		Latency: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(i.gateway.Antom())
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		if err := i.gateway.Close(); err != nil {
			t.Errorf("close the gateway: %v", err)
		}
	})
	dir := t.TempDir()
	i.config = filepath.Join(dir, "worker.yaml")
	for name, text := range map[string]string{
		"merchant.key": keys.MerchantPrivate, "antom.key": keys.GatewayPublic,
		"worker.yaml": fmt.Sprintf(`
kafka: {%s, group: %q, topic_prefix: %q, partitions: %d, replication: 1, min_insync: 1}
redis: {%s}
limits: {in_flight: 6, gateway_timeout: 2s, lease: 15s, horizon: 24h}
retry: {tiers: [1s, 2s, 10s]}
http: {listen: "127.0.0.1:0"}
log: {level: debug}
accounts:
  - {name: shop, gateway: antom, base_url: %q, client_id: %s, private_key: "file:%s", antom_public_key: "file:%s"}
`, kafka, prefix, prefix, partitions, redis, server.URL, client, filepath.Join(dir, "merchant.key"), filepath.Join(dir, "antom.key")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

// answer is what a command of the worker came to.
type answer struct {
	code           int
	stdout, stderr string
}

func (a answer) String() string { return fmt.Sprintf("exit %d\n%s%s", a.code, a.stdout, a.stderr) }

// do runs a command of the worker to its end.
func (i *installation) do(t *testing.T, name string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, i.worker, name, "--config", i.config)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("worker %s: %v", name, err)
	}
	a := answer{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	i.noSecretIn(t, a.String())
	return a
}

// must runs a command that has to succeed.
func (i *installation) must(t *testing.T, name string) {
	t.Helper()
	if a := i.do(t, name); a.code != 0 {
		t.Fatalf("worker %s: %v", name, a)
	}
}

func (i *installation) noSecretIn(t *testing.T, text string) {
	t.Helper()
	for _, secret := range i.secrets {
		if strings.Contains(text, secret) {
			t.Errorf("the worker says a secret that begins with %q", secret[:4])
		}
	}
}

// process is a running worker.
type process struct {
	cmd  *exec.Cmd
	log  logBuffer
	done chan struct{}
}

// logBuffer is written by the process's copier and read by the test.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// run starts `worker run` and ends it with the test.
func (i *installation) run(t *testing.T) *process {
	t.Helper()
	//nolint:noctx // ended by pid below
	p := &process{cmd: exec.Command(i.worker, "run", "--config", i.config), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start worker: %v", err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code says it
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		i.noSecretIn(t, p.log.String())
		if t.Failed() {
			t.Logf("log of worker %d:\n%s", p.cmd.Process.Pid, tail(p.log.String()))
		}
	})
	return p
}

// ended says whether the process is gone; it waits for nothing.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop ends the worker in good order.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		t.Fatal("the worker did not end within 10 s of SIGTERM")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit %d after SIGTERM", code)
	}
}

// says waits until the worker has logged a line that holds all the parts.
func (p *process) says(t *testing.T, parts ...string) {
	t.Helper()
	until(t, fmt.Sprintf("a line with %q", parts), 20*time.Second, func(context.Context) bool {
		for line := range strings.Lines(p.log.String()) {
			if holds(line, parts) {
				return true
			}
		}
		return p.ended()
	})
	if p.ended() {
		t.Fatalf("the worker ended with %d", p.cmd.ProcessState.ExitCode())
	}
}

// ready waits until /readyz says so, or the contrary.
func (p *process) ready(t *testing.T, want bool) {
	t.Helper()
	serving := regexp.MustCompile(`"addr":"([^"]+)".*serving metrics and health`)
	until(t, fmt.Sprintf("ready %t", want), 20*time.Second, func(ctx context.Context) bool {
		found := serving.FindStringSubmatch(p.log.String())
		if found == nil {
			return p.ended()
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+found[1]+"/readyz", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return p.ended()
		}
		_ = answer.Body.Close()
		return (answer.StatusCode == http.StatusOK) == want
	})
	if p.ended() {
		t.Fatalf("the worker ended with %d", p.cmd.ProcessState.ExitCode())
	}
}

// ends waits for the worker's own end and returns what it came to.
func (p *process) ends(t *testing.T) answer {
	t.Helper()
	until(t, "the worker's end", 20*time.Second, func(context.Context) bool { return p.ended() })
	return answer{code: p.cmd.ProcessState.ExitCode(), stderr: p.log.String()}
}

// complaint are the lines that are meant for a person.
func (a answer) complaint() []string {
	var lines []string
	for line := range strings.Lines(a.stderr) {
		if text, ok := strings.CutPrefix(line, "worker: "); ok {
			lines = append(lines, text)
		}
	}
	return lines
}

// refused wants this exit code and one line that holds all the parts.
func (a answer) refused(t *testing.T, code int, parts ...string) {
	t.Helper()
	if lines := a.complaint(); a.code != code || len(lines) != 1 || !holds(lines[0], parts) {
		t.Errorf("want exit %d and one line with %q, got %v", code, parts, a)
	}
}

func holds(line string, parts []string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) })
}

func tail(log string) string {
	const most = 8 << 10
	return log[max(0, len(log)-most):]
}

// command sends a refund of 1.00 HKD of a payment of its own.
func (i *installation) command(t *testing.T, ids ...string) {
	t.Helper()
	records := make([]kafkatest.Record, len(ids))
	for n, id := range ids {
		value, err := json.Marshal(schemas.Command{
			SchemaVersion: schemas.CommandVersion, RequestID: id, Gateway: schemas.Antom, PaymentID: "pay-" + id,
			Amount: schemas.Money{Minor: 100, Currency: "HKD"},
		})
		if err != nil {
			t.Fatal(err)
		}
		records[n] = kafkatest.Record{Partition: n % partitions, Key: []byte("pay-" + id), Value: value}
	}
	if err := i.admin.Produce(t.Context(), i.prefix+".commands", records...); err != nil {
		t.Fatal(err)
	}
}

// finals reads the final outcomes so far, and checks that those of one request say the same of the money. Their bytes
// may differ here: a store that has lost a record makes its outcome anew.
func (i *installation) finals(ctx context.Context, t *testing.T) map[string]schemas.Outcome {
	t.Helper()
	records, err := i.admin.ReadAll(ctx, i.prefix+".results")
	if err != nil {
		t.Fatal(err)
	}
	finals := make(map[string]schemas.Outcome)
	for _, r := range records {
		out, err := schemas.DecodeOutcome(r.Value)
		if err != nil {
			t.Fatalf("outcome %s: %v", r.Value, err)
		}
		if !out.Final {
			continue
		}
		before, seen := finals[out.RequestID]
		if seen && (before.Status != out.Status || before.Code != out.Code || before.Amount != out.Amount) {
			t.Errorf("final outcomes of %s differ:\n%+v\n%+v", out.RequestID, before, out)
		}
		finals[out.RequestID] = out
	}
	return finals
}

// refunds runs a worker until one refund has succeeded at once and one after a retry.
func (i *installation) refunds(t *testing.T) {
	t.Helper()
	p := i.run(t)
	ids := []string{"now", "slow"}
	i.command(t, ids...)
	i.succeed(t, p, ids)
	p.stop(t)
}

// succeed waits until every command has its success, and holds the outcomes against the gateway's ledger.
func (i *installation) succeed(t *testing.T, p *process, ids []string) {
	t.Helper()
	var finals map[string]schemas.Outcome
	until(t, "the outcomes", 45*time.Second, func(ctx context.Context) bool {
		finals = i.finals(ctx, t)
		return p.ended() || len(finals) >= len(ids)
	})
	if p.ended() {
		t.Fatal("the worker ended")
	}
	ledger := i.gateway.Summary().Refunds
	for _, id := range ids {
		if finals[id].Status != schemas.Success || ledger[id] != 1 {
			t.Errorf("%s: outcome %q, and money moved %d times", id, finals[id].Status, ledger[id])
		}
	}
	if len(ledger) != len(ids) {
		t.Errorf("the gateway refunded %d requests, %d were sent", len(ledger), len(ids))
	}
}

// until polls until the condition holds, and fails the test when it does not in time.
func until(t *testing.T, what string, within time.Duration, holds func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !holds(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v", what, within)
		case <-ticker.C:
		}
	}
}
