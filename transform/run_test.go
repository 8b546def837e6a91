package transform

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
)

const (
	acmeDN  = "o=acme,dc=x"
	salesDN = "ou=sales,o=acme,dc=x"
)

// acme is one organization with a department, a person and a group.
func acme(t testing.TB) *memory {
	m := directory()
	m.add("orgs", "O1", cells{"dn": acmeDN, "o": "acme", "title": "Acme", "domains": []string{"acme.example"}})
	m.add("units", "U1", cells{"dn": salesDN, "ou": "sales", "org": acmeDN})
	person(m, "P1", "anna", nil)
	m.add("groups", "G1", cells{"dn": "cn=g1,dc=x", "cn": "g1", "member": []string{"UID=anna, dc=x"}})
	return m
}

// person adds a sound person; change overrides cells.
func person(m *memory, key, uid string, change cells) {
	c := cells{"dn": "uid=" + uid + ",dc=x", "uid": uid, "mail": []string{uid + "@acme.example"}, "givenName": "A", "sn": "B", "number": "7",
		"org": acmeDN, "unit": []string{salesDN}, "status": "active"}
	for k, v := range change {
		c[k] = v
	}
	m.add("people", key, c)
}

func TestRunMapsADirectory(t *testing.T) {
	m := acme(t)
	m.rows["people"] = nil
	person(m, "P1", "Anna", cells{"mail": []string{"Anna@Acme.example", "a@x.example"}, "photo": []byte{0xff, 0x01},
		"userPassword": sealed(t, "people", "P1", "userPassword", "{SSHA}AAAA", "opensesame"), "changed": int64(1700000000000000)})
	m.add("units", "U2", cells{"dn": "ou=emea,ou=sales,o=acme,dc=x", "ou": "EMEA", "above": "OU=Sales,O=acme, dc=x"})
	out, report := runMapping(t, m, loadText(t, directoryMapping, m), nil)

	org, sales, anna := entityID(schemas.Organizations, "O1"), entityID(schemas.Departments, "U1"), entityID(schemas.Users, "P1")
	want := map[string][]any{
		"organizations O1": {"acme", "Acme", nil, []string{"acme.example"}, true, nil, nil, nil},
		"departments U2":   {org, sales, "EMEA", "/sales/EMEA", nil, nil, nil, nil, nil},
		"users P1": {"anna", "anna@acme.example", nil, "A", "B", true, nil, nil, nil, nil,
			map[string][]string{"number": {"7"}, "photo": {"/wE="}}, nil, []string{entityID(schemas.Groups, "G1")}, nil},
		"groups G1":            {nil, "g1", "/g1", nil},
		"memberships P1/O1/U1": {anna, org, sales, nil, nil, true},
	}
	for name, values := range want {
		table, key, _ := strings.Cut(name, " ")
		if diff := cmp.Diff(values, out.byKey(table)[key].Values); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := report.Source("people"); got.Read != 1 || got.Mapped != 1 {
		t.Errorf("people: %+v", got)
	}
	if err := report.Check(); err != nil {
		t.Error(err)
	}
}

func entityID(entity, key string) string {
	return schemas.NewRowID(testNamespace, entity, key).String()
}

// Each check rejects what it names, by its stable name, and leaves the sound
// rows alone.
func TestChecks(t *testing.T) {
	for _, tt := range []struct {
		name   string
		make   func(t testing.TB, m *memory)
		entity string
		want   map[string][]string // rules by key
	}{
		{"duplicate username differs by case", func(_ testing.TB, m *memory) {
			person(m, "P2", "kim", nil)
			person(m, "P3", "KIM", cells{"mail": nil})
		}, schemas.Users, map[string][]string{"P2": {RuleDuplicateUsername}, "P3": {RuleDuplicateUsername}}},
		{"three with one e-mail address", func(_ testing.TB, m *memory) {
			for _, k := range []string{"P2", "P3", "P4"} {
				person(m, k, "user"+k, cells{"mail": []string{"Same@acme.example"}})
			}
		}, schemas.Users, map[string][]string{"P2": {RuleDuplicateEmail}, "P3": {RuleDuplicateEmail}, "P4": {RuleDuplicateEmail}}},
		{"username is the e-mail address of another", func(_ testing.TB, m *memory) {
			person(m, "P2", "kim@acme.example", cells{"mail": []string{"k@acme.example"}})
			person(m, "P3", "joe", cells{"mail": []string{"kim@acme.example"}})
		}, schemas.Users, map[string][]string{"P2": {RuleUsernameIsEmail}, "P3": {RuleUsernameIsEmail}}},
		{"username is the own e-mail address", func(_ testing.TB, m *memory) {
			person(m, "P2", "kim@acme.example", cells{"mail": []string{"kim@acme.example"}})
		}, schemas.Users, map[string][]string{"P2": nil}},
		{"a leaver's login is used again", func(_ testing.TB, m *memory) {
			person(m, "P2", "kim", cells{"status": "left"})
			person(m, "P3", "kim", nil)
		}, schemas.Users, map[string][]string{"P2": {"leavers"}, "P3": nil}},
		{"empty username", func(_ testing.TB, m *memory) { person(m, "P2", "", cells{"uid": nil, "mail": nil}) },
			schemas.Users, map[string][]string{"P2": {RuleRequired}}},
		{"not an e-mail address", func(_ testing.TB, m *memory) { person(m, "P2", "kim", cells{"mail": []string{"not-an-email"}}) },
			schemas.Users, map[string][]string{"P2": {RuleEmail}}},
		{"NUL in a name", func(_ testing.TB, m *memory) { person(m, "P2", "kim", cells{"sn": "B\x00"}) },
			schemas.Users, map[string][]string{"P2": {RuleControl}}},
		{"newline in a username", func(_ testing.TB, m *memory) { person(m, "P2", "kim\nx", cells{"mail": nil}) },
			schemas.Users, map[string][]string{"P2": {RuleControl}}},
		{"long username", func(_ testing.TB, m *memory) { person(m, "P2", strings.Repeat("x", 256), cells{"mail": nil}) },
			schemas.Users, map[string][]string{"P2": {RuleTooLong}}},
		{"long last name", func(_ testing.TB, m *memory) { person(m, "P2", "kim", cells{"sn": strings.Repeat("ü", 256)}) },
			schemas.Users, map[string][]string{"P2": {RuleTooLong}}},
		{"blank around a username", func(_ testing.TB, m *memory) { person(m, "P2", " kim", cells{"mail": nil}) },
			schemas.Users, map[string][]string{"P2": {RuleUsername}}},
		{"missing surname stands", func(_ testing.TB, m *memory) { person(m, "P2", "kim", cells{"sn": nil}) },
			schemas.Users, map[string][]string{"P2": nil}},
		{"two reasons at once", func(_ testing.TB, m *memory) { person(m, "P2", "", cells{"mail": []string{"x"}, "uid": nil}) },
			schemas.Users, map[string][]string{"P2": {RuleRequired, RuleEmail}}},

		{"unknown parent", func(_ testing.TB, m *memory) {
			m.add("units", "U2", cells{"dn": "ou=x,dc=x", "ou": "x", "org": acmeDN, "above": "ou=gone,dc=x"})
			m.add("units", "U3", cells{"dn": "ou=y,ou=x,dc=x", "ou": "y", "org": acmeDN, "above": "ou=x,dc=x"})
		}, schemas.Departments, map[string][]string{"U2": {RuleUnknownParent}, "U3": {RuleParentRejected}, "U1": nil}},
		{"a cycle and what hangs on it", func(_ testing.TB, m *memory) {
			for i, above := range map[string]string{"a": "b", "b": "c", "c": "a", "d": "a"} {
				m.add("units", "U"+i, cells{"dn": "ou=" + i, "ou": i, "org": acmeDN, "above": "ou=" + above})
			}
		}, schemas.Departments, map[string][]string{"Ua": {RuleDepartmentCycle}, "Ub": {RuleDepartmentCycle}, "Uc": {RuleDepartmentCycle}, "Ud": {RuleParentRejected}}},
		{"its own parent", func(_ testing.TB, m *memory) {
			m.add("units", "U2", cells{"dn": "ou=x", "ou": "x", "org": acmeDN, "above": "ou=x"})
		}, schemas.Departments, map[string][]string{"U2": {RuleDepartmentCycle}}},
		{"unknown organization", func(_ testing.TB, m *memory) {
			m.add("units", "U2", cells{"dn": "ou=x", "ou": "x", "org": "o=gone"})
			m.add("units", "U3", cells{"dn": "ou=y", "ou": "y"})
		}, schemas.Departments, map[string][]string{"U2": {RuleMissingOrganization}, "U3": {RuleMissingOrganization}}},
		{"department of another organization than its parent", func(_ testing.TB, m *memory) {
			m.add("orgs", "O2", cells{"dn": "o=other", "o": "other", "title": "Other"})
			m.add("units", "U2", cells{"dn": "ou=x", "ou": "x", "org": "o=other", "above": salesDN})
		}, schemas.Departments, map[string][]string{"U2": {RuleOtherOrganization}}},
		{"two siblings of one name", func(_ testing.TB, m *memory) {
			m.add("units", "U2", cells{"dn": "ou=x1", "ou": "x", "org": acmeDN})
			m.add("units", "U3", cells{"dn": "ou=x2", "ou": "x", "org": acmeDN})
			m.add("units", "U4", cells{"dn": "ou=x3", "ou": "x", "above": salesDN})
		}, schemas.Departments, map[string][]string{"U2": {RuleSiblingName}, "U3": {RuleSiblingName}, "U4": nil}},
		{"slash in a department name", func(_ testing.TB, m *memory) {
			m.add("units", "U2", cells{"dn": "ou=x", "ou": "R/D", "org": acmeDN})
		}, schemas.Departments, map[string][]string{"U2": {RuleSlash}}},
		{"two units answer to one DN", func(_ testing.TB, m *memory) {
			m.add("units", "U2", cells{"dn": "ou=x", "ou": "x", "org": acmeDN})
			m.add("units", "U3", cells{"dn": "OU=X", "ou": "x2", "org": acmeDN})
			m.add("units", "U4", cells{"dn": "ou=y", "ou": "y", "org": acmeDN, "above": "ou=x"})
		}, schemas.Departments, map[string][]string{"U4": {RuleAmbiguous}, "U2": nil}},
		{"organizations that share what is unique", func(_ testing.TB, m *memory) {
			m.add("orgs", "O2", cells{"dn": "o=o2", "o": "twin", "title": "T2", "domains": []string{"two.example"}})
			m.add("orgs", "O3", cells{"dn": "o=o3", "o": "twin", "title": "T3", "domains": []string{"TWO.example"}})
			m.add("orgs", "O4", cells{"dn": "o=o4", "o": "o4", "title": "T4"})
			m.add("orgs", "O5", cells{"dn": "o=o5", "o": "o5", "title": "T4"})
			m.add("orgs", "O6", cells{"dn": "o=o6", "o": "with space", "title": "T6"})
		}, schemas.Organizations, map[string][]string{"O2": {RuleDuplicateAlias, RuleDuplicateDomain}, "O3": {RuleDuplicateAlias, RuleDuplicateDomain},
			"O4": {RuleDuplicateName}, "O5": {RuleDuplicateName}, "O6": {RuleAlias}, "O1": nil}},

		{"missing department", func(_ testing.TB, m *memory) { person(m, "P2", "kim", cells{"unit": []string{"ou=gone,dc=x"}}) },
			schemas.Memberships, map[string][]string{"P2/O1/ou=gone,dc=x": {RuleMissingDepartment}, "P1/O1/U1": nil}},
		{"rejected department", func(_ testing.TB, m *memory) {
			m.add("units", "U2", cells{"dn": "ou=x", "ou": "x", "org": acmeDN, "above": "ou=gone"})
			person(m, "P2", "kim", cells{"unit": []string{"ou=x"}})
		}, schemas.Memberships, map[string][]string{"P2/O1/U2": {RuleMissingDepartment}}},
		{"missing organization", func(_ testing.TB, m *memory) { person(m, "P2", "kim", cells{"unit": nil, "org": "o=gone"}) },
			schemas.Memberships, map[string][]string{"P2/o=gone": {RuleMissingOrganization}}},
		{"membership of a rejected user", func(_ testing.TB, m *memory) { person(m, "P2", "kim", cells{"mail": []string{"x"}}) },
			schemas.Memberships, map[string][]string{"P2/O1/U1": {RuleUserRejected}}},
		{"membership of an excluded user", func(_ testing.TB, m *memory) { person(m, "P2", "kim", cells{"status": "left"}) },
			schemas.Memberships, map[string][]string{"P2/O1/U1": {RuleUserExcluded}}},

		{"bcrypt", func(t testing.TB, m *memory) {
			person(m, "P2", "kim", cells{"userPassword": sealed(t, "people", "P2", "userPassword", "{CRYPT}$2b$04$abcdefghijklmnopqrstuuKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK")})
		}, schemas.Credentials, map[string][]string{"P2/password": {RuleHash}}},
		{"unknown scheme", func(t testing.TB, m *memory) {
			person(m, "P2", "kim", cells{"userPassword": sealed(t, "people", "P2", "userPassword", "{FOO}bar")})
		}, schemas.Credentials, map[string][]string{"P2/password": {RulePassword}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := acme(t)
			tt.make(t, m)
			out, report := runMapping(t, m, loadText(t, directoryMapping, m), nil)
			for key, want := range tt.want {
				if got := out.rules(tt.entity, key); !slices.Equal(got, want) {
					t.Errorf("%s %s: rules %v, want %v", tt.entity, key, got, want)
				}
				if _, written := out.byKey(tt.entity)[key]; written != (want == nil) {
					t.Errorf("%s %s: written: %v", tt.entity, key, written)
				}
			}
			if _, ok := out.byKey(schemas.Users)["P1"]; !ok {
				t.Error("the sound user is gone")
			}
			for rule, n := range countRules(tt.want) {
				if got := report.Rule(tt.entity, rule); got != n {
					t.Errorf("report counts %d for %s, want %d", got, rule, n)
				}
			}
		})
	}
}

func countRules(want map[string][]string) map[string]int64 {
	n := map[string]int64{}
	for _, rules := range want {
		for _, r := range rules {
			n[r]++
		}
	}
	return n
}

// Groups that hold groups: members of the inner are in the outer too, cycles
// and all, and the outer stands on the inner's row.
func TestNestedGroups(t *testing.T) {
	m := acme(t)
	person(m, "P2", "ben", cells{"memberOf": []string{"cn=g4, dc=x"}})
	m.add("groups", "G2", cells{"dn": "cn=g2,dc=x", "cn": "g2", "member": []string{"CN=G1,dc=x", "uid=gone,dc=x"}})
	m.add("groups", "G3", cells{"dn": "cn=g3,dc=x", "cn": "g3", "member": []string{"cn=g2,dc=x", "cn=g4,dc=x"}})
	m.add("groups", "G4", cells{"dn": "cn=g4,dc=x", "cn": "g4", "member": []string{"cn=g3,dc=x"}})
	m.add("groups", "G5", cells{"dn": "cn=g5,dc=x", "cn": "g/5", "member": []string{"uid=anna,dc=x", "cn=g1,dc=x"}})
	out, report := runMapping(t, m, loadText(t, directoryMapping, m), nil)
	ids := func(keys ...string) []string {
		var l []string
		for _, k := range keys {
			l = append(l, entityID(schemas.Groups, k))
		}
		slices.Sort(l)
		return l
	}
	if diff := cmp.Diff(ids("G1", "G2", "G3", "G4"), out.value(t, schemas.Users, "P1", "groups")); diff != "" {
		t.Errorf("groups of P1 (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(ids("G3", "G4"), out.value(t, schemas.Users, "P2", "groups")); diff != "" {
		t.Errorf("groups of P2 (-want +got):\n%s", diff)
	}
	want := map[string][]string{"legacyMemberOf": {"G3"}}
	if diff := cmp.Diff(want, out.value(t, schemas.Groups, "G2", "attributes")); diff != "" {
		t.Errorf("attributes of G2 (-want +got):\n%s", diff)
	}
	if got := out.rules(schemas.Groups, "G5"); !slices.Equal(got, []string{RuleSlash}) {
		t.Errorf("G5: %v", got)
	}
	if !slices.ContainsFunc(report.LeftOut, func(l LeftOut) bool {
		return l.From == schemas.Groups && l.Field == "members" && l.Why == "there is no such row" && l.Values == 1
	}) {
		t.Errorf("the dangling member is not counted: %+v", report.LeftOut)
	}
}

// Two source rows with one key are both rejected, and both are counted.
func TestOneKeyTwice(t *testing.T) {
	m := acme(t)
	person(m, "P2", "kim", cells{"number": "P9"})
	person(m, "P3", "joe", cells{"number": "P9"})
	person(m, "P4", "jim", cells{"number": "P9", "status": "left"})
	text := strings.Replace(directoryMapping, "    groups: {lookup: groups", "    key: row.number\n    groups: {lookup: groups", 1)
	out, report := runMapping(t, m, loadText(t, text, m), nil)
	if n := report.Rule(schemas.Users, RuleDuplicateKey); n != 2 {
		t.Errorf("%d rows rejected, want 2", n)
	}
	e := report.Entity(schemas.Users)
	if e.Candidates != 4 || e.Yielded != 1 || e.Rejected != 2 || e.Excluded != 1 {
		t.Errorf("counts: %+v", e)
	}
	if n := len(out.rows[schemas.RejectedTable(schemas.Users)]); n != 3 {
		t.Errorf("%d rows in the rejected table, want 3", n)
	}
	if _, ok := out.rows[schemas.RejectedTable(schemas.Users)][schemas.NewRowID(testNamespace, schemas.Users, "P9")]; !ok {
		t.Error("no rejected row has the row id that the target's row would have")
	}
}

func TestMergeRule(t *testing.T) {
	m := acme(t)
	m.rows["people"] = nil
	person(m, "P1", "anna", cells{"number": "7", "changed": int64(1_000_000), "sn": nil, "unit": nil, "org": nil})
	person(m, "P2", "anna.w", cells{"number": "7", "changed": int64(2_000_000), "givenName": "Anna", "sn": nil,
		"userPassword": sealed(t, "people", "P2", "userPassword", "secret1")})
	person(m, "P3", "a.weber", cells{"number": "7", "sn": "Weber", "userPassword": sealed(t, "people", "P3", "userPassword", "secret2")})
	person(m, "P4", "ben", cells{"number": "8"})
	person(m, "P5", "cem", cells{"number": ""})
	person(m, "P6", "dan", cells{"number": ""})
	text := strings.Replace(directoryMapping, "    groups: {lookup: groups",
		"    merge: {by: row.number, prefer: 'has(row.changed) ? row.changed : timestamp(\"1970-01-01T00:00:00Z\")'}\n    groups: {lookup: groups", 1)
	out, report := runMapping(t, m, loadText(t, text, m), nil)
	e := report.Entity(schemas.Users)
	if e.Candidates != 6 || e.Yielded != 4 || e.Merged != 2 {
		t.Fatalf("counts: %+v", e)
	}
	if s := report.Source("people"); s.Merged != 2 || s.Mapped != 4 {
		t.Errorf("source: %+v", s)
	}
	if got := out.value(t, schemas.Users, "P2", "last_name"); got != "Weber" {
		t.Errorf("last name %v: what the leading row lacks comes from the others", got)
	}
	if got := out.value(t, schemas.Users, "P2", "username"); got != "anna.w" {
		t.Errorf("username %v: the preferred row leads", got)
	}
	// The group names the DN of a row that was merged away.
	if got := out.value(t, schemas.Users, "P2", "groups"); len(got.([]string)) != 1 {
		t.Errorf("groups %v", got)
	}
	if n := len(out.rows[schemas.Credentials]); n != 1 {
		t.Errorf("%d credentials, want 1", n)
	}
	if c := report.Entity(schemas.Credentials); c.Merged != 1 {
		t.Errorf("credentials: %+v", c)
	}
}
