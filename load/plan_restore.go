package load

import (
	"context"
	"maps"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// recreates says that a row which the target lacks was there once, so that to
// create it gives back what somebody took away: it is in base, or the plan is
// a restore to a target that was loaded before, not into an empty one.
func (p *planner) recreates(base *schemas.Row) bool {
	return base != nil || p.in.Options.Restore != nil && p.wasLoaded()
}

// wasLoaded says that something is confirmed to stand in the target, be it a
// group that a restore left alone.
func (p *planner) wasLoaded() bool {
	return p.in.Base.Rows(schemas.Users)+p.in.Base.Rows(schemas.Organizations)+p.in.Base.Rows(schemas.Groups) > 0
}

// deletesCreated says that a user who is not in the checkpoint is to be deleted:
// it was asked for, we created the account, and nobody changed it since.
func (p *userPlanner) deletesCreated(x *person) bool {
	if o := p.in.Options.Restore; o == nil || !o.DeleteCreated || !created(x.mapped) {
		return false
	}
	if changedSince(p.users.shape, x.base.user, x.observed.user, p.users.seen) {
		return false
	}
	for _, d := range x.base.dependents() {
		seen, theirs := p.memberships.seen, p.theirMembership
		if d.table == schemas.Credentials {
			seen, theirs = p.passwords.seen, p.theirCredential
		}
		observed := theirs(x, d.row)
		shape := p.shapes[d.table]
		if observed != nil && changedSince(&shape, d.row, observed, seen) {
			return false
		}
	}
	return true
}

// created says by its entry in the id map that we created a row.
func created(mapped *schemas.Row) bool {
	shape := schemas.IDMapTable()
	return mapped != nil && text(cell(&shape, mapped, "origin")) == OriginCreated
}

// deleteUser plans the end of an account; what belongs to it ends with it.
func (p *userPlanner) deleteUser(ctx context.Context, x *person, missing []dependent) error {
	u := x.base.user
	seq, err := p.userOperation(ctx, Operation{Table: schemas.Users, Kind: Delete, ID: u.ID, Key: u.Key, Gone: true})
	if err != nil {
		return err
	}
	for _, d := range missing {
		if x.rejected[d.row.ID] {
			continue
		}
		section, kind := SectionMemberships, Unlink
		if d.table == schemas.Credentials {
			section, kind = SectionCredentials, Delete
		}
		if _, err := p.operation(ctx, section, d.table, Operation{Table: d.table, Kind: kind, ID: d.row.ID, Key: d.row.Key, Gone: true, With: seq}); err != nil {
			return err
		}
	}
	return nil
}

// keepsTheirs says that a restore leaves a row which the checkpoint does not
// have, because others changed it since.
func (p *planner) keepsTheirs(shape *schemas.Table, base, observed *schemas.Row, seen columns) bool {
	o := p.in.Options.Restore
	return o != nil && !o.Overwrite && observed != nil && changedSince(shape, base, observed, seen)
}

// Reasons of rows that a plan leaves or withholds.
const (
	changedInTarget = "changed in the target since"
	madeSince       = "made since the checkpoint"
	madeInTarget    = "made in the target"
	deletedInTarget = "deleted in the target"
)

// listMadeSince lists a row that a restore leaves in the target although the
// checkpoint does not have it: a disabled account, and what stays with it.
func (p *planner) listMadeSince(ctx context.Context, table string, row *schemas.Row) error {
	if p.in.Options.Restore == nil {
		return nil
	}
	return p.find(ctx, ListKept, Finding{Table: table, ID: row.ID, Key: row.Key, Reason: madeSince})
}

// besideOurs is the list of what the target has beside our rows. A restore
// keeps it as it keeps what others changed: both are how the target goes on to
// differ from the checkpoint.
func (p *planner) besideOurs() string {
	if p.in.Options.Restore != nil {
		return ListKept
	}
	return ListExtra
}

// withholdUser leaves out a user who was deleted in the target, with all that
// belongs to it, until the operator asks for it.
func (p *userPlanner) withholdUser(ctx context.Context, x *person) error {
	f := Finding{Table: schemas.Users, ID: x.id, Key: x.desired.user.Key, Kinds: []string{AllowRecreate}, Reason: deletedInTarget}
	if err := p.find(ctx, ListWithheld, f); err != nil {
		return err
	}
	for _, d := range x.desired.dependents() {
		f := Finding{Table: d.table, ID: d.row.ID, Key: d.row.Key, Kinds: []string{AllowRecreate}, Reason: "its user was " + deletedInTarget}
		if err := p.find(ctx, ListWithheld, f); err != nil {
			return err
		}
	}
	return p.conflictUser(ctx, x, deletedInTarget)
}

// withholdStructure is withholdUser for a row of the structure.
func (p *planner) withholdStructure(ctx context.Context, st *structState, want *schemas.Row) error {
	f := Finding{Table: st.shape.Name, ID: want.ID, Key: want.Key, Kinds: []string{AllowRecreate}, Reason: deletedInTarget}
	if err := p.find(ctx, ListWithheld, f); err != nil {
		return err
	}
	return p.structureConflict(ctx, st, want, deletedInTarget)
}

// listNotOurs lists the rows of a structure table that a restore leaves because
// others made them.
func (p *planner) listNotOurs(ctx context.Context, st *structState) error {
	if p.in.Options.Restore == nil {
		return nil
	}
	for _, id := range slices.SortedFunc(maps.Keys(st.observed), schemas.RowID.Compare) {
		if st.ours(id) {
			continue
		}
		f := Finding{Table: st.shape.Name, ID: id, Key: st.observed[id].Key, Reason: madeInTarget}
		if err := p.find(ctx, ListKept, f); err != nil {
			return err
		}
	}
	return nil
}

// keepRow leaves a row of base as it stands.
func (p *userPlanner) keepRow(ctx context.Context, x *person, d dependent) error {
	p.settle(d.table, Unchanged)
	if err := p.find(ctx, ListKept, Finding{Table: d.table, ID: d.row.ID, Key: d.row.Key, Reason: changedInTarget}); err != nil {
		return err
	}
	if err := p.hold(ctx, d.table, d.row); err != nil {
		return err
	}
	return p.dependentStands(ctx, x, d)
}

// deletesCreatedRow says that a row of the structure which is not in the
// checkpoint is to be deleted.
func (p *planner) deletesCreatedRow(st *structState, base, observed *schemas.Row) bool {
	e, _ := p.ids.Entry(base.ID)
	return p.in.Options.Restore.DeleteCreated && e.Origin == OriginCreated && !changedSince(st.shape, base, observed, st.merger.seen)
}

// structureStays leaves a row of the structure that is not in the checkpoint.
func (p *planner) structureStays(ctx context.Context, st *structState, base, observed *schemas.Row) error {
	p.settle(st.shape.Name, Unchanged)
	if err := p.find(ctx, ListKept, Finding{Table: st.shape.Name, ID: base.ID, Key: base.Key, Reason: madeSince}); err != nil {
		return err
	}
	if err := p.hold(ctx, st.shape.Name, base); err != nil {
		return err
	}
	return p.write(ctx, st.shape.Name, overlay(base, observed, st.merger.seen))
}
