package pipelines

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/pipelines/waves"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
	"github.com/parallelrun/parallelrun/transform"
)

// Runner is one migration with everything opened that its runs need. Its
// fields are set before the first call and not changed afterwards.
type Runner struct {
	Name       string // of the migration
	Config     config.Migration
	Namespace  string // of the source's row ids
	SourceName string
	TargetName string

	Store   *snapshots.Store
	Source  extract.Source
	Mapping *transform.Mapping
	// Aliases lead from keys that changed in the source to their rows; nil: none.
	Aliases *transform.Aliases
	// Waves are the compiled rules of the migration's waves; nil: it has none.
	Waves  *waves.Selection
	Target load.Target
	// Inputs are kept with each run, as bytes.
	Inputs []Input

	Memory  int64
	Workers int
	TempDir string
	// Bounds of snapshots' parts; they change no digest. Zero: the defaults.
	Bounds parts.Bounds
	// WorkDir is where the ledger's local log lies until it is shipped.
	WorkDir string
	// ReportDir takes a folder of reports for each run.
	ReportDir string

	// Progress may be nil.
	Progress *ui.Progress
	// Boundary is told before and after each step, for tests that stop there.
	Boundary func(step string, done bool)
	// Retry says how long a load keeps trying; the zero value is the loader's.
	Retry load.Policy
	// config is the file that Config is of, for places in it; nil: unknown.
	config *config.Config
	// DriftPart is how many users a part of a drift has at most; zero: enough to
	// keep what the parts share a small part of the work.
	DriftPart int64
	// LeaseTTL is how long the holder of a target is believed after its last sign
	// of life; zero: the store's default.
	LeaseTTL time.Duration
	// Tool names this program in records.
	Tool string
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Datasets under which the log knows a migration's snapshots, and the refs
// that name the newest of each.
func (r *Runner) sourceSet() string    { return "source/" + r.SourceName }
func (r *Runner) migrationSet() string { return "migration/" + r.Name }
func (r *Runner) targetSet() string    { return "target/" + r.TargetName }

// Stages of snapshots.
const (
	StageLegacy    = "legacy"
	StageDesired   = "desired"
	StageObserved  = "observed"
	StageEffective = "effective"
	StageBase      = "base"
	// StageAssignment: who moves with which wave.
	StageAssignment = "assignment"
)

// BaseRef names what was last confirmed in a target.
func BaseRef(target string) string { return "target/" + target + "/" + StageBase }

// AssignmentRef names the newest record of a migration's waves.
func AssignmentRef(migration string) string { return "migration/" + migration + "/" + StageAssignment }

func ref(dataset, stage string) string { return dataset + "/" + stage }

func (r *Runner) now() time.Time {
	if r.Now != nil {
		return r.Now().UTC()
	}
	return time.Now().UTC()
}

func (r *Runner) engine(run string) *Local {
	return &Local{Files: r.Store, RunID: run, Workers: r.Workers, Boundary: r.Boundary, Now: r.Now}
}

// newWriter returns a writer of a snapshot within the run's memory, of which
// the caller's own work has the other share. What has not changed since the
// newest snapshot of the dataset and stage is not written again; with empty
// names, all is.
func (r *Runner) newWriter(ctx context.Context, tables []schemas.Table, share int64, dataset, stage string) (*snapshots.Writer, error) {
	o := snapshots.WriterOptions{Memory: r.Memory / share, Workers: r.Workers, TempDir: r.TempDir, Bounds: r.Bounds}
	st, err := r.Store.State(ctx)
	if err != nil {
		return nil, err
	}
	if last, ok := st.Latest(dataset, stage); ok {
		o.Parent, err = r.Store.OpenManifest(ctx, last.Manifest)
		if err != nil && !snapshots.IsCorrupt(err) { // what can't be read is made anew, whole
			return nil, err
		}
	}
	return r.Store.NewWriter(tables, o), nil
}

// commit makes a draft known under its dataset and stage, moves the ref of
// that name, and does what else belongs to it.
func (r *Runner) commit(ctx context.Context, run string, d snapshots.Draft, dataset, stage string, parents []snapshots.Digest, more ...snapshots.Action) error {
	actions := []snapshots.Action{
		d.Action(dataset, stage, parents...),
		snapshots.RefAction{Name: ref(dataset, stage), Digest: d.Digest},
	}
	_, err := r.Store.Commit(ctx, snapshots.Change{
		Reason: fmt.Sprintf("%s of %s", stage, dataset), Run: run, Actions: append(more, actions...),
	})
	return err
}

// open returns a snapshot by digest.
func (r *Runner) open(ctx context.Context, d snapshots.Digest) (*snapshots.Snapshot, error) {
	return r.Store.Snapshot(ctx, d.String())
}

// openOrEmpty returns a snapshot by digest, an empty one for none.
func (r *Runner) openOrEmpty(ctx context.Context, d snapshots.Digest) (load.Snapshot, error) {
	if d.IsZero() {
		return load.Empty, nil
	}
	return r.open(ctx, d)
}

// base returns what was last confirmed in the target, nil before the first
// load.
func (r *Runner) base(ctx context.Context) (*snapshots.Snapshot, error) {
	sn, err := r.Store.Snapshot(ctx, BaseRef(r.TargetName))
	if _, unknown := errors.AsType[*snapshots.UnknownSnapshotError](err); unknown {
		return nil, nil
	}
	return sn, err
}
