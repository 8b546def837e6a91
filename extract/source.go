package extract

import (
	"context"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/parallelrun/parallelrun/schemas"
)

// Source is one legacy system, opened with its configuration. A source that is
// empty or can't be read is an error, never "no rows": a caller may take every
// nil return of Read as "this is all there is".
type Source interface {
	// Tables declares what Read will yield. The order is the order of reports.
	Tables() []TableSpec
	// Read yields every row of every table once, in any order, in batches
	// bounded by limits. It stops at the first error of yield. A value that the
	// tables declare or recognise as secret is sealed before it leaves Read.
	Read(ctx context.Context, limits Limits, yield func(Batch) error) error
	// Describe turns an origin of this source's batches into words for people,
	// such as "people.ldif:1207".
	Describe(origin int64) string
	Close() error
}

// Incremental is a Source that can say what changed.
type Incremental interface {
	Source
	// Changes yields the rows that changed since the cursor of an earlier call,
	// keys of deleted rows among them, and returns the next cursor. An empty
	// cursor means from the beginning. ErrCursorLost asks for a full Read.
	Changes(ctx context.Context, since Cursor, limits Limits, yield func(Batch) error) (Cursor, error)
}

// Lookup is a Source that can be asked for single rows, to confirm an absence.
type Lookup interface {
	Source
	// Get yields those of the keys that the source holds now.
	Get(ctx context.Context, table string, keys []string, yield func(Batch) error) error
}

// Cursor is a position in a source's changes, opaque to everyone else.
type Cursor []byte

// TableSpec declares one table of a source.
type TableSpec struct {
	Table schemas.Table
	// Key names the attribute that identifies a row; KeyMutable says that it
	// may change in the source (a DN, a login name), which deserves a warning.
	Key        string
	KeyMutable bool
}

// Batch is some rows of one table, with the table's ArrowSchema. The receiver
// of a batch must not keep Record after it returns without retaining it.
// Origins[i] says where row i stood, for Describe.
type Batch struct {
	Table   string
	Record  arrow.Record
	Origins []int64
	// Deleted lists keys that are gone; only Changes sets it.
	Deleted []string
}

// Limits bound a batch. The row that crosses a limit is the batch's last.
type Limits struct {
	Rows  int   // zero: 4096
	Bytes int64 // zero: 4 MiB
}

// Sealer seals secrets; internal/seal's Keyring is one.
type Sealer interface {
	Seal(table string, row schemas.RowID, column string, plaintext []byte) (schemas.Sealed, error)
}
