package transform

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"

	"github.com/parallelrun/parallelrun/schemas"
)

// Tables are the rows of a legacy snapshot.
type Tables interface {
	Tables() []string
	Table(name string) (*schemas.Table, bool)
	// Scan yields a table's rows with whole values, in any order that is the
	// same every time.
	Scan(ctx context.Context, table string) iter.Seq2[schemas.Row, error]
}

// Keyring opens and seals secrets; internal/seal's is one.
type Keyring interface {
	Open(table string, row schemas.RowID, column string, s schemas.Sealed) ([]byte, error)
	Seal(table string, row schemas.RowID, column string, plaintext []byte) (schemas.Sealed, error)
	Derive(purpose string, parts ...[]byte) []byte
}

// Input is what a run works on.
type Input struct {
	Legacy  Tables
	Mapping *Mapping
	Profile schemas.TargetProfile
	// Keyring may be nil when the mapping reads no secrets.
	Keyring Keyring
	// Namespace is the source's, fixed at the first commit.
	Namespace string
	// Aliases lead from keys that changed in legacy to their rows; nil: none.
	Aliases *Aliases
	// Memory bounds joins and sorts; zero is 128 MiB.
	Memory int64
	// TempDir takes the sealed spill files; empty is the system's.
	TempDir string
	// Workers is how many rows are worked on at once; zero is one per CPU.
	Workers int
	// Progress, if set, is told how many rows of a stage are done, by several
	// goroutines at once.
	Progress func(stage string, rows int64)
}

// Run maps a legacy snapshot to desired rows. Bad rows become rejects and never
// stop it; an error means that the whole result is void. The report has been
// checked: it balances.
func Run(ctx context.Context, in Input, out RowWriter) (*Report, error) {
	in.defaults()
	if err := in.check(); err != nil {
		return nil, err
	}
	r := newRun(in, out)
	defer r.close()
	for _, phase := range []func(context.Context) error{
		r.templates, r.evaluate, r.mergeUsers, r.departmentTemplates, r.resolveStructure, r.findDuplicates, r.joinReferences, r.writeStructure, r.writeUsers,
	} {
		if err := phase(ctx); err != nil {
			return nil, err
		}
	}
	report := r.totals.report(r.out)
	report.Spilled = r.spilled()
	report.Aliases = r.ev.aliases.report()
	report.addTemplates(r)
	if err := report.Check(); err != nil {
		return nil, err
	}
	return report, nil
}

func (in *Input) defaults() {
	if in.Memory <= 0 {
		in.Memory = 128 << 20
	}
	if in.Workers <= 0 {
		in.Workers = runtime.GOMAXPROCS(0)
	}
	if in.Progress == nil {
		in.Progress = func(string, int64) {}
	}
}

func (in *Input) check() error {
	if in.Keyring == nil {
		for _, rules := range [][]*rule{in.Mapping.rules, in.Mapping.dependent} {
			for _, r := range rules {
				if r.password != nil {
					return fmt.Errorf("rule %q moves passwords, but there is no key: run `parallelrun key init` and name the key in the configuration", r.name)
				}
			}
		}
	}
	if in.Namespace == "" {
		return errors.New("transform: the source has no namespace: set it in the configuration")
	}
	if err := in.Mapping.CheckProfile(in.Profile); err != nil {
		return err
	}
	have := map[string]bool{}
	for _, t := range in.Legacy.Tables() {
		have[t] = true
	}
	for _, r := range in.Mapping.rules {
		if !have[r.from.Name] {
			return fmt.Errorf("rule %q takes legacy table %q, which the snapshot does not have: extract again with this configuration", r.name, r.from.Name)
		}
	}
	return nil
}

// run is the state of one Run.
type run struct {
	in      Input
	out     *countingWriter
	ev      *evaluator
	ck      *checker
	sources []*sourceTable
	totals  totals
	*spills
	structure  structure
	blueprints structure // department templates
	given      []given   // what organizations are given of them
	closureMu  sync.Mutex
	templated  int64
}

func newRun(in Input, out RowWriter) *run {
	r := &run{in: in, out: newCountingWriter(out), ck: newChecker(in.Profile), spills: newSpills(in.Memory, in.TempDir)}
	r.structure.aliases = in.Aliases
	r.ev = &evaluator{m: in.Mapping, namespace: in.Namespace, lowerCase: in.Profile.LowerCase, aliases: newAliasUse(in.Aliases)}
	for i, name := range in.Legacy.Tables() {
		t, ok := in.Legacy.Table(name)
		if !ok {
			continue
		}
		src := &sourceTable{index: i, table: *t, rules: in.Mapping.byTable[name]}
		for _, l := range in.Mapping.lookups {
			if l.table == name {
				src.lookups = append(src.lookups, l)
			}
		}
		r.sources = append(r.sources, src)
	}
	r.totals.tally = *newTally(len(in.Legacy.Tables()))
	for i, name := range in.Legacy.Tables() {
		r.totals.sources[i].Table = name
	}
	return r
}

// templates writes the property templates; no source row stands behind them.
func (r *run) templates(ctx context.Context) error {
	for _, t := range r.in.Mapping.templates {
		row := schemas.Row{ID: schemas.NewRowID(r.in.Namespace, schemas.PropertyTemplates, t.name), Key: t.name,
			Values: []any{t.name, t.appliesTo, string(t.data)}}
		if err := r.out.row(ctx, schemas.PropertyTemplates, row); err != nil {
			return err
		}
		r.templated++
	}
	return nil
}

func (r *Report) addTemplates(run *run) {
	n := run.out.counts(schemas.PropertyTemplates)
	r.Entities = append(r.Entities, EntityCount{Entity: schemas.PropertyTemplates, Candidates: run.templated, Yielded: n[countYielded]})
}
