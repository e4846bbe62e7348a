package realtest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// RequireEnv is the variable that, set to 1, turns "a real part is missing, so this test is skipped" into a failure.
const RequireEnv = "REFUND_WORKER_REQUIRE_REAL"

// Parts says which real parts this machine has.
type Parts struct {
	// Kafka and Redis are the versions found; empty when the part is missing.
	Kafka, Redis string
	// KafkaMissing and RedisMissing say why a part is missing; nil when it is there.
	KafkaMissing, RedisMissing error

	java, libs, redisServer string
}

// String is one line for the log of a run: what ran on what.
func (p Parts) String() string {
	kafka, redis := "Apache Kafka "+p.Kafka, "redis-server "+p.Redis
	if p.KafkaMissing != nil {
		kafka = fmt.Sprintf("no real Kafka (%v)", p.KafkaMissing)
	}
	if p.RedisMissing != nil {
		redis = fmt.Sprintf("no real Redis (%v)", p.RedisMissing)
	}
	return kafka + ", " + redis
}

// Available looks for the real parts, once per process. It starts none of them.
func Available() Parts { return lookOnce() }

//nolint:gochecknoglobals // a cached answer about the machine, the same for every test of the process
var lookOnce = sync.OnceValue(look)

func look() Parts {
	var p Parts
	p.Kafka, p.java, p.libs, p.KafkaMissing = lookKafka()
	p.Redis, p.redisServer, p.RedisMissing = lookRedis()
	return p
}

func lookKafka() (version, java, libs string, err error) {
	root, err := moduleRoot()
	if err != nil {
		return "", "", "", err
	}
	raw, err := os.ReadFile(filepath.Join(root, "test", "real", "pom.xml"))
	if err != nil {
		return "", "", "", err
	}
	pinned, err := pinnedKafka(raw)
	if err != nil {
		return "", "", "", err
	}
	dir := filepath.Join(root, ".cache", "kafka-"+pinned)
	// setup.sh leaves the pom beside the jars it fetched for it, last of all.
	if fetched, err := os.ReadFile(filepath.Join(dir, "pom.xml")); err != nil || !bytes.Equal(fetched, raw) {
		return "", "", "", fmt.Errorf("the jars of Kafka %s are not in .cache, run test/real/setup.sh", pinned)
	}
	java, err = exec.LookPath("java")
	if err != nil {
		return "", "", "", err
	}
	return pinned, java, filepath.Join(dir, "libs"), nil
}

// pinnedKafka reads the one place that pins the broker's version.
func pinnedKafka(pom []byte) (string, error) {
	var project struct {
		Version string `xml:"properties>kafka.version"`
	}
	if err := xml.Unmarshal(pom, &project); err != nil {
		return "", fmt.Errorf("read test/real/pom.xml: %w", err)
	}
	if project.Version == "" {
		return "", errors.New("read test/real/pom.xml: no kafka.version")
	}
	return project.Version, nil
}

func lookRedis() (version, server string, err error) {
	server, err = exec.LookPath("redis-server")
	if err != nil {
		return "", "", err
	}
	out, err := exec.Command(server, "--version").Output() //nolint:noctx // it prints a line and ends
	if err != nil {
		return "", "", fmt.Errorf("run redis-server --version: %w", err)
	}
	for word := range strings.FieldsSeq(string(out)) {
		if v, ok := strings.CutPrefix(word, "v="); ok {
			return v, server, nil
		}
	}
	return "", "", fmt.Errorf("redis-server --version says %q", out)
}

// moduleRoot is the folder of go.mod: tests run in their package's folder.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || parent == dir {
			return "", fmt.Errorf("find the module's root: %w", err)
		}
		dir = parent
	}
}

// require skips the test when a part is missing, or fails it under [RequireEnv].
func require(tb testing.TB, missing error) {
	tb.Helper()
	switch {
	case missing == nil:
	case os.Getenv(RequireEnv) == "1":
		tb.Fatalf("%s=1, and a real part is missing: %v", RequireEnv, missing)
	default:
		tb.Skipf("a real part is missing: %v", missing)
	}
}
