package load

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// structState is one structure table on all its sides, in memory.
type structState struct {
	shape                   *schemas.Table
	base, desired, observed map[schemas.RowID]schemas.Row
	rejected                map[schemas.RowID]schemas.Row
	looked                  bool
	merger                  merger
	taken                   map[string]bool // natural keys of rows that are not ours
}

// leaver is a structure row that is gone from legacy and still stands in the
// target.
type leaver struct {
	table    string
	depth    int
	row      schemas.Row
	observed *schemas.Row
}

// structure plans organizations, departments and groups, parents first.
// Deletes wait until it is known who is still in them.
func (p *planner) structure(ctx context.Context) error {
	states := make([]*structState, 0, len(structureTables))
	for _, table := range structureTables {
		st, err := p.readStructure(ctx, table)
		if err != nil {
			return err
		}
		states = append(states, st)
		for id := range st.base {
			if _, here := st.desired[id]; !here && !has(st.rejected, id) {
				p.leaving[id] = true
			}
		}
	}
	var err error
	if p.near, err = p.reachStructure(ctx, states); err != nil {
		return err
	}
	p.brakes.places.know(states)
	p.brakes.reachStructure(states, p.near)
	for _, st := range states {
		p.notOurs(st)
		if err := p.listNotOurs(ctx, st); err != nil {
			return err
		}
	}
	for _, st := range states {
		if err := p.structureTable(ctx, st); err != nil {
			return err
		}
	}
	return nil
}

func has(m map[schemas.RowID]schemas.Row, id schemas.RowID) bool {
	_, ok := m[id]
	return ok
}

func (p *planner) readStructure(ctx context.Context, table string) (*structState, error) {
	shape := p.shapes[table]
	st := &structState{shape: &shape, taken: map[string]bool{}}
	base, desired, observed := newReader(p.in.Base, &shape), newReader(p.in.Desired, &shape), newReader(p.in.Observed, &shape)
	st.merger = p.mergerOf(&shape, base.has, observed.has)
	var err error
	if st.base, err = base.readAll(ctx); err != nil {
		return nil, err
	}
	if st.desired, err = desired.readAll(ctx); err != nil {
		return nil, err
	}
	if st.observed, err = observed.readAll(ctx); err != nil {
		return nil, err
	}
	refused := schemas.Rejected(table)
	if st.rejected, err = newReader(p.in.Desired, &schemas.Table{Name: refused.Name}).readAll(ctx); err != nil {
		return nil, err
	}
	st.looked, err = p.lookedAt(ctx, table)
	return st, err
}

// lookedAt says whether the observation covers a structure table.
func (p *planner) lookedAt(ctx context.Context, table string) (bool, error) {
	scope := schemas.ScopeTable()
	mark := StructureMark(table)
	r := newReader(p.in.Observed, &scope)
	for row, err := range r.scan(ctx, mark, schemas.RowID{}) {
		return err == nil && row.ID == mark, err
	}
	return false, nil
}

// StructureMark is the scope's row that says that a whole structure table was
// looked at.
func StructureMark(table string) schemas.RowID { return schemas.NewRowID("scope", table, "*") }

// notOurs notes what stands in the target beside our rows: names that are
// taken, and parents that are in use.
func (p *planner) notOurs(st *structState) {
	for id, row := range st.observed {
		if st.ours(id) {
			continue
		}
		for _, k := range naturalKeys(st.shape, &row) {
			st.taken[k] = true
		}
		p.use(st.shape.Name, &row)
	}
}

// ours says that a row is one that we made or are to make.
func (st *structState) ours(id schemas.RowID) bool {
	return has(st.base, id) || has(st.desired, id) || has(st.rejected, id)
}

// naturalKeys are the names under which a target holds at most one row.
func naturalKeys(shape *schemas.Table, row *schemas.Row) []string {
	get := func(column string) string { return text(cell(shape, row, column)) }
	lower := func(column string) string { return strings.ToLower(get(column)) }
	switch shape.Name {
	case schemas.Organizations:
		keys := []string{"alias " + lower("alias")}
		domains, _ := cell(shape, row, "domains").([]string)
		for _, d := range domains {
			keys = append(keys, "domain "+strings.ToLower(d))
		}
		return keys
	case schemas.Departments:
		return []string{"name " + get("organization") + "/" + get("parent") + "/" + get("name")}
	case schemas.Groups:
		return []string{"name " + get("parent") + "/" + get("name")}
	}
	return nil
}

func (p *planner) structureTable(ctx context.Context, st *structState) error {
	table := st.shape.Name
	p.m.Counts.of(table).Yielded += int64(len(st.desired))
	depth := depths(st.shape, st.desired)
	for _, id := range parentsFirst(st.desired, depth) {
		if err := p.structureRow(ctx, st, id, depth[id]); err != nil {
			return err
		}
	}
	down := depths(st.shape, st.base)
	for _, id := range parentsFirst(st.base, down) {
		if has(st.desired, id) {
			continue
		}
		if err := p.structureAbsent(ctx, st, id, down[id]); err != nil {
			return err
		}
	}
	return nil
}

// cyclic is the depth of a row whose parents form a cycle.
const cyclic = -1

// depths says how many parents each row has among the rows.
func depths(shape *schemas.Table, rows map[schemas.RowID]schemas.Row) map[schemas.RowID]int {
	at := shape.Column("parent")
	out := make(map[schemas.RowID]int, len(rows))
	for id := range rows {
		n := 0
		for up, ok := parentOf(rows, at, id); ok; up, ok = parentOf(rows, at, up) {
			if n++; n > len(rows) {
				n = cyclic
				break
			}
		}
		out[id] = n
	}
	return out
}

func parentOf(rows map[schemas.RowID]schemas.Row, at int, id schemas.RowID) (schemas.RowID, bool) {
	if at < 0 {
		return schemas.RowID{}, false
	}
	up, ok := ref(rows[id].Values[at])
	return up, ok && has(rows, up)
}

func parentsFirst(rows map[schemas.RowID]schemas.Row, depth map[schemas.RowID]int) []schemas.RowID {
	return slices.SortedFunc(maps.Keys(rows), func(a, b schemas.RowID) int {
		return cmp.Or(cmp.Compare(depth[a], depth[b]), a.Compare(b))
	})
}

// levelOf names a range of the structure: rows of one table and depth.
func levelOf(table string, depth int) string { return fmt.Sprintf("%s@%d", table, depth) }

func cutLevel(level string) (table, depth string, ok bool) { return strings.Cut(level, "@") }

// structureRow plans one desired row.
func (p *planner) structureRow(ctx context.Context, st *structState, id schemas.RowID, depth int) error {
	raw := st.desired[id]
	want, notes := p.in.Target.Project(st.shape.Name, raw)
	p.m.Fields.add(st.shape, []schemas.Row{raw}, notes)
	base, observed := at(st.base, id), at(st.observed, id)
	table := st.shape.Name
	p.decisions.of(id)
	switch reason := p.blockedBy(st.shape, &want); {
	case !holds(p.in.Profile, table):
		p.blocked[id] = "has no place in the target"
		return p.postpone(ctx, table, &raw, "the target has no place for "+table)
	case !p.near.holds(table, id):
		return p.structureWaits(ctx, st, &raw, base)
	case depth == cyclic:
		return p.structureConflict(ctx, st, &want, "its parents form a cycle")
	case reason != "":
		return p.structureConflict(ctx, st, &want, reason)
	case !st.looked:
		return p.structureUnseen(ctx, st, &want, base)
	case observed != nil:
		return p.structureMerge(ctx, st, &want, base, observed, depth)
	case p.recreates(base) && !p.allow[AllowRecreate] && p.decisions.row(id) != TakeLegacy:
		return p.withholdStructure(ctx, st, &want)
	}
	return p.structureCreate(ctx, st, &want, base, depth)
}

func at(m map[schemas.RowID]schemas.Row, id schemas.RowID) *schemas.Row {
	if row, ok := m[id]; ok {
		return &row
	}
	return nil
}

// blockedBy says why a row can't stand because of a row that it refers to.
func (p *planner) blockedBy(shape *schemas.Table, row *schemas.Row) string {
	for i, c := range shape.Columns {
		if c.Refs == "" || c.Type != schemas.String {
			continue
		}
		if id, ok := ref(row.Values[i]); ok && p.blocked[id] != "" {
			return fmt.Sprintf("its %s %s", c.Name, p.blocked[id])
		}
	}
	return ""
}

func (p *planner) structureConflict(ctx context.Context, st *structState, want *schemas.Row, reason string) error {
	base, observed := at(st.base, want.ID), at(st.observed, want.ID)
	if observed == nil {
		p.blocked[want.ID] = "is in conflict"
	} else if base != nil {
		if err := p.write(ctx, st.shape.Name, overlay(base, observed, st.merger.seen)); err != nil {
			return err
		}
	}
	if err := p.hold(ctx, st.shape.Name, base); err != nil {
		return err
	}
	return p.conflict(ctx, st.shape.Name, want, reason)
}

// structureUnseen plans a row of a table that was not looked at: base is
// believed, nothing is written.
func (p *planner) structureUnseen(ctx context.Context, st *structState, want, base *schemas.Row) error {
	table := st.shape.Name
	if base == nil {
		p.blocked[want.ID] = "was not looked at"
		return p.postpone(ctx, table, want, "the target was not looked at")
	}
	if err := p.write(ctx, table, *base); err != nil {
		return err
	}
	if m := st.merger.merge(base, want, nil); len(m.changed) == 0 {
		p.settle(table, Unchanged)
		return nil
	}
	return p.postpone(ctx, table, want, "the target was not looked at")
}

// structureWaits plans a row out of reach, or one that legacy no longer has:
// it stands as it is.
func (p *planner) structureWaits(ctx context.Context, st *structState, row, base *schemas.Row) error {
	p.outOfReach(st.shape.Name)
	observed := at(st.observed, row.ID)
	if base == nil {
		p.blocked[row.ID] = "is " + beyondReach
		return nil
	}
	if err := p.hold(ctx, st.shape.Name, base); err != nil || st.looked && observed == nil {
		return err
	}
	return p.write(ctx, st.shape.Name, overlay(base, observed, st.merger.seen))
}

func (p *planner) structureMerge(ctx context.Context, st *structState, want, base, observed *schemas.Row, depth int) error {
	m := st.merger.merge(base, want, observed)
	if err := p.write(ctx, st.shape.Name, m.effective); err != nil {
		return err
	}
	op, err := p.settleMerged(ctx, st.shape.Name, want, &m)
	if err != nil || op == nil {
		return err
	}
	op.TargetID, _ = p.ids.TargetID(want.ID)
	_, err = p.operation(ctx, SectionStructure, levelOf(st.shape.Name, depth), *op)
	return err
}

func (p *planner) structureCreate(ctx context.Context, st *structState, want, base *schemas.Row, depth int) error {
	for _, k := range naturalKeys(st.shape, want) {
		if st.taken[k] {
			what, _, _ := strings.Cut(k, " ")
			return p.structureConflict(ctx, st, want, "the target already has one with this "+what)
		}
	}
	op := Operation{Table: st.shape.Name, Kind: Create, ID: want.ID, Key: want.Key}
	if p.recreates(base) {
		op.Widens = []string{AllowRecreate}
		p.ids.forget(want.ID)
	}
	if err := p.write(ctx, st.shape.Name, *want); err != nil {
		return err
	}
	_, err := p.operation(ctx, SectionStructure, levelOf(st.shape.Name, depth), op)
	return err
}

// structureAbsent plans a row of base that is not in desired.
func (p *planner) structureAbsent(ctx context.Context, st *structState, id schemas.RowID, depth int) error {
	base, observed := at(st.base, id), at(st.observed, id)
	counts := p.m.Counts.of(st.shape.Name)
	switch {
	case has(st.rejected, id):
		counts.Kept++
		if err := p.hold(ctx, st.shape.Name, base); err != nil || st.looked && observed == nil {
			return err
		}
		return p.write(ctx, st.shape.Name, overlay(base, observed, st.merger.seen))
	case !p.near.holds(st.shape.Name, id):
		counts.Gone++
		return p.structureWaits(ctx, st, base, base)
	case !st.looked:
		counts.Gone++
		if err := p.write(ctx, st.shape.Name, *base); err != nil {
			return err
		}
		return p.postpone(ctx, st.shape.Name, base, "the target was not looked at")
	case observed == nil: // gone on both sides
		counts.Gone++
		p.settle(st.shape.Name, Unchanged)
		return nil
	}
	counts.Gone++
	if p.in.Options.Restore != nil && !p.deletesCreatedRow(st, base, observed) {
		return p.structureStays(ctx, st, base, observed)
	}
	p.gone = append(p.gone, leaver{table: st.shape.Name, depth: depth, row: overlay(base, observed, st.merger.seen), observed: observed})
	return nil
}

// deletes plans the deletes of structure rows that nobody is in any more,
// children first. Others stay, as conflicts.
func (p *planner) deletes(ctx context.Context) error {
	rank := func(l leaver) int { return slices.Index(structureTables, l.table) }
	slices.SortStableFunc(p.gone, func(a, b leaver) int {
		return cmp.Or(cmp.Compare(rank(b), rank(a)), cmp.Compare(b.depth, a.depth), a.row.ID.Compare(b.row.ID))
	})
	for _, l := range p.gone {
		if p.uses[l.row.ID] > 0 {
			if err := p.stays(ctx, l); err != nil {
				return err
			}
			continue
		}
		op := Operation{Table: l.table, Kind: Delete, ID: l.row.ID, Key: l.row.Key, Gone: true}
		op.TargetID, _ = p.ids.TargetID(l.row.ID)
		if _, err := p.operation(ctx, SectionDeletes, levelOf(l.table, l.depth), op); err != nil {
			return err
		}
	}
	return nil
}

func (p *planner) stays(ctx context.Context, l leaver) error {
	if err := p.write(ctx, l.table, l.row); err != nil {
		return err
	}
	return p.conflict(ctx, l.table, &l.row, "no longer in legacy, but not empty in the target")
}
