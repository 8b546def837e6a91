package snapshots

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// Side says who changed a row or field since the base of a three-way diff.
type Side string

// The sides.
const (
	OnlyA    Side = "a"        // only a
	OnlyB    Side = "b"        // only b
	Same     Side = "same"     // both, to the same
	Both     Side = "both"     // both, other fields each, or some the same: no clash
	Conflict Side = "conflict" // both, to different values, or one deleted what the other changed
)

// Sides lists them as they are told.
var Sides = []Side{OnlyA, OnlyB, Same, Both, Conflict}

// ThreeWayChange is one row that a or b changed since base.
type ThreeWayChange struct {
	Table string
	ID    schemas.RowID
	Key   string // of a where a changed it, else of b
	Side  Side
	// A and B are what each side did; empty where it did nothing.
	A, B ChangeKind
	// Fields that either changed. Of a row that one deleted and the other did not
	// touch, or both deleted, all that base has.
	Fields []ThreeWayField
	// BaseRow, ARow and BRow are the rows as they are stored, nil where there is
	// none, where DiffOptions.Rows asks for them: as RowChange.Old and New.
	BaseRow, ARow, BRow *parts.StoredRow
}

// ThreeWayField is one field, its values as in FieldChange. A side that has not
// changed the field has base's value.
type ThreeWayField struct {
	Column     string
	Type       schemas.Type
	Set        bool
	Side       Side // never Both
	Base, A, B any
}

// ThreeWayStat counts what a three-way diff found.
type ThreeWayStat struct{ Tables []ThreeWayTable }

// ThreeWayTable counts one table.
type ThreeWayTable struct {
	Table string
	// Rows by side; Unchanged is how many rows of base nobody touched.
	Rows      map[Side]int64
	Unchanged int64
	Left      int64 // rows left out by where
	// Columns counts fields by side, over rows that both sides or one updated.
	Columns []ThreeWayColumn
	// NotCompared lists columns that not all of the three have.
	NotCompared []NotCompared
}

// ThreeWayColumn counts one column.
type ThreeWayColumn struct {
	Column string
	Fields map[Side]int64
}

// Changed is how many rows either side changed.
func (s ThreeWayStat) Changed() (n int64) {
	for _, t := range s.Tables {
		for _, rows := range t.Rows {
			n += rows
		}
	}
	return n
}

// ThreeWay yields the rows that a or b changed since base, table by table in
// order of their names, each in order of row ids. It is two diffs side by side,
// with all that these skip. Of the options, Tables, Columns, Rows, Workers and
// Memory are taken; where, if set, says which rows to yield and count, with the
// rows set.
func ThreeWay(ctx context.Context, base, a, b *Snapshot, o DiffOptions, where func(ThreeWayChange) (bool, error), st *ThreeWayStat) iter.Seq2[ThreeWayChange, error] {
	return func(yield func(ThreeWayChange, error) bool) {
		if st == nil {
			st = &ThreeWayStat{}
		}
		st.Tables = nil
		for _, name := range threeTables(base, a, b, o.Tables) {
			t, err := newThreeWay(base, a, b, name, o)
			if err == nil {
				t.where, t.yield = where, yield
				err = t.run(ctx)
				st.Tables = append(st.Tables, t.result())
			}
			if err != nil {
				if !errors.Is(err, errDiffStopped) {
					yield(ThreeWayChange{}, fmt.Errorf("diff table %s: %w", name, err))
				}
				return
			}
		}
	}
}

func threeTables(base, a, b *Snapshot, only []string) []string {
	if only == nil {
		only = slices.Concat(base.Tables(), a.Tables(), b.Tables())
	}
	return diffTables(a, b, only)
}

// threeWay compares one table.
type threeWay struct {
	a, b    *tableDiff // from base; nil where neither side has the table
	rows    bool
	where   func(ThreeWayChange) (bool, error)
	yield   func(ThreeWayChange, error) bool
	stat    ThreeWayTable
	touched int64 // rows of base that either changed
	base    int64
	columns map[string]map[Side]int64
}

func newThreeWay(base, a, b *Snapshot, name string, o DiffOptions) (*threeWay, error) {
	t := &threeWay{rows: o.Rows, base: base.Rows(name), stat: ThreeWayTable{Table: name, Rows: map[Side]int64{}}, columns: map[string]map[Side]int64{}}
	o.IndexOnly, o.Counts, o.OldDigests, o.Rows, o.Where, o.Stat = false, false, false, true, nil, nil
	o.keys = o.Columns == nil
	t.stat.NotCompared = notOfAll(name, &o, base, a, b)
	// Two diffs at once.
	o.Workers, o.Memory = (o.Workers+1)/2, max(o.Memory/2, 1)
	found := false
	for i, side := range []*Snapshot{a, b} {
		d, err := newTableDiff(base, side, name, o)
		if errors.Is(err, ErrNoTable) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = true
		if i == 0 {
			t.a = d
		} else {
			t.b = d
		}
	}
	if !found {
		return nil, fmt.Errorf("%w on any side", ErrNoTable)
	}
	return t, nil
}

// notOfAll limits the columns to those that all sides with the table have, and
// names the others.
func notOfAll(name string, o *DiffOptions, sides ...*Snapshot) (left []NotCompared) {
	var tables []parts.Table
	for _, s := range sides {
		if t, ok := s.Stored(name); ok {
			tables = append(tables, t)
		}
	}
	seen := map[int32]bool{}
	common := []string{}
	for _, t := range tables {
		for _, c := range t.Columns {
			if seen[c.ID] || o.Columns != nil && !slices.Contains(o.Columns, c.Name) {
				continue
			}
			seen[c.ID] = true
			everywhere := !slices.ContainsFunc(tables, func(x parts.Table) bool {
				return !slices.ContainsFunc(x.Columns, func(y schemas.Column) bool { return y.ID == c.ID && y.Type == c.Type })
			})
			if everywhere {
				common = append(common, c.Name)
			} else {
				left = append(left, NotCompared{Column: c.Name, Why: "not on all three sides, or of another type"})
			}
		}
	}
	if len(left) > 0 || o.Columns != nil {
		o.Columns = common
	}
	return left
}

func (t *threeWay) run(ctx context.Context) error {
	changes := func(d *tableDiff) iter.Seq2[RowChange, error] {
		return func(yield func(RowChange, error) bool) {
			if d == nil {
				return
			}
			err := d.run(ctx, func(c RowChange) error {
				if !yield(c, nil) {
					return errDiffStopped
				}
				return nil
			})
			if err != nil && !errors.Is(err, errDiffStopped) {
				yield(RowChange{}, err)
			}
		}
	}
	id := func(c *RowChange) schemas.RowID { return c.ID }
	return merge(changes(t.a), changes(t.b), id, func(x, y *RowChange) error {
		c, err := t.change(x, y)
		if err != nil {
			return err
		}
		return t.found(c)
	})
}

// change is what both did to a row; nil for nothing.
func (t *threeWay) change(x, y *RowChange) (c ThreeWayChange, err error) {
	switch {
	case y == nil:
		c = oneSideOf(*x, OnlyA)
		c.A = x.Kind
		c.BaseRow, c.ARow, c.BRow = x.Old, x.New, x.Old
	case x == nil:
		c = oneSideOf(*y, OnlyB)
		c.B = y.Kind
		c.BaseRow, c.ARow, c.BRow = y.Old, y.Old, y.New
	default:
		c = ThreeWayChange{Table: x.Table, ID: x.ID, Key: x.Key, A: x.Kind, B: y.Kind, BaseRow: x.Old, ARow: x.New, BRow: y.New}
		if (x.Kind == Delete) != (y.Kind == Delete) {
			c.Side = Conflict
			c.Fields = deletedAndChanged(*x, *y)
			return c, nil
		}
		if c.Fields, err = t.fields(*x, *y); err != nil {
			return c, err
		}
		c.Side = sideOf(c.Fields)
	}
	return c, nil
}

func oneSideOf(r RowChange, side Side) ThreeWayChange {
	c := ThreeWayChange{Table: r.Table, ID: r.ID, Key: r.Key, Side: side}
	for _, f := range r.Fields {
		field := ThreeWayField{Column: f.Column, Type: f.Type, Set: f.Set, Side: side, Base: f.Old, A: f.Old, B: f.Old}
		if side == OnlyA {
			field.A = f.New
		} else {
			field.B = f.New
		}
		c.Fields = append(c.Fields, field)
	}
	return c
}

// deletedAndChanged are the fields that one side changed of a row that the
// other deleted.
func deletedAndChanged(x, y RowChange) (out []ThreeWayField) {
	kept := x
	if x.Kind == Delete {
		kept = y
	}
	for _, f := range kept.Fields {
		field := ThreeWayField{Column: f.Column, Type: f.Type, Set: f.Set, Side: Conflict, Base: f.Old}
		if x.Kind == Delete {
			field.B = f.New
		} else {
			field.A = f.New
		}
		out = append(out, field)
	}
	return out
}

// fields joins what both sides changed of a row.
func (t *threeWay) fields(x, y RowChange) (out []ThreeWayField, err error) {
	of := map[string]FieldChange{}
	for _, f := range y.Fields {
		of[f.Column] = f
	}
	for _, f := range x.Fields {
		field := ThreeWayField{Column: f.Column, Type: f.Type, Set: f.Set, Base: f.Old, A: f.New, B: f.Old, Side: OnlyA}
		if g, ok := of[f.Column]; ok {
			delete(of, f.Column)
			field.B, field.Side = g.New, Conflict
			same := x.Kind == Delete // both are
			if !same {
				if same, err = t.equal(f, x.New, y.New); err != nil {
					return nil, err
				}
			}
			if same {
				field.Side = Same
			}
		}
		out = append(out, field)
	}
	for _, f := range y.Fields {
		if _, more := of[f.Column]; more {
			out = append(out, ThreeWayField{Column: f.Column, Type: f.Type, Set: f.Set, Base: f.Old, A: f.Old, B: f.New, Side: OnlyB})
		}
	}
	return out, nil
}

// equal compares a field of both sides as the canonical encoding does.
func (t *threeWay) equal(f FieldChange, a, b *parts.StoredRow) (bool, error) {
	if f.Column == schemas.LegacyKeyColumn {
		return a.Key == b.Key, nil
	}
	x, err := t.a.b.cell(f, a)
	if err != nil {
		return false, err
	}
	y, err := t.b.b.cell(f, b)
	return bytes.Equal(x, y), err
}

// cell is the canonical encoding of one field of a row of this side.
func (s *side) cell(f FieldChange, row *parts.StoredRow) ([]byte, error) {
	i := slices.IndexFunc(s.common.Columns, func(c schemas.Column) bool { return c.Name == f.Column })
	c := s.common.Columns[i]
	c.Set = f.Set
	return cellBytes(c, i, s.project(row.Row))
}

func sideOf(fields []ThreeWayField) Side {
	side := Same
	for _, f := range fields {
		switch f.Side {
		case Conflict:
			return Conflict
		case OnlyA, OnlyB:
			side = Both
		}
	}
	return side
}

// found counts a change and yields it, if it is asked for.
func (t *threeWay) found(c ThreeWayChange) error {
	if c.BaseRow != nil {
		t.touched++
	}
	if t.where != nil {
		yes, err := t.where(c)
		if err != nil {
			return err
		}
		if !yes {
			t.stat.Left++
			return nil
		}
	}
	if !t.rows {
		c.BaseRow, c.ARow, c.BRow = nil, nil, nil
	}
	t.stat.Rows[c.Side]++
	if c.A == Update || c.B == Update {
		for _, f := range c.Fields {
			if t.columns[f.Column] == nil {
				t.columns[f.Column] = map[Side]int64{}
			}
			t.columns[f.Column][f.Side]++
		}
	}
	if !t.yield(c, nil) {
		return errDiffStopped
	}
	return nil
}

func (t *threeWay) result() ThreeWayTable {
	t.stat.Unchanged = t.base - t.touched
	names := []string{schemas.LegacyKeyColumn}
	for _, d := range []*tableDiff{t.a, t.b} {
		if d == nil {
			continue
		}
		for _, s := range []*side{d.b, d.a} {
			if s != nil {
				names = append(names, columnNames(s.common.Columns)...)
			}
		}
	}
	for _, name := range names {
		if fields := t.columns[name]; fields != nil {
			t.stat.Columns = append(t.stat.Columns, ThreeWayColumn{name, fields})
			delete(t.columns, name)
		}
	}
	return t.stat
}
