package schemas

import (
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Names of the columns that every batch starts with.
const (
	RowIDColumn     = "row_id"
	LegacyKeyColumn = "legacy_key"
)

// leadColumns is how many columns of a batch precede the table's own.
const leadColumns = 2

var (
	rowIDType  = &arrow.FixedSizeBinaryType{ByteWidth: 16}
	sealedType = arrow.StructOf(
		arrow.Field{Name: "mac", Type: rowIDType},
		arrow.Field{Name: "box", Type: arrow.BinaryTypes.Binary})
)

// ArrowType is the Arrow type of a column's cells.
func (t Type) ArrowType() arrow.DataType {
	switch t {
	case Bool:
		return arrow.FixedWidthTypes.Boolean
	case Int:
		return arrow.PrimitiveTypes.Int64
	case Timestamp:
		return arrow.FixedWidthTypes.Timestamp_us
	case String:
		return arrow.BinaryTypes.String
	case Binary:
		return arrow.BinaryTypes.Binary
	case Strings:
		return arrow.ListOf(arrow.BinaryTypes.String)
	case Binaries:
		return arrow.ListOf(arrow.BinaryTypes.Binary)
	case StringsMap:
		return arrow.MapOf(arrow.BinaryTypes.String, arrow.ListOf(arrow.BinaryTypes.String))
	case BinariesMap:
		return arrow.MapOf(arrow.BinaryTypes.String, arrow.ListOf(arrow.BinaryTypes.Binary))
	case Secret:
		return sealedType
	case Secrets:
		return arrow.ListOf(sealedType)
	case SecretsMap:
		return arrow.MapOf(arrow.BinaryTypes.String, arrow.ListOf(sealedType))
	}
	panic(fmt.Sprintf("schemas: no Arrow type for column type %d", t))
}

// ArrowSchema is the shape of the table's record batches between stages: row
// id, legacy key, then the columns. Values are whole; the store alone splits
// off large ones and adds digests.
func (t *Table) ArrowSchema() *arrow.Schema {
	fields := []arrow.Field{
		{Name: RowIDColumn, Type: rowIDType},
		{Name: LegacyKeyColumn, Type: arrow.BinaryTypes.String, Nullable: true},
	}
	for _, c := range t.Columns {
		fields = append(fields, arrow.Field{Name: c.Name, Type: c.Type.ArrowType(), Nullable: true})
	}
	return arrow.NewSchema(fields, nil)
}

// Builder collects rows into record batches of one table. It is not safe for
// use by several goroutines.
type Builder struct {
	table *Table
	b     *array.RecordBuilder
	bytes int64

	// Of the batch before: a batch like it needs no growing.
	rows  int
	texts []int // bytes by column
}

// NewBuilder returns an empty builder; Release it when done.
func NewBuilder(t *Table) *Builder { return NewBuilderIn(memory.DefaultAllocator, t) }

// NewBuilderIn is NewBuilder with batches in the allocator's memory.
func NewBuilderIn(mem memory.Allocator, t *Table) *Builder {
	b := array.NewRecordBuilder(mem, t.ArrowSchema())
	return &Builder{table: t, b: b, texts: make([]int, len(b.Fields()))}
}

// Append adds a row. An error names the column whose value has the wrong Go
// type; the row is then not added and the builder must not be used further.
func (b *Builder) Append(r Row) error {
	if len(r.Values) != len(b.table.Columns) {
		return fmt.Errorf("table %s, key %q: row has %d values, table has %d columns", b.table.Name, r.Key, len(r.Values), len(b.table.Columns))
	}
	b.Start(r.ID, r.Key)
	for i, v := range r.Values {
		n, err := appendValue(b.b.Field(leadColumns+i), b.table.Columns[i].Type, v)
		if err != nil {
			return fmt.Errorf("table %s, key %q, column %s: %w", b.table.Name, r.Key, b.table.Columns[i].Name, err)
		}
		b.bytes += n
	}
	return nil
}

// Start begins a row whose cells follow one by one: exactly one of Null, Text,
// Int, Bool and Cell for each column. It is Append for callers who have no Row.
func (b *Builder) Start(id RowID, key string) {
	if b.rows > 0 && b.Len() == 0 {
		b.reserve()
	}
	b.b.Field(0).(*array.FixedSizeBinaryBuilder).Append(id[:])
	b.b.Field(1).(*array.StringBuilder).Append(key)
	b.bytes += int64(len(id) + len(key))
}

// Null appends a null to a column.
func (b *Builder) Null(column int) {
	b.b.Field(leadColumns + column).AppendNull()
	b.bytes++
}

// Text appends to a column of type String or Binary, which has to be valid
// UTF-8 for the former; v is copied.
func (b *Builder) Text(column int, v []byte) {
	switch f := b.b.Field(leadColumns + column).(type) {
	case *array.StringBuilder:
		f.BinaryBuilder.Append(v)
	case *array.BinaryBuilder:
		f.Append(v)
	}
	b.bytes += int64(len(v))
}

// Int appends to a column of type Int or Timestamp.
func (b *Builder) Int(column int, v int64) {
	switch f := b.b.Field(leadColumns + column).(type) {
	case *array.Int64Builder:
		f.Append(v)
	case *array.TimestampBuilder:
		f.Append(arrow.Timestamp(v))
	}
	b.bytes += 8
}

// Bool appends to a column of type Bool.
func (b *Builder) Bool(column int, v bool) {
	b.b.Field(leadColumns + column).(*array.BooleanBuilder).Append(v)
	b.bytes++
}

// Cell appends a value of the Go type listed at Type to a column, nil for null.
func (b *Builder) Cell(column int, v any) error {
	n, err := appendValue(b.b.Field(leadColumns+column), b.table.Columns[column].Type, v)
	b.bytes += n
	return err
}

// Len is the number of rows collected.
func (b *Builder) Len() int { return b.b.Field(0).Len() }

// Bytes is about how many bytes of values have been collected, for bounding
// batches.
func (b *Builder) Bytes() int64 { return b.bytes }

// Record returns what was collected as a batch, which the caller releases, and
// starts anew.
func (b *Builder) Record() arrow.Record {
	b.bytes = 0
	rec := b.b.NewRecord()
	b.rows = int(rec.NumRows())
	for i, c := range rec.Columns() {
		switch c := c.(type) {
		case *array.String:
			b.texts[i] = len(c.ValueBytes())
		case *array.Binary:
			b.texts[i] = len(c.ValueBytes())
		}
	}
	return rec
}

// reserve makes room for a batch like the one before.
func (b *Builder) reserve() {
	for i, f := range b.b.Fields() {
		f.Reserve(b.rows)
		switch f := f.(type) {
		case *array.StringBuilder:
			f.ReserveData(b.texts[i])
		case *array.BinaryBuilder:
			f.ReserveData(b.texts[i])
		}
	}
}

// Release frees the builder.
func (b *Builder) Release() { b.b.Release() }

// AppendValue adds one cell to a builder of its type's ArrowType; size is about
// how many bytes it has. An error says that the Go type does not fit.
func AppendValue(b array.Builder, t Type, v any) (size int64, err error) {
	return appendValue(b, t, v)
}

func appendValue(b array.Builder, t Type, v any) (size int64, err error) {
	if v == nil {
		b.AppendNull()
		return 1, nil
	}
	switch t {
	case Bool:
		if x, ok := v.(bool); ok {
			b.(*array.BooleanBuilder).Append(x)
			return 1, nil
		}
	case Int:
		if x, ok := v.(int64); ok {
			b.(*array.Int64Builder).Append(x)
			return 8, nil
		}
	case Timestamp:
		if x, ok := v.(int64); ok {
			b.(*array.TimestampBuilder).Append(arrow.Timestamp(x))
			return 8, nil
		}
	case String:
		if x, ok := v.(string); ok {
			b.(*array.StringBuilder).Append(x)
			return int64(len(x)), nil
		}
	case Binary:
		if x, ok := v.([]byte); ok {
			b.(*array.BinaryBuilder).Append(x)
			return int64(len(x)), nil
		}
	case Secret:
		if x, ok := v.(Sealed); ok {
			return appendSealed(b, x), nil
		}
	case Strings:
		return appendList(b, String, v)
	case Binaries:
		return appendList(b, Binary, v)
	case Secrets:
		return appendList(b, Secret, v)
	case StringsMap:
		return appendMap[string](b, Strings, v)
	case BinariesMap:
		return appendMap[[]byte](b, Binaries, v)
	case SecretsMap:
		return appendMap[Sealed](b, Secrets, v)
	}
	return 0, fmt.Errorf("value of Go type %T does not fit column type %s", v, t)
}

func appendSealed(b array.Builder, x Sealed) int64 {
	sb := b.(*array.StructBuilder)
	sb.Append(true)
	sb.FieldBuilder(0).(*array.FixedSizeBinaryBuilder).Append(x.MAC[:])
	sb.FieldBuilder(1).(*array.BinaryBuilder).Append(x.Box)
	return int64(len(x.MAC) + len(x.Box))
}

func appendList(b array.Builder, elem Type, v any) (int64, error) {
	lb := b.(*array.ListBuilder)
	var size int64
	add := func(n int, at func(int) any) error {
		lb.Append(true)
		for i := range n {
			s, err := appendValue(lb.ValueBuilder(), elem, at(i))
			if err != nil {
				return err
			}
			size += s
		}
		return nil
	}
	switch x := v.(type) {
	case []string:
		if elem == String {
			return size, add(len(x), func(i int) any { return x[i] })
		}
	case [][]byte:
		if elem == Binary {
			err := add(len(x), func(i int) any {
				if x[i] == nil { // a nil element would read as null: the values of a list are never null
					return []byte{}
				}
				return x[i]
			})
			return size, err
		}
	case []Sealed:
		if elem == Secret {
			return size, add(len(x), func(i int) any { return x[i] })
		}
	}
	return 0, fmt.Errorf("value of Go type %T does not fit a list of %s", v, elem)
}

func appendMap[E any](b array.Builder, list Type, v any) (int64, error) {
	x, ok := v.(map[string][]E)
	if !ok {
		return 0, fmt.Errorf("value of Go type %T does not fit a map to %s", v, list)
	}
	mb := b.(*array.MapBuilder)
	mb.Append(true)
	var size int64
	for _, k := range slices.Sorted(maps.Keys(x)) {
		mb.KeyBuilder().(*array.StringBuilder).Append(k)
		l := x[k]
		if l == nil {
			l = []E{}
		}
		n, err := appendValue(mb.ItemBuilder(), list, l)
		if err != nil {
			return 0, fmt.Errorf("key %q: %w", k, err)
		}
		size += int64(len(k)) + n
	}
	return size, nil
}

// RowAt copies row i of a batch out of Arrow. The batch must have the table's
// ArrowSchema.
func (t *Table) RowAt(rec arrow.Record, i int) Row {
	r := Row{Values: make([]any, len(t.Columns))}
	copy(r.ID[:], rec.Column(0).(*array.FixedSizeBinary).Value(i))
	if k := rec.Column(1).(*array.String); k.IsValid(i) {
		r.Key = cloneString(k.Value(i))
	}
	for c := range t.Columns {
		r.Values[c] = ValueAt(rec.Column(leadColumns+c), t.Columns[c].Type, i)
	}
	return r
}

// ValueAt copies cell i of an Arrow column of the given type out of Arrow.
func ValueAt(col arrow.Array, t Type, i int) any {
	if col.IsNull(i) {
		return nil
	}
	switch t {
	case Bool:
		return col.(*array.Boolean).Value(i)
	case Int:
		return col.(*array.Int64).Value(i)
	case Timestamp:
		return int64(col.(*array.Timestamp).Value(i))
	case String:
		return cloneString(col.(*array.String).Value(i))
	case Binary:
		return cloneBytes(col.(*array.Binary).Value(i))
	case Secret:
		return sealedAt(col, i)
	case Strings:
		l := col.(*array.List)
		from, to := l.ValueOffsets(i)
		return stringsIn(l.ListValues(), from, to)
	case Binaries:
		l := col.(*array.List)
		from, to := l.ValueOffsets(i)
		return binariesIn(l.ListValues(), from, to)
	case Secrets:
		l := col.(*array.List)
		from, to := l.ValueOffsets(i)
		return secretsIn(l.ListValues(), from, to)
	case StringsMap:
		return mapAt(col, i, stringsIn)
	case BinariesMap:
		return mapAt(col, i, binariesIn)
	case SecretsMap:
		return mapAt(col, i, secretsIn)
	}
	panic(fmt.Sprintf("schemas: no value for column type %d", t))
}

func mapAt[E any](col arrow.Array, i int, in func(values arrow.Array, from, to int64) []E) map[string][]E {
	m := col.(*array.Map)
	from, to := m.ValueOffsets(i)
	keys, lists := m.Keys().(*array.String), m.Items().(*array.List)
	out := make(map[string][]E, to-from)
	for j := from; j < to; j++ {
		lf, lt := lists.ValueOffsets(int(j))
		out[cloneString(keys.Value(int(j)))] = in(lists.ListValues(), lf, lt)
	}
	return out
}

func stringsIn(values arrow.Array, from, to int64) []string {
	s := values.(*array.String)
	out := make([]string, 0, to-from)
	for j := from; j < to; j++ {
		out = append(out, cloneString(s.Value(int(j))))
	}
	return out
}

func binariesIn(values arrow.Array, from, to int64) [][]byte {
	s := values.(*array.Binary)
	out := make([][]byte, 0, to-from)
	for j := from; j < to; j++ {
		out = append(out, cloneBytes(s.Value(int(j))))
	}
	return out
}

func secretsIn(values arrow.Array, from, to int64) []Sealed {
	out := make([]Sealed, 0, to-from)
	for j := from; j < to; j++ {
		out = append(out, sealedAt(values, int(j)))
	}
	return out
}

func sealedAt(col arrow.Array, i int) Sealed {
	s := col.(*array.Struct)
	var x Sealed
	copy(x.MAC[:], s.Field(0).(*array.FixedSizeBinary).Value(i))
	x.Box = cloneBytes(s.Field(1).(*array.Binary).Value(i))
	return x
}

func cloneString(s string) string { return string([]byte(s)) }
func cloneBytes(b []byte) []byte  { return append(make([]byte, 0, len(b)), b...) }
