package archtest

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDocumentsNameFilesAndTargetsThatExist(t *testing.T) {
	t.Parallel()
	tree := readTree(t)
	documents := 0
	for name := range tree.files {
		if path.Ext(name) != ".md" || (strings.Contains(name, "/") && !strings.HasPrefix(name, "docs/")) {
			continue
		}
		documents++
		raw, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range tree.faults(name, string(raw)) {
			t.Errorf("%s names %s, which does not exist", name, fault)
		}
	}
	if documents == 0 {
		t.Error("found no document to check")
	}
}

func TestTheDocumentCheckFindsWhatDoesNotExist(t *testing.T) {
	t.Parallel()
	tree := tree{
		files:   map[string]bool{"go.mod": true, "refund/decide.go": true, "docs/adr/0001-x.md": true, "docs/a.md": true},
		targets: map[string]bool{"test": true},
	}
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"a file", "see `refund/decide.go`", nil},
		{"a file that is gone", "see `refund/gone.go`", []string{"refund/gone.go"}},
		{"a folder", "in `docs/adr/` and `refund`", nil},
		{"a folder that is gone", "in `docs/rfc/`", []string{"docs/rfc/"}},
		{"a pattern", "all of `docs/adr/*.md`", nil},
		{"a pattern without a match", "all of `docs/adr/*.txt`", []string{"docs/adr/*.txt"}},
		{"a bare file name", "`decide.go` decides", nil},
		{"a bare file name that is gone", "`undecided.go` does not", []string{"undecided.go"}},
		{"a file with a line", "`refund/decide.go:12`", nil},
		{"no path of ours", "`application/json`, `github.com/segmentio/kafka-go/conn.go`, `schemas.Command`, `24h/2`", nil},
		{"made by a build", "`bin/worker`, `.cache/bin`", nil},
		{"a target", "run `make test`", nil},
		{"a target that is gone", "run `make tests`", []string{"make tests"}},
		{"a target in a block", "```sh\nmake test\nCI=true make nothing ARGS=1\n```", []string{"make nothing"}},
		{"prose", "we make nothing up", nil},
		{"a link", "[x](adr/0001-x.md#top) [y](https://example.com/z.md) [z](#here)", nil},
		{"a link that leads nowhere", "[x](adr/0002-x.md)", []string{"adr/0002-x.md"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, tree.faults("docs/a.md", tt.text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The project stands by itself: what lies beside a checkout on somebody's machine is no part of it.
func TestNoFilePointsOutsideTheRepository(t *testing.T) {
	t.Parallel()
	// Put together here, so that this file does not contain them.
	outside := []string{"../" + "shared", "/work" + "/main", "/work" + "/shared"}
	for name := range readTree(t).files {
		raw, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range outside {
			if bytes.Contains(raw, []byte(text)) {
				t.Errorf("%s mentions %s", name, text)
			}
		}
	}
}

// tree is what a document may refer to.
type tree struct {
	files   map[string]bool // slash-separated, from the root
	targets map[string]bool // of the Makefile
}

var (
	quoted   = regexp.MustCompile("`([^`\n]+)`")
	linked   = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)\s]*)?\)`)
	fenced   = regexp.MustCompile("(?ms)^```.*?^```")
	makes    = regexp.MustCompile(`^(?:[A-Z_]+=\S+ +)*make +([a-z][a-z-]*)`)
	target   = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
	pathLike = regexp.MustCompile(`^[\w.*-]+(/[\w.*-]+)*/?$`)
	lineNo   = regexp.MustCompile(`:\d+$`)
)

// faults are the paths, links and make targets in a document's text that do not exist.
func (tr tree) faults(document, text string) []string {
	var faults []string
	missingTarget := func(command string) {
		if m := makes.FindStringSubmatch(strings.TrimSpace(command)); m != nil && !tr.targets[m[1]] {
			faults = append(faults, "make "+m[1])
		}
	}
	for _, block := range fenced.FindAllString(text, -1) {
		for line := range strings.Lines(block) {
			missingTarget(line)
		}
	}
	text = fenced.ReplaceAllString(text, "")
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		missingTarget(m[1])
		if p := lineNo.ReplaceAllString(m[1], ""); tr.ours(p) && !tr.exists(p) {
			faults = append(faults, p)
		}
	}
	for _, m := range linked.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(m[1], ":") && !tr.exists(path.Join(path.Dir(document), m[1])) {
			faults = append(faults, m[1])
		}
	}
	return faults
}

// ours says whether a quoted text is meant as a path in this repository: it begins with one of its folders, or is the
// bare name of a source file. What a build makes is not in the repository.
func (tr tree) ours(p string) bool {
	if !pathLike.MatchString(p) || p == "bin" || strings.HasPrefix(p, "bin/") || strings.HasPrefix(p, ".cache") {
		return false
	}
	first, _, nested := strings.Cut(p, "/")
	if !nested {
		return slices.Contains([]string{".go", ".lua", ".md"}, path.Ext(p))
	}
	return tr.exists(first + "/")
}

// exists says whether p is a file, a folder, a pattern with a match, or the bare name of a file somewhere.
func (tr tree) exists(p string) bool {
	folder := strings.TrimSuffix(p, "/") + "/"
	for name := range tr.files {
		if name == p || strings.HasPrefix(name, folder) || (!strings.Contains(p, "/") && path.Base(name) == p) {
			return true
		}
		if ok, err := path.Match(p, name); err == nil && ok {
			return true
		}
	}
	return false
}

func readTree(t *testing.T) tree {
	t.Helper()
	tr := tree{files: map[string]bool{}, targets: map[string]bool{}}
	err := fs.WalkDir(os.DirFS(root(t)), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", ".cache", "bin"}, name):
			return fs.SkipDir
		case entry.Type().IsRegular():
			tr.files[name] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root(t), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range target.FindAllStringSubmatch(string(makefile), -1) {
		tr.targets[m[1]] = true
	}
	return tr
}
