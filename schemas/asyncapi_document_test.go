package schemas_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"refundworker/internal/config"
	"refundworker/internal/kafka"
)

// The documents lie below one base, so that asyncapi.yaml finds its neighbours as it does on a disk.
const (
	contractBase = "https://contract.invalid/"
	asyncAPIFile = "asyncapi.yaml"
)

type object = map[string]any

var errFetch = errors.New("nothing is fetched in tests")

type noFetch struct{}

func (noFetch) Load(string) (any, error) { return nil, errFetch }

// contract is asyncapi.yaml with the schemas beside it, by file name.
type contract struct {
	doc   object
	files map[string]any
}

func readContract(t *testing.T) contract {
	t.Helper()
	raw, err := yaml.YAMLToJSON(readFile(t, asyncAPIFile))
	if err != nil {
		t.Fatal(err)
	}
	doc := to[object](t, parse(t, raw))
	c := contract{doc: doc, files: map[string]any{asyncAPIFile: doc}}
	paths, err := filepath.Glob("*.schema.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no schemas: %v", err)
	}
	for _, path := range paths {
		c.files[path] = parse(t, readFile(t, path))
	}
	return c
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// goldenFiles are the paths of the messages in folders of testdata.
func goldenFiles(t *testing.T, folders ...string) (paths []string) {
	t.Helper()
	for _, folder := range folders {
		found, err := filepath.Glob(filepath.Join("testdata", folder, "*.json"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no messages in %s: %v", folder, err)
		}
		paths = append(paths, found...)
	}
	return paths
}

func parse(t *testing.T, raw []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func to[T any](t *testing.T, v any) T {
	t.Helper()
	typed, ok := v.(T)
	if !ok {
		t.Fatalf("%v is a %T", v, v)
	}
	return typed
}

// at walks a path of names through the document and follows its references, also into a schema beside it, but not on from there.
func (c contract) at(t *testing.T, path ...string) object {
	t.Helper()
	node := c.doc
	for _, name := range path {
		node = c.follow(t, asyncAPIFile, to[object](t, node[name]))
	}
	return node
}

// follow gives what an object refers to, or the object itself when it refers to nothing.
func (c contract) follow(t *testing.T, file string, node object) object {
	t.Helper()
	ref, ok := node["$ref"].(string)
	if !ok {
		return node
	}
	target, err := c.resolve(file, ref)
	if err != nil {
		t.Fatal(err)
	}
	return to[object](t, target)
}

// resolve finds the target of a reference that stands in a file.
func (c contract) resolve(file, ref string) (any, error) {
	name, pointer, _ := strings.Cut(ref, "#")
	if name == "" {
		name = file
	}
	node, ok := c.files[strings.TrimPrefix(name, "./")]
	if !ok {
		return nil, &fs.PathError{Op: "resolve", Path: ref, Err: fs.ErrNotExist}
	}
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if token == "" {
			continue
		}
		members, _ := node.(object)
		if node, ok = members[token]; !ok {
			return nil, &fs.PathError{Op: "resolve", Path: ref, Err: fs.ErrNotExist}
		}
	}
	return node, nil
}

// references lists every $ref below a node; examples are data and hold none.
func references(node any) (refs []string) {
	switch node := node.(type) {
	case object:
		for name, member := range node {
			if ref, ok := member.(string); ok && name == "$ref" {
				refs = append(refs, ref)
			} else if name != "examples" {
				refs = append(refs, references(member)...)
			}
		}
	case []any:
		for _, item := range node {
			refs = append(refs, references(item)...)
		}
	}
	return refs
}

// compile makes a validator of the schema at a place such as asyncapi.yaml#/components/schemas/origin. AsyncAPI reads
// schemas by draft-07 unless they say otherwise, as ours do.
func (c contract) compile(t *testing.T, place string) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7)
	compiler.AssertFormat()
	compiler.UseLoader(noFetch{})
	for name, file := range c.files {
		if err := compiler.AddResource(contractBase+name, file); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := compiler.Compile(contractBase + place)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// officialSchema compiles a part of the AsyncAPI schema.
func officialSchema(t *testing.T, part string) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noFetch{})
	const base = "http://asyncapi.com/definitions/3.0.0/"
	whole := parse(t, readFile(t, filepath.Join("testdata", "asyncapi", "3.0.0.json")))
	if err := compiler.AddResource(base+"asyncapi.json", whole); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(base + "asyncapi.json" + part)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// defaults is the configuration that the document shows.
func defaults(t *testing.T) (config.Config, kafka.Topics) {
	t.Helper()
	cfg, err := config.Load(config.Flags{}, config.WithoutAccounts, config.Source{
		LookupEnvFunc: func(string) (string, bool) { return "", false },
	})
	if err != nil {
		t.Fatal(err)
	}
	return cfg, kafka.Topics{Prefix: cfg.Kafka.TopicPrefix, Tiers: cfg.Retry.Tiers}
}

// topics are the names that a channel's address stands for, one for each example of its parameter.
func topics(t *testing.T, channel object) []string {
	t.Helper()
	names := []string{to[string](t, channel["address"])}
	parameters, _ := channel["parameters"].(object)
	for name, parameter := range parameters {
		var expanded []string
		for _, address := range names {
			for _, value := range to[[]any](t, to[object](t, parameter)["examples"]) {
				expanded = append(expanded, strings.ReplaceAll(address, "{"+name+"}", to[string](t, value)))
			}
		}
		names = expanded
	}
	return names
}
