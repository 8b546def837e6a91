package pipelines

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/internal/mask"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// planned plans the row anew, to say which rule decided what, and finds what the
// stored plan does with it and what came of that.
func (x *explaining) planned(ctx context.Context, f foundRow, e *ExplainedEntity) error {
	in, _, err := x.planInput(ctx, x.rec, x.plan.Desired, x.plan.Observed)
	if err != nil {
		return err
	}
	if in.Reach, err = x.reachOf(ctx); err != nil {
		return err
	}
	in.Base, in.Profile = x.base, x.profile
	in.Options.Allow, in.Options.Ownership, in.Options.Time = x.plan.Allow, x.plan.Ownership, x.plan.Created
	in.Options.Complete = x.plan.Complete
	if in.Options.Decisions, err = x.decisionsOf(ctx, x.rec); err != nil {
		return err
	}
	rows, err := load.Explain(ctx, in, f.entity, f.id)
	if err != nil {
		return err
	}
	stored, err := load.StoredOperations(ctx, x.plan, x.Store, f.entity, f.id)
	if err != nil {
		return err
	}
	outcomes, err := x.outcomes(ctx, stored)
	if err != nil {
		return err
	}
	for _, t := range rows {
		row, err := x.rowView(ctx, t)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(stored, func(op load.StoredOperation) bool { return op.ID == t.ID })
		if i >= 0 {
			row.Operation = operationView(stored[i], outcomes)
			row.Verdict = string(stored[i].Kind)
		}
		if again := t.Operation; f.entity == schemas.Users && (again == nil) != (i < 0) || i >= 0 && again != nil && again.Kind != stored[i].Kind {
			x.note("%s %s: planned anew it comes to another operation than the stored plan's: the program or the target's settings changed since", t.Table, t.Key)
		}
		e.Rows = append(e.Rows, *row)
	}
	return nil
}

// reachOf is whom the explained run could change, by the assignment of then.
func (x *explaining) reachOf(ctx context.Context) (load.Reach, error) {
	reach, assigned := load.Reach{}, &Assigned{}
	if was := x.plan.Reach; was != nil {
		reach = load.Reach{Waves: was.Waves, Sweep: was.Sweep, Moved: was.Moved}
	}
	done, err := x.engine(x.rec.ID).Done(ctx, stepAssign, assigned)
	if err != nil || !done {
		return reach, err
	}
	reach.Assignment, err = x.openAssigned(ctx, assigned)
	return reach, err
}

func (x *explaining) outcomes(ctx context.Context, stored []load.StoredOperation) (map[int64]load.Outcome, error) {
	ops := make([]load.Operation, len(stored))
	for i := range stored {
		ops[i] = stored[i].Operation
	}
	return load.Outcomes(ctx, x.plan, x.Store, ops)
}

func operationView(op load.StoredOperation, outcomes map[int64]load.Outcome) *ExplainedOperation {
	v := &ExplainedOperation{Seq: op.Seq, Kind: string(op.Kind), Columns: op.Columns, With: op.With, Widens: op.Widens, Range: op.Range.N,
		File: op.Range.File, Outcome: "not sent", Parked: op.Parked}
	for _, t := range op.After {
		v.After = append(v.After, t.Seq)
	}
	slices.Sort(v.After)
	v.After = slices.Compact(v.After)
	if o, ok := outcomes[cmp.Or(op.With, op.Seq)]; ok {
		v.Outcome, v.Message, v.At = string(o.Result), o.Message, o.At.UTC().Format(time.RFC3339)
	}
	return v
}

// rowView shows how one row is settled.
func (x *explaining) rowView(ctx context.Context, t load.RowTrace) (*ExplainedRow, error) {
	row := &ExplainedRow{Table: t.Table, Key: t.Key, ID: t.ID.String(), Verdict: verdictOf(t)}
	for _, n := range t.Notes {
		row.Projection = append(row.Projection, ExplainedNote{Column: n.Column, What: string(n.What), Why: n.Why})
	}
	for _, f := range t.Findings {
		row.Findings = append(row.Findings, ExplainedFinding{List: f.List, Columns: f.Columns, Kinds: f.Kinds, Reason: f.Reason})
	}
	for _, c := range t.Columns {
		views, err := x.columnViews(ctx, c)
		if err != nil {
			return nil, err
		}
		row.Columns = append(row.Columns, views...)
	}
	return row, nil
}

// verdictOf says in a clause what becomes of a row.
func verdictOf(t load.RowTrace) string {
	for _, list := range []string{load.ListConflicts, load.ListDeferred, load.ListExtra} {
		for _, f := range t.Findings {
			if f.List == list && len(f.Columns) == 0 {
				return map[string]string{load.ListConflicts: "conflict", load.ListDeferred: "deferred", load.ListExtra: "left alone"}[list] + ": " + f.Reason
			}
		}
	}
	switch {
	case t.Operation != nil:
		return string(t.Operation.Kind)
	case t.InDesired:
		return "unchanged"
	case t.Rejected:
		return "kept as it is: the row is rejected or excluded"
	case t.InBase && !t.InEffective:
		return "gone on both sides"
	case t.InBase:
		return "gone from legacy"
	}
	return "not ours"
}

// columnViews show a column on its sides, a map by its entries.
func (x *explaining) columnViews(ctx context.Context, c load.ColumnTrace) ([]ExplainedColumn, error) {
	sides := []columnSide{{c.Base, c.HasBase}, {c.Projected, c.HasDesired}, {c.Observed, c.HasObserved}, {c.Effective, c.HasEffective}}
	if c.Column.Type == schemas.StringsMap {
		return entryViews(c, sides), nil
	}
	v := ExplainedColumn{Column: c.Column.Name, Same: c.Same, Rule: c.Rule, Allow: c.Allow}
	empty := true
	for i, s := range sides {
		if !s.has {
			continue
		}
		empty = empty && s.value == nil
		text := showCell(c.Column, s.value)
		if c.Column.Refs != "" {
			var err error
			if text, err = x.refText(ctx, c.Column.Refs, s.value); err != nil {
				return nil, err
			}
		}
		*v.side(i) = text
	}
	if empty {
		return nil, nil
	}
	if c.Column.Type.IsSecret() && v.Rule == "" && c.HasBase && c.HasDesired {
		v.Rule = "changed in legacy"
		if reflect.DeepEqual(c.Base, c.Projected) || c.Same {
			v.Rule = "unchanged in legacy"
		}
	}
	return []ExplainedColumn{v}, nil
}

type columnSide struct {
	value any
	has   bool
}

func (v *ExplainedColumn) side(i int) *string {
	return []*string{&v.Base, &v.Desired, &v.Observed, &v.Effective}[i]
}

// entryViews show the entries of a map, each as a column of its own.
func entryViews(c load.ColumnTrace, sides []columnSide) []ExplainedColumn {
	names := map[string]bool{}
	maps := make([]map[string][]string, len(sides))
	for i, s := range sides {
		maps[i], _ = s.value.(map[string][]string)
		for name := range maps[i] {
			names[name] = true
		}
	}
	var out []ExplainedColumn
	for _, name := range sortedNames(names) {
		v := ExplainedColumn{Column: c.Column.Name + "." + name, Same: true}
		var first []string
		some := false
		for i, s := range sides {
			if !s.has {
				continue
			}
			list := slices.Sorted(slices.Values(maps[i][name]))
			if some {
				v.Same = v.Same && slices.Equal(first, list)
			}
			first, some = list, true
			*v.side(i) = showNamed(name, maps[i][name])
		}
		if !v.Same {
			v.Rule, v.Allow = c.Rule, c.Allow
		}
		out = append(out, v)
	}
	return out
}

// seen shows what the run saw of the row in the target last: where it read
// back what it wrote, that; else what the plan was made from.
func (x *explaining) seen(ctx context.Context, f foundRow) (*ExplainedSight, error) {
	sn := load.Snapshot(x.observed)
	if x.verified != nil {
		row, err := get(ctx, x.verified, schemas.Scope, scopeID(f))
		if err != nil {
			return nil, err
		}
		if row != nil {
			sn = x.verified
		}
	}
	out := &ExplainedSight{Snapshot: sn.Digest().Short()}
	scope, err := get(ctx, sn, schemas.Scope, scopeID(f))
	if err != nil {
		return nil, err
	}
	out.Looked = scope != nil
	row, err := get(ctx, sn, f.entity, f.id)
	if err != nil {
		return nil, err
	}
	if row != nil {
		shape, _ := sn.Table(f.entity)
		out.There = true
		out.Cells = cells(shape, row, x.namer(ctx))
	}
	if f.entity != schemas.Users {
		return out, nil
	}
	for _, table := range []string{schemas.Memberships, schemas.Credentials} {
		rows, err := x.dependentRows(ctx, sn, table, table, f.id)
		if err != nil {
			return nil, err
		}
		shape := schemas.Entities()[table]
		for _, r := range rows {
			out.Rows = append(out.Rows, ExplainedSightOfRow{Table: table, Key: r.Key, Cells: cells(&shape, &r, x.namer(ctx))})
		}
	}
	return out, x.foreign(ctx, sn, f, out)
}

// foreign notes an account in the way.
func (x *explaining) foreign(ctx context.Context, sn load.Snapshot, f foundRow, out *ExplainedSight) error {
	row, err := get(ctx, sn, load.ForeignAccounts, f.id)
	if err != nil || row == nil {
		return err
	}
	shape, _ := sn.Table(load.ForeignAccounts)
	text := func(column string) string {
		i := shape.Column(column)
		if i < 0 { // of an older snapshot
			return ""
		}
		s, _ := row.Values[i].(string)
		return s
	}
	if rule := text("rule"); rule != "" {
		out.InTheWay = fmt.Sprintf("nobody's account %s agreed in %s: adopted by that rule, if nothing speaks against it", mask.Value(text("username")), rule)
		return nil
	}
	out.InTheWay = foreignText(text("match"), text("username"), text("email"))
	return nil
}

// scopeID is the row of an observation's scope that says that a row was looked
// at.
func scopeID(f foundRow) schemas.RowID {
	if f.entity == schemas.Users {
		return f.id
	}
	return load.StructureMark(f.entity)
}

// namer names referred rows; an error leaves the id as it is.
func (x *explaining) namer(ctx context.Context) func(table string, v any) string {
	return func(table string, v any) string {
		text, err := x.refText(ctx, table, v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return text
	}
}

// now reads the row from the target.
func (x *explaining) now(ctx context.Context, f foundRow) (*ExplainedSight, error) {
	sink := &sight{x: x, f: f, names: x.namer(ctx), out: &ExplainedSight{Looked: true}}
	scope := load.Scope{IDs: x.ids}
	if f.entity != schemas.Users {
		scope.Structure = true
		x.note("to read one of %s from the target, all of its organizations, departments and groups were read", f.entity)
	} else {
		probe, err := x.probe(ctx, f)
		if err != nil {
			return nil, err
		}
		scope.Foreign, scope.Users = true, one(probe)
	}
	if err := x.Target.Observe(ctx, scope, sink); err != nil {
		return nil, err
	}
	slices.SortFunc(sink.out.Rows, func(a, b ExplainedSightOfRow) int {
		return cmp.Or(cmp.Compare(b.Table, a.Table), cmp.Compare(a.Key, b.Key))
	})
	return sink.out, nil
}

func one[T any](v T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) { yield(v, nil) }
}

// probe names the user to look at, with the logins that it would have.
func (x *explaining) probe(ctx context.Context, f foundRow) (load.UserProbe, error) {
	p := load.UserProbe{ID: f.id, Key: f.key}
	p.TargetID, _ = x.ids.TargetID(f.id)
	for _, sn := range []load.Snapshot{x.desired, x.base} {
		row, err := get(ctx, sn, schemas.Users, f.id)
		if err != nil {
			return p, err
		}
		if row == nil {
			continue
		}
		shape, _ := sn.Table(schemas.Users)
		p.Username, _ = row.Values[shape.Column("username")].(string)
		p.Email, _ = row.Values[shape.Column("email")].(string)
		return p, nil
	}
	return p, nil
}

// sight takes what the target says of one row.
type sight struct {
	x     *explaining
	f     foundRow
	names func(table string, v any) string
	out   *ExplainedSight
}

var _ load.Sink = (*sight)(nil)

// Row implements load.Sink.
func (s *sight) Row(table string, row schemas.Row, targetID string) error {
	shape := schemas.Entities()[table]
	switch {
	case table == s.f.entity && row.ID == s.f.id:
		s.out.There = true
		s.out.Cells = append([]ExplainedCell{{"target id", targetID}}, cells(&shape, &row, s.names)...)
	case s.f.entity == schemas.Users && shape.DependsOn == schemas.Users:
		s.out.Rows = append(s.out.Rows, ExplainedSightOfRow{Table: table, Key: row.Key, Cells: cells(&shape, &row, s.names)})
	}
	return nil
}

// Absent implements load.Sink.
func (s *sight) Absent(load.UserProbe) error { return nil }

// Foreign implements load.Sink.
func (s *sight) Foreign(_ load.UserProbe, f load.ForeignAccount) error {
	s.out.InTheWay = foreignText(f.Match, f.Username, f.Email)
	return nil
}

// checkWords name what a row that stands has passed, for the mapping's section.
func checkWords(e *ExplainedEntity) string {
	words := []string{"required fields", "lengths and characters", "attribute names", "uniqueness", "references"}
	if e.Template != "" {
		words = append(words, "template "+e.Template)
	}
	return strings.Join(words, ", ")
}
