package pipelines

import (
	"context"
	"slices"
	"time"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// Observed is the result of step observe: a snapshot of what the target held
// between two moments.
type Observed struct {
	Snapshot snapshots.Digest    `json:"snapshot"`
	From     time.Time           `json:"from"`
	To       time.Time           `json:"to"`
	Report   *load.ObserveReport `json:"report"`
}

// observe looks at every user in reach that is desired or was confirmed before,
// and at all organizations, departments and groups. A restore adopts nobody.
func (r *Runner) observe(ctx context.Context, run string, desired snapshots.Digest, reach load.Reach, profile schemas.TargetProfile, restores bool) (*Observed, error) {
	want, err := r.openOrEmpty(ctx, desired)
	if err != nil {
		return nil, err
	}
	base, err := r.base(ctx)
	if err != nil {
		return nil, err
	}
	in := load.ObserveInput{Structure: true, Foreign: true, Total: want.Rows(schemas.Users)}
	decisions, err := r.decisions()
	if err != nil {
		return nil, err
	}
	if !restores {
		in.Adopt = AdoptRulesOf(r.Config)
	}
	in.Users = load.Adopting(load.Probes(ctx, r.Target, orEmpty(base), want, reach, in.Adopt), decisions)
	parents := known(desired)
	if base != nil {
		parents = append(parents, base.Digest())
		in.Total = max(in.Total, base.Rows(schemas.Users))
	}
	if in.IDs, err = load.ReadIDMap(ctx, orEmpty(base)); err != nil {
		return nil, err
	}
	return r.look(ctx, run, in, profile, parents)
}

// look observes the target within a scope, into a snapshot.
func (r *Runner) look(ctx context.Context, run string, in load.ObserveInput, profile schemas.TargetProfile, parents []snapshots.Digest) (*Observed, error) {
	progress := &stepProgress{ui: r.Progress}
	defer progress.end()
	in.Target, in.Profile, in.Progress = r.Target, profile, progress
	w, err := r.newWriter(ctx, load.ObservedTables(profile), 2, r.targetSet(), StageObserved)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	out := &Observed{From: r.now()}
	rep, err := load.Observe(ctx, in, w)
	if err != nil {
		return nil, err
	}
	out.To, out.Report = r.now(), rep
	draft, err := w.Finish(ctx)
	if err != nil {
		return nil, err
	}
	out.Snapshot = draft.Digest
	return out, r.commit(ctx, run, draft, r.targetSet(), StageObserved, parents)
}

// known leaves out the digests that stand for nothing.
func known(digests ...snapshots.Digest) []snapshots.Digest {
	return slices.DeleteFunc(digests, snapshots.Digest.IsZero)
}

// orEmpty is the base of a target that was never loaded.
func orEmpty(base *snapshots.Snapshot) load.Snapshot {
	if base == nil {
		return load.Empty
	}
	return base
}
