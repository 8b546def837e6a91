package pipelines

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/internal/mask"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
	"github.com/parallelrun/parallelrun/transform"
)

// Explanation is one record's way from source to target. Its values are as
// people may see them: secrets are named, never shown.
type Explanation struct {
	Run       string `json:"run"`
	Migration string `json:"migration"`
	Source    string `json:"source"`
	Target    string `json:"target"`
	Table     string `json:"table"`
	Key       string `json:"key"`

	Plan      snapshots.Digest `json:"plan"`
	Legacy    snapshots.Digest `json:"legacy"`
	Desired   snapshots.Digest `json:"desired"`
	Base      snapshots.Digest `json:"base"`
	Observed  snapshots.Digest `json:"observed"`
	Effective snapshots.Digest `json:"effective"`

	// Notes say what else a reader should know, such as what had to be searched.
	Notes    []string          `json:"notes,omitempty"`
	Sources  []ExplainedSource `json:"sources"`
	Entities []ExplainedEntity `json:"entities"`
}

// ExplainedSource is a legacy row with what the mapping's rules made of it.
type ExplainedSource struct {
	Table string          `json:"table"`
	Key   string          `json:"key"`
	Cells []ExplainedCell `json:"cells"`
	Rules []ExplainedRule `json:"rules"`
}

// ExplainedCell is one value, fit to be shown.
type ExplainedCell struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// ExplainedRule is what one rule made of the row.
type ExplainedRule struct {
	Rule   string          `json:"rule"`
	Entity string          `json:"entity"`
	At     string          `json:"at"` // file:line
	Takes  bool            `json:"takes"`
	Steps  []ExplainedStep `json:"steps,omitempty"`
	Rest   []string        `json:"rest,omitempty"` // attributes passed on by name
}

// ExplainedStep is one expression and what it came to.
type ExplainedStep struct {
	Place      string `json:"place"`
	At         string `json:"at"`
	Expression string `json:"expression"`
	Item       string `json:"item,omitempty"`
	Value      string `json:"value"`
	Mark       string `json:"mark,omitempty"`
	Error      string `json:"error,omitempty"`
}

// ExplainedEntity is a row of an entity: what the mapping made of it, and how
// it was planned with the rows that belong to it.
type ExplainedEntity struct {
	Entity   string `json:"entity"`
	Key      string `json:"key"`
	ID       string `json:"id"`
	TargetID string `json:"target_id,omitempty"`
	// Class is stands, rejected, excluded or absent, in the desired snapshot.
	Class      string              `json:"class"`
	Reasons    []ExplainedReason   `json:"reasons,omitempty"`
	Template   string              `json:"template,omitempty"`
	References []ExplainedLookup   `json:"references,omitempty"`
	Merged     *ExplainedMerge     `json:"merged,omitempty"`
	Dependents []ExplainedRejected `json:"rejected_dependents,omitempty"`
	Rows       []ExplainedRow      `json:"rows,omitempty"`
	Seen       *ExplainedSight     `json:"target,omitempty"`
	Now        *ExplainedSight     `json:"target_now,omitempty"`
}

// ExplainedReason is why a row is rejected or excluded.
type ExplainedReason struct {
	Rule    string `json:"rule"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
}

// ExplainedLookup is a reference: the legacy value, the lookups that were asked,
// and the rows that the desired row has for it.
type ExplainedLookup struct {
	Of      string   `json:"of"`
	Field   string   `json:"field"`
	Value   string   `json:"value"`
	Lookups []string `json:"lookups"`
	Found   string   `json:"found"`
}

// ExplainedMerge is how several source rows became one.
type ExplainedMerge struct {
	Lead   string            `json:"lead"`
	Others []string          `json:"others"`
	Filled map[string]string `json:"filled,omitempty"` // field to the key it came from
}

// ExplainedRejected is a row of a user that does not stand.
type ExplainedRejected struct {
	Table   string            `json:"table"`
	Key     string            `json:"key"`
	Class   string            `json:"class"`
	Reasons []ExplainedReason `json:"reasons"`
}

// ExplainedRow is how the plan settles one row.
type ExplainedRow struct {
	Table      string              `json:"table"`
	Key        string              `json:"key"`
	ID         string              `json:"id"`
	Verdict    string              `json:"verdict"`
	Projection []ExplainedNote     `json:"projection,omitempty"`
	Columns    []ExplainedColumn   `json:"columns,omitempty"`
	Operation  *ExplainedOperation `json:"operation,omitempty"`
	Findings   []ExplainedFinding  `json:"findings,omitempty"`
}

// ExplainedNote is what the target's dialect does to a field.
type ExplainedNote struct {
	Column string `json:"column,omitempty"`
	What   string `json:"what"`
	Why    string `json:"why"`
}

// ExplainedColumn is a column on its sides; empty for a side without it.
type ExplainedColumn struct {
	Column    string `json:"column"`
	Base      string `json:"base,omitempty"`
	Desired   string `json:"desired,omitempty"`
	Observed  string `json:"observed,omitempty"`
	Effective string `json:"effective,omitempty"`
	Same      bool   `json:"same"`
	Rule      string `json:"rule,omitempty"`
	Allow     string `json:"allow,omitempty"`
}

// ExplainedOperation is what was planned for the row, and what came of it.
type ExplainedOperation struct {
	Seq     int64    `json:"seq"`
	Kind    string   `json:"kind"`
	Columns []string `json:"columns,omitempty"`
	With    int64    `json:"with,omitempty"`
	// Parked are the columns that go through a temporary value, After the
	// operations that come first.
	Parked  []string `json:"parked,omitempty"`
	After   []int64  `json:"after,omitempty"`
	Widens  []string `json:"widens,omitempty"`
	Range   int      `json:"range"`
	File    string   `json:"file"`
	Outcome string   `json:"outcome"`
	Message string   `json:"message,omitempty"`
	At      string   `json:"at,omitempty"`
}

// ExplainedFinding is an entry of the plan's lists.
type ExplainedFinding struct {
	List    string   `json:"list"`
	Columns []string `json:"columns,omitempty"`
	Kinds   []string `json:"kinds,omitempty"`
	Reason  string   `json:"reason,omitempty"`
}

// ExplainedSight is what the target held at some time.
type ExplainedSight struct {
	// Snapshot is empty for a look at the target now.
	Snapshot string                `json:"snapshot,omitempty"`
	There    bool                  `json:"there"`
	Looked   bool                  `json:"looked"`
	Cells    []ExplainedCell       `json:"cells,omitempty"`
	Rows     []ExplainedSightOfRow `json:"rows,omitempty"`
	// InTheWay is an account that is nobody's and has the login of this one.
	InTheWay string `json:"in_the_way,omitempty"`
}

// ExplainedSightOfRow is a row of a user in the target.
type ExplainedSightOfRow struct {
	Table string          `json:"table"`
	Key   string          `json:"key,omitempty"`
	Cells []ExplainedCell `json:"cells"`
}

// entity explains one row of an entity with what belongs to it.
func (x *explaining) entity(ctx context.Context, f foundRow) (*ExplainedEntity, error) {
	if len(x.out.Sources) == 0 {
		x.sources()
	}
	e := &ExplainedEntity{Entity: f.entity, Key: f.key, ID: f.id.String(), TargetID: x.targetID(f)}
	desired, err := x.verdict(ctx, f, e)
	if err != nil {
		return nil, err
	}
	if err := x.references(ctx, f, desired, e); err != nil {
		return nil, err
	}
	if m := x.merged[f.id]; m != nil {
		e.Merged = mergeView(m)
	}
	if f.entity == schemas.Users {
		if e.Dependents, err = x.rejectedDependents(ctx, f.id); err != nil {
			return nil, err
		}
	}
	if err := x.planned(ctx, f, e); err != nil {
		return nil, err
	}
	if e.Seen, err = x.seen(ctx, f); err != nil || !x.o.TargetNow {
		return e, err
	}
	e.Now, err = x.now(ctx, f)
	return e, err
}

func (x *explaining) targetID(f foundRow) string {
	if id, ok := x.ids.TargetID(f.id); ok {
		return id
	}
	if f.entity == schemas.Users {
		return x.Target.UserID(f.id)
	}
	return ""
}

// sources shows the legacy rows and the rules.
func (x *explaining) sources() {
	for _, t := range x.traces {
		shape, _ := x.legacy.Table(t.Table)
		s := ExplainedSource{Table: t.Table, Key: t.Row.Key, Cells: cells(shape, &t.Row, nil)}
		for _, r := range t.Rules {
			s.Rules = append(s.Rules, ruleView(r))
		}
		x.out.Sources = append(x.out.Sources, s)
	}
}

func ruleView(r transform.RuleTrace) ExplainedRule {
	out := ExplainedRule{Rule: r.Name, Entity: r.Entity, At: fmt.Sprintf("%s:%d", r.File, r.Line), Takes: r.Takes}
	marks := map[string]string{}
	for _, c := range r.Candidates {
		maps.Copy(marks, c.Marks)
		out.Rest = append(out.Rest, c.Rest...)
	}
	for _, s := range r.Steps {
		step := ExplainedStep{Place: s.Place, At: fmt.Sprintf("%s:%d", r.File, s.Line), Expression: oneLine(s.Source), Item: showText(s.Item), Mark: marks[s.Place], Error: s.Err}
		if s.Source == "" {
			step.Expression = "constant"
		}
		if step.Value = showAs(typeOfStep(r.Entity, s.Place), s.Value); s.Sealed > 0 {
			step.Value = sealedText(s.Sealed)
		}
		out.Steps = append(out.Steps, step)
	}
	return out
}

// typeOfStep is the type of the column that an expression gives; times are
// numbers otherwise.
func typeOfStep(entity, place string) schemas.Type {
	table := schemas.Entities()[entity]
	if name, ok := strings.CutPrefix(place, "columns."); ok {
		if i := table.Column(name); i >= 0 {
			return table.Columns[i].Type
		}
	}
	return schemas.String
}

// verdict says what the desired snapshot has of the row.
func (x *explaining) verdict(ctx context.Context, f foundRow, e *ExplainedEntity) (*schemas.Row, error) {
	e.Class = "absent"
	var desired *schemas.Row
	var err error
	if f.candidate == nil || f.candidate.Excluded == "" {
		if desired, err = get(ctx, x.desired, f.entity, f.id); err != nil {
			return nil, err
		}
	}
	if f.candidate != nil {
		e.Template = f.candidate.Template
	}
	if desired != nil {
		e.Class = "stands"
		return desired, nil
	}
	ids := []schemas.RowID{f.id}
	if f.candidate != nil {
		ids = []schemas.RowID{f.candidate.OtherID, f.id}
	}
	for _, id := range ids {
		row, err := get(ctx, x.desired, schemas.RejectedTable(f.entity), id)
		if err != nil {
			return nil, err
		}
		if row != nil {
			e.Class, e.Reasons = reasons(f.entity, row)
			return nil, nil
		}
	}
	return nil, nil
}

// reasons reads a row of a rejected table.
func reasons(entity string, row *schemas.Row) (class string, out []ExplainedReason) {
	shape := schemas.Rejected(entity)
	texts := func(column string) []string {
		l, _ := row.Values[shape.Column(column)].([]string)
		return l
	}
	class, _ = row.Values[shape.Column("class")].(string)
	rules, fields, messages := texts("rules"), texts("fields"), texts("messages")
	for i, r := range rules {
		out = append(out, ExplainedReason{Rule: r, Field: fields[i], Message: messages[i]})
	}
	return class, out
}

// references shows what lookups were asked, and which rows the desired row has
// for it.
func (x *explaining) references(ctx context.Context, f foundRow, desired *schemas.Row, e *ExplainedEntity) error {
	if f.candidate == nil {
		return nil
	}
	add := func(c *transform.Candidate, row *schemas.Row) error {
		for _, r := range c.References {
			l := ExplainedLookup{Of: c.Entity, Field: r.Field, Value: showAs(schemas.Strings, r.Values), Lookups: r.Lookups, Found: "(no desired row holds it)"}
			if row != nil {
				found, err := x.referred(ctx, c.Entity, r.Field, row)
				if err != nil {
					return err
				}
				l.Found = found
			}
			e.References = append(e.References, l)
		}
		return nil
	}
	if err := add(f.candidate, desired); err != nil || desired == nil {
		return err
	}
	return x.dependentReferences(ctx, f, add)
}

// dependentReferences are those of the memberships that stand, which are told
// apart by their order only where there is one of them.
func (x *explaining) dependentReferences(ctx context.Context, f foundRow, add func(*transform.Candidate, *schemas.Row) error) error {
	rows, err := x.dependentRows(ctx, x.desired, schemas.Memberships, schemas.Memberships, f.id)
	if err != nil {
		return err
	}
	for _, d := range f.candidate.Dependents {
		if d.Entity != schemas.Memberships {
			continue
		}
		var row *schemas.Row
		if len(rows) == 1 {
			row = &rows[0]
		}
		if row == nil && len(rows) > 1 {
			row, err = x.membershipOf(ctx, rows, d)
		}
		if err == nil {
			err = add(d, row)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// membershipOf finds the membership that a candidate became: the one whose
// department the lookup's own value leads to.
func (x *explaining) membershipOf(ctx context.Context, rows []schemas.Row, d *transform.Candidate) (*schemas.Row, error) {
	i := slices.IndexFunc(d.References, func(r transform.Reference) bool { return r.Field == "department" })
	if i < 0 {
		return nil, nil
	}
	// The row's key ends in the key of its department, and that row's source
	// says by which value it is known.
	shape := schemas.Entities()[schemas.Memberships]
	at := shape.Column("department")
	for j := range rows {
		ref, _ := rows[j].Values[at].(string)
		id, err := schemas.ParseRowID(ref)
		if err != nil {
			continue
		}
		known, err := x.answersTo(ctx, schemas.Departments, id, d.References[i])
		if err != nil {
			return nil, err
		}
		if known {
			return &rows[j], nil
		}
	}
	return nil, nil
}

// answersTo says whether a row is known to lookups under a reference's value.
func (x *explaining) answersTo(ctx context.Context, entity string, id schemas.RowID, ref transform.Reference) (bool, error) {
	row, err := get(ctx, x.desired, entity, id)
	if err != nil || row == nil {
		return false, err
	}
	for _, o := range x.rules.SourceTables(entity) {
		source, err := get(ctx, x.legacy, o.Table, x.legacyID(o.Table, row.Key))
		if err != nil {
			return false, err
		}
		if source != nil && x.rules.Answers(o.Table, *source, ref) {
			return true, nil
		}
	}
	return false, nil
}

// referred names the rows that a reference column of a desired row holds.
func (x *explaining) referred(ctx context.Context, entity, field string, row *schemas.Row) (string, error) {
	shape := schemas.Entities()[entity]
	i := shape.Column(field)
	if i < 0 || i >= len(row.Values) || shape.Columns[i].Refs == "" {
		return "counted in the joins", nil
	}
	return x.refText(ctx, shape.Columns[i].Refs, row.Values[i])
}

// shownRefs bounds the rows of a list that are named.
const shownRefs = 12

// refText names the rows behind references: departments d-17.
func (x *explaining) refText(ctx context.Context, table string, v any) (string, error) {
	var ids []string
	switch v := v.(type) {
	case string:
		ids = []string{v}
	case []string:
		ids = v
	}
	var names []string
	for _, ref := range ids[:min(len(ids), shownRefs)] {
		name, err := x.nameOf(ctx, table, ref)
		if err != nil {
			return "", err
		}
		names = append(names, name)
	}
	if more := len(ids) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	if len(names) == 0 {
		return noValue, nil
	}
	return table + " " + strings.Join(names, ", "), nil
}

// nameOf is the legacy key of the row that a reference means.
func (x *explaining) nameOf(ctx context.Context, table, ref string) (string, error) {
	if name, ok := x.keys[ref]; ok {
		return name, nil
	}
	name := ref
	if id, err := schemas.ParseRowID(ref); err == nil {
		for _, sn := range []load.Snapshot{x.desired, x.base} {
			row, err := get(ctx, sn, table, id)
			if err != nil {
				return "", err
			}
			if row != nil {
				name = row.Key
				break
			}
		}
	}
	x.keys[ref] = name
	return name, nil
}

func mergeView(m *transform.Merge) *ExplainedMerge {
	out := &ExplainedMerge{Lead: m.Lead.Key, Filled: map[string]string{}}
	for _, o := range m.Others {
		out.Others = append(out.Others, o.Key)
	}
	for field, from := range m.Filled {
		out.Filled[field] = from.Key
	}
	return out
}

// dependentRows are the rows of a table that belong to a user. Of a rejected
// table nobody says whose a row is but its id.
func (x *explaining) dependentRows(ctx context.Context, sn load.Snapshot, table, entity string, user schemas.RowID) ([]schemas.Row, error) {
	shape, ok := sn.Table(table)
	if !ok {
		return nil, nil
	}
	var from schemas.RowID
	copy(from[:8], user[:8])
	var out []schemas.Row
	owner := shape.Column("user")
	for row, err := range sn.Scan(ctx, table, parts.ScanOptions{From: from, To: prefixEnd(from)}) {
		if err != nil {
			return nil, err
		}
		if owner < 0 || row.Values[owner] == any(user.String()) {
			out = append(out, align(schemas.Entities()[entity], shape, row, owner))
		}
	}
	return out, nil
}

// align gives a stored row the columns that this program knows; rows of
// rejected tables, which have no owner, stay as they are.
func align(to schemas.Table, from *schemas.Table, row schemas.Row, owner int) schemas.Row {
	if owner < 0 {
		return row
	}
	out := schemas.Row{ID: row.ID, Key: row.Key, Values: make([]any, len(to.Columns))}
	for i, c := range to.Columns {
		if at := from.Column(c.Name); at >= 0 {
			out.Values[i] = row.Values[at]
		}
	}
	return out
}

// prefixEnd is the first id after those that share the first half.
func prefixEnd(from schemas.RowID) schemas.RowID {
	for i := 7; i >= 0; i-- {
		if from[i]++; from[i] != 0 {
			return from
		}
	}
	return schemas.RowID{}
}

func (x *explaining) rejectedDependents(ctx context.Context, user schemas.RowID) ([]ExplainedRejected, error) {
	var out []ExplainedRejected
	for _, entity := range []string{schemas.Memberships, schemas.Credentials} {
		rows, err := x.dependentRows(ctx, x.desired, schemas.RejectedTable(entity), entity, user)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			r := ExplainedRejected{Table: entity, Key: row.Key}
			r.Class, r.Reasons = reasons(entity, &row)
			out = append(out, r)
		}
	}
	return out, nil
}

// foreignText describes an account in the way, which is somebody else's.
func foreignText(match, username, email string) string {
	return fmt.Sprintf("another account has the same %s (username %s, e-mail %s)", match, mask.Value(username), mask.Value(email))
}
