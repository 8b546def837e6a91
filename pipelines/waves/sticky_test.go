package waves

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
)

// randomSite is a site with random users, drawn from n keys.
func randomSite(r *rand.Rand, n int) *site {
	s := newSite()
	places := []string{"acme", "acme/Sales", "acme/Sales/North", "acme/Sales/North/Coast", "acme/Ops", "tiny/Sales", "/staff", "/admins"}
	for i := range n {
		if r.IntN(4) == 0 {
			continue
		}
		var in []string
		for _, p := range places {
			if r.IntN(4) == 0 {
				in = append(in, p)
			}
		}
		key := fmt.Sprintf("u%d", i)
		if r.IntN(10) == 0 {
			s.addRow(schemas.RejectedTable(schemas.Users), schemas.NewRowID(testNamespace, schemas.Users, key), key, nil)
			continue
		}
		s.user(key, map[string]any{"username": fmt.Sprintf("login-%d", r.IntN(1000)), "enabled": r.IntN(3) > 0}, in...)
	}
	return s
}

// randomRules are one to four rules, of waves named from a few names.
func randomRules(r *rand.Rand, n int) []Rule {
	var rules []Rule
	names := r.Perm(6)
	for i := range 1 + r.IntN(4) {
		rule := Rule{Name: fmt.Sprintf("w%d", names[i])}
		for rule.recorded() == "" {
			if r.IntN(3) == 0 {
				rule.Departments = []string{[]string{"acme/Sales", "acme/Ops", "tiny/Sales", "acme/Sales/North"}[r.IntN(4)]}
			}
			if r.IntN(4) == 0 {
				rule.Groups = []string{[]string{"/staff", "/admins"}[r.IntN(2)]}
			}
			if r.IntN(4) == 0 {
				rule.Percent = 1 + r.Int64N(whole)
			}
			if r.IntN(5) == 0 {
				rule.Keys = []string{fmt.Sprintf("u%d", r.IntN(n)), fmt.Sprintf("u%d", r.IntN(n))}
			}
			if r.IntN(5) == 0 {
				rule.Where = []string{"user.enabled", `user.username.endsWith("7")`, `"acme" in organizations`, `size(departments) > 1`}[r.IntN(4)]
			}
		}
		rules = append(rules, rule)
	}
	return rules
}

// takenBy is the rules' meaning, said once more in the plainest way.
func (s *site) takenBy(t testing.TB, sel *Selection, user schemas.Row) string {
	paths := map[string]bool{}
	orgs, groups := map[string]bool{}, map[string]bool{}
	for _, m := range s.memory[schemas.Memberships] {
		if m.Values[membershipUser] != user.ID.String() {
			continue
		}
		for name, id := range s.ids {
			paths[name] = paths[name] || m.Values[membershipDepartment] == id
			orgs[name] = orgs[name] || m.Values[membershipOrganization] == id
		}
	}
	for _, id := range user.Values[sel.users.Column("groups")].([]string) {
		for name, have := range s.ids {
			groups[name] = groups[name] || have == id
		}
	}
	under := map[string][]string{
		"acme/Sales":       {"acme/Sales", "acme/Sales/North", "acme/Sales/North/Coast"},
		"acme/Sales/North": {"acme/Sales/North", "acme/Sales/North/Coast"},
		"acme/Ops":         {"acme/Ops"}, "tiny/Sales": {"tiny/Sales"},
	}
	count := 0
	for _, in := range paths {
		if in {
			count++
		}
	}
	for _, r := range sel.rules {
		in := true
		if len(r.Departments) > 0 {
			in = false
			for _, d := range under[r.Departments[0]] {
				in = in || paths[d]
			}
		}
		in = in && (len(r.Groups) == 0 || groups[r.Groups[0]])
		in = in && (len(r.Keys) == 0 || user.Key == r.Keys[0] || user.Key == r.Keys[1])
		in = in && (r.Percent == 0 || bucket(sel.salt, user.Key) < r.Percent)
		username := user.Values[sel.users.Column("username")].(string)
		switch r.Where {
		case "":
		case "user.enabled":
			in = in && user.Values[sel.users.Column("enabled")] == true
		case `user.username.endsWith("7")`:
			in = in && username[len(username)-1] == '7'
		case `"acme" in organizations`:
			in = in && orgs["acme"]
		case `size(departments) > 1`:
			in = in && count > 1
		default:
			t.Fatal(r.Where)
		}
		if in {
			return r.Name
		}
	}
	return ""
}

// TestSticky: whatever rules and users become, nobody who is assigned changes in
// anything, everybody who is new gets the first wave that takes them, and the
// counts say so.
func TestSticky(t *testing.T) {
	const n = 60
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 4))
		var previous memory
		for round := range 6 {
			s, sel := randomSite(r, n), compile(t, randomRules(r, n)...)
			in := Input{Desired: s, Run: fmt.Sprintf("run-%d", round)}
			if previous != nil {
				in.Previous = previous
			}
			out, rep := assign(t, sel, in)
			was := byKey(previous)
			now := byKey(out.memory)
			for key, row := range was {
				if !reflect.DeepEqual(row, now[key]) {
					t.Fatalf("seed %d, round %d: %s was %v, is %v", seed, round, key, row.Values, now[key].Values)
				}
			}
			unassigned := int64(0)
			for _, user := range s.memory[schemas.Users] {
				if _, had := was[user.Key]; had {
					continue
				}
				want := s.takenBy(t, sel, user)
				row, has := now[user.Key]
				if want == "" {
					unassigned++
				}
				if has != (want != "") || has && (row.Values[waveColumn] != want || row.Values[runColumn] != in.Run) {
					t.Fatalf("seed %d, round %d: %s is in %v, want %q", seed, round, user.Key, row.Values, want)
				}
			}
			checkCounts(t, rep, s, was, now, unassigned)
			// The same once more changes nothing.
			in.Previous, in.Run = out.memory, "later"
			if again, rep := assign(t, sel, in); !reflect.DeepEqual(again.memory, out.memory) || rep.Changed() {
				t.Fatalf("seed %d, round %d: the second time comes to something else", seed, round)
			}
			previous = out.memory
		}
	}
}

func byKey(m memory) map[string]schemas.Row {
	out := map[string]schemas.Row{}
	for _, row := range m[schemas.WaveAssignment] {
		out[row.Key] = row
	}
	return out
}

func checkCounts(t *testing.T, rep *Report, s *site, was, now map[string]schemas.Row, unassigned int64) {
	t.Helper()
	want := map[string]*Count{}
	users, rejected := map[string]bool{}, map[string]bool{}
	for _, u := range s.memory[schemas.Users] {
		users[u.Key] = true
	}
	for _, u := range s.memory[schemas.RejectedTable(schemas.Users)] {
		rejected[u.Key] = true
	}
	for key, row := range now {
		name := row.Values[waveColumn].(string)
		c := want[name]
		if c == nil {
			c = &Count{}
			want[name] = c
		}
		c.Total++
		if _, had := was[key]; !had {
			c.New++
		}
		switch {
		case users[key]:
		case rejected[key]:
			c.LeftOut++
		default:
			c.Gone++
		}
	}
	for _, c := range rep.Waves {
		w := want[c.Wave]
		if w == nil {
			w = &Count{}
		}
		if c.Total != w.Total || c.New != w.New || c.Gone != w.Gone || c.LeftOut != w.LeftOut || c.Moved != 0 {
			t.Fatalf("%s: %+v, want %+v", c.Wave, c, *w)
		}
		delete(want, c.Wave)
	}
	if len(want) > 0 || rep.Unassigned != unassigned || rep.Users != int64(len(users)) || rep.Rows != int64(len(now)) {
		t.Fatalf("not told of %v; %d unassigned, want %d", want, rep.Unassigned, unassigned)
	}
}

// TestNeighbours: users whose ids share the half that their memberships are
// filed under don't get each other's.
func TestNeighbours(t *testing.T) {
	s := newSite()
	a := schemas.NewRowID(testNamespace, schemas.Users, "a")
	b := a
	b[15] ^= 1
	for i, id := range []schemas.RowID{a, b} {
		where := []string{"acme/Sales", "acme/Ops"}[i]
		s.addRow(schemas.Users, id, []string{"a", "b"}[i], map[string]any{"groups": []string{}})
		row := schemas.DependentRowID(id, schemas.Memberships, where)
		copy(row[:8], a[:8])
		s.addRow(schemas.Memberships, row, "m"+where, map[string]any{"user": id.String(), "organization": s.ids["acme"], "department": s.ids[where]})
	}
	out, _ := assign(t, compile(t, Rule{Name: "sales", Departments: []string{"acme/Sales"}}, Rule{Name: "ops", Departments: []string{"acme/Ops"}}), Input{Desired: s})
	if got := out.by(); got != "ops: b; sales: a" {
		t.Error(got)
	}
}

// TestLargeList: a list that does not fit its memory spills and finds the same.
func TestLargeList(t *testing.T) {
	s := newSite()
	file := filepath.Join(t.TempDir(), "keys.txt")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200_000 {
		fmt.Fprintf(f, "key-%d\n", i)
		if i%1000 == 0 {
			s.user(fmt.Sprintf("key-%d", i), nil)
		}
	}
	s.user("other", nil)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	_, rep := assign(t, compile(t, Rule{Name: "a", KeysFile: file}), Input{Desired: s, Memory: 1})
	if c := rep.Wave("a"); c.Total != 200 || c.Strays != 200_000-200 || rep.Unassigned != 1 {
		t.Errorf("%+v, %d in no wave", c, rep.Unassigned)
	}
}
