package parts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"

	"github.com/parallelrun/parallelrun/schemas"
)

// partFile is an open part. Row groups are decoded one at a time, so memory
// follows their fixed bounds.
type partFile struct {
	p      Part
	pq     *file.Reader
	arrow  *pqarrow.FileReader
	shape  *arrow.Schema
	keep   []bool // fields of shape to read
	closer io.Closer
	mem    memory.Allocator // of decoded groups
}

// group is one decoded row group.
type group struct {
	rows   int
	ids    *array.FixedSizeBinary
	keys   *array.String
	digest *array.FixedSizeBinary
	own    []arrow.Array // the table's columns, nil where not read
	large  *array.List   // nil where not read
	owned  []releaser
}

// release gives the group's memory back: nothing of it may be looked at any
// more. Groups that are not released are left to the garbage collector.
func (g *group) release() {
	for _, x := range g.owned {
		x.Release()
	}
}

// openPart opens a part for reading some of its columns; want is aligned with
// the table's, nil for all.
func (r *Reader) openPart(ctx context.Context, p Part, want []bool) (f *partFile, err error) {
	src, closer, err := r.open(ctx, p.Object)
	if err != nil {
		return nil, err
	}
	f = &partFile{p: p, closer: closer, mem: memory.DefaultAllocator}
	err = guard(p.Object, func() error { return f.init(&r.shape, src, want) })
	if err != nil {
		return nil, errors.Join(r.damage(err), closer.Close())
	}
	return f, nil
}

func (f *partFile) init(t *schemas.Table, src io.ReaderAt, want []bool) (err error) {
	props := parquet.NewReaderProperties(memory.DefaultAllocator)
	props.BufferedStreamEnabled = true
	f.pq, err = file.NewParquetReader(io.NewSectionReader(src, 0, f.p.Object.Bytes), file.WithReadProps(props))
	if err != nil {
		return corruptCause(f.p.Object, "Parquet footer can't be read", err)
	}
	f.arrow, err = pqarrow.NewFileReader(f.pq, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		return corruptCause(f.p.Object, "Parquet schema can't be read", err)
	}
	f.shape = storedSchema(t)
	got, err := f.arrow.Schema()
	if err != nil {
		return corruptCause(f.p.Object, "Parquet schema can't be read", err)
	}
	if !sameShape(got, f.shape) {
		return corrupt(f.p.Object, "the part's columns are not those of the table")
	}
	if f.pq.NumRows() != f.p.Rows {
		return corrupt(f.p.Object, "part has %d rows, the manifest says %d", f.pq.NumRows(), f.p.Rows)
	}
	f.choose(t, want)
	return nil
}

// choose marks the fields to read.
func (f *partFile) choose(t *schemas.Table, want []bool) {
	f.keep = make([]bool, f.shape.NumFields())
	f.keep[idAt], f.keep[keyAt], f.keep[digestAt] = true, true, true
	large := want == nil
	for i, c := range t.Columns {
		if want == nil || want[i] {
			f.keep[ownAt+i] = true
			large = large || mayBeLarge(c.Type)
		}
	}
	f.keep[len(f.keep)-1] = large
}

// mayBeLarge says whether values of the type can live as objects of their own.
func mayBeLarge(t schemas.Type) bool {
	switch t {
	case schemas.String, schemas.Binary, schemas.Strings, schemas.Binaries, schemas.StringsMap, schemas.BinariesMap:
		return true
	}
	return false
}

func (f *partFile) groups() int { return f.pq.NumRowGroups() }

func (f *partFile) groupRows(g int) int64 { return f.pq.MetaData().RowGroup(g).NumRows() }

// read decodes a row group.
func (f *partFile) read(g int) (out *group, err error) {
	err = guard(f.p.Object, func() error {
		out, err = f.decode(g)
		return err
	})
	return out, err
}

// decode makes the wanted columns of a row group.
func (f *partFile) decode(g int) (*group, error) {
	d := groupDecoder{pq: f.pq, rg: f.pq.RowGroup(g), rows: f.groupRows(g), leaves: map[int]*leaf{}, mem: f.mem}
	if d.rows < 0 || d.rows > groupRows {
		return nil, corrupt(f.p.Object, "row group %d has %d rows", g, d.rows)
	}
	out := &group{rows: int(d.rows), own: make([]arrow.Array, f.shape.NumFields()-ownAt-1)}
	for i := range f.arrow.Manifest.Fields {
		if !f.keep[i] {
			continue
		}
		col, err := d.column(&f.arrow.Manifest.Fields[i])
		if err != nil {
			return nil, corruptCause(f.p.Object, fmt.Sprintf("row group %d can't be decoded", g), err)
		}
		out.set(i, col)
	}
	out.owned = d.owned
	return out, nil
}

// set keeps the column of field i.
func (g *group) set(i int, col arrow.Array) {
	switch i {
	case idAt:
		g.ids = col.(*array.FixedSizeBinary)
	case keyAt:
		g.keys = col.(*array.String)
	case digestAt:
		g.digest = col.(*array.FixedSizeBinary)
	case ownAt + len(g.own):
		g.large = col.(*array.List)
	default:
		g.own[i-ownAt] = col
	}
}

func (f *partFile) Close() error {
	return errors.Join(guard(f.p.Object, f.pq.Close), f.closer.Close())
}

// refs lists the large values of row i; the slice is re-used from dst.
func (g *group) refs(dst []schemas.LargeRef, i int) []schemas.LargeRef {
	if g.large == nil || g.large.IsNull(i) {
		return dst
	}
	from, to := g.large.ValueOffsets(i)
	s := g.large.ListValues().(*array.Struct)
	paths, sums, sizes := s.Field(0).(*array.String), s.Field(1).(*array.FixedSizeBinary), s.Field(2).(*array.Int64)
	for j := int(from); j < int(to); j++ {
		dst = append(dst, schemas.LargeRef{Path: string([]byte(paths.Value(j))), SHA256: [32]byte(sums.Value(j)), Size: sizes.Value(j)})
	}
	return dst
}

// guard turns a panic of the decoder into a corruption: arrow v17 panics on
// damaged pages. Nothing that it calls may decode in another goroutine, where
// a panic ends the process.
func guard(o Object, f func() error) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if e, ok := v.(runtime.Error); ok {
			err = corruptCause(o, "decoder failed", e)
			return
		}
		err = corrupt(o, "decoder failed: %v", v)
	}()
	return f()
}

func corruptCause(o Object, detail string, err error) error {
	c := corrupt(o, "%s", detail)
	c.Err = err
	return c
}
