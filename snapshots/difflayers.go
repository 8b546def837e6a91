package snapshots

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// sharedLayers is how many layers two tables have in common, from the lowest
// on. Parts are the same when their indexes are: rows are compared by digest.
func sharedLayers(a, b parts.Table) int {
	same := func(x, y parts.Part) bool { return x.Prefix == y.Prefix && x.Index == y.Index }
	n := 0
	for n < min(len(a.Layers), len(b.Layers)) && a.Layers[n].Kind == b.Layers[n].Kind && slices.EqualFunc(a.Layers[n].Parts, b.Layers[n].Parts, same) {
		n++
	}
	return n
}

// byLayers compares tables whose layers are the same below a number: the layers
// above it are what differs, and no other index is read. Their indexes are read
// by one, the rows of what differs by several.
func (d *tableDiff) byLayers(ctx context.Context, below int, emit func(RowChange) error) error {
	var inserted int64
	var err error
	if d.o.IndexOnly {
		w := &unitDiff{o: &d.o, name: d.name, counts: d.counts, emit: emit}
		err = d.layerChanges(ctx, below, func(c parts.Change) error { return w.differs(ctx, c) })
		d.add(w)
		inserted = w.stat.Inserted + w.stat.Updated
	} else {
		err = d.units(ctx, d.layerUnits(ctx, below, &inserted), (*unitDiff).known, emit)
	}
	d.stat.Unchanged += d.b.table().Rows - inserted
	return err
}

// layerChanges calls f with what differs. A change tells what was below it, so
// that a row that only one side changed is known for the other.
func (d *tableDiff) layerChanges(ctx context.Context, below int, f func(parts.Change) error) error {
	changed := func(c *parts.Change) schemas.RowID { return c.ID }
	return merge(d.a.r.Changes(ctx, below), d.b.r.Changes(ctx, below), changed, func(x, y *parts.Change) error {
		id, from, to := between(x, y)
		if from == to {
			return nil
		}
		return f(parts.Change{ID: id, Old: from, New: to})
	})
}

// layerUnits are units of what differs. They end where the lowest layer's parts
// do, so that hardly a part is opened by two. there counts the rows of b among
// them.
func (d *tableDiff) layerUnits(ctx context.Context, below int, there *int64) iter.Seq2[unit, error] {
	return func(yield func(unit, error) bool) {
		cuts := parts.Ranges(d.a.table(), d.b.table(), 1)
		least := unitChanges
		if d.o.rangeRows > 0 {
			least = int(d.o.rangeRows)
		}
		var u unit
		err := d.layerChanges(ctx, below, func(c parts.Change) error {
			for len(cuts) > 1 && c.ID.Compare(cuts[1].From) >= 0 {
				cuts = cuts[1:]
				if len(u.changes) >= least {
					if !yield(u, nil) {
						return errDiffStopped
					}
					u = unit{}
				}
			}
			if c.New != (schemas.Digest{}) {
				*there++
			}
			u.changes = append(u.changes, c)
			if len(u.changes) < diffBatch {
				return nil
			}
			whole := u
			u = unit{}
			if !yield(whole, nil) {
				return errDiffStopped
			}
			return nil
		})
		if errors.Is(err, errDiffStopped) {
			return
		}
		if err != nil || len(u.changes) > 0 {
			yield(u, err)
		}
	}
}

// between is a row's digest on either side, out of what each of them changed
// upon what both have; nil for nothing.
func between(x, y *parts.Change) (id schemas.RowID, a, b schemas.Digest) {
	switch {
	case x == nil:
		return y.ID, y.Old, y.New
	case y == nil:
		return x.ID, x.New, x.Old
	}
	return x.ID, x.New, y.New
}
