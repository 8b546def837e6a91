package load_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/loadtest"
	"github.com/parallelrun/parallelrun/schemas"
)

// square is a population whose names change hands: in chains, with new users at
// their ends, in circles of two and three, of login names, of e-mails, of both,
// and of one against the other.
func square() *states {
	s := newStates()
	for _, side := range []string{"base", "observed"} {
		s.parse(side, `
user anna email=anna@x.example enabled=true
user bert email=bert@x.example enabled=true email_verified=true
user carl email=carl@x.example enabled=true
user c1 email=c1@x.example enabled=true first_name=Old
user c2 email=c2@x.example enabled=true first_name=Old
user c3 email=c3@x.example enabled=true first_name=Old
user s1 email=s1@x.example enabled=true first_name=Old
user s2 email=s2@x.example enabled=true first_name=Old
user m1 email=m1@x.example enabled=true first_name=Old
user m2 email=m2@x.example enabled=true first_name=Old
user idle email=idle@x.example enabled=true
user gone email=gone@x.example enabled=true`)
	}
	s.parse("desired", `
user anna username=bert email=carl@x.example enabled=true
user bert username=bert2 email=anna@x.example enabled=true email_verified=false
user carl username=anna email=carl2@x.example enabled=true
user c1 username=c2 email=c2@x.example enabled=true first_name=New
user c2 username=c3 email=c3@x.example enabled=true first_name=New
user c3 username=c1 email=c1@x.example enabled=true first_name=New
user s1 username=s2 email=s2@x.example enabled=false first_name=New
user s2 username=s1 email=s1@x.example enabled=true first_name=New
user m1 username=m2 email=m1b@x.example enabled=true first_name=New
user m2 username=m2b email=m1@x.example enabled=true first_name=New
user idle email=idle@x.example enabled=true
user new1 username=m1 email=bert@x.example enabled=true
user new2 username=carl email=m2@x.example enabled=true
credential new1/password type=password secret=word changed_at=5`)
	return s
}

func squared(tb testing.TB) (dump, base string) {
	tb.Helper()
	s := square()
	p := s.plan(tb, "run", noBrake)
	res, err := s.load(tb, p, load.LoadOptions{Concurrency: 1})
	if err != nil || len(res.Failures) > 0 {
		tb.Fatalf("undisturbed load: %v, failures %+v", err, res.Failures)
	}
	if strings.Contains(s.target.Dump(), "parallelrun.invalid") {
		tb.Fatal("a temporary value stays")
	}
	return s.target.Dump(), s.fold(tb, p).Digest().String()
}

// Names change hands whatever the ranges, batches and workers.
func TestTakeoversHoweverTheyAreCut(t *testing.T) {
	dump, base := squared(t)
	for _, ops := range []int{1, 2, 500} {
		for _, concurrency := range []int{1, 8} {
			for _, batch := range []int{1, 20} {
				t.Run(fmt.Sprintf("range=%d/concurrency=%d/batch=%d", ops, concurrency, batch), func(t *testing.T) {
					s, o := square(), noBrake
					o.RangeOps = ops
					p := s.plan(t, "run", o)
					if _, err := s.load(t, p, load.LoadOptions{Concurrency: concurrency, Batch: batch}); err != nil {
						t.Fatal(err)
					}
					settled(t, s, p, dump, base)
				})
			}
		}
	}
}

// Killed at every request, before it arrives or after it was committed, also
// between a temporary value and the name that follows it, and then resumed.
func TestTakeoversAfterACrashAnywhere(t *testing.T) {
	dump, base := squared(t)
	for _, commit := range []bool{false, true} {
		for _, concurrency := range []int{1, 4} {
			t.Run(fmt.Sprintf("commit=%v/concurrency=%d", commit, concurrency), func(t *testing.T) {
				for n := int64(1); ; n++ {
					s, o := square(), noBrake
					o.RangeOps = 2
					p := s.plan(t, "run", o)
					died := crash(t, s, p, n, commit, load.LoadOptions{Concurrency: concurrency, Batch: 4, SegmentOutcomes: 5})
					settled(t, s, p, dump, base)
					if !died {
						return
					}
				}
			})
		}
	}
}

// One fault at every request: the load comes to the same end by itself.
func TestTakeoversSurviveOneFaultAnywhere(t *testing.T) {
	dump, base := squared(t)
	for name, fault := range map[string]loadtest.Fault{
		"busy":          {Refuse: loadtest.Refusal(load.Transient, 503, "busy")},
		"error":         {Refuse: loadtest.Refusal(load.Unknown, 500, "unknown_error")},
		"reply dropped": {Lose: true},
	} {
		t.Run(name, func(t *testing.T) {
			for n := int64(1); ; n++ {
				s := square()
				p := s.plan(t, "run", noBrake)
				before, _ := s.target.Calls()
				s.target.Fault = func(c loadtest.Call) loadtest.Fault {
					if c.N == before+n && !(c.Op == "observe" && fault.Refuse == nil) {
						return fault
					}
					return loadtest.Fault{}
				}
				if _, err := s.load(t, p, load.LoadOptions{Concurrency: 1}); err != nil {
					t.Fatalf("call %d: %v", n, err)
				}
				s.target.Fault = nil
				calls, _ := s.target.Calls()
				settled(t, s, p, dump, base)
				if calls < before+n {
					return
				}
			}
		})
	}
}

// A run that was killed and never resumed: a new plan finds temporary values,
// takes nobody's word for them, and comes to the same end.
func TestTakeoversAfterACrashWithoutResume(t *testing.T) {
	dump, _ := squared(t)
	killed := errors.New("killed")
	for n := int64(1); ; n++ {
		s := square()
		p := s.plan(t, "run", noBrake)
		before, _ := s.target.Calls()
		s.target.Fault = func(c loadtest.Call) loadtest.Fault {
			if c.N >= before+n {
				return loadtest.Fault{Refuse: killed}
			}
			return loadtest.Fault{}
		}
		_, err := s.load(t, p, load.LoadOptions{Concurrency: 1})
		s.target.Fault = nil
		o := noBrake
		o.Ownership.Fields = map[string]load.Owner{}
		for run := range 3 { // whoever was written already is found as planned
			again := &states{base: s.base, desired: s.desired, target: s.target, structure: true}
			second := again.plan(t, fmt.Sprint("again", run), o)
			if second.Operations == 0 {
				break
			}
			if res, err := again.load(t, second, load.LoadOptions{}); err != nil || len(res.Failures) > 0 {
				t.Fatalf("killed at call %d, then: %v, %+v\n%s", n, err, res.Failures, describe(t, second))
			}
			s.base = again.fold(t, second)
		}
		if got := s.target.Dump(); got != dump {
			t.Fatalf("killed at call %d: the target is\n%s\nnot\n%s", n, got, dump)
		}
		if err == nil {
			return
		}
	}
}

// names are the login name and e-mail of every account of the target.
func accountNames(t *testing.T, s *states) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(s.target.Dump()) {
		if f := strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(line)); f[0] == schemas.Users {
			out[f[1]] = f[2] + " " + f[3]
		}
	}
	return out
}

// Whatever user of a circle the target refuses, and why, nobody keeps a temporary
// value: either all that can go on does, or the names are as they were. When the
// target takes the user, the next run makes it good.
func TestTakeoversOfWhichOneFails(t *testing.T) {
	want, _ := squared(t)
	was := accountNames(t, square())
	is := func() map[string]string {
		s := square()
		if _, err := s.load(t, s.plan(t, "run", noBrake), load.LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		return accountNames(t, s)
	}()
	no := loadtest.Refusal(load.Permanent, 400, "no")
	for _, key := range []string{"anna", "bert", "carl", "c1", "c2", "c3", "s1", "s2", "m1", "m2", "new1"} {
		for why, refuse := range map[string]func(op load.Operation, row schemas.Row) bool{
			"altogether":        func(load.Operation, schemas.Row) bool { return true },
			"for another field": func(op load.Operation, _ schemas.Row) bool { return slices.Contains(op.Columns, "first_name") },
			"for the new name": func(_ load.Operation, row schemas.Row) bool {
				mail, _ := row.Values[slices.IndexFunc(shapes[schemas.Users].Columns, func(c schemas.Column) bool { return c.Name == "email" })].(string)
				return !strings.HasPrefix(mail, key) && !strings.HasSuffix(mail, ".invalid")
			},
		} {
			t.Run(key+" "+why, func(t *testing.T) {
				s := square()
				p := s.plan(t, "run", noBrake)
				s.target.Refuse = func(op load.Operation, row schemas.Row) error {
					if op.Key == key && refuse(op, row) {
						return no
					}
					return nil
				}
				for range 2 { // the second time nothing is left to do
					if _, err := s.load(t, p, load.LoadOptions{Concurrency: 1 + rand.IntN(4)}); err != nil {
						t.Fatal(err)
					}
				}
				for user, names := range accountNames(t, s) {
					if names != was[user] && names != is[user] && !half(names, was[user], is[user]) {
						t.Errorf("%s has %q, had %q, and shall have %q", user, names, was[user], is[user])
					}
				}
				s.base = s.fold(t, p)
				s.target.Refuse = nil
				for run := range 2 {
					again := &states{base: s.base, desired: s.desired, target: s.target, structure: true}
					second := again.plan(t, fmt.Sprint("again", run), noBrake)
					if res, err := again.load(t, second, load.LoadOptions{}); err != nil || len(res.Failures) > 0 {
						t.Fatalf("made good: %v, %+v", err, res.Failures)
					}
					s.base = again.fold(t, second)
				}
				if got := s.target.Dump(); got != want {
					t.Errorf("made good, the target is\n%s\nnot\n%s", got, want)
				}
			})
		}
	}
}

// half says that of two names one is old and one new.
func half(names, was, is string) bool {
	a, b, _ := strings.Cut(names, " ")
	a0, b0, _ := strings.Cut(was, " ")
	a1, b1, _ := strings.Cut(is, " ")
	return (a == a0 || a == a1) && (b == b0 || b == b1)
}

// fair makes a population whose names are dealt anew at random: some users are
// new, gone, rejected or move in another wave.
func fair(rnd *rand.Rand) *states {
	s := newStates()
	const users = 14
	deal := func() (logins, mails []int) { return rnd.Perm(users + 4), rnd.Perm(users + 4) }
	logins, mails := deal()
	was, is := make([]string, users), make([]string, users)
	line := func(i int) string {
		return fmt.Sprintf("user u%d username=n%d email=m%d@x.example enabled=true", i, logins[i], mails[i])
	}
	for i := range users {
		was[i] = line(i)
	}
	for range 1 + rnd.IntN(6) { // some swaps, and names that nobody had
		i, j := rnd.IntN(users), rnd.IntN(users+4)
		logins[i], logins[j] = logins[j], logins[i]
		i, j = rnd.IntN(users), rnd.IntN(users+4)
		mails[i], mails[j] = mails[j], mails[i]
	}
	waved := rnd.IntN(2) == 0
	for i := range users {
		is[i] = line(i)
		if rnd.IntN(8) > 0 {
			s.parse("base", was[i])
			s.parse("observed", was[i])
		}
		switch rnd.IntN(12) {
		case 0: // gone
		case 1:
			s.parse("desired", fmt.Sprintf("rejected user u%d", i))
		default:
			s.parse("desired", is[i])
		}
		if waved {
			s.assign([]string{"pilot", "later"}[rnd.IntN(4)/3], fmt.Sprintf("u%d", i))
		}
	}
	if waved {
		s.reach.Waves = []string{"pilot"}
	}
	return s
}

// However names are dealt anew, and whoever stands out of reach: nothing fails,
// no temporary value stays, the target verifies and a second plan has nothing to
// do.
func TestNamesDealtAnew(t *testing.T) {
	seeds := uint64(400)
	if testing.Short() {
		seeds = 60
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			s := fair(rand.New(rand.NewPCG(seed, 7)))
			p := s.plan(t, "run", noBrake)
			res, err := s.load(t, p, load.LoadOptions{Concurrency: 4})
			if err != nil || len(res.Failures) > 0 {
				t.Fatalf("%v: failures %+v\n%s", err, res.Failures, describe(t, p))
			}
			if strings.Contains(s.target.Dump(), "parallelrun.invalid") {
				t.Fatalf("a temporary value stays:\n%s", describe(t, p))
			}
			again := &states{base: s.fold(t, p), desired: s.desired, target: s.target, structure: true, reach: s.reach}
			second := again.plan(t, "second", noBrake)
			if second.Operations != 0 {
				t.Fatalf("a second plan has work to do:\n%s\nafter\n%s", describe(t, second), describe(t, p))
			}
			for d, err := range load.Verify(t.Context(), load.VerifyInput{Effective: p.effective, Observed: second.observed}) {
				t.Errorf("verify: %v %+v\n%s", err, d, describe(t, p))
			}
		})
	}
}
