package snapshots

import (
	"context"
	"fmt"
	"iter"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// diffBatch is how many changed ids are collected before their rows are read,
// about as many as a part has: so parts are opened hardly more than once. The
// rows themselves are not collected.
const diffBatch = 128 << 10

// unitDiff compares one unit of a table.
type unitDiff struct {
	o      *DiffOptions
	name   string
	a, b   *side // nil: no such table
	stat   TableStat
	counts map[string]int64
	emit   func(RowChange) error

	pending []parts.Change // what differs, its rows not read yet
}

// byIndex compares by the indexes and reads changed rows alone.
func (d *unitDiff) byIndex(ctx context.Context, u unit) error {
	if d.o.Counts {
		n, err := parts.Count(ctx, d.a.r, d.b.r, u.in)
		d.stat.Inserted, d.stat.Updated = d.stat.Inserted+n.Inserted, d.stat.Updated+n.Updated
		d.stat.Deleted, d.stat.Unchanged = d.stat.Deleted+n.Deleted, d.stat.Unchanged+n.Same
		return err
	}
	same, err := parts.Compare(ctx, d.a.r, d.b.r, u.in, func(c parts.Change) error { return d.differs(ctx, c) })
	d.stat.Unchanged += same
	if err != nil {
		return err
	}
	return d.flush(ctx)
}

// known tells what is known to differ.
func (d *unitDiff) known(ctx context.Context, u unit) error {
	for _, c := range u.changes {
		if err := d.differs(ctx, c); err != nil {
			return err
		}
	}
	return d.flush(ctx)
}

func (d *unitDiff) differs(ctx context.Context, c parts.Change) error {
	if d.o.IndexOnly {
		return d.found(d.byDigest(c))
	}
	d.pending = append(d.pending, c)
	if len(d.pending) < diffBatch {
		return nil
	}
	return d.flush(ctx)
}

func kindOf(c parts.Change) ChangeKind {
	switch {
	case c.Old == schemas.Digest{}:
		return Insert
	case c.New == schemas.Digest{}:
		return Delete
	}
	return Update
}

// byDigest is a change as the indexes tell it.
func (d *unitDiff) byDigest(c parts.Change) RowChange {
	return RowChange{Table: d.name, ID: c.ID, Kind: kindOf(c), OldDigest: c.Old, NewDigest: c.New}
}

// flush reads the rows of what is pending and emits the changes.
func (d *unitDiff) flush(ctx context.Context) error {
	if len(d.pending) == 0 {
		return nil
	}
	read := d.sideBySide
	if d.o.OldDigests {
		read = d.newRows
	}
	err := read(ctx)
	d.pending = d.pending[:0]
	return err
}

// sideBySide reads the rows of both sides.
func (d *unitDiff) sideBySide(ctx context.Context) error {
	inA, stopA := iter.Pull2(d.a.r.Lookup(ctx, d.without(Insert), d.a.scan()))
	defer stopA()
	inB, stopB := iter.Pull2(d.b.r.Lookup(ctx, d.without(Delete), d.b.scan()))
	defer stopB()
	for _, c := range d.pending {
		kind := kindOf(c)
		var x, y *parts.StoredRow
		var err error
		if kind != Insert {
			if x, err = d.next(inA, c.ID); err != nil {
				return err
			}
		}
		if kind != Delete {
			if y, err = d.next(inB, c.ID); err != nil {
				return err
			}
		}
		if err := d.both(x, y); err != nil {
			return err
		}
	}
	return nil
}

// newRows reads the rows of b alone.
func (d *unitDiff) newRows(ctx context.Context) error {
	inB, stop := iter.Pull2(d.b.r.Lookup(ctx, d.without(Delete), d.b.scan()))
	defer stop()
	for _, c := range d.pending {
		change := d.byDigest(c)
		if change.Kind != Delete {
			row, err := d.next(inB, c.ID)
			if err != nil {
				return err
			}
			change.Key, change.New = row.Key, row
		}
		if err := d.found(change); err != nil {
			return err
		}
	}
	return nil
}

// without yields the ids of other kinds than the given.
func (d *unitDiff) without(kind ChangeKind) iter.Seq[schemas.RowID] {
	return func(yield func(schemas.RowID) bool) {
		for _, c := range d.pending {
			if kindOf(c) != kind && !yield(c.ID) {
				return
			}
		}
	}
}

// next takes the next row of a look-up, which must be the one with the id.
func (d *unitDiff) next(next func() (parts.StoredRow, error, bool), id schemas.RowID) (*parts.StoredRow, error) {
	row, err, ok := next()
	if err != nil {
		return nil, err
	}
	if !ok || row.ID != id {
		return nil, &CorruptError{Object: "table " + d.name, What: fmt.Sprintf("its index lists row %s, its parts do not hold it", id), Advice: objectAdvice}
	}
	return &row, nil
}

// byRow compares the common columns of all rows: digests say nothing when the
// sides have different columns.
func (d *unitDiff) byRow(ctx context.Context, u unit) error {
	a, b := d.a.scan(), d.b.scan()
	a.From, a.To = u.in.From, u.in.To
	b.From, b.To = u.in.From, u.in.To
	rowID := func(r *parts.StoredRow) schemas.RowID { return r.ID }
	return merge(d.a.r.ScanStored(ctx, a), d.b.r.ScanStored(ctx, b), rowID, func(x, y *parts.StoredRow) error {
		return d.both(kept(x), kept(y))
	})
}

// kept is a row that outlives the step of a merge.
func kept(r *parts.StoredRow) *parts.StoredRow {
	if r == nil {
		return nil
	}
	row := *r
	return &row
}

func (d *unitDiff) oneSided(ctx context.Context, u unit) error {
	s, kind := d.a, Delete
	if s == nil {
		s, kind = d.b, Insert
	}
	if d.o.IndexOnly || d.o.OldDigests && kind == Delete {
		for e, err := range s.r.IndexRange(ctx, u.in) {
			if err != nil {
				return err
			}
			c := parts.Change{ID: e.ID, Old: e.Digest}
			if kind == Insert {
				c = parts.Change{ID: e.ID, New: e.Digest}
			}
			if err := d.found(d.byDigest(c)); err != nil {
				return err
			}
		}
		return nil
	}
	o := s.scan()
	o.From, o.To = u.in.From, u.in.To
	for row, err := range s.r.ScanStored(ctx, o) {
		if err != nil {
			return err
		}
		if d.o.OldDigests {
			err = d.found(RowChange{Table: d.name, ID: row.ID, Key: row.Key, Kind: kind, New: &row, NewDigest: row.Digest})
		} else {
			err = d.change(kind, s, &row)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// both tells what became of a row, nil for none.
func (d *unitDiff) both(x, y *parts.StoredRow) error {
	switch {
	case x == nil:
		return d.change(Insert, d.b, y)
	case y == nil:
		return d.change(Delete, d.a, x)
	}
	return d.update(x, y)
}

// change emits an insert or a delete.
func (d *unitDiff) change(kind ChangeKind, s *side, row *parts.StoredRow) error {
	c := RowChange{Table: d.name, ID: row.ID, Key: row.Key, Kind: kind, Fields: []FieldChange{}}
	p := s.project(row.Row)
	for i, col := range s.common.Columns {
		v := show(col, p.Values[i], p.Large)
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
	if kind == Insert {
		c.New, c.NewDigest = row, row.Digest
	} else {
		c.Old, c.OldDigest = row, row.Digest
	}
	return d.found(c)
}

// update emits an update if a compared field differs.
func (d *unitDiff) update(x, y *parts.StoredRow) error {
	px, py := d.a.project(x.Row), d.b.project(y.Row)
	if d.o.Columns != nil && !d.o.keys {
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
	c := RowChange{Table: d.name, ID: y.ID, Key: y.Key, Kind: Update, Old: x, New: y, OldDigest: x.Digest, NewDigest: y.Digest}
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
	return d.found(c)
}

// found counts a change and emits it, if it is asked for.
func (d *unitDiff) found(c RowChange) error {
	if d.o.Where != nil {
		yes, err := d.o.Where(c)
		if err != nil {
			return err
		}
		if !yes {
			d.stat.Left++
			return nil
		}
	}
	if !d.o.Rows {
		c.Old, c.New = nil, nil
	}
	switch c.Kind {
	case Insert:
		d.stat.Inserted++
	case Delete:
		d.stat.Deleted++
	default:
		d.stat.Updated++
		for _, f := range c.Fields {
			d.counts[f.Column]++
		}
	}
	if d.o.Counts {
		return nil
	}
	return d.emit(c)
}

// changeSize is about what a change holds in memory.
func changeSize(c RowChange) int64 {
	n := int64(200 + len(c.Key))
	for _, f := range c.Fields {
		n += 100 + valueSize(f.Old) + valueSize(f.New)
	}
	for _, r := range []*parts.StoredRow{c.Old, c.New} {
		if r == nil {
			continue
		}
		for _, v := range r.Values {
			n += 16 + valueSize(v)
		}
	}
	return n
}

func valueSize(v any) (n int64) {
	switch v := v.(type) {
	case string:
		return int64(len(v))
	case []byte:
		return int64(len(v))
	case []string:
		for _, s := range v {
			n += 16 + int64(len(s))
		}
	case [][]byte:
		for _, s := range v {
			n += 24 + int64(len(s))
		}
	case map[string][]string:
		for k, l := range v {
			n += 64 + int64(len(k)) + valueSize(l)
		}
	case map[string][][]byte:
		for k, l := range v {
			n += 64 + int64(len(k)) + valueSize(l)
		}
	case []any:
		for _, e := range v {
			n += 16 + valueSize(e)
		}
	case map[string][]any:
		for k, l := range v {
			n += 64 + int64(len(k)) + valueSize(l)
		}
	case schemas.Sealed:
		return int64(len(v.Box)) + 40
	}
	return n
}
