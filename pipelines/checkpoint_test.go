package pipelines

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
)

// checkpointRunner is a runner that takes checkpoints, on a back end.
func checkpointRunner(t *testing.T, b snapshots.Backend) *Runner {
	t.Helper()
	if err := snapshots.Init(t.Context(), b, snapshots.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := snapshots.Open(t.Context(), b, snapshots.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &Runner{Name: "m", SourceName: "hr", TargetName: "live", Store: s, Inputs: []Input{{Name: "migration.yaml", Data: []byte("as configured\n")}}}
}

// stage commits a snapshot of one row, which tells it from others, as a step of
// a run does.
func (r *Runner) stage(t *testing.T, run, dataset, stage, row string, parents ...snapshots.Digest) snapshots.Digest {
	t.Helper()
	table := schemas.Table{Name: "units", Columns: []schemas.Column{{ID: 7, Name: "name", Type: schemas.String}}}
	w, err := r.newWriter(t.Context(), []schemas.Table{table}, 1, "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.WriteRow(t.Context(), "units", schemas.Row{ID: schemas.NewRowID("n", "units", row), Key: row, Values: []any{row}}, 0); err != nil {
		t.Fatal(err)
	}
	d, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.commit(t.Context(), run, d, dataset, stage, parents); err != nil {
		t.Fatal(err)
	}
	return d.Digest
}

// fakeRun leaves the snapshots and files of a run whose mapping is its id. The
// rows are the same in every run but for the base's.
func (r *Runner) fakeRun(t *testing.T, id string) map[string]snapshots.Digest {
	t.Helper()
	rec := Record{Version: 1, ID: id, Migration: r.Name, Inputs: []string{"migration.yaml", "mapping/mapping.yaml"}}
	files := []Input{{Name: "migration.yaml", Data: []byte("c\n")}, {Name: "mapping/mapping.yaml", Data: []byte(id)}}
	if err := writeRecord(t.Context(), r.Store, rec, files); err != nil {
		t.Fatal(err)
	}
	st, err := r.Store.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := st.Refs[BaseRef(r.TargetName)].Digest
	legacy := r.stage(t, id, r.sourceSet(), StageLegacy, "row")
	desired := r.stage(t, id, r.migrationSet(), StageDesired, "desired "+id, legacy)
	observed := r.stage(t, id, r.targetSet(), StageObserved, "observed "+id, desired)
	parents := []snapshots.Digest{desired, observed}
	if !before.IsZero() {
		parents = append(parents, before)
	}
	effective := r.stage(t, id, r.targetSet(), StageEffective, "effective "+id, parents...)
	// Rows that are equal in two stages are one snapshot, committed twice.
	r.stage(t, id, r.targetSet(), StageObserved, "effective "+id)
	base := r.stage(t, id, r.targetSet(), StageBase, "base "+id, effective)
	r.stage(t, id, r.targetSet(), StageObserved, "verified "+id, effective)
	return map[string]snapshots.Digest{"legacy": legacy, "desired": desired, "observed": observed, "effective": effective, "base": base}
}

func readInputs(t *testing.T, s *snapshots.Store, c *Checkpoint) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, in := range c.Inputs {
		data, err := s.ReadBlob(t.Context(), in.Blob)
		if err != nil {
			t.Fatal(err)
		}
		out[in.Name] = string(data)
	}
	return out
}

// A checkpoint pins what the newest base came from, and the files of the run
// that made it: not what other runs or targets left since.
func TestCheckpointPinsTheClosure(t *testing.T) {
	r := checkpointRunner(t, &backendtest.Memory{})
	r.fakeRun(t, "run-1")
	want := r.fakeRun(t, "run-2")
	want["assignment"] = r.stage(t, "", r.migrationSet(), snapshots.RoleAssignment, "waves")
	// A plan that was not carried out, and the same rows elsewhere.
	newer := r.stage(t, "run-3", r.migrationSet(), StageDesired, "desired run-3", want["legacy"])
	r.stage(t, "run-3", r.targetSet(), StageEffective, "effective run-3", newer)
	r.stage(t, "run-4", "target/other", StageEffective, "effective run-2", newer)

	c, err := r.Checkpoint(t.Context(), "before-pilot", "", "run-5")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, c.Snapshots); diff != "" {
		t.Error(diff)
	}
	if c.Target != "live" || c.Run != "run-5" || c.Empty || c.Reason != "checkpoint before-pilot of target live" {
		t.Errorf("checkpoint %+v", c)
	}
	if diff := cmp.Diff(map[string]string{"migration.yaml": "c\n", "mapping/mapping.yaml": "run-2"}, readInputs(t, r.Store, c)); diff != "" {
		t.Error(diff)
	}
}

// Before the first load there is no base, and the checkpoint says so.
func TestCheckpointOfNothing(t *testing.T) {
	r := checkpointRunner(t, &backendtest.Memory{})
	c, err := r.Checkpoint(t.Context(), "zero", "why not", "")
	if err != nil || !c.Empty || len(c.Snapshots) != 0 || c.Reason != "why not" {
		t.Fatalf("%+v, %v", c, err)
	}
	if diff := cmp.Diff(map[string]string{"migration.yaml": "as configured\n"}, readInputs(t, r.Store, c)); diff != "" {
		t.Error(diff)
	}
	for what, open := range map[string]func() (*snapshots.Snapshot, error){
		"base": func() (*snapshots.Snapshot, error) { return CheckpointBase(t.Context(), r.Store, c) },
		"now":  func() (*snapshots.Snapshot, error) { return CurrentBase(t.Context(), r.Store, "live") },
	} {
		if sn, err := open(); err != nil || len(sn.Tables()) != 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
	r.fakeRun(t, "run-1")
	now, err := CurrentBase(t.Context(), r.Store, "live")
	if err != nil {
		t.Fatal(err)
	}
	if st, err := snapshots.DiffStat(t.Context(), snapshots.EmptySnapshot(), now, snapshots.DiffOptions{}); err != nil || st.Changed() != 1 {
		t.Errorf("from nothing to the first load: %+v, %v", st, err)
	}
}

// A run that was killed behind its checkpoint takes it again and finds it, also
// when waves were assigned meanwhile; anybody else is refused.
func TestCheckpointAgain(t *testing.T) {
	r := checkpointRunner(t, &backendtest.Memory{})
	r.fakeRun(t, "run-1")
	first, err := r.Checkpoint(t.Context(), "before-a", "", "run-2")
	if err != nil {
		t.Fatal(err)
	}
	r.stage(t, "", r.migrationSet(), snapshots.RoleAssignment, "waves")
	again, err := r.Checkpoint(t.Context(), "before-a", "", "run-2")
	if err != nil || again.N != first.N || len(again.Snapshots) != len(first.Snapshots) {
		t.Errorf("again: %+v, %v", again, err)
	}
	var taken *snapshots.CheckpointExistsError
	for _, run := range []string{"run-3", ""} {
		if _, err := r.Checkpoint(t.Context(), "before-a", "", run); !errors.As(err, &taken) {
			t.Errorf("run %q: %v", run, err)
		}
	}
	r.fakeRun(t, "run-2")
	if _, err := r.Checkpoint(t.Context(), "before-a", "", "run-2"); !errors.As(err, &taken) {
		t.Errorf("the same run upon another base: %v", err)
	}
	if _, err := r.Checkpoint(t.Context(), "now", "", ""); err == nil {
		t.Error("a checkpoint is called now")
	}
	var unknown *snapshots.UnknownCheckpointError
	if _, err := ReadCheckpoint(t.Context(), r.Store, "before-b"); !errors.As(err, &unknown) || !slices.Equal(unknown.Near, []string{"before-a"}) {
		t.Errorf("unknown: %v", err)
	}
}

// The base moves while the checkpoint is being taken: nothing is pinned.
func TestCheckpointRacesWithABase(t *testing.T) {
	m := &backendtest.Memory{}
	rival := checkpointRunner(t, m)
	rival.fakeRun(t, "run-1")
	moved := false
	f := &backendtest.Fault{Backend: m, Plan: func(_ int, op, key string) (backendtest.Kind, bool) {
		if op == "create" && strings.HasPrefix(key, "log/") && !moved {
			moved = true
			rival.fakeRun(t, "run-2")
		}
		return 0, false
	}}
	r := checkpointRunner(t, f)
	if _, err := r.Checkpoint(t.Context(), "cp", "", "run-3"); !errors.Is(err, ErrBaseMoved) || !moved {
		t.Errorf("got %v", err)
	}
	if st, err := rival.Store.State(t.Context()); err != nil || len(st.Checkpoints) != 0 {
		t.Errorf("pinned all the same: %v, %v", st.Checkpoints, err)
	}
	c, err := r.Checkpoint(t.Context(), "cp", "", "run-3")
	if err != nil || readInputs(t, r.Store, c)["mapping/mapping.yaml"] != "run-2" {
		t.Errorf("once more: %+v, %v", c, err)
	}
}

// Only what was looked at is dropped.
func TestDropCheckpoint(t *testing.T) {
	r := checkpointRunner(t, &backendtest.Memory{})
	r.fakeRun(t, "run-1")
	old, err := r.Checkpoint(t.Context(), "cp", "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DropCheckpoint(t.Context(), r.Store, old); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Checkpoint(t.Context(), "cp", "", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := DropCheckpoint(t.Context(), r.Store, old); err == nil || !strings.Contains(err.Error(), "taken anew") {
		t.Errorf("another one of that name: %v", err)
	}
	if st, err := r.Store.State(t.Context()); err != nil || len(st.Checkpoints) != 1 {
		t.Errorf("state: %v, %v", slices.Collect(maps.Keys(st.Checkpoints)), err)
	}
}

// What can't be read whole is not pinned: a lost file of the run that made the
// base is an error.
func TestCheckpointNeedsTheInputs(t *testing.T) {
	m := &backendtest.Memory{}
	r := checkpointRunner(t, m)
	r.fakeRun(t, "run-1")
	m.Remove("runs/run-1/inputs/mapping/mapping.yaml")
	_, err := r.Checkpoint(context.Background(), "cp", "", "")
	if err == nil || !strings.Contains(err.Error(), "run run-1: input mapping/mapping.yaml") {
		t.Errorf("got %v", fmt.Sprint(err))
	}
}
