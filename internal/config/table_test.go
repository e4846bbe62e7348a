package config

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/configuration.md")

const tablePath = "../../docs/configuration.md"

// row is one line of the settings table.
type row struct{ path, flag, env, fallback, help string }

// rows lists every setting: first those with a flag, then those of an account.
func rows() []row {
	var list []row
	var cfg Config
	for _, s := range leafValues(&cfg) {
		list = append(list, row{path: s.path, flag: s.flag(), env: s.env(), fallback: s.fallback, help: s.help})
	}
	var account Account
	for _, s := range settings(reflect.ValueOf(&account).Elem(), "accounts[].") {
		help := s.help
		if s.gateway != "" {
			help = string(s.gateway) + " only. " + help
		}
		list = append(list, row{path: s.path, fallback: s.fallback, help: help})
	}
	return list
}

func leafValues(cfg *Config) []setting { return settings(reflect.ValueOf(cfg).Elem(), "") }

func table() []byte {
	var b bytes.Buffer
	b.WriteString(`# Configuration

<!-- Generated from internal/config by: go test ./internal/config -run TestTheSettingsTable -update -->

A flag wins over its environment variable, the variable over the file (` + "`--config`, `-c` or `" + FileEnv + "`" + `), the file over the
default. An empty variable counts as not set. The file is YAML; unknown and duplicate keys are refused. In flags and
variables the items of a list are separated by commas. Durations carry their unit: ` + "`15s`, `10m`, `24h`" + `. A secret is always
a reference, ` + "`file:/path` or `env:NAME`" + `; line ends behind it are cut off. Files of secrets, of
` + "`tls` sections and `trace.ca_file`" + ` are read again while the worker runs, see [key rotation](operations.md#key-rotation).

Everything that is wrong is reported at once, one line per fault, and the exit code is 2. Beyond the limits of each
setting: twice ` + "`limits.gateway_timeout` plus 10s is less than `limits.lease`; `limits.drain`" + ` is less than the Kafka session
timeout of 10s; ` + "`limits.horizon` is longer than the longest tier; `dedupe.outcome_ttl` is shorter than `dedupe.tombstone_ttl`." + `

## Settings

| path | flag | environment | default | meaning |
| --- | --- | --- | --- | --- |
`)
	account := false
	for _, r := range rows() {
		fallback := ""
		if r.fallback != "" {
			fallback = "`" + r.fallback + "`"
		}
		if r.flag != "" {
			fmt.Fprintf(&b, "| `%s` | `--%s` | `%s` | %s | %s |\n", r.path, r.flag, r.env, fallback, r.help)
			continue
		}
		if !account {
			account = true
			b.WriteString("\n## Accounts\n\nOnly in the file: a list, one entry per set of gateway credentials.\n\n| path | default | meaning |\n| --- | --- | --- |\n")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.path, fallback, r.help)
	}
	return b.Bytes()
}

func TestTheSettingsTableIsUpToDate(t *testing.T) {
	t.Parallel()
	want := table()
	if *update {
		if err := os.WriteFile(tablePath, want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(tablePath)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the struct says; run go test ./internal/config -run TestTheSettingsTable -update", tablePath)
	}
}

func TestEverySettingSaysWhatItMeans(t *testing.T) {
	t.Parallel()
	for _, r := range rows() {
		if !strings.HasSuffix(r.help, ".") || strings.Contains(r.help, "|") {
			t.Errorf("%s: the meaning %q is not a sentence that fits a table", r.path, r.help)
		}
	}
}
