package archtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	log "github.com/rs/zerolog"

	"refundworker/gateway/sandbox"
	"refundworker/internal/config"
	"refundworker/internal/worker"
)

// installation is one way to run the worker, as deploy/ has it.
type installation struct {
	name string
	// config is the worker's configuration file; empty means the defaults.
	config string
	// grace is how long the process has from SIGTERM to SIGKILL.
	grace time.Duration
	// contained: the listener is asked from outside of the worker's own network.
	contained bool
}

func installations(t *testing.T) []installation {
	t.Helper()
	return []installation{
		ofChart(t, "minimal"),
		ofChart(t, "full"),
		{
			"compose", string(read(t, "deploy/compose/worker.yaml")),
			duration(t, compose(t).Services["worker"].StopGracePeriod), true,
		},
		{"systemd", "", duration(t, unit(t, "TimeoutStopSec")), false},
	}
}

// ofChart reads what the chart renders to; the module in deploy/helm/render holds these files to the chart.
func ofChart(t *testing.T, name string) installation {
	t.Helper()
	in := installation{name: "chart, " + name, contained: true}
	for document := range strings.SplitSeq(string(read(t, "deploy/helm/render/testdata/"+name+".yaml")), "\n---\n") {
		var m struct {
			Kind string            `yaml:"kind"`
			Data map[string]string `yaml:"data"`
			Spec struct {
				Template struct {
					Spec struct {
						Grace int `yaml:"terminationGracePeriodSeconds"`
					} `yaml:"spec"`
				} `yaml:"template"`
			} `yaml:"spec"`
		}
		parse(t, document, &m)
		switch m.Kind {
		case "ConfigMap":
			in.config = m.Data["worker.yaml"]
		case "Deployment":
			in.grace = time.Duration(m.Spec.Template.Spec.Grace) * time.Second
		}
	}
	if in.config == "" {
		t.Fatalf("the chart's manifests for %s hold no configuration", name)
	}
	return in
}

// A killed worker moves no money twice, but it makes a maybe of every refund that was running.
func TestEveryInstallationGivesTheWorkerTimeToStop(t *testing.T) {
	t.Parallel()
	assembly := string(read(t, "internal/worker/worker.go"))
	if !strings.Contains(assembly, "StopTimeout: w.cfg.Limits.GatewayTimeout + grace + time.Second,") {
		t.Error("the consumers' stop is computed otherwise than this test knows: adapt it, and the stop times in deploy/")
	}
	// One after the other: the consumers, then the listener, then the connections.
	slack := constant(t, assembly, "grace") + time.Second + constant(t, assembly, "closeTimeout") +
		constant(t, string(read(t, "internal/observe/server.go")), "shutdownTimeout")
	// The listener for notifications stops beside the consumers, and no gateway_timeout is below a second.
	if notify := constant(t, string(read(t, "internal/notify/server.go")), "stopTimeout"); notify > constant(t, assembly, "grace")+2*time.Second {
		t.Errorf("the listener for notifications takes %v to stop, and may take longer than the consumers", notify)
	}
	for _, in := range installations(t) {
		cfg := load(t, in.config)
		if bound := cfg.Limits.GatewayTimeout + slack; in.grace < bound {
			t.Errorf("%s: the worker is killed after %v and may need %v", in.name, in.grace, bound)
		}
	}
}

// constant reads a duration out of a source: what is not exported, and still has to be told to operators.
func constant(t *testing.T, source, name string) time.Duration {
	t.Helper()
	m := regexp.MustCompile(`(?m)^\t` + name + `\s+= (\d+) \* time\.Second$`).FindStringSubmatch(source)
	if m == nil {
		t.Fatalf("found no constant %s in whole seconds", name)
	}
	return duration(t, m[1]+"s")
}

func TestEveryInstallationsConfigurationStartsAWorkerThatCanBeAsked(t *testing.T) {
	t.Parallel()
	for _, in := range installations(t) {
		if in.config == "" {
			continue
		}
		cfg := load(t, in.config)
		host, _, err := net.SplitHostPort(cfg.HTTP.Listen)
		if err != nil {
			t.Fatal(err)
		}
		if ip := net.ParseIP(host); in.contained && host != "" && (ip == nil || !ip.IsUnspecified()) {
			t.Errorf("%s: probes and scrapes do not reach %s", in.name, cfg.HTTP.Listen)
		}
		// Building the connections reads the authorities' files once more, from the disk.
		cfg.Kafka.TLS, cfg.Redis.TLS, cfg.Trace.CAFile = config.TLS{}, config.TLS{}, ""
		if _, err := worker.New(cfg, "test", log.New(io.Discard)); err != nil {
			t.Errorf("%s: %v", in.name, err)
		}
	}
}

// load reads a configuration whose secrets are all there; the empty one is that of the defaults.
func load(t *testing.T, text string) config.Config {
	t.Helper()
	scope := config.WithAccounts
	if text == "" {
		scope = config.WithoutAccounts
	}
	keys, err := sandbox.NewTestKeys()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Flags{File: "worker.yaml"}, scope, config.Source{
		LookupEnvFunc: func(string) (string, bool) { return "", false },
		ReadFileFunc: func(name string) ([]byte, error) {
			switch base := path.Base(name); {
			case name == "worker.yaml":
				return []byte(text), nil
			case strings.HasSuffix(base, "_private.key"):
				return []byte(keys.MerchantPrivate), nil
			case strings.HasPrefix(base, "antom_public"):
				return []byte(keys.GatewayPublic), nil
			case base == "ca.pem":
				return authority(t), nil
			case base == "collector_login":
				return []byte("authorization: Bearer token"), nil
			}
			return []byte("a secret"), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// authority is a certificate in PEM; what it certifies is nobody's business here.
func authority(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

type composeFile struct {
	Services map[string]struct {
		Image           string   `yaml:"image"`
		Command         []string `yaml:"command"`
		Profiles        []string `yaml:"profiles"`
		Secrets         []string `yaml:"secrets"`
		StopGracePeriod string   `yaml:"stop_grace_period"`
	} `yaml:"services"`
	Secrets map[string]any `yaml:"secrets"`
}

func compose(t *testing.T) composeFile {
	t.Helper()
	var file composeFile
	parse(t, string(read(t, "deploy/compose/compose.yaml")), &file)
	return file
}

func TestComposeKeepsWhatTheWorkerDependsOn(t *testing.T) {
	t.Parallel()
	file := compose(t)
	redis := strings.Join(file.Services["redis"].Command, " ")
	for _, want := range []string{"--appendonly yes", "--maxmemory-policy noeviction", "--maxmemory "} {
		if !strings.Contains(redis, want) {
			t.Errorf("redis runs without %q: %s", want, redis)
		}
	}
	// On a Redis that was flushed, init would wipe out the sign of it.
	if profiles := file.Services["init"].Profiles; !slices.Equal(profiles, []string{"init"}) {
		t.Errorf("init has the profiles %v: it must not be started by itself", profiles)
	}
	if profiles := file.Services["worker"].Profiles; len(profiles) > 0 {
		t.Errorf("the worker has the profiles %v: nothing would start it", profiles)
	}
	for _, m := range regexp.MustCompile(`file:/run/secrets/(\S+)`).FindAllStringSubmatch(string(read(t, "deploy/compose/worker.yaml")), -1) {
		if !slices.Contains(file.Services["worker"].Secrets, m[1]) || file.Secrets[m[1]] == nil {
			t.Errorf("the worker reads the secret %s, which it is not given", m[1])
		}
	}
	version := regexp.MustCompile(`<kafka.version>(.*)</kafka.version>`).FindStringSubmatch(string(read(t, "test/real/pom.xml")))
	if want := "apache/kafka:" + version[1]; file.Services["kafka"].Image != want {
		t.Errorf("the broker is %s, the tests run on %s", file.Services["kafka"].Image, want)
	}
}

func TestTheImageIsBuiltAsMakeBuildsTheBinary(t *testing.T) {
	t.Parallel()
	dockerfile := string(read(t, "deploy/docker/Dockerfile"))
	recipe := string(read(t, "Makefile"))
	flags := regexp.MustCompile(`CGO_ENABLED=0 go build (-trimpath) -ldflags '([^']*)\$\(VERSION\)'`).FindStringSubmatch(recipe)
	if flags == nil {
		t.Fatal("found no build in the Makefile")
	}
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(read(t, "go.mod")))
	for _, want := range []string{
		"CGO_ENABLED=0", "go build " + flags[1] + ` -ldflags "` + flags[2] + `$VERSION" -o /out/worker ./cmd/worker`,
		"golang:" + goVersion[1] + "-", "\nFROM scratch\n", "/etc/ssl/certs/ca-certificates.crt", `ENTRYPOINT ["/worker"]`,
	} {
		if !strings.Contains(dockerfile, want) {
			t.Errorf("the Dockerfile has no %q", want)
		}
	}
	if user := regexp.MustCompile(`(?m)^USER ([1-9]\d*):[1-9]\d*$`).FindString(dockerfile); user == "" {
		t.Error("the image's user is root, or has no number")
	}
}

// What the image's build is not sent cannot be compiled; what it is sent beyond that could be a secret.
func TestTheImagesBuildIsSentWhatTheWorkerLinksAndNoTests(t *testing.T) {
	t.Parallel()
	var sent []string
	for line := range strings.Lines(string(read(t, "deploy/docker/Dockerfile.dockerignore"))) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "!"); ok {
			sent = append(sent, name)
		}
	}
	for _, p := range goList(t, "./cmd/worker") {
		for _, linked := range append(p.Deps, p.ImportPath) {
			own, ours := strings.CutPrefix(linked, module+"/")
			if ours && !slices.ContainsFunc(sent, inside(own)) {
				t.Errorf("the worker links %s, which the image's build is not sent", own)
			}
		}
	}
	for _, name := range sent {
		if _, err := os.Stat(filepath.Join(root(t), filepath.FromSlash(name))); err != nil {
			t.Errorf("the image's build is sent %s: %v", name, err)
		}
	}
}

// unit is a setting of the systemd unit.
func unit(t *testing.T, name string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + `=(.*)$`).FindStringSubmatch(string(read(t, "deploy/systemd/refund-worker.service")))
	if m == nil {
		t.Fatalf("the systemd unit has no %s", name)
	}
	return m[1]
}

func TestTheUnitStartsACommandThatExists(t *testing.T) {
	t.Parallel()
	_, args, _ := strings.Cut(unit(t, "ExecStart"), " ")
	if faults := unknownWords("worker "+args, map[string]string{"worker": output(t, build(t, "worker"), "--help")}); faults != nil {
		t.Errorf("the unit starts the worker with %v, which its --help does not name", faults)
	}
	if code := unit(t, "RestartPreventExitStatus"); code != "2" {
		t.Errorf("exit code 2 is for a person to mend, and the unit prevents a restart after %s", code)
	}
}

func parse(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
