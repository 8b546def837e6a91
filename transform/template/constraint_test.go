package template

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// clashes compares attribute x of two templates; texts are the schemas of x.
func clashes(t *testing.T, a, b string) []string {
	t.Helper()
	var out []string
	for _, c := range Clashes(constraint(t, a), constraint(t, b)) {
		out = append(out, c.A+" | "+c.B)
	}
	return out
}

func constraint(t *testing.T, text string) Constraint {
	t.Helper()
	if !strings.HasPrefix(text, "whole ") {
		text = fmt.Sprintf(`{"properties": {"x": %s}}`, text)
	}
	tpl, err := Compile([]byte(strings.TrimPrefix(text, "whole ")))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return tpl.Constraint("x")
}

func TestClashes(t *testing.T) {
	const required = `whole {"required": ["x"], "properties": {"x": {"type": "string"}}}`
	for _, tt := range []struct{ name, a, b, want string }{
		{"equal", `{"type": "string", "maxLength": 10}`, `{"type": "string", "maxLength": 10}`, ""},
		{"one length above the other", `{"maxLength": 10}`, `{"maxLength": 20}`, ""},
		{"lengths apart", `{"type": "string", "maxLength": 5}`, `{"type": "string", "minLength": 6}`, "maxLength 5 | minLength 6"},
		{"lengths touch", `{"maxLength": 6}`, `{"minLength": 6}`, ""},
		{"types", `{"type": "integer"}`, `{"type": "boolean"}`, `type "integer" | type "boolean"`},
		{"text and number", `{"type": "string"}`, `{"type": "integer"}`, `type "string" | type "integer"`},
		{"integer is a number", `{"type": "integer"}`, `{"type": "number"}`, ""},
		{"types that share one", `{"type": ["string", "integer"]}`, `{"type": "string"}`, ""},
		{"no type and a type", `{}`, `{"type": "integer"}`, ""},
		{"one value and several", `{"type": "string"}`, `{"type": "array", "items": {"type": "string"}}`, "one value | several values (array)"},
		{"one or several", `{"type": ["string", "array"]}`, `{"type": "array"}`, ""},
		{"types of items", `{"type": "array", "items": {"type": "integer"}}`, `{"type": "array", "items": {"type": "string"}}`, `type "integer" | type "string"`},
		{"lengths of items", `{"type": "array", "items": {"maxLength": 1}}`, `{"type": "array", "items": {"minLength": 2}}`, "maxLength 1 | minLength 2"},
		{"numbers of items", `{"type": "array", "maxItems": 2}`, `{"type": "array", "minItems": 3}`, "maxItems 2 | minItems 3"},
		{"enums apart", `{"enum": ["a", "b"]}`, `{"enum": ["c"]}`, `enum ["a","b"] | enum "c"`},
		{"enums that share one", `{"enum": ["a", "b"]}`, `{"enum": ["b", "c"]}`, ""},
		{"enum and const", `{"enum": ["a", "b"]}`, `{"const": "c"}`, `enum ["a","b"] | enum "c"`},
		{"enum and length", `{"enum": ["abc", "abcd"]}`, `{"type": "string", "maxLength": 2}`, `enum ["abc","abcd"] | type "string", maxLength 2`},
		{"enum and pattern", `{"pattern": "^[0-9]+$"}`, `{"enum": ["a"]}`, `pattern "^[0-9]+$" | enum "a"`},
		{"enum of which one fits the pattern", `{"pattern": "^[0-9]+$"}`, `{"enum": ["a", "7"]}`, ""},
		{"enum and a choice", `{"enum": ["a"]}`, `{"anyOf": [{"const": "b"}, {"const": "c"}]}`, `enum "a" | other conditions`},
		{"ranges apart", `{"type": "integer", "maximum": 9}`, `{"type": "integer", "minimum": 10}`, "maximum 9 | minimum 10"},
		{"ranges touch", `{"maximum": 10}`, `{"minimum": 10}`, ""},
		{"ranges touch with the bound out", `{"maximum": 10}`, `{"exclusiveMinimum": 10}`, "maximum 10 | exclusiveMinimum 10"},
		{"patterns apart", `{"pattern": "^[0-9]+$"}`, `{"pattern": "^[A-Z]{2}"}`, `pattern "^[0-9]+$" | pattern "^[A-Z]{2}"`},
		{"patterns that overlap", `{"pattern": "^[0-9]+$"}`, `{"pattern": "^[0-9]{1,12}$"}`, ""},
		{"patterns of other widths", `{"pattern": "^[0-9]{3}$"}`, `{"pattern": "^[0-9]{4}$"}`, `pattern "^[0-9]{3}$" | pattern "^[0-9]{4}$"`},
		{"patterns somewhere in the value", `{"pattern": "a"}`, `{"pattern": "b"}`, ""},
		{"pattern and length", `{"pattern": "^[A-Z]{5}$"}`, `{"maxLength": 4}`, `pattern "^[A-Z]{5}$" | maxLength 4`},
		{"pattern and least length", `{"pattern": "^[A-Z]{1,5}$"}`, `{"minLength": 6}`, `pattern "^[A-Z]{1,5}$" | minLength 6`},
		{"pattern that starts in either case", `{"pattern": "(?i)^straße$"}`, `{"pattern": "^STRA"}`, ""},
		{"formats", `{"format": "date"}`, `{"format": "email"}`, `format "date" | format "email"`},
		{"format and pattern", `{"format": "email"}`, `{"pattern": "@acme\\.example$"}`, ""},
		{"required and optional", required, `{"type": "string"}`, ""},
		{"required and not allowed", required, `false`, "a value (required) | no value"},
		{"optional and not allowed", `{"type": "string"}`, `false`, ""},
		{"by reference", `whole {"$defs": {"c": {"maxLength": 1}}, "properties": {"x": {"$ref": "#/$defs/c"}}}`, `{"minLength": 2}`, "maxLength 1 | minLength 2"},
		{"through allOf", `whole {"allOf": [{"properties": {"x": {"allOf": [{"maxLength": 1}]}}}]}`, `{"minLength": 2}`, "maxLength 1 | minLength 2"},
		{"a template that contradicts itself", `{"pattern": "^[A-Z]{5}$", "maxLength": 4}`, `{"pattern": "^[0-9]$"}`, ""},
		{"a condition on another attribute", `whole {"if": {"properties": {"c": {"const": "DE"}}}, "then": {"properties": {"x": {"maxLength": 1}}}, "properties": {"x": {}}}`, `{"enum": ["abc"]}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(clashes(t, tt.a, tt.b), "; "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			back := clashes(t, tt.b, tt.a)
			if (len(back) > 0) != (tt.want != "") {
				t.Errorf("the other way round: %v", back)
			}
		})
	}
}

// A target that knows texts only compares what stands for a value.
func TestAsText(t *testing.T) {
	integer := Unbounded()
	integer.Patterns = []string{IntegerShape}
	for _, tt := range []struct{ schema, want string }{
		{`{"type": "string", "pattern": "^[0-9]{1,5}$"}`, ""},
		{`{"type": "string"}`, ""},
		{`{"type": "integer"}`, ""},
		{`{"type": ["boolean"]}`, "pattern \"^(?:true|false)$\" | pattern \"^-?[0-9]+$\""},
		{`{"enum": ["x"]}`, "enum \"x\" | pattern \"^-?[0-9]+$\""},
	} {
		var got []string
		for _, c := range Clashes(constraint(t, tt.schema).AsText(), integer) {
			got = append(got, c.A+" | "+c.B)
		}
		if strings.Join(got, "; ") != tt.want {
			t.Errorf("%s: %v, want %s", tt.schema, got, tt.want)
		}
	}
}

func TestDeclared(t *testing.T) {
	tpl, err := Compile([]byte(`{"$ref": "#/$defs/base", "$defs": {"base": {"properties": {"b": {}}}}, "allOf": [{"properties": {"c": {}}}], "properties": {"a": {}}, "required": ["z"]}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, tpl.Declared()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What the search finds or rules out agrees with trying all short texts.
func FuzzOverlap(f *testing.F) {
	for _, p := range [][2]string{{`^a`, `b$`}, {`\bab\b`, `^[^a]`}, {`(?i)ab`, `^B`}, {`^(a|b){2}$`, `^a?$`}, {`^$`, `a`}, {`(?m)^b$`, `a`}, {`[^ab]`, `^[ab]*$`}, {`\B`, `^a$`}} {
		f.Add(p[0], p[1], 0, 3)
	}
	texts := []string{""}
	for i := 0; i < len(texts) && len(texts) < 800; i++ {
		for _, r := range "ab \nB1" {
			texts = append(texts, texts[i]+string(r))
		}
	}
	f.Fuzz(func(t *testing.T, a, b string, shortest, longest int) {
		if len(a)+len(b) > 60 {
			return
		}
		found, known := overlap([]string{a, b}, shortest, longest)
		if !known || found {
			return
		}
		x, errX := regexp.Compile(a)
		y, errY := regexp.Compile(b)
		if errX != nil || errY != nil {
			return
		}
		for _, s := range texts {
			if len(s) >= shortest && (longest < 0 || len(s) <= longest) && x.MatchString(s) && y.MatchString(s) {
				t.Fatalf("%q and %q both match %q", a, b, s)
			}
		}
	})
}

// Whatever compiles can be compared without a panic, and nothing clashes with
// itself save in what it forbids.
func FuzzClashes(f *testing.F) {
	f.Add([]byte(person), []byte(`{"properties": {"number": {"enum": [1, "a", null]}, "mail": {"maxLength": 1}}}`))
	f.Add([]byte(`{"properties": {"a": {"$ref": "#"}}}`), []byte(`{"properties": {"a": {"type": "array", "items": {"$ref": "#/properties/a"}}}}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, errX := Compile(a)
		y, errY := Compile(b)
		if errX != nil || errY != nil {
			return
		}
		for _, name := range x.Declared() {
			Clashes(x.Constraint(name), y.Constraint(name))
			Clashes(x.Constraint(name).AsText(), y.Constraint(name).AsText())
		}
	})
}
