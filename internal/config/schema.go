package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/parallelrun/parallelrun/schemas"
)

// schema is the compiled JSON Schema with its source, which knows names and
// descriptions for hints.
type schema struct {
	compiled *jsonschema.Schema
	source   any
}

var (
	loadSchema      = sync.OnceValue(func() *schema { return compile("config.schema.json", schemas.ConfigSchema) })
	decisionsSchema = sync.OnceValue(func() *schema { return compile("decisions.schema.json", schemas.DecisionsSchema) })
)

// compile panics: the schemas are embedded, and tested.
func compile(url string, source []byte) *schema {
	c := jsonschema.NewCompiler()
	c.Draft = jsonschema.Draft2020
	c.AssertFormat = true
	if err := c.AddResource(url, bytes.NewReader(source)); err != nil {
		panic(url + ": " + err.Error())
	}
	s := &schema{compiled: c.MustCompile(url)}
	if err := json.Unmarshal(source, &s.source); err != nil {
		panic(url + ": " + err.Error())
	}
	return s
}

// validate checks a document against the schema and puts what is wrong into
// words, each with its place in the file.
func (s *schema) validate(d *document) Problems {
	err := s.compiled.Validate(d.value)
	ve, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		if err != nil {
			return Problems{{File: d.file, What: err.Error()}}
		}
		return nil
	}
	var ps Problems
	for _, leaf := range leaves(ve) {
		ps = append(ps, s.explain(d, leaf)...)
	}
	return ps.sorted()
}

func leaves(ve *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(ve.Causes) == 0 {
		return []*jsonschema.ValidationError{ve}
	}
	var all []*jsonschema.ValidationError
	for _, c := range ve.Causes {
		all = append(all, leaves(c)...)
	}
	return all
}

// explain turns one failed keyword into problems. It never shows the value of
// a string, except where the schema lists all that are allowed.
func (s *schema) explain(d *document, ve *jsonschema.ValidationError) Problems {
	p := pointer(ve.InstanceLocation)
	_, fragment, _ := strings.Cut(ve.AbsoluteKeywordLocation, "#")
	keywordPath := pointer(fragment)
	if len(keywordPath) == 0 {
		return Problems{d.problem(d.locate(p), p, ve.Message, "")}
	}
	keyword := keywordPath[len(keywordPath)-1]
	rules, _ := lookup(s.source, keywordPath[:len(keywordPath)-1]).(map[string]any)
	value := lookup(d.value, p)
	name := p.String()
	if name == "" {
		name = "the file"
	}
	at := d.locate(p)
	switch keyword {
	case "additionalProperties":
		return s.unknownKeys(d, p, rules, value)
	case "required":
		return missingKeys(d, p, rules, value)
	case "type":
		return Problems{d.problem(at, p, fmt.Sprintf("%s: want %s, have %s", name, words(rules["type"]), kindOf(value)), describe(rules))}
	case "enum", "const":
		return Problems{d.problem(at, p, fmt.Sprintf("%s: %s is not known", name, shown(value)), allowedHint(value, rules))}
	case "pattern":
		return Problems{s.badPattern(d, p, rules, value)}
	case "minLength", "minItems", "minProperties":
		return Problems{d.problem(at, p, name+" is empty", describe(rules))}
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
		return Problems{d.problem(at, p, fmt.Sprintf("%s: %v is out of range", name, value), describe(rules))}
	}
	return Problems{d.problem(at, p, fmt.Sprintf("%s: %s", name, ve.Message), describe(rules))}
}

func (s *schema) unknownKeys(d *document, p path, rules map[string]any, value any) Problems {
	known, _ := rules["properties"].(map[string]any)
	names := slices.Sorted(maps.Keys(known))
	have, _ := value.(map[string]any)
	var ps Problems
	for _, key := range slices.Sorted(maps.Keys(have)) {
		if _, ok := known[key]; ok {
			continue
		}
		child := p.child(key)
		ps = append(ps, d.problem(d.locateKey(child), child, fmt.Sprintf("unknown key %q%s", key, in(p)), knownHint(key, names)))
	}
	return ps
}

func missingKeys(d *document, p path, rules map[string]any, value any) Problems {
	have, _ := value.(map[string]any)
	properties, _ := rules["properties"].(map[string]any)
	required, _ := rules["required"].([]any)
	var ps Problems
	for _, r := range required {
		key, _ := r.(string)
		if _, ok := have[key]; ok {
			continue
		}
		about, _ := properties[key].(map[string]any)
		ps = append(ps, d.problem(d.locateKey(p), p, fmt.Sprintf("%q is missing%s", key, in(p)), describe(about)))
	}
	return ps
}

func in(p path) string {
	if len(p) == 0 {
		return ""
	}
	return " in " + p.String()
}

func (s *schema) badPattern(d *document, p path, rules map[string]any, value any) *Problem {
	if rules["writeOnly"] == true {
		return d.problem(d.locate(p), p, p.String()+": "+ErrLiteralSecret.Error(), literalHint)
	}
	if rules["x-hide"] == true { // people put secrets there by mistake
		return d.problem(d.locate(p), p, p.String()+" is not in the right form", describe(rules))
	}
	return d.problem(d.locate(p), p, fmt.Sprintf("%s: %s is not in the right form", p, shown(value)), describe(rules))
}

const literalHint = "write ${NAME} for an environment variable or file:PATH for a file, and change the secret: it was in a file"

// describe is the schema's own words about a value, with an example.
func describe(rules map[string]any) string {
	text, _ := rules["description"].(string)
	if ex, _ := rules["examples"].([]any); len(ex) > 0 {
		text += fmt.Sprintf(" (for example %v)", ex[0])
	}
	return strings.TrimSpace(text)
}

func allowedHint(value any, rules map[string]any) string {
	allowed, _ := rules["enum"].([]any)
	if c, ok := rules["const"]; ok {
		allowed = []any{c}
	}
	var names []string
	for _, a := range allowed {
		names = append(names, fmt.Sprint(a))
	}
	return knownHint(fmt.Sprint(value), names)
}

// shown is a short value that can't be a secret by its place in the schema.
func shown(value any) string {
	s := fmt.Sprint(value)
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "..."
	}
	return fmt.Sprintf("%q", s)
}

func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "nothing"
	case map[string]any:
		return "a map"
	case []any:
		return "a list"
	case string:
		return "a text"
	case bool:
		return "true or false"
	}
	return "a number"
}

var kindWords = map[string]string{
	"object": "a map", "array": "a list", "string": "a text", "boolean": "true or false",
	"integer": "a whole number", "number": "a number", "null": "nothing",
}

func words(kind any) string {
	if list, ok := kind.([]any); ok {
		var all []string
		for _, k := range list {
			all = append(all, words(k))
		}
		return strings.Join(all, " or ")
	}
	return kindWords[fmt.Sprint(kind)]
}

// pointer reads a JSON pointer as the validator writes it: URL-escaped.
func pointer(s string) path {
	if s == "" || s == "/" {
		return nil
	}
	var p path
	for elem := range strings.SplitSeq(strings.TrimPrefix(s, "/"), "/") {
		if u, err := url.PathUnescape(elem); err == nil {
			elem = u
		}
		p = append(p, strings.NewReplacer("~1", "/", "~0", "~").Replace(elem))
	}
	return p
}

// lookup follows a path through plain values; nil if it leads nowhere.
func lookup(v any, p path) any {
	for _, elem := range p {
		switch t := v.(type) {
		case map[string]any:
			v = t[elem]
		case []any:
			var i int
			if _, err := fmt.Sscan(elem, &i); err != nil || i < 0 || i >= len(t) {
				return nil
			}
			v = t[i]
		default:
			return nil
		}
	}
	return v
}
