package transform

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// departmentTemplates settles the department templates and makes the
// departments of the organizations that instantiate their groups. Templates are
// few: they are held in memory.
func (r *run) departmentTemplates(ctx context.Context) error {
	t := newTally(len(r.totals.sources))
	defer func() { r.totals.add(t) }()
	r.admitWritten(t)
	s := &r.blueprints
	order := s.resolveTemplates()
	for _, u := range s.units {
		if err := r.writeTemplate(ctx, u, t); err != nil {
			return err
		}
	}
	groups, err := r.templateGroups(order)
	if err != nil {
		return err
	}
	for _, g := range r.given {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.instantiate(g, groups, t); err != nil {
			return err
		}
	}
	return nil
}

// admitWritten makes candidates of the templates that are written out; no
// source row stands behind them.
func (r *run) admitWritten(t *tally) {
	e := entities[departmentTemplateEntity]
	for _, w := range r.in.Mapping.written {
		c := newCandidate(r.in.Mapping.writtenRule, r.in.Namespace, w.key())
		c.give("template_group", w.group)
		c.give("name", w.name)
		for name, v := range w.columns {
			c.give(name, v)
		}
		if w.parent != "" {
			c.parent = templateKey(w.group, w.parent)
		}
		r.ck.check(c)
		t.candidates[e.id]++
		r.blueprints.units = append(r.blueprints.units, templateUnit(c))
	}
}

// newCandidate makes a row that no source row stands behind.
func newCandidate(rule *rule, namespace, key string) *candidate {
	n := len(rule.entity.table.Columns)
	return &candidate{rule: rule, id: schemas.NewRowID(namespace, rule.entity.name, key), key: key, values: make([]any, n), marks: make([]mark, n)}
}

// give sets a column that the mapping itself holds the value of.
func (c *candidate) give(column string, v any) {
	i := c.rule.entity.table.Column(column)
	c.values[i], c.marks[i] = v, markChanged
	if i == c.rule.entity.attributes {
		attrs, _ := v.(map[string][]string)
		c.attributes = make(map[string]mark, len(attrs))
		for name := range attrs {
			c.attributes[name] = markChanged
		}
	}
}

// templateUnit is a template's place among its like; the row stays with it.
func templateUnit(c *candidate) *unit {
	u := &unit{entity: departmentTemplateEntity, id: c.id, origin: c.origin, rule: c.rule, key: c.key, name: c.text("name"),
		parentValue: c.parent, lookups: c.lookups, parent: none, organization: none, excluded: c.excluded, flags: c.flags(), failures: c.failures, blueprint: c}
	c.lookups, c.failures = nil, nil
	return u
}

// resolveTemplates finds the parents of templates and rejects those that have
// no place. It returns them parents first.
func (s *structure) resolveTemplates() []*unit {
	s.index()
	byKey := map[string]int32{}
	for i, u := range s.units {
		byKey[u.key] = int32(i)
	}
	for _, u := range s.units {
		if i, written := byKey[u.parentValue]; written && u.rule.parent == nil && u.parentValue != "" {
			u.parent = i
		} else {
			s.refer(u)
		}
		if u.parent >= 0 && u.excluded == "" && s.units[u.parent].group() != u.group() {
			u.fail(RuleOtherGroup, "parent", fmt.Sprintf("the parent (key %s) belongs to template group %s: let it refer to a template of its own group", s.units[u.parent].key, clip(s.units[u.parent].group())))
			u.parent = none
		}
	}
	s.cycles(departmentTemplateEntity, RuleTemplateCycle)
	order := s.topDown()
	s.siblings()
	for _, u := range order {
		s.cascade(u)
	}
	return order
}

func (r *run) writeTemplate(ctx context.Context, u *unit, t *tally) error {
	c := u.blueprint
	if !u.stands() {
		return r.reject(ctx, c, u.failures, u.again, t)
	}
	if u.parent >= 0 {
		c.set("parent", r.blueprints.units[u.parent].id.String())
		c.marks[c.rule.entity.table.Column("parent")] = markCarried
	}
	t.settled(c, fateMapped)
	t.yielded(c)
	return r.out.row(ctx, c.rule.entity.name, schemas.Row{ID: c.id, Key: c.key, Values: c.values})
}

// templateGroups are the templates of each group, parents first, those left out
// not among them. A group that organizations are to be given and that has no
// template stops the run: the mapping or the legacy table is wrong, and half of
// the departments would be missing.
func (r *run) templateGroups(order []*unit) (map[string][]*unit, error) {
	groups := map[string][]*unit{}
	for _, u := range order {
		list := groups[u.group()]
		if u.excluded == "" && !u.again {
			list = append(list, u)
		}
		groups[u.group()] = list
	}
	ps := &problems{file: r.in.Mapping.file}
	for _, rule := range r.in.Mapping.rules {
		for _, x := range rule.instantiate {
			if _, known := groups[x.group]; !known {
				ps.at(x.at, x.path, unknownGroupHint(x.group, slices.Sorted(maps.Keys(groups))),
					"there is no template group %q, neither written out nor in the legacy tables", x.group)
			}
		}
	}
	return groups, ps.err()
}

// group is a department template's group.
func (u *unit) group() string {
	if u.blueprint == nil {
		return ""
	}
	return u.blueprint.text("template_group")
}

// given is an organization and what it instantiates.
type given struct {
	organization   *unit
	instantiations []*instantiation
}

// instance is what a unit that a template made knows beside other units.
type instance struct {
	template, organization *unit
	parent                 *unit // the department of the template's parent; nil for a root
	// twin is the legacy department that stands at the same place, none without.
	twin int32
}

// instantiate gives an organization the departments of its template groups.
func (r *run) instantiate(g given, groups map[string][]*unit, t *tally) error {
	made := map[*unit]*unit{} // by template
	for _, x := range g.instantiations {
		for _, template := range groups[x.group] {
			if made[template] != nil {
				continue
			}
			in := &instance{template: template, organization: g.organization, twin: none}
			if template.parent >= 0 {
				in.parent = made[r.blueprints.units[template.parent]]
			}
			c := r.departmentOf(x.rule, in)
			if !template.stands() {
				c.fail(RuleTemplateRejected, "template", fmt.Sprintf("the department template (key %s) is rejected: correct it first", template.key))
			}
			r.ck.check(c)
			u := &unit{entity: departmentEntity, id: c.id, origin: c.origin, rule: c.rule, key: c.key, name: c.text("name"),
				parent: none, organization: none, failures: c.failures, made: in}
			c.failures = nil
			t.candidates[departmentEntity]++
			made[template] = u
			r.structure.units = append(r.structure.units, u)
			if err := r.structureRows.add(unitKey(c), encode(c)); err != nil {
				return err
			}
		}
	}
	return nil
}

// copied are the columns that a department takes from its template.
var copied = []string{"name", "external_ids", "realm_roles", "client_roles", "attributes"}

// departmentOf makes the row of a department from its template. Its key is the
// organization's and the template's, which stay when names change.
func (r *run) departmentOf(rule *rule, in *instance) *candidate {
	from := in.template.blueprint
	c := newCandidate(rule, r.in.Namespace, in.organization.key+"#"+in.template.key)
	c.origin = in.organization.origin
	for _, column := range copied {
		if v := from.values[from.rule.entity.table.Column(column)]; !empty(v) {
			c.give(column, v)
		}
	}
	c.give("template", in.template.key)
	return c
}

func empty(v any) bool {
	switch x := v.(type) {
	case nil:
		return true
	case []string:
		return len(x) == 0
	case map[string][]string:
		return len(x) == 0
	}
	return false
}

// spot is where the target tells departments and groups apart.
type spot struct {
	entity               uint8
	organization, parent int32
	group, name          string
}

func (u *unit) spot() spot { return spot{u.entity, u.organization, u.parent, u.group(), u.name} }

// twins finds the legacy departments that stand where a template makes one:
// they are the same department, which keeps its own key and values and takes
// from the template what it lacks. order is parents first.
func (s *structure) twins(order []*unit) {
	holders := map[spot]int32{}
	given := map[int32]bool{} // organizations that have departments of templates
	for _, u := range order {
		if u.made != nil {
			given[u.organization] = true
		}
	}
	if len(given) == 0 {
		return
	}
	for i, u := range s.units {
		if u.entity != departmentEntity || u.made != nil || u.excluded != "" || !given[u.organization] || u.placeless() {
			continue
		}
		if _, taken := holders[u.spot()]; !taken {
			holders[u.spot()] = int32(i)
		}
	}
	found := map[int32][]*unit{}
	for _, u := range order {
		if u.made == nil {
			continue
		}
		if u.parent >= 0 && s.units[u.parent].made != nil && s.units[u.parent].made.twin >= 0 {
			u.parent = s.units[u.parent].made.twin
		}
		if i, there := holders[u.spot()]; there {
			u.made.twin = i
			found[i] = append(found[i], u)
		}
	}
	for i, list := range found {
		rejectAll(list, list[0].name, RuleSiblingName, "name")
		if len(list) == 1 && list[0].stands() {
			s.units[i].fill = list[0]
		}
	}
}

// placeless reports that the parent that a unit has is not known.
func (u *unit) placeless() bool {
	return slices.ContainsFunc(u.failures, func(f failure) bool { return f.field == "parent" })
}

// mergedAway reports whether a department of a template became one with a
// legacy one; if that is rejected, so is it, or the two would change places
// when it is mended.
func (s *structure) mergedAway(u *unit) bool {
	if u.made == nil || u.made.twin < 0 || !u.stands() {
		return false
	}
	twin := s.units[u.made.twin]
	if twin.stands() {
		return true
	}
	u.fail(RuleTwinRejected, "name", fmt.Sprintf("the legacy department of the same place (key %s) is rejected: correct that row first", twin.key))
	return false
}

// fillFrom gives a legacy department what its template has and it lacks.
// Attributes that its property template does not take are left out.
func (r *run) fillFrom(c *candidate, made *unit, t *tally) {
	o := r.departmentOf(made.rule, made.made)
	at := c.rule.entity.attributes
	for i, v := range o.values {
		switch mine, isMap := c.values[i].(map[string][]string); {
		case i == at || v == nil:
		case empty(c.values[i]):
			c.values[i], c.marks[i] = v, o.marks[i]
		case isMap:
			c.values[i] = union(mine, v.(map[string][]string))
		}
	}
	own, marks := c.attributeMap(), maps.Clone(c.attributes)
	if len(o.attributeMap()) == 0 {
		return
	}
	c.values[at] = union(own, o.attributeMap())
	if c.attributes == nil {
		c.attributes = map[string]mark{}
	}
	for name := range o.attributeMap() {
		if _, has := own[name]; !has {
			c.attributes[name] = markChanged
		}
	}
	if c.rule.template == nil || len(c.rule.template.schema.Attributes(c.attributeMap())) == 0 {
		return
	}
	for name, l := range o.attributeMap() {
		if _, has := own[name]; !has {
			t.left(schemas.DepartmentTemplates, attributeField(c.rule.entity, name), "the property template of the legacy department does not take it", len(l))
		}
	}
	c.values[at], c.attributes = nil, marks
	if own != nil {
		c.values[at] = own
	}
}

// union takes the names of both, and the values of the first where both have
// one.
func union(mine, other map[string][]string) map[string][]string {
	out := maps.Clone(other)
	if out == nil {
		out = map[string][]string{}
	}
	maps.Copy(out, mine)
	return out
}
