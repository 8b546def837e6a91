package template

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const person = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["number", "mail"],
  "additionalProperties": false,
  "$defs": {"code": {"type": "string", "pattern": "^[A-Z]{2}$"}},
  "properties": {
    "number": {"type": "integer", "minimum": 1},
    "mail": {"type": "string", "format": "email"},
    "phones": {"type": "array", "items": {"type": "string", "minLength": 3}, "uniqueItems": true},
    "country": {"$ref": "#/$defs/code"},
    "active": {"type": "boolean"},
    "level": {"enum": ["a", "b"]},
    "either": {"anyOf": [{"const": "x"}, {"maxLength": 1}]},
    "any": true
  }
}`

func TestAttributes(t *testing.T) {
	tpl, err := Compile([]byte(person))
	if err != nil {
		t.Fatal(err)
	}
	good := func(change map[string][]string) map[string][]string {
		m := map[string][]string{"number": {"7"}, "mail": {"a@example.com"}}
		for k, v := range change {
			if m[k] = v; v == nil {
				delete(m, k)
			}
		}
		return m
	}
	for _, tt := range []struct {
		name  string
		attrs map[string][]string
		want  []string // property: message
	}{
		{"good", good(map[string][]string{"phones": {"+49 1"}, "country": {"DE"}, "active": {"true"}, "level": {"a"}, "either": {"x"}, "any": {"1", "2"}}), nil},
		{"nothing", map[string][]string{}, []string{`mail: property "mail" is missing`, `number: property "number" is missing`}},
		{"empty list is absent", good(map[string][]string{"mail": {}}), []string{`mail: property "mail" is missing`}},
		{"several failing properties", good(map[string][]string{"number": {"secret"}, "mail": {"secret"}, "country": {"secret"}, "active": {"secret"}}),
			[]string{`active: does not satisfy type "boolean"`, `country: does not satisfy pattern "^[A-Z]{2}$"`, `mail: does not satisfy format "email"`, `number: does not satisfy type "integer"`}},
		{"too small", good(map[string][]string{"number": {"0"}}), []string{`number: does not satisfy minimum 1`}},
		{"number with a fraction", good(map[string][]string{"number": {"1.5"}}), []string{`number: does not satisfy type "integer"`}},
		{"huge exponent", good(map[string][]string{"number": {"1e999999999"}}), []string{`number: does not satisfy type "integer"`}},
		{"several where one belongs", good(map[string][]string{"mail": {"a@example.com", "b@example.com"}}), []string{`mail: does not satisfy type "string"`}},
		{"equal items", good(map[string][]string{"phones": {"secret", "secret"}}), []string{`phones: does not satisfy uniqueItems true`}},
		{"short item", good(map[string][]string{"phones": {"x"}}), []string{`phones: does not satisfy minLength 3`}},
		{"not allowed", good(map[string][]string{"hobby": {"secret"}}), []string{`hobby: property "hobby" is not allowed`}},
		{"enum", good(map[string][]string{"level": {"secret"}}), []string{`level: does not satisfy enum ["a","b"]`}},
		{"choice", good(map[string][]string{"either": {"secret"}}), []string{"either: fits none, or not exactly one, of the alternatives of anyOf"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, v := range tpl.Attributes(tt.attrs) {
				got = append(got, v.Property+": "+v.Message)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if strings.Contains(strings.Join(got, ""), "secret") {
				t.Error("a message shows a value")
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, in := range []string{"", "{", "[]", "1", `{"type": 1}`, `{"$ref": "http://example.com/a"}`, `{"$ref": "#/$defs/none"}`, `{"pattern": "("}`, `{} {}`,
		`{"$schema": "http://example.com/meta"}`} {
		_, err := Compile([]byte(in))
		var te *Error
		if !errors.As(err, &te) {
			t.Errorf("Compile(%s): %v, want an *Error", in, err)
		}
	}
}

// Whatever compiles can be asked about any attributes without a panic.
func FuzzAttributes(f *testing.F) {
	f.Add([]byte(person), "number", "7")
	f.Add([]byte(`{"properties": {"a": {"$ref": "#"}}}`), "a", "b")
	f.Add([]byte(`{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}`), "a", "b")
	f.Fuzz(func(t *testing.T, schema []byte, name, value string) {
		if !json.Valid(schema) {
			return
		}
		tpl, err := Compile(schema)
		if err != nil {
			return
		}
		tpl.Attributes(map[string][]string{name: {value}})
		tpl.Attributes(map[string][]string{name: {value, value}})
	})
}
