package pipelines

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
)

// kept counts the newest, then the newest of each day and week that has one.
func TestKept(t *testing.T) {
	at := func(text string) time.Time {
		v, err := time.Parse("01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return v.AddDate(2026, 0, 0).UTC()
	}
	// 2026: 11-26 is a Thursday, 11-23 and 11-16 are Mondays.
	times := []time.Time{at("11-26 20:00"), at("11-26 08:00"), at("11-26 07:00"), at("11-25 20:00"), at("11-25 01:00"), at("11-22 23:59"), at("11-16 00:00"), at("11-15 23:59"), at("10-01 12:00")}
	for _, test := range []struct {
		keep config.Keep
		want string // a letter each: last, daily, weekly, no limit, or dropped
	}{
		{config.Keep{}, "nnnnnnnnn"},
		{config.Keep{Last: 2}, "ll-------"},
		{config.Keep{Last: 100}, "lllllllll"},
		{config.Keep{Daily: 3}, "d--d-d---"},
		{config.Keep{Weekly: 3}, "w----w-w-"},
		{config.Keep{Weekly: 4}, "w----w-ww"},
		{config.Keep{Last: 2, Daily: 2, Weekly: 2}, "ll-d-w---"},
	} {
		var got strings.Builder
		for _, why := range kept(test.keep, times) {
			got.WriteString((why + "-")[:1])
		}
		if got.String() != test.want {
			t.Errorf("%+v: got %s, want %s", test.keep, got.String(), test.want)
		}
	}
	// A day is one of UTC, wherever the commit was made.
	zone := time.FixedZone("", 10*3600)
	if got := kept(config.Keep{Daily: 5}, []time.Time{times[0].In(zone), times[1].In(zone)}); got[1] != "" {
		t.Errorf("%q: two of one day in UTC", got)
	}
}

// A run may go on until it has ended, another has moved the base, or another
// plan for the same users came after it.
func TestRunsThatMayGoOn(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 11, n, 3, 0, 0, 0, time.UTC) }
	run := func(id string, n int) runState {
		return runState{Record: Record{ID: id, Target: "live", Migration: "m"}, created: day(n)}
	}
	st := snapshots.State{History: []snapshots.SnapshotInfo{{SnapshotAction: snapshots.SnapshotAction{Dataset: "target/live", Stage: StageBase}, Run: "base", Time: day(10)}}}
	wave := run("wave", 12)
	wave.Waves, wave.planned = []string{"pilot"}, true
	planned := run("planned", 14)
	planned.planned = true
	drift := run("drift", 16)
	drift.drift, drift.done = true, true
	for _, test := range []struct {
		name string
		edit func(r *runState, st *snapshots.State)
		at   int
		want bool
	}{
		{"ended", func(r *runState, _ *snapshots.State) { r.done = true }, 20, false},
		{"newest", nil, 20, true},
		{"before the base", nil, 9, false},
		{"before the base, and its own", func(_ *runState, st *snapshots.State) { st.History[0].Run = "x" }, 13, false},
		{"began to load, and made the base", func(r *runState, st *snapshots.State) { r.began, st.History[0].Run = true, "x" }, 9, true},
		{"before a later plan", nil, 13, false},
		{"began to load before a later plan", func(r *runState, _ *snapshots.State) { r.began = true }, 13, true},
		{"before a later plan of another wave", func(r *runState, _ *snapshots.State) { r.Waves = []string{"second"} }, 11, true},
		{"before a later plan of its wave", func(r *runState, _ *snapshots.State) { r.Waves = []string{"pilot"} }, 11, false},
		{"a drift before a later drift", func(r *runState, _ *snapshots.State) { r.drift = true }, 15, false},
		{"a plan before a later drift", nil, 15, true},
		{"before the base, and holds the target", func(_ *runState, st *snapshots.State) {
			st.Leases = map[string]snapshots.LeaseInfo{"live": {Holder: snapshots.Holder{Run: "x"}}}
		}, 9, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			now := st
			now.History = append([]snapshots.SnapshotInfo(nil), st.History...)
			r := run("x", test.at)
			if test.edit != nil {
				test.edit(&r, &now)
			}
			if got := r.open(now, []runState{wave, planned, drift, r}); got != test.want {
				t.Errorf("may go on: %v, want %v", got, test.want)
			}
		})
	}
}

// The draft that a plan keeps for the run that carries it out is no garbage as
// long as that run may go on.
func TestDraftsOfJournalsAreNoGarbage(t *testing.T) {
	ctx := t.Context()
	m := &backendtest.Memory{}
	if err := snapshots.Init(ctx, m, snapshots.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s, err := snapshots.Open(ctx, m, snapshots.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	w := s.NewWriter([]schemas.Table{{Name: "units", Columns: []schemas.Column{{ID: 7, Name: "name", Type: schemas.String}}}}, snapshots.WriterOptions{})
	defer w.Close()
	if err := w.WriteRow(ctx, "units", schemas.Row{ID: schemas.NewRowID("n", "units", "a"), Key: "a", Values: []any{"a"}}, 0); err != nil {
		t.Fatal(err)
	}
	d, err := w.Finish(ctx)
	if err != nil {
		t.Fatal(err)
	}
	e := &Local{Files: s, RunID: "r"}
	if err := writeRecord(ctx, s, Record{Version: 1, ID: "r", Created: now, Migration: "m", Target: "live"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := e.Do(ctx, Step{Name: stepAssign, Run: func(context.Context) (any, error) { return Assigned{Manifest: d.Manifest}, nil }}, nil); err != nil {
		t.Fatal(err)
	}
	now = now.Add(48 * time.Hour)
	for _, ended := range []bool{false, true} {
		if ended {
			if err := e.Do(ctx, Step{Name: stepDone, Run: func(context.Context) (any, error) { return Finished, nil }}, nil); err != nil {
				t.Fatal(err)
			}
		}
		o := snapshots.GCOptions{Roots: DraftRoots(s)}
		p, err := s.PlanGC(ctx, o)
		if err != nil || (len(p.Give) > 0) != ended {
			t.Errorf("run ended %v: %d objects are garbage, %v", ended, len(p.Give), err)
		}
		kept, err := s.WhyKept(ctx, d.Manifest.String(), p, o)
		if err != nil || !ended && (len(kept.Keepers) != 1 || kept.Keepers[0].By[0] != "journal of run r, which may go on") || ended != (kept.Garbage != nil) {
			t.Errorf("run ended %v: %+v, %v", ended, kept, err)
		}
	}
}

// What `extract` commits belongs to no run, and is kept and dropped by the same
// rules: so many of the last, and what has a name. What only the dropped need is
// garbage.
func TestRetentionOfSnapshotsWithoutRun(t *testing.T) {
	ctx, m := t.Context(), &backendtest.Memory{}
	if err := snapshots.Init(ctx, m, snapshots.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s, err := snapshots.Open(ctx, m, snapshots.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	var nights []snapshots.Digest
	for i, name := range []string{"a", "b", "c", "d"} {
		w := s.NewWriter([]schemas.Table{{Name: "units", Columns: []schemas.Column{{ID: 7, Name: "name", Type: schemas.String}}}}, snapshots.WriterOptions{})
		defer w.Close()
		if err := w.WriteRow(ctx, "units", schemas.Row{ID: schemas.NewRowID("n", "units", name), Key: name, Values: []any{name}}, 0); err != nil {
			t.Fatal(err)
		}
		d, err := w.Finish(ctx)
		if err != nil {
			t.Fatal(err)
		}
		actions := []snapshots.Action{d.Action("source/hr", StageLegacy)}
		if i == 0 {
			actions = append(actions, snapshots.RefAction{Name: "first", Digest: d.Digest})
		}
		if _, err := s.Commit(ctx, snapshots.Change{Reason: "extract", Actions: actions}); err != nil {
			t.Fatal(err)
		}
		nights = append(nights, d.Digest)
	}
	p, n, err := Retain(ctx, s, &config.Retention{Keep: config.Keep{Last: 2}})
	if err != nil || n == 0 {
		t.Fatalf("entry %d, %v", n, err)
	}
	drops, runs := p.Drops()
	if len(drops) != 1 || drops[0] != nights[1] || len(runs) != 0 {
		t.Errorf("dropped %v and runs %q, want the second night alone, %s", drops, runs, nights[1].Short())
	}
	now = now.Add(3 * snapshots.DefaultGrace)
	gc, err := s.PlanGC(ctx, snapshots.GCOptions{Roots: DraftRoots(s)})
	if err != nil || len(gc.Give) != 3 {
		t.Errorf("%d objects are garbage, %v; want a part, its index and their manifest", len(gc.Give), err)
	}
}
