package snapshots

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// Snapshot reads one snapshot. It is safe for concurrent use.
type Snapshot struct {
	digest   Digest
	manifest Digest
	info     SnapshotInfo
	tables   []parts.Table // by name
	readers  []*parts.Reader
}

// OpenManifest opens the snapshot of a manifest, committed or not.
func (s *Store) OpenManifest(ctx context.Context, name Digest) (*Snapshot, error) {
	m, err := s.readManifest(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	sn := &Snapshot{digest: m.Snapshot, manifest: name, tables: m.Tables}
	slices.SortFunc(sn.tables, func(a, b parts.Table) int { return strings.Compare(a.Name, b.Name) })
	for _, t := range sn.tables {
		sn.readers = append(sn.readers, parts.OpenTable(t, s.verified(), parts.ReadOptions{Raw: s.openRaw}))
	}
	return sn, nil
}

// EmptySnapshot is a snapshot without tables: what a target held before
// anything was loaded.
func EmptySnapshot() *Snapshot { return &Snapshot{digest: SnapshotDigest(nil)} }

// Digest is the snapshot's identity: that of its rows.
func (sn *Snapshot) Digest() Digest { return sn.digest }

// Manifest names the manifest it was opened from.
func (sn *Snapshot) Manifest() Digest { return sn.manifest }

// Info is what the log says of the snapshot; its N is zero when the snapshot
// was opened by its manifest.
func (sn *Snapshot) Info() SnapshotInfo { return sn.info }

// Tables lists the names of the tables, sorted.
func (sn *Snapshot) Tables() []string {
	names := make([]string, len(sn.tables))
	for i, t := range sn.tables {
		names[i] = t.Name
	}
	return names
}

func (sn *Snapshot) find(name string) (int, bool) {
	return slices.BinarySearchFunc(sn.tables, name, func(t parts.Table, name string) int { return strings.Compare(t.Name, name) })
}

// Table is the shape of a table.
func (sn *Snapshot) Table(name string) (*schemas.Table, bool) {
	i, ok := sn.find(name)
	if !ok {
		return nil, false
	}
	t := sn.tables[i].Schema()
	return &t, true
}

// Stored is a table as the manifest lists it.
func (sn *Snapshot) Stored(name string) (parts.Table, bool) {
	i, ok := sn.find(name)
	if !ok {
		return parts.Table{}, false
	}
	return sn.tables[i], true
}

// Rows is how many rows a table has, zero if there is no such table.
func (sn *Snapshot) Rows(name string) int64 {
	t, _ := sn.Stored(name)
	return t.Rows
}

// ErrNoTable: the snapshot has no such table. See its Tables.
var ErrNoTable = errors.New("no such table in the snapshot")

// Reader reads one table.
func (sn *Snapshot) Reader(table string) (*parts.Reader, error) {
	i, ok := sn.find(table)
	if !ok {
		return nil, fmt.Errorf("table %q, snapshot %s: %w (it has: %s)", table, sn.digest.Short(), ErrNoTable, strings.Join(sn.Tables(), ", "))
	}
	return sn.readers[i], nil
}

// Scan yields the rows of a table in order of their ids.
func (sn *Snapshot) Scan(ctx context.Context, table string, o parts.ScanOptions) iter.Seq2[schemas.Row, error] {
	r, err := sn.Reader(table)
	if err != nil {
		return func(yield func(schemas.Row, error) bool) { yield(schemas.Row{}, err) }
	}
	return r.Scan(ctx, o)
}

// Index yields the row ids and digests of a table in order, without reading
// its rows.
func (sn *Snapshot) Index(ctx context.Context, table string) iter.Seq2[parts.Entry, error] {
	r, err := sn.Reader(table)
	if err != nil {
		return func(yield func(parts.Entry, error) bool) { yield(parts.Entry{}, err) }
	}
	return r.Index(ctx)
}

// IsCorrupt reports whether an error says that the store is damaged.
func IsCorrupt(err error) bool {
	if _, ok := errors.AsType[*CorruptError](err); ok {
		return true
	}
	_, ok := errors.AsType[*parts.Corruption](err)
	return ok
}
