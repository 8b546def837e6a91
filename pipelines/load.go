package pipelines

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// Loaded is the result of step load.
type Loaded struct {
	Counts    load.Counts      `json:"counts"`
	Confirmed int64            `json:"confirmed"`
	Requests  int64            `json:"requests"`
	Looks     int64            `json:"looks"`
	Messages  map[string]int64 `json:"messages,omitempty"`
	Failures  []load.Outcome   `json:"failures,omitempty"`
	// Pace is how fast the operations went, by kind, and Flying how many requests
	// were in flight meanwhile on average: what later plans reckon with. A load
	// that was resumed tells of its last attempt.
	Pace   []load.Pace `json:"pace,omitempty"`
	Flying float64     `json:"in_flight,omitempty"`
}

// Folded is the result of step fold.
type Folded struct {
	Base   snapshots.Digest `json:"base"`
	Report *load.FoldReport `json:"report"`
}

// takeTarget takes the target's lease. Requests of a holder that is gone may
// still commit: they are waited out.
func (r *Runner) takeTarget(ctx context.Context, run string) (*snapshots.Lease, error) {
	lease, err := r.Store.AcquireLease(ctx, r.TargetName, snapshots.LeaseOptions{
		Run: run, TTL: r.LeaseTTL, TransactionLimit: r.Target.Abilities().TransactionLimit, Waiting: r.watching,
	})
	if err != nil {
		return nil, err
	}
	wait := lease.Wait()
	if wait <= 0 {
		return lease, nil
	}
	r.Progress.Note("target %s was held by a run that ended without giving it back; waiting %s for requests it may have begun", r.TargetName, wait.Round(time.Second))
	select {
	case <-time.After(wait):
		return lease, nil
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), lease.Release(context.WithoutCancel(ctx)))
	}
}

// watching tells whoever waits why.
func (r *Runner) watching(last snapshots.Holder, ttl time.Duration) {
	r.Progress.Note("target %s is held by run %s on host %s (process %d), which shows no sign of life; watching for %s more before it is taken over",
		r.TargetName, last.Run, last.Host, last.PID, ttl)
}

// planned opens a stored plan with the snapshots that it is bound to. It
// refuses a plan that was made from another base than the target's.
func (r *Runner) planned(ctx context.Context, run string) (m *load.Manifest, base load.Snapshot, effective *snapshots.Snapshot, err error) {
	if m, err = load.OpenPlan(ctx, r.Store, run); err != nil {
		return nil, nil, nil, err
	}
	now, err := r.base(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	effective, err = r.open(ctx, m.Effective)
	return m, orEmpty(now), effective, err
}

// load carries out the plan of a run, or what is left of it.
func (r *Runner) load(ctx context.Context, rec Record, profile schemas.TargetProfile, lease *snapshots.Lease, overridden bool) (*Loaded, error) {
	m, base, effective, err := r.planned(ctx, rec.ID)
	if err != nil {
		return nil, err
	}
	if rec.Restore == nil {
		if err := r.sameOwners(ctx, rec.ID, m.Complete); err != nil {
			return nil, err
		}
	}
	if err := m.BrakeErr(); err != nil && !overridden {
		return nil, err
	}
	if m.Access == nil && gateOf(r.Config.Gates.Widening, rec.Widen) != nil {
		return nil, fmt.Errorf("run %s: %w for the gate to look at", rec.ID, ErrNoAccessDiff)
	}
	if err := m.WideningErr(); err != nil {
		return nil, err
	}
	held := func(context.Context) error { return lease.Check() }
	if m.Operations > 0 {
		ctx := load.UnderLease(ctx, held)
		if _, err := r.Target.Prepare(ctx, true); err != nil {
			return nil, err
		}
	}
	dir, err := r.workDir(rec.ID)
	if err != nil {
		return nil, err
	}
	progress := &stepProgress{ui: r.Progress}
	defer progress.end()
	res, err := load.Load(ctx, load.LoadInput{
		Plan: m, Base: base, Effective: effective, TargetName: r.TargetName, Target: r.Target, Profile: profile, Files: r.Store,
		LedgerDir: dir, Lease: held, Epoch: lease.Epoch(), Progress: progress,
		Options: load.LoadOptions{Retry: r.Retry, OverrideBrake: overridden},
	})
	if err != nil {
		return nil, err
	}
	if err := res.Counts.Check(); err != nil {
		return nil, err
	}
	return &Loaded{
		Counts: res.Counts, Confirmed: m.Operations - unconfirmed(res), Requests: res.Requests, Looks: res.Looks,
		Messages: res.Messages, Failures: res.Failures, Pace: res.Pace, Flying: res.Flying,
	}, nil
}

// unconfirmed is how many operations failed or have an unknown outcome.
func unconfirmed(res *load.Result) (n int64) {
	for _, c := range res.Counts {
		n += c.Classes[load.Failed] + c.Classes[load.InDoubt]
	}
	return n
}

// fold makes what the load confirmed the target's next base.
func (r *Runner) fold(ctx context.Context, rec Record, lease *snapshots.Lease) (*Folded, error) {
	m, err := load.OpenPlan(ctx, r.Store, rec.ID)
	if err != nil {
		return nil, err
	}
	base, effective, done, err := r.foldInput(ctx, m)
	if err != nil || done != nil {
		return done, err
	}
	ledger, err := load.ReadLedger(ctx, r.Store, m)
	if err != nil {
		return nil, err
	}
	progress := &stepProgress{ui: r.Progress}
	defer progress.end()
	w, err := r.newWriter(ctx, load.BaseTables(), 1, r.targetSet(), StageBase)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	rep, err := load.Fold(ctx, load.FoldInput{
		Plan: m, Files: r.Store, Ledger: ledger, Base: base, Effective: effective, UserID: r.Target.UserID, Progress: progress,
	}, w)
	if err != nil {
		return nil, err
	}
	draft, err := w.Finish(ctx)
	if err != nil {
		return nil, err
	}
	return &Folded{Base: draft.Digest, Report: rep}, r.commitBase(ctx, rec.ID, m, draft, lease)
}

// foldInput opens the snapshots to fold. done is set when an attempt that was
// killed between its commit and its journal entry has folded them already.
func (r *Runner) foldInput(ctx context.Context, m *load.Manifest) (base load.Snapshot, effective *snapshots.Snapshot, done *Folded, err error) {
	now, err := r.base(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	st, err := r.Store.State(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if now != nil && now.Digest() != m.Base {
		if info, ok := st.Latest(r.targetSet(), StageBase); ok && info.Run == m.Run && info.Digest == now.Digest() {
			return nil, nil, &Folded{Base: now.Digest()}, nil
		}
		return nil, nil, nil, fmt.Errorf("fold: %w: the base of target %s moved on meanwhile: make a new plan", load.ErrPlanStale, r.TargetName)
	}
	effective, err = r.open(ctx, m.Effective)
	return orEmpty(now), effective, nil, err
}

// commitBase moves the target's base, if it is still the one that was folded and
// the target is still ours: whoever took it over has planned without this.
func (r *Runner) commitBase(ctx context.Context, run string, m *load.Manifest, draft snapshots.Draft, lease *snapshots.Lease) error {
	old := m.Base
	_, err := r.Store.Commit(ctx, snapshots.Change{
		Reason: fmt.Sprintf("base of %s: what run %s confirmed", r.targetSet(), run), Run: run,
		Actions: []snapshots.Action{
			draft.Action(r.targetSet(), StageBase, m.Effective),
			snapshots.RefAction{Name: BaseRef(r.TargetName), Digest: draft.Digest, Old: &old},
		},
		Check: lease.CheckIn,
	})
	return err
}
