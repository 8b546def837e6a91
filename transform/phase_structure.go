package transform

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// resolveStructure finds what organizations, departments and groups refer to
// and rejects those whose place in the hierarchy can't be known.
func (r *run) resolveStructure(ctx context.Context) error {
	s := &r.structure
	s.index()
	s.placeMade()
	for _, u := range s.units {
		if u.made == nil {
			s.refer(u)
		}
	}
	s.organizations()
	s.cycles(departmentEntity, RuleDepartmentCycle)
	s.cycles(groupEntity, RuleGroupCycle)
	order := s.topDown()
	for _, u := range order {
		s.inherit(u)
	}
	s.twins(order)
	s.siblings()
	for _, u := range order {
		s.cascade(u)
	}
	if r.in.Mapping.usesPaths() {
		s.indexPaths()
	}
	return ctx.Err()
}

// placeMade finds the organizations and parents of departments that templates
// made, among units that have been sorted since.
func (s *structure) placeMade() {
	at := map[*unit]int32{}
	for _, u := range s.units {
		if u.made != nil {
			at[u], at[u.made.organization] = none, none
		}
	}
	for i, u := range s.units {
		if _, wanted := at[u]; wanted {
			at[u] = int32(i)
		}
	}
	for _, u := range s.units {
		if u.made == nil {
			continue
		}
		u.organization = at[u.made.organization]
		if u.made.parent != nil {
			u.parent = at[u.made.parent]
		}
	}
}

// refer resolves a unit's own references.
func (s *structure) refer(u *unit) {
	if u.excluded != "" {
		u.parent = max(none, s.resolve(u.rule.parent, u.entity, u.parentValue))
		u.organization = max(none, s.resolve(u.rule.organization, organizationEntity, u.organizationValue))
		return
	}
	what := strings.ReplaceAll(strings.TrimSuffix(entities[u.entity].name, "s"), "_", " ")
	u.parent = s.own(u, u.rule.parent, u.entity, u.parentValue, "parent", "parent "+what, RuleUnknownParent)
	u.organization = s.own(u, u.rule.organization, organizationEntity, u.organizationValue, "organization", "organization", RuleMissingOrganization)
}

func (s *structure) own(u *unit, ref *reference, entity uint8, value, field, what, rule string) int32 {
	i := s.resolve(ref, entity, value)
	switch {
	case i == none:
		return none
	case i == ambiguous:
		u.fail(RuleAmbiguous, field, s.describe(what, i))
	case i == unknown, s.units[i].excluded != "":
		u.fail(rule, field, s.describe(what, i))
	default:
		return i
	}
	return none
}

// organizations checks what is unique among organizations.
func (s *structure) organizations() {
	for _, x := range []struct {
		rule, field string
		values      func(*unit) []string
	}{
		{RuleDuplicateAlias, "alias", func(u *unit) []string { return []string{u.name} }},
		{RuleDuplicateName, "name", func(u *unit) []string { return []string{u.title} }},
		{RuleDuplicateDomain, "domains", func(u *unit) []string { return lowered(u.domains) }},
	} {
		holders := map[string][]*unit{}
		for _, u := range s.units {
			if u.entity != organizationEntity || u.excluded != "" {
				continue
			}
			for _, v := range x.values(u) {
				holders[v] = append(holders[v], u)
			}
		}
		for _, v := range slices.Sorted(maps.Keys(holders)) {
			rejectAll(holders[v], v, x.rule, x.field)
		}
	}
}

func lowered(l []string) []string {
	out := make([]string, len(l))
	for i, s := range l {
		out[i] = strings.ToLower(s)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// rejectAll fails every unit that shares a value with another.
func rejectAll(holders []*unit, value, rule, field string) {
	if len(holders) < 2 || value == "" {
		return
	}
	for i, u := range holders {
		other := holders[btoi(i == 0)]
		u.fail(rule, field, fmt.Sprintf("key %s has the same: correct one of them, or exclude one", other.key))
	}
}

// cycles rejects the units whose parents lead back to themselves. Those below
// fall with the cascade.
func (s *structure) cycles(entity uint8, rule string) {
	const open, done = 1, 2
	state := make([]uint8, len(s.units))
	for i := range s.units {
		var way []int32
		at := int32(i)
		for at >= 0 && s.units[at].entity == entity && state[at] == 0 {
			state[at] = open
			way = append(way, at)
			at = s.units[at].parent
		}
		if at >= 0 && state[at] == open {
			s.breakCycle(way[slices.Index(way, at):], rule)
		}
		for _, j := range way {
			state[j] = done
		}
	}
}

func (s *structure) breakCycle(ring []int32, rule string) {
	keys := make([]string, 0, 4)
	for _, i := range ring[:min(len(ring), 4)] {
		keys = append(keys, s.units[i].key)
	}
	slices.Sort(keys)
	message := fmt.Sprintf("its parents lead back to itself (%d rows in the ring, among them keys %s): correct one parent", len(ring), strings.Join(keys, ", "))
	for _, i := range ring {
		s.units[i].fail(rule, "parent", message)
	}
	// Cut, so that everything that climbs parents comes to an end.
	for _, i := range ring {
		s.units[i].parent = none
	}
}

// topDown orders departments and groups parents first.
func (s *structure) topDown() []*unit {
	depth := make([]int32, len(s.units))
	for i := range s.units {
		var way []int32
		at := int32(i)
		for at >= 0 && depth[at] == 0 {
			way = append(way, at)
			at = s.units[at].parent
		}
		d := int32(0)
		if at >= 0 {
			d = depth[at]
		}
		for j := len(way) - 1; j >= 0; j-- {
			d++
			depth[way[j]] = d
		}
	}
	order := make([]int32, len(s.units))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return int(depth[a]) - int(depth[b]) })
	out := make([]*unit, len(order))
	for i, j := range order {
		out[i] = s.units[j]
	}
	return out
}

// inherit gives a department the organization of its parent, and rejects one
// that has none or is of another than its parent.
func (s *structure) inherit(u *unit) {
	if u.entity != departmentEntity || u.excluded != "" {
		return
	}
	if u.parent >= 0 {
		above := s.units[u.parent].organization
		switch {
		case u.organization < 0 && !hasRule(u, RuleMissingOrganization):
			u.organization = above
		case above >= 0 && u.organization >= 0 && above != u.organization:
			u.fail(RuleOtherOrganization, "organization", "the parent belongs to another organization: correct one of the two references")
		}
	}
	if u.organization < 0 && len(u.failures) == 0 && (u.parent < 0 || s.units[u.parent].stands()) {
		u.fail(RuleMissingOrganization, "organization", "the row refers to no organization, and neither does its parent")
	}
}

func hasRule(u *unit, rule string) bool {
	return slices.ContainsFunc(u.failures, func(f failure) bool { return f.rule == rule })
}

// siblings rejects units of one name below one parent, which the target can't
// tell apart.
func (s *structure) siblings() {
	holders := map[spot][]*unit{}
	for _, u := range s.units {
		if u.entity != organizationEntity && u.excluded == "" && !u.placeless() && (u.made == nil || u.made.twin < 0) {
			holders[u.spot()] = append(holders[u.spot()], u)
		}
	}
	for p, l := range holders {
		rejectAll(l, p.name, RuleSiblingName, "name")
	}
}

// cascade rejects what hangs on a rejected row.
func (s *structure) cascade(u *unit) {
	if u.excluded != "" {
		return
	}
	if u.organization >= 0 && !s.ok(u.organization) {
		u.fail(RuleMissingOrganization, "organization", s.describe("organization", u.organization))
	}
	if u.parent >= 0 && !s.ok(u.parent) {
		u.fail(RuleParentRejected, "parent", s.describe("parent", u.parent))
	}
}

// writeStructure writes organizations, departments and groups, and the rejected
// ones. It is the second and last look at their rows.
func (r *run) writeStructure(ctx context.Context) error {
	t := newTally(len(r.totals.sources))
	defer func() { r.totals.add(t) }()
	i := 0
	for rec, err := range r.structureRows.Sorted() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		c, err := r.decode(rec.Value)
		if err != nil {
			return err
		}
		u := r.structure.units[i]
		if u.id != c.id || u.origin != c.origin {
			return errCodec
		}
		i++
		if err := r.writeUnit(ctx, c, u, t); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) writeUnit(ctx context.Context, c *candidate, u *unit, t *tally) error {
	s := &r.structure
	if s.mergedAway(u) {
		t.settled(c, fateMerged)
		return nil
	}
	if !u.stands() {
		return r.reject(ctx, c, u.failures, u.again, t)
	}
	switch u.entity {
	case departmentEntity:
		if u.fill != nil {
			r.fillFrom(c, u.fill, t)
		}
		c.set("organization", s.units[u.organization].id.String())
		c.place(s, u)
	case groupEntity:
		c.place(s, u)
		r.keepNesting(c, u)
	}
	t.settled(c, fateMapped)
	t.yielded(c)
	return r.out.row(ctx, c.rule.entity.name, schemas.Row{ID: c.id, Key: c.key, Values: c.values})
}

func (c *candidate) place(s *structure, u *unit) {
	if u.parent >= 0 {
		c.set("parent", s.units[u.parent].id.String())
		c.marks[c.rule.entity.table.Column("parent")] = markCarried
	}
	c.set("path", s.path(u))
}

// keepNesting notes on a group which groups it was a member of: the target has
// trees where the source had a graph, so members were given the outer groups
// themselves.
func (r *run) keepNesting(c *candidate, u *unit) {
	var keys []string
	for _, i := range u.memberOf {
		if r.structure.ok(i) {
			keys = append(keys, r.structure.units[i].key)
		}
	}
	if len(keys) == 0 {
		return
	}
	slices.Sort(keys)
	attrs := c.attributeMap()
	if attrs == nil {
		attrs = map[string][]string{}
		c.values[c.rule.entity.attributes] = attrs
	}
	attrs[r.in.Mapping.nested] = slices.Compact(keys)
	c.attributes[r.in.Mapping.nested] = markEncoded
}

// reject writes a candidate that does not stand. again says that another
// candidate has the row id already.
func (r *run) reject(ctx context.Context, c *candidate, failures []failure, again bool, t *tally) error {
	class, f := ClassRejected, fateRejected
	if c.excluded != "" {
		class, f = ClassExcluded, fateExcluded
		failures = []failure{{c.excluded, "", "left out by the mapping's rule " + c.excluded}}
	}
	id, key := c.id, c.key
	switch {
	case again && c.aliased():
		// The row that its own key would have is not gone either.
		id, key = schemas.NewRowID(r.in.Namespace, c.rule.entity.name, c.legacyKey), c.legacyKey
	case again:
		id = schemas.NewRowID(r.in.Namespace, schemas.RejectedTable(c.rule.entity.name), c.key+"\x00"+c.origin.String()+"\x00"+c.rule.name)
	}
	t.settled(c, f)
	t.failed(c.rule.entity.id, class, id, key, failures)
	return r.out.failed(ctx, c.rule.entity.name, class, c.rule.from.Name, id, key, failures)
}
