package schemas

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	jsonkind "github.com/santhosh-tekuri/jsonschema/v6/kind"
)

//go:embed *.schema.json
var schemaFiles embed.FS

// Document names a published JSON Schema document.
type Document string

// The documents of the contract.
const (
	CommandSchema   Document = "command"
	OutcomeSchema   Document = "outcome"
	RejectionSchema Document = "command-rejected"
	SignalSchema    Document = "signal"
)

// JSON is the document itself: JSON Schema 2020-12, whole, without references to other documents.
func (d Document) JSON() ([]byte, error) {
	text, err := schemaFiles.ReadFile(string(d) + ".schema.json")
	if err != nil {
		return nil, fmt.Errorf("read schema %s: %w", d, err)
	}
	return text, nil
}

// compiledSchemas compiles the documents once, at first use.
//
//nolint:gochecknoglobals // compiled schemas
var compiledSchemas = sync.OnceValues(func() (map[Document]*jsonschema.Schema, error) {
	compiled := make(map[Document]*jsonschema.Schema)
	for _, d := range []Document{CommandSchema, OutcomeSchema, RejectionSchema, SignalSchema} {
		text, err := d.JSON()
		if err != nil {
			return nil, err
		}
		if compiled[d], err = compileSchema(text); err != nil {
			return nil, fmt.Errorf("compile schema %s: %w", d, err)
		}
	}
	return compiled, nil
})

var errNoFetch = errors.New("schemas are never fetched")

// noLoader refuses every document that is not handed over, from the network and from the disk. The metaschemas are
// part of the library.
type noLoader struct{}

func (noLoader) Load(string) (any, error) { return nil, errNoFetch }

// compileSchema compiles one self-contained document; the library checks it against its metaschema.
func compileSchema(text []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	const location = "urn:refundworker:schema"
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(noLoader{})
	if err := c.AddResource(location, doc); err != nil {
		return nil, err
	}
	return c.Compile(location)
}

// validate holds a parsed message against a published document. The error is a *[DecodeError] with SCHEMA_VIOLATION,
// or says that the documents of this build do not compile.
func validate(d Document, tree any) error {
	compiled, err := compiledSchemas()
	if err != nil {
		return err
	}
	err = compiled[d].Validate(tree)
	if err == nil {
		return nil
	}
	var violation *jsonschema.ValidationError
	if !errors.As(err, &violation) {
		return fmt.Errorf("validate against schema %s: %w", d, err)
	}
	faults := schemaFaults(violation)
	return refuse(CodeSchemaViolation, &faults[0])
}

// schemaFaults lists every rule that a message breaks, in an order that does not depend on the library's maps. The
// texts name the rule and never the value.
func schemaFaults(e *jsonschema.ValidationError) []fault {
	if len(e.Causes) > 0 {
		var all []fault
		for _, cause := range e.Causes {
			all = append(all, schemaFaults(cause)...)
		}
		slices.SortFunc(all, func(a, b fault) int {
			return cmp.Or(cmp.Compare(a.pointer, b.pointer), cmp.Compare(a.detail, b.detail))
		})
		return all
	}
	var pointer strings.Builder
	for _, token := range e.InstanceLocation {
		pointer.WriteString("/" + escapePointer(token))
	}
	_, rule, _ := strings.Cut(e.SchemaURL, "#")
	detail := "breaks the schema's rule " + strings.Join(append([]string{rule}, e.ErrorKind.KeywordPath()...), "/")
	if missing, ok := e.ErrorKind.(*jsonkind.Required); ok {
		faults := make([]fault, 0, len(missing.Missing))
		for _, name := range missing.Missing {
			faults = append(faults, fault{pointer.String() + "/" + escapePointer(name), detail})
		}
		return faults
	}
	return []fault{{pointer.String(), detail}}
}
