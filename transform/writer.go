package transform

import (
	"context"
	"sync/atomic"

	"github.com/parallelrun/parallelrun/schemas"
)

// RowWriter takes the rows of the desired snapshot: the entity tables and their
// rejected tables, in any order. It must be safe for concurrent use.
// *snapshots.Writer is one.
type RowWriter interface {
	WriteRow(ctx context.Context, table string, row schemas.Row, origin int64) error
}

// OutputTables are the tables that Run writes to, in load order, each followed
// by its rejected table.
func OutputTables() []schemas.Table {
	all := schemas.Entities()
	var out []schemas.Table
	for _, name := range schemas.LoadOrder {
		out = append(out, all[name], schemas.Rejected(name))
	}
	return out
}

// countingWriter counts what really was written.
type countingWriter struct {
	out RowWriter
	n   map[string]*[3]atomic.Int64
}

const (
	countYielded = iota
	countExcluded
	countRejected
)

func newCountingWriter(out RowWriter) *countingWriter {
	w := &countingWriter{out: out, n: map[string]*[3]atomic.Int64{}}
	for _, name := range schemas.LoadOrder {
		w.n[name] = new([3]atomic.Int64)
	}
	return w
}

func (w *countingWriter) counts(entity string) (n [3]int64) {
	for i := range n {
		n[i] = w.n[entity][i].Load()
	}
	return n
}

// row writes a row that stands. Origins tell where a row stood, in case one id
// comes twice; transform rules that out itself, so they are not kept.
func (w *countingWriter) row(ctx context.Context, entity string, row schemas.Row) error {
	if err := w.out.WriteRow(ctx, entity, row, 0); err != nil {
		return err
	}
	w.n[entity][countYielded].Add(1)
	return nil
}

// failed writes a row of a rejected table.
func (w *countingWriter) failed(ctx context.Context, entity, class, source string, id schemas.RowID, key string, failures []failure) error {
	rules, fields, messages := make([]string, len(failures)), make([]string, len(failures)), make([]string, len(failures))
	for i, f := range failures {
		rules[i], fields[i], messages[i] = f.rule, f.field, f.message
	}
	row := schemas.Row{ID: id, Key: key, Values: []any{class, rules, fields, messages, source}}
	if err := w.out.WriteRow(ctx, schemas.RejectedTable(entity), row, 0); err != nil {
		return err
	}
	i := countRejected
	if class == ClassExcluded {
		i = countExcluded
	}
	w.n[entity][i].Add(1)
	return nil
}
