package pipelines

import (
	"context"
	"errors"
	"fmt"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines/waves"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// LoadWaves compiles a migration's waves, nil where it has none. What is wrong
// with them comes as config.Problems.
func LoadWaves(c *config.Config, name string, m config.Migration) (*waves.Selection, error) {
	if len(m.Waves) == 0 {
		return nil, nil
	}
	rules := waves.Rules{Salt: m.WaveSalt}
	if rules.Salt == "" {
		rules.Salt = name
	}
	for _, w := range m.Waves {
		rules.Waves = append(rules.Waves, waves.Rule{
			Name: w.Name, Departments: w.Departments, Groups: w.Groups, Keys: w.Keys, KeysFile: config.ShortPath(w.KeysFile),
			Percent: int64(w.Percent), Where: w.Where,
		})
	}
	s, err := waves.Compile(rules)
	return s, waveProblems(c, name, err)
}

// waveProblems gives errors about rules their places in the configuration, and
// leaves other errors as they are.
func waveProblems(c *config.Config, name string, err error) error {
	errs, ok := errors.AsType[waves.RuleErrors](err)
	if !ok || c == nil {
		return err
	}
	var ps config.Problems
	for _, e := range errs {
		ps = append(ps, c.WaveProblem(name, e.Index, e.Criterion, e.Error(), e.Next))
	}
	return ps
}

// ErrNoWaves means that the migration has no waves: add some, or run it as a
// whole.
var ErrNoWaves = errors.New("the migration has no waves")

// ErrNoDesired means that there is no desired state to assign users of: make
// one with a plan.
var ErrNoDesired = errors.New("there is no desired state yet")

// Assigned is what a decision about waves came to.
type Assigned struct {
	Migration string           `json:"migration"`
	Desired   snapshots.Digest `json:"desired"`
	// Previous is the assignment before, zero for none.
	Previous snapshots.Digest `json:"previous,omitzero"`
	// Snapshot is the assignment as it was decided; it is Previous when nothing
	// changed. Until it is Recorded the log does not know it; Manifest opens it.
	Snapshot snapshots.Digest `json:"snapshot"`
	Manifest snapshots.Digest `json:"manifest"`
	Recorded bool             `json:"recorded"`
	// File is the list by hand, empty for a decision by the rules.
	File string `json:"file,omitempty"`
	// Complete are the waves whose users' profiles Keymate owns.
	Complete []string `json:"complete,omitempty"`
	*waves.Report
}

// Assign gives every user of a desired snapshot that is in no wave yet the
// first wave that takes it, and records that. It changes nothing of who is
// assigned already. Called again, it comes to the same snapshot; if another
// moved the assignment meanwhile, the error is a *snapshots.RefMovedError.
func (r *Runner) Assign(ctx context.Context, run string, desired snapshots.Digest) (*Assigned, error) {
	return r.assign(ctx, assignInput{run: run, desired: desired, record: true})
}

// PlanAssign decides as Assign does and records nothing.
func (r *Runner) PlanAssign(ctx context.Context, run string, desired snapshots.Digest) (*Assigned, error) {
	return r.assign(ctx, assignInput{run: run, desired: desired})
}

// AssignByHand assigns the users of a list, and nobody else.
func (r *Runner) AssignByHand(ctx context.Context, hand waves.Hand, desired snapshots.Digest) (*Assigned, error) {
	return r.assign(ctx, assignInput{desired: desired, hand: &hand, record: true})
}

// PlanByHand decides as AssignByHand does and records nothing.
func (r *Runner) PlanByHand(ctx context.Context, hand waves.Hand, desired snapshots.Digest) (*Assigned, error) {
	return r.assign(ctx, assignInput{desired: desired, hand: &hand})
}

type assignInput struct {
	run     string
	desired snapshots.Digest
	hand    *waves.Hand
	record  bool
	// before is called before the decision is recorded, for tests.
	before func(context.Context) error
}

func (r *Runner) assign(ctx context.Context, in assignInput) (*Assigned, error) {
	if r.Waves == nil {
		return nil, r.noWaves()
	}
	desired, err := r.open(ctx, in.desired)
	if err != nil {
		return nil, err
	}
	previous, err := r.Assignment(ctx)
	if err != nil {
		return nil, err
	}
	w, err := r.newWriter(ctx, []schemas.Table{schemas.WaveAssignmentTable()}, 2, r.migrationSet(), StageAssignment)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	report, err := r.decide(ctx, r.Waves, in, desired, previous, w)
	if err != nil {
		return nil, err
	}
	draft, err := w.Finish(ctx)
	if err != nil {
		return nil, err
	}
	if n := draft.Rows(schemas.WaveAssignment); n != report.Rows {
		return nil, fmt.Errorf("assignment of %s: %d rows counted, %d in the snapshot", r.Name, report.Rows, n)
	}
	out := &Assigned{Migration: r.Name, Desired: in.desired, Snapshot: draft.Digest, Manifest: draft.Manifest, Report: report}
	if in.hand != nil {
		out.File = in.hand.File
	}
	if out.Complete, err = r.completeWaves(ctx); err != nil {
		return nil, err
	}
	if previous != nil {
		out.Previous = previous.Digest()
	}
	out.Recorded = previous != nil && draft.Digest == out.Previous
	if out.Recorded || !in.record {
		return out, nil
	}
	if in.before != nil {
		if err := in.before(ctx); err != nil {
			return nil, err
		}
	}
	out.Recorded = true
	return out, r.commitAssignment(ctx, in, draft, out.Previous)
}

// decide streams everybody past the rules, or past a list. A nil writer only
// counts.
func (r *Runner) decide(ctx context.Context, rules *waves.Selection, in assignInput, desired, previous *snapshots.Snapshot, w waves.RowWriter) (*waves.Report, error) {
	input := waves.Input{Namespace: r.Namespace, RowKey: r.Aliases.RowKey, Run: in.run, Hand: in.hand, Memory: r.Memory / 2, TempDir: r.TempDir}
	if previous != nil { // a nil *Snapshot would not be a nil Snapshot
		input.Previous = previous
	}
	if desired != nil {
		input.Desired = desired
		total := desired.Rows(schemas.Users)
		step := r.Progress.Step("assign", total, "users")
		defer step.End()
		input.Progress = func(n int64) { step.Set(n, max(n, total)) }
	}
	report, err := rules.Assign(ctx, input, w)
	return report, waveProblems(r.config, r.Name, err)
}

// commitAssignment moves the assignment, if it is still the one that the
// decision was made upon.
func (r *Runner) commitAssignment(ctx context.Context, in assignInput, draft snapshots.Draft, previous snapshots.Digest) error {
	parents := []snapshots.Digest{in.desired}
	if !previous.IsZero() {
		parents = []snapshots.Digest{previous, in.desired}
	}
	reason := fmt.Sprintf("waves of %s", r.Name)
	if in.hand != nil {
		reason += " by hand"
	}
	_, err := r.Store.Commit(ctx, snapshots.Change{
		Reason: reason, Run: in.run,
		Actions: []snapshots.Action{
			draft.Action(r.migrationSet(), StageAssignment, parents...),
			snapshots.RefAction{Name: AssignmentRef(r.Name), Digest: draft.Digest, Old: &previous},
		},
	})
	return err
}

func (r *Runner) noWaves() error {
	return &ui.Failure{Code: ui.Refused, Err: fmt.Errorf("migration %s: %w", r.Name, ErrNoWaves), Next: "add `waves:` to it in the configuration (docs/waves.md)"}
}

// Assignment is the newest record of who is in which wave, nil before the
// first.
func (r *Runner) Assignment(ctx context.Context) (*snapshots.Snapshot, error) {
	return r.named(ctx, AssignmentRef(r.Name))
}

// Desired is the newest desired state of the migration; without one the error
// is ErrNoDesired.
func (r *Runner) Desired(ctx context.Context) (*snapshots.Snapshot, error) {
	sn, err := r.named(ctx, ref(r.migrationSet(), StageDesired))
	if sn == nil && err == nil {
		err = &ui.Failure{Code: ui.Refused, Err: fmt.Errorf("migration %s: %w", r.Name, ErrNoDesired), Next: "`parallelrun plan` makes one, and writes nothing to the target"}
	}
	return sn, err
}

// named is the snapshot of a name, nil for none.
func (r *Runner) named(ctx context.Context, name string) (*snapshots.Snapshot, error) {
	sn, err := r.Store.Snapshot(ctx, name)
	if _, unknown := errors.AsType[*snapshots.UnknownSnapshotError](err); unknown {
		return nil, nil
	}
	return sn, err
}
