package load

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
)

// access is what one user has in one state.
type access struct {
	there, enabled bool
	grants         []Grant        // in the order in which they were found
	at             map[string]int // position by key
}

// roleGrant is a role that came some way; inside names the one that brings it
// along, if any.
func roleGrant(r Role, way string, encoded bool, inside string) Grant {
	return Grant{Kind: GrantRole, What: r.String(), Way: way, Encoded: encoded, key: GrantRole + " " + r.String(), inside: inside}
}

// take adds grants. The first way of a grant is named first, save that one that
// is real goes before one that is only encoded, and a role that is given itself
// before the same one inside of another. Others are named as further ways; where
// one is real, those that are only encoded are none.
func (a *access) take(grants ...Grant) {
	for _, g := range grants {
		i, have := a.at[g.key]
		switch {
		case !have:
			a.at[g.key] = len(a.grants)
			a.grants = append(a.grants, g)
		case a.grants[i].Encoded && !g.Encoded:
			a.grants[i] = g
		case a.grants[i].Encoded != g.Encoded || g.Kind != GrantRole:
		case a.grants[i].inside != "" && g.inside == "":
			g.Also = a.grants[i].Also
			g.along(a.grants[i].Way)
			a.grants[i] = g
		default:
			a.grants[i].along(g.Way)
		}
	}
}

// accessIn computes a user's access in one state; user is nil for one that is
// not there.
func (d *accessDiff) accessIn(p *places, user *schemas.Row, memberships []schemas.Row) access {
	a := access{at: map[string]int{}}
	if user == nil {
		return a
	}
	shape := d.shapes[schemas.Users]
	a.there, a.enabled = true, isTrue(cell(&shape, user, "enabled"))
	for _, h := range d.heldRoles(schemas.Users, user, "realm_roles") {
		a.take(p.add(nil, h, "")...)
	}
	for _, id := range p.inOrder(schemas.Groups, refsOf(cell(&shape, user, "groups"))) {
		a.take(p.through(schemas.Groups, id)...)
	}
	for _, m := range p.byPlace(d, memberships) {
		a.take(p.membership(d, m)...)
	}
	links, _ := cell(&shape, user, "federated_links").(map[string][]string)
	for alias, to := range links {
		a.take(Grant{Kind: GrantLink, What: alias, Encoded: d.encodes(schemas.Users, "federated_links"),
			key: GrantLink + " " + strings.Join(append([]string{alias}, to...), "\x01")})
	}
	return a
}

func refsOf(v any) []schemas.RowID {
	list, _ := v.([]string)
	var out []schemas.RowID
	for _, s := range list {
		if id, ok := ref(s); ok {
			out = append(out, id)
		}
	}
	return out
}

// inOrder sorts places by name, so that the way that is named does not depend
// on ids.
func (p *places) inOrder(table string, ids []schemas.RowID) []schemas.RowID {
	name := func(id schemas.RowID) string {
		if pl := p.of[table][id]; pl != nil {
			return pl.name
		}
		return ""
	}
	return slices.SortedFunc(slices.Values(ids), func(a, b schemas.RowID) int {
		return cmp.Or(cmp.Compare(name(a), name(b)), a.Compare(b))
	})
}

// memberOf is one membership, as far as access goes.
type memberOf struct {
	organization, department schemas.RowID // department zero: of the organization only
	roles                    []heldRole
}

// byPlace reads memberships in the order of their places' names.
func (p *places) byPlace(d *accessDiff, rows []schemas.Row) []memberOf {
	shape := d.shapes[schemas.Memberships]
	var out []memberOf
	for i := range rows {
		m := memberOf{roles: d.heldRoles(shape.Name, &rows[i], "roles")}
		m.organization, _ = ref(cell(&shape, &rows[i], "organization"))
		m.department, _ = ref(cell(&shape, &rows[i], "department"))
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b memberOf) int {
		return cmp.Or(cmp.Compare(p.nameOf(a), p.nameOf(b)), a.organization.Compare(b.organization), a.department.Compare(b.department))
	})
	return out
}

func (p *places) nameOf(m memberOf) string {
	if pl := p.of[schemas.Departments][m.department]; pl != nil {
		return pl.name
	}
	if pl := p.of[schemas.Organizations][m.organization]; pl != nil {
		return pl.name
	}
	return ""
}

// membership is what a membership grants: itself, what its organization and
// department hold, and the roles written on it.
func (p *places) membership(d *accessDiff, m memberOf) []Grant {
	o := p.of[schemas.Organizations][m.organization]
	if o == nil || o.shut {
		return nil
	}
	member := func(name string, id schemas.RowID) Grant {
		return Grant{Kind: GrantMembership, What: name, key: GrantMembership + " " + id.String()}
	}
	out := []Grant{member(o.name, m.organization)}
	out = append(out, p.through(schemas.Organizations, m.organization)...)
	way := "through its membership in " + o.name
	if dept := p.of[schemas.Departments][m.department]; dept != nil {
		out = append(out, member(dept.name, m.department))
		out = append(out, p.through(schemas.Departments, m.department)...)
		way = "through its membership in " + dept.name
	}
	for _, h := range m.roles {
		out = p.add(out, h, way)
	}
	return out
}

// change compares one user's access before and after the plan.
func (d *accessDiff) change(x *person, ops map[schemas.RowID]*Operation) AccessChange {
	userBefore, userAfter := d.usersOf(x)
	rowsBefore, rowsAfter := d.membershipsOf(x, userBefore, userAfter)
	c := AccessChange{ID: x.id.String(), Key: keyOf(userBefore, userAfter), Wave: x.wave}
	if userBefore == nil && userAfter == nil {
		return c
	}
	older := slices.ContainsFunc(slices.Collect(maps.Values(ops)), func(o *Operation) bool {
		return o.Table == schemas.Credentials && slices.Contains(o.Widens, AllowPassword)
	})
	if !older && d.untouched(userBefore, userAfter, rowsBefore, rowsAfter) {
		return c
	}
	before, after := d.accessIn(d.before, userBefore, rowsBefore), d.accessIn(d.after, userAfter, rowsAfter)
	switch {
	case !before.there && x.base.user != nil:
		c.Recreated = true
	case !before.there:
		c.New = true
	case !after.there:
		c.Removed = true
	default:
		c.Enabled, c.Disabled = !before.enabled && after.enabled, before.enabled && !after.enabled
	}
	c.Dormant = before.there && after.there && !before.enabled && !after.enabled
	if c.Enabled {
		before = access{there: true}
	}
	if c.Disabled {
		after = access{there: true}
	}
	c.Gained, c.Lost = minusGrants(after, before), minusGrants(before, after)
	relinked(&c)
	if before.there && after.there {
		d.lifetime(&c, userBefore, userAfter)
	}
	c.OlderPassword = older && !c.New
	c.Dormant = c.Dormant && !c.empty()
	return c
}

func keyOf(rows ...*schemas.Row) string {
	for _, r := range slices.Backward(rows) {
		if r != nil {
			return r.Key
		}
	}
	return ""
}

// minusGrants is what a has and b has not, sorted. What b has for real is not
// missed as an encoded one; an encoded one of b does not stand for a real one.
func minusGrants(a, b access) []Grant {
	var out []Grant
	for _, g := range a.grants {
		i, have := b.at[g.key]
		if have && (!b.grants[i].Encoded || g.Encoded) {
			continue
		}
		out = append(out, g)
	}
	slices.SortStableFunc(out, func(x, y Grant) int { return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.What, y.What)) })
	return out
}

// relinked says of links that lead elsewhere now that this is what they do.
func relinked(c *AccessChange) {
	for i := range c.Gained {
		g := &c.Gained[i]
		for j := range c.Lost {
			if l := &c.Lost[j]; g.Kind == GrantLink && l.Kind == GrantLink && l.What == g.What {
				g.Way, l.Way = "to another account there", "to the account so far"
			}
		}
	}
}

// lifetime notes a later or earlier end of the account.
func (d *accessDiff) lifetime(c *AccessChange, before, after *schemas.Row) {
	shape := d.shapes[schemas.Users]
	was, will := cell(&shape, before, "expires_at"), cell(&shape, after, "expires_at")
	g := Grant{Kind: GrantTime, What: "without an end", Encoded: d.encodes(schemas.Users, "expires_at")}
	if at, ends := will.(int64); ends {
		g.What = "until " + time.UnixMicro(at).UTC().Format(time.RFC3339)
	}
	switch {
	case later(will, was):
		c.Gained = append(c.Gained, g)
	case later(was, will):
		c.Lost = append(c.Lost, g)
	}
}

// usersOf returns the user's row as the target holds it now and as it will; nil
// for not there.
func (d *accessDiff) usersOf(x *person) (before, after *schemas.Row) {
	switch {
	case x.observed.user != nil && x.base.user != nil:
		row := overlay(x.base.user, x.observed.user, d.seen[schemas.Users])
		before = &row
	case x.observed.user != nil:
		before = x.observed.user
	case !x.looked:
		before = x.base.user
	}
	after = x.desired.user
	if after == nil && x.base.user == nil {
		after = before // left alone
	}
	return before, after
}

// membershipsOf returns the user's memberships as the target holds them now and
// as it will: what is effective, and what is left alone beside it.
func (d *accessDiff) membershipsOf(x *person, userBefore, userAfter *schemas.Row) (before, after []schemas.Row) {
	shape := d.shapes[schemas.Memberships]
	samePlace := func(rows []schemas.Row, m *schemas.Row) *schemas.Row {
		for i := range rows {
			if cell(&shape, &rows[i], "organization") == cell(&shape, m, "organization") && cell(&shape, &rows[i], "department") == cell(&shape, m, "department") {
				return &rows[i]
			}
		}
		return nil
	}
	before = x.base.memberships
	if d.seesMemberships && x.observed.user != nil {
		before = nil
		for i := range x.observed.memberships {
			m := &x.observed.memberships[i]
			row := *m
			if ours := samePlace(x.base.memberships, m); ours != nil {
				row = overlay(ours, m, d.seen[schemas.Memberships])
			}
			before = append(before, row)
		}
	}
	after = slices.Clone(x.desired.memberships)
	for i := range before {
		m := &before[i]
		if samePlace(x.base.memberships, m) == nil && samePlace(x.desired.memberships, m) == nil {
			after = append(after, *m)
		}
	}
	if userBefore == nil {
		before = nil
	}
	if userAfter == nil {
		after = nil
	}
	return before, after
}
