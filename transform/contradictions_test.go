package transform

import (
	"errors"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
)

const twoTemplates = `version: 1
templates:
  acme: {file: t/acme.json, applies_to: user}
  beta: {file: t/beta.json, applies_to: user}
users:
  - rule: acme
    from: people
    where: row.org == "o=acme"
    template: acme
    columns: {username: row.uid, enabled: 'true'}
    attributes: {badge: row.number}
  - rule: beta
    from: people
    where: row.org != "o=acme"
    template: beta
    columns: {username: row.uid, enabled: 'true'}
    attributes: {badge: row.number}
`

// Two templates of users that no value can satisfy both are found when the
// mapping is loaded, with both named, at the place in the second.
func TestTemplatesThatContradictEachOther(t *testing.T) {
	files := func(acme, beta string) map[string]string {
		return map[string]string{"mapping.yaml": twoTemplates, "t/acme.json": "{\"properties\": {\"badge\": " + acme + "}}",
			"t/beta.json": "{\n  \"properties\": {\n    \"badge\": " + beta + "}}"}
	}
	_, err := loadFiles(files(`{"type": "string", "maxLength": 5}`, `{"type": "string", "minLength": 6}`), directory())
	const want = `t/beta.json:3:5: templates.beta: attribute "badge": no value can satisfy both: template acme (t/acme.json) asks for maxLength 5, template beta (t/beta.json) for minLength 6
  hint: the target has one user profile for all organizations: let the two overlap, or give the attribute another name in one template and in the rules that fill it`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	for _, tt := range []struct{ acme, beta string }{
		{`{"maxLength": 10}`, `{"maxLength": 20}`}, {`{"enum": ["a", "b"]}`, `{"enum": ["b", "c"]}`}, {`{"pattern": "^[0-9]+$"}`, `{"pattern": "^[0-9]{3}$"}`},
	} {
		if _, err := loadFiles(files(tt.acme, tt.beta), directory()); err != nil {
			t.Errorf("%s and %s merely differ: %v", tt.acme, tt.beta, err)
		}
	}
	// What organizations and departments hold is apart from other organizations.
	both := files(`{"enum": ["a"]}`, `{"enum": ["b"]}`)
	both["mapping.yaml"] = strings.Replace(twoTemplates[:strings.Index(twoTemplates, "users:")], "beta.json, applies_to: user", "beta.json, applies_to: organization", 1) +
		"users: [{rule: p, from: people, template: acme, columns: {username: row.uid, enabled: 'true'}}]\n"
	if _, err := loadFiles(both, directory()); err != nil {
		t.Errorf("a template of organizations: %v", err)
	}
}

// A template that contradicts what the target's profile declares stops the run
// before its first row.
func TestTemplatesThatContradictTheProfile(t *testing.T) {
	const mapping = `version: 1
templates: {person: {file: person.json, applies_to: user}, office: {file: office.json, applies_to: organization}}
users: [{rule: p, from: people, template: person, columns: {username: row.uid, enabled: 'true'}, attributes: {badge: row.number}}]
`
	for _, tt := range []struct {
		name, badge string
		rule        schemas.AttributeRule
		want        string // empty for none
	}{
		{"length", `{"type": "string", "minLength": 6}`, schemas.AttributeRule{Single: true, MaxLength: 5}, "asks for minLength 6, the target's user profile for maxLength 5"},
		{"a wider length", `{"type": "string", "maxLength": 20}`, schemas.AttributeRule{Single: true, MaxLength: 10}, ""},
		{"several values", `{"type": "array"}`, schemas.AttributeRule{Single: true}, "asks for several values (array), the target's user profile for one value"},
		{"a list of one", `{"type": "array", "maxItems": 1}`, schemas.AttributeRule{Single: true}, ""},
		{"one value where several may be", `{"type": "string"}`, schemas.AttributeRule{MaxValues: 5}, ""},
		{"one value where several must be", `{"type": "string"}`, schemas.AttributeRule{MinValues: 2}, "asks for one value, the target's user profile for several values (array)"},
		{"options", `{"enum": ["a"]}`, schemas.AttributeRule{Single: true, Options: []string{"b"}}, `asks for enum "a", the target's user profile for enum "b"`},
		{"pattern", `{"pattern": "^[a-z]+$"}`, schemas.AttributeRule{Single: true, Pattern: "[0-9]+|x1"}, `asks for pattern "^[a-z]+$", the target's user profile for pattern "^(?:[0-9]+|x1)$"`},
		{"a pattern of another language", `{"pattern": "^[a-z]+$"}`, schemas.AttributeRule{Single: true, Pattern: "(?=x)[0-9]+"}, ""},
		{"digits kept as text", `{"type": "string", "pattern": "^[0-9]{1,6}$"}`, schemas.AttributeRule{Single: true, Kind: "integer"}, ""},
		{"letters where numbers belong", `{"type": "string", "pattern": "^[a-z]+$"}`, schemas.AttributeRule{Single: true, Kind: "integer"}, `asks for pattern "^[a-z]+$"`},
		{"numbers out of range", `{"type": "integer", "minimum": 10}`, schemas.AttributeRule{Single: true, Kind: "integer", Maximum: "9"}, "asks for minimum 10, the target's user profile for maximum 9"},
		{"not allowed but required", `false`, schemas.AttributeRule{Single: true, Required: true}, "asks for no value, the target's user profile for a value (required)"},
		{"optional but required", `{"type": "string"}`, schemas.AttributeRule{Single: true, Required: true}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := acme(t)
			loaded, err := loadFiles(map[string]string{"mapping.yaml": mapping, "person.json": `{"properties": {"badge": ` + tt.badge + `}}`,
				"office.json": `{"properties": {"badge": {"const": "never"}}}`}, m)
			if err != nil {
				t.Fatal(err)
			}
			in := Input{Legacy: m, Mapping: loaded, Profile: testProfile(), Namespace: testNamespace, TempDir: t.TempDir()}
			in.Profile.AttributeRules = map[string]schemas.AttributeRule{"badge": tt.rule, "other": {Options: []string{"x"}}}
			out := &collector{}
			_, err = Run(t.Context(), in, out)
			if tt.want == "" {
				if err != nil {
					t.Errorf("they merely differ: %v", err)
				}
				return
			}
			var me *MappingError
			if !errors.As(err, &me) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "person.json:1:17: templates.person: attribute \"badge\"") {
				t.Errorf("got:\n%v\nwant in it:\n%s", err, tt.want)
			}
			if len(out.rows) > 0 {
				t.Error("rows were written")
			}
		})
	}
}
