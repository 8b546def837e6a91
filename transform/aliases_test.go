package transform

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
)

func parsedAliases(t *testing.T, text string) *Aliases {
	t.Helper()
	a, err := ParseAliases("aliases.csv", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Of a key that changed twice both newer ones lead to the oldest; another
// entity's keys are none of its business.
func TestAliasesLeadToTheOldestKey(t *testing.T) {
	a := parsedAliases(t, "\ufeffentity,old,new\n# rebuilt in May\nusers,u1,u2\nusers,u2,u3\ngroups,g1,\"g,2\"\n")
	for _, c := range []struct{ entity, key, want string }{
		{schemas.Users, "u3", "u1"}, {schemas.Users, "u2", "u1"}, {schemas.Users, "u1", "u1"}, {schemas.Users, "g,2", "g,2"},
		{schemas.Groups, "g,2", "g1"}, {schemas.Groups, "u3", "u3"},
	} {
		if got := a.RowKey(c.entity, c.key); got != c.want {
			t.Errorf("%s %s leads to %s, want %s", c.entity, c.key, got, c.want)
		}
	}
	if got := a.LegacyKeys(schemas.Users, "u1"); !slices.Equal(got, []string{"u3", "u2", "u1"}) {
		t.Errorf("keys of u1 in legacy: %v", got)
	}
	if got := a.Places(schemas.Users, "u1"); !slices.Equal(got, []string{"aliases.csv:4", "aliases.csv:3"}) {
		t.Errorf("places: %v", got)
	}
}

// A key that came back leads to a row of its own, also the third time, and also
// where it changed before; the former holder is under no key of legacy any more.
func TestAliasesOfKeysThatCameBack(t *testing.T) {
	a, err := parsedAliases(t, "entity,old,new\nusers,1042,a1\n").With([]Another{{"1042", "d.yaml:3"}, {"1042#2", "d.yaml:4"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a1", "1042", "1042#2"} {
		if got := a.RowKey(schemas.Users, key); got != "1042#3" {
			t.Errorf("%s leads to %s", key, got)
		}
	}
	if got := a.LegacyKeys(schemas.Users, "1042"); !slices.Equal(got, []string{"a1"}) {
		t.Errorf("keys of the row 1042: %v", got)
	}
	if got := a.LegacyKeys(schemas.Users, "x"); !slices.Equal(got, []string{"x"}) {
		t.Errorf("keys of a row without aliases: %v", got)
	}
}

func TestAnotherKey(t *testing.T) {
	for key, want := range map[string]string{"1042": "1042#2", "1042#2": "1042#3", "1042#9": "1042#10", "a#b": "a#b#2", "a#1": "a#1#2", "a#02": "a#02#2", "#2": "#2#2"} {
		if got := AnotherKey(key); got != want {
			t.Errorf("after %s comes %s, want %s", key, got, want)
		}
		if former, ok := FormerKey(want); !ok || former != key {
			t.Errorf("before %s was %s, want %s", want, former, key)
		}
	}
	if _, ok := FormerKey("1042"); ok {
		t.Error("1042 is nobody's second key")
	}
}

func TestBadAliases(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no header":    {"users,a,b\n", "aliases.csv:1: the header is not entity,old,new"},
		"empty":        {"", "aliases.csv:1: the header"},
		"entity":       {"entity,old,new\npeople,a,b\n", `aliases.csv:2: entity "people" has no aliases`},
		"memberships":  {"entity,old,new\nmemberships,a,b\n", "has no aliases"},
		"fields":       {"entity,old,new\nusers,a\n", "aliases.csv:2: 2 fields, want 3"},
		"no key":       {"entity,old,new\nusers,a,\n", "aliases.csv:2: a key is empty"},
		"quote":        {"entity,old,new\nusers,a,b\nusers,\"c,d\n", "not valid CSV"},
		"utf-8":        {"entity,old,new\nusers,a,\xff\n", "aliases.csv:2: a key is not valid UTF-8"},
		"new twice":    {"entity,old,new\nusers,a,x\nusers,b,x\n", `aliases.csv:3: users key "x" stands at aliases.csv:2 as well`},
		"old twice":    {"entity,old,new\nusers,a,y\nusers,a,x\n", `aliases.csv:3: users key "a" stands at aliases.csv:2 as well`},
		"line twice":   {"entity,old,new\nusers,a,x\nusers,a,x\n", "aliases.csv:3"},
		"itself":       {"entity,old,new\nusers,a,a\n", `aliases.csv:2: old and new users key "a" are the same`},
		"ring":         {"entity,old,new\nusers,a,b\nusers,b,c\nusers,c,a\n", "lead back to it"},
		"ring of two":  {"entity,old,new\ngroups,a,b\nusers,a,b\nusers,b,a\n", "aliases.csv:4: the aliases of users"},
		"several told": {"entity,old,new\npeople,a,b\nusers,,c\n", "aliases.csv:3: a key is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseAliases("aliases.csv", []byte(c.text))
			e, ok := errors.AsType[*AliasError](err)
			if !ok || !strings.Contains(err.Error(), c.want) || e.Hint() == "" {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	_, err := parsedAliases(t, "entity,old,new\nusers,1042,1042#2\n").With([]Another{{"1042", "d.yaml:3"}})
	if err == nil || !strings.Contains(err.Error(), "lead back to it") {
		t.Errorf("a decision and an alias in a ring: %v", err)
	}
}

// No bytes break the reader, and what it takes leads somewhere from every key.
func FuzzAliases(f *testing.F) {
	f.Add([]byte("entity,old,new\nusers,a,b\nusers,b,c\ngroups,\"a,\"\"b\",c\n"))
	f.Add([]byte("entity,old,new\nusers,a,b\nusers,b,a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := ParseAliases("f", data)
		if err != nil {
			if a != nil {
				t.Errorf("aliases beside %v", err)
			}
			return
		}
		for _, x := range a.list {
			row := a.RowKey(x.entity, x.legacy)
			if !slices.Contains(a.LegacyKeys(x.entity, row), x.legacy) {
				t.Errorf("%q leads to %q, and not back", x.legacy, row)
			}
		}
	})
}

// A directory that was rebuilt under other keys yields, with aliases, the rows
// that it yielded before: ids, references and dependents included.
func TestAliasesKeepARebuiltDirectoryTheSame(t *testing.T) {
	build := func(t *testing.T, suffix string) *memory {
		m := directory()
		m.add("orgs", "O1"+suffix, cells{"dn": acmeDN, "o": "acme", "title": "Acme", "domains": []string{"acme.example"}})
		m.add("units", "U1"+suffix, cells{"dn": salesDN, "ou": "sales", "org": acmeDN})
		m.add("units", "U2"+suffix, cells{"dn": "ou=emea," + salesDN, "ou": "EMEA", "above": salesDN})
		m.add("people", "P1"+suffix, cells{"dn": "uid=anna,dc=x", "uid": "anna", "mail": []string{"anna@acme.example"}, "givenName": "A", "sn": "B", "number": "7",
			"org": acmeDN, "unit": []string{"ou=emea," + salesDN}, "status": "active",
			"userPassword": sealed(t, "people", "P1"+suffix, "userPassword", "{SSHA}AAAA", "opensesame"), "changed": int64(1700000000000000)})
		m.add("groups", "G1"+suffix, cells{"dn": "cn=g1,dc=x", "cn": "g1", "member": []string{"uid=anna,dc=x"}})
		m.add("groups", "G2"+suffix, cells{"dn": "cn=g2,dc=x", "cn": "g2", "member": []string{"cn=g1,dc=x"}})
		return m
	}
	was := build(t, "")
	want, _ := runMapping(t, was, loadText(t, directoryMapping, was), nil)
	now := build(t, "x")
	aliases := parsedAliases(t, "entity,old,new\norganizations,O1,O1x\ndepartments,U1,U1x\ndepartments,U2,U2x\nusers,P1,P1x\ngroups,G1,G1x\ngroups,G2,G2x\nusers,P9,P9x\n")
	got, report := runMapping(t, now, loadText(t, directoryMapping, now), func(in *Input) { in.Aliases = aliases })
	for _, table := range []string{schemas.Organizations, schemas.Departments, schemas.Users, schemas.Groups, schemas.Memberships} {
		if diff := cmp.Diff(want.byKey(table), got.byKey(table)); diff != "" || len(want.byKey(table)) == 0 {
			t.Errorf("%s (-want +got):\n%s", table, diff)
		}
	}
	if a := report.Aliases; a.Used != 6 || a.Listed != 7 || len(a.Unused) != 1 || a.Unused[0] != (UnusedAlias{"aliases.csv:8", schemas.Users, "P9x"}) {
		t.Errorf("aliases: %+v", a)
	}
}

// Where legacy still has a row of the old key, neither of the two stands: whose
// the row is can't be told. One that a rule leaves out is no claim.
func TestAliasOfAKeyThatIsStillThere(t *testing.T) {
	m := acme(t)
	person(m, "P2", "bert", nil)
	m.add("groups", "G2", cells{"dn": "cn=g2,dc=x", "cn": "g2"})
	aliases := parsedAliases(t, "entity,old,new\nusers,P1,P2\ngroups,G1,G2\n")
	out, report := runMapping(t, m, loadText(t, directoryMapping, m), func(in *Input) { in.Aliases = aliases })
	for table, keys := range map[string][]string{schemas.Users: {"P1", "P2"}, schemas.Groups: {"G1", "G2"}} {
		for _, key := range keys { // neither of the two is gone
			if id := schemas.NewRowID(testNamespace, table, key); out.rows[schemas.RejectedTable(table)][id].Key == "" {
				t.Errorf("%s %s is not among the rejected", table, key)
			}
		}
	}
	for table, place := range map[string]string{schemas.Users: "aliases.csv:2", schemas.Groups: "aliases.csv:3"} {
		if n := len(out.byKey(table)); n != 0 {
			t.Errorf("%s: %d rows stand", table, n)
		}
		said := 0
		for _, r := range report.Rules {
			for _, e := range r.Examples {
				if r.Entity == table && r.Rule == RuleDuplicateKey && strings.Contains(e.Message, "the alias at "+place) {
					said++
				}
			}
		}
		if said != 2 {
			t.Errorf("%s: %d rejects name the alias: %+v", table, said, report.Rules)
		}
	}
}
