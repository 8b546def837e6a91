package parts

import (
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"

	"github.com/parallelrun/parallelrun/internal/arrowmem"
	"github.com/parallelrun/parallelrun/schemas"
)

// Columns that a part has beside the table's own.
const (
	rowIDColumn     = schemas.RowIDColumn
	legacyKeyColumn = schemas.LegacyKeyColumn
	RowDigestColumn = "row_digest" // after the two that batches start with
	LargeColumn     = "_large"     // behind all others
)

// Places of the columns in a part: row id, legacy key, row digest, the table's
// own, large values.
const (
	idAt     = 0
	keyAt    = 1
	digestAt = 2
	ownAt    = 3
)

// Bounds of a row group. They are fixed, so that the bytes of a part are a
// function of its rows.
const (
	groupRows  = 16 << 10
	groupBytes = 8 << 20

	// In change layers, many of which are read at once.
	changeGroupRows  = 2 << 10
	changeGroupBytes = 1 << 20
)

var largeType = arrow.StructOf(
	arrow.Field{Name: "path", Type: arrow.BinaryTypes.String},
	arrow.Field{Name: "sha256", Type: &arrow.FixedSizeBinaryType{ByteWidth: 32}},
	arrow.Field{Name: "size", Type: arrow.PrimitiveTypes.Int64})

// storedSchema is the Arrow schema of a table's parts.
func storedSchema(t *schemas.Table) *arrow.Schema {
	fixed16 := &arrow.FixedSizeBinaryType{ByteWidth: 16}
	fields := []arrow.Field{
		{Name: rowIDColumn, Type: fixed16},
		{Name: legacyKeyColumn, Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: RowDigestColumn, Type: fixed16},
	}
	for _, c := range t.Columns {
		fields = append(fields, arrow.Field{Name: c.Name, Type: c.Type.ArrowType(), Nullable: true})
	}
	fields = append(fields, arrow.Field{Name: LargeColumn, Type: arrow.ListOf(largeType), Nullable: true})
	return arrow.NewSchema(fields, nil)
}

// checkShape refuses tables that parts can't hold.
func checkShape(t *schemas.Table) error {
	seen := map[string]bool{rowIDColumn: true, legacyKeyColumn: true, RowDigestColumn: true, LargeColumn: true}
	ids := map[int32]bool{schemas.KeyFieldID: true}
	for _, c := range t.Columns {
		switch {
		case c.Name == "" || strings.ContainsAny(c.Name, "[\x00"):
			return fmt.Errorf("table %s: column name %q is empty or has a bracket or NUL: rename it", t.Name, c.Name)
		case seen[c.Name]:
			return fmt.Errorf("table %s: column name %q is taken: rename it", t.Name, c.Name)
		case ids[c.ID] || c.ID < schemas.KeyFieldID:
			return fmt.Errorf("table %s, column %s: field id %d is taken: choose another", t.Name, c.Name, c.ID)
		case c.Type.String() == "":
			return fmt.Errorf("table %s, column %s: unknown type %d", t.Name, c.Name, c.Type)
		}
		seen[c.Name], ids[c.ID] = true, true
	}
	return nil
}

// writerProperties: no dictionaries, because they cost more than they save
// here and make arrow v17 write footers in random order; statistics only where
// they can't hold a value of a person, because footers are read by everyone.
func writerProperties(t *schemas.Table) *parquet.WriterProperties {
	props := []parquet.WriterProperty{
		parquet.WithAllocator(arrowmem.Pooled),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(1),
		parquet.WithDictionaryDefault(false),
		parquet.WithStats(false),
		parquet.WithStatsFor(rowIDColumn, true),
		parquet.WithRootRepetition(parquet.Repetitions.Required),
		parquet.WithRootName("row"),
		parquet.WithMaxRowGroupLength(groupRows),
		parquet.WithCreatedBy("parallelrun"),
	}
	for _, c := range t.Columns {
		if c.Type == schemas.Bool || c.Type == schemas.Int || c.Type == schemas.Timestamp {
			props = append(props, parquet.WithStatsFor(c.Name, true))
		}
	}
	return parquet.NewWriterProperties(props...)
}

// newParquetWriter writes batches of the stored schema, a row group each.
func newParquetWriter(t *schemas.Table, w *spool) (*pqarrow.FileWriter, error) {
	return pqarrow.NewFileWriter(storedSchema(t), noClose{w}, writerProperties(t), pqarrow.NewArrowWriterProperties(pqarrow.WithAllocator(arrowmem.Pooled)))
}

// noClose hides Close from the Parquet writer, which would close the spool.
type noClose struct{ w *spool }

func (n noClose) Write(p []byte) (int, error) { return n.w.Write(p) }
