package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxFile bounds what Load reads: a larger file is something else.
const maxFile = 4 << 20

// ErrNoConfig means that there is no such file: give --config, or make one
// with `parallelrun init`.
var ErrNoConfig = errors.New("no configuration")

// Load reads a configuration. What is wrong with the file comes as Problems.
// It looks at no other file and resolves no secret.
func Load(file string) (*Config, error) {
	data, err := read(file)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	c, problems := parse(file, dir, data)
	if len(problems) > 0 {
		return nil, problems
	}
	return c, nil
}

// noConfigError carries its hint.
type noConfigError struct {
	file  string
	cause error
}

func (e *noConfigError) Error() string { return fmt.Sprintf("%s: %v", e.file, e.cause) }

func (e *noConfigError) Unwrap() []error { return []error{ErrNoConfig, e.cause} }

// Hint says how to come to a configuration.
func (e *noConfigError) Hint() string {
	return "name another with --config, or write a starting set with `parallelrun init`"
}

func read(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		return nil, &noConfigError{file, err}
	}
	defer f.Close()
	var buf bytes.Buffer
	n, err := buf.ReadFrom(&limited{f, maxFile + 1})
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		return nil, &noConfigError{file, err}
	}
	if n > maxFile {
		return nil, Problems{{File: file, What: fmt.Sprintf("larger than %s", Size(maxFile)), Next: "is this the right file?"}}
	}
	return buf.Bytes(), nil
}

// limited reads at most n bytes.
type limited struct {
	f *os.File
	n int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.n <= 0 {
		return 0, io.EOF
	}
	n, err := l.f.Read(p[:min(int64(len(p)), l.n)])
	l.n -= int64(n)
	return n, err
}

// parse is Load without a file system.
func parse(file, dir string, data []byte) (*Config, Problems) {
	doc, problem := parseDocument(file, data)
	if problem != nil {
		return nil, Problems{problem}
	}
	if p := versionProblem(doc); p != nil {
		return nil, Problems{p}
	}
	if ps := loadSchema().validate(doc); len(ps) > 0 {
		return nil, ps
	}
	c := &Config{Path: file, Dir: dir, Raw: data, doc: doc}
	if ps := c.decode(); len(ps) > 0 {
		return nil, ps
	}
	if ps := c.rules(); len(ps) > 0 {
		return nil, ps.sorted()
	}
	return c, nil
}

// versionProblem comes before the schema: a file of another version would only
// yield noise.
func versionProblem(d *document) *Problem {
	root, ok := d.value.(map[string]any)
	if !ok {
		return d.problem(d.locate(nil), nil, "the file is not a map of keys to values", "`parallelrun init` writes one to start from")
	}
	v, ok := root["version"]
	if !ok || fmt.Sprint(v) == fmt.Sprint(Version) {
		return nil
	}
	p := path{"version"}
	return d.problem(d.locate(p), p, fmt.Sprintf("version %s is not known to this program", shown(v)), fmt.Sprintf("write version: %d, or use the program's release that wrote the file", Version))
}

// decode fills the configuration from the document, which fits the schema.
func (c *Config) decode() Problems {
	if p := decodeInto(c.doc, nil, c); p != nil {
		return Problems{p}
	}
	for name, s := range c.Sources {
		if p := c.decodeSource(name, &s); p != nil {
			return Problems{p}
		}
		c.Sources[name] = s
	}
	return c.resolvePaths()
}

// decodeSource fills what belongs to the kind of a source.
func (c *Config) decodeSource(name string, s *Source) *Problem {
	var into any
	switch s.Kind {
	case "ldif":
		s.LDIF = &LDIF{}
		into = s.LDIF
	case "csv":
		s.CSV = &CSV{}
		into = s.CSV
	case "jsonl":
		s.JSONL = &JSONL{}
		into = s.JSONL
	}
	if p := decodeInto(c.doc, path{"sources", name}, into); p != nil {
		return p
	}
	if s.LDIF != nil {
		c.resolveAll(s.LDIF.Files)
	}
	if r := s.records(); r != nil {
		for i := range r.Tables {
			c.resolveAll(r.Tables[i].Files)
		}
	}
	return nil
}

func (c *Config) resolveAll(files []string) {
	for i, f := range files {
		files[i] = c.resolve(f)
	}
}

func decodeInto(d *document, p path, out any) *Problem {
	data, err := json.Marshal(lookup(d.value, p))
	if err == nil {
		err = json.Unmarshal(data, out)
	}
	if err == nil {
		return nil
	}
	// The schema lets through what Go can't hold only in numbers (10^30).
	return d.problem(d.locate(p), p, "a value does not fit: "+err.Error(), "check the numbers there")
}

func (c *Config) resolvePaths() Problems {
	var ps Problems
	ps = append(ps, c.resolveStore()...)
	c.Keys.Identity = c.secret(c.Keys.Identity)
	for name, t := range c.Targets {
		t.URL = strings.TrimRight(t.URL, "/")
		t.CAFile = c.resolve(t.CAFile)
		if t.Sandbox != nil {
			t.Sandbox.State = c.resolve(t.Sandbox.State)
		}
		t.Auth.ClientSecret = c.secret(t.Auth.ClientSecret)
		t.Proof.ClientSecret = c.secret(t.Proof.ClientSecret)
		c.Targets[name] = t
	}
	for name, m := range c.Migrations {
		m.Mapping = c.resolve(m.Mapping)
		m.Decisions = c.resolve(m.Decisions)
		m.Aliases = c.resolve(m.Aliases)
		for i := range m.Waves {
			m.Waves[i].KeysFile = c.resolve(m.Waves[i].KeysFile)
		}
		c.Migrations[name] = m
	}
	return ps
}

func (c *Config) secret(s Secret) Secret {
	s.path = c.resolve(s.path)
	return s
}
