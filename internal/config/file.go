package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// document fills a Config from the file's syntax tree. The tree is walked here, and not by the library's decoder: so
// every fault is found and not only the first, a number without a unit cannot become nanoseconds, and no error quotes
// the lines around it, which may hold a secret.
type document struct {
	name string
	// origins maps the path of every value in the file to its file:line:column.
	origins map[string]string
	faults  faults
}

// parse reads the text into cfg. The fault is about text that is not one YAML mapping; all others are in d.faults.
func (d *document) parse(raw []byte, cfg *Config) *FaultError {
	if !utf8.Valid(raw) {
		return &FaultError{Where: d.name, What: "the file is not UTF-8 text", Fix: "save it as UTF-8"}
	}
	// Duplicate keys are let through here and refused by the walk, all of them at once and with their path.
	file, err := parser.ParseBytes(raw, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return d.syntax(err)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			return &FaultError{Where: d.at(doc.Body.GetToken()), What: "a second YAML document begins", Fix: "keep one document in the file"}
		}
		body = doc.Body
	}
	if body == nil {
		return nil
	}
	pairs, ok := mapping(body)
	if !ok {
		return &FaultError{Where: d.at(body.GetToken()), What: "the file is not a mapping", Fix: "begin with a section, such as kafka:"}
	}
	d.section(pairs, reflect.ValueOf(cfg).Elem(), "")
	return nil
}

func (d *document) syntax(err error) *FaultError {
	fault := &FaultError{Where: d.name, What: "the file is not YAML", Fix: "mend the syntax there"}
	if bad, ok := errors.AsType[yaml.Error](err); ok {
		fault.Where = d.at(bad.GetToken())
		fault.What += ": " + strings.ReplaceAll(bad.GetMessage(), "\n", " ")
	}
	return fault
}

func (d *document) at(tok *token.Token) string {
	if tok == nil || tok.Position == nil {
		return d.name
	}
	return fmt.Sprintf("%s:%d:%d", d.name, tok.Position.Line, tok.Position.Column)
}

func (d *document) fault(path string, tok *token.Token, what, fix string) {
	d.faults.list = append(d.faults.list, &FaultError{Path: path, Where: d.at(tok), What: what, Fix: fix})
}

// section fills one struct from the pairs of one mapping.
func (d *document) section(pairs []*ast.MappingValueNode, target reflect.Value, prefix string) {
	fields, names := fieldsByKey(target)
	seen := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		tok := pair.Key.GetToken()
		key, plain := scalar(pair.Key)
		path := prefix + key
		if !plain {
			d.fault(strings.TrimSuffix(prefix, "."), tok, "a key is not a plain text", "write one of "+strings.Join(names, ", ")+"; merge keys are not read")
			continue
		}
		if first, repeated := seen[key]; repeated {
			d.fault(path, tok, "the key stands here a second time", "keep one; the first is at "+first)
			continue
		}
		seen[key] = d.at(tok)
		field, known := fields[key]
		if !known {
			d.fault(prefix+printable(key), tok, "the key is unknown", "write one of "+strings.Join(names, ", "))
			continue
		}
		d.value(pair.Value, field, path, tok)
	}
}

// value fills one field, whatever its kind. tok is the key, where faults are shown.
func (d *document) value(node ast.Node, field reflect.Value, path string, tok *token.Token) {
	isList := field.Kind() == reflect.Slice
	switch {
	case isSection(field.Type()):
		pairs, ok := mapping(node)
		if !ok {
			d.fault(path, tok, "the value is not a mapping", "indent its settings below it")
			return
		}
		d.section(pairs, field, path+".")
	case isList && isSection(field.Type().Elem()):
		d.sections(node, field, path, tok)
	default:
		texts, ok := scalars(node, isList)
		if !ok {
			what := "the value is not one plain text or number"
			if isList {
				what = "the value is not a list of plain texts"
			}
			d.fault(path, tok, what, "write a value, or take the key out; anchors, aliases and tags are not read")
			return
		}
		var bad *FaultError
		if isList {
			bad = assignList(field, texts)
		} else {
			bad = assign(field, texts[0])
		}
		if bad != nil {
			d.fault(path, tok, bad.What, bad.Fix)
			return
		}
		d.origins[path] = d.at(tok)
	}
}

// sections fills a list of structs, each beginning with its defaults.
func (d *document) sections(node ast.Node, field reflect.Value, path string, tok *token.Token) {
	if _, ok := node.(*ast.NullNode); ok {
		return
	}
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		d.fault(path, tok, "the value is not a list", "begin each entry with a dash")
		return
	}
	d.origins[path] = d.at(tok)
	for i, item := range list.Values {
		itemPath := fmt.Sprintf("%s[%d]", path, i)
		element := reflect.New(field.Type().Elem()).Elem()
		setDefaults(element)
		pairs, ok := mapping(item)
		if !ok || len(pairs) == 0 {
			d.fault(itemPath, item.GetToken(), "the entry is not a mapping", "write its settings below the dash")
		} else {
			d.origins[itemPath] = d.at(pairs[0].Key.GetToken())
			d.section(pairs, element, itemPath+".")
		}
		// An entry at fault is kept too, so that the numbers of those behind it stay those of the file.
		field.Set(reflect.Append(field, element))
	}
}

// mapping returns the pairs of a mapping; none for a key without a value, which is how a section looks whose lines are
// all commented out. It reports false for everything else.
func mapping(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	case *ast.NullNode:
		return nil, true
	default:
		return nil, false
	}
}

// scalars returns the texts of a leaf: exactly one, or for a list any number, where a lone value is a list of one.
func scalars(node ast.Node, isList bool) ([]string, bool) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok || !isList {
		text, ok := scalar(node)
		return []string{text}, ok
	}
	texts := make([]string, 0, len(sequence.Values))
	for _, item := range sequence.Values {
		text, ok := scalar(item)
		if !ok {
			return nil, false
		}
		texts = append(texts, text)
	}
	return texts, true
}

// scalar returns a value as it is written: 07 stays 07, whatever YAML would make of it.
func scalar(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	default:
		return "", false
	}
}

// fieldsByKey returns a struct's fields by their name in the file, and the names in the struct's order.
func fieldsByKey(section reflect.Value) (map[string]reflect.Value, []string) {
	fields := make(map[string]reflect.Value, section.NumField())
	names := make([]string, section.NumField())
	for i := range names {
		names[i] = section.Type().Field(i).Tag.Get("yaml")
		fields[names[i]] = section.Field(i)
	}
	return fields, names
}

// printable keeps an unknown key on one short line.
func printable(key string) string {
	quoted := show(key)
	if bare := strings.Trim(quoted, `"`); bare == key && key != "" {
		return key
	}
	return quoted
}
