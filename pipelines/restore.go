package pipelines

import (
	"context"
	"fmt"
	"slices"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// Restored is where a run goes back to. Such a run is any other, save that its
// desired side is a checkpoint's base and that the checkpoint wins only over
// what we did ourselves.
type Restored struct {
	Checkpoint string           `json:"checkpoint"`
	Base       snapshots.Digest `json:"base"`
	// Undo is the wave that is undone, empty for a restore of everything.
	Undo string `json:"undo,omitempty"`
	load.RestoreOptions
}

// RestoreOptions are what the operator says when a restore begins.
type RestoreOptions struct {
	load.RestoreOptions
	// Apply, Allow and Logins as for any run; its reach is the restore's own.
	RunOptions
}

// Restore begins a run that brings the target back to a checkpoint. The target
// is the one that the checkpoint was taken of, or an empty one.
func (r *Runner) Restore(ctx context.Context, checkpoint string, o RestoreOptions) (*Outcome, error) {
	cp, err := r.checkpointToRestore(ctx, checkpoint)
	if err != nil {
		return nil, err
	}
	rec := r.newRecord(o.RunOptions)
	rec.Restore = &Restored{Checkpoint: cp.Name, Base: cp.Base(), RestoreOptions: o.RestoreOptions}
	return r.begin(ctx, rec, o.RunOptions)
}

// Undo begins a run that brings one wave's users back to a checkpoint; an empty
// name is the one taken before the wave's first run.
func (r *Runner) Undo(ctx context.Context, wave, checkpoint string, o RestoreOptions) (*Outcome, error) {
	if err := r.checkWave(wave); err != nil {
		return nil, err
	}
	if complete, err := r.completeWaves(ctx); err != nil {
		return nil, err
	} else if slices.Contains(complete, wave) {
		return nil, ui.Refusef("`parallelrun waves reopen "+wave+"` gives them back to legacy; then undo it", "wave %s is complete: its users' profiles are Keymate's", wave)
	}
	if checkpoint == "" {
		var err error
		if checkpoint, err = r.beforeWave(ctx, wave); err != nil {
			return nil, err
		}
	}
	cp, err := r.checkpointToRestore(ctx, checkpoint)
	if err != nil {
		return nil, err
	}
	if cp.Target != r.TargetName {
		return nil, ui.Refusef("use `parallelrun restore` to fill an empty target", "checkpoint %s is of target %s: a wave is undone where it was loaded", cp.Name, cp.Target)
	}
	rec := r.newRecord(o.RunOptions)
	rec.Waves = []string{wave}
	rec.Restore = &Restored{Checkpoint: cp.Name, Base: cp.Base(), Undo: wave, RestoreOptions: o.RestoreOptions}
	return r.begin(ctx, rec, o.RunOptions)
}

func (r *Runner) checkpointToRestore(ctx context.Context, name string) (*Checkpoint, error) {
	cp, err := ReadCheckpoint(ctx, r.Store, name)
	if err != nil {
		return nil, err
	}
	return cp, cp.Openable(ctx, r.Store, r.Store.Keyring())
}

// beforeWave finds the checkpoint that was taken before a wave's first run.
func (r *Runner) beforeWave(ctx context.Context, wave string) (string, error) {
	st, err := r.Store.State(ctx)
	if err != nil {
		return "", err
	}
	first := snapshots.CheckpointInfo{}
	for _, cp := range st.Checkpoints {
		if cp.Run == "" || cp.Target != r.TargetName || first.Name != "" && cp.N > first.N {
			continue
		}
		rec, err := ReadRecord(ctx, r.Store, cp.Run)
		if err != nil {
			return "", err
		}
		if rec.Restore == nil && slices.Contains(rec.Waves, wave) {
			first = cp
		}
	}
	if first.Name == "" {
		return "", ui.Refusef("`parallelrun runs list` shows what ran; name a checkpoint with --to", "no checkpoint was taken before a run of wave %s: was it ever loaded?", wave)
	}
	return first.Name, nil
}

// checkEmpty refuses to restore one target's checkpoint over another's people.
func (r *Runner) checkEmpty(ctx context.Context, rec Record, observed snapshots.Digest) error {
	if rec.Restore == nil {
		return nil
	}
	cp, err := ReadCheckpoint(ctx, r.Store, rec.Restore.Checkpoint)
	if err != nil || cp.Target == r.TargetName {
		return err
	}
	seen, err := r.open(ctx, observed)
	if err != nil {
		return err
	}
	base, err := r.base(ctx)
	if err != nil {
		return err
	}
	people, err := r.people(ctx, seen)
	if err != nil {
		return err
	}
	structure := seen.Rows(schemas.Organizations) + seen.Rows(schemas.Departments) + seen.Rows(schemas.Groups)
	if base != nil && base.Rows(schemas.Users) > 0 || people+structure > 0 {
		return ui.Refusef("name the checkpoint's own target, or an empty realm",
			"checkpoint %s is of target %s, and %s is not empty: %s accounts and %s organizations, departments and groups are there",
			cp.Name, cp.Target, r.TargetName, ui.Count(people), ui.Count(structure))
	}
	return nil
}

// people is how many accounts the target has. Who is neither ours nor in the
// way of ours is seen by a target that counts, and by no other.
func (r *Runner) people(ctx context.Context, seen *snapshots.Snapshot) (int64, error) {
	n := seen.Rows(schemas.Users) + seen.Rows(load.ForeignAccounts)
	c, ok := r.Target.(load.Counter)
	if !ok {
		return n, nil
	}
	all, err := c.CountUsers(ctx)
	return max(n, all), err
}

// beyondRestore says what no restore can bring back.
func (r *Runner) beyondRestore(ctx context.Context, rec Record) ([]string, error) {
	if rec.Restore == nil {
		return nil, nil
	}
	owners, err := r.ownersSince(ctx, rec.Restore.Checkpoint)
	if err != nil || rec.Restore.Base.IsZero() {
		return owners, err
	}
	sn, err := r.open(ctx, rec.Restore.Base)
	if err != nil {
		return nil, err
	}
	lines := append(owners, "sessions, consents and what people registered in Keymate themselves (one-time passwords, keys): no part of a checkpoint")
	if n := sn.Rows(schemas.Users) - sn.Rows(schemas.Credentials); n > 0 {
		lines = append(lines, fmt.Sprintf("passwords of about %s users who had none of ours: what Keymate hashed can't be read back", ui.Count(n)))
	}
	return lines, nil
}

// ownersSince says which waves were declared complete, or opened again, since a
// checkpoint: a restore changes rows, never who owns them.
func (r *Runner) ownersSince(ctx context.Context, checkpoint string) (lines []string, err error) {
	cp, err := ReadCheckpoint(ctx, r.Store, checkpoint)
	if err != nil {
		return nil, err
	}
	now, err := r.completeWaves(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range now {
		if !slices.Contains(cp.Complete, w) {
			lines = append(lines, fmt.Sprintf("who owns the profiles of wave %s: it was declared complete since, and stays so (`parallelrun waves reopen %s` gives them back to legacy)", w, w))
		}
	}
	for _, w := range cp.Complete {
		if cp.Target == r.TargetName && !slices.Contains(now, w) {
			lines = append(lines, fmt.Sprintf("who owns the profiles of wave %s: it was complete then and is not now (`parallelrun waves complete %s` declares it again)", w, w))
		}
	}
	return lines, nil
}

// automaticName is the name of the checkpoint that a run takes before it
// writes, empty for a run that takes none: waves and restores do.
func automaticName(rec Record) string {
	switch {
	case rec.Restore != nil:
		return "before-restore-" + rec.ID
	case rec.Sweep:
		return "before-sweep-" + rec.ID
	case len(rec.Waves) > 0:
		return "before-" + rec.Waves[0] + "-" + rec.ID
	}
	return ""
}
