package pipelines

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
)

// measuredRun leaves the journal of a run on a target: what its load measured,
// and how long folding and verifying took together.
func (r *Runner) measuredRun(t *testing.T, id, target string, after time.Duration, paces ...load.Pace) {
	t.Helper()
	r.stage(t, id, "target/"+target, StageBase, "base "+id)
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	e := &Local{Files: r.Store, RunID: id, Now: func() time.Time { return at }}
	plan, loaded := &Plan{}, &Loaded{Pace: paces, Flying: 4}
	for _, p := range paces {
		plan.Operations += p.Operations
	}
	for _, s := range []struct {
		name   string
		result any
		took   time.Duration
	}{{stepPlan, plan, 0}, {stepLoad, loaded, time.Minute}, {stepFold, 1, after / 2}, {stepVerify, 1, after / 2}} {
		step := Step{Name: s.name, Run: func(context.Context) (any, error) { at = at.Add(s.took); return s.result, nil }}
		if err := e.Do(t.Context(), step, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// pageOf is what show writes, with one space between words.
func pageOf(show func(*ui.Page)) string {
	var b strings.Builder
	show(ui.NewPage(&b, 0))
	return strings.Join(strings.Fields(b.String()), " ")
}

func TestEstimate(t *testing.T) {
	created := func(n int64, seconds float64) load.Pace {
		return load.Pace{Table: schemas.Users, Kind: load.Create, Operations: n, Seconds: seconds}
	}
	linked := func(n int64, seconds float64) load.Pace {
		return load.Pace{Table: schemas.Memberships, Kind: load.Link, Operations: n, Seconds: seconds}
	}
	plan := &Plan{Operations: 1500, Work: load.Work{schemas.Users: {load.Create: 1000}, schemas.Memberships: {load.Link: 500}}}
	cases := []struct {
		name string
		runs func(*Runner)
		plan *Plan
		text []string
	}{
		{"nothing measured", func(*Runner) {}, plan, []string{"how long it will take: not known, nothing was measured yet"}},
		{"a plan without operations", func(r *Runner) { r.measuredRun(t, "r1", "live", time.Second, created(1000, 10)) }, &Plan{}, nil},
		{"as the last run", func(r *Runner) {
			r.measuredRun(t, "r1", "live", time.Second, created(9999, 1), linked(9999, 1))
			r.measuredRun(t, "r2", "live", 30*time.Second, created(2000, 20), linked(1000, 100))
		}, plan, []string{ // 10 s + 50 s + 15 s
			"about 2 min, at the pace of run r2 on target live",
			"users create 1,000 100/s 10.0s over 2,000", "memberships link 500 10/s 50.0s over 1,000", "fold and verify 1,500 100/s 15.0s over 3,000"}},
		{"a few say less than many", func(r *Runner) {
			r.measuredRun(t, "r1", "live", time.Second, created(200, 2), linked(300, 30))
			r.measuredRun(t, "r2", "live", time.Second, linked(3, 30))
			r.measuredRun(t, "r3", "live", time.Second)
		}, plan, []string{"at the pace of run r1 on", "memberships link 500 10/s 50.0s over 300"}},
		{"each kind by the last run that knows it", func(r *Runner) {
			r.measuredRun(t, "r1", "live", time.Second, created(200, 2))
			r.measuredRun(t, "r2", "live", time.Second, linked(300, 30))
		}, plan, []string{"at the pace of runs r2, r1 on"}},
		{"what was never measured is as slow as the slowest", func(r *Runner) {
			r.measuredRun(t, "r1", "live", time.Second, load.Pace{Table: schemas.Organizations, Kind: load.Create, Operations: 2, Seconds: 60}, created(200, 2), linked(300, 30))
		}, &Plan{Operations: 100, Work: load.Work{schemas.Memberships: {load.Unlink: 100}}},
			[]string{"memberships unlink 100 10/s 10.0s never: reckoned as memberships link"}},
		{"another target's runs tell nothing", func(r *Runner) { r.measuredRun(t, "r1", "staging", time.Second, created(200, 2)) }, plan,
			[]string{"not known"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := checkpointRunner(t, &backendtest.Memory{})
			c.runs(r)
			e, err := r.estimate(t.Context(), Record{}, c.plan)
			if err != nil {
				t.Fatal(err)
			}
			got := pageOf(e.text)
			for _, want := range c.text {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in:\n%s", want, got)
				}
			}
			if (got == "") != (c.text == nil) {
				t.Errorf("got %q", got)
			}
		})
	}
}

// A restore into a target where nothing ran yet is reckoned by the runs of the
// target that the checkpoint is of.
func TestEstimateOfAnEmptyTarget(t *testing.T) {
	r := checkpointRunner(t, &backendtest.Memory{})
	r.measuredRun(t, "r1", "live", time.Second, load.Pace{Table: schemas.Users, Kind: load.Create, Operations: 200, Seconds: 2})
	if _, err := r.Checkpoint(t.Context(), "good", "", ""); err != nil {
		t.Fatal(err)
	}
	r.TargetName = "empty"
	plan := &Plan{Operations: 1000, Work: load.Work{schemas.Users: {load.Create: 1000}}}
	e, err := r.estimate(t.Context(), Record{Restore: &Restored{Checkpoint: "good"}}, plan)
	if err != nil {
		t.Fatal(err)
	}
	if got := pageOf(e.text); !strings.Contains(got, "at the pace of run r1 on target live (this one may be faster or slower") {
		t.Error(got)
	}
}
