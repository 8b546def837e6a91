package snapshots

import (
	"context"
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
// above it are what differs, and no other index is read. A change tells what was
// below it, so that a row that only one side changed is known for the other.
func (d *tableDiff) byLayers(ctx context.Context, below int) error {
	batch := &changeBatch{d: d}
	changed := func(c *parts.Change) schemas.RowID { return c.ID }
	d.stat.Unchanged = d.b.table().Rows
	err := merge(d.a.r.Changes(ctx, below), d.b.r.Changes(ctx, below), changed, func(x, y *parts.Change) error {
		switch id, from, to := between(x, y); {
		case from == to:
			return nil
		case from == schemas.Digest{}:
			d.stat.Unchanged--
			return batch.add(ctx, Insert, id)
		case to == schemas.Digest{}:
			return batch.add(ctx, Delete, id)
		default:
			d.stat.Unchanged--
			return batch.add(ctx, Update, id)
		}
	})
	if err != nil {
		return err
	}
	return batch.flush(ctx)
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
