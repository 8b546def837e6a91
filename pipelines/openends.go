package pipelines

import (
	"context"
	"fmt"
	"slices"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// OpenEnds are what is not done of a wave, in users: by its newest assignment
// and by the last run that wrote to it.
type OpenEnds struct {
	// NotLoaded users are in the wave, not gone from legacy, and were never
	// confirmed in the target.
	NotLoaded Keys `json:"not_loaded"`
	// Run is the last that wrote to the wave, empty where none is known. Stopped:
	// it did not come to its end. Restored: it went back to this checkpoint.
	Run      string `json:"run,omitempty"`
	Stopped  bool   `json:"stopped,omitempty"`
	Restored string `json:"restored,omitempty"`
	// Users with conflicts of that run's plan, failed operations of its load, and
	// those whose outcome is unknown.
	Conflicts Keys `json:"conflicts"`
	Failed    Keys `json:"failed"`
	Unknown   Keys `json:"unknown"`
}

// lines say what is open, nothing if all is done. fresh users would be in the
// wave and are not recorded yet.
func (e *OpenEnds) lines(fresh int64) []string {
	var out []string
	add := func(k Keys, text string) {
		if k.Count > 0 {
			out = append(out, fmt.Sprintf("%s %s (%s)", countUsers(k.Count), text, &k))
		}
	}
	add(e.NotLoaded, "not in the target yet")
	if fresh > 0 {
		out = append(out, countUsers(fresh)+" more would be in it by the newest desired state")
	}
	switch {
	case e.Restored != "":
		out = append(out, fmt.Sprintf("run %s took it back to checkpoint %s", e.Run, e.Restored))
	case e.Stopped:
		out = append(out, fmt.Sprintf("run %s did not come to its end; `parallelrun resume %s` goes on", e.Run, e.Run))
	}
	add(e.Conflicts, "in conflict; `parallelrun conflicts "+e.Run+"` lists them")
	add(e.Failed, "with an operation that failed in run "+e.Run)
	add(e.Unknown, "with an operation of unknown outcome in run "+e.Run)
	return out
}

func (w *openedWave) openEnds(ctx context.Context) (*OpenEnds, error) {
	out := &OpenEnds{}
	rec, m, err := w.lastWritten(ctx)
	if err != nil {
		return nil, err
	}
	conflicts, failed, unknown := someUsers{}, someUsers{}, someUsers{}
	if m != nil {
		state, _, err := progressOf(ctx, w.Store, rec)
		if err != nil {
			return nil, err
		}
		out.Run, out.Stopped = rec.ID, state == Stopped
		if rec.Restore != nil {
			out.Restored = rec.Restore.Checkpoint
		}
		if conflicts, err = w.found(ctx, m, load.ListConflicts); err != nil {
			return nil, err
		}
		if failed, unknown, err = w.unfinished(ctx, m); err != nil {
			return nil, err
		}
	}
	return out, w.eachUser(ctx, func(a AssignedUser) {
		for _, x := range []struct {
			is   bool
			keys *Keys
		}{{!a.InTarget && !a.Gone, &out.NotLoaded}, {conflicts.has(a.id), &out.Conflicts}, {failed.has(a.id), &out.Failed}, {unknown.has(a.id), &out.Unknown}} {
			if x.is {
				x.keys.add(a.Key)
			}
		}
	})
}

// kept are the wave's users of whom the newest plan kept fields.
func (w *openedWave) kept(ctx context.Context) (*Keys, error) {
	out := &Keys{}
	_, m, err := w.lastWritten(ctx)
	if err != nil || m == nil {
		return out, err
	}
	found, err := w.found(ctx, m, load.ListKept)
	if err != nil {
		return nil, err
	}
	return out, w.eachUser(ctx, func(a AssignedUser) {
		if found.has(a.id) {
			out.add(a.Key)
		}
	})
}

// eachUser goes over the users of the wave.
func (w *openedWave) eachUser(ctx context.Context, f func(AssignedUser)) error {
	return w.WaveUsers(ctx, w.count.Wave, func(a AssignedUser) error {
		f(a)
		return nil
	})
}

// lastWritten finds the last run that reached the wave and began to load; a nil
// plan means that none did.
func (w *openedWave) lastWritten(ctx context.Context) (Record, *load.Manifest, error) {
	ids, err := RunIDs(ctx, w.Store)
	if err != nil {
		return Record{}, nil, err
	}
	for _, id := range slices.Backward(ids) {
		rec, err := ReadRecord(ctx, w.Store, id)
		if err != nil {
			return rec, nil, err
		}
		if rec.Migration != w.Name || rec.Target != w.TargetName || !rec.Apply || !rec.reaches(w.count.Wave) {
			continue
		}
		wrote, err := w.beganToLoad(ctx, id)
		if err != nil {
			return rec, nil, err
		}
		if wrote {
			m, err := load.OpenPlan(ctx, w.Store, id)
			return rec, m, err
		}
	}
	return Record{}, nil, nil
}

// reaches says whether a run could change users of a wave.
func (r *Record) reaches(wave string) bool {
	if slices.Contains(r.Waves, wave) || r.Moved {
		return true
	}
	return len(r.Waves) == 0 && !r.Sweep
}

// beganToLoad says whether anything of a run may have been sent.
func (r *Runner) beganToLoad(ctx context.Context, run string) (bool, error) {
	if done, err := r.engine(run).Done(ctx, stepLoad, nil); done || err != nil {
		return done, err
	}
	for _, err := range r.Store.Files(ctx, runKey(run, "ranges")+"/") {
		return err == nil, err
	}
	return false, nil
}

// someUsers are users by the half of their row ids that their dependents share.
type someUsers map[[8]byte]bool

func (o someUsers) add(table string, id schemas.RowID) {
	switch table {
	case schemas.Users, schemas.Credentials, schemas.Memberships:
		o[[8]byte(id[:8])] = true
	}
}

func (o someUsers) has(id schemas.RowID) bool { return o[[8]byte(id[:8])] }

// found are the users of a plan's list.
func (w *openedWave) found(ctx context.Context, m *load.Manifest, list string) (someUsers, error) {
	out := someUsers{}
	for f, err := range m.Findings(ctx, w.Store, list) {
		if err != nil {
			return nil, err
		}
		out.add(f.Table, f.ID)
	}
	return out, nil
}

// unfinished are the users of a load's failed operations, and of those that
// were sent, or not, with an unknown outcome.
func (w *openedWave) unfinished(ctx context.Context, m *load.Manifest) (failed, unknown someUsers, err error) {
	failed, unknown = someUsers{}, someUsers{}
	ledger, err := load.ReadLedger(ctx, w.Store, m)
	if err != nil {
		return nil, nil, err
	}
	for op, err := range m.AllOperations(ctx, w.Store) {
		if err != nil {
			return nil, nil, err
		}
		switch result, _ := ledger.Result(&op); result {
		case load.OutcomeDone:
		case load.OutcomeFailed:
			failed.add(op.Table, op.ID)
		default:
			unknown.add(op.Table, op.ID)
		}
	}
	return failed, unknown, nil
}
