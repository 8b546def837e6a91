package transform

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
)

// Every problem of a mapping has its place in the file and the next step.
func TestLoadMappingRefuses(t *testing.T) {
	users := func(columns string) string {
		return "version: 1\nusers:\n  - rule: people\n    from: people\n    columns:\n" + columns
	}
	for _, tt := range []struct{ name, text, want string }{
		{"unknown field", users("      username: row.udi\n      enabled: 'true'\n"),
			"mapping.yaml:6:20: users[0].columns.username: undefined field 'udi' (at offset 3 of the expression)\n  hint: did you mean `uid`?"},
		{"wrong type", users("      username: row.mail\n      enabled: 'true'\n"),
			"mapping.yaml:6:17: users[0].columns.username: the expression yields list(string), this place takes text (string)\n  hint: take one value with first(...)"},
		{"binary where text belongs", users("      username: row.photo\n      enabled: 'true'\n"), "hint: make text of it with text(...) or base64(...)"},
		{"text where a time belongs", users("      username: row.uid\n      enabled: 'true'\n      expires_at: row.number\n"), "hint: read it with generalizedTime(...)"},
		{"syntax error", users("      username: row.uid +\n      enabled: 'true'\n"), "mapping.yaml:6:"},
		{"unknown function", users("      username: lowr(row.uid)\n      enabled: 'true'\n"), "did you mean `lower`"},
		{"bare word", users("      username: uid\n      enabled: 'true'\n"), "a column is written `row.uid`"},
		{"secret as text", users("      username: first(row.userPassword)\n      enabled: 'true'\n"), "hint: secrets go to credentials only"},
		{"secret compared", users("      username: row.uid\n      enabled: first(row.userPassword) == \"x\"\n"), "mapping.yaml:7:"},
		{"secret made text", users("      username: string(first(row.userPassword))\n      enabled: 'true'\n"), "found no matching overload for 'string'"},
		{"text as password", "version: 1\nusers:\n  - rule: p\n    from: people\n    columns: {username: row.uid, enabled: 'true'}\n    credentials: [{rule: c, password: row.number}]\n",
			"declare the column secret in the source's configuration"},
		{"unknown table", strings.Replace(users("      username: row.uid\n      enabled: 'true'\n"), "from: people", "from: poeple", 1),
			"mapping.yaml:4:11: users[0].from: there is no legacy table \"poeple\"\n  hint: did you mean `people`?"},
		{"unknown column", users("      user_name: row.uid\n      username: row.uid\n      enabled: 'true'\n"),
			"mapping.yaml:6:7: users[0].columns: property \"user_name\" is not allowed\n  hint: did you mean `username`?"},
		{"missing column", users("      username: row.uid\n"), "users[0].columns: property \"enabled\" is missing"},
		{"unknown lookup", "version: 1\nlookups: {units: {table: units, by: row.dn}}\ndepartments:\n  - rule: u\n    from: units\n    parent: {lookup: unit, value: row.above}\n    columns: {name: row.ou}\n",
			"mapping.yaml:6:22: departments[0].parent.lookup: there is no lookup \"unit\"\n  hint: did you mean `units`?"},
		{"bad YAML", "version: 1\nusers:\n  - rule: people\n   from: people\n", "mapping.yaml:4:"},
		{"unquoted ternary", users("      username: has(row.uid) ? row.uid : row.cn\n      enabled: 'true'\n"), "put expressions that hold `: ` or ` #` between single quotes"},
		{"key twice", "version: 1\nversion: 1\n", "mapping.yaml:2:1:"},
		{"empty", "", "mapping.yaml:1:1:"},
		{"no rule", "version: 1\n", "the mapping has no rule"},
		{"other version", "version: 2\n", "mapping.yaml:1:10: version: does not satisfy const 1"},
		{"anchor", "version: 1\nusers: &x []\n", "anchors, aliases, merges and tags are not read here"},
		{"expression over lines", "version: 1\nusers:\n  - rule: people\n    from: people\n    columns:\n      enabled: 'true'\n      username: |\n        row.uid +\n        row.nope\n",
			"mapping.yaml:9:"},
		{"mixed list", users("      username: row.uid\n      enabled: 'true'\n      realm_roles: '[row.uid, 1]'\n"), "mapping.yaml:8:"},
		{"constant of the wrong type", users("      username: row.uid\n      enabled: {constant: yes please}\n"), "wrong constant: this place takes true or false"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := loadFiles(map[string]string{"mapping.yaml": tt.text}, directory())
			var me *MappingError
			if !errors.As(err, &me) {
				t.Fatalf("got %v, want a MappingError", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got:\n%v\nwant in it:\n%s", err, tt.want)
			}
			for _, p := range me.Problems {
				if p.Line < 1 || p.Column < 1 {
					t.Errorf("no place: %+v", p)
				}
			}
		})
	}
}

func TestLoadMappingRefusesTemplates(t *testing.T) {
	mapping := "version: 1\ntemplates:\n  person: {file: t/person.json, applies_to: user}\nusers:\n  - rule: p\n    from: people\n    template: person\n    columns: {username: row.uid, enabled: 'true'}\n"
	for _, tt := range []struct{ name, template, want string }{
		{"no JSON", "{\"type\": \"object\",\n  \"properties\": }", "t/person.json:2:17: templates.person: not valid JSON"},
		{"cut off", "{\"type\": ", "not valid JSON"},
		{"no JSON Schema", "{\n  \"type\": \"objekt\"\n}", "t/person.json:2:11: templates.person: /type: not a valid JSON Schema"},
		{"bad pattern", "{\"properties\": {\"x\": {\"pattern\": \"(\"}}}", "not a valid JSON Schema"},
		{"outside reference", "{\"$ref\": \"https://example.com/x.json\"}", "references outside the document are not loaded"},
		{"file reference", "{\"$ref\": \"file:///etc/passwd\"}", "references outside the document are not loaded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := loadFiles(map[string]string{"mapping.yaml": mapping, "t/person.json": tt.template}, directory())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got:\n%v\nwant in it:\n%s", err, tt.want)
			}
		})
	}
	_, err := loadFiles(map[string]string{"mapping.yaml": mapping}, directory())
	if want := "mapping.yaml:3:18: templates.person: template can't be read"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = loadFiles(map[string]string{"mapping.yaml": strings.Replace(mapping, "applies_to: user", "applies_to: department", 1), "t/person.json": "{}"}, directory())
	if want := "mapping.yaml:7:15: users[0].template: there is no template \"person\" that applies to a user"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// All problems come at once, not one per try.
func TestLoadMappingListsAllProblems(t *testing.T) {
	_, err := loadFiles(map[string]string{"mapping.yaml": "version: 1\nusers:\n  - rule: people\n    from: people\n    columns: {username: row.a, email: row.b, enabled: row.c}\n"}, directory())
	var me *MappingError
	if !errors.As(err, &me) || len(me.Problems) != 3 {
		t.Fatalf("got %v", err)
	}
}

func TestMappingKnowsItsFilesAndAttributes(t *testing.T) {
	m := demoTables()
	mapping, err := LoadMapping("testdata/demo/mapping.yaml", LoadOptions{Tables: m.schemas()})
	if err != nil {
		t.Fatal(err)
	}
	files := mapping.Files()
	if len(files) != 2 || len(files["mapping.yaml"]) == 0 || len(files["templates/person.json"]) == 0 {
		t.Errorf("files: %d", len(files))
	}
	names, open := mapping.Attributes(schemas.Users)
	if open || len(names) != 7 || names[0] != "description" {
		t.Errorf("attributes %v, open %v", names, open)
	}
}

// What the starter mapping shows in comments works when the marks are taken out.
func TestStarterMappingsCommentsLoad(t *testing.T) {
	read := func(path string) ([]byte, error) {
		data, err := os.ReadFile(path)
		if err == nil && filepath.Base(path) == "mapping.yaml" {
			data = regexp.MustCompile(`(?m)^(    )?# (template_groups:|instantiate:|  +.*)$`).ReplaceAll(data, []byte("$1$2"))
		}
		return data, err
	}
	mapping, err := LoadMapping("testdata/demo/mapping.yaml", LoadOptions{Tables: demoTables().schemas(), ReadFile: read})
	if err != nil {
		t.Fatal(err)
	}
	if len(mapping.written) != 2 || !slices.ContainsFunc(mapping.rules, func(r *rule) bool { return len(r.instantiate) == 1 }) {
		t.Error("the comments show no department templates")
	}
}

// demoTables has the columns that the demo's mapping is written for.
func demoTables() *memory {
	return newMemory(
		legacyTable("organizations", "dn:string", "objectClass:list<string>", "entryUUID:string", "o:string", "displayName:string", "description:string",
			"associatedDomain:list<string>", "accountStatus:string", "createTimestamp:timestamp", "modifyTimestamp:timestamp"),
		legacyTable("units", "dn:string", "objectClass:list<string>", "entryUUID:string", "ou:string", "description:string", "organizationDN:string",
			"parentDepartment:string", "costCenter:string", "departmentRole:list<string>", "createTimestamp:timestamp", "modifyTimestamp:timestamp"),
		legacyTable("people", "dn:string", "objectClass:list<string>", "entryUUID:string", "uid:string", "cn:string", "sn:string", "givenName:string",
			"mail:list<string>", "telephoneNumber:list<string>", "employeeNumber:string", "title:string", "preferredLanguage:string", "description:string",
			"jpegPhoto:binary", "organizationDN:string", "departmentDN:list<string>", "departmentRole:string", "userPassword:list<secret>",
			"pwdChangedTime:timestamp", "pwdReset:bool", "accountStatus:string", "pwdAccountLockedTime:string", "accountExpires:timestamp",
			"createTimestamp:timestamp", "modifyTimestamp:timestamp"),
		legacyTable("groups", "dn:string", "objectClass:list<string>", "entryUUID:string", "cn:string", "description:string", "member:list<string>",
			"createTimestamp:timestamp", "modifyTimestamp:timestamp"),
		legacyTable("entries", "dn:string", "objectClass:list<string>"),
	)
}

// What loads has rules, and what does not says where: never a panic, never an
// error without a place.
func FuzzLoadMapping(f *testing.F) {
	f.Add([]byte(directoryMapping))
	demo, err := os.ReadFile("testdata/demo/mapping.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(demo)
	f.Add([]byte("version: 1\nusers: [{rule: x, from: people, columns: {username: 'row.mail.map(a, row.mail.map(b, a + b))[0][0]', enabled: true}}]"))
	f.Add([]byte("version: 1\nusers:\n  - rule: people\n    from: people\n    rest: true\n    columns: {username: '\"\\u0000\" + row.uid', enabled: {constant: true}}"))
	f.Add([]byte(branchMapping))
	f.Add([]byte(blueprintsMapping(f)))
	f.Add([]byte(twoTemplates))
	f.Add([]byte("version: 1\ntemplate_groups: {g: {a: {parent: b}, b: {parent: a, name: ' '}}}\nusers: [{rule: x, from: people, columns: {username: row.uid, enabled: true}, memberships: [{rule: m, department: {path: row.uid}}]}]"))
	m := dirty(f, 5)
	files := map[string]string{"t/acme.json": `{"properties": {"badge": {"type": "string", "pattern": "^[0-9]+$"}}}`, "t/beta.json": `{"properties": {"badge": {"minLength": 2}}}`}
	f.Fuzz(func(t *testing.T, data []byte) {
		files := maps.Clone(files)
		files["mapping.yaml"] = string(data)
		mapping, err := loadFiles(files, m)
		if err != nil {
			var me *MappingError
			if !errors.As(err, &me) || len(me.Problems) == 0 || me.Problems[0].Line < 1 {
				t.Fatalf("an error without a place: %v", err)
			}
			return
		}
		if len(mapping.rules) == 0 {
			t.Fatal("a mapping without rules")
		}
		in := Input{Legacy: m, Mapping: mapping, Profile: testProfile(), Keyring: testKeyring(t), Namespace: testNamespace, Workers: 1, TempDir: t.TempDir()}
		if _, err := Run(t.Context(), in, &collector{}); err != nil && !errors.As(err, new(*MappingError)) {
			t.Fatal(err)
		}
	})
}
