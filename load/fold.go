package load

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// FoldInput is what the next base is made from.
type FoldInput struct {
	Plan      *Manifest
	Files     Files
	Ledger    *Ledger
	Base      Snapshot
	Effective Snapshot
	// UserID is the target's UserID.
	UserID   func(schemas.RowID) string
	Progress Progress
}

// FoldReport counts what a fold did, by table.
type FoldReport struct {
	Rows      map[string]int64 `json:"rows"`      // of the next base
	Confirmed map[string]int64 `json:"confirmed"` // operations taken in
	Kept      map[string]int64 `json:"kept"`      // rows whose operation failed or is unknown: their base stays
}

// Fold writes the next base: the last one with every confirmed outcome. A row
// whose outcome is failed or unknown keeps its old base; a row that was found
// as planned enters base; what was withheld stays in base as legacy has it, so
// that the next plan still knows who took it away. Users are streamed.
func Fold(ctx context.Context, in FoldInput, out RowWriter) (*FoldReport, error) {
	f := &folder{in: in, out: out, shapes: schemas.Entities(), rep: &FoldReport{Rows: map[string]int64{}, Confirmed: map[string]int64{}, Kept: map[string]int64{}}}
	if err := f.structure(ctx); err != nil {
		return nil, fmt.Errorf("fold: %w", err)
	}
	if err := f.users(ctx); err != nil {
		return nil, fmt.Errorf("fold: %w", err)
	}
	return f.rep, nil
}

type folder struct {
	in     FoldInput
	out    RowWriter
	shapes map[string]schemas.Table
	rep    *FoldReport
}

// next says what base holds of a row from now on; nil: nothing.
func (f *folder) next(table string, base, effective, held *schemas.Row, op *Operation) *schemas.Row {
	if op != nil {
		if r, ok := f.in.Ledger.Result(op); !ok || r != OutcomeDone {
			f.rep.Kept[table]++
			return base
		}
		f.rep.Confirmed[table]++
	}
	if held != nil {
		return held
	}
	if effective != nil && table == schemas.Credentials {
		shape := f.shapes[table]
		if cell(&shape, effective, "secret") == nil {
			return nil // the target's own, not ours
		}
	}
	return effective
}

func (f *folder) write(ctx context.Context, table string, row *schemas.Row) error {
	if row == nil {
		return nil
	}
	f.rep.Rows[table]++
	return f.out.WriteRow(ctx, table, *row, -1)
}

// structure folds the tables that fit in memory, and their id map.
func (f *folder) structure(ctx context.Context) error {
	ops, err := f.structureOps(ctx)
	if err != nil {
		return err
	}
	ids, err := ReadIDMap(ctx, f.in.Effective)
	if err != nil {
		return err
	}
	was, err := ReadIDMap(ctx, f.in.Base)
	if err != nil {
		return err
	}
	for _, table := range structureTables {
		shape := f.shapes[table]
		sides, err := f.threeSides(ctx, &shape)
		if err != nil {
			return err
		}
		for _, id := range sides.ids() {
			op := ops[id]
			row := f.next(table, at(sides.base, id), at(sides.effective, id), at(sides.held, id), op)
			if row == nil {
				continue
			}
			if err := f.write(ctx, table, row); err != nil {
				return err
			}
			if e, ok := f.structureID(table, row, op, was, ids); ok {
				row := e.row(id)
				if err := f.write(ctx, schemas.IDMap, &row); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

type threeSides struct{ base, effective, held map[schemas.RowID]schemas.Row }

func (s threeSides) ids() []schemas.RowID {
	all := map[schemas.RowID]bool{}
	for _, m := range []map[schemas.RowID]schemas.Row{s.base, s.effective, s.held} {
		for id := range m {
			all[id] = true
		}
	}
	return slices.SortedFunc(maps.Keys(all), schemas.RowID.Compare)
}

func (f *folder) threeSides(ctx context.Context, shape *schemas.Table) (s threeSides, err error) {
	held := *shape
	held.Name = HeldTable(shape.Name)
	if s.base, err = newReader(f.in.Base, shape).readAll(ctx); err != nil {
		return s, err
	}
	if s.effective, err = newReader(f.in.Effective, shape).readAll(ctx); err != nil {
		return s, err
	}
	s.held, err = newReader(f.in.Effective, &held).readAll(ctx)
	return s, err
}

func (f *folder) structureOps(ctx context.Context) (map[schemas.RowID]*Operation, error) {
	sub := *f.in.Plan
	sub.Ranges = append(f.in.Plan.rangesOf(SectionStructure), f.in.Plan.rangesOf(SectionDeletes)...)
	ops := map[schemas.RowID]*Operation{}
	for op, err := range sub.AllOperations(ctx, f.in.Files) {
		if err != nil {
			return nil, err
		}
		ops[op.ID] = &op
	}
	return ops, nil
}

// structureID is the id map's entry of a structure row.
func (f *folder) structureID(table string, row *schemas.Row, op *Operation, was, ids *IDMap) (IDEntry, bool) {
	if op != nil && op.Kind == Create {
		if id, ok := f.in.Ledger.TargetID(op.Seq); ok {
			return IDEntry{Entity: table, Key: row.Key, TargetID: id, Origin: OriginCreated, Run: f.in.Plan.Run}, true
		}
	}
	if e, ok := was.Entry(row.ID); ok {
		return e, true
	}
	e, ok := ids.Entry(row.ID)
	e.Entity, e.Key = table, row.Key
	if e.Origin == "" || e.Run == "" {
		e.Origin, e.Run = OriginFound, f.in.Plan.Run
	}
	return e, ok
}

// users streams the tables of users.
func (f *folder) users(ctx context.Context) error {
	held := map[string]schemas.Table{}
	for _, name := range userTables {
		t := f.shapes[name]
		t.Name = HeldTable(name)
		held[name] = t
	}
	base, _ := sideStreams(f.in.Base, f.shapes, func(x *person) *side { return &x.base })
	effective, _ := sideStreams(f.in.Effective, f.shapes, func(x *person) *side { return &x.desired })
	kept, _ := sideStreams(f.in.Effective, held, func(x *person) *side { return &x.observed })
	streams := slices.Concat(base, effective, kept, []stream{idStream(f.in.Base), idStream(f.in.Effective)})

	cursor := newOpCursor(ctx, f.in.Plan, f.in.Files)
	defer cursor.close()
	progress := orSilent(f.in.Progress)
	progress.Total(StepFold, f.in.Effective.Rows(schemas.Users))
	for x, err := range people(ctx, streams, schemas.RowID{}, schemas.RowID{}) {
		if err != nil {
			return err
		}
		if x.base.empty() && x.desired.empty() && x.observed.empty() {
			continue // an entry of the id map that is no user's
		}
		ops, err := cursor.of(x.id)
		if err != nil {
			return err
		}
		if err := f.person(ctx, x, ops); err != nil {
			return err
		}
		progress.Done(StepFold, 1)
	}
	if op := cursor.left(); op != nil {
		return noSubject(*op)
	}
	return nil
}

// idStream is the id map beside the users.
func idStream(sn Snapshot) stream {
	shape := schemas.IDMapTable()
	entity := shape.Column("entity")
	return stream{r: newReader(sn, &shape), owner: ownID, take: func(x *person, row schemas.Row) {
		if x.mapped == nil && text(row.Values[entity]) == schemas.Users {
			x.mapped = &row
		}
	}}
}

func (f *folder) person(ctx context.Context, x *person, ops map[schemas.RowID]*Operation) error {
	user := f.next(schemas.Users, x.base.user, x.desired.user, x.observed.user, ops[x.id])
	if err := f.write(ctx, schemas.Users, user); err != nil {
		return err
	}
	if user != nil {
		if err := f.userID(ctx, x, user, ops[x.id]); err != nil {
			return err
		}
	}
	for _, table := range []string{schemas.Credentials, schemas.Memberships} {
		for _, id := range dependentIDs(x, table) {
			row := f.next(table, x.base.has(table, id), x.desired.has(table, id), x.observed.has(table, id), ops[id])
			if err := f.write(ctx, table, row); err != nil {
				return err
			}
		}
	}
	return nil
}

func dependentIDs(x *person, table string) []schemas.RowID {
	var ids []schemas.RowID
	for _, s := range []*side{&x.base, &x.desired, &x.observed} {
		for _, d := range s.dependents() {
			if d.table == table {
				ids = append(ids, d.row.ID)
			}
		}
	}
	slices.SortFunc(ids, schemas.RowID.Compare)
	return slices.Compact(ids)
}

// userID writes the id map's entry of a user in base.
func (f *folder) userID(ctx context.Context, x *person, user *schemas.Row, op *Operation) error {
	if x.mapped != nil {
		return f.write(ctx, schemas.IDMap, x.mapped)
	}
	e := IDEntry{Entity: schemas.Users, Key: user.Key, TargetID: f.in.UserID(x.id), Origin: OriginFound, Run: f.in.Plan.Run}
	if op != nil && op.Kind == Create {
		e.Origin = OriginCreated
	}
	row := e.row(x.id)
	return f.write(ctx, schemas.IDMap, &row)
}
