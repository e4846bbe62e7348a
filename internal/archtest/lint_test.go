package archtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// planted is an import in a package, and whether the linter's allow-list must refuse it.
type planted struct {
	in, imports string
	forbidden   bool
}

// plants has at least one forbidden import for every arrow, and an allowed one for every rule: a rule that refused
// everything would catch all faults too.
func plants() []planted {
	own := func(path string) string { return module + "/" + path }
	return []planted{
		{"schemas", "encoding/json", false},
		{"schemas", "github.com/Rhymond/go-money", false},
		{"schemas", own("refund"), true},
		{"schemas", zerolog, true},
		{"schemas", "net/http", true},

		{"refund", own("schemas"), false},
		{"refund", zerolog, false},
		{"refund", otel + "/trace", false},
		{"refund", otel + "/sdk/trace", true},
		{"refund", otel, true},
		{"refund", kafkaGo, true},
		{"refund", goRedis, true},
		{"refund", "net/http", true},
		{"refund", "os", true},
		{"refund", own("dedupe"), true},
		{"refund", own("internal/kafka"), true},

		{"dedupe", own("refund"), false},
		{"dedupe", goRedis, false},
		{"dedupe", own("consumer"), true},
		{"dedupe", own("gateway"), true},
		{"dedupe", kafkaGo, true},
		{"dedupe", miniredis, true},

		{"consumer", own("internal/kafka"), false},
		{"consumer", kafkaGo, false},
		{"consumer", own("dedupe"), true},
		{"consumer", own("producer"), true},
		{"consumer", goRedis, true},
		{"consumer", otel + "/trace", true},
		{"consumer", own("internal/kafka/kafkatest"), true},

		{"producer", kafkaGo, false},
		{"producer", own("consumer"), true},
		{"producer", own("gateway/antom"), true},

		{"internal/kafka", own("schemas"), false},
		{"internal/kafka", own("refund"), true},
		{"internal/kafka", own("internal/config"), true},

		{"gateway", "net/http", false},
		{"gateway", own("refund"), false},
		{"gateway", own("gateway/sandbox"), true},
		{"gateway", own("gateway/antom"), true},
		{"gateway", own("dedupe"), true},

		{"gateway/antom", own("gateway"), false},
		{"gateway/antom", "crypto/rsa", false},
		{"gateway/antom", own("gateway/sandbox"), true},
		{"gateway/antom", own("producer"), true},
		{"gateway/antom", "net/rpc", true},
		{"gateway/antom", own("gateway/eftpay"), true},
		{"gateway/eftpay", own("gateway"), false},
		{"gateway/eftpay", own("gateway/antom"), true},
		{"gateway/eftpay", own("gateway/sandbox"), true},
		{"gateway/eftpay", own("dedupe"), true},

		{"gateway/sandbox", "net/http", false},
		{"gateway/sandbox", zerolog, false},
		{"gateway/sandbox", own("gateway/antom"), true},
		{"gateway/sandbox", own("gateway"), true},
		{"gateway/sandbox", own("schemas"), true},
		{"gateway/sandbox", own("refund"), true},

		{"internal/config", kafkaGo + "/sasl", false},
		{"internal/config", kong, false},
		{"internal/config", kafkaGo, true},
		{"internal/config", own("gateway/antom"), true},

		{"internal/notify", own("internal/serve"), false},
		{"internal/notify", own("gateway/antom"), true},
		{"internal/notify", own("producer"), true},
		{"internal/serve", "golang.org/x/net/netutil", false},
		{"internal/serve", own("internal/observe"), true},

		{"internal/observe", prometheus + "/prometheus", false},
		{"internal/observe", own("refund"), true},
		{"internal/reload", prometheus + "/prometheus", false},
		{"internal/reload", own("internal/config"), true},
		{"internal/reload", "os", true},

		{"internal/worker", own("consumer"), false},
		{"internal/worker", own("gateway/antom"), false},
		{"internal/worker", otel + "/sdk/trace", false},
		{"internal/worker", own("gateway/sandbox"), true},
		{"internal/worker", own("internal/realtest"), true},
		{"internal/worker", franz + "/pkg/kfake", true},
		{"internal/worker", miniredis, true},

		{"internal/rebuild", own("dedupe"), false},
		{"internal/rebuild", own("internal/kafka"), false},
		{"internal/rebuild", own("consumer"), true},
		{"internal/rebuild", own("internal/worker"), true},

		{"cmd/worker", own("internal/worker"), false},
		{"cmd/worker", kong, false},
		{"cmd/worker", own("gateway/sandbox"), true},
		{"cmd/worker", own("internal/realtest"), true},
		{"cmd/worker", own("refund"), true},
		{"cmd/worker", miniredis, true},

		{"cmd/sandbox", franz + "/pkg/kfake", false},
		{"cmd/sandbox", own("gateway/sandbox"), false},
		{"cmd/sandbox", own("internal/realtest"), true},
		{"cmd/sandbox", own("dedupe"), true},

		// For all production code.
		{"dedupe", "log/slog", true},
		{"consumer", "os/exec", true},
		{"gateway", "math/rand", true},
		{"gateway", "math/rand/v2", false},
		{"internal/worker", "testing", true},
		{"internal/observe", "net/http/pprof", true},

		// A package nobody wrote a rule for.
		{"newcomer", "fmt", false},
		{"newcomer", zerolog, true},
		{"newcomer", own("schemas"), true},
	}
}

// The real config, on a skeleton of the module: every package empty, and each planted import in a package of its own
// below plant<n>/, so that imports which would be cycles in the real tree can be planted side by side.
func TestTheLinterCatchesEveryPlantedImport(t *testing.T) {
	t.Parallel()
	lint := filepath.Join(root(t), ".cache", "bin", "golangci-lint")
	if _, err := os.Stat(lint); err != nil {
		const missing = "golangci-lint is not built, run make check first"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	tree := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", ".golangci.yml"} {
		raw, err := os.ReadFile(filepath.Join(root(t), name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(tree, name), string(raw))
	}
	for path := range arrows() {
		skeleton(t, tree, path, "")
	}
	for _, path := range kits() {
		skeleton(t, tree, path, "")
	}
	plants := plants()
	for i, p := range plants {
		skeleton(t, tree, plantDir(i, p), p.imports)
	}

	caught := lintImports(t, lint, tree)
	for i, p := range plants {
		file := filepath.Join(plantDir(i, p), "planted.go")
		switch got := caught[file]; {
		case p.forbidden && got == "":
			t.Errorf("%s imports %s, and the linter says nothing", p.in, p.imports)
		case !p.forbidden && got != "":
			t.Errorf("%s may import %s, and the linter says: %s", p.in, p.imports, got)
		}
	}
}

// Every package with arrows is named by a rule of the linter's too: by the rule for packages without one, it could
// import the standard library only, and its plants would all be caught.
func TestEveryArrowHasAPlantOfEachKind(t *testing.T) {
	t.Parallel()
	for path := range arrows() {
		var allowed, forbidden bool
		for _, p := range plants() {
			if p.in == path {
				allowed = allowed || !p.forbidden
				forbidden = forbidden || p.forbidden
			}
		}
		if !allowed || !forbidden {
			t.Errorf("%s: planted an allowed import: %v, a forbidden one: %v; want both", path, allowed, forbidden)
		}
	}
}

func plantDir(i int, p planted) string {
	return filepath.Join(fmt.Sprintf("plant%d", i), filepath.FromSlash(p.in))
}

// skeleton writes a package of one file, which imports at most one other.
func skeleton(t *testing.T, tree, path, imports string) {
	t.Helper()
	// The package clause's name is of no matter to an import; "main" could not be imported.
	text := "// Package planted is planted.\npackage planted\n"
	if imports != "" {
		text += fmt.Sprintf("\nimport _ %q\n", imports)
	}
	write(t, filepath.Join(tree, filepath.FromSlash(path), "planted.go"), text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// lintImports returns depguard's finding by file.
func lintImports(t *testing.T, lint, tree string) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), lint, "run", "--enable-only", "depguard", "--allow-parallel-runners",
		"--issues-exit-code", "0", "--output.json.path", "stdout", "--show-stats=false", "./...")
	cmd.Dir = tree
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("golangci-lint: %v: %s", err, stderr.Bytes())
	}
	var report struct {
		Issues []struct {
			FromLinter string `json:"FromLinter"`
			Text       string `json:"Text"`
			Pos        struct {
				Filename string `json:"Filename"`
			} `json:"Pos"`
		} `json:"Issues"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("golangci-lint said %q: %v", out, err)
	}
	caught := map[string]string{}
	for _, issue := range report.Issues {
		if issue.FromLinter != "depguard" {
			t.Errorf("the skeleton is faulty: %s: %s: %s", issue.Pos.Filename, issue.FromLinter, issue.Text)
			continue
		}
		caught[filepath.Clean(strings.TrimPrefix(issue.Pos.Filename, tree))] = issue.Text
	}
	return caught
}
