package ldif

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/parallelrun/parallelrun/extract"
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
	files, err := findFiles(c.Files)
	if err != nil {
		return nil, err
	}
	s := &Source{config: c, options: o, files: files, tables: tables}
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

// lineBits is how many bits of an origin hold the line.
const lineBits = 40

func origin(file, line int) int64 { return int64(file)<<lineBits | int64(line) }

// Describe names the file and line of an origin.
func (s *Source) Describe(origin int64) string {
	file := origin >> lineBits
	if file < 0 || file >= int64(len(s.files)) {
		return fmt.Sprintf("origin %d", origin)
	}
	return fmt.Sprintf("%s:%d", s.files[file], origin&(1<<lineBits-1))
}

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

// findFiles expands globs and makes sure that every file is one. A file named
// twice is read once.
func findFiles(patterns []string) ([]string, error) {
	if len(patterns) == 0 {
		return nil, &extract.Error{File: "files", Problem: "no files configured", Next: "name at least one LDIF file", Err: extract.ErrEmpty}
	}
	var files []string
	for _, p := range patterns {
		found, err := expand(p)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if f = filepath.Clean(f); !slices.Contains(files, f) {
				files = append(files, f)
			}
		}
	}
	return files, nil
}

func expand(pattern string) ([]string, error) {
	info, err := os.Stat(pattern)
	switch {
	case err == nil:
		return []string{pattern}, checkFile(pattern, info)
	case !strings.ContainsAny(pattern, "*?["):
		return nil, fileError(pattern, err)
	}
	found, err := filepath.Glob(pattern)
	if err != nil {
		return nil, &extract.Error{File: pattern, Problem: "not a file pattern", Next: "write a backslash before a bracket that is part of the name", Err: err}
	}
	if len(found) == 0 {
		return nil, &extract.Error{File: pattern, Problem: "no file matches", Next: "check the folder and the pattern", Err: fs.ErrNotExist}
	}
	slices.Sort(found)
	for _, f := range found {
		info, err := os.Stat(f)
		if err != nil {
			return nil, fileError(f, err)
		}
		if err := checkFile(f, info); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func checkFile(name string, info fs.FileInfo) error {
	switch {
	case info.IsDir():
		return &extract.Error{File: name, Problem: "is a directory", Next: "name its files: " + filepath.Join(name, "*.ldif")}
	case !info.Mode().IsRegular():
		return &extract.Error{File: name, Problem: "is not a regular file", Next: "write the export to a file first: a run may read it again"}
	case info.Size() == 0:
		return emptyError(name)
	}
	return nil
}

func emptyError(name string) *extract.Error {
	return &extract.Error{File: name, Problem: "has no entries", Next: "export it again, or take it out of the configuration", Err: extract.ErrEmpty}
}

func fileError(name string, err error) *extract.Error {
	e := &extract.Error{File: name, Problem: "can't be read: " + cause(err), Next: "check the path and its rights", Err: err}
	if errors.Is(err, fs.ErrNotExist) {
		e.Problem, e.Next = "does not exist", "check the path in the configuration"
	}
	return e
}

// cause is the system's own words, without the path that the message has
// already.
func cause(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

// file reads one file.
func (r *run) file(ctx context.Context, i int) error {
	name := r.s.files[i]
	f, err := os.Open(name)
	if err != nil {
		return fileError(name, err)
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return fileError(name, err)
	}
	if err := checkFile(name, before); err != nil {
		return err
	}
	if err := r.entries(ctx, i, f); err != nil {
		return err
	}
	after, err := f.Stat()
	if err != nil {
		return fileError(name, err)
	}
	if after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return &extract.Error{File: name, Problem: extract.ErrChanged.Error(), Next: "wait until the export is complete", Err: extract.ErrChanged}
	}
	return nil
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
		return emptyError(name)
	}
	if in.OpenEnd() {
		r.openEnds = append(r.openEnds, fmt.Sprintf("%s:%d: no blank line after the last entry: make sure that the file was not cut", name, last))
	}
	r.stats.Files++
	r.stats.Entries += count
	r.stats.Bytes += in.Bytes()
	return nil
}
