package load

import (
	"context"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// yielded plans a user that the mapping yielded.
func (p *userPlanner) yielded(ctx context.Context, x *person) error {
	dated, err := p.project(ctx, x)
	if err != nil {
		return err
	}
	take := p.decisions.row(x.id)
	switch {
	case p.recycled(x) && take != TakeLegacy:
		return p.conflictUser(ctx, x, RecycledKey)
	case !x.looked && x.observed.user == nil:
		return p.unlookedYielded(ctx, x)
	case x.observed.user == nil && p.accountInTheWay(x):
		return p.conflictUser(ctx, x, p.alreadyThere(x))
	case x.observed.user == nil && p.contest.hinders(x.id) != nil:
		return p.hinderedUser(ctx, x, p.contest.hinders(x.id))
	case p.adoptionRefused(x, take) != "":
		return p.conflictUser(ctx, x, p.adoptionRefused(x, take))
	case x.observed.user == nil && take == TakeAdopt:
		return p.conflictUser(ctx, x, "the account to adopt is not there")
	case x.observed.user == nil && p.recreates(x.base.user) && take == TakeKeymate:
		return p.staysDeleted(ctx, x)
	case x.observed.user == nil && p.recreates(x.base.user) && !p.allow[AllowRecreate] && take != TakeLegacy:
		return p.withholdUser(ctx, x)
	case x.observed.user == nil:
		return p.create(ctx, x)
	}
	return p.mergeUser(ctx, x, dated)
}

// project brings the desired side into the form that the target gives back.
// dated tells which credentials have a date of their own. Rows that the target
// has no place for are deferred and leave the desired side.
func (p *userPlanner) project(ctx context.Context, x *person) (dated map[schemas.RowID]bool, err error) {
	dated = map[schemas.RowID]bool{}
	for i := range x.desired.credentials {
		c := &x.desired.credentials[i]
		c.Values = slices.Clone(c.Values)
		dated[c.ID] = c.Values[p.passwords.changed] != nil
		p.passwords.date(find(x.base.credentials, c.ID), c, p.in.Options.Time)
	}
	raw := x.desired
	b, notes := p.in.Target.ProjectUser(raw.bundle())
	p.m.Fields.add(p.users.shape, []schemas.Row{*raw.user}, notes)
	p.m.Fields.add(p.passwords.shape, raw.credentials, notes)
	p.m.Fields.add(p.memberships.shape, raw.memberships, notes)
	x.desired = side{user: &b.User, credentials: b.Credentials, memberships: b.Memberships}
	for _, d := range raw.dependents() {
		if x.desired.has(d.table, d.row.ID) != nil {
			continue
		}
		if err := p.postpone(ctx, d.table, d.row, "the target has no place for it"); err != nil {
			return nil, err
		}
		// Not gone from legacy: base, if it ever had the row, keeps it.
		x.rejected[d.row.ID] = true
	}
	return dated, p.dropBlockedGroups(ctx, x)
}

// dropBlockedGroups leaves out the groups that can't stand: a person is not
// kept back for a group.
func (p *userPlanner) dropBlockedGroups(ctx context.Context, x *person) error {
	groups, _ := cell(p.users.shape, x.desired.user, "groups").([]string)
	ok := slices.DeleteFunc(slices.Clone(groups), func(g string) bool {
		id, err := schemas.ParseRowID(g)
		return err == nil && p.blocked[id] != ""
	})
	if len(ok) == len(groups) {
		return nil
	}
	var now any
	if x.observed.user != nil {
		now = cell(p.users.shape, x.observed.user, "groups")
	}
	setCell(p.users.shape, x.desired.user, "groups", setCellOf(ok, groups, now))
	return p.find(ctx, ListConflicts, Finding{Table: schemas.Users, ID: x.id, Key: x.desired.user.Key,
		Columns: []string{"groups"}, Reason: "one of its groups is in conflict, the user goes without it"})
}

// unlookedYielded believes base: what equals it is unchanged, all else waits.
func (p *userPlanner) unlookedYielded(ctx context.Context, x *person) error {
	missing := p.missing(x)
	if len(missing) > 0 || x.base.user == nil || !p.equalsBase(x) {
		return p.unlooked(ctx, x, x.desired.user, missing)
	}
	p.settle(schemas.Users, Unchanged)
	for _, d := range x.desired.dependents() {
		p.settle(d.table, Unchanged)
	}
	return p.standsAsItIs(ctx, x)
}

func (p *userPlanner) equalsBase(x *person) bool {
	if m := p.mergerFor(x).merge(x.base.user, x.desired.user, nil); len(m.changed)+len(m.withheld) > 0 {
		return false
	}
	for _, d := range x.desired.dependents() {
		base := x.base.has(d.table, d.row.ID)
		shape := p.memberships.shape
		if d.table == schemas.Credentials {
			shape = p.passwords.shape
		}
		if base == nil || !equalRows(shape, base, d.row) {
			return false
		}
	}
	return true
}

func equalRows(shape *schemas.Table, a, b *schemas.Row) bool {
	for i := range shape.Columns {
		if !equalCells(&shape.Columns[i], a.Values[i], b.Values[i]) {
			return false
		}
	}
	return true
}

// create plans a user that the target does not have, with its credentials in
// the same request and its memberships after it.
func (p *userPlanner) create(ctx context.Context, x *person) error {
	op := Operation{Table: schemas.Users, Kind: Create, ID: x.id, Key: x.desired.user.Key}
	if p.recreates(x.base.user) {
		op.Widens = []string{AllowRecreate}
	}
	if err := p.write(ctx, schemas.Users, *x.desired.user); err != nil {
		return err
	}
	seq, err := p.userOperation(ctx, op)
	if err != nil {
		return err
	}
	for i := range x.desired.credentials {
		c := &x.desired.credentials[i]
		if err := p.write(ctx, schemas.Credentials, *c); err != nil {
			return err
		}
		op := Operation{Table: schemas.Credentials, Kind: Create, ID: c.ID, Key: c.Key, With: seq}
		if _, err := p.operation(ctx, SectionCredentials, schemas.Credentials, op); err != nil {
			return err
		}
	}
	for i := range x.desired.memberships {
		if err := p.link(ctx, x, &x.desired.memberships[i], nil); err != nil {
			return err
		}
	}
	for _, d := range p.missing(x) { // of a user that was deleted in the target
		p.settleMissing(x, d)
	}
	return nil
}

func (p *userPlanner) link(ctx context.Context, x *person, m *schemas.Row, widens []string) error {
	if reason := p.blockedBy(p.memberships.shape, m); reason != "" {
		if err := p.hold(ctx, schemas.Memberships, x.base.has(schemas.Memberships, m.ID)); err != nil {
			return err
		}
		return p.conflict(ctx, schemas.Memberships, m, reason)
	}
	if err := p.write(ctx, schemas.Memberships, *m); err != nil {
		return err
	}
	_, err := p.operation(ctx, SectionMemberships, schemas.Memberships, Operation{Table: schemas.Memberships, Kind: Link, ID: m.ID, Key: m.Key, Widens: widens})
	return err
}

// mergeUser plans a user that is in the target.
func (p *userPlanner) mergeUser(ctx context.Context, x *person, dated map[schemas.RowID]bool) error {
	m := p.mergerFor(x).merge(x.base.user, x.desired.user, x.observed.user)
	p.holdBack(x, &m)
	if err := p.write(ctx, schemas.Users, m.effective); err != nil {
		return err
	}
	account := p.adopted(x)
	if account != "" {
		m.calm = Adopted
	}
	op, err := p.settleMerged(ctx, schemas.Users, x.desired.user, &m)
	if err != nil {
		return err
	}
	if op != nil {
		if account != "" {
			op.Kind, op.TargetID = Adopt, account
		}
		if _, err := p.userOperation(ctx, *op); err != nil {
			return err
		}
	}
	for i := range x.desired.credentials {
		c := &x.desired.credentials[i]
		if err := p.credential(ctx, x, c, dated[c.ID]); err != nil {
			return err
		}
	}
	for i := range x.desired.memberships {
		if err := p.membership(ctx, x, &x.desired.memberships[i]); err != nil {
			return err
		}
	}
	for _, d := range p.missing(x) {
		if err := p.goneDependent(ctx, x, d, true); err != nil {
			return err
		}
	}
	return p.extras(ctx, x)
}

// mergerFor says by whose rules a user is merged. Somebody who was never
// confirmed in the target is made from legacy, whatever the wave.
func (p *userPlanner) mergerFor(x *person) *merger {
	if p.in.Options.Restore == nil && x.base.user != nil && x.wave != "" && slices.Contains(p.in.Options.Complete, x.wave) {
		return &p.complete
	}
	return &p.users
}

// credential plans one credential of a user that is in the target.
func (p *userPlanner) credential(ctx context.Context, x *person, c *schemas.Row, dated bool) error {
	base := find(x.base.credentials, c.ID)
	observed := p.theirCredential(x, c)
	if !p.seesPasswords {
		observed = &schemas.Row{Values: make([]any, len(c.Values))}
	}
	v := p.passwords.merge(base, c, observed, dated)
	if take := takes(p.decisions.of(c.ID), "secret"); take != "" && v.withheld {
		v = p.passwords.decided(v, base, c, observed, dated, take)
	}
	f := Finding{Table: schemas.Credentials, ID: c.ID, Key: c.Key, Columns: []string{"secret"}, Reason: v.reason}
	if v.withheld {
		f.Kinds = []string{AllowPassword}
		if err := p.find(ctx, ListWithheld, f); err != nil {
			return err
		}
	}
	if v.unknown { // base keeps what it has
		if err := p.hold(ctx, schemas.Credentials, base); err != nil {
			return err
		}
	}
	if observed != nil || v.kind != "" {
		if err := p.write(ctx, schemas.Credentials, v.effective); err != nil {
			return err
		}
	}
	if v.drift {
		f := f
		f.Columns = []string{"changed_at"}
		if err := p.find(ctx, ListDrift, f); err != nil {
			return err
		}
	}
	switch {
	case v.withheld && !v.quiet:
		return p.conflict(ctx, schemas.Credentials, c, "the target's password stays: "+v.reason)
	case v.kind == "":
		p.settle(schemas.Credentials, Unchanged)
		return nil
	}
	_, err := p.operation(ctx, SectionCredentials, schemas.Credentials, Operation{
		Table: schemas.Credentials, Kind: v.kind, ID: c.ID, Key: c.Key, Columns: v.columns, Widens: v.widens})
	return err
}

// membership plans one membership of a user that is in the target.
func (p *userPlanner) membership(ctx context.Context, x *person, want *schemas.Row) error {
	base, observed := find(x.base.memberships, want.ID), p.theirMembership(x, want)
	if !p.seesMemberships {
		observed = base
	}
	switch {
	case observed != nil:
		return p.mergeMembership(ctx, want, base, observed)
	case base == nil && p.in.Options.Restore == nil || p.allow[AllowLinks] || p.decisions.row(want.ID) == TakeLegacy:
		return p.link(ctx, x, want, []string{AllowLinks})
	case p.decisions.row(want.ID) == TakeKeymate:
		return p.staysUnlinked(ctx, want, base)
	}
	if err := p.hold(ctx, schemas.Memberships, base); err != nil {
		return err
	}
	reason := "removed in the target"
	if base == nil {
		reason = "removed since the checkpoint"
	}
	f := Finding{Table: schemas.Memberships, ID: want.ID, Key: want.Key, Kinds: []string{AllowLinks}, Reason: reason}
	if err := p.find(ctx, ListWithheld, f); err != nil {
		return err
	}
	return p.conflict(ctx, schemas.Memberships, want, reason)
}

func (p *userPlanner) mergeMembership(ctx context.Context, want, base, observed *schemas.Row) error {
	m := p.memberships.merge(base, want, observed)
	if err := p.write(ctx, schemas.Memberships, m.effective); err != nil {
		return err
	}
	op, err := p.settleMerged(ctx, schemas.Memberships, want, &m)
	if err != nil || op == nil {
		return err
	}
	_, err = p.operation(ctx, SectionMemberships, schemas.Memberships, *op)
	return err
}
