package pipelines

import (
	"context"
	"errors"
	"fmt"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// Extracted is the result of step extract.
type Extracted struct {
	Snapshot snapshots.Digest `json:"snapshot"`
	Stats    extract.Stats    `json:"stats"`
	Warnings []string         `json:"warnings,omitempty"`
	Spilled  int64            `json:"spilled_bytes"`
	Put      snapshots.PutStats
}

// warnings are what the operator should know of the source; nil-safe.
func (e *Extracted) warnings() []string {
	if e == nil {
		return nil
	}
	return e.Warnings
}

// extract reads the source, all of it, into a snapshot of stage legacy.
func (r *Runner) extract(ctx context.Context, run string) (*Extracted, error) {
	var tables []schemas.Table
	for _, spec := range r.Source.Tables() {
		tables = append(tables, spec.Table)
	}
	draft, err := r.readSource(ctx, tables, StageLegacy)
	if d, ok := errors.AsType[*parts.DuplicateError](err); ok && d.OneKnown {
		// Read again without the last snapshot: that tells both places.
		draft, err = r.readSource(ctx, tables, "")
	}
	if err != nil {
		return nil, r.explainDuplicate(err)
	}
	out := &Extracted{Snapshot: draft.Digest, Spilled: draft.Spilled, Put: draft.Put}
	if rep, ok := r.Source.(extract.Reporter); ok {
		out.Stats, out.Warnings = rep.Stats(), rep.Warnings()
	}
	fix := snapshots.NamespaceAction{Source: r.SourceName, Namespace: r.Namespace}
	return out, r.commit(ctx, run, draft, r.sourceSet(), StageLegacy, nil, fix)
}

// Extract reads a source into a snapshot of stage legacy, of which no run knows:
// to look at it, and to compare it with others. The store is made where there is
// none.
func Extract(ctx context.Context, c *config.Config, source string, o OpenOptions) (_ *Extracted, err error) {
	name, s, err := c.Source(source)
	if err != nil {
		return nil, err
	}
	r := newRunner(c, "", config.Migration{Source: name}, o)
	r.Namespace = s.Namespace
	if r.Store, err = OpenStore(ctx, c); err != nil {
		return nil, err
	}
	if r.Source, err = OpenSource(c, name, r.Store.Keyring()); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Source.Close()) }()
	return r.extract(ctx, "")
}

// readSource writes all that the source holds upon the newest snapshot of a
// stage.
func (r *Runner) readSource(ctx context.Context, tables []schemas.Table, upon string) (snapshots.Draft, error) {
	w, err := r.newWriter(ctx, tables, 1, r.sourceSet(), upon)
	if err != nil {
		return snapshots.Draft{}, err
	}
	defer w.Close()
	step := r.Progress.Step("extract", 0, "rows")
	defer step.End()
	err = r.Source.Read(ctx, extract.Limits{}, func(b extract.Batch) error {
		step.Add(b.Record.NumRows())
		return w.Write(ctx, b.Table, b.Record, b.Origins)
	})
	if err != nil {
		return snapshots.Draft{}, err
	}
	return w.Finish(ctx)
}

// explainDuplicate says where the two rows of one key stood.
func (r *Runner) explainDuplicate(err error) error {
	d, ok := errors.AsType[*parts.DuplicateError](err)
	if !ok {
		return err
	}
	return &DuplicateKeyError{Table: d.Table, Key: d.Key, First: r.Source.Describe(d.Origins[0]), Second: r.Source.Describe(d.Origins[1]), Err: err}
}

// DuplicateKeyError means that two rows of the source have one key: then no
// one can say which is which, and nothing was written.
type DuplicateKeyError struct {
	Table, Key    string
	First, Second string // where they stood
	Err           error
}

func (e *DuplicateKeyError) Error() string {
	return fmt.Sprintf("table %s: key %q stands twice, at %s and at %s", e.Table, e.Key, e.First, e.Second)
}

func (e *DuplicateKeyError) Unwrap() error { return e.Err }

// Hint says what to do.
func (*DuplicateKeyError) Hint() string {
	return "choose a key attribute that is unique in the table (keyCase too), or remove one of the two entries from the source"
}
