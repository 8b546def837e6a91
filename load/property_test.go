package load_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/loadtest"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// gamble makes a small population whose three sides differ at random.
func gamble(rnd *rand.Rand) *states {
	s := newStates()
	some := func(words ...string) string {
		return strings.Join(slices.DeleteFunc(words, func(string) bool { return rnd.IntN(2) == 0 }), ",")
	}
	in := func(side string, percent int, f func()) {
		if rnd.IntN(100) < percent {
			f()
		}
	}
	sides := []string{"base", "desired", "observed"}
	orgs := map[string][]string{}
	for _, side := range sides {
		for _, org := range []string{"meridian", "lumen"} {
			in(side, 85, func() {
				orgs[side] = append(orgs[side], org)
				s.parse(side, fmt.Sprintf("organization %s alias=%s enabled=%v realm_roles=%s", org, org, rnd.IntN(2) == 0, some("x", "y")))
			})
		}
		s.parse(side, "group staff name=staff\ngroup boss name=boss")
	}
	for i := range 12 {
		u := fmt.Sprintf("u%d", i)
		rejected := rnd.IntN(10) == 0
		known := false // a user that nobody asks for can't be seen, and keeps an organization from being empty
		for _, side := range sides {
			if side == "desired" && rejected {
				s.parse(side, "rejected user "+u)
				continue
			}
			if side == "observed" && !known {
				continue
			}
			in(side, 80, func() {
				known = true
				s.parse(side, fmt.Sprintf("user %s enabled=%v first_name=%d realm_roles=%s groups=%s required_actions=%s expires_at=%d",
					u, rnd.IntN(3) > 0, rnd.IntN(2), some("r", "w"), some("staff", "boss"), some("A", "B"), rnd.IntN(3)))
				in(side, 70, func() {
					date := fmt.Sprintf(" changed_at=%d", rnd.IntN(3))
					if side == "desired" && rnd.IntN(3) == 0 {
						date = ""
					}
					s.parse(side, fmt.Sprintf("credential %s/password type=password secret=%d%s", u, rnd.IntN(2), date))
				})
				for _, org := range orgs[side] {
					in(side, 50, func() {
						s.parse(side, fmt.Sprintf("membership %s/%s organization=%s roles=%s", u, org, org, some("lead", "deputy")))
					})
				}
			})
		}
		if rnd.IntN(15) == 0 {
			s.parse("observed", fmt.Sprintf("foreign username=u%d-%d", i, rnd.IntN(100)))
		}
	}
	return s
}

// before is what a snapshot holds in one column of a row.
func before(s *loadtest.State, table string, id schemas.RowID, column string) (v any, there bool) {
	t, ok := s.Table(table)
	if !ok {
		return nil, false
	}
	r, ok := s.Row(table, id)
	if !ok {
		return nil, false
	}
	return r.Values[t.Column(column)], true
}

// Whatever the three sides hold, a plan without permissions never gives more
// than legacy gave since base, and says so; it adds up; and once it is loaded
// and folded, the target verifies and a second plan has nothing to do.
func TestPlansNeverWidenInSilence(t *testing.T) {
	seeds := uint64(400)
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			s := gamble(rand.New(rand.NewPCG(seed, 2)))
			p := s.plan(t, "run", noBrake)
			widened := map[string]bool{}
			for f, err := range p.Findings(t.Context(), p.files, load.ListWidening) {
				if err != nil {
					t.Fatal(err)
				}
				for _, k := range f.Kinds {
					widened[f.Key+" "+k] = true
				}
			}
			for _, table := range []string{schemas.Users, schemas.Organizations} {
				checkSwitch(t, s, p, widened, table)
				checkGrants(t, s, p, widened, table)
			}
			checkLinks(t, s, p, widened)
			checkPasswords(t, s, p)

			res, err := s.load(t, p, load.LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if len(res.Failures) > 0 {
				t.Fatalf("failures: %+v\n%s", res.Failures, describe(t, p))
			}
			again := &states{base: s.fold(t, p), desired: s.desired, target: s.target, structure: true}
			second := again.plan(t, "second", noBrake)
			if second.Operations != 0 {
				t.Fatalf("a second plan has work to do:\n%s\nafter\n%s", describe(t, second), describe(t, p))
			}
			for d, err := range load.Verify(t.Context(), load.VerifyInput{Effective: p.effective, Observed: second.observed}) {
				if err != nil {
					t.Fatal(err)
				}
				t.Errorf("verify: %+v\n%s", d, describe(t, p))
			}
		})
	}
}

func checkSwitch(t *testing.T, s *states, p planned, widened map[string]bool, table string) {
	t.Helper()
	for r := range p.effective.Scan(context.Background(), table, parts.ScanOptions{}) {
		now, there := before(p.observed, table, r.ID, "enabled")
		eff, _ := before(p.effective, table, r.ID, "enabled")
		if !there || eff != true || now != false {
			continue
		}
		base, known := before(s.base, table, r.ID, "enabled")
		if !known || base == true || !widened[r.Key+" enable"] {
			t.Errorf("%s %s is enabled in silence", table, r.Key)
		}
	}
}

func checkGrants(t *testing.T, s *states, p planned, widened map[string]bool, table string) {
	t.Helper()
	kinds := map[string]string{"realm_roles": load.AllowRoles, "groups": load.AllowGroups}
	for r := range p.effective.Scan(context.Background(), table, parts.ScanOptions{}) {
		for column, kind := range kinds {
			shape := shapes[table]
			if shape.Column(column) < 0 {
				continue
			}
			list := func(st *loadtest.State) ([]string, bool) {
				v, there := before(st, table, r.ID, column)
				l, _ := v.([]string)
				return l, there
			}
			eff, _ := list(p.effective)
			now, there := list(p.observed)
			base, known := list(s.base)
			for _, g := range eff {
				if !there || slices.Contains(now, g) {
					continue
				}
				if !known || slices.Contains(base, g) || !widened[r.Key+" "+kind] {
					t.Errorf("%s %s is given %s in silence", table, r.Key, column)
				}
			}
		}
	}
}

func checkLinks(t *testing.T, s *states, p planned, widened map[string]bool) {
	t.Helper()
	for op, err := range p.AllOperations(t.Context(), p.files) {
		if err != nil {
			t.Fatal(err)
		}
		if op.Kind != load.Link {
			continue
		}
		user, _, _ := strings.Cut(op.Key, "/")
		_, userThere := p.observed.Row(schemas.Users, rowID(schemas.Users, user))
		_, inBase := s.base.Row(schemas.Memberships, op.ID)
		if userThere && (inBase || !widened[op.Key+" links"]) {
			t.Errorf("membership %s is brought back in silence", op.Key)
		}
	}
}

func checkPasswords(t *testing.T, s *states, p planned) {
	t.Helper()
	for op, err := range p.AllOperations(t.Context(), p.files) {
		if err != nil {
			t.Fatal(err)
		}
		if op.Table != schemas.Credentials || op.Kind != load.Update {
			continue
		}
		theirs, _ := before(p.observed, op.Table, op.ID, "changed_at")
		ours, _ := before(p.effective, op.Table, op.ID, "changed_at")
		if theirs.(int64) > ours.(int64) {
			t.Errorf("password of %s is replaced by an older one", op.Key)
		}
	}
}

// Whatever the three sides hold, a restore that nobody gave permissions gives
// nobody anything back: not what others took away, not what we took away
// ourselves since the checkpoint. Loaded and folded, a second one has nothing
// to do.
func TestRestoresNeverWiden(t *testing.T) {
	seeds := uint64(400)
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		for _, o := range []load.RestoreOptions{{}, {Overwrite: true}} {
			t.Run(fmt.Sprintf("seed=%d/overwrite=%v", seed, o.Overwrite), func(t *testing.T) {
				s := gamble(rand.New(rand.NewPCG(seed, 3)))
				options := noBrake
				options.Restore = &o
				p := s.plan(t, "run", options)
				if n := len(p.Found[load.ListWidening]); n > 0 {
					t.Fatalf("widens: %v\n%s", p.Found[load.ListWidening], describe(t, p))
				}
				for _, table := range []string{schemas.Users, schemas.Organizations} {
					checkSwitch(t, s, p, nil, table)
					checkGrants(t, s, p, nil, table)
				}
				checkLinks(t, s, p, nil)
				checkPasswords(t, s, p)
				res, err := s.load(t, p, load.LoadOptions{})
				if err != nil || len(res.Failures) > 0 {
					t.Fatalf("%v: failures: %+v\n%s", err, res.Failures, describe(t, p))
				}
				again := &states{base: s.fold(t, p), desired: s.desired, target: s.target, structure: true}
				second := again.plan(t, "second", options)
				if second.Operations != 0 {
					t.Fatalf("a second restore has work to do:\n%s\nafter\n%s", describe(t, second), describe(t, p))
				}
			})
		}
	}
}
