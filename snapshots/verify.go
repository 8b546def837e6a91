package snapshots

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// VerifyLevel says how deep Verify looks; each level does what the ones before
// do.
type VerifyLevel int

// The levels of Verify, and what each does not prove.
const (
	// VerifyNames: log, manifests, and that every object is there and as long
	// as it must be. Nothing about the objects' bytes.
	VerifyNames VerifyLevel = iota
	// VerifyBytes: every object's SHA-256 too. Nothing about what was written:
	// a file that was wrong from the start passes.
	VerifyBytes
	// VerifyRows: every row is decoded and its digest computed anew, up to the
	// snapshot's. Not that the rows are those of the source.
	VerifyRows
	// VerifyDeep: a second Parquet reader, by others, sees the same cells.
	VerifyDeep
)

// VerifyOptions say what to verify.
type VerifyOptions struct {
	Level VerifyLevel
	// Snapshots limits the work to these names; nil means all that the log
	// knows, and what checkpoints pin. The log is always verified.
	Snapshots []string
	// Sample limits what is read to a share of the parts and large values, above
	// 0 and below 100; zero means all. Names and sizes are always looked at.
	Sample float64
	// Seed chooses the sample: the same seed chooses the same files.
	Seed string
	// Workers is how many files are looked at at once; zero: one per core.
	Workers int
	// Memory bounds what they hold together; zero means 256 MiB.
	Memory int64
	// Second reads a part with another reader; required for VerifyDeep.
	Second SecondReader
	// Progress is told of the steps, see StepFunc; may be nil.
	Progress StepFunc
}

// StepFunc is told that a step of so many things begins (zero: not known), and
// returns whom to tell of things done; add(-1) says that the step is over.
type StepFunc func(step string, total int64, unit string) (add func(int64))

// VerifyReport is what Verify did and found.
type VerifyReport struct {
	Entries, Snapshots, Manifests, Objects int
	Checkpoints                            int
	Bytes                                  int64 // of the objects looked at
	Read                                   int64 // of them, bytes compared with their SHA-256
	Rows                                   int64 // decoded
	Tables                                 int   // whose digests were computed anew
	Parts                                  int   // distinct ones
	LargeValues                            int   // distinct ones
	// ReadParts and ReadValues of them were read; SecondParts by the second
	// reader too. TablesLeft are those whose digest the sample leaves open.
	ReadParts, ReadValues, SecondParts, TablesLeft int
	// Orphans are objects that nothing known refers to: left by runs that died
	// or that are at work. Counted where the whole store was looked at.
	Orphans int
	// Repaired are objects whose second copy is read since the first is damaged.
	Repaired int
	Findings []Finding
}

// Damaged counts the findings that are damage.
func (r VerifyReport) Damaged() (n int) {
	for _, f := range r.Findings {
		if f.Damage() {
			n++
		}
	}
	return n
}

// Err is a *CorruptError when something is damaged.
func (r VerifyReport) Err() error {
	i := slices.IndexFunc(r.Findings, Finding.Damage)
	if i < 0 {
		return nil
	}
	more := ""
	if n := r.Damaged() - 1; n > 0 {
		more = fmt.Sprintf(", and %d more findings", n)
	}
	return r.Findings[i].corrupt(more)
}

// Verify looks for damage and goes on after it. The error is about what could
// not be looked at (the back end failed, the context ended); damage is in the
// report. It writes nothing.
func (s *Store) Verify(ctx context.Context, o VerifyOptions) (VerifyReport, error) {
	v, err := s.newVerifier(o)
	if err != nil {
		return VerifyReport{}, err
	}
	err = v.run(ctx)
	return v.report, err
}

func (v *verifier) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		v.log, v.manifests, v.presence, v.largeValues, v.inputs, v.orphans, v.bytes, v.rows, v.digests, v.second, v.keys, v.leases, v.dependents,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// verifier is one Verify under way. Its maps are filled step by step.
type verifier struct {
	s       *Store
	o       VerifyOptions
	st      State // the log's fold, as far as it can be read
	infos   []SnapshotInfo
	tables  []*verifyTable
	objects map[parts.Object]*object // that are needed
	order   []*object                // the same, as they were found
	there   *sizes                   // nil: objects are asked for one by one

	mu     sync.Mutex // guards the report while several work
	report VerifyReport
}

// object is one that a table or a checkpoint needs.
type object struct {
	parts.Object
	role  role
	table string
	state trouble
	read  bool // its bytes were compared
}

// verifyTable is a table of a manifest, once however many manifests have it.
type verifyTable struct {
	parts.Table
	r        *parts.Reader
	manifest Digest // one that has it
}

// verifyPart is a part of a table.
type verifyPart struct {
	parts.Part
	t           *verifyTable
	layer, part int
}

func (s *Store) newVerifier(o VerifyOptions) (*verifier, error) {
	if o.Sample < 0 || o.Sample >= 100 {
		return nil, fmt.Errorf("a sample of %g%% is none: give a share above 0 and below 100", o.Sample)
	}
	if o.Level >= VerifyDeep && o.Second == nil {
		return nil, errors.New("verify with a second reader: there is none")
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Memory <= 0 {
		o.Memory = defaultMemory
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, string) func(int64) { return func(int64) {} }
	}
	return &verifier{s: s, o: o, objects: map[parts.Object]*object{}}, nil
}

func (v *verifier) found(f Finding) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Findings = append(v.report.Findings, f)
}

// wholeStore says whether the whole store is looked at.
func (v *verifier) wholeStore() bool { return v.o.Snapshots == nil }

// each does something to every one of a list, several at once.
func each[T any](ctx context.Context, v *verifier, step, unit string, limit int, list []T, f func(context.Context, T) error) error {
	if len(list) == 0 {
		return ctx.Err()
	}
	add := v.o.Progress(step, int64(len(list)), unit)
	defer add(-1)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(limit, 1))
	for _, x := range list {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			err := f(ctx, x)
			add(1)
			return err
		})
	}
	return g.Wait()
}

// manifests opens the manifests of the snapshots that are asked for, and
// gathers their tables and objects.
func (v *verifier) manifests(ctx context.Context) error {
	infos, err := v.asked()
	if err != nil {
		return err
	}
	var distinct []SnapshotInfo
	seen := map[Digest]bool{}
	for _, info := range infos {
		if !seen[info.Manifest] {
			seen[info.Manifest] = true
			distinct = append(distinct, info)
		}
	}
	v.infos, v.report.Snapshots = distinct, len(distinct)
	opened := make([]*Snapshot, len(distinct))
	at := make([]int, len(distinct))
	for i := range at {
		at[i] = i
	}
	err = each(ctx, v, "manifests", "manifests", readAhead, at, func(ctx context.Context, i int) (err error) {
		opened[i], err = v.manifest(ctx, distinct[i])
		return err
	})
	if err != nil {
		return err
	}
	tables := map[string]bool{}
	for _, sn := range opened {
		if sn == nil {
			continue
		}
		v.report.Manifests++
		for i := range sn.tables {
			v.gather(&verifyTable{sn.tables[i], sn.readers[i], sn.manifest}, tables)
		}
	}
	return nil
}

func (v *verifier) asked() ([]SnapshotInfo, error) {
	if v.wholeStore() {
		return v.st.History, nil
	}
	var infos []SnapshotInfo
	for _, name := range v.o.Snapshots {
		info, err := v.st.Resolve(name)
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// manifest opens one; nil if it is damaged.
func (v *verifier) manifest(ctx context.Context, info SnapshotInfo) (*Snapshot, error) {
	key := manifestKey(info.Manifest)
	sn, err := v.s.OpenManifest(ctx, info.Manifest)
	c, corrupt := errors.AsType[*CorruptError](err)
	switch {
	case corrupt && errors.Is(err, ErrNotFound):
		v.found(finding(ManifestMissing, key, "it is missing"))
		return nil, nil
	case corrupt:
		what := c.What
		if c.Err != nil {
			what += ": " + c.Err.Error()
		}
		v.found(finding(ManifestDamaged, key, "%s", what))
		return nil, nil
	case err != nil:
		return nil, err
	case sn.Digest() != info.Digest:
		v.found(finding(ManifestWrong, key, "holds snapshot %s, the log says %s", sn.Digest().Short(), info.Digest.Short()))
		return nil, nil
	}
	return sn, nil
}

// gather notes a table and the objects that it needs, each once.
func (v *verifier) gather(t *verifyTable, seen map[string]bool) {
	var id strings.Builder
	fmt.Fprintf(&id, "%s %s %d", t.Name, t.Digest, t.Rows)
	for _, l := range t.Layers {
		fmt.Fprintf(&id, " %s", l.Kind)
		for _, p := range l.Parts {
			id.WriteByte(' ')
			id.Write(p.Object.SHA256[:])
			id.Write(p.Index.SHA256[:])
		}
	}
	if seen[id.String()] {
		return
	}
	seen[id.String()] = true
	v.tables = append(v.tables, t)
	for _, l := range t.Layers {
		for _, p := range l.Parts {
			v.need(p.Object, rolePart, t.Name)
			v.need(p.Index, roleIndex, t.Name)
			if p.Large != nil {
				v.need(*p.Large, roleLargeList, t.Name)
			}
		}
	}
}

func (v *verifier) need(o parts.Object, role role, table string) *object {
	x := v.objects[o]
	if x == nil {
		x = &object{Object: o, role: role, table: table}
		v.objects[o] = x
		v.order = append(v.order, x)
		v.report.Objects++
		v.report.Bytes += o.Bytes
	}
	return x
}

// parts lists the distinct parts of all tables.
func (v *verifier) parts() []verifyPart {
	type key struct{ part, index parts.Object }
	var out []verifyPart
	seen := map[key]bool{}
	for _, t := range v.tables {
		for i, l := range t.Layers {
			for j, p := range l.Parts {
				if k := (key{p.Object, p.Index}); !seen[k] {
					seen[k] = true
					out = append(out, verifyPart{p, t, i, j})
				}
			}
		}
	}
	return out
}

// sound says whether nothing is known against some objects.
func (v *verifier) sound(list ...parts.Object) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, o := range list {
		if v.objects[o].state != sound {
			return false
		}
	}
	return true
}

func (p verifyPart) objects() []parts.Object {
	list := []parts.Object{p.Object, p.Index}
	if p.Large != nil {
		list = append(list, *p.Large)
	}
	return list
}
