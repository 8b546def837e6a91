package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// bench is all works on one dataset.
type bench struct {
	data   *dataset
	dir    string
	tool   string // the program
	runs   int
	memory string // the tool's limit
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

// toolSide runs the tool on a store.
func (b *bench) toolSide(store string, args ...string) side {
	return side{name: "parallelrun", run: func() (measured, error) {
		head := []string{b.tool, "--config", b.path("migration.yaml"), "--store", b.path(store), "--workers", threads, "--memory", b.memory, "--json"}
		return measure(threadsEnv, append(head, args...)...)
	}}
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// night puts a night where the tool's configuration looks for it.
func (b *bench) night(file string) func() error {
	return func() error {
		at := b.path("users.csv")
		if err := os.RemoveAll(at); err != nil {
			return err
		}
		return os.Link(file, at)
	}
}

func (b *bench) fresh(store, file string) func() error {
	return func() error {
		if err := os.RemoveAll(b.path(store)); err != nil {
			return err
		}
		return b.night(file)()
	}
}

// config makes the tool's configuration.
func (b *bench) config() error {
	return os.WriteFile(b.path("migration.yaml"), []byte(`version: 1
store: store
sources:
  users:
    kind: csv
    namespace: bench
    tables:
      - {name: users, files: [users.csv], key: id, columns: {username: string, email: string, org_id: int, dept_id: int,
         enabled: bool, created_at: timestamp, attributes: string, verifier: string}}
targets: {t: {dialect: keycloak, realm: r, sandbox: {state: sandbox}}}
migrations: {m: {source: users, target: t, mapping: mapping.yaml}}
`), 0o600)
}

// run does all works in the order in which they build on each other.
func (b *bench) run() error {
	if err := b.config(); err != nil {
		return err
	}
	for _, w := range []func() error{b.write, b.nextNight, b.diffNeighbours, b.diffWhole, b.diffEqual, b.verifyBytes, b.verifyRows} {
		if err := w(); err != nil {
			return err
		}
		b.table[len(b.table)-1].print(os.Stderr)
	}
	return nil
}

func (b *bench) write() error {
	tool := b.toolSide("whole", "extract")
	tool.prepare = b.fresh("whole", b.data.first)
	m, err := b.turns(tool, b.duckSide(toSorted(b.data.first, b.path("1.parquet"))), b.duckSide(toParquet(b.data.first, b.path("plain.parquet"))))
	if err != nil {
		return err
	}
	limit := int64(512 << 20)
	b.add(result{work: "CSV → whole snapshot", side: "DuckDB, ORDER BY, hash, zstd", tool: m[0], other: m[1], rows: b.data.Rows, bytes: b.data.Bytes,
		goal: "at least its speed, at most 512 MiB", met: m[0].Seconds <= m[1].Seconds && m[0].Peak <= limit})
	b.add(result{work: "beside it", side: "DuckDB, plain CSV → Parquet", tool: m[0], other: m[2], rows: b.data.Rows, bytes: b.data.Bytes, goal: "reported"})
	// What later works compare: two whole snapshots in one store, and the second night of DuckDB's.
	_, err = b.duckSide(toSorted(b.data.second, b.path("2.parquet"))).run()
	return err
}

func (b *bench) nextNight() error {
	tool := b.toolSide("nights", "extract")
	tool.prepare = func() error {
		if err := b.fresh("nights", b.data.first)(); err != nil {
			return err
		}
		if _, err := b.toolSide("nights", "extract").run(); err != nil {
			return err
		}
		if _, err := b.toolSide("nights", "snapshots", "tag", "first", "source/users/legacy").run(); err != nil {
			return err
		}
		return b.night(b.data.second)()
	}
	whole := b.toolSide("whole", "extract")
	whole.prepare = b.fresh("whole", b.data.second)
	m, err := b.turns(tool, whole)
	if err != nil {
		return err
	}
	var wrote struct {
		Bytes int64 `json:"bytes_written"`
	}
	if err := json.Unmarshal([]byte(m[0].Out), &wrote); err != nil {
		return err
	}
	b.add(result{work: "the next night, 1 % changed", side: "the tool, whole", tool: m[0], other: m[1], rows: b.data.Rows, bytes: b.data.Bytes,
		goal: "1.5 times the speed", met: m[1].Seconds >= 1.5*m[0].Seconds,
		note: fmt.Sprintf("%s written for %s of changed rows", megabytes(wrote.Bytes), megabytes(b.data.ChangedBytes))})
	b.add(result{work: "its bytes", side: "the changed rows' own, as CSV", tool: m[0], goal: "at most 3 times", met: wrote.Bytes <= 3*b.data.ChangedBytes,
		note: fmt.Sprintf("%.2f times", float64(wrote.Bytes)/float64(b.data.ChangedBytes))})
	return nil
}

// counted is what a diff has to find.
func (b *bench) counted(m measured) error {
	want := fmt.Sprintf(`"inserted":%d,"updated":%d,"deleted":%d`, b.data.Inserted, b.data.Updated, b.data.Deleted)
	if !strings.Contains(m.Out, want) {
		return fmt.Errorf("the tool found %s, want %s", m.Out, want)
	}
	return nil
}

func (b *bench) diffNeighbours() error {
	m, err := b.turns(b.toolSide("nights", "snapshots", "diff", "first", "source/users/legacy", "--counts"), b.duckSide(join(b.path("1.parquet"), b.path("2.parquet"))))
	if err != nil {
		return err
	}
	if err := b.counted(m[0]); err != nil {
		return err
	}
	if want := fmt.Sprintf(`"answer":[%d,%d,%d]`, b.data.Updated, b.data.Deleted, b.data.Inserted); !strings.Contains(m[1].Out, want) {
		return fmt.Errorf("DuckDB found %s, want %s", m[1].Out, want)
	}
	b.add(result{work: "diff of neighbours, counts", side: "DuckDB, full outer join", tool: m[0], other: m[1], rows: b.data.Rows,
		goal: "at most 1/20 of its time", met: m[0].Seconds <= m[1].Seconds/20})
	return nil
}

func (b *bench) diffWhole() error {
	if _, err := b.toolSide("nights", "snapshots", "compact", "source/users/legacy", "--apply").run(); err != nil {
		return err
	}
	m, err := b.turns(b.toolSide("nights", "snapshots", "diff", "first", "source/users/legacy", "--counts"),
		b.duckSide(join(b.path("1.parquet"), b.path("2.parquet"))), b.duckSide(except(b.path("1.parquet"), b.path("2.parquet"))))
	if err != nil {
		return err
	}
	if err := b.counted(m[0]); err != nil {
		return err
	}
	b.add(result{work: "diff of two whole ones, counts", side: "DuckDB, full outer join", tool: m[0], other: m[1], rows: b.data.Rows,
		goal: "at most 1/8 of its time, at most 64 MiB", met: m[0].Seconds <= m[1].Seconds/8 && m[0].Peak <= 64<<20})
	b.add(result{work: "the same", side: "DuckDB, EXCEPT both ways", tool: m[0], other: m[2], rows: b.data.Rows,
		goal: "at most 1/50 of its time", met: m[0].Seconds <= m[2].Seconds/50})
	return nil
}

func (b *bench) diffEqual() error {
	m, err := b.turns(b.toolSide("nights", "snapshots", "diff", "first", "first", "--counts"))
	if err != nil {
		return err
	}
	b.add(result{work: "diff of equal ones", tool: m[0], rows: b.data.Rows, goal: "under 10 ms", met: m[0].Seconds < 0.010, note: "the whole process, its start included"})
	return nil
}

func (b *bench) verifyBytes() error {
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
