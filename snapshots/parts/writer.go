package parts

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/parallelrun/parallelrun/internal/extsort"
	"github.com/parallelrun/parallelrun/schemas"
)

// Options of a TableWriter.
type Options struct {
	// Memory bounds what the writer holds, beside the batches it is given;
	// zero means 64 MiB. Under some 48 MiB it is exceeded while parts are made.
	Memory int64
	// Workers is how many parts are made at once, as far as Memory allows;
	// zero means one.
	Workers int
	Bounds  Bounds
	// TempDir is where sorting spills (sealed) and parts are collected; empty
	// means os.TempDir.
	TempDir string
	Put     PutFunc
	// Parent is a table that most rows are expected to be in already, such as
	// the last snapshot's; nil means none. A row that it has is not written
	// again, and the table may be stored as a change upon it, which changes no
	// digest. It is not looked at if its columns are others, or if its secrets
	// are not all of one key epoch. Its objects must stay until the new table is
	// referred to.
	Parent *Reader
}

// TableWriter makes one table out of rows that come in any order. Write and
// WriteRow may be called from several goroutines; Finish once, when all of them
// have returned; Close in any case. After an error of one call the others fail.
type TableWriter struct {
	t    schemas.Table
	o    Options
	pool sync.Pool // of *rowEncoder

	mu     sync.Mutex
	sorter *extsort.Sorter
	census census // of what is in the sorter
	err    error

	large *largePuts

	upon *upon // nil: no parent
	came arrivals
}

// NewTableWriter returns a writer for the table; it touches no disk yet.
func NewTableWriter(t schemas.Table, o Options) *TableWriter {
	if o.Memory <= 0 {
		o.Memory = 64 << 20
	}
	o.Workers = max(o.Workers, 1)
	o.Bounds = o.Bounds.orDefault()
	w := &TableWriter{t: t, o: o, err: checkShape(&t)}
	w.sorter = extsort.New(extsort.Options{Memory: o.Memory / 2, Dir: o.TempDir, Workers: o.Workers})
	w.large = newLargePuts(o.Put, min(o.Memory/4, largeMemory))
	w.pool.New = func() any { return newRowEncoder(&w.t) }
	w.upon = newUpon(&w.t, o)
	return w
}

// flushBytes is how many encoded bytes a caller collects before it takes the
// sorter's lock.
const flushBytes = 256 << 10

// Write takes a batch of the table's ArrowSchema. origins are the places of
// its rows in the source, for errors; nil means not known. The batch may be
// released when Write returns.
func (w *TableWriter) Write(ctx context.Context, rec arrow.Record, origins []int64) error {
	if err := w.checkBatch(rec, origins); err != nil {
		return err
	}
	e, err := w.begin(ctx)
	if err != nil {
		return err
	}
	defer w.pool.Put(e)
	ids, keys := rec.Column(0).(*array.FixedSizeBinary), rec.Column(1).(*array.String)
	for i := range int(rec.NumRows()) {
		origin := int64(0)
		if origins != nil {
			origin = origins[i]
		}
		id := schemas.RowID(ids.Value(i))
		err := e.add(id, origin, func(dst []byte) ([]byte, error) {
			return e.enc.AppendArrow(dst, keys, rec.Columns()[2:], i, nil)
		})
		if err != nil {
			return w.rowError(keys.Value(i), origin, err)
		}
		if len(e.b) >= flushBytes {
			if err := w.flush(ctx, e); err != nil {
				return err
			}
		}
	}
	return w.flush(ctx, e)
}

// WriteRow takes one row. Large values that it lists in Large must be in the
// store already.
func (w *TableWriter) WriteRow(ctx context.Context, row schemas.Row, origin int64) error {
	e, err := w.begin(ctx)
	if err != nil {
		return err
	}
	defer w.pool.Put(e)
	err = e.add(row.ID, origin, func(dst []byte) ([]byte, error) { return e.enc.AppendRow(dst, &row) })
	if err != nil {
		return w.rowError(row.Key, origin, err)
	}
	return w.flush(ctx, e)
}

// begin returns an encoder for rows that come in.
func (w *TableWriter) begin(ctx context.Context) (*rowEncoder, error) {
	known, err := w.upon.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("table %s: read the parent's index: %w", w.t.Name, err)
	}
	e := w.pool.Get().(*rowEncoder)
	e.begin(w.large.put(ctx), w.upon, known)
	return e, nil
}

func (w *TableWriter) rowError(key string, origin int64, err error) error {
	if d, ok := errors.AsType[*DuplicateError](err); ok {
		d.Table, d.Key = w.t.Name, key
		return d
	}
	return fmt.Errorf("table %s, key %q (at %d of the source): %w", w.t.Name, key, origin, err)
}

func (w *TableWriter) checkBatch(rec arrow.Record, origins []int64) error {
	want := w.t.ArrowSchema()
	if !sameShape(rec.Schema(), want) {
		return fmt.Errorf("table %s: batch has columns %v, want %v", w.t.Name, rec.Schema(), want)
	}
	if origins != nil && int64(len(origins)) != rec.NumRows() {
		return fmt.Errorf("table %s: batch has %d rows and %d origins", w.t.Name, rec.NumRows(), len(origins))
	}
	return nil
}

// sameShape compares names and types, not nullability or metadata.
func sameShape(a, b *arrow.Schema) bool {
	if a.NumFields() != b.NumFields() {
		return false
	}
	for i, f := range a.Fields() {
		g := b.Field(i)
		if f.Name != g.Name || !arrow.TypeEqual(f.Type, g.Type) {
			return false
		}
	}
	return true
}

// flush hands encoded rows to the sorter.
func (w *TableWriter) flush(ctx context.Context, e *rowEncoder) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = context.Cause(ctx)
	}
	if w.err == nil {
		w.err = w.large.failure()
	}
	if w.err == nil {
		w.err = w.sort(e)
	}
	return w.err
}

// sort adds encoded rows to the sorter.
func (w *TableWriter) sort(e *rowEncoder) error {
	defer e.reset()
	for _, r := range e.rows {
		if err := w.sorter.Add(e.b[r.key:r.value], e.b[r.value:r.end]); err != nil {
			return err
		}
		w.census.add(schemas.RowID(e.b[r.key:]), int64(binary.BigEndian.Uint32(e.b[r.value+16:])))
	}
	w.came.add(e.came)
	return nil
}

// Spilled is how many bytes sorting has written to disk so far.
func (w *TableWriter) Spilled() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sorter.Spilled()
}

// Close frees memory and temporary files. Objects that were put stay.
func (w *TableWriter) Close() error {
	w.large.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = errors.New("table writer is closed")
	}
	return errors.Join(w.sorter.Close(), w.upon.close())
}

// A record for the sorter has row id (16) and origin (8) as its key, so that
// duplicates come in an order that does not hang on who wrote first, and as its
// value: row digest (16), u32 length, canonical encoding, then the sealed
// boxes, each after its u32 length.
const (
	keyBytes  = 24
	valueHead = 20
)

// rowEncoder collects encoded rows.
type rowEncoder struct {
	enc  *schemas.Encoder
	b    []byte
	rows []encodedRow
	came arrivals

	// With a parent: rows that it has are left out, and large values wait until
	// it is known that their row is not one of these.
	upon  *upon
	known *parentIndex
	put   func([]byte) ([sha256.Size]byte, error)
	large [][]byte
	buf   []byte
}

// encodedRow is where a row's key and value lie in the buffer.
type encodedRow struct{ key, value, end int }

func newRowEncoder(t *schemas.Table) *rowEncoder {
	return &rowEncoder{enc: schemas.NewEncoder(t)}
}

func (e *rowEncoder) begin(put func([]byte) ([sha256.Size]byte, error), u *upon, known *parentIndex) {
	e.reset()
	e.upon, e.known, e.put = u, known, put
	e.enc.Large = put
	if known != nil {
		e.enc.Large = func(v []byte) ([sha256.Size]byte, error) {
			e.large = append(e.large, v)
			return sha256.Sum256(v), nil
		}
	}
}

func (e *rowEncoder) reset() {
	if cap(e.b) > 4*flushBytes { // one huge row must not stay for good
		e.b = nil
	}
	e.b, e.rows, e.came = e.b[:0], e.rows[:0], arrivals{}
}

func (e *rowEncoder) add(id schemas.RowID, origin int64, encode func([]byte) ([]byte, error)) error {
	r := encodedRow{key: len(e.b)}
	e.b = append(e.b, id[:]...)
	e.b = binary.BigEndian.AppendUint64(e.b, uint64(origin)^1<<63) // negative ones sort first
	r.value = len(e.b)
	e.b = append(e.b, make([]byte, valueHead)...)
	start := len(e.b)
	b, err := encode(e.b)
	if err != nil {
		return err
	}
	e.b = b
	digest := schemas.DigestOf(e.b[start:])
	if e.known != nil {
		if same, err := e.meet(id, origin, digest, int64(len(e.b)-start)); err != nil || same {
			e.b = e.b[:r.key]
			return err
		}
	}
	copy(e.b[r.value:], digest[:])
	binary.BigEndian.PutUint32(e.b[r.value+16:], uint32(len(e.b)-start))
	for _, box := range e.enc.Boxes() {
		e.b = binary.BigEndian.AppendUint32(e.b, uint32(len(box)))
		e.b = append(e.b, box...)
	}
	r.end = len(e.b)
	e.rows = append(e.rows, r)
	e.came.changed++
	e.came.changedBytes += int64(r.end - start)
	return nil
}

// sorted is a record read back.
type sorted struct {
	id        schemas.RowID
	origin    int64
	digest    schemas.Digest
	canonical []byte
	boxes     []byte
}

func readSorted(r extsort.Record) sorted {
	n := binary.BigEndian.Uint32(r.Value[16:])
	return sorted{
		id:        schemas.RowID(r.Key[:16]),
		origin:    int64(binary.BigEndian.Uint64(r.Key[16:]) ^ 1<<63),
		digest:    schemas.Digest(r.Value[:16]),
		canonical: r.Value[valueHead : valueHead+n],
		boxes:     r.Value[valueHead+n:],
	}
}

// splitBoxes appends the boxes to dst.
func splitBoxes(dst [][]byte, b []byte) [][]byte {
	for len(b) > 0 {
		n := binary.BigEndian.Uint32(b)
		dst = append(dst, b[4:4+n])
		b = b[4+n:]
	}
	return dst
}
