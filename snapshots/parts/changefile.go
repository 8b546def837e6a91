package parts

import (
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"

	"github.com/parallelrun/parallelrun/schemas"
)

// Columns of a file of changes, before those of the table.
const (
	changeKindColumn = "change"
	changedColumn    = "changed_columns"
	oldDigestColumn  = "old_digest"
	newDigestColumn  = "new_digest"
)

// ChangeFile writes the changed rows of a table as one Parquet file for other
// programs: row_id, legacy_key, change (insert, update, delete),
// changed_columns (null where nobody compared), old_digest and new_digest, then
// the columns of the new row in full, null for a row that is gone. A secret is the text "(secret)" where there
// is one; where a table holds secrets there are no digests, as digests tell of
// all that is in a row. Values of more than 64 KiB are null and listed in _large, as
// in a part.
type ChangeFile struct {
	t       schemas.Table
	masked  schemas.Table // with texts for secrets
	digests bool
	pq      *pqarrow.FileWriter
	batch   *array.RecordBuilder
	rows    int
	bytes   int64
}

// NewChangeFile begins a file of changes to a table of the given columns.
// digests says that rows' digests may be told.
func NewChangeFile(w io.Writer, t schemas.Table, digests bool) (*ChangeFile, error) {
	f := &ChangeFile{t: t, masked: schemas.Table{Name: t.Name, Columns: slices.Clone(t.Columns)}, digests: digests}
	for i, c := range f.masked.Columns {
		if c.Type.IsSecret() {
			f.masked.Columns[i].Type = schemas.String
		}
		if slices.Contains([]string{changeKindColumn, changedColumn, oldDigestColumn, newDigestColumn}, c.Name) {
			return nil, fmt.Errorf("table %s has a column %s, which a file of changes has itself: use another format", t.Name, c.Name)
		}
	}
	shape := changeSchema(&f.masked)
	f.batch = array.NewRecordBuilder(memory.DefaultAllocator, shape)
	var err error
	f.pq, err = pqarrow.NewFileWriter(shape, plainWriter{w}, writerProperties(&f.masked), pqarrow.NewArrowWriterProperties(pqarrow.WithAllocator(memory.DefaultAllocator)))
	return f, err
}

// plainWriter hides Close.
type plainWriter struct{ w io.Writer }

func (p plainWriter) Write(b []byte) (int, error) { return p.w.Write(b) }

func changeSchema(t *schemas.Table) *arrow.Schema {
	fixed16 := &arrow.FixedSizeBinaryType{ByteWidth: 16}
	fields := []arrow.Field{
		{Name: rowIDColumn, Type: fixed16},
		{Name: legacyKeyColumn, Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: changeKindColumn, Type: arrow.BinaryTypes.String},
		{Name: changedColumn, Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
		{Name: oldDigestColumn, Type: fixed16, Nullable: true},
		{Name: newDigestColumn, Type: fixed16, Nullable: true},
	}
	for _, c := range t.Columns {
		fields = append(fields, arrow.Field{Name: c.Name, Type: c.Type.ArrowType(), Nullable: true})
	}
	return arrow.NewSchema(append(fields, arrow.Field{Name: LargeColumn, Type: arrow.ListOf(largeType), Nullable: true}), nil)
}

// Changed is one row of a file of changes.
type Changed struct {
	Change
	Key     string // empty: not known
	Kind    string
	Columns []string   // that differ; nil: not known
	Row     *StoredRow // the new one, aligned with the table's columns; nil for none
}

// Add adds a changed row.
func (f *ChangeFile) Add(c Changed) error {
	b := f.batch
	b.Field(0).(*array.FixedSizeBinaryBuilder).Append(c.ID[:])
	key := b.Field(1).(*array.StringBuilder)
	if c.Key == "" {
		key.AppendNull()
	} else {
		key.Append(c.Key)
	}
	b.Field(2).(*array.StringBuilder).Append(c.Kind)
	l := b.Field(3).(*array.ListBuilder)
	l.Append(c.Columns != nil)
	for _, name := range c.Columns {
		l.ValueBuilder().(*array.StringBuilder).Append(name)
	}
	f.digest(4, c.Old)
	f.digest(5, c.New)
	size := int64(len(c.ID) + len(c.Key))
	for i, col := range f.masked.Columns {
		var v any
		if c.Row != nil {
			v = c.Row.Values[i]
		}
		if v != nil && f.t.Columns[i].Type.IsSecret() {
			v = "(secret)"
		}
		n, err := schemas.AppendValue(b.Field(6+i), col.Type, v)
		if err != nil {
			return fmt.Errorf("table %s, row %s, column %s: %w", f.t.Name, c.ID, col.Name, err)
		}
		size += n
	}
	f.large(c.Row)
	f.rows++
	if f.bytes += size; f.rows < changeGroupRows && f.bytes < groupBytes {
		return nil
	}
	return f.flush()
}

func (f *ChangeFile) digest(field int, d schemas.Digest) {
	b := f.batch.Field(field).(*array.FixedSizeBinaryBuilder)
	if isZero(d) || !f.digests {
		b.AppendNull()
		return
	}
	b.Append(d[:])
}

func (f *ChangeFile) large(row *StoredRow) {
	b := f.batch.Field(6 + len(f.t.Columns)).(*array.ListBuilder)
	if row == nil || len(row.Large) == 0 {
		b.AppendNull()
		return
	}
	b.Append(true)
	s := b.ValueBuilder().(*array.StructBuilder)
	for _, ref := range row.Large {
		s.Append(true)
		s.FieldBuilder(0).(*array.StringBuilder).Append(ref.Path)
		s.FieldBuilder(1).(*array.FixedSizeBinaryBuilder).Append(ref.SHA256[:])
		s.FieldBuilder(2).(*array.Int64Builder).Append(ref.Size)
	}
}

func (f *ChangeFile) flush() error {
	if f.rows == 0 {
		return nil
	}
	rec := f.batch.NewRecord()
	defer rec.Release()
	f.rows, f.bytes = 0, 0
	return f.pq.Write(rec)
}

// Close ends the file. The writer below stays open.
func (f *ChangeFile) Close() error {
	defer f.batch.Release()
	if err := f.flush(); err != nil {
		return err
	}
	return f.pq.Close()
}
