package parts

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/parallelrun/parallelrun/schemas"
)

// Finish sorts the rows, refuses duplicate ids, computes the digest and writes
// the parts with their indexes. The table is stored when it returns nil, but
// nothing refers to it yet.
func (w *TableWriter) Finish(ctx context.Context) (Table, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return Table{}, w.err
	}
	cuts, t, err := w.survey(ctx)
	if err != nil {
		w.err = err
		return Table{}, err
	}
	parts, err := w.encode(ctx, cuts)
	if err != nil {
		w.err = err
		return Table{}, err
	}
	t.Layers = []Layer{{Kind: Whole, Parts: parts}}
	return t, nil
}

// survey reads all rows once, in order: duplicates, digest and cuts. It does
// not look into rows, only at their heads.
func (w *TableWriter) survey(ctx context.Context) ([]cut, Table, error) {
	tree, cuts := newTrie(), cutter{bounds: w.o.Bounds}
	var last sorted
	for rec, err := range w.sorter.Sorted() {
		if err == nil && tree.rows%1024 == 0 {
			err = context.Cause(ctx)
		}
		if err != nil {
			return nil, Table{}, err
		}
		r := readSorted(rec)
		if tree.rows > 0 && r.id == last.id {
			return nil, Table{}, w.duplicate(last, r)
		}
		tree.add(Entry{ID: r.id, Digest: r.digest})
		cuts.add(r.id, int64(len(r.canonical)))
		last = sorted{id: r.id, origin: r.origin}
	}
	t := Table{Name: w.t.Name, Columns: w.t.Columns, DependsOn: w.t.DependsOn, Rows: tree.rows, Digest: tree.digest()}
	return cuts.finish(), t, nil
}

// duplicate makes the error for two rows of one id; the first is read again,
// since its bytes are gone.
func (w *TableWriter) duplicate(first, second sorted) error {
	e := &DuplicateError{Table: w.t.Name, ID: first.id, Origins: [2]int64{first.origin, second.origin}}
	for rec, err := range w.sorter.Range(first.id[:], nil) {
		if err != nil {
			return err
		}
		e.Key, err = schemas.CanonicalKey(readSorted(rec).canonical)
		if err != nil {
			return err
		}
		break
	}
	return e
}

// encode writes the parts, several at once as memory allows.
func (w *TableWriter) encode(ctx context.Context, cuts []cut) ([]Part, error) {
	parts := make([]Part, len(cuts))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(w.workers())
	for i, c := range cuts {
		g.Go(func() (err error) {
			parts[i], err = w.encodePart(ctx, c)
			return err
		})
	}
	return parts, g.Wait()
}

// partMemory is about what making one part holds: a batch as Arrow builders
// (which double), its pages, and the spool.
const partMemory = 3*groupBytes + spoolMemory

func (w *TableWriter) workers() int {
	each := partMemory + w.sorter.MergeMemory() + min(w.o.Bounds.Rows, DefaultRows)*indexEntry
	return int(min(max(w.o.Memory/2/each, 1), int64(w.o.Workers)))
}
