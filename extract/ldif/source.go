package ldif

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/extract/files"
)

// Source reads LDIF files. Several Reads may run at the same time.
type Source struct {
	config  Config
	options Options
	files   []string
	tables  []*table

	mu       sync.Mutex
	stats    extract.Stats
	warnings []string
}

var _ extract.Reporter = (*Source)(nil)

// Open checks the configuration and finds the files; it reads none of them.
func Open(c Config, o Options) (*Source, error) {
	if o.Namespace == "" {
		return nil, errors.New("ldif: no namespace: the source's namespace is part of every row id")
	}
	tables, err := compile(&c)
	if err != nil {
		return nil, fmt.Errorf("ldif: %w", err)
	}
	found, err := files.Find(c.Files, kind)
	if err != nil {
		return nil, err
	}
	s := &Source{config: c, options: o, files: found, tables: tables}
	s.warnings = s.keyWarnings()
	return s, nil
}

// Tables declares the configured tables, then the catch-all.
func (s *Source) Tables() []extract.TableSpec { return specs(s.tables) }

// Read yields all rows in the order of the files. Its errors are
// *extract.Error where a place is to blame.
func (s *Source) Read(ctx context.Context, limits extract.Limits, yield func(extract.Batch) error) error {
	r := newRun(s, limits, yield)
	defer r.release()
	for i := range s.files {
		if err := r.file(ctx, i); err != nil {
			return err
		}
	}
	if err := r.flush(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats = r.stats
	s.warnings = append(s.keyWarnings(), r.warnings()...)
	return nil
}

// kind is what the files are, in words for messages.
var kind = files.Kind{Name: "LDIF", Suffix: ".ldif", Rows: "entries"}

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

func (s *Source) keyWarnings() []string {
	var w []string
	for _, t := range s.tables {
		if t.spec.KeyMutable && t.spec.Table.Name != CatchAll {
			w = append(w, fmt.Sprintf("table %s: key %s can change or come back as somebody else: prefer an immutable one such as entryUUID", t.spec.Table.Name, t.spec.Key))
		}
	}
	return w
}

// file reads one file.
func (r *run) file(ctx context.Context, i int) error {
	name := r.s.files[i]
	f, err := files.Open(name, kind)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := r.entries(ctx, i, f); err != nil {
		return err
	}
	return f.Unchanged()
}

// entries reads all entries of an open file.
func (r *run) entries(ctx context.Context, i int, f io.Reader) error {
	name := r.s.files[i]
	in := NewReader(f, name, ReaderOptions{MaxLineBytes: r.s.config.MaxLineBytes, MaxEntryBytes: r.s.config.MaxEntryBytes})
	count, last := int64(0), 0
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		e, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := r.entry(i, e); err != nil {
			return err
		}
		count, last = count+1, e.Line
	}
	if count == 0 {
		return files.EmptyError(name, kind)
	}
	if in.OpenEnd() {
		r.openEnds = append(r.openEnds, fmt.Sprintf("%s:%d: no blank line after the last entry: make sure that the file was not cut", name, last))
	}
	r.stats.Files++
	r.stats.Entries += count
	r.stats.Bytes += in.Bytes()
	return nil
}
