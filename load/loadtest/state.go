package loadtest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// State is a snapshot in memory. It is written first and read then.
type State struct {
	tables map[string]schemas.Table

	mu   sync.Mutex
	rows map[string]map[schemas.RowID]schemas.Row
}

var (
	_ load.Snapshot  = (*State)(nil)
	_ load.RowWriter = (*State)(nil)
)

// NewState makes an empty snapshot with the tables.
func NewState(tables []schemas.Table) *State {
	s := &State{tables: map[string]schemas.Table{}, rows: map[string]map[schemas.RowID]schemas.Row{}}
	for _, t := range tables {
		s.tables[t.Name] = t
		s.rows[t.Name] = map[schemas.RowID]schemas.Row{}
	}
	return s
}

// DesiredTables are the tables of a desired snapshot.
func DesiredTables() []schemas.Table {
	var out []schemas.Table
	for name, t := range schemas.Entities() {
		out = append(out, t, schemas.Rejected(name))
	}
	return out
}

// WriteRow adds a row; a second one with its id is refused, as a store does.
func (s *State) WriteRow(_ context.Context, table string, row schemas.Row, _ int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tables[table]
	if !ok {
		return fmt.Errorf("no table %s", table)
	}
	if len(row.Values) != len(t.Columns) {
		return fmt.Errorf("table %s, key %q: %d values for %d columns", table, row.Key, len(row.Values), len(t.Columns))
	}
	if _, dup := s.rows[table][row.ID]; dup {
		return fmt.Errorf("table %s: key %q comes twice", table, row.Key)
	}
	if _, err := schemas.NewEncoder(&t).AppendRow(nil, &row); err != nil {
		return fmt.Errorf("table %s, key %q: %w", table, row.Key, err)
	}
	row.Values = slices.Clone(row.Values)
	s.rows[table][row.ID] = row
	return nil
}

// Digest stands for the content, as a store's digest does.
func (s *State) Digest() snapshots.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		t := s.tables[name]
		fmt.Fprintln(h, name)
		for _, id := range slices.SortedFunc(maps.Keys(s.rows[name]), schemas.RowID.Compare) {
			row := s.rows[name][id]
			d := schemas.RowDigest(&t, &row)
			h.Write(id[:])
			h.Write(d[:])
		}
	}
	return snapshots.Digest(h.Sum(nil))
}

// Table implements load.Snapshot.
func (s *State) Table(name string) (*schemas.Table, bool) {
	t, ok := s.tables[name]
	return &t, ok
}

// Rows implements load.Snapshot.
func (s *State) Rows(name string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.rows[name]))
}

// Row returns one row.
func (s *State) Row(table string, id schemas.RowID) (schemas.Row, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row, ok := s.rows[table][id]
	return row, ok
}

// Scan implements load.Snapshot.
func (s *State) Scan(ctx context.Context, table string, o parts.ScanOptions) iter.Seq2[schemas.Row, error] {
	return func(yield func(schemas.Row, error) bool) {
		s.mu.Lock()
		rows := s.rows[table]
		ids := slices.SortedFunc(maps.Keys(rows), schemas.RowID.Compare)
		s.mu.Unlock()
		for _, id := range ids {
			if id.Compare(o.From) < 0 || !o.To.IsZero() && id.Compare(o.To) >= 0 {
				continue
			}
			if err := ctx.Err(); err != nil {
				yield(schemas.Row{}, err)
				return
			}
			row := rows[id]
			row.Values = slices.Clone(row.Values)
			if !yield(row, nil) {
				return
			}
		}
	}
}
