package load_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// town is forty people of two departments who stand in base and target; each of
// the first n is changed in legacy.
func town(n int, was, now string) *states {
	s := newStates()
	structure := "organization acme alias=acme name=Acme\ndepartment sales organization=acme name=Sales path=/Sales\ndepartment dev organization=acme name=Dev path=/Dev\n"
	for _, side := range []string{"base", "observed", "desired"} {
		s.parse(side, structure)
	}
	for i := range 40 {
		department := "sales"
		if i%4 == 0 {
			department = "dev"
		}
		user := func(words string) string {
			return fmt.Sprintf("user u%02d created_at=%d %s\nmembership u%02d/m organization=acme department=%s", i, i, words, i, department)
		}
		legacy := was
		if i < n {
			legacy = now
		}
		s.parse("base", user(was))
		s.parse("observed", user(was))
		if legacy != "" {
			s.parse("desired", user(legacy))
		}
	}
	return s
}

// limited is a plan's options with one limit, or none.
func limited(kind load.BrakeKind, rows int64, ratio float64) load.PlanOptions {
	o := load.PlanOptions{Brake: load.BrakeOptions{Limits: map[load.BrakeKind]load.BrakeLimit{kind: {Rows: rows, Ratio: ratio}}}}
	o.Brake.Sources = map[string][]string{schemas.Users: {"people"}}
	return o
}

// Each kind of change has a limit of its own, and a plan that passes it says
// how many rows, why, where and from which table.
func TestBrakeKinds(t *testing.T) {
	cases := []struct {
		kind     load.BrakeKind
		was, now string
		want     string
	}{
		{load.BrakeUpdates, "enabled=true first_name=A locale=de", "enabled=true first_name=B locale=en", `
users: 12 of 40 would be changed, limit 8 rows and 20 % (updates)
  why:   first_name changed: 12; locale changed: 12
  where: acme/Sales: 9; acme/Dev: 3
  from:  people`},
		{load.BrakeDisables, "enabled=true", "enabled=false", `
users: 12 of 40 would be disabled, limit 8 rows and 20 % (disables)
  why:   disabled in legacy: 12
  where: acme/Sales: 9; acme/Dev: 3
  from:  people`},
		{load.BrakeDisables, "enabled=true", "", `
users: 12 of 40 would be disabled, limit 8 rows and 20 % (disables)
  why:   no longer in legacy: 12
  where: acme/Sales: 9; acme/Dev: 3
  from:  people`},
		{load.BrakeDeletes, "enabled=true", "", `
memberships: 12 of 40 would be deleted, limit 8 rows and 20 % (deletes)
  why:   no longer in legacy: 12
  where: acme/Sales: 9; acme/Dev: 3`},
		{load.BrakeEnables, "enabled=false", "enabled=true", `
users: 12 of 40 would be enabled, limit 8 rows and 20 % (enables)
  why:   enabled in legacy: 12
  where: acme/Sales: 9; acme/Dev: 3
  from:  people`},
		{load.BrakeGrants, "enabled=true", "enabled=true realm_roles=admin", `
users: 12 of 40 would be given more access, limit 8 rows and 20 % (grants)
  why:   more roles: 12
  where: acme/Sales: 9; acme/Dev: 3
  from:  people`},
	}
	for _, c := range cases {
		t.Run(string(c.kind), func(t *testing.T) {
			s := town(12, c.was, c.now)
			if got := brakeText(s.plan(t, "run", limited(c.kind, 8, 0.2))); got != strings.TrimPrefix(c.want, "\n") {
				t.Errorf("(-want +got):\n%s", cmp.Diff(strings.TrimPrefix(c.want, "\n"), got))
			}
			for _, other := range load.BrakeKinds {
				// An enable is an update too, and who is gone leaves departments.
				if other == c.kind || other == load.BrakeUpdates || c.now == "" {
					continue
				}
				if got := brakeText(s.plan(t, "run", limited(other, 0, 0))); got != "" {
					t.Errorf("%s: %s", other, got)
				}
			}
		})
	}
}

func brakeText(p planned) string {
	var lines []string
	for i := range p.Brakes {
		lines = append(lines, p.Brakes[i].Lines()...)
	}
	return strings.Join(lines, "\n")
}

// A limit is passed only when both its rows and its share are.
func TestBrakeLimits(t *testing.T) {
	for _, c := range []struct {
		rows  int64
		ratio float64
		stops bool
	}{
		{12, 0.1, false}, // no more than the rows
		{11, 0.1, true},
		{11, 0.3, false}, // no more than the share
		{11, 0.29, true},
		{0, 0, true},
	} {
		s := town(12, "enabled=true", "enabled=false")
		if got := s.plan(t, "run", limited(load.BrakeDisables, c.rows, c.ratio)).BrakeErr() != nil; got != c.stops {
			t.Errorf("12 of 40 with a limit of %d rows and %g: stops %v, want %v", c.rows, c.ratio, got, c.stops)
		}
	}
}

// In a wave the share is of the wave: 12 of its 16 stop, though they are few of
// the forty there are, and the others' changes count nowhere.
func TestBrakeOfAWave(t *testing.T) {
	for _, c := range []struct {
		name, now string
		options   load.PlanOptions
		want      string
	}{
		{"users", "enabled=false", limited(load.BrakeDisables, 8, 0.5), "users: 12 of 16 in this run's reach would be disabled, limit 8 rows and 50 % (disables)\n  why:   disabled in legacy: 12\n  where: acme/Sales: 9; acme/Dev: 3\n  from:  people"},
		{"not more than the wave's share", "enabled=false", limited(load.BrakeDisables, 8, 0.75), ""},
		{"memberships", "", limited(load.BrakeDeletes, 8, 0.5), "memberships: 12 of 16 in this run's reach would be deleted, limit 8 rows and 50 % (deletes)\n  why:   no longer in legacy: 12\n  where: acme/Sales: 9; acme/Dev: 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := town(12, "enabled=true", c.now)
			s.reach.Waves = []string{"pilot"}
			for i := range 40 {
				wave := "pilot"
				if i >= 16 {
					wave = "rest"
				}
				s.parse("assignment", fmt.Sprintf("wave %s u%02d", wave, i))
			}
			if diff := cmp.Diff(c.want, brakeText(s.plan(t, "run", c.options))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if text := brakeText(town(12, "enabled=true", c.now).plan(t, "run", c.options)); text != "" {
				t.Errorf("stopped in a run for all: %s", text)
			}
		})
	}
}

// The structure that a wave needs is measured by itself as well.
func TestBrakeOfAWavesStructure(t *testing.T) {
	s := newStates()
	o := limited(load.BrakeUpdates, 0, 0.5)
	for _, side := range []string{"base", "observed", "desired"} {
		s.parse(side, "organization acme alias=acme name=Acme")
		for i := range 30 {
			name := fmt.Sprintf("D%d", i)
			if side == "desired" && i < 2 {
				name = "Renamed"
			}
			s.parse(side, fmt.Sprintf("department d%d organization=acme name=%s path=/%s%d\nuser u%d enabled=true\nmembership u%d/m organization=acme department=d%d", i, name, name, i, i, i, i))
		}
	}
	s.reach.Waves = []string{"pilot"}
	s.parse("assignment", "wave pilot u0 u1")
	want := "departments: 2 of 2 in this run's reach would be changed, limit 0 rows and 50 % (updates)"
	if got, _, _ := strings.Cut(brakeText(s.plan(t, "run", o)), "\n"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// An entity's own limit replaces that of all.
func TestBrakeOfOneEntity(t *testing.T) {
	s := town(12, "enabled=true", "enabled=false")
	o := limited(load.BrakeDisables, 0, 0)
	o.Brake.Entities = map[string]map[load.BrakeKind]load.BrakeLimit{schemas.Users: {load.BrakeDisables: {Rows: 20}}}
	if err := s.plan(t, "run", o).BrakeErr(); err != nil {
		t.Error(err)
	}
	o = limited(load.BrakeDisables, 100, 1)
	o.Brake.Entities = map[string]map[load.BrakeKind]load.BrakeLimit{schemas.Users: {load.BrakeDisables: {Rows: 5}}}
	if s.plan(t, "run", o).BrakeErr() == nil {
		t.Error("the users' own limit does not hold")
	}
}

// A first load creates everyone and is not stopped, unless creates are limited.
// What is new is no grant.
func TestBrakeOfAFirstLoad(t *testing.T) {
	s := newStates()
	s.parse("desired", "organization acme alias=acme name=Acme")
	for i := range 40 {
		s.parse("desired", fmt.Sprintf("user u%d enabled=true realm_roles=admin\nmembership u%d/m organization=acme", i, i))
	}
	if err := s.plan(t, "run", load.PlanOptions{}).BrakeErr(); err != nil {
		t.Errorf("a first load is stopped: %v", err)
	}
	want := "users: 40 of 0 would be created, limit 10 rows and 0 % (creates)\n  why:   new in legacy: 40\n  where: acme, no department: 40\n  from:  people\n" +
		"memberships: 40 of 0 would be created, limit 10 rows and 0 % (creates)\n  why:   new in legacy: 40\n  where: acme, no department: 40"
	if diff := cmp.Diff(want, brakeText(s.plan(t, "run", limited(load.BrakeCreates, 10, 0)))); diff != "" {
		t.Errorf("limited creates (-want +got):\n%s", diff)
	}
}

// Memberships given to people who are in the target already are grants.
func TestBrakeOfNewMemberships(t *testing.T) {
	s := town(0, "enabled=true", "")
	for i := range 12 {
		s.parse("desired", fmt.Sprintf("membership u%02d/second organization=acme department=dev", i))
	}
	want := "memberships: 12 of 40 would be given more access, limit 8 rows and 20 % (grants)\n  why:   more memberships or links: 12\n  where: acme/Dev: 12"
	if diff := cmp.Diff(want, brakeText(s.plan(t, "run", limited(load.BrakeGrants, 8, 0.2)))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The limits that hold without a word in the configuration.
func TestDefaultBrake(t *testing.T) {
	for _, c := range []struct{ was, now string }{
		{"enabled=true", "enabled=false"}, {"enabled=true", ""}, {"enabled=false", "enabled=true"}, {"enabled=true", "enabled=true realm_roles=admin"},
	} {
		if town(20, c.was, c.now).plan(t, "run", load.PlanOptions{}).BrakeErr() != nil {
			t.Errorf("%q to %q: 20 of 40 are stopped", c.was, c.now)
		}
		if town(21, c.was, c.now).plan(t, "run", load.PlanOptions{}).BrakeErr() == nil {
			t.Errorf("%q to %q: 21 of 40 go through", c.was, c.now)
		}
	}
	if err := town(40, "enabled=true locale=de", "enabled=true locale=en").plan(t, "run", load.PlanOptions{}).BrakeErr(); err != nil {
		t.Errorf("updates have a limit: %v", err)
	}
}
