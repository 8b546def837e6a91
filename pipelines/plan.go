package pipelines

import (
	"context"
	"time"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// Plan is the result of step plan: the stored plan without its operations.
type Plan struct {
	Digest     snapshots.Digest            `json:"digest"`
	Base       snapshots.Digest            `json:"base"`
	Observed   snapshots.Digest            `json:"observed"`
	Effective  snapshots.Digest            `json:"effective"`
	Operations int64                       `json:"operations"`
	Work       load.Work                   `json:"work,omitempty"`
	Counts     load.Counts                 `json:"counts"`
	Fields     load.Fields                 `json:"fields"`
	Found      map[string]map[string]int64 `json:"found,omitempty"`
	Brakes     []load.Brake                `json:"brakes,omitempty"`
	Access     *load.Access                `json:"access,omitempty"`
	// Complete are the waves whose users' profiles Keymate owns.
	Complete []string `json:"complete,omitempty"`
	// Takeovers are users who take names that others give up, Parked those among
	// them who go through a temporary value.
	Takeovers int64 `json:"takeovers,omitempty"`
	Parked    int64 `json:"parked,omitempty"`
	// Prepares is what is changed in the target's settings before the load.
	Prepares []string `json:"prepares,omitempty"`
	// LookedUp is what became of those whom the plan disables as gone; nil: none.
	LookedUp *LookedUp `json:"looked_up,omitempty"`
	// Remarks are what an operator should know of the target.
	Remarks []string `json:"remarks,omitempty"`
}

// plan compares three ways and stores the operations. at is the run's own time,
// the same in every attempt.
func (r *Runner) plan(ctx context.Context, rec Record, desired, observed snapshots.Digest, reach load.Reach, profile schemas.TargetProfile) (*Plan, error) {
	in, parents, err := r.planInput(ctx, rec, desired, observed)
	if err != nil {
		return nil, err
	}
	in.Profile, in.Reach = profile, reach
	if rec.Restore == nil {
		if in.Options.Decisions, err = r.decisions(); err != nil {
			return nil, err
		}
		if in.Options.Complete, err = r.completeWaves(ctx); err != nil {
			return nil, err
		}
	}
	progress := &stepProgress{ui: r.Progress}
	defer progress.end()
	in.Progress = progress
	w, err := r.newWriter(ctx, load.EffectiveTables(), 1, r.targetSet(), StageEffective)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	m, err := load.Plan(ctx, in, w)
	if err != nil {
		return nil, err
	}
	draft, err := w.Finish(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.commit(ctx, rec.ID, draft, r.targetSet(), StageEffective, parents); err != nil {
		return nil, err
	}
	effective, err := r.open(ctx, draft.Digest)
	if err != nil {
		return nil, err
	}
	if err := r.checkRoles(ctx, effective, profile); err != nil {
		return nil, err
	}
	prepares, err := r.Target.Prepare(ctx, false)
	if err != nil {
		return nil, err
	}
	lookedUp, err := r.lookUp(ctx, m)
	if err != nil {
		return nil, err
	}
	if m.Access, err = r.accessDiff(ctx, rec, m, in, effective); err != nil {
		return nil, err
	}
	if err := m.Seal(ctx, r.Store, draft.Digest); err != nil {
		return nil, err
	}
	return &Plan{
		Takeovers: m.Lines(load.SectionTakeovers), Parked: m.Lines(load.SectionParking),
		Prepares: prepares, Remarks: append(r.syncRemarks(), profile.Remarks...), LookedUp: lookedUp,
		Digest: m.Digest, Base: m.Base, Observed: m.Observed, Effective: m.Effective, Operations: m.Operations, Work: m.Work,
		Counts: m.Counts, Fields: m.Fields, Found: m.Found, Brakes: m.Brakes, Access: m.Access, Complete: m.Complete,
	}, nil
}

func (r *Runner) planInput(ctx context.Context, rec Record, desired, observed snapshots.Digest) (in load.PlanInput, parents []snapshots.Digest, err error) {
	in = load.PlanInput{
		Run: rec.ID, TargetName: r.TargetName, Base: load.Empty, Target: r.Target, Files: r.Store,
		Options: load.PlanOptions{Ownership: OwnershipOf(r.Config), Allow: rec.Allow, Brake: r.brake(), Time: rec.Created.Truncate(time.Millisecond)},
	}
	if rec.Restore != nil {
		in.Options.Restore = &rec.Restore.RestoreOptions
	}
	if in.Desired, err = r.openOrEmpty(ctx, desired); err != nil {
		return in, nil, err
	}
	if in.Observed, err = r.open(ctx, observed); err != nil {
		return in, nil, err
	}
	base, err := r.base(ctx)
	if err != nil {
		return in, nil, err
	}
	parents = known(desired, observed)
	if base != nil {
		in.Base = base
		parents = append(parents, base.Digest())
	}
	return in, parents, nil
}

// AdoptRulesOf are a configuration's rules of adoption as observation takes
// them.
func AdoptRulesOf(m config.Migration) load.AdoptRules {
	var out load.AdoptRules
	for _, r := range m.Adopt {
		out = append(out, r.Match)
	}
	return out
}

// OwnershipOf is a configuration's ownership as the planner takes it.
func OwnershipOf(m config.Migration) load.Ownership {
	out := load.Ownership{Default: load.Owner(m.Ownership.Default)}
	for field, owner := range m.Ownership.Fields {
		if out.Fields == nil {
			out.Fields = map[string]load.Owner{}
		}
		out.Fields[field] = load.Owner(owner)
	}
	return out
}

// planOf opens the stored plan of a run.
func planOf(ctx context.Context, s *snapshots.Store, run string) (Record, *load.Manifest, error) {
	rec, err := ReadRecord(ctx, s, run)
	if err != nil {
		return rec, nil, err
	}
	m, err := load.OpenPlan(ctx, s, rec.ID)
	return rec, m, err
}
