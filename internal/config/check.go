package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Checker looks at what internal/config does not understand itself.
type Checker struct {
	// Store checks what the store's own package knows, reaching nothing; nil:
	// not checked.
	Store func(c *Config) error
	// Mapping compiles a migration's mapping; nil: not checked. An error that
	// knows its own place is shown as it is.
	Mapping func(c *Config, name string, m Migration) error
	// Adopt checks the rules of adoption; nil: not checked. An error with a method
	// AdoptRule says which rule it is about.
	Adopt func(m Migration) error
	// Aliases reads a migration's aliases with what its decisions add; nil: not
	// checked.
	Aliases func(m Migration) error
	// Waves compiles a migration's waves; nil: not checked.
	Waves func(c *Config, name string, m Migration) error
	// Source checks what a source's own package knows; nil: not checked.
	Source func(s Source) error
	// Ownership checks who owns what; nil: not checked. An error with a method
	// OwnedField says which field it is about.
	Ownership func(Ownership) error
	// Identity checks the resolved identity; nil: not checked.
	Identity func(SecretValue) error
}

// Check looks at everything that the configuration names: files exist,
// variables are set, mappings compile. It changes nothing and reaches no
// target.
func (c *Config) Check(k Checker) Problems {
	var ps Problems
	ps = append(ps, c.checkStore(k)...)
	ps = append(ps, c.checkKeys(k)...)
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		ps = append(ps, c.checkSource(k, name)...)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Targets)) {
		ps = append(ps, c.checkTarget(name)...)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Migrations)) {
		ps = append(ps, c.checkMigration(k, name)...)
	}
	return ps.sorted()
}

func (c *Config) checkKeys(k Checker) Problems {
	p := path{"keys", "identity"}
	if c.Keys.Identity.IsZero() {
		return nil
	}
	v, err := c.Keys.Identity.Value()
	if err != nil {
		ps := c.wrong(p, err)
		if errors.Is(err, fs.ErrNotExist) {
			ps[0].Next = "make one with `parallelrun key init`"
		}
		return ps
	}
	if k.Identity == nil {
		return nil
	}
	if err := k.Identity(v); err != nil {
		return c.wrong(p, err)
	}
	return nil
}

func (c *Config) checkSource(k Checker, name string) (ps Problems) {
	s := c.Sources[name]
	if s.LDIF != nil {
		ps = c.checkFiles(path{"sources", name, "files"}, s.LDIF.Files)
	}
	if r := s.records(); r != nil {
		for i, t := range r.Tables {
			ps = append(ps, c.checkFiles(path{"sources", name, "tables", strconv.Itoa(i), "files"}, t.Files)...)
		}
	}
	if k.Source == nil {
		return ps
	}
	if err := k.Source(s); err != nil {
		ps = append(ps, c.wrong(path{"sources", name}, err)...)
	}
	return ps
}

func (c *Config) checkFiles(p path, patterns []string) (ps Problems) {
	for i, pattern := range patterns {
		if err := readable(pattern); err != nil {
			ps = append(ps, c.wrong(p.child(strconv.Itoa(i)), err)...)
		}
	}
	return ps
}

// hinted adds a next step to an error.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }
func (h hinted) Hint() string  { return h.hint }

// readable checks that a pattern leads to at least one file that is not empty.
func readable(pattern string) error {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return hinted{fmt.Errorf("%s: not a valid pattern", ShortPath(pattern)), "use * and ? and [a-z]"}
	}
	if _, err := os.Lstat(pattern); err == nil {
		files = []string{pattern} // a name with brackets in it
	}
	if len(files) == 0 {
		return hinted{fmt.Errorf("%s: no such file", ShortPath(pattern)), "export the directory to that file, or correct the path"}
	}
	for _, f := range files {
		if err := regular(f); err != nil {
			return err
		}
	}
	return nil
}

func regular(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return plain(err, file)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return plain(err, file)
	case info.IsDir():
		return hinted{fmt.Errorf("%s: is a folder", ShortPath(file)), "name the files in it, for example with a pattern"}
	case info.Mode().IsRegular() && info.Size() == 0:
		return hinted{fmt.Errorf("%s: is empty", ShortPath(file)), "an empty source is taken for a broken export; export it again"}
	}
	return nil
}

func plain(err error, file string) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return fmt.Errorf("%s: %w", ShortPath(file), err)
}

func (c *Config) checkTarget(name string) (ps Problems) {
	t, p := c.Targets[name], path{"targets", name}
	if t.CAFile != "" {
		if err := regular(t.CAFile); err != nil {
			ps = append(ps, c.wrong(p.child("caFile"), err)...)
		}
	}
	for _, client := range []struct {
		key    string
		secret Secret
	}{{"auth", t.Auth.ClientSecret}, {"proof", t.Proof.ClientSecret}} {
		if client.secret.IsZero() {
			continue
		}
		if _, err := client.secret.Value(); err != nil {
			ps = append(ps, c.wrong(p.child(client.key).child("clientSecret"), err)...)
		}
	}
	return ps
}

func (c *Config) checkMigration(k Checker, name string) (ps Problems) {
	m, p := c.Migrations[name], path{"migrations", name}
	ps = c.checkOwnership(k, name)
	if m.Decisions != "" {
		if _, err := LoadDecisions(m.Decisions); err != nil {
			ps = append(ps, c.wrong(p.child("decisions"), err)...)
		}
	}
	if k.Adopt != nil {
		if err := k.Adopt(m); err != nil {
			at := p.child("adopt")
			if e, ok := errors.AsType[interface {
				error
				AdoptRule() int
			}](err); ok {
				at = at.child(strconv.Itoa(e.AdoptRule()))
			}
			ps = append(ps, c.wrong(at, err)...)
		}
	}
	if k.Aliases != nil {
		if err := k.Aliases(m); err != nil {
			ps = append(ps, c.wrong(p.child("aliases"), err)...)
		}
	}
	ps = append(ps, c.checkWaves(k, name, m)...)
	if err := regular(m.Mapping); err != nil {
		return append(ps, c.wrong(p.child("mapping"), err)...)
	}
	if k.Mapping == nil {
		return ps
	}
	if err := k.Mapping(c, name, m); err != nil {
		ps = append(ps, c.wrong(p.child("mapping"), err)...)
	}
	return ps
}

func (c *Config) checkWaves(k Checker, name string, m Migration) (ps Problems) {
	for i, w := range m.Waves {
		if w.KeysFile == "" {
			continue
		}
		if err := regular(w.KeysFile); err != nil {
			ps = append(ps, c.wrong(wavePath(name, i).child("keysFile"), err)...)
		}
	}
	if k.Waves == nil || len(m.Waves) == 0 {
		return ps
	}
	if err := k.Waves(c, name, m); err != nil {
		ps = append(ps, c.wrong(path{"migrations", name, "waves"}, err)...)
	}
	return ps
}

// wrong turns an error into problems. Errors that are problems of another file
// keep their own place.
func (c *Config) wrong(p path, err error) Problems {
	if ps, ok := errors.AsType[Problems](err); ok {
		return ps
	}
	problem := c.doc.problem(c.doc.locate(p), p, err.Error(), "")
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		problem.Next = h.Hint()
		problem.What = strings.TrimSuffix(problem.What, " ("+problem.Next+")")
	}
	return Problems{problem}
}
