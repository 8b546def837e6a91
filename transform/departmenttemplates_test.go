package transform

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
)

const branchMapping = `
version: 1
lookups:
  orgs: {table: orgs, by: row.dn, match: dn}
  units: {table: units, by: row.dn, match: dn}
  people: {table: people, by: row.dn, match: dn}
template_groups:
  branch:
    office:
      name: Front Office
      realm_roles: [employee]
      client_roles: {crm: [viewer, editor]}
      attributes: {costCenter: 100, tags: [a, b]}
      external_ids: {sap: O-1}
    desk:
      name: Service Desk
      parent: office
      realm_roles: agent
organizations:
  - rule: orgs
    from: orgs
    columns: {alias: row.o, name: row.title}
    instantiate:
      - {group: branch, where: row.title != "Holding"}
departments:
  - rule: units
    from: units
    organization: {lookup: orgs, value: row.org}
    parent: {lookup: units, value: row.above}
    columns:
      name: row.ou
      realm_roles: 'row.ou == "Service Desk" ? ["own"] : []'
      external_ids: '{"dn": row.dn}'
    attributes: {costCenter: 'row.ou == "Front Office" ? "own" : ""'}
users:
  - rule: people
    from: people
    columns: {username: row.uid, enabled: 'true'}
    memberships:
      - rule: by path
        each: row.unit
        organization: {lookup: orgs, value: row.org}
        department: {path: item}
`

// branches are three organizations, two of which are branches.
func branches() *memory {
	m := directory()
	m.add("orgs", "O1", cells{"dn": "o=one", "o": "one", "title": "One"})
	m.add("orgs", "O2", cells{"dn": "o=two", "o": "two", "title": "Two"})
	m.add("orgs", "O3", cells{"dn": "o=three", "o": "three", "title": "Holding"})
	return m
}

func keysOf(c *collector, table string) []string {
	var out []string
	for _, r := range c.rows[table] {
		out = append(out, r.Key)
	}
	slices.Sort(out)
	return out
}

func TestTemplatesBecomeDepartments(t *testing.T) {
	m := branches()
	m.add("units", "U1", cells{"dn": "ou=x", "ou": "Lab", "org": "o=three"})
	person(m, "P1", "anna", cells{"org": "o=one", "unit": []string{"/Front Office/Service Desk", "Front Office/"}})
	person(m, "P2", "ben", cells{"org": "o=three", "unit": []string{"/Front Office"}})
	person(m, "P3", "cem", cells{"org": "o=gone", "unit": []string{"/Front Office"}})
	person(m, "P4", "dan", cells{"org": "o=three", "unit": []string{"Lab"}})
	out, report := runMapping(t, m, loadText(t, branchMapping, m), nil)

	if diff := cmp.Diff([]string{"O1#branch/desk", "O1#branch/office", "O2#branch/desk", "O2#branch/office", "U1"}, keysOf(out, schemas.Departments)); diff != "" {
		t.Fatalf("departments (-want +got):\n%s", diff)
	}
	org, office, desk := entityID(schemas.Organizations, "O1"), entityID(schemas.Departments, "O1#branch/office"), entityID(schemas.Departments, "O1#branch/desk")
	want := map[string][]any{
		"departments O1#branch/office": {org, nil, "Front Office", "/Front Office", map[string][]string{"sap": {"O-1"}}, []string{"employee"},
			map[string][]string{"crm": {"viewer", "editor"}}, map[string][]string{"costCenter": {"100"}, "tags": {"a", "b"}}, "branch/office"},
		"departments O1#branch/desk": {org, office, "Service Desk", "/Front Office/Service Desk", nil, []string{"agent"}, nil, nil, "branch/desk"},
		"department_templates branch/office": {"branch", "Front Office", nil, []string{"employee"}, map[string][]string{"crm": {"viewer", "editor"}},
			map[string][]string{"costCenter": {"100"}, "tags": {"a", "b"}}, map[string][]string{"sap": {"O-1"}}},
		"department_templates branch/desk": {"branch", "Service Desk", entityID(schemas.DepartmentTemplates, "branch/office"), []string{"agent"}, nil, nil, nil},
		"memberships P1/O1/O1#branch/desk": {entityID(schemas.Users, "P1"), org, desk, nil, nil, false},
	}
	for name, values := range want {
		table, key, _ := strings.Cut(name, " ")
		if diff := cmp.Diff(values, out.byKey(table)[key].Values); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff([]string{"P1/O1/O1#branch/desk", "P1/O1/O1#branch/office", "P4/O3/U1"}, keysOf(out, schemas.Memberships)); diff != "" {
		t.Errorf("memberships (-want +got):\n%s", diff)
	}
	if got := out.rules(schemas.Memberships, "P2/O3//Front Office"); !slices.Equal(got, []string{RuleMissingDepartment}) {
		t.Errorf("an organization without the group has no such department: %v", got)
	}
	// Two departments of two organizations each, and the legacy one.
	if diff := cmp.Diff(EntityCount{Entity: schemas.Departments, Candidates: 5, Yielded: 5}, report.Entity(schemas.Departments)); diff != "" {
		t.Errorf("departments (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(EntityCount{Entity: schemas.DepartmentTemplates, Candidates: 2, Yielded: 2}, report.Entity(schemas.DepartmentTemplates)); diff != "" {
		t.Errorf("templates (-want +got):\n%s", diff)
	}
	// No source row stands behind them.
	if diff := cmp.Diff(SourceCount{Table: "orgs", Read: 3, Mapped: 3}, report.Source("orgs")); diff != "" {
		t.Errorf("source (-want +got):\n%s", diff)
	}
	if !slices.Contains(report.Fields, FieldCount{schemas.Departments, "attributes.costCenter", 0, 2, 0}) {
		t.Errorf("fields: %+v", report.Fields)
	}
}

// A legacy department at the place of a template's is that department: it keeps
// its key and its values, and takes what it lacks.
func TestLegacyDepartmentAtTheTemplatesPlace(t *testing.T) {
	m := branches()
	m.add("units", "U1", cells{"dn": "ou=front", "ou": "Front Office", "org": "o=one"})
	m.add("units", "U2", cells{"dn": "ou=desk", "ou": "Service Desk", "above": "ou=front"})
	m.add("units", "U3", cells{"dn": "ou=other", "ou": "Service Desk", "org": "o=one"}) // another place
	person(m, "P1", "anna", cells{"org": "o=one", "unit": []string{"/Front Office/Service Desk"}})
	out, report := runMapping(t, m, loadText(t, branchMapping, m), nil)
	if diff := cmp.Diff([]string{"O2#branch/desk", "O2#branch/office", "U1", "U2", "U3"}, keysOf(out, schemas.Departments)); diff != "" {
		t.Fatalf("departments (-want +got):\n%s", diff)
	}
	org := entityID(schemas.Organizations, "O1")
	want := map[string][]any{
		"U1": {org, nil, "Front Office", "/Front Office", map[string][]string{"dn": {"ou=front"}, "sap": {"O-1"}}, []string{"employee"},
			map[string][]string{"crm": {"viewer", "editor"}}, map[string][]string{"costCenter": {"own"}, "tags": {"a", "b"}}, "branch/office"},
		"U2": {org, entityID(schemas.Departments, "U1"), "Service Desk", "/Front Office/Service Desk", map[string][]string{"dn": {"ou=desk"}}, []string{"own"}, nil, nil, "branch/desk"},
		"U3": {org, nil, "Service Desk", "/Service Desk", map[string][]string{"dn": {"ou=other"}}, []string{"own"}, nil, nil, nil},
	}
	for key, values := range want {
		if diff := cmp.Diff(values, out.byKey(schemas.Departments)[key].Values); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
	if _, ok := out.byKey(schemas.Memberships)["P1/O1/U2"]; !ok {
		t.Errorf("the path leads to the legacy department: %v", keysOf(out, schemas.Memberships))
	}
	if diff := cmp.Diff(EntityCount{Entity: schemas.Departments, Candidates: 7, Yielded: 5, Merged: 2}, report.Entity(schemas.Departments)); diff != "" {
		t.Errorf("departments (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(SourceCount{Table: "units", Read: 3, Mapped: 3}, report.Source("units")); diff != "" {
		t.Errorf("source (-want +got):\n%s", diff)
	}
}

// What a template's department can't stand on, it falls with.
func TestTemplatesDepartmentsFallWithWhatTheyHangOn(t *testing.T) {
	for _, tt := range []struct {
		name    string
		mapping func(string) string
		make    func(m *memory)
		want    map[string][]string // rules by department
	}{
		{"rejected organization", nil, func(m *memory) { m.add("orgs", "O4", cells{"dn": "o=four", "o": "one", "title": "Four"}) },
			map[string][]string{"O1#branch/office": {RuleMissingOrganization}, "O4#branch/desk": {RuleMissingOrganization, RuleParentRejected}, "O2#branch/desk": nil}},
		{"the legacy department of the place is rejected", nil, func(m *memory) {
			m.add("units", "U1", cells{"dn": "ou=a", "ou": "Front Office", "org": "o=one"})
			m.add("units", "U2", cells{"dn": "ou=b", "ou": "Front Office", "org": "o=one"})
		}, map[string][]string{"U1": {RuleSiblingName}, "U2": {RuleSiblingName}, "O1#branch/office": {RuleTwinRejected}, "O1#branch/desk": {RuleParentRejected}, "O2#branch/office": nil}},
		{"a legacy department whose parent is unknown has no place", nil, func(m *memory) {
			m.add("units", "U1", cells{"dn": "ou=a", "ou": "Front Office", "org": "o=one", "above": "ou=gone"})
		}, map[string][]string{"U1": {RuleUnknownParent}, "O1#branch/office": nil}},
		{"an excluded legacy department", func(s string) string {
			return strings.Replace(s, "    from: units\n", "    from: units\n    exclude: [{rule: old, when: row.dn == \"ou=a\"}]\n", 1)
		}, func(m *memory) { m.add("units", "U1", cells{"dn": "ou=a", "ou": "Front Office", "org": "o=one"}) },
			map[string][]string{"U1": {"old"}, "O1#branch/office": nil}},
		{"two groups make one department", func(s string) string {
			return strings.Replace(strings.Replace(s, "template_groups:\n", "template_groups:\n  second: {o: {name: Front Office}}\n", 1), "      - {group: branch,", "      - {group: second, where: row.o == \"one\"}\n      - {group: branch,", 1)
		}, func(*memory) {}, map[string][]string{"O1#branch/office": {RuleSiblingName}, "O1#second/o": {RuleSiblingName}, "O1#branch/desk": {RuleParentRejected}, "O2#branch/office": nil}},
		{"two groups meet a legacy department", func(s string) string {
			return strings.Replace(strings.Replace(s, "template_groups:\n", "template_groups:\n  second: {o: {name: Front Office}}\n", 1), "      - {group: branch,", "      - {group: second, where: row.o == \"one\"}\n      - {group: branch,", 1)
		}, func(m *memory) { m.add("units", "U1", cells{"dn": "ou=a", "ou": "Front Office", "org": "o=one"}) },
			map[string][]string{"U1": nil, "O1#branch/office": {RuleSiblingName}, "O1#second/o": {RuleSiblingName}, "O1#branch/desk": nil}},
		{"one group twice", func(s string) string {
			return strings.Replace(s, "      - {group: branch,", "      - {group: branch}\n      - {group: branch,", 1)
		}, func(*memory) {}, map[string][]string{"O1#branch/office": nil, "O3#branch/desk": nil}},
		{"excluded organization", func(s string) string {
			return strings.Replace(s, "    from: orgs\n", "    from: orgs\n    exclude: [{rule: gone, when: row.o == \"one\"}]\n", 1)
		}, func(*memory) {}, map[string][]string{"O2#branch/office": nil}},
		{"a condition that fails", func(s string) string { return strings.Replace(s, `row.title != "Holding"`, `int(row.o) > 0`, 1) },
			func(*memory) {}, map[string][]string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := branches()
			tt.make(m)
			mapping := branchMapping
			if tt.mapping != nil {
				mapping = tt.mapping(mapping)
			}
			out, _ := runMapping(t, m, loadText(t, mapping, m), nil)
			for key, want := range tt.want {
				if got := out.rules(schemas.Departments, key); !slices.Equal(got, want) {
					t.Errorf("%s: rules %v, want %v", key, got, want)
				}
				if _, written := out.byKey(schemas.Departments)[key]; written != (want == nil) {
					t.Errorf("%s: written: %v", key, written)
				}
			}
			if tt.name == "excluded organization" && out.rules(schemas.Departments, "O1#branch/office") != nil {
				t.Error("an excluded organization is given departments")
			}
			if tt.name == "a condition that fails" && !slices.Equal(out.rules(schemas.Organizations, "O1"), []string{RuleExpression}) {
				t.Error("whether the organization is given departments is not known: it is rejected")
			}
		})
	}
}

// Templates from a legacy table: references, groups and checks are those of any
// row, and every source row is accounted for.
func TestTemplatesOfALegacyTable(t *testing.T) {
	m := branches()
	table := legacyTable("blueprints", "id:string", "name:string", "group:string", "above:string", "roles:list<string>", "off:bool")
	m.names, m.tables["blueprints"] = append(m.names, "blueprints"), &table
	add := func(key, name, group, above string, off bool) {
		m.add("blueprints", key, cells{"id": key, "name": name, "group": group, "above": above, "roles": []string{"r" + key}, "off": off})
	}
	add("T1", "Front Office", "branch", "", false)
	add("T2", "Desk", "branch", "T1", false)
	add("T3", "Old", "branch", "", true)
	add("T4", "Below old", "branch", "T3", false)
	add("T5", "Ring A", "branch", "T6", false)
	add("T6", "Ring B", "branch", "T5", false)
	add("T7", "Stray", "branch", "T8", false)
	add("T8", "Other", "other", "", false)
	add("T9", "Desk", "branch", "T1x", false)
	add("T10", "a/b", "branch", "", false)
	add("T11", "Twice", "branch", "", false)
	add("T12", "Twice", "branch", "", false)
	add("T13", "", "branch", "", false)
	mapping := replaceOnce(t, branchMapping, branchMapping[strings.Index(branchMapping, "template_groups:"):strings.Index(branchMapping, "organizations:")], `
department_templates:
  - rule: blueprints
    from: blueprints
    exclude: [{rule: switched off, when: row.off}]
    parent: {lookup: blueprints, value: row.above}
    columns: {template_group: row.group, name: row.name, realm_roles: row.roles}
    attributes: {origin: row.id}
`)
	mapping = replaceOnce(t, mapping, "lookups:\n", "lookups:\n  blueprints: {table: blueprints, by: row.id}\n")
	out, report := runMapping(t, m, loadText(t, mapping, m), nil)
	for key, want := range map[string][]string{"T1": nil, "T2": nil, "T3": {"switched off"}, "T4": {RuleUnknownParent}, "T5": {RuleTemplateCycle}, "T6": {RuleTemplateCycle},
		"T7": {RuleOtherGroup}, "T8": nil, "T9": {RuleUnknownParent}, "T10": {RuleSlash}, "T11": {RuleSiblingName}, "T12": {RuleSiblingName}, "T13": {RuleRequired}} {
		if got := out.rules(schemas.DepartmentTemplates, key); !slices.Equal(got, want) {
			t.Errorf("template %s: %v, want %v", key, got, want)
		}
		switch got := out.rules(schemas.Departments, "O1#"+key); {
		case key == "T3" || key == "T8":
			if out.byKey(schemas.Departments)["O1#"+key].Values != nil || got != nil {
				t.Errorf("department of %s, which is left out or of another group", key)
			}
		case want == nil:
			if got != nil || !slices.Equal(out.value(t, schemas.Departments, "O1#"+key, "realm_roles").([]string), []string{"r" + key}) {
				t.Errorf("department of %s: rejected by %v", key, got)
			}
		case !slices.Contains(got, RuleTemplateRejected):
			t.Errorf("department of %s: %v", key, got)
		}
	}
	want := SourceCount{Table: "blueprints", Read: 13, Mapped: 3, Excluded: 1, Rejected: 9, ExcludedBy: map[string]int64{"switched off": 1}}
	if diff := cmp.Diff(want, report.Source("blueprints")); diff != "" {
		t.Errorf("source (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(EntityCount{Entity: schemas.DepartmentTemplates, Candidates: 13, Yielded: 3, Excluded: 1, Rejected: 9}, report.Entity(schemas.DepartmentTemplates)); diff != "" {
		t.Errorf("templates (-want +got):\n%s", diff)
	}

	// A group that the table does not know stops the run.
	loaded := loadText(t, strings.Replace(mapping, "{group: branch, where", "{group: brunch, where", 1), m)
	_, err := Run(t.Context(), Input{Legacy: m, Mapping: loaded, Profile: testProfile(), Namespace: testNamespace, TempDir: t.TempDir()}, &collector{})
	var me *MappingError
	if !errors.As(err, &me) || !strings.Contains(err.Error(), "organizations[0].instantiate[0].group: there is no template group \"brunch\", neither written out nor in the legacy tables\n  hint: did you mean `branch`?") || me.Problems[0].Line < 10 {
		t.Errorf("got %v", err)
	}
}

// Property templates check what templates of departments make, and what a
// legacy department is given does not break the template it satisfied.
func TestPropertyTemplatesOfTemplatesDepartments(t *testing.T) {
	m := branches()
	m.add("units", "U1", cells{"dn": "ou=front", "ou": "Front Office", "org": "o=two"})
	mapping := replaceOnce(t, branchMapping, "template_groups:", "templates:\n  strict: {file: strict.json, applies_to: department}\n  loose: {file: loose.json, applies_to: department}\ntemplate_groups:")
	mapping = replaceOnce(t, mapping, "{group: branch, where", "{group: branch, template: loose, where")
	mapping = replaceOnce(t, mapping, "    from: units\n", "    from: units\n    template: strict\n")
	files := map[string]string{"mapping.yaml": mapping, "strict.json": `{"properties": {"costCenter": true}, "additionalProperties": false}`,
		"loose.json": `{"properties": {"costCenter": {"type": "integer", "maximum": 100}}}`}
	loaded, err := loadFiles(files, m)
	if err != nil {
		t.Fatal(err)
	}
	out, report := runMapping(t, m, loaded, nil)
	if diff := cmp.Diff(map[string][]string{"costCenter": {"own"}}, out.value(t, schemas.Departments, "U1", "attributes")); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if got := out.value(t, schemas.Departments, "U1", "realm_roles"); !slices.Equal(got.([]string), []string{"employee"}) {
		t.Errorf("roles %v", got)
	}
	if !slices.Contains(report.LeftOut, LeftOut{schemas.DepartmentTemplates, "attributes.tags", "the property template of the legacy department does not take it", 1, 2}) {
		t.Errorf("left out: %+v", report.LeftOut)
	}
	files["loose.json"] = strings.Replace(files["loose.json"], "100", "99", 1)
	if loaded, err = loadFiles(files, m); err != nil {
		t.Fatal(err)
	}
	out, _ = runMapping(t, m, loaded, nil)
	if got := out.rules(schemas.Departments, "O1#branch/office"); !slices.Equal(got, []string{RuleTemplate}) {
		t.Errorf("a department that breaks the property template: %v", got)
	}
	if diff := cmp.Diff([]string{"employee"}, out.value(t, schemas.Departments, "U1", "realm_roles")); diff == "" {
		t.Error("a legacy department takes from a row that is rejected")
	}
}

// Renaming a template's department renames it: the row stays the same.
func TestTemplateRenamed(t *testing.T) {
	m := branches()
	before, _ := runMapping(t, m, loadText(t, branchMapping, m), nil)
	after, _ := runMapping(t, m, loadText(t, strings.Replace(branchMapping, "name: Front Office", "name: Reception", 1), m), nil)
	if diff := cmp.Diff(keysOf(before, schemas.Departments), keysOf(after, schemas.Departments)); diff != "" {
		t.Errorf("keys (-before +after):\n%s", diff)
	}
	if got := after.value(t, schemas.Departments, "O1#branch/desk", "path"); got != "/Reception/Service Desk" {
		t.Errorf("path %v", got)
	}
}

func TestLoadMappingRefusesDepartmentTemplates(t *testing.T) {
	const users = "users: [{rule: p, from: people, columns: {username: row.uid, enabled: 'true'}}]\n"
	group := func(templates string) string {
		return "version: 1\n" + users + "template_groups:\n  branch:\n" + templates
	}
	orgs := func(rest string) string {
		return group("    office: {}\n") + "organizations:\n  - rule: o\n    from: orgs\n    columns: {alias: row.o, name: row.title}\n" + rest
	}
	person := func(department string) string {
		return "version: 1\nlookups:\n  orgs: {table: orgs, by: row.dn}\n  units: {table: units, by: row.dn}\nusers:\n  - rule: p\n    from: people\n    columns: {username: row.uid, enabled: 'true'}\n    memberships:\n      - rule: m\n" + department
	}
	for _, tt := range []struct{ name, text, want string }{
		{"unknown parent", group("    office: {}\n    desk: {parent: ofice}\n"),
			"mapping.yaml:6:20: template_groups.branch.desk.parent: template group \"branch\" has no template \"ofice\"\n  hint: did you mean `office`?"},
		{"cycle", group("    a: {parent: b}\n    b: {parent: c}\n    c: {parent: a}\n    d: {parent: a}\n"),
			"mapping.yaml:5:17: template_groups.branch.a.parent: the parents of template \"a\" lead back to itself: a below b below c below a\n  hint: correct one parent"},
		{"its own parent", group("    a: {parent: a}\n"), "mapping.yaml:5:17: template_groups.branch.a.parent: the parents of template \"a\" lead back to itself: a below a"},
		{"one path twice", group("    a: {}\n    b: {parent: a, name: X}\n    c: {name: X}\n    d: {name: X, parent: a}\n"),
			"mapping.yaml:8:5: template_groups.branch.d: templates \"b\" and \"d\" of group \"branch\" have the same path, ending in \"X\"\n  hint: give one of them another name or parent"},
		{"one template twice", group("    a: {}\n    a: {}\n"), "mapping.yaml:6:5: not valid YAML: mapping key \"a\" already defined"},
		{"a name with a slash", group("    a: {name: R/D}\n"), "mapping.yaml:5:15: template_groups.branch.a.name: the target takes no department name \"R/D\""},
		{"an unknown key", group("    a: {realm_role: x}\n"), "mapping.yaml:5:9: template_groups.branch.a: property \"realm_role\" is not allowed\n  hint: did you mean `realm_roles`?"},
		{"nothing in a template", group("    a:\n"), "template_groups.branch.a: does not satisfy type \"object\""},
		{"nothing in a group", "version: 1\n" + users + "template_groups: {branch: {}}\n", "template_groups.branch: does not satisfy minProperties 1"},
		{"a role that is a map", group("    a: {realm_roles: {x: y}}\n"), "template_groups.branch.a.realm_roles: does not satisfy type"},
		{"unknown group", orgs("    instantiate: [{group: brunch}]\n"),
			"mapping.yaml:10:27: organizations[0].instantiate[0].group: there is no template group \"brunch\"\n  hint: did you mean `branch`?"},
		{"no group at all", strings.Replace(orgs("    instantiate: [{group: branch}]\n"), "template_groups:\n  branch:\n    office: {}\n", "", 1),
			"there is no template group \"branch\"\n  hint: write the group under template_groups, or take it from a legacy table with department_templates"},
		{"no condition", orgs("    instantiate: [{group: branch, where: row.o}]\n"), "mapping.yaml:10:42: organizations[0].instantiate[0].where: the expression yields string, this place takes true or false (bool)"},
		{"unknown property template", orgs("    instantiate: [{group: branch, template: x}]\n"), "organizations[0].instantiate[0].template: there is no template \"x\" that applies to a department"},
		{"path and lookup", person("        organization: {lookup: orgs, value: row.org}\n        department: {lookup: units, path: row.org}\n"),
			"mapping.yaml:12:30: users[0].memberships[0].department.lookup: a department is found by a lookup or by its path, not by both"},
		{"path without organization", person("        department: {path: row.org}\n"),
			"users[0].memberships[0].department: a path says which department only together with the organization\n  hint: write `organization` beside it"},
		{"neither path nor value", person("        department: {lookup: units}\n"), "users[0].memberships[0].department: property \"value\" is missing\n  hint: give it a lookup and a value, or a path"},
		{"a path that is no text", person("        organization: {lookup: orgs, value: row.org}\n        department: {path: row.unit}\n"), "users[0].memberships[0].department.path: the expression yields list(string), this place takes text"},
		{"a rule without a group", "version: 1\n" + users + "department_templates: [{rule: t, from: units, columns: {name: row.ou}}]\n", "department_templates[0].columns: property \"template_group\" is missing"},
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
		})
	}
}
