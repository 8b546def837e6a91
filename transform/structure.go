package transform

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// unit is an organization, department, group or department template in compact
// memory: what
// hierarchy checks and references need. The whole row waits in the sort.
type unit struct {
	entity uint8
	id     schemas.RowID
	origin schemas.RowID
	rule   *rule
	key    string
	name   string // of organizations the alias
	title  string // of organizations the name

	parentValue, organizationValue string
	domains                        []string
	lookups                        []lookupValue

	parent, organization int32 // units; none or unknown
	again                bool  // a unit before it has the same row id
	excluded             string
	flags                byte
	failures             []failure
	memberOf             []int32 // groups: the groups that it is a member of

	blueprint *candidate // department templates: the row
	made      *instance  // departments that a template made
	fill      *unit      // legacy departments: the one of a template at the same place
}

const (
	none      int32 = -1
	unknown   int32 = -2
	ambiguous int32 = -3
)

func (u *unit) stands() bool { return u.excluded == "" && len(u.failures) == 0 }

func (u *unit) fail(rule, field, message string) {
	u.failures = append(u.failures, failure{rule, field, message})
}

// structure is all units, sorted as the rows are in the sort, and how to find
// them.
type structure struct {
	units []*unit
	find  map[unitLookup]int32
	// closures caches, by group, every group that a member of it is in.
	closures map[int32][]int32
	// paths finds departments by path, where the mapping asks for it.
	paths   map[placeByPath]int32
	aliases *Aliases
}

type unitLookup struct {
	entity uint8
	lookup uint16
	value  valueHash
}

func compareUnits(a, b *unit) int {
	return cmp.Or(cmp.Compare(a.entity, b.entity), a.id.Compare(b.id), cmp.Compare(a.flags, b.flags),
		a.origin.Compare(b.origin), cmp.Compare(a.rule.index, b.rule.index))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// unitKey sorts rows as compareUnits sorts units.
func unitKey(c *candidate) []byte {
	return append([]byte{c.rule.entity.id}, userKey(c)...)
}

// admitStructure keeps a unit and sends its row to the sort. Members go to the
// join of references.
func (r *run) admitStructure(c *candidate) error {
	if c.rule.entity.id == departmentTemplateEntity {
		r.structureRows.mu.Lock()
		defer r.structureRows.mu.Unlock()
		r.blueprints.units = append(r.blueprints.units, templateUnit(c))
		return nil
	}
	u := &unit{entity: c.rule.entity.id, id: c.id, origin: c.origin, rule: c.rule, key: c.key, name: c.text("name"),
		parentValue: c.parent, organizationValue: c.organization, lookups: c.lookups, parent: none, organization: none,
		excluded: c.excluded, flags: c.flags(), failures: c.failures}
	if u.entity == organizationEntity {
		u.title = u.name
		u.name = c.text("alias")
		u.domains = textsOf(c.values[c.rule.entity.table.Column("domains")])
	}
	for _, m := range c.members {
		if err := r.refer(m, referenceTo{kind: refersMember, group: c.id, rule: c.rule.index}); err != nil {
			return err
		}
	}
	c.members, c.lookups, c.failures = nil, nil, nil
	r.structureRows.mu.Lock()
	defer r.structureRows.mu.Unlock()
	r.structure.units = append(r.structure.units, u)
	if len(c.instantiates) > 0 {
		r.given = append(r.given, given{u, c.instantiates})
	}
	return r.structureRows.Sorter.Add(unitKey(c), encode(c))
}

// index sorts the units and learns their lookup values. Of two units with one
// row id both fail; an excluded one never hides one that stands.
func (s *structure) index() {
	slices.SortFunc(s.units, compareUnits)
	s.find, s.closures = map[unitLookup]int32{}, map[int32][]int32{}
	for i, u := range s.units {
		if i > 0 && s.units[i-1].id == u.id {
			u.again = true
			if u.excluded == "" {
				m := s.aliases.sameKey(entities[u.entity].name, u.key)
				for _, x := range s.units[i-1 : i+1] {
					if !slices.ContainsFunc(x.failures, func(f failure) bool { return f.rule == RuleDuplicateKey }) {
						x.fail(RuleDuplicateKey, "key", m)
					}
				}
			}
		}
		for _, l := range u.lookups {
			s.learn(unitLookup{u.entity, uint16(l.lookup), hashValue(l.value)}, int32(i))
		}
		u.lookups = nil
	}
}

func (s *structure) learn(k unitLookup, i int32) {
	have, ok := s.find[k]
	switch {
	case !ok, have >= 0 && s.units[have].excluded != "":
		s.find[k] = i
	case s.units[i].excluded == "" && have != i:
		s.find[k] = ambiguous
	}
}

// resolve finds the unit that a reference's normalised value means.
func (s *structure) resolve(ref *reference, entity uint8, value string) int32 {
	if ref == nil || value == "" {
		return none
	}
	h := hashValue(value)
	for _, l := range ref.lookups {
		if i, ok := s.find[unitLookup{entity, uint16(l.index), h}]; ok {
			return i
		}
	}
	return unknown
}

// path is names from the root, each after a slash; ~/ stands for a slash in a
// name.
func (s *structure) path(u *unit) string {
	p := ""
	for {
		p = "/" + escapeName(u.name) + p
		if u.parent < 0 {
			return p
		}
		u = s.units[u.parent]
	}
}

func escapeName(name string) string {
	out := ""
	for _, r := range name {
		if r == '/' {
			out += "~"
		}
		out += string(r)
	}
	return out
}

// closure is every group that a member of group i is in, i itself among them,
// along nesting of any depth, cycles included. Groups that the mapping excluded
// do not hand on.
func (s *structure) closure(i int32) []int32 {
	if c, ok := s.closures[i]; ok {
		return c
	}
	seen := map[int32]bool{i: true}
	out := []int32{i}
	for at := 0; at < len(out); at++ {
		for _, next := range s.units[out[at]].memberOf {
			if !seen[next] && s.units[next].excluded == "" {
				seen[next] = true
				out = append(out, next)
			}
		}
	}
	slices.Sort(out)
	s.closures[i] = out
	return out
}

// describe names what went wrong with a reference in words.
func (s *structure) describe(what string, i int32) string {
	switch {
	case i == ambiguous:
		return fmt.Sprintf("several rows answer to the reference to the %s: give the lookup a value that is unique", what)
	case i < 0:
		return fmt.Sprintf("there is no %s that the reference means: correct the reference or map the missing row", what)
	case s.units[i].excluded != "":
		return fmt.Sprintf("the %s is excluded by rule %s: exclude this row too, or let it refer to another", what, s.units[i].excluded)
	}
	return fmt.Sprintf("the %s (key %s) is rejected: correct that row first", what, s.units[i].key)
}

// ok reports whether a resolved reference leads to a row that stands.
func (s *structure) ok(i int32) bool { return i >= 0 && s.units[i].stands() }
