package load

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// Snapshot is a stored state, as this package reads it: *snapshots.Snapshot is
// one. Rows come in row-id order, their values aligned with the table's
// columns. It may be read by several goroutines.
type Snapshot interface {
	Digest() snapshots.Digest
	Table(name string) (*schemas.Table, bool)
	Rows(name string) int64
	Scan(ctx context.Context, table string, o parts.ScanOptions) iter.Seq2[schemas.Row, error]
}

// RowWriter takes the rows of a snapshot in any order; *snapshots.Writer is
// one. Origin says where a row came from, for messages; rows made here have
// none (-1).
type RowWriter interface {
	WriteRow(ctx context.Context, table string, row schemas.Row, origin int64) error
}

// Files is the part of a store that keeps plan, ranges and ledger: create-only,
// under runs/. PutFile may be called again with the same bytes.
type Files interface {
	PutFile(ctx context.Context, key string, data []byte) error
	ReadFile(ctx context.Context, key string) ([]byte, error)
	Files(ctx context.Context, prefix string) iter.Seq2[string, error]
}

// Empty is the base of a target that nothing was loaded into yet.
var Empty Snapshot = emptySnapshot{}

type emptySnapshot struct{}

func (emptySnapshot) Digest() snapshots.Digest            { return snapshots.Digest{} }
func (emptySnapshot) Table(string) (*schemas.Table, bool) { return nil, false }
func (emptySnapshot) Rows(string) int64                   { return 0 }
func (emptySnapshot) Scan(context.Context, string, parts.ScanOptions) iter.Seq2[schemas.Row, error] {
	return func(func(schemas.Row, error) bool) {}
}

// reader reads one table of a snapshot in the shape that this program knows.
// Columns that the snapshot lacks read as null and are not in has.
type reader struct {
	sn    Snapshot
	table string
	from  []int // by column of the entity's table: position in the snapshot, or -1
	has   columns
	there bool
	names []string // columns to read; nil: all
}

// only reads no other columns than these: the rest is null and does not count.
func (r *reader) only(names []string) {
	stored, ok := r.sn.Table(r.table)
	r.names = []string{}
	for i, at := range r.from {
		switch {
		case at < 0 || !ok:
		case slices.Contains(names, stored.Columns[at].Name):
			r.names = append(r.names, stored.Columns[at].Name)
		default:
			r.from[i], r.has[i] = -1, false
		}
	}
}

// columns says of each column of an entity's table whether it counts.
type columns []bool

func newReader(sn Snapshot, shape *schemas.Table) *reader {
	r := &reader{sn: sn, table: shape.Name, from: make([]int, len(shape.Columns)), has: make(columns, len(shape.Columns))}
	stored, ok := sn.Table(shape.Name)
	r.there = ok
	for i, c := range shape.Columns {
		r.from[i] = -1
		if !ok {
			continue
		}
		if at := stored.Column(c.Name); at >= 0 && stored.Columns[at].Type == c.Type {
			r.from[i], r.has[i] = at, true
		}
	}
	return r
}

// scan yields the rows with from <= id < to; zero means no bound.
func (r *reader) scan(ctx context.Context, from, to schemas.RowID) iter.Seq2[schemas.Row, error] {
	return func(yield func(schemas.Row, error) bool) {
		if !r.there {
			return
		}
		for row, err := range r.sn.Scan(ctx, r.table, parts.ScanOptions{From: from, To: to, Columns: r.names}) {
			if err != nil {
				yield(schemas.Row{}, fmt.Errorf("read table %s: %w", r.table, err))
				return
			}
			if !yield(r.align(row), nil) {
				return
			}
		}
	}
}

func (r *reader) align(row schemas.Row) schemas.Row {
	out := schemas.Row{ID: row.ID, Key: row.Key, Values: make([]any, len(r.from)), Large: row.Large}
	for i, at := range r.from {
		if at >= 0 && at < len(row.Values) {
			out.Values[i] = row.Values[at]
		}
	}
	return out
}

// readAll reads a table whole, for those that fit in memory.
func (r *reader) readAll(ctx context.Context) (map[schemas.RowID]schemas.Row, error) {
	m := map[schemas.RowID]schemas.Row{}
	for row, err := range r.scan(ctx, schemas.RowID{}, schemas.RowID{}) {
		if err != nil {
			return nil, err
		}
		m[row.ID] = row
	}
	return m, nil
}

var (
	_ Snapshot  = (*snapshots.Snapshot)(nil)
	_ RowWriter = (*snapshots.Writer)(nil)
	_ Files     = (*snapshots.Store)(nil)
)
