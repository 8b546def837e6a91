package transform

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
)

// dirty is a seeded directory with every kind of trouble, large enough to
// spill under the smallest limit.
func dirty(t testing.TB, people int) *memory {
	rng := rand.New(rand.NewPCG(7, 11))
	m := directory()
	table := legacyTable("assignments", "person:string", "org:string", "kind:string", "roles:list<string>", "since:timestamp", "secret:list<secret>")
	blueprints := legacyTable("blueprints", "name:string", "above:string")
	m.names, m.tables["assignments"], m.tables["blueprints"] = append(m.names, "assignments", "blueprints"), &table, &blueprints
	for i := range 60 {
		m.add("blueprints", fmt.Sprintf("B%d", i), cells{"name": fmt.Sprintf("u%d", rng.IntN(120)),
			"above": map[bool]any{true: fmt.Sprintf("B%d", rng.IntN(70)), false: nil}[rng.IntN(2) > 0]})
	}
	for i := range people {
		m.add("assignments", fmt.Sprintf("A%d", i), cells{"person": fmt.Sprintf("uid=User%d,dc=x", i%(people/5)), "org": fmt.Sprintf("o=org%d", rng.IntN(2)*3+1),
			"kind": "member", "roles": []string{fmt.Sprint("r", i)}, "since": int64(i)})
	}
	for i := range 5 {
		m.add("orgs", fmt.Sprintf("O%d", i), cells{"dn": fmt.Sprintf("o=org%d", i), "o": fmt.Sprintf("org%d", i/2*2), "title": fmt.Sprintf("Org %d", i)})
	}
	for i := range 200 {
		m.add("units", fmt.Sprintf("U%d", i), cells{"dn": fmt.Sprintf("ou=u%d", i), "ou": fmt.Sprintf("u%d", i/2), "org": fmt.Sprintf("o=org%d", rng.IntN(6)),
			"above": map[bool]any{true: fmt.Sprintf("OU=u%d", rng.IntN(210)), false: nil}[rng.IntN(3) > 0]})
	}
	for i := range people {
		key := fmt.Sprintf("P%d", i)
		person(m, key, fmt.Sprintf("User%d", rng.IntN(people*4)), cells{
			"mail":   []string{fmt.Sprintf("m%d@acme.example", rng.IntN(people*4)), "second@acme.example"},
			"status": []string{"active", "active", "disabled", "left"}[rng.IntN(4)], "number": fmt.Sprint(rng.IntN(people)),
			"org": fmt.Sprintf("o=org%d", rng.IntN(6)), "unit": []string{fmt.Sprintf("ou=u%d", rng.IntN(210)), fmt.Sprintf("OU = u%d", rng.IntN(210))}[:rng.IntN(3)],
			"changed": int64(rng.IntN(5)), "photo": make([]byte, rng.IntN(500)), "memberOf": []string{fmt.Sprintf("cn=g%d", rng.IntN(45))},
			"userPassword": sealed(t, "people", key, "userPassword", []string{"{SSHA}AAAA", "clear", "{PBKDF2-SHA256}5$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}[rng.IntN(3)])})
	}
	for i := range 40 {
		var members []string
		for range rng.IntN(200) {
			members = append(members, fmt.Sprintf("uid=User%d,dc=x", rng.IntN(people*4)))
		}
		m.add("groups", fmt.Sprintf("G%d", i), cells{"dn": fmt.Sprintf("cn=g%d", i), "cn": fmt.Sprintf("g%d", i%38),
			"member": append(members, fmt.Sprintf("cn=g%d", rng.IntN(45)))})
	}
	return m
}

// blueprintsMapping adds department templates, written out and from a table, some
// of which meet legacy departments, and memberships by path.
func blueprintsMapping(t testing.TB) string {
	s := replaceOnce(t, assignmentsMapping, "lookups:\n", `template_groups:
  small: {one: {name: u90, realm_roles: [r]}, two: {name: u91, parent: one}}
department_templates:
  - rule: blueprints
    from: blueprints
    parent: {lookup: blueprints, value: row.above}
    columns: {template_group: '"large"', name: row.name, realm_roles: '[key]'}
    attributes: {from: key}
lookups:
  blueprints: {table: blueprints, by: key}
`)
	s = replaceOnce(t, s, "    columns: {alias: row.o,", "    instantiate: [{group: small}, {group: large, where: row.o != \"org2\"}]\n    columns: {alias: row.o,")
	return replaceOnce(t, s, "      - rule: organization only", `      - rule: by path
        where: row.number.endsWith("1")
        organization: {lookup: orgs, value: row.org}
        department: {path: '"/u90/u91"'}
      - rule: organization only`)
}

// Workers, memory limits and the order of the source change neither rows nor
// counts.
func TestMetamorphic(t *testing.T) {
	m := dirty(t, 3000)
	const merge = "    merge: {by: 'int(row.number) % 9 == 0 ? row.number : \"\"', prefer: row.changed}\n    groups: {lookup: groups"
	mapping := loadText(t, replaceOnce(t, blueprintsMapping(t), "    groups: {lookup: groups", merge), m)
	want, wantReport := runMapping(t, m, mapping, func(in *Input) { in.Workers = 1 })
	for _, e := range wantReport.Entities[:entityCount] {
		if e.Yielded == 0 || e.Rejected == 0 {
			t.Errorf("%s: the test data has not both rows that stand and rows that don't: %+v", e.Entity, e)
		}
	}
	if e := wantReport.Entity(schemas.Departments); e.Merged == 0 || len(made(want)) == 0 {
		t.Errorf("no department of a template is there, or none met a legacy one: %+v", e)
	}
	if e := wantReport.Entity(schemas.Users); e.Merged == 0 || e.Excluded == 0 {
		t.Errorf("the test data merges or excludes nothing: %+v", e)
	}
	reversed := newMemory(m.schemas()...)
	for name, rows := range m.rows {
		reversed.rows[name] = slices.Clone(rows)
		slices.Reverse(reversed.rows[name])
	}
	for _, tt := range []struct {
		name    string
		legacy  *memory
		workers int
		memory  int64
	}{{"two workers", m, 2, 0}, {"eight workers", m, 8, 0}, {"little memory", m, 2, 1}, {"little memory, eight workers, reversed", reversed, 8, 1}} {
		t.Run(tt.name, func(t *testing.T) {
			got, report := runMapping(t, tt.legacy, mapping, func(in *Input) { in.Workers, in.Memory = tt.workers, tt.memory })
			if tt.memory > 0 && report.Spilled == 0 {
				t.Error("nothing was spilled")
			}
			report.Spilled = wantReport.Spilled
			if diff := cmp.Diff(wantReport, report); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			sameRows(t, want, got)
		})
	}
}

// made are the departments that templates made.
func made(c *collector) (keys []string) {
	for _, key := range keysOf(c, schemas.Departments) {
		if strings.Contains(key, "#") {
			keys = append(keys, key)
		}
	}
	return keys
}

func replaceOnce(t testing.TB, s, old, new string) string {
	t.Helper()
	before, after, ok := strings.Cut(s, old)
	if !ok {
		t.Fatalf("no %q", old)
	}
	return before + new + after
}

// sameRows compares what two runs wrote; sealed boxes differ in every run, what
// stands for them must not.
func sameRows(t *testing.T, want, got *collector) {
	t.Helper()
	opaque := cmp.Comparer(func(a, b schemas.Sealed) bool { return a.MAC == b.MAC })
	for table, rows := range want.rows {
		if len(rows) != len(got.rows[table]) {
			t.Errorf("%s: %d rows, want %d", table, len(got.rows[table]), len(rows))
		}
		for id, row := range rows {
			if diff := cmp.Diff(row, got.rows[table][id], opaque); diff != "" {
				t.Errorf("%s (-want +got):\n%s", table, diff)
				return
			}
		}
	}
}
