package pipelines

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// Names of the steps, as in journals, progress and reports.
const (
	stepExtract    = "extract"
	stepTransform  = "transform"
	stepAssign     = "assign"
	stepObserve    = "observe"
	stepPlan       = "plan"
	stepCheckpoint = "checkpoint"
	stepLoad       = "load"
	stepFold       = "fold"
	stepVerify     = "verify"
	stepProof      = "login-proof"
	stepDone       = "done"
)

// RunOptions are what the operator says when a run begins.
type RunOptions struct {
	// Apply: write to the target. Without it the run ends with its plan.
	Apply bool
	// Allow names widenings that were asked for (load.AllowWords).
	Allow []string
	// Waves reaches the users of these waves, Sweep those in no wave, Everyone
	// all. Without any a run reaches everyone, or once waves are configured
	// those who moved already.
	Waves    []string
	Sweep    bool
	Everyone bool
	// OverrideBrake is why the brake and the guard against a shrunken source are
	// passed for this run, WithoutSync why it goes without a fresh sign of the
	// credential sync; empty: they hold. Both are recorded.
	OverrideBrake, WithoutSync string
	// Widen names access that may be widened beyond the configuration's gate;
	// nil: none.
	Widen *Widen
	// Logins proves migrated logins at the end; nil: none.
	Logins LoginSamples
}

// Run begins a run and takes it to its plan or, with Apply, to its end. The
// outcome says how far it came, also beside an error.
func (r *Runner) Run(ctx context.Context, o RunOptions) (*Outcome, error) {
	rec := r.newRecord(o)
	if err := r.setReach(&rec, o); err != nil {
		return nil, err
	}
	return r.begin(ctx, rec, o)
}

// newRecord is the record of a run that begins now.
func (r *Runner) newRecord(o RunOptions) Record {
	at := r.now()
	return Record{
		Version: 1, ID: NewRunID(at), Created: at, Migration: r.Name, Source: r.SourceName, Target: r.TargetName,
		Namespace: r.Namespace, Apply: o.Apply, Allow: o.Allow, Widen: o.Widen, Tool: r.Tool,
	}
}

func (r *Runner) begin(ctx context.Context, rec Record, o RunOptions) (*Outcome, error) {
	for _, in := range r.Inputs {
		rec.Inputs = append(rec.Inputs, in.Name)
	}
	if err := writeRecord(ctx, r.Store, rec, r.Inputs); err != nil {
		return nil, err
	}
	return r.goOn(ctx, rec, o)
}

// Resume takes a run that stopped to its end: journaled steps are not done
// again, and of a load only what has no outcome. Apply carries out a run that
// was only planned.
func (r *Runner) Resume(ctx context.Context, id string, o RunOptions) (*Outcome, error) {
	rec, err := ReadRecord(ctx, r.Store, id)
	if err != nil {
		return nil, err
	}
	if rec.Migration != r.Name || rec.Target != r.TargetName || rec.Namespace != r.Namespace {
		return nil, fmt.Errorf("run %s is of migration %s, target %s, namespace %s; the configuration says %s, %s, %s: use the one it was started with",
			rec.ID, rec.Migration, rec.Target, rec.Namespace, r.Name, r.TargetName, r.Namespace)
	}
	if err := r.sameInputs(ctx, rec); err != nil {
		return nil, err
	}
	if o.Apply && !rec.Apply {
		if err := markApplied(ctx, r.Store, rec.ID); err != nil {
			return nil, err
		}
		rec.Apply = true
	}
	return r.goOn(ctx, rec, o)
}

// ErrInputsChanged means that a run can't go on with other rules than it was
// started with: start a new run.
var ErrInputsChanged = errors.New("changed since the run was started")

// sameInputs refuses to go on with a run by other rules than it began with.
// Once the plan stands, rules no longer matter.
func (r *Runner) sameInputs(ctx context.Context, rec Record) error {
	planned, err := r.engine(rec.ID).Done(ctx, stepPlan, nil)
	if planned || err != nil {
		return err
	}
	for _, in := range r.Inputs {
		was, err := r.Store.ReadFile(ctx, runKey(rec.ID, "inputs", in.Name))
		if err != nil && !errors.Is(err, snapshots.ErrNotFound) {
			return err
		}
		if !bytes.Equal(was, in.Data) {
			return &ui.Failure{Code: ui.Refused, Err: fmt.Errorf("run %s: %s %w", rec.ID, in.Name, ErrInputsChanged), Next: "start a new one with `parallelrun run`"}
		}
	}
	return nil
}

// goOn does what is not done yet.
func (r *Runner) goOn(ctx context.Context, rec Record, o RunOptions) (*Outcome, error) {
	out := &Outcome{Record: rec, State: Stopped, Took: Durations{}}
	e := r.engine(rec.ID)
	over, err := r.recordOverrides(ctx, rec.ID, o)
	if err != nil {
		return out, err
	}
	if out.Overrides = over; rec.Apply { // before hours of reading, and again before the first write
		if err := r.checkSync(ctx, rec.ID, out); err != nil {
			return out, err
		}
	}
	profile, err := r.Target.Preflight(ctx)
	if err != nil {
		return out, err
	}
	if err := r.prepare(ctx, e, rec, profile, out); err != nil {
		return out, err
	}
	if !rec.Apply {
		out.State = Planned
		return out, r.writeOutcome(ctx, out)
	}
	if err := r.apply(ctx, e, rec, profile, o, out); err != nil {
		return out, err
	}
	out.State = Finished
	if err := r.writeOutcome(ctx, out); err != nil {
		return out, err
	}
	return out, e.Do(ctx, Step{Name: stepDone, Run: func(context.Context) (any, error) { return out.State, nil }}, nil)
}

// prepare takes a run to its stored plan. Nothing of it writes to the target.
func (r *Runner) prepare(ctx context.Context, e Engine, rec Record, profile schemas.TargetProfile, out *Outcome) error {
	if rec.Restore == nil {
		if err := AdoptRulesOf(r.Config).CheckProfile(&profile); err != nil {
			return err
		}
	}
	desired, err := r.desired(ctx, e, rec, profile, out)
	if err != nil {
		return err
	}
	reach, err := r.reach(ctx, e, rec, desired, out)
	if err != nil {
		return err
	}
	out.Beyond, err = r.beyondRestore(ctx, rec)
	if err != nil {
		return err
	}
	observed, plan := &Observed{}, &Plan{}
	if err := out.step(ctx, e, stepObserve, observed, func(ctx context.Context) (any, error) {
		return r.observe(ctx, rec.ID, desired, reach, profile, rec.Restore != nil)
	}); err != nil {
		return err
	}
	if err := out.step(ctx, e, stepPlan, plan, func(ctx context.Context) (any, error) {
		if err := r.checkEmpty(ctx, rec, observed.Snapshot); err != nil {
			return nil, err
		}
		return r.plan(ctx, rec, desired, observed.Snapshot, reach, profile)
	}); err != nil {
		return err
	}
	out.Planned = plan
	out.Estimate, err = r.estimate(ctx, rec, plan)
	return err
}

// desired is what shall stand in the target: what the mapping makes of the
// source, or for a restore what the checkpoint's base holds.
func (r *Runner) desired(ctx context.Context, e Engine, rec Record, profile schemas.TargetProfile, out *Outcome) (snapshots.Digest, error) {
	if rec.Restore != nil {
		out.Desired = rec.Restore.Base
		return rec.Restore.Base, nil
	}
	extracted, transformed := &Extracted{}, &Transformed{}
	if err := out.step(ctx, e, stepExtract, extracted, func(ctx context.Context) (any, error) {
		if err := r.Mapping.CheckProfile(profile); err != nil {
			return nil, err
		}
		return r.extract(ctx, rec.ID)
	}); err != nil {
		return snapshots.Digest{}, err
	}
	out.Extracted, out.Legacy = extracted, extracted.Snapshot
	if err := out.step(ctx, e, stepTransform, transformed, func(ctx context.Context) (any, error) {
		return r.transform(ctx, rec.ID, extracted.Snapshot, profile)
	}); err != nil {
		return snapshots.Digest{}, err
	}
	out.Transformed, out.Desired = transformed, transformed.Snapshot
	if err := r.rejectsReport(ctx, rec.ID, transformed.Snapshot, out); err != nil {
		return snapshots.Digest{}, err
	}
	if err := transformed.shrunkenErr(rec.ID); err != nil && rec.Apply && !overrides(out.Overrides).has(GuardBrake) {
		return snapshots.Digest{}, err
	}
	return transformed.Snapshot, nil
}

// apply carries out a stored plan under the target's lease, and proves it.
func (r *Runner) apply(ctx context.Context, e Engine, rec Record, profile schemas.TargetProfile, o RunOptions, out *Outcome) (err error) {
	if err := r.guard(ctx, rec, out); err != nil {
		return err
	}
	lease, err := r.takeTarget(ctx, rec.ID)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, lease.Release(context.WithoutCancel(ctx)))
	}()
	if err := r.beforeLoad(ctx, e, rec, out); err != nil {
		return err
	}
	loaded, folded, verified, proof := &Loaded{}, &Folded{}, &Verified{}, &load.LoginReport{}
	if err := out.step(ctx, e, stepLoad, loaded, func(ctx context.Context) (any, error) {
		return r.load(ctx, rec, profile, lease, overrides(out.Overrides).has(GuardBrake))
	}); err != nil {
		return err
	}
	out.Loaded, out.Estimate = loaded, nil
	if err := out.step(ctx, e, stepFold, folded, func(ctx context.Context) (any, error) { return r.fold(ctx, rec, lease) }); err != nil {
		return err
	}
	if err := out.step(ctx, e, stepVerify, verified, func(ctx context.Context) (any, error) { return r.verifyRun(ctx, rec, profile) }); err != nil {
		return err
	}
	out.Verified = verified
	if o.Logins == nil {
		return nil
	}
	if err := out.step(ctx, e, stepProof, proof, func(ctx context.Context) (any, error) { return r.proveLogins(ctx, rec, out.Assigned, o.Logins) }); err != nil {
		return err
	}
	out.Proof = proof
	return nil
}

// beforeLoad makes sure that there is a way back: a wave, a sweep and a restore
// begin with a checkpoint. It records what the run assigned, too.
func (r *Runner) beforeLoad(ctx context.Context, e Engine, rec Record, out *Outcome) error {
	if out.Assigned != nil && rec.Restore == nil {
		if err := r.keepAssignment(ctx, rec.ID, out.Assigned); err != nil {
			return err
		}
	}
	name := automaticName(rec)
	if name == "" || out.Planned.Operations == 0 {
		return nil
	}
	taken := &CheckpointTaken{}
	err := out.step(ctx, e, stepCheckpoint, taken, func(ctx context.Context) (any, error) {
		cp, err := r.Checkpoint(ctx, name, "before run "+rec.ID, rec.ID)
		if err != nil {
			return nil, err
		}
		return CheckpointTaken{Name: cp.Name, Base: cp.Base()}, nil
	})
	out.Checkpoint = taken.Name
	return err
}

// CheckpointTaken is the result of step checkpoint.
type CheckpointTaken struct {
	Name string           `json:"name"`
	Base snapshots.Digest `json:"base"`
}
