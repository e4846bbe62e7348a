package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// module is the root of the product.
func module(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// switchedOff writes the rule's file without the rule, and an overlay that puts it in the file's place.
func (r rule) switchedOff(t *testing.T) (overlay string) {
	t.Helper()
	path := filepath.Join(module(t), filepath.FromSlash(r.file))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), r.old); n != 1 {
		t.Fatalf("%s holds %d times what the table would switch off, want once:\n%s", r.file, n, r.old)
	}
	dir := t.TempDir()
	off := filepath.Join(dir, filepath.Base(path))
	overlay = filepath.Join(dir, "overlay.json")
	replaced, err := json.Marshal(map[string]map[string]string{"Replace": {path: off}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.WriteFile(off, []byte(strings.Replace(string(text), r.old, r.new, 1)), 0o600),
		os.WriteFile(overlay, replaced, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	return overlay
}

// failed finds the tests of a run that went red.
var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// Each test of the table went red when its rule was taken out, and for no other reason: the product still builds.
func TestEveryRuleThatIsSwitchedOffTurnsItsTestRed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the product once per rule")
	}
	// As many builds at once as there are cores, whatever -parallel says: each of them runs tests of its own.
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, r := range rules() {
		t.Run(fmt.Sprintf("%02d %s", i+1, r.text), func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			cmd := exec.CommandContext(t.Context(), "go", "test", "-v", "-count=1", "-vet=off", "-overlay", r.switchedOff(t), "-run", r.test, r.pkg)
			cmd.Dir = module(t)
			out, err := cmd.CombinedOutput()
			red := failed.FindAllSubmatch(out, -1)
			switch {
			case err == nil && bytes.Contains(out, []byte("--- SKIP: ")):
				t.Skipf("%s needs a part that is not here", r.test)
			case err == nil:
				t.Errorf("%s stays green in %s without the rule in %s", r.test, r.pkg, r.file)
			case len(red) == 0:
				t.Errorf("%s was not run, or did not build: %v\n%s", r.pkg, err, out)
			}
		})
	}
}
