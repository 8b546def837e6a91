package pipelines

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// DriftOptions say whom a drift looks at; the zero value looks at everybody.
type DriftOptions struct {
	// Rows is how many changed rows of each table are shown.
	Rows int
	// Keys: these users alone.
	Keys []DriftKey
	// Since: whom the target's events name since the cursor that a drift left:
	// that of the newest ("last"), or of the one with this id.
	Since string
}

// ErrNoBase means that nothing was ever confirmed in the target: load it first.
var ErrNoBase = errors.New("nothing was ever loaded into the target")

// ErrDriftStale means that the target was loaded while a drift was under way:
// what it saw can't be compared. Start it anew.
var ErrDriftStale = errors.New("the target was loaded meanwhile")

// Steps of a drift, beside stepDone.
const (
	stepSelect = "select"
	stepLook   = "look"
	stepMerge  = "merge"
)

// driftSelection is the result of step select: whom to look at.
type driftSelection struct {
	// File holds the ids of the users; empty: everybody in base.
	File      string `json:"file,omitempty"`
	Users     int64  `json:"users"`
	Structure bool   `json:"structure"`
	// Others are accounts that events name and that are nobody's in base.
	Others int64 `json:"others,omitempty"`
	// Cursor is where a later drift can read events on from; NoCursor says why
	// there is none.
	Cursor   string   `json:"cursor,omitempty"`
	NoCursor string   `json:"no_cursor,omitempty"`
	Blind    []string `json:"blind,omitempty"`
}

// Drift compares what was last confirmed in the target with what is there now.
// It is a run of its own kind, whose parts are journaled: ResumeDrift goes on
// with one that stopped.
func (r *Runner) Drift(ctx context.Context, o DriftOptions) (*Drift, error) {
	base, err := r.driftBase(ctx)
	if err != nil {
		return nil, err
	}
	at := r.now()
	rec := driftRecord{
		Version: 1, ID: NewRunID(at), Created: at, Migration: r.Name, Target: r.TargetName, Namespace: r.Namespace,
		Base: base.Digest(), Scope: DriftFull, PartUsers: r.partUsers(base), Tool: r.Tool,
	}
	switch {
	case o.Keys != nil:
		rec.Scope = DriftKeys
		ids, err := r.keyIDs(ctx, base, o.Keys)
		if err != nil {
			return nil, err
		}
		if rec.Keys, err = r.putIDs(ctx, rec.ID, ids); err != nil {
			return nil, err
		}
	case o.Since != "":
		rec.Scope = DriftSince
		from, cursor, err := r.cursorOf(ctx, o.Since)
		if err != nil {
			return nil, err
		}
		rec.Cursor, rec.SinceRun, rec.SinceTime = cursor, from.ID, from.Created
	}
	if err := r.writeDriftRecord(ctx, rec); err != nil {
		return nil, err
	}
	return r.drift(ctx, rec, base, o.Rows)
}

// ResumeDrift goes on with a drift: the one with the id, or the latest that
// stopped. Parts that are done are not looked at again.
func (r *Runner) ResumeDrift(ctx context.Context, id string, rows int) (*Drift, error) {
	rec, err := r.stoppedDrift(ctx, id)
	if err != nil {
		return nil, err
	}
	base, err := r.open(ctx, rec.Base)
	if err != nil {
		return nil, err
	}
	return r.drift(ctx, rec, base, rows)
}

func (r *Runner) driftBase(ctx context.Context) (*snapshots.Snapshot, error) {
	base, err := r.base(ctx)
	if err == nil && base == nil {
		err = &ui.Failure{Code: ui.Refused, Err: fmt.Errorf("target %s: %w", r.TargetName, ErrNoBase), Next: "`parallelrun run --apply` loads it"}
	}
	return base, err
}

// sameBase refuses to compare with what is no longer the target's base: our own
// writes would show as drift.
func (r *Runner) sameBase(ctx context.Context, rec driftRecord) error {
	now, err := r.base(ctx)
	if err != nil {
		return err
	}
	if now == nil || now.Digest() != rec.Base {
		return &ui.Failure{Code: ui.Refused, Err: fmt.Errorf("drift %s of target %s: %w", rec.ID, rec.Target, ErrDriftStale), Next: "start a new one with `parallelrun drift`"}
	}
	return nil
}

// drift does what is not done yet, and compares.
func (r *Runner) drift(ctx context.Context, rec driftRecord, base *snapshots.Snapshot, rows int) (_ *Drift, err error) {
	d := &drifter{Runner: r, rec: rec, base: base}
	e := r.engine(rec.ID)
	finished, err := e.Done(ctx, stepDone, nil)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && !finished {
			err = &DriftStoppedError{ID: rec.ID, Err: err}
		}
	}()
	if !finished {
		if err := r.sameBase(ctx, rec); err != nil {
			return nil, err
		}
	}
	if d.profile, err = r.Target.Preflight(ctx); err != nil {
		return nil, err
	}
	if d.ids, err = load.ReadIDMap(ctx, base); err != nil {
		return nil, err
	}
	seen, err := d.observe(ctx, e)
	if err != nil {
		return nil, err
	}
	if !finished {
		if err := r.sameBase(ctx, rec); err != nil {
			return nil, err
		}
	}
	out, err := d.compare(ctx, *seen, rows)
	if err != nil {
		return nil, err
	}
	return out, e.Do(ctx, Step{Name: stepDone, Run: func(context.Context) (any, error) { return out, nil }}, nil)
}

// observe chooses whom to look at, looks, and merges what was seen.
func (d *drifter) observe(ctx context.Context, e *Local) (*driftSeen, error) {
	err := e.Do(ctx, Step{Name: stepSelect, Run: func(ctx context.Context) (any, error) { return d.choose(ctx) }}, &d.chosen)
	if err != nil {
		return nil, err
	}
	if d.chosen.File != "" {
		if d.users, err = d.readIDs(ctx, d.rec.ID, d.chosen.File); err != nil {
			return nil, err
		}
	}
	seen := &driftSeen{}
	if merged, err := e.Done(ctx, stepMerge, seen); merged || err != nil {
		return seen, err
	}
	if err := d.look(ctx); err != nil {
		return nil, err
	}
	return seen, e.Do(ctx, Step{Name: stepMerge, Run: func(ctx context.Context) (any, error) { return d.merge(ctx) }}, seen)
}

// DriftStoppedError is a drift that did not come to its end; what it has seen
// is kept.
type DriftStoppedError struct {
	ID  string
	Err error
}

func (e *DriftStoppedError) Error() string { return e.Err.Error() }

func (e *DriftStoppedError) Unwrap() error { return e.Err }

// choose decides whom to look at, and takes the feed's cursor before anybody
// is looked at.
func (d *drifter) choose(ctx context.Context) (*driftSelection, error) {
	switch d.rec.Scope {
	case DriftKeys:
		ids, err := d.readIDs(ctx, d.rec.ID, d.rec.Keys)
		return &driftSelection{File: d.rec.Keys, Users: int64(len(ids)), NoCursor: "only chosen users are looked at"}, err
	case DriftSince:
		return d.chooseChanged(ctx)
	}
	s := &driftSelection{Users: d.base.Rows(schemas.Users), Structure: true}
	feed, why := d.feed()
	if feed == nil {
		s.NoCursor = why
		return s, nil
	}
	cursor, err := feed.Mark(ctx)
	if off, ok := errors.AsType[*load.FeedError](err); ok {
		s.NoCursor = off.Why
		return s, nil
	}
	s.Cursor = cursor
	return s, err
}

func (r *Runner) feed() (load.ChangeFeed, string) {
	f, ok := r.Target.(load.ChangeFeed)
	if !ok || !r.Target.Abilities().ChangeFeed {
		return nil, "the target has no feed of changes"
	}
	return f, ""
}

// chooseChanged asks the target whom its events name since the cursor.
func (d *drifter) chooseChanged(ctx context.Context) (*driftSelection, error) {
	feed, why := d.feed()
	if feed == nil {
		return nil, &load.FeedError{Why: why, Next: "`parallelrun drift --full` looks at everything"}
	}
	changes, err := feed.Changes(ctx, d.rec.Cursor)
	if err != nil {
		return nil, err
	}
	s := &driftSelection{Structure: changes.Structure, Cursor: changes.Next, Blind: changes.Blind}
	var ids []schemas.RowID
	for id, err := range load.Concerned(ctx, d.Target, d.base, d.ids, changes) {
		if err != nil {
			return nil, err
		}
		if ids = append(ids, id.ID); len(ids) > load.MostChanges {
			return nil, &load.FeedError{Why: fmt.Sprintf("more than %s users are concerned", ui.Count(load.MostChanges)), Next: "`parallelrun drift --full` looks at everything"}
		}
		if id.Named {
			s.Others--
		}
	}
	s.Others += int64(len(changes.Users))
	s.Users = int64(len(ids))
	s.File, err = d.putIDs(ctx, d.rec.ID, ids)
	return s, err
}

// holderOf names the run that holds the target now, empty for none.
func (r *Runner) holderOf(ctx context.Context) (string, error) {
	st, err := r.Store.State(ctx)
	if err != nil {
		return "", err
	}
	l, taken := st.Leases[r.TargetName]
	if !taken || l.Released {
		return "", nil
	}
	return l.Holder.Run, nil
}

// Drift is what others changed in a target since its base was confirmed: the
// diff of base and a fresh observation, within a scope that it states.
type Drift struct {
	Run      string           `json:"run"`
	Target   string           `json:"target"`
	Base     snapshots.Digest `json:"base"`
	Observed snapshots.Digest `json:"observed"`
	// Compared is what observed was compared with: base, or its portion within
	// the scope.
	Compared    snapshots.Digest `json:"compared"`
	From        time.Time        `json:"from"`
	To          time.Time        `json:"to"`
	Scope       DriftReach       `json:"scope"`
	Differences int64            `json:"differences"`
	ByTable     []TableDrift     `json:"by_table,omitempty"`

	text string // stat and the first rows, for people
}

// DriftReach is what a drift looked at, and what it did not.
type DriftReach struct {
	Kind      DriftScope `json:"kind"`
	Users     int64      `json:"users"`
	UsersBase int64      `json:"users_in_base"`
	// Absent are users of those that are not in the target.
	Absent    int64 `json:"absent"`
	Structure bool  `json:"structure"`
	// NotGivenBack are, by table, columns of base that the target does not give
	// back: nothing is said of them.
	NotGivenBack map[string][]string `json:"not_given_back,omitempty"`
	// SinceRun left the cursor that events were read from.
	SinceRun  string    `json:"since_run,omitempty"`
	SinceTime time.Time `json:"since_time,omitzero"`
	// Others are accounts that events name and base does not have.
	Others int64    `json:"others,omitempty"`
	Blind  []string `json:"events_do_not_tell,omitempty"`
	// Cursor: `--since` can go on from here; NoCursor says why not.
	Cursor   bool   `json:"cursor"`
	NoCursor string `json:"no_cursor,omitempty"`
	// Holder is a run that held the target meanwhile: what it wrote and did not
	// confirm yet shows as drift.
	Holder string `json:"held_by,omitempty"`
}

// TableDrift counts the differences of one table.
type TableDrift struct {
	Table    string `json:"table"`
	Inserted int64  `json:"inserted"`
	Updated  int64  `json:"updated"`
	Deleted  int64  `json:"deleted"`
}
