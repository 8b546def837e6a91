package pipelines

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines/waves"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// WaveState says how far a wave is.
type WaveState string

// States of a wave.
const (
	WaveNotLoaded WaveState = "not loaded"     // nobody of it is in the target
	WaveInPart    WaveState = "loaded in part" // somebody of it is not in the target yet
	WaveLoaded    WaveState = "loaded"
	WaveComplete  WaveState = "complete" // Keymate owns its users' profiles
)

// WaveCount is one wave's users as they stand.
type WaveCount struct {
	waves.Count
	State WaveState `json:"state"`
	// InTarget are those that the target's base has; NotLoaded those that it does
	// not have and that are not gone from legacy.
	InTarget  int64 `json:"in_target"`
	NotLoaded int64 `json:"not_loaded"`
	// Declared is what was last said of the wave.
	Declared *Declared `json:"declared,omitempty"`
}

func (c *WaveCount) setState(w snapshots.WaveInfo) {
	if w.N > 0 {
		c.Declared = &Declared{Complete: !w.Open, At: w.Time, By: w.By, Reason: w.Reason, Despite: w.Despite}
	}
	switch {
	case c.Declared != nil && c.Declared.Complete:
		c.State = WaveComplete
	case c.InTarget == 0:
		c.State = WaveNotLoaded
	case c.NotLoaded > 0:
		c.State = WaveInPart
	default:
		c.State = WaveLoaded
	}
}

// WaveList is where a migration's waves stand: by the newest assignment, with
// who would be new by the newest desired state.
type WaveList struct {
	Migration  string           `json:"migration"`
	Target     string           `json:"target"`
	Assignment snapshots.Digest `json:"assignment,omitzero"`
	Desired    snapshots.Digest `json:"desired,omitzero"`
	Waves      []WaveCount      `json:"waves"`
	// Users are desired; Unassigned of them are in no wave, nor would be.
	Users           int64    `json:"users"`
	Unassigned      int64    `json:"unassigned"`
	FirstUnassigned []string `json:"first_unassigned,omitempty"`
}

// WaveList counts. It writes nothing.
func (r *Runner) WaveList(ctx context.Context) (*WaveList, error) {
	out := &WaveList{Migration: r.Name, Target: r.TargetName}
	desired, err := r.named(ctx, ref(r.migrationSet(), StageDesired))
	if err != nil {
		return nil, err
	}
	if desired != nil {
		out.Desired = desired.Digest()
	}
	assignment, err := r.Assignment(ctx)
	if err != nil {
		return nil, err
	}
	rules := r.Waves
	if rules == nil && assignment == nil {
		return nil, r.noWaves()
	}
	if rules == nil { // all waves were taken out of the configuration; their users stay
		if rules, err = waves.Compile(waves.Rules{}); err != nil {
			return nil, err
		}
	}
	in := map[string]*WaveCount{}
	if assignment != nil {
		out.Assignment = assignment.Digest()
		if in, err = r.inTarget(ctx, assignment, desired); err != nil {
			return nil, err
		}
	}
	st, err := r.Store.State(ctx)
	if err != nil {
		return nil, err
	}
	report, err := r.decide(ctx, rules, assignInput{}, desired, assignment, nil)
	if err != nil {
		return nil, err
	}
	for _, c := range report.Waves {
		// Who would be new is not in the wave yet.
		c.Total -= c.New
		w := WaveCount{Count: c}
		if n := in[c.Wave]; n != nil {
			w.InTarget, w.NotLoaded = n.InTarget, n.NotLoaded
		}
		w.setState(st.Waves[r.waveKey(c.Wave)])
		out.Waves = append(out.Waves, w)
	}
	out.Users, out.Unassigned, out.FirstUnassigned = report.Users, report.Unassigned, report.FirstUnassigned
	return out, nil
}

// unknown is the error of a wave that is not in the list; place says where it
// was looked for.
func (l *WaveList) unknown(wave, place string) error {
	err := &config.UnknownNameError{Kind: "wave", Name: wave, Path: place}
	for _, c := range l.Waves {
		err.Known = append(err.Known, c.Wave)
	}
	return err
}

// someKeys is how many users of a wave are shown.
const someKeys = 5

// errEnough ends a walk over users early.
var errEnough = errors.New("enough")

// WaveDetail tells of one wave; an unknown one is a *config.UnknownNameError.
func (r *Runner) WaveDetail(ctx context.Context, wave string) (*WaveDetail, error) {
	list, err := r.WaveList(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list.Waves, func(c WaveCount) bool { return c.Wave == wave })
	if i < 0 {
		return nil, list.unknown(wave, "migration "+r.Name)
	}
	out := &WaveDetail{Migration: r.Name, Target: r.TargetName, WaveCount: list.Waves[i], Keys: []string{}}
	err = r.WaveUsers(ctx, wave, func(a AssignedUser) error {
		if out.Keys = append(out.Keys, a.Key); len(out.Keys) == someKeys {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return out, err
}

// inTarget counts, by wave, the assigned users, those that the target's base
// has, and those that are not loaded.
func (r *Runner) inTarget(ctx context.Context, assignment, desired *snapshots.Snapshot) (map[string]*WaveCount, error) {
	out := map[string]*WaveCount{}
	base, err := r.base(ctx)
	if err != nil {
		return nil, err
	}
	err = eachAssigned(ctx, assignment, base, desired, func(a AssignedUser) error {
		c := out[a.Wave]
		if c == nil {
			c = &WaveCount{}
			out[a.Wave] = c
		}
		c.Total++
		switch {
		case a.InTarget:
			c.InTarget++
		case !a.Gone:
			c.NotLoaded++
		}
		return nil
	})
	return out, err
}

// AssignedUser is one row of an assignment.
type AssignedUser struct {
	Key  string `json:"key"`
	Wave string `json:"wave"`
	// Rule is what took the user: criteria, or by hand; Run is the run that
	// decided, empty for `waves assign`.
	Rule     string `json:"rule"`
	Run      string `json:"run,omitempty"`
	InTarget bool   `json:"in_target"`
	// Gone: the newest desired state has no such user, not even a rejected one.
	Gone bool `json:"gone,omitempty"`

	id schemas.RowID
}

// Text writes the key.
func (a AssignedUser) Text(p *ui.Page) { p.Line("%s", a.Key) }

// WaveUsers tells of everybody in a wave, in the order of row ids.
func (r *Runner) WaveUsers(ctx context.Context, wave string, f func(AssignedUser) error) error {
	assignment, err := r.Assignment(ctx)
	if err != nil || assignment == nil {
		return err
	}
	base, err := r.base(ctx)
	if err != nil {
		return err
	}
	desired, err := r.named(ctx, ref(r.migrationSet(), StageDesired))
	if err != nil {
		return err
	}
	return eachAssigned(ctx, assignment, base, desired, func(a AssignedUser) error {
		if a.Wave != wave {
			return nil
		}
		return f(a)
	})
}

// eachAssigned goes over an assignment beside the users of base and of a desired
// state (nil: none), of which it reads the indexes alone.
func eachAssigned(ctx context.Context, assignment, base, desired *snapshots.Snapshot, f func(AssignedUser) error) error {
	inBase, wanted, leftOut := newIDs(ctx, base, schemas.Users), newIDs(ctx, desired, schemas.Users), newIDs(ctx, desired, schemas.RejectedTable(schemas.Users))
	defer inBase.stop()
	defer wanted.stop()
	defer leftOut.stop()
	t := schemas.WaveAssignmentTable()
	stored, _ := assignment.Table(t.Name)
	wave, rule, run := stored.Column("wave"), stored.Column("rule"), stored.Column("run")
	for row, err := range assignment.Scan(ctx, t.Name, parts.ScanOptions{}) {
		if err != nil {
			return err
		}
		there, errBase := inBase.has(row.ID)
		isWanted, errWanted := wanted.has(row.ID)
		isLeftOut, errLeftOut := leftOut.has(row.ID)
		if err := errors.Join(errBase, errWanted, errLeftOut); err != nil {
			return err
		}
		a := AssignedUser{Key: row.Key, InTarget: there, Gone: !isWanted && !isLeftOut, id: row.ID}
		a.Wave, _ = row.Values[wave].(string)
		a.Rule, _ = row.Values[rule].(string)
		a.Run, _ = row.Values[run].(string)
		if err := f(a); err != nil {
			return err
		}
	}
	return nil
}

// ids are the row ids of a table of users, asked for in order.
type ids struct {
	at   parts.Entry
	ok   bool
	next func() (parts.Entry, error, bool)
	stop func()
}

func newIDs(ctx context.Context, sn *snapshots.Snapshot, table string) *ids {
	entries := func(func(parts.Entry, error) bool) {}
	if sn != nil {
		if _, there := sn.Table(table); there {
			entries = sn.Index(ctx, table)
		}
	}
	i := &ids{ok: true}
	i.next, i.stop = iter.Pull2(entries)
	return i
}

// has reports whether an id, not lower than the last one asked for, is there.
func (i *ids) has(id schemas.RowID) (bool, error) {
	for i.ok && i.at.ID.Compare(id) < 0 {
		var err error
		if i.at, err, i.ok = i.next(); err != nil {
			return false, err
		}
	}
	return i.ok && i.at.ID == id, nil
}
