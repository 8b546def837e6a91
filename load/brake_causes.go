package load

import (
	"cmp"
	"maps"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// brakeKinds are the kinds of change that an operation is.
func brakeKinds(op *Operation) []BrakeKind {
	switch op.Class() {
	case Created:
		if op.Kind == Link && len(op.Widens) > 0 { // of a user that is there already
			return []BrakeKind{BrakeCreates, BrakeGrants}
		}
		return []BrakeKind{BrakeCreates}
	case Removed:
		return []BrakeKind{BrakeDeletes}
	case Disabled:
		return []BrakeKind{BrakeDisables}
	}
	kinds := []BrakeKind{BrakeUpdates}
	if op.Disables {
		kinds = append(kinds, BrakeDisables)
	}
	if slices.Contains(op.Widens, AllowEnable) {
		kinds = append(kinds, BrakeEnables)
	}
	if slices.ContainsFunc(op.Widens, func(w string) bool { return w != AllowEnable }) {
		kinds = append(kinds, BrakeGrants)
	}
	return kinds
}

// grantWords say what a grant gives.
var grantWords = map[string]string{
	AllowRoles:    "more roles",
	AllowGroups:   "more groups",
	AllowLinks:    "more memberships or links",
	AllowPassword: "an older password",
}

// reasons say why an operation is of a kind.
func (b *brakes) reasons(op *Operation, k BrakeKind) []string {
	switch {
	case op.Gone && b.restores:
		return []string{"not in the checkpoint"}
	case b.restores:
		return []string{"as in the checkpoint"}
	case op.Gone:
		return []string{"no longer in legacy"}
	case k == BrakeCreates && slices.Contains(op.Widens, AllowRecreate):
		return []string{"deleted in the target, made anew"}
	case k == BrakeCreates:
		return []string{"new in legacy"}
	case k == BrakeDisables:
		return []string{"disabled in legacy"}
	case k == BrakeEnables && slices.Contains(op.Columns, "enabled"):
		return []string{"enabled in legacy"}
	case k == BrakeEnables:
		return []string{"ends later in legacy"}
	case k == BrakeGrants:
		var out []string
		for _, w := range op.Widens {
			if w != AllowEnable {
				out = append(out, cmp.Or(grantWords[w], w))
			}
		}
		return out
	case k == BrakeUpdates:
		var out []string
		for _, c := range op.Columns {
			out = append(out, c+" changed")
		}
		return out
	}
	return nil
}

// topCauses is how many causes a brake names.
const topCauses = 3

// topReasons returns the most frequent causes; equal ones in the order of
// their names, so that a plan made again is the same.
func topReasons(counts map[string]int64) []Cause {
	var out []Cause
	for _, r := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, Cause{Reason: r, Count: counts[r]})
	}
	slices.SortStableFunc(out, func(a, b Cause) int { return cmp.Compare(b.Count, a.Count) })
	return out[:min(topCauses, len(out))]
}

// whereabouts knows the departments by name, and who is being planned. Departments
// and organizations fit in memory, users do not.
type whereabouts struct {
	names                    map[schemas.RowID]string
	person                   *person
	organization, department int // columns of memberships
}

const noDepartment = "no department"

func newWhereabouts() whereabouts {
	m := schemas.Entities()[schemas.Memberships]
	return whereabouts{names: map[schemas.RowID]string{}, organization: m.Column("organization"), department: m.Column("department")}
}

// know takes the names of structure rows, of base and then of desired. Tables
// come parents first.
func (p *whereabouts) know(states []*structState) {
	for _, st := range states {
		for _, rows := range []map[schemas.RowID]schemas.Row{st.base, st.desired} {
			for id := range rows {
				row := rows[id]
				p.names[id] = p.name(st.shape, &row)
			}
		}
	}
}

func (p *whereabouts) name(shape *schemas.Table, row *schemas.Row) string {
	switch shape.Name {
	case schemas.Organizations:
		return text(cell(shape, row, "alias"))
	case schemas.Departments:
		organization, _ := ref(cell(shape, row, "organization"))
		return p.names[organization] + text(cell(shape, row, "path"))
	case schemas.Groups:
		return text(cell(shape, row, "path"))
	}
	return row.Key
}

// of says where an operation's row belongs: a structure row is its own place, a
// membership has one, a user those of all its memberships.
func (p *whereabouts) of(op *Operation) []string {
	if op.Table != schemas.Users && op.Table != schemas.Credentials && op.Table != schemas.Memberships {
		return []string{cmp.Or(p.names[op.ID], op.Key)}
	}
	if p.person == nil {
		return []string{noDepartment}
	}
	x := p.person
	if op.Table == schemas.Memberships {
		if m := cmp.Or(find(x.desired.memberships, op.ID), find(x.base.memberships, op.ID)); m != nil {
			return []string{p.membership(m)}
		}
		return []string{noDepartment}
	}
	memberships := x.desired.memberships
	if len(memberships) == 0 {
		memberships = x.base.memberships
	}
	var out []string
	for i := range memberships {
		out = append(out, p.membership(&memberships[i]))
	}
	if len(out) == 0 {
		return []string{noDepartment}
	}
	return asSet(out)
}

func (p *whereabouts) membership(m *schemas.Row) string {
	if id, ok := ref(m.Values[p.department]); ok {
		return cmp.Or(p.names[id], "a department that is gone")
	}
	if id, ok := ref(m.Values[p.organization]); ok && p.names[id] != "" {
		return p.names[id] + ", " + noDepartment
	}
	return noDepartment
}

// sources names what an entity's rows come from; a restore has none.
func (b *brakes) sources(table string) []string {
	if b.restores {
		return nil
	}
	return b.o.Sources[table]
}
