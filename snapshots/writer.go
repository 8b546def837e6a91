package snapshots

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow/go/v17/arrow"
	"golang.org/x/sync/errgroup"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// WriterOptions bound a Writer.
type WriterOptions struct {
	// Memory is shared by all tables; zero means 256 MiB.
	Memory int64
	// Workers is how many parts are made at once; zero means one.
	Workers int
	// Bounds of parts; they change no digest. Zero means the defaults.
	Bounds parts.Bounds
	// TempDir is where sorting spills, sealed; empty means os.TempDir.
	TempDir string
	// Parent is a snapshot whose rows are expected to come again for the most
	// part, such as the last one of the same stage; nil means none. Tables of the
	// same name and columns are written as what changed, where that is much
	// smaller. It changes no digest. The parent has to be one that the log knows,
	// so that its objects stay.
	Parent *Snapshot
}

const (
	defaultMemory = 256 << 20
	leastMemory   = 8 << 20 // of one table
	looksAtOnce   = 16      // objects of a parent that may lie far away
)

// Writer makes one snapshot. Write and WriteRow may be called from several
// goroutines, in any order of rows; Finish once, when all have returned; Close
// in any case.
type Writer struct {
	s     *Store
	o     WriterOptions
	count putCounts

	mu     sync.Mutex
	tables map[string]*tableWriter
	begun  bool  // the log was read
	err    error // of the set of tables, told by the first call
}

// tableWriter makes its parts.TableWriter when the first row comes: an idle
// table holds nothing.
type tableWriter struct {
	shape schemas.Table
	w     *parts.TableWriter
}

// Draft is a snapshot whose objects and manifest are stored and that nothing
// refers to yet: committing Action makes it known.
type Draft struct {
	Digest   Digest
	Manifest Digest
	Tables   []parts.Table // by name
	Put      PutStats
	// Spilled is how many bytes sorting wrote to temporary files.
	Spilled int64
}

// Action is what commits the draft.
func (d Draft) Action(dataset, stage string, parents ...Digest) SnapshotAction {
	return SnapshotAction{Digest: d.Digest, Manifest: d.Manifest, Dataset: dataset, Stage: stage, Parents: parents}
}

// Rows is how many rows the named table has.
func (d Draft) Rows(table string) int64 {
	for i := range d.Tables {
		if d.Tables[i].Name == table {
			return d.Tables[i].Rows
		}
	}
	return 0
}

// NewWriter returns a writer of a snapshot with these tables. A table without
// rows is part of the snapshot too.
func (s *Store) NewWriter(tables []schemas.Table, o WriterOptions) *Writer {
	if o.Memory <= 0 {
		o.Memory = defaultMemory
	}
	w := &Writer{s: s, o: o, tables: map[string]*tableWriter{}}
	for _, t := range tables {
		if _, twice := w.tables[t.Name]; twice || t.Name == "" {
			w.err = fmt.Errorf("snapshot: table %q is listed twice or has no name", t.Name)
		}
		w.tables[t.Name] = &tableWriter{shape: t}
	}
	return w
}

// table returns the writer of a table.
func (w *Writer) table(ctx context.Context, name string) (*parts.TableWriter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil, w.err
	}
	t := w.tables[name]
	if t == nil {
		return nil, fmt.Errorf("snapshot: no table %q among those it was begun with", name)
	}
	if err := w.begin(ctx); err != nil {
		return nil, err
	}
	if t.w == nil {
		parent, err := w.parent(ctx, t.shape)
		if err != nil {
			return nil, err
		}
		t.w = parts.NewTableWriter(t.shape, parts.Options{
			Memory:  max(w.o.Memory/int64(len(w.tables)), leastMemory),
			Workers: w.o.Workers,
			Bounds:  w.o.Bounds,
			TempDir: w.o.TempDir,
			Parent:  parent,
			Put: func(ctx context.Context, body io.ReadSeeker) (parts.Object, error) {
				return w.s.putObject(ctx, body, &w.count)
			},
		})
	}
	return t.w, nil
}

// begin reads the log, so that nothing is written under a name that was given
// up before: such a name may be deleted at any moment, one that is given up
// from now on is left for a grace period.
func (w *Writer) begin(ctx context.Context) error {
	if w.begun {
		return nil
	}
	if _, err := w.s.State(ctx); err != nil {
		return err
	}
	w.begun = true
	return nil
}

// parent is the parent's table that a table may be written upon, nil for none.
// One that lacks an object is none: the table is written whole then, so that a
// snapshot that is made anew does not share the damage.
func (w *Writer) parent(ctx context.Context, shape schemas.Table) (*parts.Reader, error) {
	if w.o.Parent == nil {
		return nil, nil
	}
	t, ok := w.o.Parent.Stored(shape.Name)
	if !ok || !parts.SameColumns(t.Columns, shape.Columns) {
		return nil, nil
	}
	var g errgroup.Group
	g.SetLimit(looksAtOnce)
	for _, o := range t.Objects() {
		g.Go(func() error { return w.s.checkSize(ctx, o) })
	}
	if err := g.Wait(); IsCorrupt(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("table %s: look at the parent: %w", shape.Name, err)
	}
	return w.o.Parent.Reader(shape.Name)
}

// Write takes a batch of the table's ArrowSchema. origins say where each row
// stood in its source, for messages; nil if that is not known.
func (w *Writer) Write(ctx context.Context, table string, rec arrow.Record, origins []int64) error {
	t, err := w.table(ctx, table)
	if err != nil {
		return err
	}
	return t.Write(ctx, rec, origins)
}

// WriteRow takes one row.
func (w *Writer) WriteRow(ctx context.Context, table string, row schemas.Row, origin int64) error {
	t, err := w.table(ctx, table)
	if err != nil {
		return err
	}
	return t.WriteRow(ctx, row, origin)
}

// Finish stores the tables and their manifest. Two rows of one id are a
// *parts.DuplicateError. The tables are finished one after the other, so that
// one alone needs memory for it.
func (w *Writer) Finish(ctx context.Context) (Draft, error) {
	var d Draft
	for _, name := range w.names() {
		t, err := w.table(ctx, name)
		if err != nil {
			return d, err
		}
		table, err := t.Finish(ctx)
		if err != nil {
			return d, err
		}
		d.Spilled += t.Spilled()
		d.Tables = append(d.Tables, table)
		if err := t.Close(); err != nil {
			return d, fmt.Errorf("table %s: %w", name, err)
		}
	}
	var err error
	d.Digest, d.Manifest, err = w.s.putManifest(ctx, d.Tables)
	d.Put = w.count.stats()
	return d, err
}

func (w *Writer) names() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := make([]string, 0, len(w.tables))
	for n := range w.tables {
		names = append(names, n)
	}
	slices.SortFunc(names, strings.Compare)
	return names
}

// Close frees memory and temporary files. What was stored stays.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = errors.New("snapshot writer is closed")
	}
	var errs []error
	for _, t := range w.tables {
		if t.w != nil {
			errs = append(errs, t.w.Close())
		}
	}
	return errors.Join(errs...)
}
