package waves

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// Snapshot is a stored state, as this package reads it: *snapshots.Snapshot is
// one. Rows come in row-id order, their values aligned with the table's columns.
type Snapshot interface {
	Table(name string) (*schemas.Table, bool)
	Scan(ctx context.Context, table string, o parts.ScanOptions) iter.Seq2[schemas.Row, error]
}

// scan yields the rows of a table in the shape that this program knows. Columns
// that were not asked for, or that the snapshot lacks, read as null; a table
// that it lacks has no rows.
func scan(ctx context.Context, sn Snapshot, shape schemas.Table, columns ...string) iter.Seq2[schemas.Row, error] {
	return func(yield func(schemas.Row, error) bool) {
		if sn == nil {
			return
		}
		stored, ok := sn.Table(shape.Name)
		if !ok {
			return
		}
		names, from := []string{}, make([]int, len(shape.Columns))
		for i, c := range shape.Columns {
			from[i] = -1
			at := stored.Column(c.Name)
			if at >= 0 && stored.Columns[at].Type == c.Type && slices.Contains(columns, c.Name) {
				from[i] = at
				names = append(names, c.Name)
			}
		}
		for row, err := range sn.Scan(ctx, shape.Name, parts.ScanOptions{Columns: names}) {
			if err != nil {
				yield(schemas.Row{}, fmt.Errorf("read table %s: %w", shape.Name, err))
				return
			}
			values := make([]any, len(from))
			for i, at := range from {
				if at >= 0 {
					values[i] = row.Values[at]
				}
			}
			row.Values = values
			if !yield(row, nil) {
				return
			}
		}
	}
}

// head is a stream's next value.
type head[T any] struct {
	v    T
	ok   bool
	next func() (T, error, bool)
	stop func()
}

func newHead[T any](seq iter.Seq2[T, error]) (*head[T], error) {
	h := &head[T]{}
	h.next, h.stop = iter.Pull2(seq)
	err := h.advance()
	return h, err
}

func (h *head[T]) advance() (err error) {
	h.v, err, h.ok = h.next()
	return err
}

func text(v any) string { s, _ := v.(string); return s }
