package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// bench is all works on one dataset.
type bench struct {
	data   *dataset
	dir    string
	tool   string // the program
	runs   int
	memory string // the tool's limit
	photos int64  // rows
	table  []result
}

// side is one program doing a work. prepare comes before each turn, unmeasured.
type side struct {
	name    string
	prepare func() error
	run     func() (measured, error)
}

// turns lets the sides do a work in turns and returns the medians.
func (b *bench) turns(sides ...side) ([]measured, error) {
	all := make([][]measured, len(sides))
	for range b.runs {
		for i, s := range sides {
			if s.prepare != nil {
				if err := s.prepare(); err != nil {
					return nil, fmt.Errorf("%s: prepare: %w", s.name, err)
				}
			}
			m, err := s.run()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			all[i] = append(all[i], m)
		}
	}
	out := make([]measured, len(sides))
	for i := range all {
		out[i] = median(all[i])
	}
	return out, nil
}

// duckSide runs statements in DuckDB.
func (b *bench) duckSide(statements ...string) side {
	return side{name: "DuckDB", run: func() (measured, error) { return b.self(append([]string{"-duck"}, statements...)...) }}
}

// self runs this program as a side.
func (b *bench) self(args ...string) (measured, error) {
	exe, err := os.Executable()
	if err != nil {
		return measured{}, err
	}
	return measure(threadsEnv, append([]string{exe}, args...)...)
}

// threadsEnv gives Go programs the two threads that everyone has.
var threadsEnv = []string{"GOMAXPROCS=2"}

const threads = "2"

// toolSide runs the tool on a store of the folder.
func (b *bench) toolSide(store string, args ...string) side {
	return b.toolOn("migration.yaml", b.path(store), nil, args...)
}

func (b *bench) toolOn(config, store string, env []string, args ...string) side {
	return side{name: "parallelrun", run: func() (measured, error) {
		head := []string{b.tool, "--config", b.path(config), "--store", store, "--workers", threads, "--memory", b.memory}
		return measure(append(env, threadsEnv...), append(head, args...)...)
	}}
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// file puts a file where the tool's configuration looks for it.
func (b *bench) file(name, file string) error {
	if err := os.RemoveAll(b.path(name)); err != nil {
		return err
	}
	return os.Link(file, b.path(name))
}

// fresh makes way for a store and puts a file in place.
func (b *bench) fresh(store, name, file string) func() error {
	return func() error { return errors.Join(os.RemoveAll(b.path(store)), b.file(name, file)) }
}

// clone makes a store that holds what another one does. Objects of a store never
// change, so that links will do.
func (b *bench) clone(from, to string) error {
	if err := os.RemoveAll(b.path(to)); err != nil {
		return err
	}
	return filepath.WalkDir(b.path(from), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(b.path(from), path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(b.path(to), rel), 0o700)
		}
		return os.Link(path, filepath.Join(b.path(to), rel))
	})
}

const usersTable = `      - {name: users, files: [users.csv], key: id, columns: {username: string, email: string, org_id: int, dept_id: int,
         enabled: bool, created_at: timestamp, attributes: string, verifier: string}}
`

// config makes a configuration of the tool that reads these tables.
func (b *bench) config(name, tables string) error {
	return os.WriteFile(b.path(name), []byte(`version: 1
store: store
sources:
  users:
    kind: csv
    namespace: bench
    tables:
`+tables+`targets: {t: {dialect: keycloak, realm: r, sandbox: {state: sandbox}}}
migrations: {m: {source: users, target: t, mapping: mapping.yaml}}
`), 0o600)
}

// limit is what every work that makes a snapshot has to keep to.
const limit = 512 << 20

func (b *bench) write() error {
	progress("CSV to whole snapshots, %d turns", b.runs)
	tool := b.toolSide("whole", "extract")
	tool.prepare = b.fresh("whole", "users.csv", b.data.first)
	m, err := b.turns(tool, b.duckSide(toSorted(b.data.first, b.path("1.parquet"))), b.duckSide(toParquet(b.data.first, b.path("plain.parquet"))))
	if err != nil {
		return err
	}
	b.add(result{work: "CSV → whole snapshot", side: "DuckDB, ORDER BY, hash, zstd", tool: m[0], other: m[1], rows: b.data.Rows, bytes: b.data.Bytes,
		goal: "at least its speed, at most 512 MiB", met: m[0].Seconds <= m[1].Seconds && m[0].Peak <= limit})
	b.add(result{work: "beside it", side: "DuckDB, plain CSV → Parquet", tool: m[0], other: m[2], rows: b.data.Rows, bytes: b.data.Bytes, goal: reported})
	if _, err := b.toolSide("whole", "snapshots", "tag", "first", "source/users/legacy").run(); err != nil {
		return err
	}
	// What later works compare with: the second night of DuckDB's.
	_, err = b.duckSide(toSorted(b.data.second, b.path("2.parquet"))).run()
	return errors.Join(err, os.Remove(b.path("plain.parquet")))
}

func (b *bench) nextNight() error {
	progress("the next night")
	tool := b.toolSide("nights", "extract", "--json")
	tool.prepare = func() error { return errors.Join(b.clone("whole", "nights"), b.file("users.csv", b.data.second)) }
	whole := b.toolSide("again", "extract")
	whole.prepare = b.fresh("again", "users.csv", b.data.second)
	m, err := b.turns(tool, whole)
	if err != nil {
		return err
	}
	wrote, err := written(m[0])
	if err != nil {
		return err
	}
	b.add(result{work: "the next night, 1 % changed", side: "the tool, whole", tool: m[0], other: m[1], rows: b.data.Rows, bytes: b.data.Bytes,
		goal: "1.5 times the speed", met: m[1].Seconds >= 1.5*m[0].Seconds,
		note: fmt.Sprintf("%s written for %s of changed rows", megabytes(wrote), megabytes(b.data.ChangedBytes))})
	b.add(result{work: "its bytes", side: "the changed rows' own, as CSV", tool: m[0], goal: "at most 3 times", met: wrote <= 3*b.data.ChangedBytes,
		note: fmt.Sprintf("%.2f times", float64(wrote)/float64(b.data.ChangedBytes))})
	return os.RemoveAll(b.path("again"))
}

// written is how many bytes an extraction wrote into the store.
func written(m measured) (int64, error) {
	var out struct {
		Bytes int64 `json:"bytes_written"`
	}
	err := json.Unmarshal([]byte(m.Out), &out)
	return out.Bytes, err
}

func (b *bench) verifyBytes() error {
	progress("verify")
	m, err := b.turns(b.toolSide("whole", "snapshots", "verify", "--bytes"), side{name: "SHA-256", run: func() (measured, error) { return b.self("-sha256", b.path("whole")) }})
	if err != nil {
		return err
	}
	b.add(result{work: "verify of bytes", side: "SHA-256 in one pass", tool: m[0], other: m[1], rows: b.data.Rows, goal: "at least 80 % of its speed", met: m[1].Seconds >= 0.8*m[0].Seconds})
	return nil
}

func (b *bench) verifyRows() error {
	m, err := b.turns(b.toolSide("whole", "snapshots", "verify", "--rows"), side{name: "arrow v17", run: func() (measured, error) { return b.self("-decode", b.path("whole")) }})
	if err != nil {
		return err
	}
	b.add(result{work: "verify of rows", side: "arrow v17, decode alone", tool: m[0], other: m[1], rows: b.data.Rows, goal: "at least 70 % of its speed", met: m[1].Seconds >= 0.7*m[0].Seconds})
	return nil
}
