package snapshots

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// tableDiff compares one table: it cuts the ids into units, which several
// goroutines compare, and tells what they find in order.
type tableDiff struct {
	o      DiffOptions
	name   string
	a, b   *side // nil: no such table
	stat   TableStat
	counts map[string]int64
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
	whole := o.Rows || o.Where != nil
	columns, left := commonColumns(ta, tb, inA && inB, o.Columns)
	d.stat.NotCompared = left
	if inA {
		r, err := a.Reader(name)
		if err != nil {
			return nil, err
		}
		d.a = newSide(r, columns, whole)
	}
	if inB {
		r, err := b.Reader(name)
		if err != nil {
			return nil, err
		}
		d.b = newSide(r, columns, whole)
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
			left = append(left, NotCompared{Column: c.Name, Why: "only in b", New: c.Type})
		case a.Columns[i].Type != c.Type:
			left = append(left, NotCompared{Column: c.Name, Why: fmt.Sprintf("%s in a, %s in b", a.Columns[i].Type, c.Type), Old: a.Columns[i].Type, New: c.Type})
		default:
			c.Set = c.Set && a.Columns[i].Set
			common = append(common, c)
		}
	}
	for _, c := range a.Columns {
		if wanted(c) && !slices.ContainsFunc(b.Columns, func(x schemas.Column) bool { return x.ID == c.ID }) {
			left = append(left, NotCompared{Column: c.Name, Why: "only in a", Old: c.Type})
		}
	}
	return common, left
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

const (
	// unitRows is about how many rows a unit compares: enough to be worth a
	// goroutine, few enough that a unit's changed ids fit into little memory.
	unitRows = 64 << 10
	// unitChanges is how many changes of layers make a unit, at least: each unit
	// opens the layers anew.
	unitChanges = 8 << 10

	defaultDiffMemory = 256 << 20
	// rowsMemory is what a unit that reads rows may hold: a decoded row group of
	// either side and some, beside what it has found; indexMemory that of one that
	// reads indexes alone.
	rowsMemory  = 48 << 20
	indexMemory = 4 << 20
)

// run compares and emits.
func (d *tableDiff) run(ctx context.Context, emit func(RowChange) error) error {
	work := (*unitDiff).byRow
	switch {
	case d.a == nil || d.b == nil:
		work = (*unitDiff).oneSided
	case !d.sameShape():
	case d.a.table().Digest == d.b.table().Digest:
		d.stat.Unchanged = d.b.table().Rows
		return nil
	default:
		if below := sharedLayers(d.a.table(), d.b.table()); below > 0 {
			return d.byLayers(ctx, below, emit)
		}
		work = (*unitDiff).byIndex
	}
	return d.units(ctx, d.ranges(), work, emit)
}

// unit is a range of ids that is compared by one goroutine.
type unit struct {
	in parts.Range
	// changes are what differs in there, where that is known.
	changes []parts.Change
}

// ranges are the units of tables of which nothing is known yet.
func (d *tableDiff) ranges() iter.Seq2[unit, error] {
	var a, b parts.Table
	if d.a != nil {
		a = d.a.table()
	}
	if d.b != nil {
		b = d.b.table()
	}
	rows := d.o.rangeRows
	if rows == 0 {
		rows = unitRows
	}
	return func(yield func(unit, error) bool) {
		for _, in := range parts.Ranges(a, b, rows) {
			if !yield(unit{in: in}, nil) {
				return
			}
		}
	}
}

// units has every unit compared, several at once, and emits what they find in
// order.
func (d *tableDiff) units(ctx context.Context, units iter.Seq2[unit, error], work func(*unitDiff, context.Context, unit) error, emit func(RowChange) error) error {
	memory, each := d.o.Memory, int64(rowsMemory)
	if memory <= 0 {
		memory = defaultDiffMemory
	}
	if d.o.IndexOnly {
		each = indexMemory
	}
	workers := max(1, min(d.o.Workers, int(memory/each)))
	q := inOrder[unit, RowChange, *unitDiff]{workers: workers, room: memory / int64(workers) / 4, size: changeSize}
	return q.run(ctx, units, func(ctx context.Context, u unit, emit func(RowChange) error) (*unitDiff, error) {
		w := &unitDiff{o: &d.o, name: d.name, counts: map[string]int64{}, emit: emit}
		if d.a != nil {
			w.a = d.a.fork()
		}
		if d.b != nil {
			w.b = d.b.fork()
		}
		return w, work(w, ctx, u)
	}, emit, d.add)
}

// add takes over what a unit counted.
func (d *tableDiff) add(w *unitDiff) {
	d.stat.Inserted += w.stat.Inserted
	d.stat.Updated += w.stat.Updated
	d.stat.Deleted += w.stat.Deleted
	d.stat.Unchanged += w.stat.Unchanged
	d.stat.Left += w.stat.Left
	for column, n := range w.counts {
		d.counts[column] += n
	}
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
