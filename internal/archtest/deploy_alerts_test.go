package archtest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type ruleFile struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

type ruleTests struct {
	Tests []struct {
		Series []struct {
			Series string `yaml:"series"`
		} `yaml:"input_series"`
		Alerts []struct {
			Name     string `yaml:"alertname"`
			Expected []any  `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	} `yaml:"tests"`
}

func rules(t *testing.T) (file ruleFile, tests ruleTests) {
	t.Helper()
	parse(t, string(read(t, "deploy/prometheus/rules.yaml")), &file)
	parse(t, string(read(t, "deploy/prometheus/rules_test.yaml")), &tests)
	return file, tests
}

func TestEveryAlertIsExplainedAndShownToFireAndToBeSilent(t *testing.T) {
	t.Parallel()
	file, tests := rules(t)
	var alerts []string
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, tt := range tests.Tests {
		for _, alert := range tt.Alerts {
			fires[alert.Name] = fires[alert.Name] || len(alert.Expected) > 0
			silent[alert.Name] = silent[alert.Name] || len(alert.Expected) == 0
		}
	}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			alerts = append(alerts, rule.Alert)
			if !fires[rule.Alert] || !silent[rule.Alert] {
				t.Errorf("the unit tests show %s firing: %v, silent: %v", rule.Alert, fires[rule.Alert], silent[rule.Alert])
			}
			if severity := rule.Labels["severity"]; severity != "page" && severity != "warn" {
				t.Errorf("%s has the severity %q", rule.Alert, severity)
			}
			if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("%s does not say what it is about", rule.Alert)
			}
		}
	}
	var explained []string
	for _, m := range regexp.MustCompile(`(?m)^### (RefundWorker\w+)$`).FindAllStringSubmatch(string(read(t, "docs/operations.md")), -1) {
		explained = append(explained, m[1])
	}
	slices.Sort(alerts)
	slices.Sort(explained)
	if diff := cmp.Diff(alerts, explained); diff != "" {
		t.Errorf("docs/operations.md explains other alerts than there are (-alerts +explained)\n%s", diff)
	}
}

func TestPromtoolAcceptsAlertsTheirTestsAndTheDashboard(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not on PATH; deploy/prometheus/check.sh brings it")
	}
	// The dashboard's expressions as recording rules, its variables filled in.
	var text strings.Builder
	text.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	for i, expr := range dashboard(t) {
		expr = strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*", "$job", "job").Replace(expr)
		fmt.Fprintf(&text, "      - record: panel:%d\n        expr: %s\n", i, strconv.Quote(expr))
	}
	recorded := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(recorded, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "rules", "rules.yaml", recorded}, {"test", "rules", "rules_test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = filepath.Join(root(t), "deploy", "prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// dashboard are the expressions of all panels.
func dashboard(t *testing.T) []string {
	t.Helper()
	var board struct {
		Panels []struct {
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(read(t, "deploy/grafana/dashboard.json"), &board); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			list = append(list, target.Expr)
		}
	}
	if len(list) == 0 {
		t.Fatal("the dashboard shows nothing")
	}
	return list
}
