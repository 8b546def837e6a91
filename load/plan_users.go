package load

import (
	"context"
	"errors"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// userPlanner plans users with what belongs to them, one at a time.
type userPlanner struct {
	*planner
	users, memberships merger
	// complete merges users whose profiles belong to Keymate.
	complete        merger
	passwords       *passwords
	seesPasswords   bool
	seesMemberships bool
}

// users streams every user of any state through the planner.
func (p *planner) users(ctx context.Context) error {
	base, hasBase := sideStreams(p.in.Base, p.shapes, func(x *person) *side { return &x.base })
	desired, _ := sideStreams(p.in.Desired, p.shapes, func(x *person) *side { return &x.desired })
	observed, seen := sideStreams(p.in.Observed, p.shapes, func(x *person) *side { return &x.observed })
	for i := range desired { // yielded is counted as rows are read, classes as they are settled
		s := desired[i]
		desired[i].take = func(x *person, row schemas.Row) {
			p.m.Counts.of(s.r.table).Yielded++
			s.take(x, row)
		}
	}
	up := &userPlanner{planner: p, seesPasswords: observed[1].r.there, seesMemberships: observed[2].r.there}
	up.users = p.merger(schemas.Users, hasBase, seen)
	up.complete = up.users
	up.complete.owners = allOwned(up.users.shape, OwnerKeymate)
	up.memberships = p.merger(schemas.Memberships, hasBase, seen)
	credentials := p.shapes[schemas.Credentials]
	up.passwords = newPasswords(&credentials, seen[schemas.Credentials], p.allow)
	up.passwords.restores = p.in.Options.Restore != nil

	streams := slices.Concat(base, desired, observed, rejectedStreams(p.in.Desired), scopeStreams(p.in.Observed), p.in.Reach.streams(), []stream{idStream(p.in.Base)})
	var err error
	if p.contest, err = p.findContest(ctx, up); err != nil {
		return err
	}
	progress := orSilent(p.in.Progress)
	progress.Total(StepPlan, max(p.in.Desired.Rows(schemas.Users), p.in.Base.Rows(schemas.Users)))
	for x, err := range people(ctx, streams, p.from, p.to) {
		if err != nil {
			return err
		}
		if err := up.person(ctx, x); err != nil {
			return err
		}
		if x.desired.user != nil || x.base.user != nil { // rejected rows are no part of the total
			progress.Done(StepPlan, 1)
		}
	}
	return nil
}

func (p *planner) merger(table string, base, seen map[string]columns) merger {
	shape := p.shapes[table]
	return p.mergerOf(&shape, base[table], seen[table])
}

// mergerOf merges a table by the plan's rules.
func (p *planner) mergerOf(shape *schemas.Table, base, seen columns) merger {
	fixed := make(columns, len(shape.Columns))
	for i, c := range shape.Columns {
		fixed[i] = p.in.Profile.Columns[shape.Name][c.Name].Fixed
	}
	return merger{shape: shape, base: base, seen: seen, fixed: fixed, allow: p.allow, owners: p.in.Options.Ownership.of(shape), restore: p.in.Options.Restore, decisions: p.decisions, why: p.why}
}

// person plans one user.
func (p *userPlanner) person(ctx context.Context, x *person) error {
	p.decisions.of(x.id)
	for _, s := range []*side{&x.base, &x.desired} {
		for _, d := range s.dependents() {
			p.decisions.of(d.row.ID)
		}
	}
	p.brakes.places.person = x
	if p.in.Reach.holds(x) {
		p.brakes.reach(x)
	}
	switch {
	case x.desired.user == nil && x.base.user == nil:
		return p.stray(ctx, x)
	case !p.in.Reach.holds(x) && !x.rejected[x.id]:
		return p.waits(ctx, x)
	case x.desired.user != nil:
		return p.yielded(ctx, x)
	case x.rejected[x.id]:
		return p.keep(ctx, x)
	}
	return p.goneUser(ctx, x)
}

// waits plans a user out of reach: all of it is deferred and stands as it is,
// also what legacy no longer has.
func (p *userPlanner) waits(ctx context.Context, x *person) error {
	p.outOfReach(schemas.Users)
	if x.desired.user == nil {
		p.m.Counts.of(schemas.Users).Gone++
	}
	for _, d := range append(x.desired.dependents(), p.missing(x)...) {
		if !x.rejected[d.row.ID] || x.desired.has(d.table, d.row.ID) != nil {
			p.outOfReach(d.table)
		}
	}
	return p.standsAsItIs(ctx, x)
}

// stray plans what is in neither base nor desired.
func (p *userPlanner) stray(ctx context.Context, x *person) error {
	for _, d := range x.desired.dependents() {
		if err := p.conflict(ctx, d.table, d.row, "its user is not there"); err != nil {
			return err
		}
	}
	if x.observed.user == nil {
		return nil
	}
	p.useAll(x)
	return p.find(ctx, p.besideOurs(), Finding{Table: schemas.Users, ID: x.id, Key: x.observed.user.Key, Reason: "ours by its id, but in neither base nor legacy"})
}

// useAll notes what a user is in that the plan leaves alone.
func (p *userPlanner) useAll(x *person) {
	if x.observed.user != nil {
		p.use(schemas.Users, x.observed.user)
	}
	for _, d := range x.observed.dependents() {
		p.use(d.table, d.row)
	}
}

// dependent is a row that belongs to a user.
type dependent struct {
	table string
	row   *schemas.Row
}

func (s *side) dependents() []dependent {
	var out []dependent
	for i := range s.credentials {
		out = append(out, dependent{schemas.Credentials, &s.credentials[i]})
	}
	for i := range s.memberships {
		out = append(out, dependent{schemas.Memberships, &s.memberships[i]})
	}
	return out
}

func find(rows []schemas.Row, id schemas.RowID) *schemas.Row {
	for i := range rows {
		if rows[i].ID == id {
			return &rows[i]
		}
	}
	return nil
}

func (s *side) has(table string, id schemas.RowID) *schemas.Row {
	if table == schemas.Credentials {
		return find(s.credentials, id)
	}
	return find(s.memberships, id)
}

// missing are the rows of base that depend on the user and are no longer
// yielded; whether each is rejected or gone is counted here.
func (p *userPlanner) missing(x *person) []dependent {
	var out []dependent
	for _, d := range x.base.dependents() {
		if x.desired.has(d.table, d.row.ID) != nil {
			continue
		}
		if x.rejected[d.row.ID] || x.rejected[x.id] {
			p.m.Counts.of(d.table).Kept++
		} else {
			p.m.Counts.of(d.table).Gone++
		}
		out = append(out, d)
	}
	return out
}

// keep leaves a user alone that is now rejected: only absence from legacy is
// absence.
func (p *userPlanner) keep(ctx context.Context, x *person) error {
	p.m.Counts.of(schemas.Users).Kept++
	p.missing(x)
	for _, d := range x.desired.dependents() {
		if err := p.conflict(ctx, d.table, d.row, "its user is rejected"); err != nil {
			return err
		}
	}
	return p.standsAsItIs(ctx, x)
}

// standsAsItIs writes what the target holds of a user in base to effective, and
// keeps base.
func (p *userPlanner) standsAsItIs(ctx context.Context, x *person) error {
	p.useAll(x)
	if columns := temporaries(p.users.shape, x.id, x.observed.user); len(columns) > 0 {
		f := Finding{Table: schemas.Users, ID: x.id, Key: x.observed.user.Key, Columns: columns, Reason: leftTemporary}
		if err := p.find(ctx, ListConflicts, f); err != nil {
			return err
		}
	}
	there := !x.looked || x.observed.user != nil
	if x.base.user == nil {
		return nil
	}
	if there {
		if err := p.write(ctx, schemas.Users, overlay(x.base.user, x.observed.user, p.users.seen)); err != nil {
			return err
		}
	}
	if err := p.hold(ctx, schemas.Users, x.base.user); err != nil {
		return err
	}
	for _, d := range x.base.dependents() {
		if there {
			if err := p.dependentStands(ctx, x, d); err != nil {
				return err
			}
		}
		if err := p.hold(ctx, d.table, d.row); err != nil {
			return err
		}
	}
	return nil
}

// dependentStands writes a row of base as the target shows it.
func (p *userPlanner) dependentStands(ctx context.Context, x *person, d dependent) error {
	var observed *schemas.Row
	sees, seen := p.seesMemberships, p.memberships.seen
	if d.table == schemas.Credentials {
		sees, seen = p.seesPasswords, p.passwords.seen
		observed = p.theirCredential(x, d.row)
	} else {
		observed = p.theirMembership(x, d.row)
	}
	if x.looked && sees && observed == nil {
		return nil
	}
	row := overlay(d.row, observed, seen)
	if d.table == schemas.Credentials && observed != nil && observed.Values[p.passwords.changed] != d.row.Values[p.passwords.changed] {
		row.Values[p.passwords.secret] = nil
	}
	return p.write(ctx, d.table, row)
}

// theirCredential finds what the target has of a credential: by row id, else
// by type.
func (p *userPlanner) theirCredential(x *person, ours *schemas.Row) *schemas.Row {
	if r := find(x.observed.credentials, ours.ID); r != nil {
		return r
	}
	shape := p.passwords.shape
	for i := range x.observed.credentials {
		if r := &x.observed.credentials[i]; p.unclaimed(x, schemas.Credentials, r.ID) && cell(shape, r, "type") == cell(shape, ours, "type") {
			return r
		}
	}
	return nil
}

// theirMembership finds what the target has of a membership: by row id, else by
// organization and department.
func (p *userPlanner) theirMembership(x *person, ours *schemas.Row) *schemas.Row {
	if r := find(x.observed.memberships, ours.ID); r != nil {
		return r
	}
	shape := p.memberships.shape
	for i := range x.observed.memberships {
		r := &x.observed.memberships[i]
		if p.unclaimed(x, schemas.Memberships, r.ID) && cell(shape, r, "organization") == cell(shape, ours, "organization") && cell(shape, r, "department") == cell(shape, ours, "department") {
			return r
		}
	}
	return nil
}

func (p *userPlanner) unclaimed(x *person, table string, id schemas.RowID) bool {
	return x.base.has(table, id) == nil && x.desired.has(table, id) == nil
}

// goneUser plans a user that legacy no longer has: disabled, never deleted; its
// memberships end, its credentials stay.
func (p *userPlanner) goneUser(ctx context.Context, x *person) error {
	p.m.Counts.of(schemas.Users).Gone++
	missing := p.missing(x)
	for _, d := range x.desired.dependents() {
		if err := p.conflict(ctx, d.table, d.row, "its user is not there"); err != nil {
			return err
		}
	}
	x.desired = side{} // settled
	switch {
	case !x.looked && x.observed.user == nil:
		return p.unlooked(ctx, x, x.base.user, missing)
	case x.observed.user == nil: // gone on both sides
		p.settle(schemas.Users, Unchanged)
		for _, d := range missing {
			p.settleMissing(x, d)
		}
		return nil
	}
	if p.deletesCreated(x) {
		return p.deleteUser(ctx, x, missing)
	}
	if err := errors.Join(p.listMadeSince(ctx, schemas.Users, x.base.user), p.disable(ctx, x)); err != nil {
		return err
	}
	for _, d := range missing {
		if err := p.goneDependent(ctx, x, d, false); err != nil {
			return err
		}
	}
	return p.extras(ctx, x)
}

func (p *userPlanner) disable(ctx context.Context, x *person) error {
	row := overlay(x.base.user, x.observed.user, p.users.seen)
	was := cell(p.users.shape, &row, "enabled")
	setCell(p.users.shape, &row, "enabled", false)
	columns := p.takeBack(x, &row)
	if err := p.write(ctx, schemas.Users, row); err != nil {
		return err
	}
	if !isFalse(was) {
		columns = append(columns, "enabled")
	}
	if len(columns) == 0 {
		p.settle(schemas.Users, Unchanged)
		return nil
	}
	slices.Sort(columns)
	_, err := p.userOperation(ctx, Operation{
		Table: schemas.Users, Kind: Update, ID: row.ID, Key: row.Key, Columns: columns, Disables: !isFalse(was), Gone: true})
	return err
}

// settleMissing classes a row that needs nothing, unless it is only rejected.
func (p *userPlanner) settleMissing(x *person, d dependent) {
	if !x.rejected[d.row.ID] {
		p.settle(d.table, Unchanged)
	}
}

// goneDependent plans a row of base that is no longer yielded. Credentials of a
// user that is gone stay with the disabled account; of one that stays they end.
func (p *userPlanner) goneDependent(ctx context.Context, x *person, d dependent, userStays bool) error {
	if x.rejected[d.row.ID] {
		if err := p.hold(ctx, d.table, d.row); err != nil {
			return err
		}
		return p.dependentStands(ctx, x, d)
	}
	if d.table == schemas.Credentials {
		observed := p.theirCredential(x, d.row)
		switch {
		case p.seesPasswords && observed == nil:
			p.settle(d.table, Unchanged)
			return nil
		case !userStays:
			p.settle(d.table, Unchanged)
			if err := p.listMadeSince(ctx, d.table, d.row); err != nil {
				return err
			}
			if err := p.hold(ctx, d.table, d.row); err != nil {
				return err
			}
			return p.dependentStands(ctx, x, d)
		case p.keepsTheirs(p.passwords.shape, d.row, observed, p.passwords.seen):
			return p.keepRow(ctx, x, d)
		case p.in.Options.Restore == nil && p.passwords.newer(observed, d.row) && takes(p.decisions.of(d.row.ID), "secret") != TakeLegacy:
			return p.keepNewer(ctx, x, d)
		}
		_, err := p.operation(ctx, SectionCredentials, schemas.Credentials, Operation{Table: d.table, Kind: Delete, ID: d.row.ID, Key: d.row.Key, Gone: true})
		return err
	}
	observed := p.theirMembership(x, d.row)
	switch {
	case p.seesMemberships && observed == nil:
		p.settle(d.table, Unchanged)
		return nil
	case p.keepsTheirs(p.memberships.shape, d.row, observed, p.memberships.seen):
		return p.keepRow(ctx, x, d)
	}
	_, err := p.operation(ctx, SectionMemberships, schemas.Memberships, Operation{Table: d.table, Kind: Unlink, ID: d.row.ID, Key: d.row.Key, Gone: true})
	return err
}

// keepNewer leaves a password that the user chose in the target after the one
// that ended in legacy: without it nobody could log in there.
func (p *userPlanner) keepNewer(ctx context.Context, x *person, d dependent) error {
	if takes(p.decisions.of(d.row.ID), "secret") == TakeKeymate {
		p.settle(d.table, Unchanged)
	} else if err := p.conflict(ctx, d.table, d.row, "the target's password stays: it ended in legacy, and the target's is newer"); err != nil {
		return err
	}
	if err := p.hold(ctx, d.table, d.row); err != nil {
		return err
	}
	return p.dependentStands(ctx, x, d)
}

// unlooked plans a user that the observation did not look at: base is believed
// and nothing is written.
func (p *userPlanner) unlooked(ctx context.Context, x *person, user *schemas.Row, missing []dependent) error {
	const reason = "the target was not looked at"
	if err := p.postpone(ctx, schemas.Users, user, reason); err != nil {
		return err
	}
	for _, d := range append(x.desired.dependents(), missing...) {
		if x.rejected[d.row.ID] && x.desired.has(d.table, d.row.ID) == nil {
			continue
		}
		if err := p.postpone(ctx, d.table, d.row, reason); err != nil {
			return err
		}
	}
	return p.standsAsItIs(ctx, x)
}

// conflictUser leaves a user alone that no rule settles.
func (p *userPlanner) conflictUser(ctx context.Context, x *person, reason string) error {
	p.settle(schemas.Users, Conflict)
	f := Finding{Table: schemas.Users, ID: x.id, Key: x.desired.user.Key, Reason: reason, Owner: p.ownerInTheWay(x)}
	if err := p.find(ctx, ListConflicts, f); err != nil {
		return err
	}
	return p.allStands(ctx, x, func(d dependent) error { return p.conflict(ctx, d.table, d.row, "its user is in conflict") })
}

// allStands leaves what belongs to a user who is left alone: note classes each
// row.
func (p *userPlanner) allStands(ctx context.Context, x *person, note func(dependent) error) error {
	for _, d := range append(x.desired.dependents(), p.missing(x)...) {
		if x.rejected[d.row.ID] && x.desired.has(d.table, d.row.ID) == nil {
			continue
		}
		if err := note(d); err != nil {
			return err
		}
	}
	return p.standsAsItIs(ctx, x)
}

// extras lists what the target has beside ours. It is left alone.
func (p *userPlanner) extras(ctx context.Context, x *person) error {
	matched := map[schemas.RowID]bool{}
	for _, s := range []*side{&x.base, &x.desired} {
		for _, d := range s.dependents() {
			theirs := p.theirMembership
			if d.table == schemas.Credentials {
				theirs = p.theirCredential
			}
			if r := theirs(x, d.row); r != nil {
				matched[r.ID] = true
			}
		}
	}
	for _, d := range x.observed.dependents() {
		if matched[d.row.ID] {
			continue
		}
		p.use(d.table, d.row)
		f := Finding{Table: d.table, ID: d.row.ID, Key: x.observed.user.Key, Reason: madeInTarget}
		if err := p.find(ctx, p.besideOurs(), f); err != nil {
			return err
		}
	}
	return nil
}
