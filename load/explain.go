package load

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// RowTrace is how a plan settles one row.
type RowTrace struct {
	Table string
	ID    schemas.RowID
	Key   string
	// InBase, InDesired and InObserved say which sides have the row; Looked that
	// the observation's scope covers it.
	InBase, InDesired, InObserved, Looked bool
	Rejected                              bool
	Columns                               []ColumnTrace
	Notes                                 []Note
	// Operation is what the plan does, nil for nothing. It has no number: the
	// stored plan's has (StoredOperations).
	Operation *Operation
	Findings  []FoundIn
	// InEffective: the row stands afterwards. Held: base keeps another form of
	// it than effective.
	InEffective, Held bool
	// Foreign is how an account that is nobody's stands in the way; empty: none.
	Foreign string
}

// FoundIn is a finding and the list that it stands in.
type FoundIn struct {
	List string
	Finding
}

// ColumnTrace is one column on all sides. A side that does not know the column
// is not in Has.
type ColumnTrace struct {
	Column *schemas.Column
	// Base, Desired (as the mapping yielded it), Projected (as the target will
	// give it back), Observed and Effective.
	Base, Desired, Projected, Observed, Effective  any
	HasBase, HasDesired, HasObserved, HasEffective bool
	// Same says that all sides that have the column agree.
	Same bool
	// Rule says what decided, Allow which word of AllowWords would bring back
	// what is withheld.
	Rule, Allow string
}

// Explain plans one row anew, by the planner's own code and with the input of
// the plan that it explains, and takes down how it is settled: first the row
// itself, then, for a user, what belongs to it. Organizations, departments and
// groups are planned with it, since a row's fate hangs on theirs; of other users
// nothing is read, unless the user takes a name that one of them may have.
// Nothing is stored and nothing is sent.
func Explain(ctx context.Context, in PlanInput, table string, id schemas.RowID) ([]RowTrace, error) {
	x := &explainer{table: table, id: id, project: in.Target, notes: map[schemas.RowID][]Note{}, projected: map[schemas.RowID]schemas.Row{},
		effective: map[schemas.RowID]schemas.Row{}, held: map[schemas.RowID]bool{}, rules: map[schemas.RowID]map[string]decision{}}
	in.Target, in.Files, in.Progress = x, &x.files, nil
	p, err := newPlanner(in, x)
	if err != nil {
		return nil, err
	}
	p.why = x.why
	p.from, p.to = bounds(id)
	if err := x.plan(ctx, p); err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	rows, err := x.rows(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	return rows, nil
}

// bounds are the row ids of a user and its dependents: those that share its
// first half.
func bounds(id schemas.RowID) (from, to schemas.RowID) {
	copy(from[:8], id[:8])
	to = from
	for i := 7; i >= 0; i-- {
		if to[i]++; to[i] != 0 {
			return from, to
		}
	}
	return from, schemas.RowID{} // the last prefix has no upper bound
}

// decision is what decided a column.
type decision struct{ rule, allow string }

// explainer takes down what a planner does with one row.
type explainer struct {
	table   string
	id      schemas.RowID
	project Projector
	files   memoryFiles

	notes     map[schemas.RowID][]Note
	projected map[schemas.RowID]schemas.Row
	effective map[schemas.RowID]schemas.Row
	held      map[schemas.RowID]bool
	rules     map[schemas.RowID]map[string]decision
	ops       map[schemas.RowID]Operation
	found     map[schemas.RowID][]FoundIn
}

// mine says whether a row is the one that is explained or belongs to it.
func (x *explainer) mine(table string, id schemas.RowID) bool {
	if x.table == schemas.Users {
		return slices.Contains(userTables, table) && [8]byte(id[:8]) == [8]byte(x.id[:8])
	}
	return table == x.table && id == x.id
}

func (x *explainer) plan(ctx context.Context, p *planner) error {
	if err := p.knowIDs(ctx); err != nil {
		return err
	}
	if err := p.structure(ctx); err != nil {
		return err
	}
	if x.table == schemas.Users {
		if err := p.knowOwners(ctx); err != nil {
			return err
		}
		if err := p.users(ctx); err != nil {
			return err
		}
	}
	if err := p.takeovers(ctx); err != nil {
		return err
	}
	if err := p.finish(ctx); err != nil {
		return err
	}
	x.ops, x.found = map[schemas.RowID]Operation{}, map[schemas.RowID][]FoundIn{}
	for op, err := range p.m.AllOperations(ctx, &x.files) {
		if err != nil {
			return err
		}
		if x.mine(op.Table, op.ID) && op.Kind != Park {
			x.ops[op.ID] = op
		}
	}
	for _, list := range Lists {
		for f, err := range p.m.Findings(ctx, &x.files, list) {
			if err != nil {
				return err
			}
			if x.mine(f.Table, f.ID) {
				x.found[f.ID] = append(x.found[f.ID], FoundIn{list, f})
			}
		}
	}
	return nil
}

// Project implements Projector.
func (x *explainer) Project(table string, row schemas.Row) (schemas.Row, []Note) {
	out, notes := x.project.Project(table, row)
	if x.mine(table, row.ID) {
		x.projected[row.ID], x.notes[row.ID] = cloneRow(out), notes
	}
	return out, notes
}

// ProjectUser implements Projector. Its notes go by table, since a dialect does
// not say which of a user's rows one is about.
func (x *explainer) ProjectUser(u schemas.Bundle) (schemas.Bundle, []Note) {
	out, notes := x.project.ProjectUser(u)
	if u.User.ID != x.id {
		return out, notes
	}
	take := func(table string, in []schemas.Row, rows ...schemas.Row) {
		for _, r := range rows {
			x.projected[r.ID] = cloneRow(r)
		}
		for _, r := range in {
			for _, n := range notes {
				if n.Table == table && !slices.Contains(x.notes[r.ID], n) {
					x.notes[r.ID] = append(x.notes[r.ID], n)
				}
			}
		}
	}
	take(schemas.Users, []schemas.Row{u.User}, out.User)
	take(schemas.Credentials, u.Credentials, out.Credentials...)
	take(schemas.Memberships, u.Memberships, out.Memberships...)
	return out, notes
}

// WriteRow implements RowWriter.
func (x *explainer) WriteRow(_ context.Context, table string, row schemas.Row, _ int64) error {
	entity, held := strings.CutSuffix(table, HeldTable(""))
	switch {
	case !x.mine(entity, row.ID):
	case held:
		x.held[row.ID] = true
	default:
		x.effective[row.ID] = cloneRow(row)
	}
	return nil
}

// why takes down which rule decided a column. It reads the decision off its
// result, so that there is one place that decides.
func (x *explainer) why(m *merger, out *merged, i int, s cellState) {
	if !x.mine(m.shape.Name, out.effective.ID) {
		return
	}
	c := &m.shape.Columns[i]
	if x.rules[out.effective.ID] == nil {
		x.rules[out.effective.ID] = map[string]decision{}
	}
	x.rules[out.effective.ID][c.Name] = decisionOf(m, out, i, s)
}

func decisionOf(m *merger, out *merged, i int, s cellState) decision {
	c := &m.shape.Columns[i]
	eff := out.effective.Values[i]
	g, isGrant := grants[m.shape.Name][c.Name]
	now, known := s.current()
	legacyChanged := s.hasBase && !equalCells(c, s.desired, s.base)
	targetChanged := s.hasBase && s.seen && !equalCells(c, s.observed, s.base)
	switch changes := slices.Contains(out.changed, c.Name); {
	case takes(out.decided, c.Name) != "" && (changes || slices.Contains(out.kept, c.Name)):
		return decision{rule: "decided by a person: " + string(takes(out.decided, c.Name))}
	case slices.ContainsFunc(out.hindered, func(h hindrance) bool { return h.column == c.Name }):
		return decision{rule: "held back: " + out.hindered[slices.IndexFunc(out.hindered, func(h hindrance) bool { return h.column == c.Name })].reason}
	case slices.Contains(out.kept, c.Name) && m.restore != nil:
		return decision{rule: "kept: others changed it since it was confirmed, and --overwrite was not given"}
	case slices.Contains(out.kept, c.Name):
		return decision{rule: "kept: Keymate owns the field"}
	case slices.Contains(out.reported, c.Name):
		return decision{rule: "reported: the sides differ, and a person decides"}
	case m.restore != nil && changes:
		return decision{rule: "as in the checkpoint"}
	case slices.Contains(out.withheld, c.Name) && changes:
		return decision{"part of it is withheld: the target narrowed it since it was confirmed; the rest is written", g.kind}
	case slices.Contains(out.withheld, c.Name):
		return decision{"withheld: the target narrowed it, and legacy did not give it anew", g.kind}
	case !known:
		return decision{rule: "the target does not show it and nothing was confirmed: as legacy has it"}
	case slices.Contains(out.drift, c.Name) && legacyChanged:
		return decision{rule: "both sides changed it: legacy owns the field"}
	case slices.Contains(out.drift, c.Name) && isGrant && m.allow[g.kind]:
		return decision{rule: "the target changed it and is brought back, as --allow " + g.kind + " asks"}
	case slices.Contains(out.drift, c.Name):
		return decision{rule: "the target changed it and is brought back: legacy owns the field"}
	case changes && legacyChanged:
		return decision{rule: "legacy changed it"}
	case changes && !s.hasBase:
		return decision{rule: "never confirmed before: legacy owns the field"}
	case changes:
		return decision{rule: "differs from what stands: legacy owns the field"}
	case !equalCells(c, eff, s.desired):
		return decision{rule: "what was done in the target stays"}
	case legacyChanged && targetChanged:
		return decision{rule: "both sides changed it to the same"}
	case !s.seen:
		return decision{rule: "unchanged; the target does not show it: what was confirmed is believed"}
	case !s.hasBase && equalCells(c, now, s.desired):
		return decision{rule: "the target has it already"}
	}
	return decision{rule: "unchanged"}
}

// rows puts together what was taken down, the row itself first.
func (x *explainer) rows(ctx context.Context, p *planner) ([]RowTrace, error) {
	if x.table != schemas.Users {
		return x.structureRows(ctx, p)
	}
	base, hasBase := sideStreams(p.in.Base, p.shapes, func(x *person) *side { return &x.base })
	desired, _ := sideStreams(p.in.Desired, p.shapes, func(x *person) *side { return &x.desired })
	observed, seen := sideStreams(p.in.Observed, p.shapes, func(x *person) *side { return &x.observed })
	streams := slices.Concat(base, desired, observed, rejectedStreams(p.in.Desired), scopeStreams(p.in.Observed))
	for at, err := range people(ctx, streams, p.from, p.to) {
		if err != nil {
			return nil, err
		}
		if at.id == x.id {
			return x.person(p, at, hasBase, seen), nil
		}
	}
	return nil, nil
}

// sides is one row on the three sides.
type sides struct{ base, desired, observed *schemas.Row }

func (s sides) any() *schemas.Row {
	for _, r := range []*schemas.Row{s.desired, s.base, s.observed} {
		if r != nil {
			return r
		}
	}
	return nil
}

func (x *explainer) person(p *planner, at *person, hasBase, seen map[string]columns) []RowTrace {
	up := &userPlanner{planner: p}
	up.users, up.memberships = p.merger(schemas.Users, hasBase, seen), p.merger(schemas.Memberships, hasBase, seen)
	credentials := p.shapes[schemas.Credentials]
	up.passwords = newPasswords(&credentials, seen[schemas.Credentials], p.allow)
	trace := func(table string, s sides) RowTrace {
		shape := p.shapes[table]
		t := x.row(&shape, s, hasBase[table], seen[table])
		t.Looked, t.Rejected = at.looked || at.observed.user != nil, at.rejected[t.ID]
		return t
	}
	user := sides{at.base.user, at.desired.user, at.observed.user}
	if user.any() == nil {
		return nil
	}
	out := []RowTrace{trace(schemas.Users, user)}
	if at.foreign != nil {
		shape := ForeignAccountsTable()
		out[0].Foreign = text(cell(&shape, at.foreign, "match"))
	}
	for _, d := range x.dependents(up, at) {
		out = append(out, trace(d.table, d.sides))
	}
	return out
}

type dependentSides struct {
	table string
	sides
}

// dependents are the rows of a user on any side, each with what the target has
// of it.
func (x *explainer) dependents(up *userPlanner, at *person) []dependentSides {
	var out []dependentSides
	done := map[schemas.RowID]bool{}
	add := func(d dependent, theirs *schemas.Row) {
		if done[d.row.ID] {
			return
		}
		done[d.row.ID] = true
		if theirs != nil {
			done[theirs.ID] = true
		}
		out = append(out, dependentSides{d.table, sides{at.base.has(d.table, d.row.ID), at.desired.has(d.table, d.row.ID), theirs}})
	}
	for _, d := range slices.Concat(at.desired.dependents(), at.base.dependents()) {
		if d.table == schemas.Credentials {
			add(d, up.theirCredential(at, d.row))
		} else {
			add(d, up.theirMembership(at, d.row))
		}
	}
	for _, d := range at.observed.dependents() {
		add(d, d.row)
	}
	return out
}

func (x *explainer) structureRows(ctx context.Context, p *planner) ([]RowTrace, error) {
	shape, ok := p.shapes[x.table]
	if !ok {
		return nil, fmt.Errorf("table %s: no entity", x.table)
	}
	var s sides
	base, observed := newReader(p.in.Base, &shape), newReader(p.in.Observed, &shape)
	for _, side := range []struct {
		r    *reader
		into **schemas.Row
	}{{base, &s.base}, {newReader(p.in.Desired, &shape), &s.desired}, {observed, &s.observed}} {
		var err error
		if *side.into, err = side.r.get(ctx, x.id); err != nil {
			return nil, err
		}
	}
	if s.any() == nil {
		return nil, nil
	}
	t := x.row(&shape, s, base.has, observed.has)
	refused := schemas.Rejected(x.table)
	row, err := newReader(p.in.Desired, &refused).get(ctx, x.id)
	if err != nil {
		return nil, err
	}
	t.Rejected = row != nil
	t.Looked, err = p.lookedAt(ctx, x.table)
	return []RowTrace{t}, err
}

// row lays the sides of one row beside each other.
func (x *explainer) row(shape *schemas.Table, s sides, hasBase, seen columns) RowTrace {
	of := s.any()
	t := RowTrace{Table: shape.Name, ID: of.ID, Key: of.Key, InBase: s.base != nil, InDesired: s.desired != nil, InObserved: s.observed != nil,
		Notes: x.notes[of.ID], Findings: x.found[of.ID], Held: x.held[of.ID]}
	if op, ok := x.ops[of.ID]; ok {
		t.Operation = &op
	}
	effective, stands := x.effective[of.ID]
	t.InEffective = stands
	projected, isProjected := x.projected[of.ID]
	for i := range shape.Columns {
		c := ColumnTrace{Column: &shape.Columns[i], Same: true}
		var all []any
		put := func(row *schemas.Row, has bool, v *any, is *bool) {
			if row != nil && has {
				*v, *is = row.Values[i], true
			}
		}
		put(s.base, hasBase[i], &c.Base, &c.HasBase)
		put(s.desired, true, &c.Desired, &c.HasDesired)
		put(s.observed, seen[i], &c.Observed, &c.HasObserved)
		put(&effective, stands, &c.Effective, &c.HasEffective)
		if c.Projected = c.Desired; isProjected {
			c.Projected = projected.Values[i]
		}
		for _, v := range []struct {
			v  any
			is bool
		}{{c.Base, c.HasBase}, {c.Projected, c.HasDesired}, {c.Observed, c.HasObserved}, {c.Effective, c.HasEffective}} {
			if v.is {
				all = append(all, v.v)
			}
		}
		for _, v := range all {
			c.Same = c.Same && equalCells(c.Column, v, all[0])
		}
		d := x.rules[of.ID][c.Column.Name]
		c.Rule, c.Allow = d.rule, d.allow
		t.Columns = append(t.Columns, c)
	}
	return t
}

// memoryFiles holds the files of a plan that is made only to be looked at.
type memoryFiles struct{ files map[string][]byte }

func (m *memoryFiles) PutFile(_ context.Context, key string, data []byte) error {
	if m.files == nil {
		m.files = map[string][]byte{}
	}
	m.files[key] = bytes.Clone(data)
	return nil
}

func (m *memoryFiles) ReadFile(_ context.Context, key string) ([]byte, error) {
	data, ok := m.files[key]
	if !ok {
		return nil, fmt.Errorf("%s: %w", key, snapshots.ErrNotFound)
	}
	return data, nil
}

func (m *memoryFiles) Files(context.Context, string) iter.Seq2[string, error] {
	return func(func(string, error) bool) {}
}

var (
	_ Projector = (*explainer)(nil)
	_ RowWriter = (*explainer)(nil)
	_ Files     = (*memoryFiles)(nil)
)

// StoredOperation is an operation of a stored plan and the range that it is in.
type StoredOperation struct {
	Operation
	Range Range
	// Parked are the columns that go through a temporary value first.
	Parked []string
}

// StoredOperations finds what a stored plan does with a row, and with the rows
// of a user. It reads a few files of each section, not the plan.
func StoredOperations(ctx context.Context, m *Manifest, files Files, table string, id schemas.RowID) ([]StoredOperation, error) {
	x := &explainer{table: table, id: id}
	var out []StoredOperation
	var parked []string
	for _, s := range Sections {
		ranges := m.rangesOf(s)
		switch {
		case s == SectionStructure || s == SectionDeletes: // small, and ordered by depth
			ranges = slices.DeleteFunc(ranges, func(r Range) bool { return r.Table != table })
		case table != schemas.Users:
			continue
		case s == SectionTakeovers: // few, and ordered by who waits for whom
		default:
			var err error
			if ranges, err = near(ctx, m, files, ranges, id); err != nil {
				return nil, err
			}
		}
		for _, r := range ranges {
			ops, err := m.ReadRange(ctx, files, r)
			if err != nil {
				return nil, err
			}
			for _, op := range ops {
				switch {
				case !x.mine(op.Table, op.ID):
				case op.Kind == Park:
					parked = op.Columns
				default:
					out = append(out, StoredOperation{Operation: op, Range: r})
					if op.Table == schemas.Users {
						out[len(out)-1].Parked = parked
					}
				}
			}
		}
	}
	return out, nil
}

// near are the ranges of a section that may hold a user's operations: they come
// in the order of row ids, and those of one user are never parted.
func near(ctx context.Context, m *Manifest, files Files, ranges []Range, id schemas.RowID) ([]Range, error) {
	var failed error
	after := sort.Search(len(ranges), func(i int) bool {
		ops, err := m.ReadRange(ctx, files, ranges[i])
		if err != nil || len(ops) == 0 {
			failed = err
			return true
		}
		return bytes.Compare(ops[0].ID[:8], id[:8]) > 0
	})
	if failed != nil || after == 0 {
		return nil, failed
	}
	return ranges[after-1 : after], nil
}

// Outcomes finds what the ledger says of a few operations, by number. It stops
// reading once all of them are done.
func Outcomes(ctx context.Context, m *Manifest, files Files, ops []Operation) (map[int64]Outcome, error) {
	want := map[int64]bool{}
	for _, op := range ops {
		want[cmp.Or(op.With, op.Seq)] = true
	}
	out := map[int64]Outcome{}
	if len(want) == 0 {
		return out, nil
	}
	s := &segments{files: files, run: m.Run}
	for key, err := range files.Files(ctx, s.prefix()) {
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(key, ".jsonl") {
			continue
		}
		err := s.readOne(ctx, key, func(o Outcome) {
			if want[o.Seq] {
				out[o.Seq] = o
			}
		})
		if err != nil {
			return nil, fmt.Errorf("ledger of run %s: %w", m.Run, err)
		}
		if allDone(out, want) {
			break
		}
	}
	return out, nil
}

func allDone(have map[int64]Outcome, want map[int64]bool) bool {
	for seq := range want {
		if have[seq].Result != OutcomeDone {
			return false
		}
	}
	return true
}
