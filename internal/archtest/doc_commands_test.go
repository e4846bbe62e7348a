package archtest

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	log "github.com/rs/zerolog"

	"refundworker/gateway/sandbox"
	"refundworker/internal/config"
	"refundworker/internal/worker"
	"refundworker/schemas"
)

func TestTheContractsExamplesAreGoldenMessagesOfEveryKind(t *testing.T) {
	t.Parallel()
	golden := goldenMessages(t)
	seen := map[string]int{}
	for i, text := range blocks(t, "docs/contract.md", "json") {
		kind, err := decode([]byte(text))
		if err != nil {
			t.Errorf("example %d is no %s: %v", i+1, kind, err)
			continue
		}
		if !golden[strings.TrimSpace(text)] {
			t.Errorf("example %d, of kind %s, is none of the messages in schemas/testdata", i+1, kind)
		}
		seen[kind]++
	}
	for _, kind := range []string{"command", "outcome success", "outcome failed", "outcome retry-pending", "rejection"} {
		if seen[kind] == 0 {
			t.Errorf("docs/contract.md has no example of kind %s", kind)
		}
	}
}

// decode reads an example as what its fields make it.
func decode(raw []byte) (kind string, err error) {
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		return "JSON", err
	}
	switch {
	case fields["status"] != nil:
		out, err := schemas.DecodeOutcome(raw)
		return "outcome " + string(out.Status), err
	case fields["code"] != nil:
		_, err := schemas.DecodeRejection(raw)
		return "rejection", err
	}
	_, err = schemas.DecodeCommand(raw)
	return "command", err
}

func goldenMessages(t *testing.T) map[string]bool {
	t.Helper()
	golden := map[string]bool{}
	for _, folder := range []string{"accepted", "outcomes", "rejections"} {
		names, err := filepath.Glob(filepath.Join(root(t), "schemas", "testdata", folder, "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			golden[strings.TrimSpace(string(raw))] = true
		}
	}
	return golden
}

// The example must do for a worker of this build, not only for the parser: a gateway without a client would not.
func TestTheReadmesConfigurationStartsAWorker(t *testing.T) {
	t.Parallel()
	keys, err := sandbox.NewTestKeys()
	if err != nil {
		t.Fatal(err)
	}
	examples := blocks(t, "README.md", "yaml")
	if len(examples) == 0 {
		t.Fatal("README.md has no configuration")
	}
	for _, text := range examples {
		cfg, err := config.Load(config.Flags{File: "worker.yaml"}, config.WithAccounts, config.Source{
			LookupEnvFunc: func(name string) (string, bool) {
				password, known := map[string]string{"REDIS_PASSWORD": "pass"}[name]
				return password, known
			},
			ReadFileFunc: func(name string) ([]byte, error) {
				switch {
				case name == "worker.yaml":
					return []byte(text), nil
				case strings.HasSuffix(name, "_private.key"):
					return []byte(keys.MerchantPrivate), nil
				case strings.HasSuffix(name, "_public.key"):
					return []byte(keys.GatewayPublic), nil
				}
				return nil, os.ErrNotExist
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := worker.New(cfg, "test", log.New(io.Discard)); err != nil {
			t.Error(err)
		}
	}
}

func TestTheSandboxDocumentsExampleReconciles(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "example.jsonl")
	examples := blocks(t, "docs/sandbox.md", "jsonl")
	if len(examples) == 0 {
		t.Fatal("docs/sandbox.md has no example")
	}
	if err := os.WriteFile(file, []byte(strings.Join(examples, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := output(t, build(t, "sandbox"), "--file", file); !strings.HasSuffix(out, "\nreconciled\n") {
		t.Errorf("the example does not reconcile:\n%s", out)
	}
}

func TestTheReadmeShowsTheTableThatTheSandboxPrints(t *testing.T) {
	t.Parallel()
	_, printed, found := strings.Cut(output(t, build(t, "sandbox")), "\nkind ")
	if !found {
		t.Fatal("the sandbox printed no table")
	}
	var shown string
	for _, text := range blocks(t, "README.md", "text") {
		if rest, ok := strings.CutPrefix(text, "kind "); ok {
			shown = rest
		}
	}
	if diff := cmp.Diff(trimmed(printed), trimmed(shown)); diff != "" {
		t.Errorf("README.md shows another table than the sandbox prints (-prints +shows)\n%s", diff)
	}
}

// trimmed are the lines without the blanks behind them, which editors take away.
func trimmed(text string) []string {
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(text)) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	return lines
}

// A command line names a binary, then words and flags; of the words only the first is a command.
func TestDocumentsNameCommandsAndFlagsThatExist(t *testing.T) {
	t.Parallel()
	helps := map[string]string{
		"worker":  output(t, build(t, "worker"), "--help") + output(t, build(t, "worker"), "rebuild", "--help"),
		"sandbox": output(t, build(t, "sandbox"), "--help"),
	}
	count := 0
	for name, text := range documents(t) {
		for _, line := range commandLines(text) {
			count++
			for _, fault := range unknownWords(line, helps) {
				t.Errorf("%s: `%s` names %s, which its --help does not", name, line, fault)
			}
		}
	}
	if count == 0 {
		t.Error("no document shows a command")
	}
	for _, wrong := range []string{"worker walk", "bin/worker run --fast", "go run ./cmd/sandbox --fast"} {
		if unknownWords(wrong, helps) == nil {
			t.Errorf("`%s` passes for a command", wrong)
		}
	}
	for _, right := range []string{"worker init", "bin/worker run -c worker.yaml", "go run ./cmd/sandbox --file x"} {
		if faults := unknownWords(right, helps); faults != nil {
			t.Errorf("`%s` is refused: %v", right, faults)
		}
	}
}

var (
	codeSpan    = regexp.MustCompile("`([^`\n]+)`")
	commandLine = regexp.MustCompile(`^(?:bin/|go run \./cmd/)?(worker|sandbox) +(\S.*)$`)
	fence       = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```")
)

// commandLines are the lines of shell examples and the quoted texts that call one of our binaries.
func commandLines(text string) []string {
	var lines []string
	add := func(line string) {
		if line = strings.TrimSpace(line); commandLine.MatchString(line) {
			lines = append(lines, line)
		}
	}
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		if m[1] == "sh" {
			for line := range strings.Lines(m[2]) {
				add(line)
			}
		}
	}
	for _, m := range codeSpan.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		add(m[1])
	}
	return lines
}

func unknownWords(line string, helps map[string]string) []string {
	m := commandLine.FindStringSubmatch(line)
	help := helps[m[1]]
	var faults []string
	for i, word := range strings.Fields(m[2]) {
		var known bool
		switch flag, _, _ := strings.Cut(word, "="); {
		case strings.HasPrefix(word, "-"):
			known = regexp.MustCompile(`(?m)^ +(-\w, +)?` + regexp.QuoteMeta(flag) + `\b`).MatchString(help)
		case i == 0:
			known = regexp.MustCompile(`(?m)^  ` + regexp.QuoteMeta(word) + ` `).MatchString(help)
		default:
			known = true
		}
		if !known {
			faults = append(faults, word)
		}
	}
	return faults
}

func TestDocumentsNameTestsAndMetricsThatExist(t *testing.T) {
	t.Parallel()
	var sources bytes.Buffer
	for name := range readTree(t).files {
		if filepath.Ext(name) == ".go" {
			sources.Write(read(t, name))
		}
	}
	code := sources.String()
	test := regexp.MustCompile(`(-run )?\b((?:Test|Fuzz)[A-Z]\w+)`)
	metric := regexp.MustCompile(`\brefund_worker_[a-z_]*[a-z]\b`)
	tests, metrics := 0, 0
	for name, text := range documents(t) {
		for _, m := range test.FindAllStringSubmatch(text, -1) {
			tests++
			want := "\nfunc " + m[2] + "("
			if m[1] != "" {
				want = "\nfunc " + m[2] // go test -run takes the beginning of a name
			}
			if !strings.Contains(code, want) {
				t.Errorf("%s names the test %s, which does not exist", name, m[2])
			}
		}
		for _, found := range metric.FindAllString(text, -1) {
			metrics++
			// The consumer puts the first part of its names in front of all of them.
			own, _ := strings.CutPrefix(found, "refund_worker_consumer_")
			if !strings.Contains(code, `"`+found+`"`) && !strings.Contains(code, `"`+own+`"`) {
				t.Errorf("%s names the metric %s, which does not exist", name, found)
			}
		}
	}
	if tests == 0 || metrics == 0 {
		t.Errorf("found %d tests and %d metrics in the documents, want some of each", tests, metrics)
	}
}

func TestDocumentsNameSettingsThatExist(t *testing.T) {
	t.Parallel()
	table := string(read(t, "docs/configuration.md"))
	setting := regexp.MustCompile("`((?:kafka|redis|limits|dedupe|retry|http|log|trace)\\.[a-z_.]+)`")
	count := 0
	for name, text := range documents(t) {
		for _, m := range setting.FindAllStringSubmatch(text, -1) {
			count++
			if !strings.Contains(table, "\n| `"+m[1]+"` |") {
				t.Errorf("%s names the setting %s, which does not exist", name, m[1])
			}
		}
	}
	if count == 0 {
		t.Error("found no setting in the documents")
	}
}

// documents are the texts of the README and its like, and of docs/, by name.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for name := range readTree(t).files {
		if filepath.Ext(name) == ".md" && (!strings.Contains(name, "/") || strings.HasPrefix(name, "docs/")) {
			texts[name] = string(read(t, name))
		}
	}
	return texts
}

// blocks are the fenced texts of one language in a document.
func blocks(t *testing.T, name, language string) []string {
	t.Helper()
	var list []string
	for _, m := range fence.FindAllStringSubmatch(string(read(t, name)), -1) {
		if m[1] == language {
			list = append(list, m[2])
		}
	}
	return list
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// build makes one of the binaries and returns its path.
func build(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/"+name)
	cmd.Dir = root(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build ./cmd/%s: %v: %s", name, err, out)
	}
	return path
}

// output is what a binary of ours prints. It must end with 0. Of the environment it sees only what a process needs.
func output(t *testing.T, binary string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v: %s%s", filepath.Base(binary), strings.Join(args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.String()
}
