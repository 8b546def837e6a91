package transform

import (
	"context"
	"fmt"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// memberships settles the memberships of one user. Those that mean the same
// place become one.
func (f *finisher) memberships(ctx context.Context, user *candidate, stands, again bool) error {
	var list []*candidate
	for _, c := range user.memberships {
		f.placeMembership(c, user)
		if same := slices.IndexFunc(list, func(o *candidate) bool { return o.id == c.id && sameFate(o, c) }); same >= 0 {
			list[same].join(c)
			f.t.settled(c, fateMerged)
			continue
		}
		list = append(list, c)
	}
	hasDefault := false
	taken := map[schemas.RowID]bool{}
	for _, c := range list {
		f.oneDefault(c, &hasDefault)
		if err := f.dependent(ctx, c, user, stands, again || taken[c.id]); err != nil {
			return err
		}
		taken[c.id] = true
	}
	return nil
}

// sameFate keeps an excluded or rejected row from hiding one that stands.
func sameFate(a, b *candidate) bool {
	return a.excluded == b.excluded && len(a.failures) == 0 && len(b.failures) == 0
}

// placeMembership finds organization and department, and the row id.
func (f *finisher) placeMembership(c, user *candidate) {
	s := &f.structure
	organization := s.resolve(c.rule.organization, organizationEntity, c.organization)
	department := s.department(c.rule.department, organization, c.department)
	if department != none && !s.ok(department) {
		c.fail(RuleMissingDepartment, "department", s.describe("department", department))
	}
	if organization == none && department >= 0 {
		organization = s.units[department].organization
	}
	switch {
	case organization >= 0 && s.ok(organization):
	case organization == none && len(c.failures) > 0: // it would have come from the department
	case organization == none:
		c.fail(RuleMissingOrganization, "organization", "the row refers to no organization")
	default:
		c.fail(RuleMissingOrganization, "organization", s.describe("organization", organization))
	}
	if len(c.failures) == 0 && department >= 0 && s.units[department].organization != organization {
		c.fail(RuleOtherOrganization, "department", "the department belongs to another organization than the membership: correct one of the two references")
	}
	c.set("user", user.id.String())
	where := []string{"?" + c.organization, "?" + c.department} // unknown places stay apart
	if organization >= 0 {
		where[0] = s.units[organization].id.String()
		c.set("organization", where[0])
	}
	if department >= 0 {
		where[1] = s.units[department].id.String()
		c.set("department", where[1])
	}
	c.id = schemas.DependentRowID(user.id, schemas.Memberships, where...)
	c.key = user.key + "/" + s.keyOf(organization, c.organization)
	if department != none {
		c.key += "/" + s.keyOf(department, c.department)
	}
	if i := c.rule.entity.table.Column("is_default"); c.values[i] == nil {
		c.values[i] = false
	}
}

func (s *structure) keyOf(i int32, value string) string {
	if i >= 0 {
		return s.units[i].key
	}
	return value
}

// join adds what another membership of the same place says.
func (c *candidate) join(o *candidate) {
	roles := c.rule.entity.table.Column("roles")
	a, _ := c.values[roles].([]string)
	b, _ := o.values[roles].([]string)
	if len(b) > 0 {
		c.values[roles] = slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b))))
		c.marks[roles] = max(c.marks[roles], o.marks[roles])
	}
	attrs := c.attributeMap()
	for name, l := range o.attributeMap() {
		if attrs == nil {
			attrs = map[string][]string{}
			c.values[c.rule.entity.attributes] = attrs
		}
		if c.attributes == nil {
			c.attributes = map[string]mark{}
		}
		if _, has := attrs[name]; !has {
			attrs[name], c.attributes[name] = l, o.attributes[name]
		}
	}
	if i := c.rule.entity.table.Column("is_default"); o.values[i] == true {
		c.values[i], c.marks[i] = true, o.marks[i]
	}
}

// oneDefault lets the first default membership be the only one.
func (f *finisher) oneDefault(c *candidate, has *bool) {
	i := c.rule.entity.table.Column("is_default")
	if c.values[i] != true || c.excluded != "" || len(c.failures) > 0 {
		return
	}
	if *has {
		c.values[i], c.marks[i] = false, markChanged
	}
	*has = true
}

// dependent writes a row that belongs to a user, or rejects it with the user.
func (f *finisher) dependent(ctx context.Context, c, user *candidate, userStands, again bool) error {
	f.ck.check(c)
	switch {
	case user.excluded != "" && c.excluded == "":
		c.excluded = RuleUserExcluded
	case !userStands && c.excluded == "":
		c.fail(RuleUserRejected, "user", fmt.Sprintf("the user (key %s) is rejected: correct that row first", user.key))
	}
	if c.excluded != "" || len(c.failures) > 0 {
		return f.reject(ctx, c, c.failures, again, f.t)
	}
	f.t.settled(c, fateMapped)
	f.t.yielded(c)
	return f.out.row(ctx, c.rule.entity.name, schemas.Row{ID: c.id, Key: c.key, Values: c.values})
}
