package pipelines

import (
	"context"
	"fmt"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/snapshots"
)

// setReach records whom a run may change.
func (r *Runner) setReach(rec *Record, o RunOptions) error {
	waved := len(o.Waves) > 0 || o.Sweep
	switch {
	case waved && o.Everyone:
		return ui.Refusef("name waves, or say --everyone", "a run for everyone has no waves")
	case waved && len(r.Config.Waves) == 0:
		return ui.Refusef("list them under migrations."+r.Name+".waves", "migration %s has no waves", r.Name)
	}
	for _, w := range o.Waves {
		if err := r.checkWave(w); err != nil {
			return err
		}
	}
	rec.Waves, rec.Sweep = o.Waves, o.Sweep
	rec.Moved = !waved && !o.Everyone && len(r.Config.Waves) > 0
	return nil
}

func (r *Runner) checkWave(name string) error {
	var known []string
	for _, w := range r.Config.Waves {
		if w.Name == name {
			return nil
		}
		known = append(known, w.Name)
	}
	return &config.UnknownNameError{Kind: "wave", Name: name, Known: known, Path: fmt.Sprintf("migration %s", r.Name)}
}

// reach is whom the run may change, with the assignment that says who is in
// which wave. New users are assigned; that is recorded when the run writes.
func (r *Runner) reach(ctx context.Context, e Engine, rec Record, desired snapshots.Digest, out *Outcome) (load.Reach, error) {
	reach := load.Reach{Waves: rec.Waves, Sweep: rec.Sweep, Moved: rec.Moved}
	complete, err := r.completeWaves(ctx)
	if err != nil || r.Waves == nil && len(complete) == 0 {
		return reach, err
	}
	assigned := &Assigned{}
	err = out.step(ctx, e, stepAssign, assigned, func(ctx context.Context) (any, error) {
		if rec.Restore != nil || r.Waves == nil { // the rules are gone, what was recorded holds
			return r.assignedSoFar(ctx)
		}
		return r.PlanAssign(ctx, rec.ID, desired)
	})
	if err != nil {
		return reach, err
	}
	out.Assigned = assigned
	reach.Assignment, err = r.openAssigned(ctx, assigned)
	return reach, err
}

// assignedSoFar is the newest record of who is in which wave: a restore assigns
// nobody.
func (r *Runner) assignedSoFar(ctx context.Context) (*Assigned, error) {
	out := &Assigned{Migration: r.Name, Recorded: true}
	sn, err := r.Assignment(ctx)
	if sn != nil {
		out.Previous, out.Snapshot = sn.Digest(), sn.Digest()
	}
	return out, err
}

func (r *Runner) openAssigned(ctx context.Context, a *Assigned) (load.Snapshot, error) {
	switch {
	case a.Snapshot.IsZero():
		return load.Empty, nil
	case a.Recorded:
		return r.open(ctx, a.Snapshot)
	}
	return r.Store.OpenManifest(ctx, a.Manifest)
}

// keepAssignment records what the run decided, unless an attempt before did.
func (r *Runner) keepAssignment(ctx context.Context, run string, a *Assigned) error {
	if a.Recorded {
		return nil
	}
	now, err := r.Assignment(ctx)
	if err != nil || now != nil && now.Digest() == a.Snapshot {
		return err
	}
	draft := snapshots.Draft{Digest: a.Snapshot, Manifest: a.Manifest}
	return r.commitAssignment(ctx, assignInput{run: run, desired: a.Desired}, draft, a.Previous)
}
