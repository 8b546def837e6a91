package pipelines

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"time"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/diffprint"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// drifter is one drift under way.
type drifter struct {
	*Runner
	rec     driftRecord
	base    *snapshots.Snapshot
	profile schemas.TargetProfile
	ids     *load.IDMap
	chosen  driftSelection
	users   []schemas.RowID // sorted; nil: everybody in base
}

// leastPart is how many users a part has at least; each part reads the names of
// the target's structure anew, which must stay a small share of its work.
const leastPart = 4096

// partUsers is how many users a part of a drift has at most.
func (r *Runner) partUsers(base *snapshots.Snapshot) int64 {
	if r.DriftPart > 0 {
		return r.DriftPart
	}
	structure := base.Rows(schemas.Organizations) + base.Rows(schemas.Departments) + base.Rows(schemas.Groups)
	return max(leastPart, 4*structure)
}

// driftPart is a part of the observation: the structure, or some users.
type driftPart struct {
	name      string
	structure bool
	users     iter.Seq2[load.UserProbe, error]
}

// partSeen is the result of a part: a snapshot that its manifest leads to. It
// is not committed; the merged one is.
type partSeen struct {
	Manifest snapshots.Digest    `json:"manifest"`
	From     time.Time           `json:"from"`
	To       time.Time           `json:"to"`
	Report   *load.ObserveReport `json:"report"`
}

// driftSeen is the result of step merge: all parts as one observed snapshot,
// and what of base it is compared with.
type driftSeen struct {
	Observed snapshots.Digest `json:"observed"`
	Compared snapshots.Digest `json:"compared"`
	From     time.Time        `json:"from"`
	To       time.Time        `json:"to"`
	Users    int64            `json:"users"`
	Absent   int64            `json:"absent"`
	Holder   string           `json:"holder,omitempty"`
}

// parts cuts the drift: a pure function of base and of what was chosen.
func (d *drifter) parts(ctx context.Context) []driftPart {
	var out []driftPart
	if d.chosen.Structure {
		out = append(out, driftPart{name: "structure", structure: true})
	}
	if d.chosen.File != "" {
		n := int(d.rec.PartUsers)
		for i := 0; i*n < len(d.users); i++ {
			chunk := d.users[i*n : min((i+1)*n, len(d.users))]
			out = append(out, driftPart{name: fmt.Sprintf("chosen-%06d", i), users: load.ProbesOf(ctx, d.base, chunk)})
		}
		return out
	}
	total := d.base.Rows(schemas.Users)
	digits := 0
	for n := total; n > d.rec.PartUsers && digits < 6; n /= 16 {
		digits++
	}
	for i := range uint64(1) << (4 * digits) {
		name := "all"
		if digits > 0 {
			name = fmt.Sprintf("%0*x", digits, i)
		}
		from, to := prefixBounds(i, digits)
		out = append(out, driftPart{name: name, users: load.ProbesWithin(ctx, d.base, from, to)})
	}
	return out
}

// prefixBounds are the ids that begin with the hex digits of n; a zero end is
// the end of all.
func prefixBounds(n uint64, digits int) (from, to schemas.RowID) {
	if digits == 0 {
		return from, to
	}
	shift := 64 - 4*digits
	binary.BigEndian.PutUint64(from[:8], n<<shift)
	binary.BigEndian.PutUint64(to[:8], (n+1)<<shift) // wraps to zero for the last
	return from, to
}

// look observes the parts that are not done yet, one after the other: the
// dialect keeps several requests of a part under way already.
func (d *drifter) look(ctx context.Context) error {
	var steps []Step
	progress := &partsProgress{stepProgress{ui: d.Progress}}
	defer progress.end()
	progress.stepProgress.Total(load.StepObserve, d.chosen.Users)
	for _, p := range d.parts(ctx) {
		steps = append(steps, Step{Name: p.name, Run: func(ctx context.Context) (any, error) { return d.lookAt(ctx, p, progress) }})
	}
	e := d.engine(d.rec.ID)
	e.Workers = 1
	return e.Map(ctx, stepLook, steps)
}

// partsProgress shows the progress of all parts as one.
type partsProgress struct{ stepProgress }

// Total is known from the start, whatever a part says.
func (p *partsProgress) Total(string, int64) {}

func (d *drifter) lookAt(ctx context.Context, p driftPart, progress load.Progress) (*partSeen, error) {
	w, err := d.newWriter(ctx, load.ObservedTables(d.profile), 2, "", "")
	if err != nil {
		return nil, err
	}
	defer w.Close()
	out := &partSeen{From: d.now()}
	rep, err := load.Observe(ctx, load.ObserveInput{Target: d.Target, Profile: d.profile, IDs: d.ids, Structure: p.structure,
		Users: p.users, Progress: progress}, w)
	if err != nil {
		return nil, err
	}
	out.To, out.Report = d.now(), rep
	draft, err := w.Finish(ctx)
	out.Manifest = draft.Manifest
	return out, err
}

// merge makes one observed snapshot of the parts, and the portion of base that
// it can be compared with, and commits both.
func (d *drifter) merge(ctx context.Context) (*driftSeen, error) {
	w, err := d.newWriter(ctx, load.ObservedTables(d.profile), 2, d.targetSet(), StageObserved)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	out := &driftSeen{Compared: d.base.Digest()}
	e := d.engine(d.rec.ID)
	for _, p := range d.parts(ctx) {
		seen := partSeen{}
		if _, err := e.Done(ctx, stepLook+"/"+p.name, &seen); err != nil {
			return nil, err
		}
		if err := d.copyPart(ctx, seen, w); err != nil {
			return nil, fmt.Errorf("part %s: %w (start anew with `parallelrun drift`)", p.name, err)
		}
		if out.From.IsZero() || seen.From.Before(out.From) {
			out.From = seen.From
		}
		if seen.To.After(out.To) {
			out.To = seen.To
		}
		out.Absent += seen.Report.Absent
		out.Users += seen.Report.Rows[schemas.Users] + seen.Report.Absent
	}
	if out.From.IsZero() { // nobody was to be looked at
		out.From, out.To = d.now(), d.now()
	}
	draft, err := w.Finish(ctx)
	if err != nil {
		return nil, err
	}
	out.Observed = draft.Digest
	var more []snapshots.Action
	if d.chosen.File != "" {
		portion, err := d.portion(ctx)
		if err != nil {
			return nil, err
		}
		out.Compared = portion.Digest
		more = append(more, portion.Action(d.targetSet(), StagePortion, d.base.Digest()))
	}
	if out.Holder, err = d.holderOf(ctx); err != nil {
		return nil, err
	}
	return out, d.commit(ctx, d.rec.ID, draft, d.targetSet(), StageObserved, []snapshots.Digest{d.base.Digest()}, more...)
}

// StagePortion is the stage of the part of a base that a drift within a scope
// is compared with.
const StagePortion = "base-portion"

func (d *drifter) portion(ctx context.Context) (snapshots.Draft, error) {
	w, err := d.newWriter(ctx, load.PortionTables(d.profile, d.chosen.Structure), 2, d.targetSet(), StagePortion)
	if err != nil {
		return snapshots.Draft{}, err
	}
	defer w.Close()
	if err := load.Portion(ctx, d.base, d.users, d.profile, d.chosen.Structure, w); err != nil {
		return snapshots.Draft{}, err
	}
	return w.Finish(ctx)
}

// copyPart writes a part's rows to the merged snapshot.
func (d *drifter) copyPart(ctx context.Context, seen partSeen, w *snapshots.Writer) error {
	part, err := d.Store.OpenManifest(ctx, seen.Manifest)
	if err != nil {
		return err
	}
	for _, table := range part.Tables() {
		for row, err := range part.Scan(ctx, table, parts.ScanOptions{}) {
			if err != nil {
				return err
			}
			if err := w.WriteRow(ctx, table, row, -1); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare diffs what was confirmed with what was seen, over the tables that
// were looked at.
func (d *drifter) compare(ctx context.Context, seen driftSeen, rows int) (*Drift, error) {
	out := &Drift{
		Run: d.rec.ID, Target: d.rec.Target, Base: d.rec.Base, Observed: seen.Observed, Compared: seen.Compared, From: seen.From, To: seen.To,
		Scope: DriftReach{
			Kind: d.rec.Scope, Users: seen.Users, UsersBase: d.base.Rows(schemas.Users), Absent: seen.Absent, Structure: d.chosen.Structure,
			NotGivenBack: load.NotGivenBack(d.profile, d.base, d.chosen.Structure), SinceRun: d.rec.SinceRun, SinceTime: d.rec.SinceTime, Others: d.chosen.Others,
			Blind: d.chosen.Blind, Cursor: d.chosen.Cursor != "", NoCursor: d.chosen.NoCursor, Holder: seen.Holder,
		},
	}
	confirmed, err := d.open(ctx, seen.Compared)
	if err != nil {
		return nil, err
	}
	observed, err := d.open(ctx, seen.Observed)
	if err != nil {
		return nil, err
	}
	var tables []string
	for _, t := range load.PortionTables(d.profile, d.chosen.Structure) {
		tables = append(tables, t.Name)
	}
	var stat snapshots.Stat
	var shown bytes.Buffer
	perTable := map[string]int{}
	for change, err := range snapshots.Diff(ctx, confirmed, observed, snapshots.DiffOptions{Tables: tables, Stat: &stat, Workers: d.Workers, Memory: d.Memory / 2}) {
		if err != nil {
			return nil, err
		}
		if perTable[change.Table]++; perTable[change.Table] <= rows {
			if err := diffprint.Row(&shown, change); err != nil {
				return nil, err
			}
		}
	}
	for i, t := range stat.Tables {
		stat.Tables[i].NotCompared = nil // the scope tells
		if n := t.Inserted + t.Updated + t.Deleted; n > 0 {
			out.Differences += n
			out.ByTable = append(out.ByTable, TableDrift{Table: t.Table, Inserted: t.Inserted, Updated: t.Updated, Deleted: t.Deleted})
		}
	}
	err = diffprint.Stat(&shown, stat)
	out.text = shown.String()
	return out, err
}
