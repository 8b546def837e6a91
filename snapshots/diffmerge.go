package snapshots

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// diffBatch is how many changed ids are collected before their rows are read,
// about as many as a part has: so parts are opened hardly more than once. The
// rows themselves are not collected.
const diffBatch = 128 << 10

// byIndex compares by the indexes and reads changed rows alone.
func (d *tableDiff) byIndex(ctx context.Context) error {
	if below := sharedLayers(d.a.table(), d.b.table()); below > 0 {
		return d.byLayers(ctx, below)
	}
	same := equalParts(d.a.table(), d.b.table())
	batch := &changeBatch{d: d}
	err := merge(d.a.index(ctx, same), d.b.index(ctx, same), entryID, func(x, y *parts.Entry) error {
		switch {
		case x != nil && y != nil && x.Digest == y.Digest:
			d.stat.Unchanged++
			return nil
		case x == nil:
			return batch.add(ctx, Insert, y.ID)
		case y == nil:
			return batch.add(ctx, Delete, x.ID)
		}
		return batch.add(ctx, Update, x.ID)
	})
	for _, rows := range same {
		d.stat.Unchanged += rows
	}
	if err != nil {
		return err
	}
	return batch.flush(ctx)
}

func entryID(e *parts.Entry) schemas.RowID { return e.ID }

// equalParts lists the prefixes, with their rows, whose parts have one index
// on both sides.
func equalParts(a, b parts.Table) map[string]int64 {
	same, in := map[string]int64{}, map[string]parts.Object{}
	for _, p := range wholeParts(a) {
		in[p.Prefix] = p.Index
	}
	for _, p := range wholeParts(b) {
		if o, ok := in[p.Prefix]; ok && o == p.Index {
			same[p.Prefix] = p.Rows
		}
	}
	return same
}

// wholeParts are the parts of a table that is one whole layer, else none.
func wholeParts(t parts.Table) []parts.Part {
	if len(t.Layers) != 1 || t.Layers[0].Kind != parts.KindWhole {
		return nil
	}
	return t.Layers[0].Parts
}

// index yields the entries of all parts but the skipped ones.
func (s *side) index(ctx context.Context, skip map[string]int64) iter.Seq2[parts.Entry, error] {
	if len(skip) == 0 {
		return s.r.Index(ctx)
	}
	return func(yield func(parts.Entry, error) bool) {
		for _, p := range wholeParts(s.table()) {
			if _, same := skip[p.Prefix]; same {
				continue
			}
			for e, err := range s.r.PartIndex(ctx, p) {
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

// changeBatch collects changed ids, in order, and emits them with their rows.
type changeBatch struct {
	d     *tableDiff
	ids   []schemas.RowID
	kinds []ChangeKind
}

func (b *changeBatch) add(ctx context.Context, kind ChangeKind, id schemas.RowID) error {
	if b.d.o.IndexOnly {
		switch kind {
		case Insert:
			b.d.stat.Inserted++
		case Delete:
			b.d.stat.Deleted++
		default:
			b.d.stat.Updated++
		}
		return b.d.emit(RowChange{Table: b.d.name, ID: id, Kind: kind})
	}
	b.ids, b.kinds = append(b.ids, id), append(b.kinds, kind)
	if len(b.ids) < diffBatch {
		return nil
	}
	return b.flush(ctx)
}

// flush reads the rows of both sides side by side and emits the changes.
func (b *changeBatch) flush(ctx context.Context) error {
	inA, stopA := iter.Pull2(b.d.a.r.Lookup(ctx, b.without(Insert), b.d.a.scan()))
	defer stopA()
	inB, stopB := iter.Pull2(b.d.b.r.Lookup(ctx, b.without(Delete), b.d.b.scan()))
	defer stopB()
	for i, id := range b.ids {
		var x, y schemas.Row
		var err error
		if b.kinds[i] != Insert {
			if x, err = b.d.found(inA, id); err != nil {
				return err
			}
		}
		if b.kinds[i] != Delete {
			if y, err = b.d.found(inB, id); err != nil {
				return err
			}
		}
		if err := b.d.both(b.kinds[i], x, y); err != nil {
			return err
		}
	}
	b.ids, b.kinds = b.ids[:0], b.kinds[:0]
	return nil
}

// without yields the ids of other kinds than the given.
func (b *changeBatch) without(kind ChangeKind) iter.Seq[schemas.RowID] {
	return func(yield func(schemas.RowID) bool) {
		for i, id := range b.ids {
			if b.kinds[i] != kind && !yield(id) {
				return
			}
		}
	}
}

// found takes the next row of a look-up, which must be the one with the id.
func (d *tableDiff) found(next func() (parts.StoredRow, error, bool), id schemas.RowID) (schemas.Row, error) {
	row, err, ok := next()
	if err != nil {
		return schemas.Row{}, err
	}
	if !ok || row.ID != id {
		return schemas.Row{}, &CorruptError{Object: "table " + d.name, What: fmt.Sprintf("its index lists row %s, its parts do not hold it", id), Advice: objectAdvice}
	}
	return row.Row, nil
}

func (d *tableDiff) both(kind ChangeKind, x, y schemas.Row) error {
	switch kind {
	case Insert:
		return d.change(Insert, d.b, y)
	case Delete:
		return d.change(Delete, d.a, x)
	}
	return d.update(x, y)
}

// byRow compares the common columns of all rows: digests say nothing when the
// sides have different columns.
func (d *tableDiff) byRow(ctx context.Context) error {
	rowID := func(r *schemas.Row) schemas.RowID { return r.ID }
	return merge(d.a.r.Scan(ctx, d.a.scan()), d.b.r.Scan(ctx, d.b.scan()), rowID, func(x, y *schemas.Row) error {
		switch {
		case x == nil:
			return d.both(Insert, schemas.Row{}, *y)
		case y == nil:
			return d.both(Delete, *x, schemas.Row{})
		}
		return d.both(Update, *x, *y)
	})
}

// merge walks two sequences in order of their ids and calls f with the items
// of each id, nil where one side has none. The items are valid during the call.
func merge[T any](a, b iter.Seq2[T, error], id func(*T) schemas.RowID, f func(x, y *T) error) error {
	nextA, stopA := iter.Pull2(a)
	defer stopA()
	nextB, stopB := iter.Pull2(b)
	defer stopB()
	ca, cb := cursor[T]{next: nextA}, cursor[T]{next: nextB}
	if err := errors.Join(ca.advance(), cb.advance()); err != nil {
		return err
	}
	for ca.ok || cb.ok {
		takeA, takeB := ca.ok, cb.ok
		if takeA && takeB {
			order := id(&ca.item).Compare(id(&cb.item))
			takeA, takeB = order <= 0, order >= 0
		}
		if err := f(ca.at(takeA), cb.at(takeB)); err != nil {
			return err
		}
		if takeA {
			if err := ca.advance(); err != nil {
				return err
			}
		}
		if takeB {
			if err := cb.advance(); err != nil {
				return err
			}
		}
	}
	return nil
}

// cursor is a sequence with one item at hand.
type cursor[T any] struct {
	next func() (T, error, bool)
	item T
	ok   bool
}

func (c *cursor[T]) advance() (err error) {
	c.item, err, c.ok = c.next()
	return err
}

func (c *cursor[T]) at(take bool) *T {
	if !take {
		return nil
	}
	return &c.item
}
