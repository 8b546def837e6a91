package transform

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
)

func TestRestPassesOnWhatNobodyReads(t *testing.T) {
	m := acme(t)
	m.rows["people"] = nil
	person(m, "P1", "anna", cells{"photo": []byte{0xff}, "changed": int64(1_700_000_000_000_000), "mail": []string{"a@acme.example", "b@acme.example"},
		"other":        map[string][][]byte{"room": {[]byte("1.23"), []byte("4")}, "cert": {{0xff, 0xfe}}, "taken": {[]byte("x")}, "skip": {[]byte("y")}},
		"other_sealed": map[string][]schemas.Sealed{"pin": sealed(t, "people", "P1", `other_sealed["pin"]`, "1234")}})
	text := `
version: 1
users:
  - rule: people
    from: people
    columns: {username: row.uid, enabled: 'true', email: first(row.mail)}
    attributes: {known: 'first(text(row.other["taken"]))'}
    rest: {except: [skip, dn], prefix: legacy_}
`
	out, report := runMapping(t, m, loadText(t, text, m), nil)
	want := map[string][]string{"known": {"x"}, "legacy_givenName": {"A"}, "legacy_sn": {"B"}, "legacy_status": {"active"}, "legacy_number": {"7"},
		"legacy_unit": {salesDN}, "legacy_org": {acmeDN}, "legacy_photo": {"/w=="}, "legacy_changed": {"2023-11-14T22:13:20Z"},
		"legacy_room": {"1.23", "4"}, "legacy_cert": {"//4="}}
	if diff := cmp.Diff(want, out.value(t, schemas.Users, "P1", "attributes")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var left []LeftOut
	for _, l := range report.LeftOut {
		if l.From == "people" {
			left = append(left, l)
		}
	}
	wantLeft := []LeftOut{
		{"people", "dn", "no rule reads it", 1, 1},
		{"people", "mail", "rules take the first value only", 1, 1},
		{"people", "pin", "no rule reads it: looks like a secret", 1, 1},
		{"people", "skip", "no rule reads it", 1, 1},
	}
	if diff := cmp.Diff(wantLeft, left); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	for _, f := range []FieldCount{{schemas.Users, "attributes.legacy_cert", 0, 0, 1}, {schemas.Users, "attributes.legacy_room", 1, 0, 0}, {schemas.Users, "email", 1, 0, 0}} {
		if !slices.Contains(report.Fields, f) {
			t.Errorf("fields lack %+v: %+v", f, report.Fields)
		}
	}
}

const assignmentsMapping = directoryMapping + `
memberships:
  - rule: assignments
    from: assignments
    user: {lookup: people, value: row.person}
    organization: {lookup: orgs, value: row.org}
    where: row.kind == "member"
    columns: {roles: row.roles}
    attributes: {since: row.since}
credentials:
  - rule: passwords
    from: assignments
    where: row.kind == "password"
    user: {lookup: people, value: row.person}
    password: row.secret
`

// Memberships and credentials may stand in a table of their own.
func TestRowsThatNameTheirUser(t *testing.T) {
	m := acme(t)
	table := legacyTable("assignments", "person:string", "org:string", "kind:string", "roles:list<string>", "since:timestamp", "secret:list<secret>")
	m.names, m.tables["assignments"] = append(m.names, "assignments"), &table
	person(m, "P2", "kim", cells{"unit": nil, "org": nil})
	person(m, "P3", "lee", cells{"status": "left"})
	add := func(key string, c cells) { m.add("assignments", key, c) }
	add("A1", cells{"person": "UID=kim, dc=x", "org": acmeDN, "kind": "member", "roles": []string{"b"}, "since": int64(0)})
	add("A2", cells{"person": "uid=kim,dc=x", "org": acmeDN, "kind": "member", "roles": []string{"a"}})
	add("A3", cells{"person": "uid=gone,dc=x", "org": acmeDN, "kind": "member"})
	add("A4", cells{"person": "uid=lee,dc=x", "org": acmeDN, "kind": "member"})
	add("A5", cells{"person": "uid=kim,dc=x", "kind": "password", "secret": sealed(t, "assignments", "A5", "secret", "open sesame")})
	add("A6", cells{"person": "uid=kim,dc=x", "kind": "neither"})
	out, report := runMapping(t, m, loadText(t, assignmentsMapping, m), nil)
	if diff := cmp.Diff([]string{"a", "b"}, out.value(t, schemas.Memberships, "P2/O1", "roles")); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string][]string{"since": {"1970-01-01T00:00:00Z"}}, out.value(t, schemas.Memberships, "P2/O1", "attributes")); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if got := out.rules(schemas.Memberships, "A3"); !slices.Equal(got, []string{RuleUnknownUser}) {
		t.Errorf("A3: %v", got)
	}
	if got := out.rules(schemas.Memberships, "P3/O1"); !slices.Equal(got, []string{RuleUserExcluded}) {
		t.Errorf("A4: %v", got)
	}
	if m := openCredential(t, out, "P2/password"); len(m.Hash) != 32 {
		t.Error("no password")
	}
	want := SourceCount{Table: "assignments", Read: 6, Mapped: 2, Merged: 1, Excluded: 2, Rejected: 1,
		ExcludedBy: map[string]int64{RuleUserExcluded: 1, RuleNone: 1}}
	if diff := cmp.Diff(want, report.Source("assignments")); diff != "" {
		t.Errorf("source (-want +got):\n%s", diff)
	}
}

func TestPropertyTemplates(t *testing.T) {
	m := acme(t)
	mapping := replaceOnce(t, replaceOnce(t, directoryMapping, "lookups:", "templates: {person: {file: person.json, applies_to: user}}\nlookups:"),
		"    groups: {lookup: groups", "    template: person\n    groups: {lookup: groups")
	schema := `{"type": "object", "required": ["number"], "properties": {"number": {"type": "integer", "maximum": 99}, "photo": {"type": "string", "maxLength": 8}}}`
	person(m, "P2", "kim", cells{"number": "topsecretnumber", "photo": make([]byte, 30)})
	person(m, "P3", "joe", cells{"number": nil})
	person(m, "P4", "lou", cells{"number": "100"})
	person(m, "P5", "max", cells{"number": "99"})
	loaded, err := loadFiles(map[string]string{"mapping.yaml": mapping, "person.json": schema}, m)
	if err != nil {
		t.Fatal(err)
	}
	out, report := runMapping(t, m, loaded, nil)
	row := out.byKey(schemas.RejectedTable(schemas.Users))["P2"]
	want := []any{"rejected", []string{RuleTemplate, RuleTemplate}, []string{"attributes.number", "attributes.photo"},
		[]string{`template person: does not satisfy type "integer"`, `template person: does not satisfy maxLength 8`}, "people"}
	if diff := cmp.Diff(want, row.Values); diff != "" {
		t.Errorf("all failing properties are listed, without values (-want +got):\n%s", diff)
	}
	for _, key := range []string{"P3", "P4"} {
		if got := out.rules(schemas.Users, key); !slices.Equal(got, []string{RuleTemplate}) {
			t.Errorf("%s: %v", key, got)
		}
	}
	if out.rules(schemas.Users, "P5") != nil {
		t.Error("a row that satisfies the template is rejected")
	}
	if got := out.value(t, schemas.PropertyTemplates, "person", "schema"); got != schema {
		t.Errorf("schema row: %v", got)
	}
	if n := report.Rule(schemas.Users, RuleTemplate); n != 3 {
		t.Errorf("%d rows counted", n)
	}
}

// Organizations and departments are held against templates as users are, and
// what hangs on a rejected one falls with it.
func TestPropertyTemplatesOfOrganizationsAndDepartments(t *testing.T) {
	m := acme(t)
	m.add("orgs", "O2", cells{"dn": "o=beta,dc=x", "o": "beta", "title": "topsecret title"})
	m.add("units", "U2", cells{"dn": "ou=lab,dc=x", "ou": "LAB9", "org": acmeDN})
	m.add("units", "U3", cells{"dn": "ou=desk,dc=x", "ou": "desk", "above": "ou=lab,dc=x"})
	m.add("units", "U4", cells{"dn": "ou=b,dc=x", "ou": "beta", "org": "o=beta,dc=x"})
	person(m, "P2", "kim", cells{"org": "o=beta,dc=x", "unit": nil})
	person(m, "P3", "joe", cells{"unit": []string{"ou=desk,dc=x"}})
	mapping := replaceOnce(t, directoryMapping, "lookups:", "templates:\n  firm: {file: firm.json, applies_to: organization}\n  unit: {file: unit.json, applies_to: department}\nlookups:")
	mapping = replaceOnce(t, mapping, "    from: orgs\n", "    from: orgs\n    template: firm\n    attributes: {title: row.title}\n")
	mapping = replaceOnce(t, mapping, "    from: units\n", "    from: units\n    template: unit\n    attributes: {code: row.ou}\n")
	loaded, err := loadFiles(map[string]string{"mapping.yaml": mapping, "firm.json": `{"properties": {"title": {"type": "string", "maxLength": 9}}}`,
		"unit.json": `{"properties": {"code": {"type": "string", "pattern": "^[a-z]+$"}}}`}, m)
	if err != nil {
		t.Fatal(err)
	}
	out, report := runMapping(t, m, loaded, nil)
	want := map[string][]any{
		"organizations O2": {"rejected", []string{RuleTemplate}, []string{"properties.title"}, []string{"template firm: does not satisfy maxLength 9"}, "orgs"},
		"departments U2":   {"rejected", []string{RuleTemplate}, []string{"attributes.code"}, []string{`template unit: does not satisfy pattern "^[a-z]+$"`}, "units"},
	}
	for name, values := range want {
		table, key, _ := strings.Cut(name, " ")
		if diff := cmp.Diff(values, out.byKey(schemas.RejectedTable(table))[key].Values); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, want := range map[string]string{"departments U3": RuleParentRejected, "departments U4": RuleMissingOrganization,
		"memberships P2/O2": RuleMissingOrganization, "memberships P3/O1/U3": RuleMissingDepartment} {
		table, key, _ := strings.Cut(name, " ")
		if got := out.rules(table, key); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
	if got := out.value(t, schemas.Organizations, "O1", "property_template"); got != "firm" {
		t.Errorf("the organization's template: %v", got)
	}
	for name, applies := range map[string]string{"firm": "organization", "unit": "department"} {
		if got := out.value(t, schemas.PropertyTemplates, name, "applies_to"); got != applies {
			t.Errorf("template %s applies to %v", name, got)
		}
	}
	if n := report.Entity(schemas.PropertyTemplates); n.Yielded != 2 {
		t.Errorf("property templates: %+v", n)
	}
}

func TestProfileChecks(t *testing.T) {
	m := acme(t)
	mapping := loadText(t, strings.Replace(directoryMapping, "      number: row.number", "      number: row.number\n      legacyId: 'row.status == \"reserved\" ? key : \"\"'", 1), m)
	person(m, "P2", "kim", cells{"status": "reserved"})
	out, _ := runMapping(t, m, mapping, nil)
	if got := out.rules(schemas.Users, "P2"); !slices.Equal(got, []string{RuleReserved}) {
		t.Errorf("reserved: %v", got)
	}
	out, _ = runMapping(t, m, mapping, func(in *Input) {
		in.Profile.UndeclaredAttributes, in.Profile.DeclaredAttributes = false, []string{"photo"}
	})
	if got := out.rules(schemas.Users, "P1"); !slices.Equal(got, []string{RuleUndeclared}) {
		t.Errorf("undeclared: %v", got)
	}
	// What is longer than the target's attributes is the dialect's to leave out.
	person(m, "P3", "joe", cells{"photo": make([]byte, 5000)})
	out, _ = runMapping(t, m, mapping, func(in *Input) { in.Profile.MaxAttributeValue = 2048 })
	if out.rules(schemas.Users, "P3") != nil {
		t.Error("a long attribute is no reason to reject a person")
	}
	actions := loadText(t, strings.Replace(directoryMapping, "      email: first(row.mail)", "      email: first(row.mail)\n      required_actions: '[row.status]'", 1), m)
	out, _ = runMapping(t, m, actions, nil)
	if got := out.rules(schemas.Users, "P1"); !slices.Equal(got, []string{RuleAction}) {
		t.Errorf("required actions: %v", got)
	}
}

// A source's value that did not fit its column is not an absence.
func TestUnreadableSourceValue(t *testing.T) {
	table := legacyTable("people", "uid:string", "locked:bool", "born:timestamp", "problems:list<string>")
	m := newMemory(table)
	m.add("people", "P1", cells{"uid": "anna", "problems": []string{"locked"}})
	m.add("people", "P2", cells{"uid": "ben", "problems": []string{"born"}})
	out, report := runMapping(t, m, loadText(t, "version: 1\nusers: [{rule: p, from: people, columns: {username: row.uid, enabled: '!row.locked'}}]", m), nil)
	if got := out.rules(schemas.Users, "P1"); !slices.Equal(got, []string{RuleUnreadable}) {
		t.Errorf("P1: %v: whether the person is locked is not known", got)
	}
	if out.rules(schemas.Users, "P2") != nil {
		t.Error("P2: nobody reads what does not fit")
	}
	if len(report.LeftOut) != 0 {
		t.Errorf("left out: %+v", report.LeftOut)
	}
}

// A row that the source could not read is rejected for every rule that may have
// taken it, whatever its conditions; none of its nulls is believed.
func TestUnreadRow(t *testing.T) {
	people := legacyTable("people", "uid:string", "kind:string", "unread:string")
	m := newMemory(people, legacyTable("work", "uid:string", "unread:string"))
	m.add("people", "P1", cells{"uid": "anna", "kind": "user"})
	m.add("people", "p.csv:3", cells{"unread": "p.csv:3: 1 fields", "other_sealed": map[string][]schemas.Sealed{"row": {{}}}})
	m.add("work", "w.csv:2", cells{"unread": "w.csv:2: 1 fields"})
	out, report := runMapping(t, m, loadText(t, `version: 1
lookups: {people: {table: people, by: row.uid, match: exact}}
organizations: [{rule: o, from: people, where: 'row.kind == "organization"', columns: {alias: row.uid, name: row.uid}}]
users: [{rule: p, from: people, where: 'row.kind == "user"', columns: {username: row.uid, enabled: 'true'}}]
memberships: [{rule: w, from: work, user: {lookup: people, value: row.uid}, organization: {lookup: people, value: row.uid}}]`, m), nil)
	for entity, key := range map[string]string{schemas.Users: "p.csv:3", schemas.Organizations: "p.csv:3", schemas.Memberships: "w.csv:2"} {
		if got := out.rules(entity, key); !slices.Equal(got, []string{RuleUnreadRow}) {
			t.Errorf("%s: %v", entity, got)
		}
	}
	if s := report.Source("people"); s.Read != 2 || s.Mapped != 1 || s.Rejected != 1 {
		t.Errorf("people: %+v", s)
	}
	if s := report.Source("work"); s.Read != 1 || s.Rejected != 1 {
		t.Errorf("work: %+v", s)
	}
	for _, l := range report.LeftOut {
		if l.Field == schemas.UnreadColumn || l.Field == "row" {
			t.Errorf("left out: %+v", l)
		}
	}
}

func TestFunctions(t *testing.T) {
	m := directory()
	person(m, "k1", "Anna", cells{"dn": `cn=Weber\, Anna+uid=Anna,ou=People,dc=x`, "number": "19000", "status": "20240131120000.5+0100", "photo": []byte("hi"),
		"other": map[string][][]byte{"b": {{0xff}}, "t": {[]byte("text")}}})
	for _, tt := range []struct{ expr, want string }{
		{`lower(row.uid)`, "anna"}, {`upper(row.uid)`, "ANNA"}, {`trim("  x ")`, "x"}, {`join(lower(row.mail), ";")`, "anna@acme.example"},
		{`first(row.memberOf)`, ""}, {`row.uid.matches("^A") ? "yes" : "no"`, "yes"}, {`base64(row.photo)`, "aGk="}, {`text(row.photo)`, "hi"},
		{`first(text(row.other["t"]))`, "text"}, {`first(base64(row.other["b"]))`, "/w=="}, {`first(text(row.other["b"]))`, "!" + RuleInvalidUTF8},
		{`string(generalizedTime(row.status))`, "2024-01-31T11:00:00.5Z"}, {`string(generalizedTime("nope"))`, "!" + RuleExpression},
		{`string(epochDays(row.number))`, "2022-01-08T00:00:00Z"}, {`string(filetime("133500000000000000"))`, "2024-01-17T21:20:00Z"},
		{`dnParent(row.dn)`, "ou=People,dc=x"}, {`join(dnValues(row.dn, "CN"), "|")`, "Weber, Anna"}, {`dnBelow(row.dn, "OU=people, dc=X") ? "in" : "out"`, "in"},
		{`dnParent("no dn")`, "!" + RuleExpression}, {`row.uid.replace("n", "m")`, "Amma"}, {`key`, "k1"}, {`has(row.sn) ? "has" : "has not"`, "has"},
		{`has(row.changed) ? "has" : "has not"`, "has not"}, {`row.memberOf[0]`, "!" + RuleExpression}, {`first(text(row.other["none"]))`, "!" + RuleExpression},
		{`string(1 / (size(row.memberOf)))`, "!" + RuleExpression}, {`string(int(row.uid))`, "!" + RuleExpression},
	} {
		text := "version: 1\nusers:\n  - rule: p\n    from: people\n    columns:\n      username: key\n      enabled: 'true'\n      first_name: |\n        " + tt.expr + "\n"
		out, _ := runMapping(t, m, loadText(t, text, m), nil)
		if rule, bad := strings.CutPrefix(tt.want, "!"); bad {
			if got := out.rules(schemas.Users, "k1"); !slices.Equal(got, []string{rule}) {
				t.Errorf("%s: rules %v, want %s", tt.expr, got, rule)
			}
			if msg := out.byKey(schemas.RejectedTable(schemas.Users))["k1"].Values[3].([]string)[0]; strings.Contains(msg, "Anna") {
				t.Errorf("%s: the message shows a value: %s", tt.expr, msg)
			}
			continue
		}
		got, _ := out.value(t, schemas.Users, "k1", "first_name").(string)
		if got != tt.want {
			t.Errorf("%s = %q, want %q", tt.expr, got, tt.want)
		}
	}
}

// An expression that would run for ages on some row ends as that row's reject.
func TestCostIsBounded(t *testing.T) {
	m := directory()
	many := make([]string, 3000)
	for i := range many {
		many[i] = "x"
	}
	person(m, "P1", "anna", cells{"memberOf": many})
	person(m, "P2", "ben", nil)
	text := `
version: 1
users:
  - rule: p
    from: people
    columns: {username: row.uid, enabled: 'row.memberOf.all(a, row.memberOf.all(b, row.memberOf.all(c, a == c)))'}
`
	out, _ := runMapping(t, m, loadText(t, text, m), nil)
	if got := out.rules(schemas.Users, "P1"); !slices.Equal(got, []string{RuleExpressionCost}) {
		t.Errorf("P1: %v", got)
	}
	if out.rules(schemas.Users, "P2") != nil {
		t.Error("P2 is rejected")
	}
}

func TestReportShowsRedactedExamples(t *testing.T) {
	m := acme(t)
	for _, k := range []string{"P2", "P3", "P4", "P5"} {
		person(m, k, "user"+k, cells{"mail": []string{"jane.doe_example.com"}})
	}
	_, report := runMapping(t, m, loadText(t, directoryMapping, m), nil)
	for _, r := range report.Rules {
		if r.Rule != RuleEmail {
			continue
		}
		if r.Rows != 4 || len(r.Examples) != 3 || strings.Contains(r.Examples[0].Message, "jane.doe") || !strings.Contains(r.Examples[0].Message, "j***") {
			t.Errorf("%+v", r)
		}
		return
	}
	t.Error("the rule is not counted")
}
