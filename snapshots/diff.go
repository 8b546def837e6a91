package snapshots

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// DiffOptions say what to compare. The zero value compares everything.
type DiffOptions struct {
	// Tables to compare; nil means those of either side.
	Tables []string
	// Columns to compare, where a table has them; nil means all. The legacy key
	// is compared only then.
	Columns []string
	// IndexOnly tells which rows differ without reading any: changes carry no
	// key and no fields, stats no columns. Tables whose sides have different
	// columns are read all the same.
	IndexOnly bool
	// Counts is IndexOnly for who wants the Stat alone: no change is yielded, which
	// lets half of the indexes do.
	Counts bool
	// Stat, if set, is filled while the changes are read.
	Stat *Stat
	// Where, if set, says which changes to yield and count; it is called by
	// several goroutines at once, with Old and New set. Not with IndexOnly.
	Where func(RowChange) (bool, error)
	// Rows asks for the rows themselves, with all their columns: RowChange.Old and
	// New.
	Rows bool
	// OldDigests asks for no more of old rows than their digests, so that they
	// need not be read: changes carry no fields, and deleted rows no key. It goes
	// with Rows, not with Where or Columns. Tables whose sides have different
	// columns are read and told of as ever.
	OldDigests bool
	// Workers is how many ranges of ids are compared at once, zero means one, as
	// far as Memory (zero: 256 MiB) allows. The changes and their order are the
	// same with any number.
	Workers int
	Memory  int64

	// keys compares legacy keys though Columns are given.
	keys bool
	// rangeRows is about how many rows a range has; zero means the default.
	rangeRows int64
}

// ChangeKind is what happened to a row from a to b.
type ChangeKind string

// The kinds of changes.
const (
	Insert ChangeKind = "insert"
	Update ChangeKind = "update"
	Delete ChangeKind = "delete"
)

// RowChange is one row that differs.
type RowChange struct {
	Table string
	ID    schemas.RowID
	Key   string // of b, of a for a delete
	Kind  ChangeKind
	// Fields that differ, in the order of b's columns; for inserts and deletes
	// all that are not null. Nil where rows were not compared.
	Fields []FieldChange
	// Old and New are the rows of a and b as they are stored, where
	// DiffOptions.Rows asks for them; nil for a row that is not there. They align
	// with the columns of their own side's table, large values are in Row.Large,
	// and secrets are sealed: they are for comparing, never for showing.
	Old, New *parts.StoredRow
	// OldDigest and NewDigest are the digests of these rows, zero for a row that
	// is not there. Digests of tables with secrets follow from secrets.
	OldDigest, NewDigest schemas.Digest
}

// FieldChange is one field that differs. Values have the Go types of
// schemas.Row, nil for null, but secrets are SecretValue and large values
// LargeValue, in lists and maps too.
type FieldChange struct {
	Column string
	Type   schemas.Type
	Set    bool
	Old    any
	New    any
}

// Stat counts what a diff found.
type Stat struct{ Tables []TableStat }

// TableStat counts one table.
type TableStat struct {
	Table                                 string
	Inserted, Updated, Deleted, Unchanged int64
	// Left is how many rows differ and were left out by DiffOptions.Where.
	Left int64
	// Columns counts, over the updated rows, how often each column changed.
	Columns []ColumnStat
	// OnlyIn is "a" or "b" when the other side has no such table.
	OnlyIn string
	// NotCompared lists columns that could not be compared, and why.
	NotCompared []NotCompared
}

// ColumnStat counts one column.
type ColumnStat struct {
	Column  string
	Changed int64
}

// NotCompared is a column that could not be compared: the other side does not
// have it, or as another type.
type NotCompared struct {
	Column, Why string
	Old, New    schemas.Type // in a and b, zero where it is not there
}

// SchemaChanged says whether the tables have other columns, or one is not there.
func (t TableStat) SchemaChanged() bool { return t.OnlyIn != "" || len(t.NotCompared) > 0 }

// Changed is how many rows differ.
func (t TableStat) Changed() int64 { return t.Inserted + t.Updated + t.Deleted }

// Changed is how many rows differ in all tables.
func (s Stat) Changed() (n int64) {
	for _, t := range s.Tables {
		n += t.Changed()
	}
	return n
}

// Differs says whether anything does: a row, a column, a table that only one
// side has.
func (s Stat) Differs() bool {
	return s.Changed() > 0 || slices.ContainsFunc(s.Tables, TableStat.SchemaChanged)
}

// Diff yields the rows that differ from a to b, table by table in order of
// their names, each in order of row ids. Tables and parts with equal digests
// are not read; else the indexes are merged, and rows are read for changed ids
// alone. Where the two sides of a table have different columns, as when a
// target does not give all back, the common ones are compared row by row and
// the Stat names the others. Memory does not grow with the tables.
func Diff(ctx context.Context, a, b *Snapshot, o DiffOptions) iter.Seq2[RowChange, error] {
	return func(yield func(RowChange, error) bool) {
		if o.Stat == nil {
			o.Stat = &Stat{}
		}
		o.Stat.Tables = nil
		o.IndexOnly = o.IndexOnly || o.Counts
		for _, name := range diffTables(a, b, o.Tables) {
			d, err := newTableDiff(a, b, name, o)
			if err == nil {
				err = d.run(ctx, func(c RowChange) error {
					if !yield(c, nil) {
						return errDiffStopped
					}
					return nil
				})
				o.Stat.Tables = append(o.Stat.Tables, d.result())
			}
			if err != nil {
				if !errors.Is(err, errDiffStopped) {
					yield(RowChange{}, fmt.Errorf("diff table %s: %w", name, err))
				}
				return
			}
		}
	}
}

// errDiffStopped ends a diff whose reader has seen enough.
var errDiffStopped = errors.New("stopped")

// DiffStat counts what differs.
func DiffStat(ctx context.Context, a, b *Snapshot, o DiffOptions) (Stat, error) {
	var st Stat
	o.Stat = &st
	for _, err := range Diff(ctx, a, b, o) {
		if err != nil {
			return st, err
		}
	}
	return st, nil
}

func diffTables(a, b *Snapshot, only []string) []string {
	if only == nil {
		only = append(a.Tables(), b.Tables()...)
	}
	only = slices.Clone(only)
	slices.Sort(only)
	return slices.Compact(only)
}
