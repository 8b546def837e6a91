package load_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/loadtest"
	"github.com/parallelrun/parallelrun/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// village is a population that needs every kind of operation: some users are
// in the target and change, some are gone, the others are new.
func village(users int) *states {
	s := newStates()
	structure := func(side string) {
		s.parse(side, `
organization meridian alias=meridian name=Meridian enabled=true
department sales organization=meridian name=Sales
department north organization=meridian parent=sales name=North
group staff name=staff`)
	}
	structure("base")
	structure("observed")
	structure("desired")
	s.parse("base", "department old organization=meridian name=Old")
	s.parse("observed", "department old organization=meridian name=Old")
	s.parse("desired", `
organization lumen alias=lumen name=Lumen enabled=true
department a organization=lumen name=A
department a1 organization=lumen parent=a name=A1
group g name=g
group g1 name=g1 parent=g`)
	for i := range users {
		name := fmt.Sprintf("u%03d", i)
		was := fmt.Sprintf("user %s enabled=true first_name=Old\ncredential %s/password type=password secret=old changed_at=1\nmembership %s/old organization=meridian department=sales", name, name, name)
		now := fmt.Sprintf("user %s enabled=true first_name=New groups=g1 realm_roles=reader\ncredential %s/password type=password secret=new changed_at=2\nmembership %s/new organization=lumen department=a1 roles=lead\nmembership %s/home organization=meridian", name, name, name, name)
		switch i % 5 {
		case 0: // changes
			s.parse("base", was)
			s.parse("observed", was)
			s.parse("desired", now)
		case 1: // gone
			s.parse("base", was)
			s.parse("observed", was)
		default:
			s.parse("desired", now)
		}
	}
	return s
}

var noBrake = load.PlanOptions{Brake: load.BrakeOptions{Limits: map[load.BrakeKind]load.BrakeLimit{}}, RangeOps: 7}

// reference is what an undisturbed load of the village comes to.
func reference(tb testing.TB, users int) (dump string, base string) {
	tb.Helper()
	s := village(users)
	p := s.plan(tb, "run", noBrake)
	res, err := s.load(tb, p, load.LoadOptions{Concurrency: 1})
	if err != nil {
		tb.Fatal(err)
	}
	if res.Counts[schemas.Users].Classes[load.Failed]+res.Counts[schemas.Users].Classes[load.InDoubt] != 0 {
		tb.Fatalf("undisturbed load failed rows: %v", res.Messages)
	}
	return s.target.Dump(), s.fold(tb, p).Digest().String()
}

// settled fails the test unless the target is as after an undisturbed load, the
// next base too, and a further plan finds nothing to do.
func settled(t *testing.T, s *states, p planned, wantDump, wantBase string) {
	t.Helper()
	s.target.Wait()
	if diff := cmp.Diff(wantDump, s.target.Dump()); diff != "" {
		t.Fatalf("target (-undisturbed +this):\n%s", diff)
	}
	if v := s.target.Violations(); len(v) > 0 {
		t.Fatalf("violations: %v", v)
	}
	next := s.fold(t, p)
	if got := next.Digest().String(); got != wantBase {
		t.Fatalf("next base differs from that of an undisturbed load")
	}
	again := &states{base: next, desired: s.desired, target: s.target, structure: true}
	if second := again.plan(t, "second", noBrake); second.Operations != 0 {
		t.Fatalf("a second plan has work to do:\n%s", describe(t, second))
	}
}

// Whatever the concurrency, the batches and the ranges: the same target and the
// same base.
func TestLoadIsTheSameHoweverItIsCut(t *testing.T) {
	const users = 60
	dump, base := reference(t, users)
	for _, concurrency := range []int{1, 4, 16} {
		for _, batch := range []int{1, 3, 20} {
			for _, ops := range []int{1, 10, 500} {
				t.Run(fmt.Sprintf("concurrency=%d/batch=%d/range=%d", concurrency, batch, ops), func(t *testing.T) {
					s := village(users)
					o := noBrake
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

// Ranges are worked on at the same time, but the rows of one user never are.
func TestOneUsersOperationsNeverOverlap(t *testing.T) {
	s := village(30)
	o := noBrake
	o.RangeOps = 1
	p := s.plan(t, "run", o)
	s.target.Fault = func(loadtest.Call) loadtest.Fault { return loadtest.Fault{Slow: 2 * time.Millisecond} }
	if _, err := s.load(t, p, load.LoadOptions{Concurrency: 16}); err != nil {
		t.Fatal(err)
	}
	if v := s.target.Violations(); len(v) > 0 {
		t.Errorf("violations: %v", v)
	}
}

// A fault at call 0, then 1, then 2, until a load has no such call: each time
// the load comes to the same end by itself.
func TestLoadSurvivesOneFaultAnywhere(t *testing.T) {
	const users = 20
	dump, base := reference(t, users)
	faults := map[string]loadtest.Fault{
		"busy":          {Refuse: loadtest.Refusal(load.Transient, 503, "busy")},
		"error":         {Refuse: loadtest.Refusal(load.Unknown, 500, "unknown_error")},
		"nothing sent":  {Refuse: loadtest.ErrGone("request")},
		"reply dropped": {Lose: true},
		"commits late":  {Late: 15 * time.Millisecond},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			for n := int64(1); ; n++ {
				s := village(users)
				p := s.plan(t, "run", noBrake)
				before, _ := s.target.Calls()
				hit := false
				s.target.Fault = func(c loadtest.Call) loadtest.Fault {
					if c.N == before+n && !(c.Op == "observe" && fault.Refuse == nil) {
						hit = true
						return fault
					}
					return loadtest.Fault{}
				}
				if _, err := s.load(t, p, load.LoadOptions{Concurrency: 1}); err != nil {
					t.Fatalf("call %d: %v", n, err)
				}
				s.target.Fault = nil
				settled(t, s, p, dump, base)
				calls, _ := s.target.Calls()
				if !hit && calls < before+n {
					return
				}
			}
		})
	}
}

// Many random faults at once, with several workers.
func TestLoadSurvivesChaos(t *testing.T) {
	const users = 40
	dump, base := reference(t, users)
	for seed := range uint64(20) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			s := village(users)
			p := s.plan(t, "run", noBrake)
			var mu sync.Mutex
			rnd := rand.New(rand.NewPCG(seed, 1))
			s.target.Fault = func(c loadtest.Call) loadtest.Fault {
				mu.Lock()
				defer mu.Unlock()
				if c.Op == "observe" {
					if rnd.IntN(10) == 0 {
						return loadtest.Fault{Refuse: loadtest.Refusal(load.Transient, 503, "busy")}
					}
					return loadtest.Fault{}
				}
				switch rnd.IntN(12) {
				case 0:
					return loadtest.Fault{Refuse: loadtest.Refusal(load.Transient, 429, "slow down")}
				case 1:
					return loadtest.Fault{Lose: true}
				case 2:
					return loadtest.Fault{Late: time.Duration(rnd.IntN(15)) * time.Millisecond}
				}
				return loadtest.Fault{}
			}
			res, err := s.load(t, p, load.LoadOptions{Concurrency: 8})
			if err != nil {
				t.Fatal(err)
			}
			if len(res.Failures) > 0 {
				t.Fatalf("failures: %+v", res.Failures)
			}
			s.target.Fault = nil
			settled(t, s, p, dump, base)
		})
	}
}

// crash runs a load that dies at call n: what is durable then (the store's
// files, the bytes of the local log) is all that the resume has. Requests in
// flight are carried out all the same if commit says so.
func crash(t *testing.T, s *states, p planned, n int64, commit bool, o load.LoadOptions) (died bool) {
	t.Helper()
	in := s.loadInput(t, p, o)
	in.Options.Retry = load.FastPolicy()
	durable := t.TempDir()
	before, _ := s.target.Calls()
	killed := errors.New("killed")
	var dead atomic.Bool
	var once sync.Once
	var last loadtest.Call
	p.files.OnPut = func(string) error {
		if dead.Load() {
			return killed
		}
		return nil
	}
	s.target.Fault = func(c loadtest.Call) loadtest.Fault {
		if c.N >= before+n {
			once.Do(func() {
				dead.Store(true)
				last = c
				copyDir(t, in.LedgerDir, durable)
			})
			if commit && c.N == before+n {
				return loadtest.Fault{Lose: true}
			}
			return loadtest.Fault{Refuse: killed}
		}
		return loadtest.Fault{}
	}
	in.Lease = func(context.Context) error {
		if dead.Load() {
			return killed
		}
		return nil
	}
	_, err := load.Load(t.Context(), in)
	s.target.Fault, p.files.OnPut = nil, nil
	if !dead.Load() {
		if err != nil {
			t.Fatal(err)
		}
		return false
	}
	in = s.loadInput(t, p, o)
	in.LedgerDir, in.Options.Retry = durable, load.FastPolicy()
	var mu sync.Mutex
	looked := map[schemas.RowID]bool{}
	s.target.Fault = func(c loadtest.Call) loadtest.Fault {
		mu.Lock()
		defer mu.Unlock()
		for _, u := range c.Users {
			if c.Op != "observe" && !looked[u] && slices.Contains(last.Users, u) {
				t.Errorf("resume after a crash at call %d: %q was sent before its users were looked up", n, c.Op)
			}
			looked[u] = true
		}
		return loadtest.Fault{}
	}
	if _, err := load.Load(t.Context(), in); err != nil {
		t.Fatalf("resume after a crash at call %d: %v", n, err)
	}
	s.target.Fault = nil
	return true
}

func copyDir(t *testing.T, from, to string) {
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Error(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), data, 0o600); err != nil {
			t.Error(err)
		}
	}
}

// Killed at every request, before it arrives or after it was committed, then
// resumed: nothing lost, nothing doubled.
func TestResumeAfterACrashAnywhere(t *testing.T) {
	const users = 20
	dump, base := reference(t, users)
	for _, commit := range []bool{false, true} {
		for _, concurrency := range []int{1, 4} {
			t.Run(fmt.Sprintf("commit=%v/concurrency=%d", commit, concurrency), func(t *testing.T) {
				for n := int64(1); ; n++ {
					s := village(users)
					p := s.plan(t, "run", noBrake)
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

// The machine is lost with its local log: the segments and look-ups are enough.
func TestResumeOnAnotherMachine(t *testing.T) {
	const users = 30
	dump, base := reference(t, users)
	for n := int64(3); n < 60; n += 7 {
		s := village(users)
		p := s.plan(t, "run", noBrake)
		in := s.loadInput(t, p, load.LoadOptions{SegmentOutcomes: 5})
		in.Options.Retry = load.FastPolicy()
		ctx, cancel := context.WithCancel(t.Context())
		before, _ := s.target.Calls()
		s.target.Fault = func(c loadtest.Call) loadtest.Fault {
			if c.N >= before+n {
				cancel()
			}
			return loadtest.Fault{}
		}
		_, err := load.Load(ctx, in)
		cancel()
		if err != nil && !errors.Is(err, load.ErrInterrupted) {
			t.Fatal(err)
		}
		s.target.Fault = nil
		if _, err := s.load(t, p, load.LoadOptions{}); err != nil { // a new ledger directory
			t.Fatal(err)
		}
		settled(t, s, p, dump, base)
	}
}

// Told to stop: nothing more is sent, what was in flight is recorded, and the
// resume has nothing to look up but what was recorded and not sent.
func TestStopRecordsWhatIsInFlight(t *testing.T) {
	s := village(40)
	p := s.plan(t, "run", noBrake)
	in := s.loadInput(t, p, load.LoadOptions{Concurrency: 4})
	in.Options.Retry = load.FastPolicy()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before, _ := s.target.Calls()
	s.target.Fault = func(c loadtest.Call) loadtest.Fault {
		if c.N == before+12 {
			cancel()
		}
		return loadtest.Fault{Slow: 5 * time.Millisecond}
	}
	res, err := load.Load(ctx, in)
	if !errors.Is(err, load.ErrInterrupted) {
		t.Fatalf("got %v", err)
	}
	calls, _ := s.target.Calls()
	if calls > before+16 {
		t.Errorf("%d requests were sent after the stop", calls-before-12)
	}
	done := int64(0)
	for _, c := range res.Counts {
		done += c.Sum() - c.Classes[load.InDoubt] - c.Classes[load.Unchanged]
	}
	if done == 0 || res.Counts[schemas.Users].Classes[load.InDoubt] == 0 {
		t.Errorf("counts after a stop: %v", res.Counts[schemas.Users])
	}
	if err := res.Counts.Check(); err != nil {
		t.Error(err)
	}
}

// Rows that the target refuses fail alone; what needs them fails with a reason
// and is not sent.
func TestGuiltyRowsFailAlone(t *testing.T) {
	s := village(60)
	s.target.Poison = map[string]error{
		"u002": loadtest.Refusal(load.Unknown, 500, "unknown_error"),
		"u017": loadtest.Refusal(load.Permanent, 400, "bad attribute"),
		"a":    loadtest.Refusal(load.Permanent, 400, "bad name"),
	}
	p := s.plan(t, "run", noBrake)
	stranger := row(schemas.Users, "", "username=u023")
	stranger.ID = load.ForeignRowID("made after the plan")
	s.target.Seed(schemas.Users, stranger)

	res, err := s.load(t, p, load.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Counts[schemas.Users].Classes; got[load.Failed] != 3 || got[load.Created] != 33 {
		t.Errorf("users: %v", got)
	}
	if got := res.Counts[schemas.Credentials].Classes; got[load.Failed] != 3 {
		t.Errorf("credentials: %v", got)
	}
	if got := res.Counts[schemas.Departments].Classes; got[load.Failed] != 2 {
		t.Errorf("departments: %v", got)
	}
	reasons := map[string]string{}
	for _, o := range res.Failures {
		reasons[o.Key] = o.Message
	}
	for key, want := range map[string]string{
		"u002": "unknown_error", "u017": "bad attribute", "u023": "an account with the same username is already there",
		"a1": "its parent failed", "u002/home": "its user failed", "u003/new": "its department failed",
	} {
		if !strings.Contains(reasons[key], want) {
			t.Errorf("%s: %q, want %q", key, reasons[key], want)
		}
	}
	next := s.fold(t, p)
	if _, there := next.Row(schemas.Users, rowID(schemas.Users, "u002")); there {
		t.Error("a user that failed is in base")
	}
	if v := s.target.Violations(); len(v) > 0 {
		t.Errorf("violations: %v", v)
	}
}

// Names move on: anna takes bert's, bert carl's, and a new user anna's.
func TestRenamesThatFollowEachOther(t *testing.T) {
	for _, concurrency := range []int{1, 4} {
		s := newStates()
		for _, side := range []string{"base", "observed"} {
			s.parse(side, "user 1 username=anna enabled=true\nuser 2 username=bert enabled=true\nuser 3 username=carl enabled=true")
		}
		s.parse("desired", "user 1 username=bert enabled=true\nuser 2 username=carl enabled=true\nuser 3 username=dora enabled=true\nuser 4 username=emil enabled=true")
		p := s.plan(t, "run", noBrake)
		res, err := s.load(t, p, load.LoadOptions{Concurrency: concurrency})
		if err != nil || len(res.Failures) > 0 {
			t.Fatalf("%v, failures %+v", err, res)
		}
		again := &states{base: s.fold(t, p), desired: s.desired, target: s.target, structure: true}
		if second := again.plan(t, "second", noBrake); second.Operations != 0 {
			t.Errorf("a second plan has work to do:\n%s", describe(t, second))
		}
	}
}

// A failed update keeps the old base, so that the next plan tries again.
func TestFailedUpdateKeepsItsBase(t *testing.T) {
	s := village(10)
	s.target.Poison = map[string]error{"u000": loadtest.Refusal(load.Permanent, 400, "no")}
	p := s.plan(t, "run", noBrake)
	if _, err := s.load(t, p, load.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	next := s.fold(t, p)
	got, _ := next.Row(schemas.Users, rowID(schemas.Users, "u000"))
	shape := shapes[schemas.Users]
	if got.Values[shape.Column("first_name")] != "Old" {
		t.Error("base took in a failed update")
	}
	s.target.Poison = nil
	again := &states{base: next, desired: s.desired, target: s.target, structure: true}
	second := again.plan(t, "second", noBrake)
	if second.Counts[schemas.Users].Classes[load.Updated] != 1 {
		t.Errorf("second plan: %s", describe(t, second))
	}
}

func TestStops(t *testing.T) {
	lost := errors.New("lease was taken over")
	cases := map[string]struct {
		fault func(n int64) loadtest.Fault
		lease func(n int64) error
		want  error
	}{
		"token refused": {fault: func(n int64) loadtest.Fault {
			if n > 5 {
				return loadtest.Fault{Refuse: loadtest.Refusal(load.Setup, 401, "token refused")}
			}
			return loadtest.Fault{}
		}},
		"unreachable": {fault: func(n int64) loadtest.Fault {
			if n > 5 {
				return loadtest.Fault{Refuse: loadtest.Refusal(load.Transient, 0, "connection refused")}
			}
			return loadtest.Fault{}
		}, want: load.ErrUnavailable},
		"lease lost": {lease: func(n int64) error {
			if n > 5 {
				return lost
			}
			return nil
		}, want: lost},
	}
	dump, base := reference(t, 20)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := village(20)
			p := s.plan(t, "run", noBrake)
			in := s.loadInput(t, p, load.LoadOptions{Concurrency: 2})
			in.Options.Retry = load.FastPolicy()
			var n atomic.Int64
			s.target.Fault = func(loadtest.Call) loadtest.Fault {
				if c.fault == nil {
					return loadtest.Fault{}
				}
				return c.fault(n.Add(1))
			}
			if c.lease != nil {
				in.Lease = func(context.Context) error { return c.lease(n.Add(1)) }
			}
			_, err := load.Load(t.Context(), in)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("got %v", err)
			}
			s.target.Fault = nil
			if _, err := s.load(t, p, load.LoadOptions{}); err != nil {
				t.Fatalf("resume: %v", err)
			}
			settled(t, s, p, dump, base)
		})
	}
}

// A plan that was edited, one for another base, and one that changes too much
// are refused before anything is sent.
func TestPlansThatAreRefused(t *testing.T) {
	s := village(20)
	p := s.plan(t, "run", noBrake)
	calls, _ := s.target.Calls()
	refused := func(name string, in load.LoadInput, want error) {
		t.Helper()
		_, err := load.Load(t.Context(), in)
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	in := s.loadInput(t, p, load.LoadOptions{})
	in.TargetName = "staging"
	refused("another target", in, load.ErrPlanStale)
	in = s.loadInput(t, p, load.LoadOptions{})
	in.Base = load.Empty
	refused("another base", in, load.ErrPlanStale)
	in = s.loadInput(t, p, load.LoadOptions{})
	in.Effective = s.desired
	refused("another effective", in, load.ErrPlanStale)

	for i := range p.Ranges {
		p.files.Tamper("runs/run/plan/"+p.Ranges[i].File, func(b []byte) []byte {
			return []byte(strings.Replace(string(b), `"kind":"create"`, `"kind":"delete"`, 1))
		})
	}
	refused("edited operations", s.loadInput(t, p, load.LoadOptions{}), load.ErrPlanDamaged)
	p.files.Tamper("runs/run/plan/plan.json", func(b []byte) []byte {
		return []byte(strings.Replace(string(b), `"target": "live"`, `"target": "other"`, 1))
	})
	if _, err := load.OpenPlan(t.Context(), p.files, "run"); !errors.Is(err, load.ErrPlanDamaged) {
		t.Errorf("edited manifest: got %v", err)
	}

	var be *load.BrakeError
	b := village(120)
	pb := b.plan(t, "run", load.PlanOptions{})
	if _, err := b.load(t, pb, load.LoadOptions{}); !errors.As(err, &be) || !strings.Contains(err.Error(), "no longer in legacy: 24") {
		t.Errorf("brake: %v", err)
	}
	if _, writes := b.target.Calls(); writes != 0 {
		t.Errorf("%d writes in spite of the brake", writes)
	}
	if _, err := b.load(t, pb, load.LoadOptions{OverrideBrake: true}); err != nil {
		t.Errorf("overridden: %v", err)
	}
	if now, _ := s.target.Calls(); now != calls {
		t.Errorf("%d requests for plans that were refused", now-calls)
	}
}

// A source that yields nobody any more is braked, whatever the limits.
func TestEmptySourceIsBraked(t *testing.T) {
	s := newStates()
	s.parse("base", "user anna enabled=true")
	s.parse("observed", "user anna enabled=true")
	if p := s.plan(t, "run", load.PlanOptions{}); p.BrakeErr() == nil {
		t.Error("no brake")
	}
}

// After an update that nobody answered, the user is left alone until the update
// shows or can no longer happen: an older write never lands on a newer one.
func TestUnknownUpdateIsWaitedFor(t *testing.T) {
	s := newStates()
	s.parse("base", "user anna enabled=true first_name=Anna")
	s.parse("observed", "user anna enabled=true first_name=Anna")
	s.parse("desired", "user anna enabled=true first_name=Anne")
	p := s.plan(t, "run", noBrake)
	var writes atomic.Int64
	s.target.Fault = func(c loadtest.Call) loadtest.Fault {
		if c.Op == "update users" && writes.Add(1) == 1 {
			return loadtest.Fault{Late: 10 * time.Millisecond}
		}
		return loadtest.Fault{}
	}
	if _, err := s.load(t, p, load.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := writes.Load(); n != 1 {
		t.Errorf("%d updates were sent, want 1: the first was on its way", n)
	}
}

// A target that is busy in the middle of a row, time and again, is tried again:
// the row is not refused.
func TestBusyInTheMiddleOfARow(t *testing.T) {
	s := newStates()
	s.parse("desired", "organization acme alias=acme name=Acme\ndepartment sales organization=acme name=Sales path=/Sales")
	p := s.plan(t, "run", noBrake)
	var creates atomic.Int64
	s.target.Fault = func(c loadtest.Call) loadtest.Fault {
		if c.Op == "create departments" && creates.Add(1) <= 4 {
			return loadtest.Fault{Refuse: loadtest.Refusal(load.Unknown, http.StatusServiceUnavailable, "busy")}
		}
		return loadtest.Fault{}
	}
	res, err := s.load(t, p, load.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Counts[schemas.Departments].Classes; got[load.Created] != 1 || creates.Load() != 5 {
		t.Errorf("departments: %v after %d tries", got, creates.Load())
	}
}

// The ledger's log may be cut at any byte: what is whole before it counts.
func TestLedgerToleratesATornTail(t *testing.T) {
	s := village(10)
	p := s.plan(t, "run", noBrake)
	in := s.loadInput(t, p, load.LoadOptions{})
	in.Options.Retry = load.FastPolicy()
	if _, err := load.Load(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(in.LedgerDir, "run.ledger")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ops := slices.Collect(func(yield func(load.Operation) bool) {
		for op, err := range p.AllOperations(t.Context(), p.files) {
			if err != nil || !yield(op) {
				return
			}
		}
	})
	last := -1
	for cut := len(whole); cut >= 0; cut -= 1 + len(whole)/97 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "run.ledger"), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := load.OpenLedger(t.Context(), dir, &loadtest.Files{}, p.Manifest)
		if err != nil {
			t.Fatalf("cut at %d of %d: %v", cut, len(whole), err)
		}
		known := 0
		for _, op := range ops {
			if _, ok := l.Result(&op); ok {
				known++
			}
		}
		if last >= 0 && known > last {
			t.Fatalf("cut at %d: %d outcomes, more than before", cut, known)
		}
		last = known
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if last != 0 {
		t.Errorf("an empty log has %d outcomes", last)
	}
	other := *p.Manifest
	other.Digest[0]++
	if _, err := load.OpenLedger(t.Context(), in.LedgerDir, &loadtest.Files{}, &other); !errors.Is(err, load.ErrForeignLog) {
		t.Errorf("log of another plan: %v", err)
	}
}
