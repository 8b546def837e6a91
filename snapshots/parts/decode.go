package parts

import (
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/bitutil"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
)

// groupDecoder makes Arrow columns out of one row group. It stands in for
// pqarrow's record reader, which decodes structs and maps in goroutines of its
// own whatever it is told: a damaged page would panic there and end the
// process, where no one can recover. Pages are still read by arrow's file
// package, in the caller's goroutine.
type groupDecoder struct {
	pq     *file.Reader
	rg     *file.RowGroupReader
	rows   int64
	leaves map[int]*leaf

	mem   memory.Allocator
	owned []releaser // what was made, as far as it counts who refers to it
}

// releaser is memory of Arrow's that goes back to its allocator once all who
// refer to it have let go.
type releaser interface{ Release() }

// own notes something that was made.
func own[T releaser](d *groupDecoder, x T) T {
	d.owned = append(d.owned, x)
	return x
}

// leaf is a decoded Parquet column: a slot for each value and null, and the
// levels that say how slots nest.
type leaf struct {
	data     arrow.ArrayData
	def, rep []int16
}

// column decodes one field of the root.
func (d *groupDecoder) column(f *pqarrow.SchemaField) (arrow.Array, error) {
	data, err := d.build(f, d.rows)
	if err != nil {
		return nil, fmt.Errorf("column %s: %w", f.Field.Name, err)
	}
	if int64(data.Len()) != d.rows {
		return nil, fmt.Errorf("column %s has %d rows, its group %d", f.Field.Name, data.Len(), d.rows)
	}
	return own(d, array.MakeFromData(data)), nil
}

// build decodes a field that has at most bound slots.
func (d *groupDecoder) build(f *pqarrow.SchemaField, bound int64) (arrow.ArrayData, error) {
	if len(f.Children) == 0 {
		l, err := d.leaf(f)
		if err != nil {
			return nil, err
		}
		return l.data, nil
	}
	switch f.Field.Type.ID() {
	case arrow.LIST, arrow.MAP:
		return d.list(f, bound)
	case arrow.STRUCT:
		return d.structure(f, bound)
	}
	return nil, fmt.Errorf("arrow type %s is not one that parts have", f.Field.Type)
}

// list decodes a list or map: offsets and nulls from the levels of its first
// leaf, then what it holds.
func (d *groupDecoder) list(f *pqarrow.SchemaField, bound int64) (arrow.ArrayData, error) {
	if len(f.Children) != 1 {
		return nil, fmt.Errorf("list of %d fields", len(f.Children))
	}
	l, err := d.firstLeaf(f)
	if err != nil {
		return nil, err
	}
	offsets := make([]int32, bound+1)
	io := file.ValidityBitmapInputOutput{ReadUpperBound: bound}
	if f.Field.Nullable {
		io.ValidBits = make([]byte, bitutil.BytesForBits(bound))
	}
	if err := file.DefRepLevelsToListInfo(l.def, l.rep, f.LevelInfo, &io, offsets); err != nil {
		return nil, err
	}
	item, err := d.build(&f.Children[0], int64(offsets[io.Read]))
	if err != nil {
		return nil, err
	}
	if int(offsets[io.Read]) > item.Len() {
		return nil, fmt.Errorf("lists of %d values hold %d", offsets[io.Read], item.Len())
	}
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets[:io.Read+1]))}
	if io.NullCount > 0 {
		buffers[0] = memory.NewBufferBytes(io.ValidBits)
	}
	return own(d, array.NewData(f.Field.Type, int(io.Read), buffers, []arrow.ArrayData{item}, int(io.NullCount), 0)), nil
}

// structure decodes a struct: sealed values and large values, whose fields are
// leaves, or the entries of a map, which are never null.
func (d *groupDecoder) structure(f *pqarrow.SchemaField, bound int64) (arrow.ArrayData, error) {
	children := make([]arrow.ArrayData, len(f.Children))
	for i := range f.Children {
		var err error
		if children[i], err = d.build(&f.Children[i], bound); err != nil {
			return nil, err
		}
		if children[i].Len() != children[0].Len() {
			return nil, fmt.Errorf("fields of a struct have %d and %d slots", children[0].Len(), children[i].Len())
		}
	}
	n, nulls := children[0].Len(), 0
	buffers := []*memory.Buffer{nil}
	if f.Field.Nullable {
		l, err := d.firstLeaf(f)
		if err != nil {
			return nil, err
		}
		io := file.ValidityBitmapInputOutput{ReadUpperBound: int64(n), ValidBits: make([]byte, bitutil.BytesForBits(int64(n)))}
		if n > 0 {
			file.DefLevelsToBitmap(l.def, f.LevelInfo, &io)
		}
		if io.Read != int64(n) {
			return nil, fmt.Errorf("struct of %d slots has levels of %d", n, io.Read)
		}
		if nulls = int(io.NullCount); nulls > 0 {
			buffers[0] = memory.NewBufferBytes(io.ValidBits)
		}
	}
	return own(d, array.NewData(f.Field.Type, n, buffers, children, nulls, 0)), nil
}

// firstLeaf decodes the first leaf under a field; all leaves under it tell the
// same about its lists and nulls.
func (d *groupDecoder) firstLeaf(f *pqarrow.SchemaField) (*leaf, error) {
	for len(f.Children) > 0 { // IsLeaf also says so of lists
		f = &f.Children[0]
	}
	return d.leaf(f)
}

// leaf decodes a Parquet column once.
func (d *groupDecoder) leaf(f *pqarrow.SchemaField) (*leaf, error) {
	if l := d.leaves[f.ColIndex]; l != nil {
		return l, nil
	}
	pages, err := d.rg.GetColumnPageReader(f.ColIndex)
	if err != nil {
		return nil, err
	}
	rr := file.NewRecordReader(d.pq.MetaData().Schema.Column(f.ColIndex), f.LevelInfo, f.Field.Type, d.mem, d.pq.BufferPool())
	defer rr.Release()
	rr.SetPageReader(pages)
	if err := rr.Reserve(d.rows); err != nil {
		return nil, err
	}
	n, err := rr.ReadRecords(d.rows)
	if err == nil {
		err = pages.Err()
	}
	if err != nil {
		return nil, err
	}
	if n != d.rows {
		return nil, fmt.Errorf("%d of %d rows are there", n, d.rows)
	}
	l := &leaf{def: copyLevels(rr.DefLevels(), rr.LevelsPos()), rep: copyLevels(rr.RepLevels(), rr.LevelsPos())}
	if l.data, err = d.leafData(rr, f.Field.Type); err != nil {
		return nil, err
	}
	d.leaves[f.ColIndex] = l
	return l, nil
}

// copyLevels saves levels before their reader re-uses the memory.
func copyLevels(levels []int16, n int64) []int16 {
	if int64(len(levels)) < n { // repetition levels of columns that do not repeat
		return nil
	}
	return append([]int16(nil), levels[:n]...)
}

// leafData takes what a record reader has read, as Arrow data of type t.
func (d *groupDecoder) leafData(rr file.RecordReader, t arrow.DataType) (arrow.ArrayData, error) {
	switch t.ID() {
	case arrow.STRING, arrow.BINARY, arrow.FIXED_SIZE_BINARY:
		return d.binaryData(rr, t)
	case arrow.INT64, arrow.TIMESTAMP:
		valid := own(d, rr.ReleaseValidBits())
		return own(d, array.NewData(t, rr.ValuesWritten(), []*memory.Buffer{valid, own(d, rr.ReleaseValues())}, nil, int(rr.NullCount()), 0)), nil
	case arrow.BOOL:
		n := rr.ValuesWritten()
		bits := make([]byte, bitutil.BytesForBits(int64(n)))
		for i, v := range rr.Values()[:n] { // a byte per value
			bitutil.SetBitTo(bits, i, v != 0)
		}
		return own(d, array.NewData(t, n, []*memory.Buffer{own(d, rr.ReleaseValidBits()), memory.NewBufferBytes(bits)}, nil, int(rr.NullCount()), 0)), nil
	}
	return nil, fmt.Errorf("arrow type %s is not one that parts have", t)
}

func (d *groupDecoder) binaryData(rr file.RecordReader, t arrow.DataType) (arrow.ArrayData, error) {
	b, ok := rr.(file.BinaryRecordReader)
	if !ok || b.ReadDictionary() {
		return nil, fmt.Errorf("column of type %s is not stored plainly", t)
	}
	chunks := b.GetBuilderChunks()
	if len(chunks) != 1 { // over 2 GiB in a row group of at most 8 MiB
		return nil, fmt.Errorf("column in %d chunks", len(chunks))
	}
	c := own(d, chunks[0]).Data()
	return own(d, array.NewData(t, c.Len(), c.Buffers(), nil, c.NullN(), c.Offset())), nil
}
