package modeltest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// confirm holds what a run said of itself against the model: that it is clean,
// how its users ended, and what it withheld, widened and kept.
func (s *sequence) confirm(ctx context.Context, p *session, out *pipelines.Outcome, next *model, want *expected) error {
	refused := 0
	for table, c := range out.Counts() {
		if n := c.Classes[load.Failed]; n > 0 && table != schemas.Users && table != schemas.Memberships && table != schemas.Credentials {
			refused += int(n)
		}
	}
	if refused != want.refused {
		return fmt.Errorf("%d units were not let go, and %d shall not be: %v", refused, want.refused, out.Loaded.Messages)
	}
	if out.State != pipelines.Finished || !out.Clean() && want.refused == 0 {
		return fmt.Errorf("the run is %s, clean: %v, messages %v, differences %v", out.State, out.Clean(), out.Loaded.Messages, firstOf(out))
	}
	if err := out.Counts().Check(); err != nil {
		return err
	}
	got := map[string]int{}
	if users := out.Counts()[schemas.Users]; users != nil {
		for class, n := range users.Classes {
			if n > 0 {
				got[string(class)] = int(n)
			}
		}
	}
	if !maps.Equal(got, want.classes) {
		return fmt.Errorf("users end as %v, and shall as %v", got, want.classes)
	}
	plan, err := load.OpenPlan(ctx, p.Store, out.ID)
	if err != nil {
		return err
	}
	for _, list := range []struct {
		name string
		want set
	}{{load.ListWithheld, want.withheld}, {load.ListWidening, want.widens}, {load.ListKept, want.kept}} {
		have := set{}
		for f, err := range plan.Findings(ctx, p.Store, list.name) {
			if err != nil {
				return err
			}
			for _, word := range findingWords(list.name, f) {
				have.add(word)
			}
		}
		if !have.equal(list.want) {
			return fmt.Errorf("the list %s says %v, and shall say %v", list.name, have.list(), list.want.list())
		}
	}
	return nil
}

func firstOf(out *pipelines.Outcome) any {
	if out.Verified == nil {
		return "none"
	}
	return out.Verified.First
}

// findingWords are a finding in the model's words: of users alone.
func findingWords(list string, f load.Finding) []string {
	var out []string
	switch f.Table {
	case schemas.Users, schemas.Credentials, schemas.Memberships:
	default:
		return nil
	}
	key := f.Key
	if f.Table == schemas.Memberships { // user, organization, and where there is one the department's key, which holds the organization's
		user, place, _ := strings.Cut(key, "/")
		if org, department, ok := strings.Cut(place, "/"); ok {
			place = department
			_ = org
		}
		key = user + "/" + place
	}
	words := f.Kinds
	if list == load.ListKept {
		if f.Table != schemas.Users {
			return nil
		}
		words = slices.DeleteFunc(slices.Clone(f.Columns), func(c string) bool { return c == "email_verified" }) // goes with the address
		for _, c := range words {
			if name, _, nested := strings.Cut(c, "["); nested && name == "attributes" {
				return nil // an attribute that Keymate owns
			}
		}
	}
	for _, w := range words {
		out = append(out, key+" "+w)
	}
	return out
}

// baseHolds compares what was last confirmed with the model.
func (s *sequence) baseHolds(ctx context.Context, p *session) error {
	have, units, err := readBase(ctx, p)
	if err != nil {
		return err
	}
	var bad []string
	if shall := unitNames(s.model.baseUnits); !maps.Equal(units, shall) {
		bad = append(bad, fmt.Sprintf("units are %v, and shall be %v", units, shall))
	}
	for _, key := range slices.Sorted(maps.Keys(have)) {
		want := s.model.base[key]
		if want == nil {
			bad = append(bad, key+" is in base and shall not be")
			continue
		}
		for _, field := range have[key].differs(&want.person) {
			bad = append(bad, fmt.Sprintf("%s: %s\n      is     %s\n      shall  %s", key, field, &have[key].person, &want.person))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.model.base)) {
		if have[key] == nil {
			bad = append(bad, key+" is not in base")
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return fmt.Errorf("base is not as it shall be:\n    %s", strings.Join(bad, "\n    "))
}

// folded says whether base is what a run was to make of it.
func (s *sequence) folded(ctx context.Context, p *session, next *model) (bool, error) {
	have, units, err := readBase(ctx, p)
	if err != nil {
		return false, err
	}
	same := func(m map[string]*known, u map[string]unit) bool {
		return maps.Equal(units, unitNames(u)) && maps.EqualFunc(have, m, func(a, b *known) bool { return len(a.differs(&b.person)) == 0 })
	}
	switch {
	case same(next.base, next.baseUnits):
		return true, nil
	case same(s.model.base, s.model.baseUnits):
		return false, nil
	}
	return false, fmt.Errorf("base is neither as it was nor as the run was to leave it")
}

// cells reads a row by the names of its columns.
type cells struct {
	table *schemas.Table
	row   schemas.Row
}

func (c cells) get(name string) any {
	if i := c.table.Column(name); i >= 0 {
		return c.row.Values[i]
	}
	return nil
}

func (c cells) text(name string) string { s, _ := c.get(name).(string); return s }
func (c cells) list(name string) []string {
	l, _ := c.get(name).([]string)
	return l
}

func unitNames(units map[string]unit) map[string]string {
	out := map[string]string{}
	for u, k := range units {
		out[u] = k.name
	}
	return out
}

// readBase reads what was last confirmed: people, and the names of units.
func readBase(ctx context.Context, p *session) (map[string]*known, map[string]string, error) {
	sn, err := pipelines.CurrentBase(ctx, p.Store, "live")
	if err != nil {
		return nil, nil, err
	}
	names, out, units := map[string]string{}, map[string]*known{}, map[string]string{}
	scan := func(table string, take func(cells)) error {
		t, ok := sn.Table(table)
		if !ok {
			return nil
		}
		for row, err := range sn.Scan(ctx, table, parts.ScanOptions{}) {
			if err != nil {
				return err
			}
			take(cells{t, row})
		}
		return nil
	}
	for _, table := range []string{schemas.Organizations, schemas.Departments, schemas.Groups} {
		if err := scan(table, func(c cells) {
			names[c.row.ID.String()], units[c.row.Key] = c.row.Key, c.text("name")
		}); err != nil {
			return nil, nil, err
		}
	}
	owner := map[string]string{}
	if err := scan(schemas.Users, func(c cells) {
		k := &known{person: person{login: c.text("username"), email: c.text("email"), first: c.text("first_name"), roles: setOf(c.list("realm_roles")...), groups: set{}, places: set{}}}
		k.enabled, _ = c.get("enabled").(bool)
		attributes, _ := c.get("attributes").(map[string][]string)
		k.title, k.desk = one(attributes["title"]), one(attributes["desk"])
		born, _ := c.get("created_at").(int64)
		k.born = born / 1000
		for _, g := range c.list("groups") {
			k.groups.add(names[g])
		}
		out[c.row.Key] = k
		owner[c.row.ID.String()] = c.row.Key
	}); err != nil {
		return nil, nil, err
	}
	if err := scan(schemas.Memberships, func(c cells) {
		if k := out[owner[c.text("user")]]; k != nil {
			k.places.add(placeOf(c))
		}
	}); err != nil {
		return nil, nil, err
	}
	err = scan(schemas.Credentials, func(c cells) {
		if k := out[owner[c.text("user")]]; k != nil {
			at, _ := c.get("changed_at").(int64)
			k.pw = &password{date: at / 1000}
		}
	})
	return out, units, err
}

// placeOf finds the place of a membership by the ids of the few that there are.
func placeOf(c cells) string {
	want := c.text("department")
	table := schemas.Departments
	if want == "" {
		want, table = c.text("organization"), schemas.Organizations
	}
	for _, p := range places {
		if schemas.NewRowID(namespace, table, p).String() == want {
			return p
		}
	}
	return "?"
}

// assigned reads who is in which wave.
func (s *sequence) assigned(ctx context.Context, p *session) (map[string]string, error) {
	out := map[string]string{}
	for _, w := range waveNames {
		if err := p.WaveUsers(ctx, w, func(u pipelines.AssignedUser) error { out[u.Key] = w; return nil }); err != nil {
			return nil, err
		}
	}
	return out, nil
}
