package snapshots

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// DiffOptions say what to compare. The zero value compares everything.
type DiffOptions struct {
	// Tables to compare; nil means those of either side.
	Tables []string
	// Columns to compare, where a table has them; nil means all. The legacy key
	// is compared only then.
	Columns []string
	// IndexOnly tells which rows differ without reading any: changes carry no
	// key and no fields, stats no columns. Tables whose sides have different
	// columns are read all the same.
	IndexOnly bool
	// Stat, if set, is filled while the changes are read.
	Stat *Stat
}

// ChangeKind is what happened to a row from a to b.
type ChangeKind string

// The kinds of changes.
const (
	Insert ChangeKind = "insert"
	Update ChangeKind = "update"
	Delete ChangeKind = "delete"
)

// RowChange is one row that differs.
type RowChange struct {
	Table string
	ID    schemas.RowID
	Key   string // of b, of a for a delete
	Kind  ChangeKind
	// Fields that differ, in the order of b's columns; for inserts and deletes
	// all that are not null.
	Fields []FieldChange
}

// FieldChange is one field that differs. Values have the Go types of
// schemas.Row, nil for null, but secrets are SecretValue and large values
// LargeValue, in lists and maps too.
type FieldChange struct {
	Column string
	Type   schemas.Type
	Set    bool
	Old    any
	New    any
}

// Stat counts what a diff found.
type Stat struct{ Tables []TableStat }

// TableStat counts one table.
type TableStat struct {
	Table                                 string
	Inserted, Updated, Deleted, Unchanged int64
	// Columns counts, over the updated rows, how often each column changed.
	Columns []ColumnStat
	// OnlyIn is "a" or "b" when the other side has no such table.
	OnlyIn string
	// NotCompared lists columns that could not be compared, and why.
	NotCompared []NotCompared
}

// ColumnStat counts one column.
type ColumnStat struct {
	Column  string
	Changed int64
}

// NotCompared is a column that was left out of the comparison.
type NotCompared struct{ Column, Why string }

// Changed is how many rows differ.
func (t TableStat) Changed() int64 { return t.Inserted + t.Updated + t.Deleted }

// Changed is how many rows differ in all tables.
func (s Stat) Changed() (n int64) {
	for _, t := range s.Tables {
		n += t.Changed()
	}
	return n
}

// Diff yields the rows that differ from a to b, table by table in order of
// their names, each in order of row ids. Tables and parts with equal digests
// are not read; else the indexes are merged, and rows are read for changed ids
// alone. Where the two sides of a table have different columns, as when a
// target does not give all back, the common ones are compared row by row and
// the Stat names the others. Memory does not grow with the tables.
func Diff(ctx context.Context, a, b *Snapshot, o DiffOptions) iter.Seq2[RowChange, error] {
	return func(yield func(RowChange, error) bool) {
		if o.Stat == nil {
			o.Stat = &Stat{}
		}
		o.Stat.Tables = nil
		for _, name := range diffTables(a, b, o.Tables) {
			d, err := newTableDiff(a, b, name, o)
			if err == nil {
				err = d.run(ctx, func(c RowChange) error {
					if !yield(c, nil) {
						return errDiffStopped
					}
					return nil
				})
				o.Stat.Tables = append(o.Stat.Tables, d.result())
			}
			if err != nil {
				if !errors.Is(err, errDiffStopped) {
					yield(RowChange{}, fmt.Errorf("diff table %s: %w", name, err))
				}
				return
			}
		}
	}
}

// errDiffStopped ends a diff whose reader has seen enough.
var errDiffStopped = errors.New("stopped")

// DiffStat counts what differs.
func DiffStat(ctx context.Context, a, b *Snapshot, o DiffOptions) (Stat, error) {
	var st Stat
	o.Stat = &st
	for _, err := range Diff(ctx, a, b, o) {
		if err != nil {
			return st, err
		}
	}
	return st, nil
}

func diffTables(a, b *Snapshot, only []string) []string {
	if only == nil {
		only = append(a.Tables(), b.Tables()...)
	}
	only = slices.Clone(only)
	slices.Sort(only)
	return slices.Compact(only)
}

// tableDiff compares one table.
type tableDiff struct {
	o      DiffOptions
	name   string
	a, b   *side // nil: no such table
	stat   TableStat
	counts map[string]int64
	emit   func(RowChange) error
}

func newTableDiff(a, b *Snapshot, name string, o DiffOptions) (*tableDiff, error) {
	ta, inA := a.Stored(name)
	tb, inB := b.Stored(name)
	d := &tableDiff{o: o, name: name, stat: TableStat{Table: name}, counts: map[string]int64{}}
	switch {
	case !inA && !inB:
		return nil, fmt.Errorf("%w on either side", ErrNoTable)
	case !inB:
		d.stat.OnlyIn = "a"
	case !inA:
		d.stat.OnlyIn = "b"
	}
	columns, left := commonColumns(ta, tb, inA && inB, o.Columns)
	d.stat.NotCompared = left
	if inA {
		r, err := a.Reader(name)
		if err != nil {
			return nil, err
		}
		d.a = newSide(r, columns)
	}
	if inB {
		r, err := b.Reader(name)
		if err != nil {
			return nil, err
		}
		d.b = newSide(r, columns)
	}
	return d, nil
}

// commonColumns lists the columns to compare and those that can't be.
func commonColumns(a, b parts.Table, both bool, only []string) (common []schemas.Column, left []NotCompared) {
	wanted := func(c schemas.Column) bool { return only == nil || slices.Contains(only, c.Name) }
	if !both {
		for _, c := range append(slices.Clone(a.Columns), b.Columns...) {
			if wanted(c) {
				common = append(common, c)
			}
		}
		return common, nil
	}
	for _, c := range b.Columns {
		if !wanted(c) {
			continue
		}
		i := slices.IndexFunc(a.Columns, func(x schemas.Column) bool { return x.ID == c.ID })
		switch {
		case i < 0:
			left = append(left, NotCompared{c.Name, "only in b"})
		case a.Columns[i].Type != c.Type:
			left = append(left, NotCompared{c.Name, fmt.Sprintf("%s in a, %s in b", a.Columns[i].Type, c.Type)})
		default:
			c.Set = c.Set && a.Columns[i].Set
			common = append(common, c)
		}
	}
	for _, c := range a.Columns {
		if wanted(c) && !slices.ContainsFunc(b.Columns, func(x schemas.Column) bool { return x.ID == c.ID }) {
			left = append(left, NotCompared{c.Name, "only in a"})
		}
	}
	return common, left
}

// run compares and emits.
func (d *tableDiff) run(ctx context.Context, emit func(RowChange) error) error {
	d.emit = emit
	switch {
	case d.a == nil || d.b == nil:
		return d.oneSided(ctx)
	case d.sameShape() && d.a.table().Digest == d.b.table().Digest:
		d.stat.Unchanged = d.a.table().Rows
		return nil
	case d.sameShape():
		return d.byIndex(ctx)
	}
	return d.byRow(ctx)
}

// sameShape reports whether equal rows have equal digests on both sides.
func (d *tableDiff) sameShape() bool {
	key := func(c schemas.Column) [3]int {
		set := 0
		if c.Set {
			set = 1
		}
		return [3]int{int(c.ID), int(c.Type), set}
	}
	keys := func(cols []schemas.Column) (out [][3]int) {
		for _, c := range cols {
			out = append(out, key(c))
		}
		slices.SortFunc(out, func(x, y [3]int) int { return x[0] - y[0] })
		return out
	}
	return slices.Equal(keys(d.a.table().Columns), keys(d.b.table().Columns))
}

func (d *tableDiff) oneSided(ctx context.Context) error {
	s, kind, n := d.a, Delete, &d.stat.Deleted
	if s == nil {
		s, kind, n = d.b, Insert, &d.stat.Inserted
	}
	if d.o.IndexOnly {
		for e, err := range s.r.Index(ctx) {
			if err != nil {
				return err
			}
			*n++
			if err := d.emit(RowChange{Table: d.name, ID: e.ID, Kind: kind}); err != nil {
				return err
			}
		}
		return nil
	}
	for row, err := range s.r.Scan(ctx, s.scan()) {
		if err != nil {
			return err
		}
		if err := d.change(kind, s, row); err != nil {
			return err
		}
	}
	return nil
}

// change emits an insert or a delete.
func (d *tableDiff) change(kind ChangeKind, s *side, row schemas.Row) error {
	c := RowChange{Table: d.name, ID: row.ID, Key: row.Key, Kind: kind}
	row = s.project(row)
	if kind == Insert {
		d.stat.Inserted++
	} else {
		d.stat.Deleted++
	}
	for i, col := range s.common.Columns {
		v := show(col, row.Values[i], row.Large)
		if v == nil {
			continue
		}
		f := FieldChange{Column: col.Name, Type: col.Type, Set: col.Set}
		if kind == Insert {
			f.New = v
		} else {
			f.Old = v
		}
		c.Fields = append(c.Fields, f)
	}
	return d.emit(c)
}

// update emits an update if a compared field differs.
func (d *tableDiff) update(x, y schemas.Row) error {
	px, py := d.a.project(x), d.b.project(y)
	if d.o.Columns != nil {
		px.Key, py.Key = "", ""
	}
	same, err := sameRow(d.a, px, d.b, py)
	if err != nil {
		return err
	}
	if same {
		d.stat.Unchanged++
		return nil
	}
	c := RowChange{Table: d.name, ID: y.ID, Key: y.Key, Kind: Update}
	if px.Key != py.Key {
		c.Fields = append(c.Fields, FieldChange{Column: schemas.LegacyKeyColumn, Type: schemas.String, Old: px.Key, New: py.Key})
	}
	for i, col := range d.a.common.Columns {
		same, err := sameCell(col, i, px, py)
		if err != nil {
			return err
		}
		if !same {
			c.Fields = append(c.Fields, FieldChange{Column: col.Name, Type: col.Type, Set: col.Set,
				Old: show(col, px.Values[i], px.Large), New: show(col, py.Values[i], py.Large)})
		}
	}
	d.stat.Updated++
	for _, f := range c.Fields {
		d.counts[f.Column]++
	}
	return d.emit(c)
}

// result is the stat with the columns in the order of the table.
func (d *tableDiff) result() TableStat {
	s := d.b
	if s == nil {
		s = d.a
	}
	for _, name := range append([]string{schemas.LegacyKeyColumn}, columnNames(s.common.Columns)...) {
		if n := d.counts[name]; n > 0 {
			d.stat.Columns = append(d.stat.Columns, ColumnStat{name, n})
		}
	}
	return d.stat
}

func columnNames(cols []schemas.Column) []string {
	var names []string
	for _, c := range cols {
		names = append(names, c.Name)
	}
	return names
}
