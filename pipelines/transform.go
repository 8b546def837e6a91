package pipelines

import (
	"context"
	"fmt"
	"iter"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
	"github.com/parallelrun/parallelrun/transform"
)

// Transformed is the result of step transform.
type Transformed struct {
	Snapshot snapshots.Digest  `json:"snapshot"`
	Report   *transform.Report `json:"report"`
	Spilled  int64             `json:"spilled_bytes"`
	// Shrunk lists what has lost too many rows since the target was last loaded.
	Shrunk []Shrunk `json:"shrunk,omitempty"`
}

// transform maps a legacy snapshot to a desired one.
func (r *Runner) transform(ctx context.Context, run string, legacy snapshots.Digest, profile schemas.TargetProfile) (*Transformed, error) {
	from, err := r.open(ctx, legacy)
	if err != nil {
		return nil, err
	}
	// Joins and the snapshot's own sort are under way at the same time.
	w, err := r.newWriter(ctx, transform.OutputTables(), 2, r.migrationSet(), StageDesired)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	total := int64(0)
	for _, t := range from.Tables() {
		total += from.Rows(t)
	}
	step := r.Progress.Step("transform", total, "rows")
	defer step.End()
	in := transform.Input{
		Legacy: legacyRows{from}, Mapping: r.Mapping, Profile: profile, Namespace: r.Namespace, Aliases: r.Aliases,
		Memory: r.Memory / 2, TempDir: r.TempDir, Workers: r.Workers,
		Progress: func(_ string, rows int64) { step.Set(rows, total) },
	}
	if k := r.Store.Keyring(); k != nil { // a nil *Keyring would not be a nil Keyring
		in.Keyring = k
	}
	report, err := transform.Run(ctx, in, w)
	if err != nil {
		return nil, err
	}
	draft, err := w.Finish(ctx)
	if err != nil {
		return nil, err
	}
	if err := balanced(report, draft); err != nil {
		return nil, err
	}
	out := &Transformed{Snapshot: draft.Digest, Report: report, Spilled: report.Spilled + draft.Spilled}
	if err := r.commit(ctx, run, draft, r.migrationSet(), StageDesired, []snapshots.Digest{legacy}); err != nil {
		return nil, err
	}
	out.Shrunk, err = r.shrunken(ctx, legacy, draft.Digest)
	return out, err
}

// balanced compares what transform says it yielded with what the snapshot
// holds: two counts of the same rows, taken in different places.
func balanced(report *transform.Report, d snapshots.Draft) error {
	for _, e := range report.Entities {
		if rows := d.Rows(e.Entity); rows != e.Yielded {
			return fmt.Errorf("%w: %s: %d yielded, %d in the snapshot", transform.ErrUnbalanced, e.Entity, e.Yielded, rows)
		}
	}
	return nil
}

// legacyRows shows a snapshot to transform.
type legacyRows struct{ *snapshots.Snapshot }

func (l legacyRows) Scan(ctx context.Context, table string) iter.Seq2[schemas.Row, error] {
	return l.Snapshot.Scan(ctx, table, parts.ScanOptions{})
}

// RejectError means that more rows of an entity were rejected than its
// contract allows: nothing is written to the target.
type RejectError struct {
	Entity              string
	Rejected, Candidate int64
	Ratio               float64
	Report              string // where the rejects are listed
}

func (e *RejectError) Error() string {
	return fmt.Sprintf("%s: %d of %d rows are rejected, more than the %.1f %% that rejects.maxRatio allows", e.Entity, e.Rejected, e.Candidate, e.Ratio*100)
}

// Hint says what to do.
func (e *RejectError) Hint() string {
	return "look at " + e.Report + "; mend the source or the mapping, or raise rejects.maxRatio for " + e.Entity
}

// checkRejects holds a report against the contract of each entity.
func (r *Runner) checkRejects(report *transform.Report, where string) error {
	for _, e := range report.Entities {
		limit := r.Config.Rejects.Limit(e.Entity)
		if e.Candidates > 0 && float64(e.Rejected) > limit*float64(e.Candidates) {
			return &RejectError{Entity: e.Entity, Rejected: e.Rejected, Candidate: e.Candidates, Ratio: limit, Report: where}
		}
	}
	return nil
}
