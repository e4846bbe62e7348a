package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "refundworker"

// arrow says what a package may import: packages of this module by their path inside it, and libraries by prefix. The
// standard library is the linter's business. Test files are not held here.
type arrow struct{ own, libs []string }

const (
	kafkaGo    = "github.com/segmentio/kafka-go"
	goRedis    = "github.com/redis/go-redis/v9"
	zerolog    = "github.com/rs/zerolog"
	prometheus = "github.com/prometheus/client_golang"
	backoff    = "github.com/cenkalti/backoff/v5"
	xsync      = "golang.org/x/sync"
	kong       = "github.com/alecthomas/kong"
	otel       = "go.opentelemetry.io/otel"
	franz      = "github.com/twmb/franz-go"
	miniredis  = "github.com/alicebob/miniredis/v2"
)

// arrows lists every package that a binary may link. cmd is outermost, schemas innermost.
func arrows() map[string]arrow {
	traceAPI := []string{otel + "/trace", otel + "/attribute", otel + "/codes", otel + "/propagation", otel + "/semconv"}
	return map[string]arrow{
		"schemas": {libs: []string{"github.com/santhosh-tekuri/jsonschema/v6", "github.com/Rhymond/go-money"}},
		"refund":  {own: []string{"schemas"}, libs: slices.Concat(traceAPI, []string{zerolog, prometheus, backoff, xsync})},

		"dedupe": {own: []string{"refund", "schemas"}, libs: []string{goRedis, zerolog, prometheus}},
		"consumer": {
			own:  []string{"refund", "schemas", "internal/kafka"},
			libs: []string{kafkaGo, zerolog, prometheus, backoff, xsync, "golang.org/x/time/rate"},
		},
		"producer": {
			own:  []string{"refund", "schemas", "internal/kafka"},
			libs: []string{kafkaGo, zerolog, prometheus, backoff, xsync},
		},
		"internal/kafka":  {own: []string{"schemas"}, libs: []string{kafkaGo}},
		"gateway":         {own: []string{"refund", "schemas"}, libs: []string{zerolog, prometheus}},
		"gateway/antom":   {own: []string{"gateway", "refund", "schemas"}, libs: []string{zerolog, prometheus}},
		"gateway/eftpay":  {own: []string{"gateway", "refund", "schemas"}, libs: []string{zerolog, prometheus}},
		"gateway/sandbox": {libs: []string{zerolog}},

		"internal/config":  {own: []string{"schemas"}, libs: []string{kong, "github.com/goccy/go-yaml", kafkaGo + "/sasl"}},
		"internal/notify":  {own: []string{"refund", "schemas", "internal/serve"}, libs: []string{zerolog, prometheus}},
		"internal/observe": {own: []string{"internal/serve"}, libs: []string{zerolog, prometheus}},
		"internal/reload":  {libs: []string{zerolog, prometheus}},
		"internal/serve":   {libs: []string{zerolog, "golang.org/x/net/netutil", "golang.org/x/time/rate"}},
		"internal/worker": {
			own: []string{
				"schemas", "refund", "consumer", "producer", "dedupe", "gateway", "gateway/antom", "gateway/eftpay",
				"internal/config", "internal/kafka", "internal/notify", "internal/observe", "internal/rebuild", "internal/reload", "internal/serve",
			},
			libs: []string{kafkaGo, goRedis, zerolog, prometheus, backoff, xsync, otel, "github.com/go-logr/logr"},
		},
		"internal/rebuild": {
			own:  []string{"schemas", "refund", "dedupe", "internal/kafka"},
			libs: []string{zerolog, prometheus, xsync},
		},
		"cmd/worker": {
			own:  []string{"internal/worker", "internal/config", "internal/observe"},
			libs: []string{kong, zerolog, "github.com/schollz/progressbar/v3"},
		},
		"cmd/sandbox": {
			own: []string{
				"schemas", "gateway/sandbox", "internal/worker", "internal/config", "internal/observe", "internal/kafka",
			},
			libs: []string{franz, miniredis, kafkaGo, kong, zerolog, xsync},
		},
	}
}

// kits are packages that hold tests, or that only tests import.
func kits() []string {
	return []string{"internal/archtest", "internal/cuttest", "internal/realtest", "internal/kafka/kafkatest", "test/cutpoints", "test/e2e", "test/rules", "test/schedules", "test/secure"}
}

// pkg is what `go list` says about a package.
type pkg struct {
	ImportPath string   `json:"ImportPath"`
	Imports    []string `json:"Imports"`
	Deps       []string `json:"Deps"`
}

func (p pkg) path() string { return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/") }

func TestEveryPackageImportsOnlyWhatItsArrowsAllow(t *testing.T) {
	t.Parallel()
	arrows := arrows()
	seen := map[string]bool{}
	for _, p := range goList(t, "./...") {
		seen[p.path()] = true
		if slices.Contains(kits(), p.path()) {
			continue
		}
		a, ok := arrows[p.path()]
		if !ok {
			t.Errorf("package %s has no arrows: add it here and to .golangci.yml", p.path())
			continue
		}
		for _, fault := range a.faults(p) {
			t.Error(fault)
		}
	}
	for path := range arrows {
		if !seen[path] {
			t.Errorf("%s has arrows, and does not exist", path)
		}
	}
}

func TestArrowsCatchWhatTheyForbid(t *testing.T) {
	t.Parallel()
	a := arrow{own: []string{"schemas"}, libs: []string{kafkaGo + "/sasl"}}
	for _, tt := range []struct {
		imports string
		caught  bool
	}{
		{"fmt", false},
		{"net/http", false},
		{module + "/schemas", false},
		{module + "/schemas/other", true},
		{module + "/schemasx", true},
		{module + "/refund", true},
		{kafkaGo + "/sasl", false},
		{kafkaGo + "/sasl/scram", false},
		{kafkaGo + "/saslx", true},
		{kafkaGo, true},
		{"golang.org/x/sync/errgroup", true},
	} {
		faults := a.faults(pkg{ImportPath: module + "/x", Imports: []string{tt.imports}})
		if caught := len(faults) > 0; caught != tt.caught {
			t.Errorf("import of %s: caught %v, want %v", tt.imports, caught, tt.caught)
		}
	}
}

// faults are the imports of p that a does not allow.
func (a arrow) faults(p pkg) []string {
	var faults []string
	for _, imported := range p.Imports {
		own, ours := strings.CutPrefix(imported, module+"/")
		first, _, _ := strings.Cut(imported, "/")
		switch {
		case ours && !slices.Contains(a.own, own),
			!ours && strings.Contains(first, ".") && !slices.ContainsFunc(a.libs, inside(imported)):
			faults = append(faults, p.path()+" must not import "+imported)
		}
	}
	return faults
}

// inside says whether path is the package lib or lies below it.
func inside(path string) func(lib string) bool {
	return func(lib string) bool { return path == lib || strings.HasPrefix(path, lib+"/") }
}

// What a package reaches through others counts as well: a binary links all of it.
func TestNoPackageReachesWhatItMustNotKnow(t *testing.T) {
	t.Parallel()
	var kitPaths []string
	for _, kit := range kits() {
		kitPaths = append(kitPaths, module+"/"+kit)
	}
	fakes := slices.Concat(kitPaths, []string{module + "/gateway/sandbox", franz, miniredis, "testing"})
	drivers := []string{kafkaGo, goRedis}
	exporters := []string{otel + "/sdk", otel + "/exporters"}
	for _, tt := range []struct {
		path   string
		never  []string
		reason string
	}{
		{"schemas", []string{module, kafkaGo, goRedis, zerolog, "net/http"}, "the contract is a leaf"},
		{"refund", slices.Concat(drivers, exporters), "the core knows no broker, no store and no collector"},
		{"gateway/antom", drivers, "a gateway knows no broker and no store"},
		{"gateway/eftpay", drivers, "a gateway knows no broker and no store"},
		{"gateway/sandbox", slices.Concat(drivers, []string{module}), "the oracle shares no code with what it judges"},
		{"dedupe", []string{kafkaGo, module + "/consumer", module + "/producer", module + "/gateway"}, "adapters never meet"},
		{"consumer", []string{goRedis, module + "/dedupe", module + "/producer", module + "/gateway"}, "adapters never meet"},
		{"producer", []string{goRedis, module + "/dedupe", module + "/consumer", module + "/gateway"}, "adapters never meet"},
		{"internal/notify", append([]string{module + "/dedupe", module + "/gateway"}, drivers...), "it verifies and writes through what it is given"},
		{"internal/worker", fakes, "no fake and no test kit in production"},
		{"cmd/worker", fakes, "no fake and no test kit in production"},
		{"cmd/sandbox", slices.Concat(kitPaths, []string{"testing"}), "no test kit in a binary"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			t.Parallel()
			for _, p := range goList(t, "./"+tt.path) {
				for _, reached := range p.Deps {
					if reached != p.ImportPath && slices.ContainsFunc(tt.never, inside(reached)) {
						t.Errorf("%s reaches %s: %s", tt.path, reached, tt.reason)
					}
				}
			}
		})
	}
}

// goList asks the go command about packages. It reads imports only, so it also answers for code that does not compile.
func goList(t *testing.T, pattern string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,Deps", pattern)
	cmd.Dir = root(t)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v: %s", pattern, err, stderr.Bytes())
	}
	var list []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("go list %s: %v", pattern, err)
		}
		list = append(list, p)
	}
}

// root is the module's folder: this package lies two folders below it.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
