package records

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/extract/files"
)

// Source reads files of records. Several Reads may run at the same time.
type Source struct {
	config  Config
	options Options
	format  Format
	tables  []*table
	files   []string
	labels  []string // of files, short and unique

	mu       sync.Mutex
	stats    extract.Stats
	warnings []string
}

var (
	_ extract.Reporter = (*Source)(nil)
	_ extract.Lookup   = (*Source)(nil)
)

// Open checks the configuration and finds the files; it reads none of them.
func Open(c Config, f Format, o Options) (*Source, error) {
	if o.Namespace == "" {
		return nil, errors.New("no namespace: the source's namespace is part of every row id")
	}
	tables, err := compile(&c)
	if err != nil {
		return nil, err
	}
	if c.MaxRow <= 0 {
		c.MaxRow = DefaultMaxRow
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	s := &Source{config: c, options: o, format: f, tables: tables}
	for _, t := range tables {
		found, err := files.Find(t.config.Files, f.Kind())
		if err != nil {
			return nil, err
		}
		t.files = nil
		for _, name := range found {
			if slices.Contains(s.files, name) {
				return nil, &extract.Error{File: name, Problem: "is a file of two tables", Next: "give each table files of its own"}
			}
			t.files = append(t.files, len(s.files))
			s.files = append(s.files, name)
		}
	}
	s.labels = labels(s.files)
	s.warnings = s.keyWarnings()
	return s, nil
}

// labels are the files' names with as much of their paths as tells them apart.
func labels(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = filepath.Base(p)
		for depth := 1; ; depth++ {
			same := slices.ContainsFunc(paths, func(q string) bool { return q != p && tail(q, depth) == tail(p, depth) })
			out[i] = tail(p, depth)
			if !same || out[i] == filepath.ToSlash(p) {
				break
			}
		}
	}
	return out
}

func tail(path string, depth int) string {
	rest, out := path, filepath.Base(path)
	for range depth - 1 {
		rest = filepath.Dir(rest)
		if rest == filepath.Dir(rest) {
			return filepath.ToSlash(path)
		}
		out = filepath.Base(rest) + "/" + out
	}
	return out
}

// Tables declares the configured tables.
func (s *Source) Tables() []extract.TableSpec { return specs(s.tables) }

// Describe names the file and line of an origin.
func (s *Source) Describe(origin int64) string { return files.Describe(origin, s.files) }

// Stats counts the last Read that came to its end.
func (s *Source) Stats() extract.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Warnings says what deserves a look.
func (s *Source) Warnings() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.warnings)
}

// Close does nothing: files are open only while they are read.
func (s *Source) Close() error { return nil }

// Read yields all rows in the order of the tables and files. Its errors are
// *extract.Error where a place is to blame.
func (s *Source) Read(ctx context.Context, limits extract.Limits, yield func(extract.Batch) error) error {
	r := newRun(s, limits, yield)
	if err := r.read(ctx, s.tables); err != nil {
		return err
	}
	if err := r.compareFiles(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats, s.warnings = r.stats(), append(s.keyWarnings(), r.warnings()...)
	return nil
}

// Get reads the table's files once more, whatever the number of keys, and
// yields the rows that have one of them. Rows without a readable key may be
// anyone's: where there are any and a key was not found, the error is an
// *extract.UnsureError.
func (s *Source) Get(ctx context.Context, name string, keys []string, yield func(extract.Batch) error) error {
	i := slices.IndexFunc(s.tables, func(t *table) bool { return t.spec.Table.Name == name })
	if i < 0 {
		return fmt.Errorf("no table %q", name)
	}
	r := newRun(s, extract.Limits{}, yield)
	r.only = make(map[string]bool, len(keys))
	for _, k := range keys {
		r.only[k] = true
	}
	if err := r.read(ctx, s.tables[i:i+1]); err != nil {
		return err
	}
	c := r.counts[s.tables[i]]
	if c.keyless > 0 && c.Rows < int64(len(r.only)) {
		return &extract.UnsureError{Table: name, Rows: c.keyless, First: c.places["keyless"]}
	}
	return nil
}

// run is the state of one Read.
type run struct {
	s      *Source
	limits extract.Limits
	yield  func(extract.Batch) error
	only   map[string]bool // nil: every row
	counts map[*table]*counts
	shapes map[*table]*shapes
	named  map[int]map[string]int64 // fields by file, of formats whose records name them
	lacked map[*column]int          // files that do not have it
	files  int
	bytes  int64
	ends   []string // warnings about how files end
}

func newRun(s *Source, limits extract.Limits, yield func(extract.Batch) error) *run {
	r := &run{s: s, limits: limits.WithDefaults(), yield: yield, counts: map[*table]*counts{}, shapes: map[*table]*shapes{}, named: map[int]map[string]int64{}, lacked: map[*column]int{}}
	for _, t := range s.tables {
		r.counts[t], r.shapes[t] = newCounts(), &shapes{}
	}
	return r
}

// job is a chunk on its way through a worker.
type job struct {
	file   *openFile
	text   []byte
	pieces []piece

	done    chan struct{}
	batches []extract.Batch
	counts  *counts
	err     error
}

// openFile is a file of a table whose fields are known.
type openFile struct {
	table *table
	index int
	slots []*slot   // by position; nil: records name their fields
	lacks []*column // declared ones that the file does not have
	strict
}

// strict is how the text of a file came to be.
type strict struct{ decoded bool }

// read cuts the files in order, hands the chunks to workers, and yields what
// they make of them in the order of the files.
func (r *run) read(ctx context.Context, tables []*table) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, gctx := errgroup.WithContext(ctx)
	jobs, order := make(chan *job), make(chan *job, r.s.options.Workers)
	g.Go(func() error {
		defer close(jobs)
		defer close(order)
		for _, t := range tables {
			for _, i := range t.files {
				if err := r.file(gctx, t, i, func(j *job) error { return send(gctx, j, order, jobs) }); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for range r.s.options.Workers {
		g.Go(func() error {
			r.work(jobs)
			return nil
		})
	}
	err := r.collect(order)
	cancel() // where nobody collects, nobody needs to go on
	for j := range order {
		<-j.done // handed to a worker, or never will be
		j.release(0)
	}
	if werr := g.Wait(); err == nil {
		err = werr
	}
	return err
}

func send(ctx context.Context, j *job, order, jobs chan<- *job) error {
	select {
	case order <- j:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case jobs <- j:
		return nil
	case <-ctx.Done():
		j.err = ctx.Err()
		close(j.done)
		return ctx.Err()
	}
}

func (r *run) collect(order <-chan *job) error {
	for j := range order {
		<-j.done
		if j.err != nil {
			j.release(0)
			return j.err
		}
		r.counts[j.file.table].add(j.counts)
		if len(j.counts.fields) > 0 {
			r.addNamed(j.file.index, j.counts.fields)
		}
		for i, b := range j.batches {
			err := r.yield(b)
			b.Record.Release()
			if err != nil {
				j.release(i + 1)
				return err
			}
		}
	}
	return nil
}

// release lets batches go from one on.
func (j *job) release(from int) {
	for _, b := range j.batches[min(from, len(j.batches)):] {
		b.Record.Release()
	}
}

// everything is more records than a chunk has.
const everything = math.MaxInt

// file cuts one file.
func (r *run) file(ctx context.Context, t *table, i int, emit func(*job) error) error {
	name := r.s.files[i]
	in, err := files.OpenText(name, r.s.format.Kind(), r.s.config.Encoding)
	if err != nil {
		return err
	}
	defer in.Close()
	c := newCutter(in, r.s.format, r.s.config.MaxRow)
	f := &openFile{table: t, index: i, strict: strict{in.Decoded}}
	if err := r.header(f, c); err != nil {
		return err
	}
	rows := 0
	for {
		text, pieces, err := c.next(everything)
		if err != nil {
			return err
		}
		if len(pieces) == 0 {
			break
		}
		rows += len(pieces)
		if err := emit(&job{file: f, text: text, pieces: pieces, done: make(chan struct{})}); err != nil {
			return err
		}
	}
	if rows == 0 {
		return files.EmptyError(name, r.s.format.Kind())
	}
	if c.last != '\n' && !in.Packed() {
		r.ends = append(r.ends, fmt.Sprintf("%s:%d: no end of line after the last row: make sure that the file was not cut", name, c.line-1))
	}
	r.files, r.bytes = r.files+1, r.bytes+c.read
	return in.Unchanged()
}
