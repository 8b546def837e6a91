package pipelines

import (
	"context"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// Verified is the result of step verify.
type Verified struct {
	Effective   snapshots.Digest `json:"effective"`
	Observed    snapshots.Digest `json:"observed"`
	Rows        int64            `json:"rows"` // read back
	Differences int64            `json:"differences"`
	// First are the first differences, without values.
	First []load.Difference `json:"first,omitempty"`
}

// firstDifferences is how many differences a result names.
const firstDifferences = 20

// verifyRun reads the rows that a run touched back from the target and compares
// them with what shall stand.
func (r *Runner) verifyRun(ctx context.Context, rec Record, profile schemas.TargetProfile) (*Verified, error) {
	m, err := load.OpenPlan(ctx, r.Store, rec.ID)
	if err != nil {
		return nil, err
	}
	if m.Empty() {
		return &Verified{Effective: m.Effective, Observed: m.Observed}, nil
	}
	effective, err := r.open(ctx, m.Effective)
	if err != nil {
		return nil, err
	}
	base, err := r.base(ctx)
	if err != nil {
		return nil, err
	}
	ids, err := load.ReadIDMap(ctx, orEmpty(base))
	if err != nil {
		return nil, err
	}
	seen, err := r.look(ctx, rec.ID, load.ObserveInput{
		Structure: true, IDs: ids, Users: load.Touched(ctx, m, r.Store, orEmpty(base), effective), Total: effective.Rows(schemas.Users),
	}, profile, []snapshots.Digest{m.Effective})
	if err != nil {
		return nil, err
	}
	observed, err := r.open(ctx, seen.Snapshot)
	if err != nil {
		return nil, err
	}
	ledger, err := load.ReadLedger(ctx, r.Store, m)
	if err != nil {
		return nil, err
	}
	return r.compare(ctx, load.VerifyInput{Effective: effective, Observed: observed, Plan: m, Files: r.Store, Ledger: ledger}, seen)
}

func (r *Runner) compare(ctx context.Context, in load.VerifyInput, seen *Observed) (*Verified, error) {
	progress := &stepProgress{ui: r.Progress}
	defer progress.end()
	in.Progress = progress
	out := &Verified{Effective: in.Effective.Digest(), Observed: in.Observed.Digest()}
	for _, entity := range schemas.LoadOrder {
		out.Rows += seen.Report.Rows[entity]
	}
	for d, err := range load.Verify(ctx, in) {
		if err != nil {
			return nil, err
		}
		out.Differences++
		if len(out.First) < firstDifferences {
			out.First = append(out.First, d)
		}
	}
	return out, nil
}
