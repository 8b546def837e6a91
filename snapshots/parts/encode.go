package parts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"

	"github.com/parallelrun/parallelrun/internal/arrowmem"
	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/schemas"
)

// partEncoder makes one part and its index.
type partEncoder struct {
	w       *TableWriter
	out     *spool
	pq      *pqarrow.FileWriter
	dec     *schemas.Decoder
	batch   *array.RecordBuilder
	index   interface{ finish() []byte } // entries or changes
	entries *indexWriter
	changes *listWriter
	large   map[[32]byte]int64
	boxes   [][]byte

	rows  int   // in the batch
	bytes int64 // in the batch

	// Of the part.
	stored  int64
	deleted int64
	epochs  map[uint32]bool // nil: not to be told, or not known
}

// newPartEncoder returns an encoder without an index; its spool is the caller's
// to close, and release to be called before it waits to be stored.
func newPartEncoder(w *TableWriter) (_ *partEncoder, err error) {
	e := &partEncoder{w: w, out: newSpool(w.o.TempDir), dec: schemas.NewDecoder(&w.t), large: map[[32]byte]int64{}}
	if hasSecrets(w.t.Columns) {
		e.epochs = map[uint32]bool{}
	}
	if e.pq, err = newParquetWriter(&w.t, e.out); err != nil {
		return nil, errors.Join(err, e.out.Close())
	}
	e.batch = array.NewRecordBuilder(arrowmem.Pooled, storedSchema(&w.t))
	return e, nil
}

// release frees what a part that waits to be stored needs no more: it holds its
// bytes alone.
func (e *partEncoder) release() {
	e.batch.Release()
	e.batch, e.pq, e.dec = nil, nil, nil
}

// encodePart makes a part of the rows under a prefix; it is stored by store, and
// its spool to be closed.
func (w *TableWriter) encodePart(ctx context.Context, c cut) (_ *partEncoder, err error) {
	e, err := newPartEncoder(w)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.out.Close())
		}
	}()
	defer e.release()
	read := e.readRows
	if w.upon.opened() != nil {
		e.changes, read = newListWriter(changeMagic, changeEntry, c.rows), e.readChanges
		e.index = e.changes
	} else {
		e.entries = newIndexWriter(c.rows)
		e.index = e.entries
	}
	if err := read(ctx, c); err != nil {
		return nil, fmt.Errorf("table %s, part %q: %w", w.t.Name, c.prefix, err)
	}
	return e, nil
}

// bounds of a cut for the sorter; end is nil where none comes after.
func (c cut) bounds() (from schemas.RowID, end []byte, err error) {
	from, to, more, err := prefixRange(c.prefix)
	if more {
		end = to[:]
	}
	return from, end, err
}

func (e *partEncoder) readRows(ctx context.Context, c cut) error {
	from, end, err := c.bounds()
	if err != nil {
		return err
	}
	var last schemas.RowID
	for rec, err := range e.w.sorter.Range(from[:], end) {
		if err != nil {
			return err
		}
		r := readSorted(rec)
		if e.stored > 0 && r.id == last {
			return errTwiceID
		}
		last = r.id
		if err := e.add(ctx, r, groupRows, groupBytes); err != nil {
			return err
		}
		e.entries.entry(Entry{ID: r.id, Digest: r.digest})
	}
	return e.end(c)
}

// readChanges makes a part of a change layer: rows that came in anew or
// otherwise, and in the index also the parent's rows that did not come.
func (e *partEncoder) readChanges(ctx context.Context, c cut) error {
	from, end, err := c.bounds()
	if err != nil {
		return err
	}
	err = e.w.beside(from, end, func(old *parentCursor, r *sorted) error {
		if r == nil {
			if !e.w.upon.index.isMarked(old.at) {
				e.changes.change(Change{ID: old.entry.ID, Old: old.entry.Digest})
				e.deleted++
			}
			return nil
		}
		entry := Change{ID: r.id, New: r.digest}
		if old != nil {
			entry.Old = old.entry.Digest
		}
		e.changes.change(entry)
		return e.add(ctx, *r, changeGroupRows, changeGroupBytes)
	})
	if err != nil {
		return err
	}
	return e.end(c)
}

// end finishes the file.
func (e *partEncoder) end(c cut) error {
	if n := e.stored + e.deleted; n != c.rows {
		return fmt.Errorf("%d rows were sorted, %d read back", c.rows, n)
	}
	if err := e.flush(); err != nil {
		return err
	}
	return e.pq.Close()
}

// add puts a row into the batch, after writing the batch if the row would take
// it out of its bounds.
func (e *partEncoder) add(ctx context.Context, r sorted, mostRows int, mostBytes int64) error {
	size := int64(len(r.canonical) + len(r.boxes))
	if e.rows == mostRows || e.rows > 0 && e.bytes+size > mostBytes {
		if err := errors.Join(e.flush(), context.Cause(ctx)); err != nil {
			return err
		}
	}
	e.batch.Field(idAt).(*array.FixedSizeBinaryBuilder).Append(r.id[:])
	e.batch.Field(digestAt).(*array.FixedSizeBinaryBuilder).Append(r.digest[:])
	e.boxes = splitBoxes(e.boxes[:0], r.boxes)
	own := e.batch.Fields()[ownAt : ownAt+len(e.w.t.Columns)]
	refs, err := e.dec.Append(e.batch.Field(keyAt).(*array.StringBuilder), own, r.canonical, e.boxes)
	if err != nil {
		return fmt.Errorf("row %s: %w", r.id, err)
	}
	e.addLarge(refs)
	e.addEpochs()
	e.rows++
	e.stored++
	e.bytes += size
	return nil
}

// addEpochs notes which key epochs the boxes of a row need.
func (e *partEncoder) addEpochs() {
	for _, box := range e.boxes {
		epoch, err := seal.BoxEpoch(box)
		if err != nil {
			e.epochs = nil
		}
		if e.epochs != nil {
			e.epochs[epoch] = true
		}
	}
}

func (e *partEncoder) addLarge(refs []schemas.LargeRef) {
	b := e.batch.Field(ownAt + len(e.w.t.Columns)).(*array.ListBuilder)
	if len(refs) == 0 {
		b.AppendNull()
		return
	}
	b.Append(true)
	s := b.ValueBuilder().(*array.StructBuilder)
	for _, ref := range refs {
		s.Append(true)
		s.FieldBuilder(0).(*array.StringBuilder).Append(ref.Path)
		s.FieldBuilder(1).(*array.FixedSizeBinaryBuilder).Append(ref.SHA256[:])
		s.FieldBuilder(2).(*array.Int64Builder).Append(ref.Size)
		e.large[ref.SHA256] = ref.Size
	}
}

// flush writes the batch as a row group.
func (e *partEncoder) flush() error {
	if e.rows == 0 {
		return nil
	}
	rec := e.batch.NewRecord()
	defer rec.Release()
	e.rows, e.bytes = 0, 0
	reserveLike(e.batch, rec)
	return e.pq.Write(rec)
}

// reserveLike makes room for a batch like the one before, which then needs no
// growing.
func reserveLike(b *array.RecordBuilder, rec arrow.Record) {
	for i, c := range rec.Columns() {
		b.Field(i).Reserve(c.Len())
		switch c := c.(type) {
		case *array.String:
			b.Field(i).(*array.StringBuilder).ReserveData(len(c.ValueBytes()))
		case *array.Binary:
			b.Field(i).(*array.BinaryBuilder).ReserveData(len(c.ValueBytes()))
		}
	}
}

// sealedIn are the key epochs of the part's boxes, ascending; nil where they are
// not to be told, or not known.
func (e *partEncoder) sealedIn() []uint32 {
	if e.epochs == nil {
		return nil
	}
	epochs := slices.AppendSeq([]uint32{}, maps.Keys(e.epochs))
	slices.Sort(epochs)
	return epochs
}

// put stores the part's file.
func (e *partEncoder) put(ctx context.Context) (Object, error) {
	want := e.out.object()
	got, err := e.w.o.Put(ctx, e.out.body())
	if err != nil {
		return Object{}, err
	}
	if got != want {
		return Object{}, &Corruption{Object: want.Name(), Table: e.w.t.Name, Detail: "the bytes of a part changed between writing and storing it",
			Advice: "check the memory and disk of this machine, then run again"}
	}
	return got, nil
}

// store puts the part, its index and its list of large objects.
func (e *partEncoder) store(ctx context.Context) (p Part, err error) {
	p.Rows, p.Deleted, p.Epochs = e.stored, e.deleted, e.sealedIn()
	if p.Object, err = e.put(ctx); err != nil {
		return Part{}, err
	}
	if p.Index, err = e.w.o.Put(ctx, bytes.NewReader(e.index.finish())); err != nil {
		return Part{}, err
	}
	if len(e.large) == 0 {
		return p, nil
	}
	o, err := e.w.o.Put(ctx, bytes.NewReader(largeList(e.large)))
	p.Large = &o
	return p, err
}
