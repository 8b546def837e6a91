package parts

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/parallelrun/parallelrun/schemas"
)

// Finish sorts the rows, refuses duplicate ids, computes the digest and writes
// the parts with their indexes: all of them, or a change upon the parent. The table is stored when it returns nil, but
// nothing refers to it yet.
func (w *TableWriter) Finish(ctx context.Context) (Table, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = w.large.wait()
	}
	if w.err != nil {
		return Table{}, w.err
	}
	t, err := w.finish(ctx)
	if err != nil {
		w.err = err
		return Table{}, err
	}
	return t, nil
}

func (w *TableWriter) finish(ctx context.Context) (Table, error) {
	known, err := w.upon.open(ctx)
	if err != nil {
		return Table{}, fmt.Errorf("table %s: read the parent's index: %w", w.t.Name, err)
	}
	if known != nil {
		if t, done, err := w.finishUpon(ctx); err != nil || done {
			return t, err
		}
		if err := w.upon.close(); err != nil {
			return Table{}, err
		}
	}
	return w.finishWhole(ctx)
}

// finishWhole writes all rows. Their digest, and that no id stands twice, come
// out while the parts are made.
func (w *TableWriter) finishWhole(ctx context.Context) (Table, error) {
	cuts, ok := w.census.cuts(w.o.Bounds)
	if !ok {
		var err error
		if cuts, err = w.survey(ctx); err != nil {
			return Table{}, err
		}
	}
	tree := newTrie()
	parts, err := w.encode(ctx, cuts, tree)
	if errors.Is(err, errTwiceID) { // of several pairs, name the same one however many workers there are
		_, err = w.survey(ctx)
	}
	return w.table(tree, Layer{Kind: KindWhole, Parts: parts}), err
}

// table is the table of the rows that a trie has seen.
func (w *TableWriter) table(tree *trie, layers ...Layer) Table {
	return Table{Name: w.t.Name, Columns: w.t.Columns, DependsOn: w.t.DependsOn, Rows: tree.rows, Digest: tree.digest(), Layers: layers}
}

// errTwiceID ends the making of parts; what is said of it comes from survey.
var errTwiceID = errors.New("two rows have one id")

// survey reads all rows once, in order: duplicates and cuts. It does not look
// into rows, only at their heads.
func (w *TableWriter) survey(ctx context.Context) ([]cut, error) {
	cuts := cutter{bounds: w.o.Bounds}
	var last sorted
	n := 0
	for rec, err := range w.sorter.Sorted() {
		if err == nil && n%1024 == 0 {
			err = context.Cause(ctx)
		}
		if err != nil {
			return nil, err
		}
		r := readSorted(rec)
		if n > 0 && r.id == last.id {
			return nil, w.duplicate(last, r)
		}
		cuts.add(r.id, int64(len(r.canonical)))
		last = sorted{id: r.id, origin: r.origin}
		n++
	}
	return cuts.finish(), nil
}

// duplicate makes the error for two rows of one id; the first is read again,
// since its bytes are gone.
func (w *TableWriter) duplicate(first, second sorted) error {
	e := &DuplicateError{Table: w.t.Name, ID: first.id, Origins: [2]int64{first.origin, second.origin}}
	if first.origin == originOfParent {
		e.OneKnown, e.Origins[0] = true, 0
	}
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

// encode makes the parts, several at once as memory allows, and stores those
// that are made while the next ones are being made. Their rows grow the tree, if
// there is one, in order.
func (w *TableWriter) encode(ctx context.Context, cuts []cut, tree *trie) ([]Part, error) {
	parts := make([]Part, len(cuts))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stores, storing := errgroup.WithContext(ctx)
	g, making := errgroup.WithContext(storing) // what fails to be stored stops the making
	workers, ahead := w.workers()
	g.SetLimit(workers)
	stores.SetLimit(max(ahead, 1))
	turns := newTurns(len(cuts))
	for i, c := range cuts {
		g.Go(func() error {
			e, err := w.encodePart(making, c)
			if err != nil {
				return err
			}
			if tree != nil {
				if err := turns.take(making, i, func() { e.entries.each(tree.add) }); err != nil {
					return errors.Join(err, e.out.Close())
				}
			}
			store := func() (err error) {
				defer func() { err = errors.Join(err, e.out.Close()) }()
				parts[i], err = e.store(storing)
				parts[i].Prefix = c.prefix
				return err
			}
			if ahead == 0 {
				return store()
			}
			stores.Go(store)
			return nil
		})
	}
	err := g.Wait()
	if err != nil {
		cancel()
	}
	if storeErr := stores.Wait(); err == nil {
		err = storeErr
	}
	return parts, err
}

// turns lets goroutines that were started in order do something in that order.
type turns []chan struct{}

func newTurns(n int) turns {
	t := make(turns, n)
	for i := range t {
		t[i] = make(chan struct{})
	}
	return t
}

// take waits until all before the i-th have had their turn.
func (t turns) take(ctx context.Context, i int, f func()) error {
	if i > 0 {
		select {
		case <-t[i-1]:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	f()
	close(t[i])
	return nil
}

const (
	// partMemory is about what making one part holds: a batch as Arrow builders
	// (which double), its pages, and the spool.
	partMemory = 3*groupBytes + spoolMemory
	// mostAhead is how many parts are stored beside those that are being made.
	mostAhead = 4
)

// workers is how many parts may be made at once, and how many more may be on
// their way to the store, as far as memory allows.
func (w *TableWriter) workers() (making, storing int) {
	index := min(w.o.Bounds.Rows, DefaultRows) * indexEntry
	memory := w.o.Memory / 2
	if x := w.upon.opened(); x != nil {
		index = index * changeEntry / indexEntry
		memory -= x.memory()
	}
	each := partMemory + w.sorter.MergeMemory() + index
	n := min(max(memory/each, 1), int64(w.o.Workers))
	return int(n), int(min(max((memory-n*each)/(spoolMemory+index), 0), mostAhead))
}
