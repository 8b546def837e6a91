package pipelines

import (
	"errors"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
)

// loadedWave is a store in which everybody of wave sales is loaded.
func loadedWave(t *testing.T) *Runner {
	r := wavesRunner(t, newStore(t), salesThenEnabled...)
	desired := commitUsers(t, r.Store, "migration/demo", StageDesired, upTo(20)...)
	mustAssign(t)(r.Assign(t.Context(), "run-1", desired))
	commitUsers(t, r.Store, "target/target", StageBase, upTo(20)...)
	return r
}

func refusedWith(t *testing.T, err error, want string) {
	t.Helper()
	if f, ok := errors.AsType[*ui.Failure](err); !ok || f.Code != ui.Refused || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want a refusal with %q", err, want)
	}
}

// While a run holds the target nobody changes whose profiles it writes.
func TestCompleteWhileARunHoldsTheTarget(t *testing.T) {
	ctx, r := t.Context(), loadedWave(t)
	hold := func(release bool) {
		t.Helper()
		a := snapshots.LeaseAction{Target: "target", Epoch: 1, Release: release, Holder: snapshots.Holder{Run: "run-2", Session: "s"}}
		if _, err := r.Store.Commit(ctx, snapshots.Change{Reason: "test", Actions: []snapshots.Action{a}}); err != nil {
			t.Fatal(err)
		}
	}
	hold(false)
	_, err := r.Complete(ctx, "sales", CompleteOptions{Record: true})
	refusedWith(t, err, "run run-2 holds target target")
	hold(true)
	c, err := r.Complete(ctx, "sales", CompleteOptions{Record: true})
	if err != nil || c.Entry == 0 || c.Assigned != 5 || c.InTarget != 5 || len(c.Ends.lines(c.New)) != 0 {
		t.Fatalf("%+v, %v", c, err)
	}
	if got, err := r.completeWaves(ctx); err != nil || len(got) != 1 || got[0] != "sales" {
		t.Errorf("complete: %v, %v", got, err)
	}
	// Another target of the same migration knows nothing of it.
	other := *r
	other.TargetName = "elsewhere"
	if got, err := other.completeWaves(ctx); err != nil || len(got) != 0 {
		t.Errorf("complete elsewhere: %v, %v", got, err)
	}
}

// What was looked at must still be so when it is recorded.
func TestCompleteWhenTheBaseMoves(t *testing.T) {
	ctx, r := t.Context(), loadedWave(t)
	w, err := r.openWave(ctx, "sales")
	if err != nil {
		t.Fatal(err)
	}
	commitUsers(t, r.Store, "target/target", StageBase, upTo(10)...)
	_, err = w.declare(ctx, snapshots.WaveAction{}, "test")
	refusedWith(t, err, "target/target/base moved on meanwhile")
}

// People who are not loaded, and some whom the rules would take, keep a wave
// open; people who are gone don't.
func TestOpenEnds(t *testing.T) {
	ctx, r := t.Context(), loadedWave(t)
	commitUsers(t, r.Store, "target/target", StageBase, upTo(20)[:16]...) // 16 is not loaded
	commitUsers(t, r.Store, "migration/demo", StageDesired, upTo(24)[1:]...)
	_, err := r.Complete(ctx, "sales", CompleteOptions{Record: true})
	e, ok := errors.AsType[*OpenEndsError](err)
	want := "1 user not in the target yet (keys user-16)|1 user more would be in it by the newest desired state"
	if !ok || strings.Join(e.Lines, "|") != want {
		t.Fatalf("%v, want %s", err, want)
	}
	c, err := r.Complete(ctx, "sales", CompleteOptions{Record: true, Despite: "16 is on leave"})
	if err != nil || c.Despite != "16 is on leave" {
		t.Fatalf("%+v, %v", c, err)
	}
	list, err := r.WaveList(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sales := list.Waves[0]
	if sales.State != WaveComplete || sales.NotLoaded != 1 || sales.Gone != 1 || sales.Declared == nil || sales.Declared.Despite != "16 is on leave" {
		t.Errorf("%+v", sales)
	}
	if state := list.Waves[1].State; state != WaveInPart { // 17 and 19
		t.Errorf("wave enabled: %s", state)
	}
}

// A plan that was made before a wave was complete, or before it was opened
// again, is not carried out.
func TestSameOwners(t *testing.T) {
	ctx, r := t.Context(), loadedWave(t)
	if err := r.sameOwners(ctx, "run-3", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Complete(ctx, "sales", CompleteOptions{Record: true}); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, r.sameOwners(ctx, "run-3", nil), "wave sales was declared complete since it was made")
	if err := r.sameOwners(ctx, "run-3", []string{"sales"}); err != nil {
		t.Error(err)
	}
	if _, err := r.Reopen(ctx, "sales", CompleteOptions{Record: true}); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, r.sameOwners(ctx, "run-3", []string{"sales"}), "a wave was opened again since it was made")
}
