package pipelines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// Checkpoint is a named pin on what stood in a target and all that it came
// from. Its base is zero if nothing was ever loaded (Empty).
type Checkpoint = snapshots.CheckpointInfo

// ErrBaseMoved means that a run confirmed something new in the target while a
// checkpoint was being taken: take it again.
var ErrBaseMoved = errors.New("moved on while the checkpoint was taken")

// ForCheckpoints returns a runner of a configured migration that takes
// checkpoints and can do nothing else: source and target stay closed.
func ForCheckpoints(c *config.Config, migration string, s *snapshots.Store) (*Runner, error) {
	name, m, err := c.Migration(migration)
	if err != nil {
		return nil, err
	}
	mapping, err := LoadMapping(c, m)
	if err != nil {
		return nil, err
	}
	files, err := inputs(c, m, mapping)
	return &Runner{Name: name, Config: m, SourceName: m.Source, TargetName: m.Target, Store: s, Inputs: files}, err
}

// Checkpoint pins what was last confirmed in the target, with the snapshots
// that it came from, the files of the run that made it, and who is in which
// wave, in one log entry. Nothing is pinned if the target's base moves
// meanwhile (ErrBaseMoved). Called again by the same run, for the same name and base, it
// returns what stands: a run that was killed after it goes on. Any other
// checkpoint of that name is a *snapshots.CheckpointExistsError.
func (r *Runner) Checkpoint(ctx context.Context, name, reason, run string) (*Checkpoint, error) {
	if err := snapshots.CheckCheckpointName(name); err != nil {
		return nil, err
	}
	st, err := r.Store.State(ctx)
	if err != nil {
		return nil, err
	}
	a, err := r.closure(ctx, st)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", name, err)
	}
	a.Name = name
	if reason == "" {
		reason = fmt.Sprintf("checkpoint %s of target %s", name, r.TargetName)
	}
	_, err = r.Store.Commit(ctx, snapshots.Change{
		Reason: reason, Run: run, Actions: []snapshots.Action{a},
		Check: func(now snapshots.State) error { return r.baseIs(now, a.Base()) },
	})
	if taken, ok := errors.AsType[*snapshots.CheckpointExistsError](err); ok && again(taken.Have, a, run) {
		return &taken.Have, nil
	}
	if err != nil {
		return nil, err
	}
	return ReadCheckpoint(ctx, r.Store, name)
}

// again reports whether a run asks for the checkpoint that it made before. What
// the base came from follows from the base; assignment and keys may have moved
// on since, and those of the first time stand.
func again(have Checkpoint, a snapshots.CheckpointAction, run string) bool {
	return run != "" && have.Run == run && have.Target == a.Target && have.Base() == a.Base()
}

// baseIs makes sure that the target's base is still the one that was read.
func (r *Runner) baseIs(st snapshots.State, want snapshots.Digest) error {
	if st.Refs[BaseRef(r.TargetName)].Digest == want {
		return nil
	}
	return &ui.Failure{Code: ui.Refused, Err: fmt.Errorf("base of target %s %w", r.TargetName, ErrBaseMoved), Next: "take the checkpoint again"}
}

// closure is all that a checkpoint of the target pins now. Its input files are
// stored; nothing refers to them yet.
func (r *Runner) closure(ctx context.Context, st snapshots.State) (a snapshots.CheckpointAction, err error) {
	a = snapshots.CheckpointAction{Target: r.TargetName, Snapshots: map[string]snapshots.Digest{}, Complete: waveNames(st.CompleteWaves(r.Name, r.TargetName))}
	files, assignment := r.Inputs, st.Refs[ref(r.migrationSet(), snapshots.RoleAssignment)]
	if !assignment.Digest.IsZero() {
		a.Snapshots[snapshots.RoleAssignment] = assignment.Digest
	}
	base, ok := st.Refs[BaseRef(r.TargetName)]
	if a.Empty = !ok; ok {
		from := origin(st, base.Digest, StageBase, st.N)
		pinOrigins(st, from, a.Snapshots)
		if files, err = r.inputsOf(ctx, from.Run); err != nil {
			return a, err
		}
	}
	for _, in := range files {
		blob, err := r.Store.PutBlob(ctx, in.Data)
		if err != nil {
			return a, fmt.Errorf("input %s: %w", in.Name, err)
		}
		a.Inputs = append(a.Inputs, snapshots.CheckpointInput{Name: in.Name, Blob: blob})
	}
	a.Epochs, err = r.Store.KeyEpochs(ctx)
	return a, err
}

// pinOrigins pins a base and the snapshots that it was made from: effective,
// what that was planned from, and the legacy state behind it. Those that the
// log does not know are left out, as when a restore came from no source.
func pinOrigins(st snapshots.State, base snapshots.SnapshotInfo, pins map[string]snapshots.Digest) {
	pins[snapshots.RoleBase] = base.Digest
	effective, ok := parent(st, base, StageEffective)
	if !ok {
		return
	}
	pins[snapshots.RoleEffective] = effective.Digest
	if observed, ok := parent(st, effective, StageObserved); ok {
		pins[snapshots.RoleObserved] = observed.Digest
	}
	desired, ok := parent(st, effective, StageDesired)
	if !ok {
		return
	}
	pins[snapshots.RoleDesired] = desired.Digest
	if legacy, ok := parent(st, desired, StageLegacy); ok {
		pins[snapshots.RoleLegacy] = legacy.Digest
	}
}

// parent is the snapshot of a stage that another was made from.
func parent(st snapshots.State, of snapshots.SnapshotInfo, stage string) (snapshots.SnapshotInfo, bool) {
	for _, d := range of.Parents {
		if info := origin(st, d, stage, of.N); info.Stage == stage {
			return info, true
		}
	}
	return snapshots.SnapshotInfo{}, false
}

// origin is the last commit of a snapshot in a stage, not after entry n. The
// same rows may be committed in several stages, and by several runs; without
// one of the stage it is whatever the log says of the snapshot.
func origin(st snapshots.State, d snapshots.Digest, stage string, n uint64) snapshots.SnapshotInfo {
	for _, info := range slices.Backward(st.History) {
		if info.Digest == d && info.Stage == stage && info.N <= n {
			return info
		}
	}
	return st.Snapshots[d]
}

// inputsOf are the files that a run was started with, else those of the
// configuration: a base that no run made.
func (r *Runner) inputsOf(ctx context.Context, run string) ([]Input, error) {
	if run == "" {
		return r.Inputs, nil
	}
	data, err := r.Store.ReadFile(ctx, runKey(run, "run.json"))
	if errors.Is(err, snapshots.ErrNotFound) {
		return r.Inputs, nil
	}
	if err != nil {
		return nil, err
	}
	var rec Record
	if err := json.Unmarshal(data, &rec); err != nil {
		return nil, fmt.Errorf("run %s: run.json is damaged: %w", run, err)
	}
	var files []Input
	for _, name := range rec.Inputs {
		data, err := r.Store.ReadFile(ctx, runKey(run, "inputs", name))
		if err != nil {
			return nil, fmt.Errorf("run %s: input %s: %w", run, name, err)
		}
		files = append(files, Input{Name: name, Data: data})
	}
	return files, nil
}

// ReadCheckpoint finds a checkpoint. An unknown name is a
// *snapshots.UnknownCheckpointError.
func ReadCheckpoint(ctx context.Context, s *snapshots.Store, name string) (*Checkpoint, error) {
	st, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	c, err := st.Checkpoint(name)
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// DropCheckpoint takes a checkpoint's name away, if it is still the one that
// was looked at. The log keeps its history.
func DropCheckpoint(ctx context.Context, s *snapshots.Store, c *Checkpoint) (entry uint64, err error) {
	return s.Commit(ctx, snapshots.Change{
		Reason: "drop checkpoint " + c.Name, Actions: []snapshots.Action{snapshots.CheckpointAction{Name: c.Name, Drop: true}},
		Check: func(st snapshots.State) error {
			now, err := st.Checkpoint(c.Name)
			if err == nil && now.N != c.N {
				err = &ui.Failure{Code: ui.Refused, Err: fmt.Errorf("checkpoint %s was dropped and taken anew meanwhile", c.Name), Next: "look at it again"}
			}
			return err
		},
	})
}

// CheckpointBase opens what stood in the target, a snapshot without tables if
// nothing did.
func CheckpointBase(ctx context.Context, s *snapshots.Store, c *Checkpoint) (*snapshots.Snapshot, error) {
	if c.Empty {
		return snapshots.EmptySnapshot(), nil
	}
	return s.Snapshot(ctx, c.Base().String())
}

// CurrentBase opens what was last confirmed in a target, a snapshot without
// tables if nothing was.
func CurrentBase(ctx context.Context, s *snapshots.Store, target string) (*snapshots.Snapshot, error) {
	st, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	if _, ok := st.Refs[BaseRef(target)]; !ok {
		return snapshots.EmptySnapshot(), nil
	}
	return s.Snapshot(ctx, BaseRef(target))
}

// UnlockStore opens a store's keys with the configured identity; nil if none is
// configured.
func UnlockStore(ctx context.Context, c *config.Config, s *snapshots.Store) (*seal.Keyring, error) {
	id, _, err := access(c)
	if id == nil || err != nil {
		return nil, err
	}
	return s.Unlock(ctx, id)
}

// RowCounts are rows of a snapshot, as its manifest counts them.
type RowCounts struct{ Users, All int64 }

// PinnedRows counts the rows of a snapshot. For a legacy state, whose tables
// have the source's names, it knows no users.
func PinnedRows(ctx context.Context, s *snapshots.Store, d snapshots.Digest) (n RowCounts, err error) {
	sn, err := s.Snapshot(ctx, d.String())
	if err != nil {
		return n, err
	}
	for _, table := range sn.Tables() {
		n.All += sn.Rows(table)
	}
	n.Users = sn.Rows(schemas.Users)
	return n, nil
}
