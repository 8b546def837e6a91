package load

import (
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// grantingColumns of a user are all that its access depends on beside its
// memberships.
var grantingColumns = []string{"enabled", "realm_roles", "groups", "federated_links", "expires_at"}

// markMoved notes the places through which another lot comes after the plan.
func (d *accessDiff) markMoved() {
	d.moved = map[schemas.RowID]bool{}
	for _, table := range []string{schemas.Organizations, schemas.Departments, schemas.Groups} {
		for _, side := range []*places{d.before, d.after} {
			for id := range side.of[table] {
				a, b := d.before.of[table][id], d.after.of[table][id]
				if a == nil || b == nil || a.shut != b.shut || !sameGrants(d.before.through(table, id), d.after.through(table, id)) {
					d.moved[id] = true
				}
			}
		}
	}
}

// sameGrants compares grants in their order: a mere change of order is taken
// for a difference, and looked at closely.
func sameGrants(a, b []Grant) bool {
	return slices.EqualFunc(a, b, func(x, y Grant) bool { return x.key == y.key && x.Encoded == y.Encoded })
}

// untouched says at a glance that a user's access is as it was, which in most
// runs is true of most. False means that one has to look.
func (d *accessDiff) untouched(before, after *schemas.Row, rowsBefore, rowsAfter []schemas.Row) bool {
	if before == nil || after == nil || len(rowsBefore) != len(rowsAfter) {
		return false
	}
	shape := d.shapes[schemas.Users]
	for _, name := range grantingColumns {
		i := shape.Column(name)
		if !equalCells(&shape.Columns[i], before.Values[i], after.Values[i]) {
			return false
		}
	}
	for _, id := range refsOf(cell(&shape, after, "groups")) {
		if d.moved[id] {
			return false
		}
	}
	shape = d.shapes[schemas.Memberships]
	for i := range rowsBefore {
		for _, name := range []string{"organization", "department", "roles"} {
			j := shape.Column(name)
			if !equalCells(&shape.Columns[j], rowsBefore[i].Values[j], rowsAfter[i].Values[j]) {
				return false
			}
			if id, ok := ref(rowsAfter[i].Values[j]); ok && d.moved[id] {
				return false
			}
		}
	}
	return true
}
