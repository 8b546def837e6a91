package load

import (
	"context"
	"iter"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// VerifyInput is what is compared.
type VerifyInput struct {
	Effective Snapshot
	// Observed is the target, looked at again after the load.
	Observed Snapshot
	// Plan, Files and Ledger, if given, leave out rows whose operation is not
	// confirmed: they are reported as failed or unknown already.
	Plan     *Manifest
	Files    Files
	Ledger   *Ledger
	Progress Progress
}

// Difference is a row that does not stand in the target as it shall. It holds
// no values.
type Difference struct {
	Table   string         `json:"table"`
	ID      schemas.RowID  `json:"id"`
	Key     string         `json:"key,omitempty"`
	What    DifferenceKind `json:"what"`
	Columns []string       `json:"columns,omitempty"`
}

// DifferenceKind says how a row differs.
type DifferenceKind string

// The kinds of differences.
const (
	Missing DifferenceKind = "missing" // shall be there and is not
	Extra   DifferenceKind = "extra"   // a row of ours that shall not be there
	Differs DifferenceKind = "differs"
)

// Verify compares what shall stand with what the target holds, over the rows
// that were looked at and the columns that it gives back. Nothing is yielded
// when all is well. What people made in the target beside ours (further
// credentials, memberships of their own making, organizations and groups that
// are nobody's) is no difference: plans list it.
func Verify(ctx context.Context, in VerifyInput) iter.Seq2[Difference, error] {
	return func(yield func(Difference, error) bool) {
		v := &verifier{in: in, shapes: schemas.Entities(), seen: map[string]columns{}, there: map[string]bool{}}
		for name, shape := range v.shapes {
			r := newReader(in.Observed, &shape)
			v.seen[name], v.there[name] = r.has, r.there
		}
		stopped := false
		v.yield = func(d Difference) bool {
			stopped = stopped || !yield(d, nil)
			return !stopped
		}
		err := v.structure(ctx)
		if err == nil && !stopped {
			err = v.users(ctx)
		}
		if err != nil && !stopped {
			yield(Difference{}, err)
		}
	}
}

type verifier struct {
	in     VerifyInput
	shapes map[string]schemas.Table
	seen   map[string]columns
	there  map[string]bool
	yield  func(Difference) bool
}

// compare reports how a row differs; it returns false when nobody listens any
// more.
func (v *verifier) compare(table string, want, got *schemas.Row, op *Operation) bool {
	if op != nil && v.in.Ledger != nil {
		if r, ok := v.in.Ledger.Result(op); !ok || r != OutcomeDone {
			return true
		}
	}
	switch {
	case want == nil && got == nil:
		return true
	case want == nil:
		return v.yield(Difference{Table: table, ID: got.ID, Key: got.Key, What: Extra})
	case got == nil:
		return v.yield(Difference{Table: table, ID: want.ID, Key: want.Key, What: Missing})
	}
	shape := v.shapes[table]
	var off []string
	for i := range shape.Columns {
		c := &shape.Columns[i]
		if v.seen[table][i] && !equalCells(c, want.Values[i], got.Values[i]) {
			off = append(off, c.Name)
		}
	}
	if len(off) == 0 {
		return true
	}
	slices.Sort(off)
	return v.yield(Difference{Table: table, ID: want.ID, Key: want.Key, What: Differs, Columns: off})
}

func (v *verifier) structure(ctx context.Context) error {
	ops := map[schemas.RowID]*Operation{}
	if v.in.Plan != nil {
		var err error
		f := &folder{in: FoldInput{Plan: v.in.Plan, Files: v.in.Files}}
		if ops, err = f.structureOps(ctx); err != nil {
			return err
		}
	}
	p := &planner{in: PlanInput{Observed: v.in.Observed}}
	for _, table := range structureTables {
		looked, err := p.lookedAt(ctx, table)
		if err != nil {
			return err
		}
		if !looked {
			continue
		}
		if err := v.structureTable(ctx, table, ops); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) structureTable(ctx context.Context, table string, ops map[schemas.RowID]*Operation) error {
	shape := v.shapes[table]
	want, err := newReader(v.in.Effective, &shape).readAll(ctx)
	if err != nil {
		return err
	}
	got, err := newReader(v.in.Observed, &shape).readAll(ctx)
	if err != nil {
		return err
	}
	sides := threeSides{base: want, effective: got}
	for _, id := range sides.ids() {
		if !has(want, id) && ops[id] == nil {
			continue // nobody's, or in conflict
		}
		if !v.compare(table, at(want, id), at(got, id), ops[id]) {
			return nil
		}
	}
	return nil
}

func (v *verifier) users(ctx context.Context) error {
	effective, _ := sideStreams(v.in.Effective, v.shapes, func(x *person) *side { return &x.desired })
	observed, _ := sideStreams(v.in.Observed, v.shapes, func(x *person) *side { return &x.observed })
	var cursor *opCursor
	if v.in.Plan != nil {
		cursor = newOpCursor(ctx, v.in.Plan, v.in.Files)
		defer cursor.close()
	}
	progress := orSilent(v.in.Progress)
	progress.Total(StepVerify, v.in.Observed.Rows(schemas.Scope))
	for x, err := range people(ctx, slices.Concat(effective, observed, scopeStreams(v.in.Observed)), schemas.RowID{}, schemas.RowID{}) {
		if err != nil {
			return err
		}
		ops := map[schemas.RowID]*Operation{}
		if cursor != nil {
			if ops, err = cursor.of(x.id); err != nil {
				return err
			}
		}
		if !x.looked && x.observed.user == nil {
			continue
		}
		progress.Done(StepVerify, 1)
		if !v.person(x, ops) {
			return nil
		}
	}
	return nil
}

// person compares one user with what belongs to it.
func (v *verifier) person(x *person, ops map[schemas.RowID]*Operation) bool {
	if x.desired.user == nil && ops[x.id] == nil {
		return true // in conflict, or rejected and not there
	}
	if op := ops[x.id]; op != nil && v.in.Ledger != nil {
		if r, ok := v.in.Ledger.Result(op); (!ok || r != OutcomeDone) && op.Kind == Create {
			return true
		}
	}
	if !v.compare(schemas.Users, x.desired.user, x.observed.user, ops[x.id]) {
		return false
	}
	match := &userPlanner{planner: &planner{}, passwords: &passwords{shape: v.shape(schemas.Credentials)}, memberships: merger{shape: v.shape(schemas.Memberships)}}
	for _, d := range x.desired.dependents() {
		if !v.there[d.table] {
			continue
		}
		got := match.theirMembership(x, d.row)
		if d.table == schemas.Credentials {
			got = match.theirCredential(x, d.row)
		}
		if !v.compare(d.table, d.row, got, ops[d.row.ID]) {
			return false
		}
	}
	for _, d := range x.observed.dependents() {
		if op := ops[d.row.ID]; op != nil && op.Class() == Removed && !v.compare(d.table, nil, d.row, op) {
			return false
		}
	}
	return true
}

func (v *verifier) shape(name string) *schemas.Table { t := v.shapes[name]; return &t }
