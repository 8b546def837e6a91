package parts

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/schemas"
)

// Rule for layers. A table becomes a change upon its parent when its changes
// are a small part of it, in bytes, and when the change layers would not grow
// too many, nor their changes in sum too large a part of the rows; else it is
// written whole. A table that is small against a part is always written whole:
// there, one more file costs more than the rows. None of this changes a digest.
const (
	mostChangeLayers = 8
	changeShare      = 4  // changes are at most a quarter of the whole
	smallShare       = 32 // of a part's bounds
)

// upon is the parent of a table that is being written. Nil stands for none.
type upon struct {
	r      *Reader
	epoch  uint32 // of all the parent's boxes
	boxes  bool   // there are some
	memory int64
	dir    string

	once  sync.Once
	index *parentIndex // nil when it can't be used
	err   error
}

// arrivals count the rows that came in.
type arrivals struct {
	same, sameBytes int64 // as in the parent, with their canonical bytes
	changed         int64 // all others
	changedBytes    int64 // with boxes
	updates         int64 // of them, those that the parent has with another digest
}

func (a *arrivals) add(b arrivals) {
	a.same += b.same
	a.sameBytes += b.sameBytes
	a.changed += b.changed
	a.changedBytes += b.changedBytes
	a.updates += b.updates
}

// newUpon returns nil where the parent is of no use.
func newUpon(t *schemas.Table, o Options) *upon {
	if o.Parent == nil || o.Parent.t.Rows == 0 || o.Parent.checkLayers() != nil || !SameColumns(t.Columns, o.Parent.t.Columns) {
		return nil
	}
	u := &upon{r: o.Parent, memory: o.Memory / 4, dir: o.TempDir}
	epochs, known := o.Parent.t.KeyEpochs()
	if !known || len(epochs) > 1 {
		return nil
	}
	if u.boxes = len(epochs) == 1; u.boxes {
		u.epoch = epochs[0]
	}
	return u
}

// SameColumns says whether rows of one table can stand in parts of another: the
// columns have the same ids, names and types, in the same order.
func SameColumns(a, b []schemas.Column) bool {
	return slices.EqualFunc(a, b, func(x, y schemas.Column) bool {
		return x.ID == y.ID && x.Name == y.Name && x.Type == y.Type && x.Set == y.Set
	})
}

// KeyEpochs lists the key epochs that the table's boxes need, ascending; known
// is false if a part does not say.
func (t *Table) KeyEpochs() (epochs []uint32, known bool) {
	if !hasSecrets(t.Columns) {
		return nil, true
	}
	for p := range t.parts() {
		if p.Epochs == nil && p.Rows > 0 {
			return nil, false
		}
		epochs = append(epochs, p.Epochs...)
	}
	slices.Sort(epochs)
	return slices.Compact(epochs), true
}

func hasSecrets(columns []schemas.Column) bool {
	return slices.ContainsFunc(columns, func(c schemas.Column) bool { return c.Type.IsSecret() })
}

// open reads the parent's index, once. A parent that is damaged is not used:
// the table is written whole then, so that a snapshot made anew needs nothing
// of it.
func (u *upon) open(ctx context.Context) (*parentIndex, error) {
	if u == nil {
		return nil, nil
	}
	u.once.Do(func() {
		u.index, u.err = newParentIndex(ctx, u.r, u.memory, u.dir)
		if _, damaged := errors.AsType[*Corruption](u.err); damaged {
			u.index, u.err = nil, nil
		}
	})
	return u.index, u.err
}

// opened is the index if open was called and found it useful.
func (u *upon) opened() *parentIndex {
	if u == nil {
		return nil
	}
	return u.index
}

func (u *upon) close() error {
	if x := u.opened(); x != nil {
		u.index = nil
		return x.closer.Close()
	}
	return nil
}

// sealedAlike says whether boxes are of the epoch that the parent's are of.
func (u *upon) sealedAlike(boxes [][]byte) bool {
	for _, box := range boxes {
		if epoch, err := seal.BoxEpoch(box); err != nil || !u.boxes || epoch != u.epoch {
			return false
		}
	}
	return true
}

// meet looks a row up in the parent. same means that it is there as it came, so
// that nothing has to be kept of it; else its large values are put.
func (e *rowEncoder) meet(id schemas.RowID, origin int64, digest schemas.Digest, size int64) (same bool, err error) {
	defer func() { e.large = e.large[:0] }()
	at, old, found, err := e.known.find(id, &e.buf)
	if err != nil {
		return false, fmt.Errorf("look up the row in the parent: %w", err)
	}
	if found && old == digest && e.upon.sealedAlike(e.enc.Boxes()) {
		if e.known.mark(at) {
			return false, &DuplicateError{ID: id, Origins: [2]int64{0, origin}, OneKnown: true}
		}
		e.came.same++
		e.came.sameBytes += size
		return true, nil
	}
	if found {
		e.came.updates++
	}
	for _, v := range e.large {
		if _, err := e.put(v); err != nil {
			return false, err
		}
	}
	return false, nil
}

// worth says whether the table is better written as a change.
func (w *TableWriter) worth() bool {
	x, c, t := w.upon.index, w.came, &w.upon.r.t
	deleted := max(x.n-x.marked.Load()-c.updates, 0)
	rows, bytes := c.same+c.changed, c.sameBytes+c.changedBytes
	switch {
	case rows*smallShare <= w.o.Bounds.Rows && bytes*smallShare <= w.o.Bounds.Bytes:
		return false
	case len(t.Layers) > mostChangeLayers:
		return false
	}
	return (c.changedBytes+deleted*changeEntry)*changeShare <= bytes && (t.Changes()+c.changed+deleted)*changeShare <= rows
}

// finishUpon makes the table out of the parent and of what came in. done is
// false if it is to be written whole, of rows that are all in the sorter now.
func (w *TableWriter) finishUpon(ctx context.Context) (t Table, done bool, err error) {
	unchanged := w.came.changed == 0 && w.upon.index.marked.Load() == w.upon.index.n
	if !unchanged && !w.worth() {
		return t, false, w.refill(ctx)
	}
	cuts, t, err := w.surveyUpon(ctx)
	if err != nil {
		return t, false, err
	}
	parent := &w.upon.r.t
	t.Layers = slices.Clone(parent.Layers)
	if unchanged {
		if t.Digest != parent.Digest {
			return t, false, &Corruption{Table: w.t.Name, Detail: "the digest of the parent's indexes is not its manifest's", Advice: adviceRestore}
		}
		return t, true, nil
	}
	parts, err := w.encode(ctx, cuts, nil)
	t.Layers = append(t.Layers, Layer{Kind: KindChange, Parts: parts})
	return t, true, err
}

// refill adds the rows that came as they are in the parent to the sorter: they
// are read from there.
func (w *TableWriter) refill(ctx context.Context) error {
	x := w.upon.index
	if x.marked.Load() == 0 {
		return nil
	}
	want, err := x.from(schemas.RowID{})
	if err != nil {
		return err
	}
	e := newRowEncoder(&w.t)
	for row, err := range w.upon.r.ScanStored(ctx, ScanOptions{KeepLarge: true}) {
		if err != nil {
			return fmt.Errorf("read the parent's rows: %w", err)
		}
		if !want.ok || row.ID != want.entry.ID || row.Digest != want.entry.Digest {
			return &Corruption{Table: w.t.Name, Detail: fmt.Sprintf("row %s is not as the index has it", row.ID), Advice: adviceRestore}
		}
		marked := x.isMarked(want.at)
		if err := want.advance(); err != nil {
			return err
		}
		if !marked {
			continue
		}
		if err := e.add(row.ID, originOfParent, func(dst []byte) ([]byte, error) { return e.enc.AppendRow(dst, &row.Row) }); err != nil {
			return w.rowError(row.Key, 0, err)
		}
		if got := e.digest(); got != row.Digest {
			return &Corruption{Table: w.t.Name, Detail: fmt.Sprintf("row %s does not have its digest", row.ID), Advice: adviceRestore}
		}
		if err := w.sort(e); err != nil {
			return err
		}
	}
	if want.ok {
		return &Corruption{Table: w.t.Name, Detail: fmt.Sprintf("row %s is in the index only", want.entry.ID), Advice: adviceRestore}
	}
	return nil
}

// originOfParent is the origin of rows that came in as the parent has them: where
// they stand in the source was not kept. It sorts before all others.
const originOfParent = math.MinInt64

// digest is that of the row added last.
func (e *rowEncoder) digest() schemas.Digest {
	r := e.rows[len(e.rows)-1]
	return schemas.Digest(e.b[r.value : r.value+16])
}

// beside walks rows of the parent and of the sorter side by side, between two
// ids (no end: nil): old and row are nil where one has none.
func (w *TableWriter) beside(from schemas.RowID, end []byte, f func(old *parentCursor, row *sorted) error) error {
	c, err := w.upon.index.from(from)
	if err != nil {
		return err
	}
	before := func(id []byte) bool { return c.ok && (id == nil || string(c.entry.ID[:]) < string(id)) }
	for rec, err := range w.sorter.Range(from[:], end) {
		if err != nil {
			return err
		}
		r := readSorted(rec)
		for before(r.id[:]) {
			if err := errors.Join(f(c, nil), c.advance()); err != nil {
				return err
			}
		}
		if !c.ok || c.entry.ID != r.id {
			if err := f(nil, &r); err != nil {
				return err
			}
			continue
		}
		if err := errors.Join(f(c, &r), c.advance()); err != nil {
			return err
		}
	}
	for before(end) {
		if err := errors.Join(f(c, nil), c.advance()); err != nil {
			return err
		}
	}
	return nil
}

// surveyUpon is survey with a parent: the digest is that of the resulting rows,
// the cuts are those of the changes.
func (w *TableWriter) surveyUpon(ctx context.Context) ([]cut, Table, error) {
	tree, cuts := newTrie(), cutter{bounds: w.o.Bounds}
	var last sorted
	any, n := false, 0
	err := w.beside(schemas.RowID{}, nil, func(old *parentCursor, r *sorted) error {
		if n++; n%1024 == 0 {
			if err := context.Cause(ctx); err != nil {
				return err
			}
		}
		switch same := old != nil && w.upon.index.isMarked(old.at); {
		case r != nil && any && r.id == last.id:
			return w.duplicate(last, *r)
		case r != nil && same:
			err := w.duplicate(*r, *r)
			if d, ok := errors.AsType[*DuplicateError](err); ok {
				d.OneKnown = true
			}
			return err
		case r != nil:
			tree.add(Entry{ID: r.id, Digest: r.digest})
			cuts.add(r.id, int64(len(r.canonical)))
			any, last = true, sorted{id: r.id, origin: r.origin}
		case same:
			tree.add(old.entry)
		default:
			cuts.add(old.entry.ID, 0)
		}
		return nil
	})
	if err != nil {
		return nil, Table{}, err
	}
	return cuts.finish(), w.table(tree), nil
}
