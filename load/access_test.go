package load_test

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/loadtest"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// accessDiff makes the access diff of a plan.
func (s *states) accessDiff(tb testing.TB, p planned, gate *load.WideningGate) *load.Access {
	tb.Helper()
	in := load.AccessInput{Plan: p.Manifest, Base: s.base, Observed: p.observed, Effective: p.effective, Assignment: s.reach.Assignment,
		Profile: s.target.Kept, Target: s.target, Files: p.files, Gate: gate}
	a, err := load.AccessDiff(tb.Context(), in)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// Every file of testdata/access is one case: three sides and what the target
// says of its roles, and the access diff that comes of it.
func TestAccessCases(t *testing.T) {
	files, err := filepath.Glob("testdata/access/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sides := *a
			sides.Files = slices.DeleteFunc(slices.Clone(a.Files), func(f txtar.File) bool { return f.Name == "roles" || f.Name == "access" })
			s, o := parseCase(&sides)
			o.Brake = noBrake.Brake
			for _, f := range a.Files {
				if f.Name == "roles" {
					s.parseRoles(string(f.Data))
				}
			}
			p := s.plan(t, "run", o)
			p.Access = s.accessDiff(t, p, gateIn(string(a.Comment)))
			got := describeAccess(t, p)
			if *update {
				a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == "access" })
				a.Files = append(a.Files, txtar.File{Name: "access", Data: []byte(got)})
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want := ""
			for _, f := range a.Files {
				if f.Name == "access" {
					want = string(f.Data)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("access (-want +got):\n%s", diff)
			}
		})
	}
}

// parseRoles reads what the target says of its roles: "composite ROLE: ROLE...",
// "group KEY: ROLE...", "encoded TABLE.COLUMN". A role of a client is
// client/role.
func (s *states) parseRoles(text string) {
	g := &s.target.Graph
	g.Composites, g.Groups = map[load.Role][]load.Role{}, map[schemas.RowID][]load.Role{}
	sc := bufio.NewScanner(strings.NewReader(text))
	for sc.Scan() {
		head, tail, _ := strings.Cut(sc.Text(), ":")
		word, name, _ := strings.Cut(head, " ")
		var roles []load.Role
		for f := range strings.FieldsSeq(tail) {
			roles = append(roles, roleNamed(f))
		}
		switch word {
		case "composite":
			g.Composites[roleNamed(name)] = roles
		case "group":
			g.Groups[rowID(schemas.Groups, name)] = roles
		case "encoded":
			table, column, _ := strings.Cut(name, ".")
			s.target.Kept.Columns[table][column] = schemas.ColumnSupport{Support: schemas.Encoded, Readable: true}
		default:
			panic("no such word: " + word)
		}
	}
}

func roleNamed(s string) load.Role {
	if client, name, ok := strings.Cut(s, "/"); ok {
		return load.Role{Client: client, Name: name}
	}
	return load.Role{Name: s}
}

// gateIn reads a case's gate: "gate: users=N roles=A,B kinds=A,B new".
func gateIn(comment string) *load.WideningGate {
	for line := range strings.Lines(comment) {
		rest, ok := strings.CutPrefix(line, "gate:")
		if !ok {
			continue
		}
		g := &load.WideningGate{}
		for w := range strings.FieldsSeq(rest) {
			name, value, _ := strings.Cut(w, "=")
			switch name {
			case "users":
				check(func() error { _, err := fmt.Sscan(value, &g.Users); return err }())
			case "roles":
				g.Roles = strings.Split(value, ",")
			case "kinds":
				g.Kinds = strings.Split(value, ",")
			case "new":
				g.NewUsers = true
			}
		}
		return g
	}
	return nil
}

func describeAccess(tb testing.TB, p planned) string {
	var b strings.Builder
	for _, news := range []bool{false, true} {
		for c, err := range p.AccessChanges(tb.Context(), p.files, news) {
			if err != nil {
				tb.Fatal(err)
			}
			b.WriteString(c.Key)
			for _, w := range []struct {
				is   bool
				word string
			}{{c.Wave != "", "wave " + c.Wave}, {c.New, "new"}, {c.Recreated, "recreated"}, {c.Removed, "removed"}, {c.Enabled, "enabled"},
				{c.Disabled, "disabled"}, {c.Dormant, "dormant"}, {c.OlderPassword, "older password"}} {
				if w.is {
					b.WriteString(", " + w.word)
				}
			}
			b.WriteByte('\n')
			for _, g := range c.Gained {
				fmt.Fprintf(&b, "  + %s\n", g)
			}
			for _, g := range c.Lost {
				fmt.Fprintf(&b, "  - %s\n", g)
			}
		}
	}
	fmt.Fprintf(&b, "total: %+v\n", p.Access.Total)
	for _, w := range slices.Sorted(maps.Keys(p.Access.Waves)) {
		fmt.Fprintf(&b, "wave %q: %+v\n", w, p.Access.Waves[w])
	}
	for _, g := range p.Access.Gains {
		fmt.Fprintf(&b, "gain: %d %s\n", g.Users, g.Grant)
	}
	for _, g := range p.Access.NewGains {
		fmt.Fprintf(&b, "new gain: %d %s\n", g.Users, g.Grant)
	}
	if err := p.WideningErr(); err != nil {
		fmt.Fprintf(&b, "%v\n", err)
	}
	return b.String()
}

// gambleAccess makes a small population whose three sides differ at random,
// with everything that grants access.
func gambleAccess(rnd *rand.Rand) *states {
	s := newStates()
	some := func(words ...string) string {
		return strings.Join(slices.DeleteFunc(words, func(string) bool { return rnd.IntN(2) == 0 }), ",")
	}
	roles := []string{"a", "b", "c", "d", "e"}
	one := func() string { return roles[rnd.IntN(len(roles))] }
	var graph strings.Builder
	for range rnd.IntN(4) {
		fmt.Fprintf(&graph, "composite %s: %s app/%s\n", one(), one(), one())
	}
	fmt.Fprintf(&graph, "group staff: %s\ngroup boss: %s app/x\n", one(), one())
	if rnd.IntN(2) == 0 {
		graph.WriteString("encoded organizations.realm_roles\nencoded memberships.roles\n")
	}
	s.parseRoles(graph.String())
	for _, side := range []string{"base", "desired", "observed"} {
		s.parse(side, fmt.Sprintf("organization meridian alias=meridian name=Meridian enabled=%v realm_roles=%s", rnd.IntN(4) > 0, some("a", "b")))
		s.parse(side, fmt.Sprintf("department sales organization=meridian name=Sales realm_roles=%s client_roles=%s", some("a", "c"), []string{"", "app:x", "app:x|y"}[rnd.IntN(3)]))
		s.parse(side, fmt.Sprintf("department north organization=meridian name=North realm_roles=%s %s", some("d", "e"), []string{"", "parent=sales"}[rnd.IntN(2)]))
		s.parse(side, "group staff name=staff\ngroup boss name=boss "+[]string{"", "parent=staff"}[rnd.IntN(2)])
	}
	const others = "foreign-organization alias=other name=Other enabled=true realm_roles=a"
	s.parse("observed", others)
	for i := range 8 {
		u := fmt.Sprintf("u%d", i)
		known := false
		for _, side := range []string{"base", "desired", "observed"} {
			if rnd.IntN(100) < 20 || side == "observed" && !known {
				continue
			}
			known = true
			s.parse(side, fmt.Sprintf("user %s enabled=%v realm_roles=%s groups=%s federated_links=%s", u, rnd.IntN(4) > 0, some("a", "b", "c"),
				some("staff", "boss"), []string{"", "idp:1|n", "idp:2|n"}[rnd.IntN(3)]))
			for _, place := range []string{"", "sales", "north"} {
				if rnd.IntN(2) == 0 {
					continue
				}
				dept := ""
				if place != "" {
					dept = " department=" + place
				}
				s.parse(side, fmt.Sprintf("membership %s/meridian%s organization=meridian%s roles=%s", u, place, dept, some("lead", "d")))
			}
			if side == "observed" && rnd.IntN(3) == 0 { // in an organization that is nobody's
				m := row(schemas.Memberships, u+"/other", "roles=")
				shape := shapes[schemas.Memberships]
				m.Values[shape.Column("organization")] = load.ForeignRowID(others).String()
				s.target.Seed(schemas.Memberships, m)
			}
		}
	}
	return s
}

// The access diff says "gained" exactly where the target itself, looked at
// before and after the load, gives a user something that it did not give
// before, and "lost" likewise.
func TestAccessDiffIsWhatHappens(t *testing.T) {
	seeds := uint64(400)
	if testing.Short() {
		seeds = 60
	}
	allow := []string{load.AllowEnable, load.AllowRoles, load.AllowGroups, load.AllowLinks, load.AllowRecreate}
	gained := 0
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 9))
			s := gambleAccess(rnd)
			o := noBrake
			if rnd.IntN(2) == 0 {
				o.Allow = allow
			}
			p := s.plan(t, "run", o)
			p.Access = s.accessDiff(t, p, nil)
			before := modelAccess(s, p.observed)
			res, err := s.load(t, p, load.LoadOptions{})
			if err != nil || len(res.Failures) > 0 {
				t.Fatal(err, res)
			}
			want := modelChanges(s, before, modelAccess(s, s.observe(t)))
			got := map[string]bool{}
			for _, news := range []bool{false, true} {
				for c, err := range p.AccessChanges(t.Context(), p.files, news) {
					if err != nil {
						t.Fatal(err)
					}
					for sign, list := range map[string][]load.Grant{"+": c.Gained, "-": c.Lost} {
						for _, g := range list {
							got[fmt.Sprint(c.Key, " ", sign, " ", bare(g))] = true
						}
					}
					gained += len(c.Gained)
				}
			}
			wanted := slices.Sorted(maps.Keys(want))
			have := slices.Sorted(maps.Keys(got))
			if diff := cmp.Diff(wanted, have); diff != "" {
				t.Errorf("access diff (-target +said):\n%s\n%s", diff, describe(t, p))
			}
		})
	}
	if gained == 0 {
		t.Error("nothing was ever gained")
	}
}

func bare(g load.Grant) string {
	s := g.Kind + " " + g.What
	if g.Kind == load.GrantMembership { // a department that moves is the same one
		s = g.Kind + " " + g.What[strings.LastIndex(g.What, "/")+1:]
	}
	if g.Encoded {
		s += " encoded"
	}
	return s
}

// userAccess is the model's: what one user has, by name; false where it is only
// encoded.
type userAccess struct {
	enabled bool
	has     map[string]bool
	inside  map[string]bool // has only inside of other roles
}

// modelAccess reads what the target holds and says who has what, as naively as
// can be.
func modelAccess(s *states, observed *loadtest.State) map[string]userAccess {
	out := map[string]userAccess{}
	ctx := context.Background()
	get := func(table string, r schemas.Row, column string) any {
		stored, _ := observed.Table(table)
		return r.Values[stored.Column(column)]
	}
	row := func(table, ref string) (schemas.Row, bool) {
		id, err := schemas.ParseRowID(ref)
		if err != nil {
			return schemas.Row{}, false
		}
		return observed.Row(table, id)
	}
	real := func(table, column string) bool {
		return s.target.Kept.Columns[table][column].Support != schemas.Encoded
	}
	for u := range observed.Scan(ctx, schemas.Users, parts.ScanOptions{}) {
		a := userAccess{enabled: get(schemas.Users, u, "enabled") == true, has: map[string]bool{}, inside: map[string]bool{}}
		direct := map[string]bool{}
		give := func(what string, isReal bool) { a.has[what] = a.has[what] || isReal }
		var role func(r load.Role, isReal bool, depth int)
		role = func(r load.Role, isReal bool, depth int) {
			if depth == 0 {
				direct[fmt.Sprintf("role %s %v", r, isReal)] = true
			}
			give("role "+r.String(), isReal)
			for _, in := range s.target.Graph.Composites[r] {
				if depth < 10 {
					role(in, isReal, depth+1)
				}
			}
		}
		names := func(table string, r schemas.Row, column string) {
			list, _ := get(table, r, column).([]string)
			for _, n := range list {
				role(load.Role{Name: n}, real(table, column), 0)
			}
		}
		names(schemas.Users, u, "realm_roles")
		groups, _ := get(schemas.Users, u, "groups").([]string)
		for _, ref := range groups {
			for g, ok := row(schemas.Groups, ref); ok; {
				for _, r := range s.target.Graph.Groups[g.ID] {
					role(r, true, 0)
				}
				up, _ := get(schemas.Groups, g, "parent").(string)
				g, ok = row(schemas.Groups, up)
			}
		}
		links, _ := get(schemas.Users, u, "federated_links").(map[string][]string)
		for alias, to := range links {
			give("link "+alias+"|"+fmt.Sprint(to), true)
		}
		for m := range observed.Scan(ctx, schemas.Memberships, parts.ScanOptions{}) {
			o, ok := row(schemas.Organizations, fmt.Sprint(get(schemas.Memberships, m, "organization")))
			if get(schemas.Memberships, m, "user") != u.ID.String() || !ok || get(schemas.Organizations, o, "enabled") != true {
				continue
			}
			name := get(schemas.Organizations, o, "name").(string)
			give("membership "+name, true)
			names(schemas.Organizations, o, "realm_roles")
			names(schemas.Memberships, m, "roles")
			ref, _ := get(schemas.Memberships, m, "department").(string)
			for d, ok := row(schemas.Departments, ref); ok; {
				if d.ID.String() == ref {
					give("membership "+get(schemas.Departments, d, "name").(string), true)
				}
				names(schemas.Departments, d, "realm_roles")
				byClient, _ := get(schemas.Departments, d, "client_roles").(map[string][]string)
				for client, list := range byClient {
					for _, n := range list {
						role(load.Role{Client: client, Name: n}, true, 0)
					}
				}
				up, _ := get(schemas.Departments, d, "parent").(string)
				d, ok = row(schemas.Departments, up)
			}
		}
		for what, isReal := range a.has {
			a.inside[what] = strings.HasPrefix(what, "role ") && !direct[fmt.Sprintf("%s %v", what, isReal)]
		}
		out[u.Key] = a
	}
	return out
}

// modelChanges is what users have afterwards and had not before, and the other
// way round, as words.
func modelChanges(s *states, before, after map[string]userAccess) map[string]bool {
	out := map[string]bool{}
	say := func(user, sign, what string, isReal bool) {
		if what = strings.SplitN(what, "|", 2)[0]; !isReal {
			what += " encoded"
		}
		out[fmt.Sprint(user, " ", sign, " ", what)] = true
	}
	for user := range eitherOf(before, after) {
		b, wasThere := before[user]
		a, isThere := after[user]
		_, known := s.base.Row(schemas.Users, rowID(schemas.Users, user))
		isNew := !wasThere && !known
		bHas, aHas := b.has, a.has
		if wasThere && isThere && a.enabled && !b.enabled {
			bHas = nil
		}
		if wasThere && isThere && b.enabled && !a.enabled {
			aHas = nil
		}
		for what, isReal := range aHas {
			if isNew && a.inside[what] {
				continue // what composite roles bring along is not repeated
			}
			if had, ok := bHas[what]; !ok || isReal && !had {
				say(user, "+", what, isReal)
			}
		}
		for what, wasReal := range bHas {
			if has, ok := aHas[what]; !ok || wasReal && !has {
				say(user, "-", what, wasReal)
			}
		}
	}
	return out
}

func eitherOf[V any](a, b map[string]V) map[string]V {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// A target that can't tell about its roles leaves a remark, and a plan made
// again reads the roles that it was first made with.
func TestAccessRolesAreKept(t *testing.T) {
	s := newStates()
	s.parse("desired", "user amy enabled=true realm_roles=manager")
	s.parseRoles("composite manager: payroll")
	p := s.plan(t, "run", noBrake)
	first := s.accessDiff(t, p, nil)
	s.parseRoles("composite manager: payroll treasury")
	if second := s.accessDiff(t, p, nil); cmp.Diff(first, second, cmp.AllowUnexported(load.Grant{})) != "" {
		t.Error("a plan made again depends on what the target says now")
	}
	in := load.AccessInput{Plan: p.Manifest, Base: s.base, Observed: p.observed, Effective: p.effective, Profile: s.target.Kept,
		Target: struct{}{}, Files: otherRun{p.files}}
	a, err := load.AccessDiff(t.Context(), in)
	if err != nil || len(a.Unread) != 1 {
		t.Errorf("unread %v, error %v", a, err)
	}
}

// otherRun are the files of a run that has a plan and no role graph yet.
type otherRun struct{ plan *loadtest.Files }

func (f otherRun) PutFile(context.Context, string, []byte) error { return nil }

func (f otherRun) ReadFile(ctx context.Context, key string) ([]byte, error) {
	if strings.HasSuffix(key, "roles.json") {
		return (&loadtest.Files{}).ReadFile(ctx, key)
	}
	return f.plan.ReadFile(ctx, key)
}

func (f otherRun) Files(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return f.plan.Files(ctx, prefix)
}

// No two roles read alike.
func TestRoleNames(t *testing.T) {
	roles := []load.Role{{Name: "a/b"}, {Client: "a", Name: "b"}, {Client: "a~", Name: "b"}, {Name: "a~/b"}, {Name: "a~~/b"}, {Client: "a/b", Name: "c"}, {Client: "a", Name: "b/c"}}
	seen := map[string]load.Role{}
	for _, r := range roles {
		if other, dup := seen[r.String()]; dup {
			t.Errorf("%+v and %+v are both %q", r, other, r)
		}
		seen[r.String()] = r
	}
}

// BenchmarkAccessDiff compares the access of users of whom nearly none changes:
//
//	go test ./load -run '^$' -bench AccessDiff
func BenchmarkAccessDiff(b *testing.B) {
	const people = 5000
	s := newStates()
	s.parseRoles("composite writer: reader\ngroup staff: intranet")
	for _, side := range []string{"base", "desired", "observed"} {
		s.parse(side, "organization meridian alias=meridian name=Meridian enabled=true\ndepartment sales organization=meridian name=Sales realm_roles=seller\ngroup staff name=staff")
		for i := range people {
			role := "writer"
			if i == 7 && side == "desired" {
				role = "writer,admin"
			}
			s.parse(side, fmt.Sprintf("user u%d enabled=true realm_roles=%s groups=staff\nmembership u%d/sales organization=meridian department=sales", i, role, i))
		}
	}
	p := s.plan(b, "run", noBrake)
	for b.Loop() {
		if a := s.accessDiff(b, p, nil); a.Total.Widened != 1 {
			b.Fatalf("%+v", a.Total)
		}
	}
	b.ReportMetric(float64(people)*float64(b.N)/b.Elapsed().Seconds(), "users/s")
}
