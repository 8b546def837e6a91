package snapshots

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// ManifestAction says that a snapshot is held by another manifest from now on:
// the same rows under the same digest, in other layers or parts. What the log
// says of the snapshot otherwise stays as it is.
type ManifestAction struct {
	Digest   Digest `json:"digest"`
	Manifest Digest `json:"manifest"`
	// Old is the manifest that held it before; another one then, and the action
	// is refused.
	Old Digest `json:"old"`
}

const kindManifest = "manifest"

func (ManifestAction) kind() string { return kindManifest }
func (ManifestAction) version() int { return 1 }

// ErrManifestMoved: another manifest holds the snapshot meanwhile. Look at it
// again.
var ErrManifestMoved = errors.New("the snapshot is held by another manifest meanwhile")

func (a ManifestAction) check(st *State) error {
	now, ok := st.Snapshots[a.Digest]
	switch {
	case !ok:
		return st.unknown(a.Digest.String())
	case a.Manifest.IsZero():
		return fmt.Errorf("snapshot %s: manifest action without manifest", a.Digest.Short())
	case now.Manifest != a.Old:
		return fmt.Errorf("snapshot %s: %w", a.Digest.Short(), ErrManifestMoved)
	}
	return nil
}

func (a ManifestAction) apply(st *State, e *Entry) { st.hold(a.Digest, a.Manifest, "rewritten", e) }

// Layered lists the tables that are stored as changes upon others.
func (sn *Snapshot) Layered() []parts.Table {
	var out []parts.Table
	for _, t := range sn.tables {
		if t.Layered() {
			out = append(out, t)
		}
	}
	return out
}

// Compacted is what Compact did.
type Compacted struct {
	Manifest Digest // that holds the snapshot now
	Entry    uint64 // log entry; zero: there was nothing to do
	Put      PutStats
	Spilled  int64
}

// Compact writes the layered tables of a snapshot whole and makes the log map
// the snapshot, whose digest stays the same, to a manifest of them. Tables that
// are whole stay as they are. The parts of before stay too, for others may need
// them. Parent of the options is not looked at.
func (s *Store) Compact(ctx context.Context, sn *Snapshot, o WriterOptions) (Compacted, error) {
	out := Compacted{Manifest: sn.manifest}
	if len(sn.Layered()) == 0 {
		return out, nil
	}
	if o.Memory <= 0 {
		o.Memory = defaultMemory
	}
	var count putCounts
	tables := append([]parts.Table(nil), sn.tables...)
	for i, t := range tables {
		if !t.Layered() {
			continue
		}
		whole, spilled, err := s.compactTable(ctx, sn.readers[i], o, &count)
		if err != nil {
			return out, fmt.Errorf("compact table %s: %w", t.Name, err)
		}
		tables[i], out.Spilled = whole, out.Spilled+spilled
	}
	digest, manifest, err := s.putManifest(ctx, tables)
	if err != nil {
		return out, err
	}
	out.Put = count.stats()
	old := out.Manifest
	out.Manifest = manifest
	out.Entry, err = s.Commit(ctx, Change{
		Reason:  "compact snapshot " + digest.Short(),
		Actions: []Action{ManifestAction{Digest: digest, Manifest: manifest, Old: old}},
	})
	return out, err
}

// compactTable writes a table whole; what it reads has to have the digest that
// the manifest says.
func (s *Store) compactTable(ctx context.Context, r *parts.Reader, o WriterOptions, count *putCounts) (t parts.Table, spilled int64, err error) {
	from := r.Table()
	w := parts.NewTableWriter(from.Schema(), parts.Options{
		Memory: o.Memory, Workers: o.Workers, Bounds: o.Bounds, TempDir: o.TempDir,
		Put: func(ctx context.Context, body io.ReadSeeker) (parts.Object, error) {
			return s.putObject(ctx, body, count)
		},
	})
	defer func() { err = errors.Join(err, w.Close()) }()
	for row, err := range r.Scan(ctx, parts.ScanOptions{KeepLarge: true}) {
		if err != nil {
			return t, 0, err
		}
		if err := w.WriteRow(ctx, row, 0); err != nil {
			return t, 0, err
		}
	}
	if t, err = w.Finish(ctx); err != nil {
		return t, 0, err
	}
	if t.Digest != from.Digest || t.Rows != from.Rows {
		return t, 0, &CorruptError{Object: "table " + from.Name, What: "its rows do not have the digest that its manifest says", Advice: objectAdvice}
	}
	return t, w.Spilled(), nil
}
