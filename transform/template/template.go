// Package template checks attributes against property templates, which are
// JSON Schemas (draft 2020-12). It is the one place that knows the validator.
//
// Nouns: a Template is a compiled JSON Schema; a Violation is one property that
// does not satisfy one keyword; a Constraint is what a template asks of one
// attribute; a Clash is two constraints that no value can satisfy both. Formats
// are asserted, references outside the document are never loaded, and no value
// ever stands in a message.
//
// Start with Compile, then Template.Attributes, or Template.Constraint and
// Clashes to compare templates.
package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// Template is a compiled JSON Schema. It is safe for concurrent use.
type Template struct {
	compiled *jsonschema.Schema
	source   any
}

// Error says why a document is no usable JSON Schema. Offset is a byte offset
// for broken JSON, else -1, and then Pointer leads to the place.
type Error struct {
	Offset  int
	Pointer string
	Message string
}

func (e *Error) Error() string {
	if e.Pointer != "" {
		return e.Pointer + ": " + e.Message
	}
	return e.Message
}

const url = "template.json"

var errOutside = errors.New("references outside the document are not loaded: copy the definition into $defs")

// Compile reads a JSON Schema. Its errors are *Error.
func Compile(data []byte) (t *Template, err error) {
	t = &Template{}
	if err := decode(data, &t.source); err != nil {
		return nil, err
	}
	defer func() { // the validator panics on some bad patterns
		if r := recover(); r != nil {
			t, err = nil, &Error{Offset: -1, Message: fmt.Sprintf("not a valid JSON Schema: %v", r)}
		}
	}()
	c := jsonschema.NewCompiler()
	c.Draft = jsonschema.Draft2020
	c.AssertFormat = true
	c.LoadURL = func(string) (io.ReadCloser, error) { return nil, errOutside }
	if err := c.AddResource(url, bytes.NewReader(data)); err != nil {
		return nil, schemaError(err)
	}
	if t.compiled, err = c.Compile(url); err != nil {
		return nil, schemaError(err)
	}
	return t, nil
}

func decode(data []byte, into *any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	err := d.Decode(into)
	if err == nil && d.More() {
		return &Error{Offset: int(d.InputOffset()), Message: "not valid JSON: text after the end of the document"}
	}
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return &Error{Offset: int(syntax.Offset), Message: "not valid JSON: " + syntax.Error()}
	}
	return &Error{Offset: len(data), Message: "not valid JSON: the document ends too early"}
}

func schemaError(err error) error {
	if errors.Is(err, errOutside) || strings.Contains(err.Error(), errOutside.Error()) {
		return &Error{Offset: -1, Message: errOutside.Error()}
	}
	var ve *jsonschema.ValidationError
	if errors.As(err, &ve) {
		leaf := deepest(ve)
		return &Error{Offset: -1, Pointer: leaf.InstanceLocation, Message: "not a valid JSON Schema: " + leaf.Message}
	}
	var se *jsonschema.SchemaError
	if errors.As(err, &se) && se.Err != nil {
		err = se.Err
	}
	return &Error{Offset: -1, Message: "not a valid JSON Schema: " + strings.TrimPrefix(err.Error(), "jsonschema: ")}
}

func deepest(ve *jsonschema.ValidationError) *jsonschema.ValidationError {
	for len(ve.Causes) > 0 {
		ve = ve.Causes[0]
	}
	return ve
}

// Violation is one place that does not satisfy one keyword.
type Violation struct {
	// Pointer is the place in the checked value, Property its first part (for a
	// missing or forbidden property that property's name).
	Pointer  string
	Property string
	// Keyword is the JSON Schema keyword, At its place in the schema.
	Keyword string
	At      string
	Message string
}

// Check validates a value as encoding/json would decode it and lists every
// violation, sorted.
func (t *Template) Check(value any) []Violation {
	err := t.compiled.Validate(value)
	if err == nil {
		return nil
	}
	var ve *jsonschema.ValidationError
	if !errors.As(err, &ve) {
		return []Violation{{Message: "can't be checked: the schema refers to itself without end, or the value is no JSON"}}
	}
	var out []Violation
	for _, leaf := range leaves(ve) {
		out = append(out, t.explain(leaf)...)
	}
	slices.SortFunc(out, func(a, b Violation) int {
		return strings.Compare(a.Pointer+"\x00"+a.Property+"\x00"+a.Message, b.Pointer+"\x00"+b.Property+"\x00"+b.Message)
	})
	return slices.CompactFunc(out, func(a, b Violation) bool {
		return a.Pointer == b.Pointer && a.Property == b.Property && a.Message == b.Message
	})
}

// leaves are the failed keywords. The branches of a choice are not listed: that
// none of them fits is what is wrong.
func leaves(ve *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(ve.Causes) == 0 || choice(keyword(ve)) {
		return []*jsonschema.ValidationError{ve}
	}
	var all []*jsonschema.ValidationError
	for _, c := range ve.Causes {
		all = append(all, leaves(c)...)
	}
	return all
}

func choice(keyword string) bool {
	return keyword == "anyOf" || keyword == "oneOf" || keyword == "not"
}

func keyword(ve *jsonschema.ValidationError) string {
	return ve.KeywordLocation[strings.LastIndexByte(ve.KeywordLocation, '/')+1:]
}

func (t *Template) explain(ve *jsonschema.ValidationError) []Violation {
	_, at, _ := strings.Cut(ve.AbsoluteKeywordLocation, "#")
	v := Violation{Pointer: ve.InstanceLocation, Property: firstPart(ve.InstanceLocation), Keyword: keyword(ve), At: at}
	switch v.Keyword {
	case "required", "additionalProperties", "unevaluatedProperties", "dependentRequired":
		var out []Violation
		for _, name := range quoted(ve.Message) {
			x := v
			if v.Property == "" {
				x.Property = name
			}
			x.Message = fmt.Sprintf("property %q is missing", name)
			if strings.HasSuffix(v.Keyword, "Properties") {
				x.Message = fmt.Sprintf("property %q is not allowed", name)
			}
			out = append(out, x)
		}
		if len(out) > 0 {
			return out
		}
	case "anyOf", "oneOf":
		v.Message = "fits none, or not exactly one, of the alternatives of " + v.Keyword
		return []Violation{v}
	}
	v.Message = "does not satisfy " + v.Keyword + t.keywordValue(at)
	return []Violation{v}
}

// keywordValue is what the schema says at a keyword, cut to what fits a line.
// It comes from the template, never from the checked value.
func (t *Template) keywordValue(pointer string) string {
	v := follow(t.source, pointer)
	if v == nil {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil || len(b) > 200 {
		return ""
	}
	return " " + string(b)
}

// Keywords returns the names that an object of the schema holds at a pointer:
// the keywords of a schema, the names under properties.
func (t *Template) Keywords(pointer string) []string {
	m, _ := follow(t.source, pointer).(map[string]any)
	var names []string
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

func follow(v any, pointer string) any {
	for _, part := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		if part == "" {
			continue
		}
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[unescape(part)]
	}
	return v
}

func unescape(part string) string { return strings.NewReplacer("~1", "/", "~0", "~").Replace(part) }

func firstPart(pointer string) string {
	part, _, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	return unescape(part)
}

// quoted are the names that stand between single quotes in the validator's
// messages about property names.
func quoted(message string) []string {
	var out []string
	for {
		_, rest, ok := strings.Cut(message, "'")
		if !ok {
			return out
		}
		name, rest, ok := strings.Cut(rest, "'")
		if !ok {
			return out
		}
		out = append(out, name)
		message = rest
	}
}
