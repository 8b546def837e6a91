package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
)

// PlanInput is what a plan is made from.
type PlanInput struct {
	Run string
	// TargetName is the target's name in the configuration.
	TargetName string
	// Base is what was last confirmed in the target; Empty if nothing ever was.
	Base Snapshot
	// Desired is the whole population, never one wave's.
	Desired Snapshot
	// Observed is what the target holds, with its scope.
	Observed Snapshot
	Target   Projector
	Profile  schemas.TargetProfile
	Files    Files
	// Reach says whose rows the plan may change.
	Reach    Reach
	Options  PlanOptions
	Progress Progress
}

// Projector is the part of a Target that planning needs.
type Projector interface {
	Project(table string, row schemas.Row) (schemas.Row, []Note)
	ProjectUser(u schemas.Bundle) (schemas.Bundle, []Note)
}

// PlanOptions say how a plan is made.
type PlanOptions struct {
	Ownership Ownership
	// Complete are waves whose users' profiles belong to Keymate, whatever
	// Ownership says. Reach.Assignment says who is in them.
	Complete []string
	// Restore is set when desired is a checkpoint's base.
	Restore *RestoreOptions
	// Decisions settle conflicts by a person's word.
	Decisions []Decision
	// Allow lists words of AllowWords.
	Allow []string
	Brake BrakeOptions
	// Time stamps the plan, and passwords of a source without dates. It must
	// stay the same when a plan is made again for the same run.
	Time time.Time
	// RangeOps is the number of operations in a range; zero: 500.
	RangeOps int
}

// Plan settles every row three ways. It writes what shall stand to out (tables
// as EffectiveTables has them), stores operations and findings under the run,
// and returns the manifest, which the caller seals once the effective
// snapshot's digest is known. Users are streamed: memory does not grow with
// them. Nothing is sent to the target.
//
// The same input gives the same plan.
func Plan(ctx context.Context, in PlanInput, out RowWriter) (*Manifest, error) {
	p, err := newPlanner(in, out)
	if err != nil {
		return nil, err
	}
	if err := p.run(ctx); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return p.m, nil
}

// planner makes one plan.
type planner struct {
	in     PlanInput
	out    RowWriter
	m      *Manifest
	allow  allowed
	shapes map[string]schemas.Table
	brakes *brakes

	sections map[Section]*lineFile
	level    map[Section]string // what the section's open range holds
	ranges   map[Section][]Range
	lists    map[string]*lineFile

	ids       *IDMap
	decisions *decisions
	owners    accountOwners
	// near is the structure in reach.
	near structureReach
	// blocked tells why rows of the structure can't stand; what hangs on them
	// can't either.
	blocked map[schemas.RowID]string
	// leaving are structure rows gone from legacy; uses counts what still is in
	// them.
	leaving map[schemas.RowID]bool
	uses    map[schemas.RowID]int
	gone    []leaver
	seq     int64

	// contest is whose names change hands; trial, if set, takes in what becomes
	// of one user, and nothing is written.
	contest *contest
	trial   *verdict

	// from and to bound the users, and why is told of merges: Explain plans one
	// user.
	from, to schemas.RowID
	why      func(m *merger, out *merged, i int, s cellState)
}

func newPlanner(in PlanInput, out RowWriter) (*planner, error) {
	switch {
	case len(in.Options.Complete) > 0 && in.Reach.Assignment == nil:
		return nil, errors.New("plan: complete waves need the assignment")
	case in.Desired == nil || in.Observed == nil || in.Target == nil || in.Files == nil || in.Run == "":
		return nil, errors.New("plan: run, desired, observed, target and files must be given")
	case in.Options.Time.IsZero():
		return nil, errors.New("plan: options need the plan's time")
	}
	if err := errors.Join(in.Reach.check(), in.Options.Ownership.Check()); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if in.Base == nil {
		in.Base = Empty
	}
	if in.Options.RangeOps == 0 {
		in.Options.RangeOps = defaultRangeOps
	}
	allow, err := newAllowed(in.Options.Allow)
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	p := &planner{
		in: in, out: out, allow: allow, shapes: schemas.Entities(), brakes: newBrakes(in.Options.Brake, &in.Reach, in.Options.Restore != nil), ids: NewIDMap(),
		sections: map[Section]*lineFile{}, level: map[Section]string{}, ranges: map[Section][]Range{}, lists: map[string]*lineFile{},
		blocked: map[schemas.RowID]string{}, leaving: map[schemas.RowID]bool{}, uses: map[schemas.RowID]int{},
	}
	if p.decisions, err = newDecisions(in.Options.Decisions); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	p.m = &Manifest{
		Version: manifestVersion, Run: in.Run, Target: in.TargetName, Dialect: in.Profile.Dialect, Created: in.Options.Time.UTC(),
		Base: in.Base.Digest(), Desired: in.Desired.Digest(), Observed: in.Observed.Digest(),
		Reach: in.Reach.record(), Ownership: in.Options.Ownership, Complete: in.Options.Complete, Restore: in.Options.Restore, Allow: asSet(in.Options.Allow), Lists: map[string][]PlanFile{},
		Counts: Counts{}, Settled: Counts{}, Work: Work{}, Fields: Fields{}, Found: map[string]map[string]int64{},
	}
	return p, nil
}

func (p *planner) run(ctx context.Context) error {
	if err := p.knowIDs(ctx); err != nil {
		return err
	}
	if err := p.structure(ctx); err != nil {
		return err
	}
	if err := p.knowOwners(ctx); err != nil {
		return err
	}
	if err := p.checkOthers(ctx); err != nil {
		return err
	}
	if err := p.users(ctx); err != nil {
		return err
	}
	if err := p.takeovers(ctx); err != nil {
		return err
	}
	if err := p.deletes(ctx); err != nil {
		return err
	}
	if err := p.decisions.unmet(); err != nil {
		return err
	}
	if err := p.writeIDs(ctx); err != nil {
		return err
	}
	if err := p.finish(ctx); err != nil {
		return err
	}
	p.m.Brakes = p.brakes.passed(p.in.Base.Rows, p.m.Counts)
	return p.m.Counts.Check()
}

func (p *planner) knowIDs(ctx context.Context) error {
	if err := p.ids.read(ctx, p.in.Base); err != nil {
		return err
	}
	return p.ids.read(ctx, p.in.Observed)
}

// writeIDs puts the known pairs into effective, where the loader finds them.
func (p *planner) writeIDs(ctx context.Context) error {
	var err error
	for id, e := range p.ids.rows {
		if err = p.out.WriteRow(ctx, schemas.IDMap, e.row(id), -1); err != nil {
			break
		}
	}
	return err
}

// finish stores what is left over and puts the ranges in order.
func (p *planner) finish(ctx context.Context) error {
	for _, s := range Sections {
		if f := p.sections[s]; f != nil {
			if err := f.cut(ctx); err != nil {
				return err
			}
		}
		for _, r := range p.ranges[s] {
			r.N = len(p.m.Ranges) + 1
			p.m.Ranges = append(p.m.Ranges, r)
		}
	}
	for _, name := range Lists {
		if f := p.lists[name]; f != nil {
			if err := f.cut(ctx); err != nil {
				return err
			}
		}
	}
	p.m.Operations = p.seq
	return nil
}

// operation adds an operation to a section and returns its number. Level keeps
// operations apart that must not be in one range.
func (p *planner) operation(ctx context.Context, s Section, level string, op Operation) (int64, error) {
	if p.trial != nil {
		p.trial.operation(op)
		return 1, nil
	}
	if err := p.enlist(ctx, &op); err != nil {
		return 0, err
	}
	return op.Seq, p.file(ctx, s, level, op)
}

// enlist numbers and counts an operation.
func (p *planner) enlist(ctx context.Context, op *Operation) error {
	p.seq++
	op.Seq = p.seq
	p.brakes.add(op)
	p.m.Counts.of(op.Table).add(op.Class(), 1)
	if len(op.Widens) == 0 {
		return nil
	}
	return p.find(ctx, ListWidening, Finding{Table: op.Table, ID: op.ID, Key: op.Key, Columns: op.Columns, Kinds: op.Widens})
}

// file puts an operation into a section's open range.
func (p *planner) file(ctx context.Context, s Section, level string, op Operation) error {
	f := p.section(s)
	if p.level[s] != level {
		if err := f.cut(ctx); err != nil {
			return err
		}
		p.level[s] = level
	}
	if op.With == 0 {
		p.m.Work.add(op.Table, op.Kind, 1)
	}
	return f.add(ctx, op.ID, op)
}

func (p *planner) section(s Section) *lineFile {
	if p.sections[s] == nil {
		p.sections[s] = &lineFile{files: p.in.Files, run: p.in.Run, prefix: "ops-" + string(s), bound: p.in.Options.RangeOps,
			stored: func(pf PlanFile) {
				table := p.level[s]
				if t, _, ok := cutLevel(table); ok {
					table = t
				}
				p.ranges[s] = append(p.ranges[s], Range{Section: s, Table: table, PlanFile: pf})
			}}
	}
	return p.sections[s]
}

// find adds to a list.
func (p *planner) find(ctx context.Context, list string, f Finding) error {
	if p.trial != nil {
		p.trial.finding(f)
		return nil
	}
	if p.lists[list] == nil {
		p.lists[list] = &lineFile{files: p.in.Files, run: p.in.Run, prefix: list, bound: findingLines,
			stored: func(pf PlanFile) { p.m.Lists[list] = append(p.m.Lists[list], pf) }}
	}
	if p.m.Found[list] == nil {
		p.m.Found[list] = map[string]int64{}
	}
	for _, what := range f.counted(list) {
		p.m.Found[list][what]++
	}
	return p.lists[list].add(ctx, f.ID, f)
}

// counted is under which words a finding is counted.
func (f *Finding) counted(list string) []string {
	switch {
	case list == ListDrift, list == ListKept && len(f.Columns) > 0:
		words := make([]string, 0, len(f.Columns))
		for _, c := range f.Columns {
			words = append(words, f.Table+"."+c)
		}
		return words
	case len(f.Kinds) > 0:
		return f.Kinds
	}
	return []string{f.Table + ": " + f.Reason}
}

// settle classes a row that needs no operation.
func (p *planner) settle(table string, c Class) {
	if p.trial != nil {
		p.trial.settle(table, c)
		return
	}
	p.m.Counts.of(table).add(c, 1)
	p.m.Settled.of(table).add(c, 1)
}

// conflict classes a row that no rule settles.
func (p *planner) conflict(ctx context.Context, table string, row *schemas.Row, reason string) error {
	p.settle(table, Conflict)
	return p.find(ctx, ListConflicts, Finding{Table: table, ID: row.ID, Key: row.Key, Reason: reason})
}

// postpone classes a row that lies outside of what was looked at.
func (p *planner) postpone(ctx context.Context, table string, row *schemas.Row, reason string) error {
	p.settle(table, Deferred)
	return p.find(ctx, ListDeferred, Finding{Table: table, ID: row.ID, Key: row.Key, Reason: reason})
}

// outOfReach classes a row that the run may not change. Such rows can be nearly
// all of a population: they are counted and not listed.
func (p *planner) outOfReach(table string) {
	p.settle(table, Deferred)
	if p.trial != nil {
		p.trial.finding(Finding{Table: table, Reason: beyondReach})
		return
	}
	if p.m.Found[ListDeferred] == nil {
		p.m.Found[ListDeferred] = map[string]int64{}
	}
	p.m.Found[ListDeferred][table+": "+beyondReach]++
}

// beyondReach is the reason of rows that are deferred because of the reach.
const beyondReach = "not in the waves of this run"

// write puts a row into effective.
func (p *planner) write(ctx context.Context, table string, row schemas.Row) error {
	p.use(table, &row)
	return p.out.WriteRow(ctx, table, row, -1)
}

// hold keeps a row in base as it is.
func (p *planner) hold(ctx context.Context, table string, row *schemas.Row) error {
	if row == nil {
		return nil
	}
	return p.out.WriteRow(ctx, HeldTable(table), *row, -1)
}

// use notes what a row of effective is in.
func (p *planner) use(table string, row *schemas.Row) {
	if len(p.leaving) == 0 || p.trial != nil {
		return
	}
	shape := p.shapes[table]
	for i, c := range shape.Columns {
		if c.Refs == "" || c.Refs == schemas.Users {
			continue
		}
		for _, s := range flattenRefs(row.Values[i]) {
			if id, err := schemas.ParseRowID(s); err == nil && p.leaving[id] {
				p.uses[id]++
			}
		}
	}
}

func flattenRefs(v any) []string {
	switch x := v.(type) {
	case string:
		return []string{x}
	case []string:
		return x
	}
	return nil
}

// settleMerged records what a merge of an existing row came to, and returns the
// operation it needs, if any.
func (p *planner) settleMerged(ctx context.Context, table string, row *schemas.Row, m *merged) (*Operation, error) {
	f := Finding{Table: table, ID: row.ID, Key: row.Key}
	if len(m.drift) > 0 {
		f := f
		f.Columns = m.drift
		if err := p.find(ctx, ListDrift, f); err != nil {
			return nil, err
		}
	}
	if len(m.withheld) > 0 {
		f := f
		f.Columns, f.Kinds = m.withheld, m.kinds
		if err := p.find(ctx, ListWithheld, f); err != nil {
			return nil, err
		}
	}
	if len(m.kept) > 0 {
		f := f
		f.Columns = m.kept
		if err := p.find(ctx, ListKept, f); err != nil {
			return nil, err
		}
	}
	if len(m.reported) > 0 {
		f := f
		f.Columns, f.Reason = m.reported, "legacy and the target differ, and nobody owns the field"
		if err := p.find(ctx, ListConflicts, f); err != nil {
			return nil, err
		}
	}
	for _, h := range m.hindered {
		f := f
		f.Columns, f.Reason = []string{h.column}, h.reason
		if err := p.find(ctx, h.list(), f); err != nil {
			return nil, err
		}
	}
	if m.isHeld {
		if err := p.hold(ctx, table, &m.held); err != nil {
			return nil, err
		}
	}
	switch {
	case len(m.changed) > 0:
		return &Operation{Table: table, Kind: Update, ID: row.ID, Key: row.Key, Columns: m.changed, Disables: m.disables, Widens: m.widens}, nil
	case len(m.withheld) > 0:
		return nil, p.conflict(ctx, table, row, "access was narrowed in the target")
	case len(m.reported) > 0: // listed above, with its columns
		p.settle(table, Conflict)
		return nil, nil
	case len(m.hindered) > 0:
		p.settle(table, m.hindered[0].class())
		return nil, nil
	}
	p.settle(table, cmp.Or(m.calm, Unchanged))
	return nil, nil
}

// overlay is a row of base with what the target shows now.
func overlay(base, observed *schemas.Row, seen columns) schemas.Row {
	out := cloneRow(*base)
	if observed == nil {
		return out
	}
	for i := range out.Values {
		if seen[i] {
			out.Values[i] = observed.Values[i]
		}
	}
	return out
}
