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
	stepExtract   = "extract"
	stepTransform = "transform"
	stepObserve   = "observe"
	stepPlan      = "plan"
	stepLoad      = "load"
	stepFold      = "fold"
	stepVerify    = "verify"
	stepProof     = "login-proof"
	stepDone      = "done"
)

// RunOptions are what the operator says when a run begins.
type RunOptions struct {
	// Apply: write to the target. Without it the run ends with its plan.
	Apply bool
	// Allow names widenings and mass change that were asked for (load.AllowWords).
	Allow []string
	// Logins proves migrated logins at the end; nil: none.
	Logins LoginSamples
}

// Run begins a run and takes it to its plan or, with Apply, to its end. The
// outcome says how far it came, also beside an error.
func (r *Runner) Run(ctx context.Context, o RunOptions) (*Outcome, error) {
	at := r.now()
	rec := Record{
		Version: 1, ID: NewRunID(at), Created: at, Migration: r.Name, Source: r.SourceName, Target: r.TargetName,
		Namespace: r.Namespace, Apply: o.Apply, Allow: o.Allow, Tool: r.Tool,
	}
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
	extracted, transformed, plan := &Extracted{}, &Transformed{}, &Plan{}
	observed := &Observed{}
	steps := []struct {
		name string
		out  any
		run  func(context.Context) (any, error)
	}{
		{stepExtract, extracted, func(ctx context.Context) (any, error) { return r.extract(ctx, rec.ID) }},
		{stepTransform, transformed, func(ctx context.Context) (any, error) {
			return r.transform(ctx, rec.ID, extracted.Snapshot, profile)
		}},
		{stepObserve, observed, func(ctx context.Context) (any, error) {
			return r.observe(ctx, rec.ID, transformed.Snapshot, profile)
		}},
		{stepPlan, plan, func(ctx context.Context) (any, error) {
			return r.plan(ctx, rec, transformed.Snapshot, observed.Snapshot, profile)
		}},
	}
	for _, s := range steps {
		if err := e.Do(ctx, Step{Name: s.name, Run: out.timed(s.name, s.run)}, s.out); err != nil {
			return err
		}
		switch s.name {
		case stepExtract:
			out.Extracted, out.Legacy = extracted, extracted.Snapshot
		case stepTransform:
			out.Transformed, out.Desired = transformed, transformed.Snapshot
			if err := r.rejectsReport(ctx, rec.ID, transformed.Snapshot, out); err != nil {
				return err
			}
		case stepPlan:
			out.Planned = plan
		}
	}
	return nil
}

// apply carries out a stored plan under the target's lease, and proves it.
func (r *Runner) apply(ctx context.Context, e Engine, rec Record, profile schemas.TargetProfile, o RunOptions, out *Outcome) (err error) {
	if err := r.checkRejects(out.Transformed.Report, r.reportPath(rec.ID, rejectsFile)); err != nil {
		return err
	}
	lease, err := r.takeTarget(ctx, rec.ID)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, lease.Release(context.WithoutCancel(ctx)))
	}()
	loaded, folded, verified, proof := &Loaded{}, &Folded{}, &Verified{}, &load.LoginReport{}
	steps := []struct {
		name string
		out  any
		run  func(context.Context) (any, error)
	}{
		{stepLoad, loaded, func(ctx context.Context) (any, error) { return r.load(ctx, rec, profile, lease) }},
		{stepFold, folded, func(ctx context.Context) (any, error) { return r.fold(ctx, rec) }},
		{stepVerify, verified, func(ctx context.Context) (any, error) { return r.verifyRun(ctx, rec, profile) }},
		{stepProof, proof, func(ctx context.Context) (any, error) { return r.proveLogins(ctx, o.Logins) }},
	}
	for _, s := range steps {
		if s.name == stepProof && o.Logins == nil {
			continue
		}
		if err := e.Do(ctx, Step{Name: s.name, Run: out.timed(s.name, s.run)}, s.out); err != nil {
			return err
		}
		switch s.name {
		case stepLoad:
			out.Loaded = loaded
		case stepVerify:
			out.Verified = verified
		case stepProof:
			out.Proof = proof
		}
	}
	return nil
}
