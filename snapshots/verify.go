package snapshots

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

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
)

// VerifyOptions say what to verify.
type VerifyOptions struct {
	Level VerifyLevel
	// Snapshots limits the work to these names; nil means all that the log
	// knows, and what checkpoints pin. The log is always verified.
	Snapshots []string
	// Progress is told of each snapshot before it is verified; may be nil.
	Progress func(SnapshotInfo)
}

// Finding is one thing that is wrong.
type Finding struct {
	Object   string // key of the object
	Snapshot Digest // zero: not of one snapshot
	Table    string
	// Checkpoint names the one that pins the object as an input.
	Checkpoint string
	What       string
	Advice     string
}

// String is the finding in one line.
func (f Finding) String() string {
	s := f.Object
	if f.Table != "" {
		s += " (table " + f.Table + ")"
	}
	if f.Checkpoint != "" {
		s += " (checkpoint " + f.Checkpoint + ")"
	}
	return s + ": " + f.What + " (" + f.Advice + ")"
}

// VerifyReport is what Verify did and found.
type VerifyReport struct {
	Entries, Snapshots, Manifests, Objects int
	Checkpoints                            int
	Bytes                                  int64 // of the objects looked at
	Rows                                   int64 // decoded
	Findings                               []Finding
}

// Err is a *CorruptError when something is wrong.
func (r VerifyReport) Err() error {
	if len(r.Findings) == 0 {
		return nil
	}
	f := r.Findings[0]
	more := ""
	if n := len(r.Findings) - 1; n > 0 {
		more = fmt.Sprintf(", and %d more findings", n)
	}
	return &CorruptError{Object: f.Object, What: f.What + more, Advice: f.Advice}
}

// Verify looks for damage and goes on after it. The error is about what could
// not be looked at (the back end failed, the context ended); damage is in the
// report. It writes nothing.
func (s *Store) Verify(ctx context.Context, o VerifyOptions) (VerifyReport, error) {
	v := &verifier{s: s, o: o, seen: map[parts.Object]bool{}}
	st, err := v.log(ctx)
	if err != nil {
		return v.report, err
	}
	infos := st.History
	if o.Snapshots != nil {
		if infos, err = v.named(ctx); err != nil {
			return v.report, err
		}
	}
	done := map[Digest]bool{}
	for _, info := range infos {
		if done[info.Manifest] {
			continue
		}
		done[info.Manifest] = true
		if o.Progress != nil {
			o.Progress(info)
		}
		if err := v.snapshot(ctx, info); err != nil {
			return v.report, err
		}
	}
	if o.Snapshots == nil {
		err = v.checkpoints(ctx, st)
	}
	return v.report, err
}

type verifier struct {
	s      *Store
	o      VerifyOptions
	report VerifyReport
	seen   map[parts.Object]bool
	// under work
	info       SnapshotInfo
	checkpoint string
}

// found notes damage; any other error is given back.
func (v *verifier) found(table string, err error) error {
	if err == nil {
		return nil
	}
	f := Finding{Snapshot: v.info.Digest, Table: table, Checkpoint: v.checkpoint}
	if c, ok := errors.AsType[*CorruptError](err); ok {
		f.Object, f.What, f.Advice = c.Object, c.What, c.Advice
		if c.Err != nil && !errors.Is(c.Err, ErrNotFound) {
			f.What += ": " + c.Err.Error()
		}
	} else if c, ok := errors.AsType[*parts.Corruption](err); ok {
		f.Object, f.What, f.Advice = c.Object, c.Detail, c.Advice
		if c.Object != "" {
			f.Object = objectsPrefix + c.Object[:2] + "/" + c.Object[2:4] + "/" + c.Object
		}
		if c.Err != nil {
			f.What += ": " + c.Err.Error()
		}
	} else {
		return err
	}
	if f.Object == "" {
		f.Object = manifestKey(v.info.Manifest)
	}
	if !slices.Contains(v.report.Findings, f) {
		v.report.Findings = append(v.report.Findings, f)
	}
	return nil
}

// log reads the whole log anew and folds it as far as it is whole.
func (v *verifier) log(ctx context.Context) (State, error) {
	st := (&State{}).clone()
	for e, err := range v.s.Log(ctx) {
		if err := v.found("", err); err != nil {
			return st, err
		}
		if err != nil {
			break
		}
		st.fold(e, Digest{})
		v.report.Entries++
	}
	return st, v.strays(ctx, st.N)
}

// strays reports entries that lie behind the end of the log: those before them
// are lost.
func (v *verifier) strays(ctx context.Context, last uint64) error {
	if len(v.report.Findings) > 0 {
		return nil
	}
	after := logPrefix
	if last > 0 {
		after = logKey(last)
	}
	for key, err := range v.s.b.List(ctx, logPrefix, after) {
		if err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		if n, err := logNumber(key); err != nil || n > last+1 {
			return v.found("", &CorruptError{Object: key, What: fmt.Sprintf("lies behind the end of the log, %s is missing", logKey(last+1)), Advice: logAdvice})
		}
	}
	return nil
}

func (v *verifier) named(ctx context.Context) ([]SnapshotInfo, error) {
	st, err := v.s.State(ctx)
	if err != nil {
		return nil, err
	}
	var infos []SnapshotInfo
	for _, name := range v.o.Snapshots {
		info, err := st.Resolve(name)
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	return infos, nil
}

func (v *verifier) snapshot(ctx context.Context, info SnapshotInfo) error {
	v.info = info
	v.report.Snapshots++
	sn, err := v.s.OpenManifest(ctx, info.Manifest)
	if err != nil {
		return v.found("", err)
	}
	v.report.Manifests++
	if sn.Digest() != info.Digest {
		return v.found("", &CorruptError{Object: manifestKey(info.Manifest), Advice: logAdvice,
			What: fmt.Sprintf("holds snapshot %s, the log says %s", sn.Digest().Short(), info.Digest.Short())})
	}
	for i, t := range sn.tables {
		if err := v.table(ctx, t, sn.readers[i]); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) table(ctx context.Context, t parts.Table, r *parts.Reader) error {
	before := len(v.report.Findings)
	for o, err := range tableObjects(ctx, t, r) {
		if err == nil {
			err = v.object(ctx, o)
		}
		if err := v.found(t.Name, err); err != nil {
			return err
		}
	}
	// Rows of parts known to be damaged would only tell the same again.
	if v.o.Level < VerifyRows || len(v.report.Findings) > before {
		return ctx.Err()
	}
	for err := range r.VerifyRows(ctx) {
		if err := v.found(t.Name, err); err != nil {
			return err
		}
	}
	v.report.Rows += t.Rows
	return ctx.Err()
}

// tableObjects yields all objects of a table, large values too.
func tableObjects(ctx context.Context, t parts.Table, r *parts.Reader) iter.Seq2[parts.Object, error] {
	return func(yield func(parts.Object, error) bool) {
		for _, o := range t.Objects() {
			if !yield(o, nil) {
				return
			}
		}
		for o, err := range r.LargeObjects(ctx) {
			if !yield(o, err) {
				return
			}
		}
	}
}

// object looks at an object once, however many tables share it.
func (v *verifier) object(ctx context.Context, o parts.Object) error {
	if v.seen[o] {
		return nil
	}
	v.seen[o] = true
	v.report.Objects++
	v.report.Bytes += o.Bytes
	if v.o.Level < VerifyBytes {
		return v.s.checkSize(ctx, o)
	}
	_, c, err := v.s.verified()(ctx, o)
	if err != nil {
		return err
	}
	return c.Close()
}

// checkpoints looks at what checkpoints name beside snapshots, which the log
// knows and which are verified as such. Each checkpoint is told of its damage,
// also where several share an object.
func (v *verifier) checkpoints(ctx context.Context, st State) error {
	v.info = SnapshotInfo{}
	defer func() { v.checkpoint = "" }()
	for _, c := range st.CheckpointsByTime() {
		v.checkpoint = c.Name
		v.report.Checkpoints++
		for _, role := range c.Pinned() {
			if _, ok := st.Snapshots[c.Pin(role)]; ok {
				continue
			}
			err := &CorruptError{Object: logKey(c.N), Advice: logAdvice, What: fmt.Sprintf("it pins snapshot %s as %s, which no entry before it knows", c.Pin(role).Short(), role)}
			if err := v.found("", err); err != nil {
				return err
			}
		}
		for _, in := range c.Inputs {
			if err := v.found("", v.input(ctx, in)); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

func (v *verifier) input(ctx context.Context, in CheckpointInput) error {
	if o := in.object(); !v.seen[o] {
		v.seen[o] = true
		v.report.Objects++
		v.report.Bytes += o.Bytes
	}
	var err error
	if v.o.Level >= VerifyBytes {
		_, err = v.s.ReadBlob(ctx, in.Blob)
	} else {
		err = v.s.checkBlob(ctx, in.Blob)
	}
	if c, ok := errors.AsType[*CorruptError](err); ok {
		c.What += ", input " + in.Name
	}
	return err
}
