// Package files finds and opens the files that sources read, and says what is
// wrong with them.
//
// Nouns: a Kind is what the files are, in words for messages; a File is one of
// them while it is read, which notices when somebody else writes to it
// meanwhile.
//
// Start with Find and Open; OpenText unpacks and decodes as well.
package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/extract"
)

// Kind is what files are, for messages: its Name ("LDIF"), the Suffix of its
// files, and what one holds (Rows: "entries").
type Kind struct{ Name, Suffix, Rows string }

// Find expands globs and makes sure that every file is one that is not empty.
// The order is that of the patterns, and of the names that one of them matches.
// A file named twice is listed once. Errors are *extract.Error.
func Find(patterns []string, k Kind) ([]string, error) {
	if len(patterns) == 0 {
		return nil, &extract.Error{File: "files", Problem: "no files configured", Next: "name at least one " + k.Name + " file", Err: extract.ErrEmpty}
	}
	var files []string
	for _, p := range patterns {
		found, err := expand(p, k)
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

func expand(pattern string, k Kind) ([]string, error) {
	info, err := os.Stat(pattern)
	switch {
	case err == nil:
		return []string{pattern}, check(pattern, info, k)
	case !strings.ContainsAny(pattern, "*?["):
		return nil, Error(pattern, err)
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
			return nil, Error(f, err)
		}
		if err := check(f, info, k); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func check(name string, info fs.FileInfo, k Kind) error {
	switch {
	case info.IsDir():
		return &extract.Error{File: name, Problem: "is a directory", Next: "name its files: " + filepath.Join(name, "*"+k.Suffix)}
	case !info.Mode().IsRegular():
		return &extract.Error{File: name, Problem: "is not a regular file", Next: "write the export to a file first: a run may read it again"}
	case info.Size() == 0:
		return EmptyError(name, k)
	}
	return nil
}

// EmptyError says that a file holds nothing, which is never taken for a legacy
// system without users. It wraps extract.ErrEmpty.
func EmptyError(name string, k Kind) error {
	return &extract.Error{File: name, Problem: "has no " + k.Rows, Next: "export it again, or take it out of the configuration", Err: extract.ErrEmpty}
}

// Error puts an error of the file system into words.
func Error(name string, err error) error {
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

// File is a file that is being read.
type File struct {
	*os.File
	before fs.FileInfo
}

// Open opens a regular file that is not empty. Errors are *extract.Error.
func Open(name string, k Kind) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, Error(name, err)
	}
	info, err := f.Stat()
	if err != nil {
		err = Error(name, err)
	} else {
		err = check(name, info, k)
	}
	if err != nil {
		_ = f.Close() // nothing was read
		return nil, err
	}
	return &File{f, info}, nil
}

// Unchanged is asked when all has been read: an error, which wraps
// extract.ErrChanged, says that somebody wrote to the file meanwhile.
func (f *File) Unchanged() error {
	after, err := f.Stat()
	if err != nil {
		return Error(f.Name(), err)
	}
	if after.Size() != f.before.Size() || !after.ModTime().Equal(f.before.ModTime()) {
		return &extract.Error{File: f.Name(), Problem: extract.ErrChanged.Error(), Next: "wait until the export is complete", Err: extract.ErrChanged}
	}
	return nil
}
