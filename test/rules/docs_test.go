package rules

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the table in docs/reliability.md")

const (
	document = "../../docs/reliability.md"
	begin    = "<!-- Generated from test/rules by: go test ./test/rules -run TestTheDocumentHasTheTable -update -->\n"
	end      = "<!-- End of the table of test/rules -->\n"
)

// table is the rules as the document shows them.
func table() string {
	var b strings.Builder
	b.WriteString("\n| without this rule | ... this happens | goes red |\n| --- | --- | --- |\n")
	for _, r := range rules() {
		name := strings.NewReplacer("^", "", "$", "", "_", " ").Replace(r.test)
		name, scenario, _ := strings.Cut(name, "/")
		name = "`" + strings.ReplaceAll(name, "|", "`, `") + "`"
		if scenario != "" {
			name += ": " + scenario[strings.LastIndexByte(scenario, '/')+1:] + " …"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.text, r.hole, name)
	}
	b.WriteString("\n")
	return b.String()
}

func TestTheDocumentHasTheTable(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := bytes.Cut(text, []byte(begin))
	old, tail, ended := bytes.Cut(rest, []byte(end))
	if !found || !ended {
		t.Fatalf("%s lacks the marks of the table", document)
	}
	switch {
	case string(old) == table():
	case *update:
		if err := os.WriteFile(document, bytes.Join([][]byte{head, []byte(begin), []byte(table()), []byte(end), tail}, nil), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s has another table than the rules; -update writes it anew", document)
	}
}
