package pipelines

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines/waves"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// WaveCount is one wave's users as they stand.
type WaveCount struct {
	waves.Count
	// InTarget are those that the target's base has.
	InTarget int64 `json:"in_target"`
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
	in := map[string]int64{}
	if assignment != nil {
		out.Assignment = assignment.Digest()
		if in, err = r.inTarget(ctx, assignment); err != nil {
			return nil, err
		}
	}
	report, err := r.decide(ctx, rules, assignInput{}, desired, assignment, nil)
	if err != nil {
		return nil, err
	}
	for _, c := range report.Waves {
		// Who would be new is not in the wave yet.
		c.Total -= c.New
		out.Waves = append(out.Waves, WaveCount{Count: c, InTarget: in[c.Wave]})
	}
	out.Users, out.Unassigned, out.FirstUnassigned = report.Users, report.Unassigned, report.FirstUnassigned
	return out, nil
}

// someKeys is how many users of a wave are shown.
const someKeys = 5

// errEnough ends a walk over users early.
var errEnough = errors.New("enough")

// WaveDetail tells of one wave, nil if there is none of that name.
func (r *Runner) WaveDetail(ctx context.Context, wave string) (*WaveDetail, *WaveList, error) {
	list, err := r.WaveList(ctx)
	if err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(list.Waves, func(c WaveCount) bool { return c.Wave == wave })
	if i < 0 {
		return nil, list, nil
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
	return out, list, err
}

// inTarget counts, by wave, the assigned users that the target's base has.
func (r *Runner) inTarget(ctx context.Context, assignment *snapshots.Snapshot) (map[string]int64, error) {
	out := map[string]int64{}
	base, err := r.base(ctx)
	if err != nil || base == nil {
		return out, err
	}
	err = eachAssigned(ctx, assignment, base, func(a AssignedUser) error {
		if a.InTarget {
			out[a.Wave]++
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
	return eachAssigned(ctx, assignment, base, func(a AssignedUser) error {
		if a.Wave != wave {
			return nil
		}
		return f(a)
	})
}

// eachAssigned goes over an assignment beside the users of base (nil: none),
// of which it reads the index alone.
func eachAssigned(ctx context.Context, assignment, base *snapshots.Snapshot, f func(AssignedUser) error) error {
	ids := newIDs(ctx, base)
	defer ids.stop()
	t := schemas.WaveAssignmentTable()
	stored, _ := assignment.Table(t.Name)
	wave, rule, run := stored.Column("wave"), stored.Column("rule"), stored.Column("run")
	for row, err := range assignment.Scan(ctx, t.Name, parts.ScanOptions{}) {
		if err != nil {
			return err
		}
		there, err := ids.has(row.ID)
		if err != nil {
			return err
		}
		a := AssignedUser{Key: row.Key, InTarget: there}
		a.Wave, _ = row.Values[wave].(string)
		a.Rule, _ = row.Values[rule].(string)
		a.Run, _ = row.Values[run].(string)
		if err := f(a); err != nil {
			return err
		}
	}
	return nil
}

// ids are the row ids of the users of a snapshot, asked for in order.
type ids struct {
	at   parts.Entry
	ok   bool
	next func() (parts.Entry, error, bool)
	stop func()
}

func newIDs(ctx context.Context, sn *snapshots.Snapshot) *ids {
	none := func(func(parts.Entry, error) bool) {}
	i := &ids{ok: true}
	if sn == nil {
		i.next, i.stop = iter.Pull2(none)
	} else {
		i.next, i.stop = iter.Pull2(sn.Index(ctx, schemas.Users))
	}
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
