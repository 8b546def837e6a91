package transform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// A department template is a department that organizations may be given: it
// belongs to a template group, may stand below another template of the group,
// and carries roles, attributes and external ids. Templates are written out in
// the mapping (template_groups) or come from a legacy table
// (department_templates). An organization instantiates a whole group.

// writtenTemplate is a department template written out in the mapping.
type writtenTemplate struct {
	group, id, parent, name string
	columns                 map[string]any // of the entity, without the above

	at, parentAt *node
}

func (t *writtenTemplate) key() string { return templateKey(t.group, t.id) }

// templateKey is the legacy key of a written template. It holds no name that
// people see, so that renaming the department renames it and makes no other.
func templateKey(group, id string) string { return group + "/" + id }

// instantiation gives the organizations of a rule the departments of a template
// group.
type instantiation struct {
	group string
	where *expr
	rule  *rule // of the departments that it makes
	at    *node // the group's name in the mapping
	path  string
}

// writtenRule stands behind the templates that are written out.
func writtenRule() *rule {
	return &rule{entity: entities[departmentTemplateEntity], name: "template_groups", from: &schemas.Table{Name: "(the mapping)"}}
}

// loadTemplateGroups reads the templates that are written out and refuses what
// can't be made of them.
func (l *loader) loadTemplateGroups(n *node) {
	if n == nil {
		return
	}
	for i, k := range n.keys {
		var group []*writtenTemplate
		for j, id := range n.items[i].keys {
			group = append(group, l.writtenTemplate(k.text, id, n.items[i].items[j]))
		}
		l.checkGroup(group)
		l.m.written = append(l.m.written, group...)
	}
}

func (l *loader) writtenTemplate(group string, id, n *node) *writtenTemplate {
	t := &writtenTemplate{group: group, id: id.text, name: id.text, at: id, parentAt: n.get("parent"), parent: n.str("parent"), columns: map[string]any{}}
	path := "template_groups." + group + "." + t.id
	if name := n.get("name"); name != nil {
		t.name = name.text
		if strings.Contains(t.name, "/") || controlIn(t.name, false) != "" || strings.TrimSpace(t.name) != t.name {
			l.at(name, path+".name", "write another name", "the target takes no department name %q", clip(t.name))
		}
	}
	if roles := n.get("realm_roles"); roles != nil {
		t.columns["realm_roles"] = writtenTexts(roles)
	}
	for _, column := range []string{"client_roles", "attributes", "external_ids"} {
		if m := n.get(column); m != nil {
			values := map[string][]string{}
			for i, k := range m.keys {
				values[k.text] = writtenTexts(m.items[i])
			}
			t.columns[column] = values
		}
	}
	return t
}

func writtenTexts(n *node) []string {
	if n.kind != listNode {
		return []string{n.text}
	}
	out := make([]string, len(n.items))
	for i, x := range n.items {
		out[i] = x.text
	}
	return out
}

// checkGroup refuses parents that are not there, parents that lead in a ring,
// and two templates of one name below one parent.
func (l *loader) checkGroup(group []*writtenTemplate) {
	byID := map[string]*writtenTemplate{}
	ids := make([]string, len(group))
	for i, t := range group {
		byID[t.id], ids[i] = t, t.id
	}
	type place struct{ parent, name string }
	holders := map[place]*writtenTemplate{}
	for _, t := range group {
		path := "template_groups." + t.group + "." + t.id
		if t.parent != "" && byID[t.parent] == nil {
			l.at(t.parentAt, path+".parent", nearHint(t.parent, ids), "template group %q has no template %q", t.group, t.parent)
		}
		if other := holders[place{t.parent, t.name}]; other != nil {
			l.at(t.at, path, "give one of them another name or parent", "templates %q and %q of group %q have the same path, ending in %q", other.id, t.id, t.group, t.name)
		} else {
			holders[place{t.parent, t.name}] = t
		}
	}
	inRing := map[*writtenTemplate]bool{}
	for _, t := range group {
		if ring := ringOf(t, byID); ring != nil && !inRing[t] {
			for _, x := range ring {
				inRing[byID[x]] = true
			}
			l.at(t.parentAt, "template_groups."+t.group+"."+t.id+".parent", "correct one parent",
				"the parents of template %q lead back to itself: %s", t.id, strings.Join(append(ring, ring[0]), " below "))
		}
	}
}

// ringOf is the way from a template up to itself, nil where there is none.
func ringOf(t *writtenTemplate, byID map[string]*writtenTemplate) []string {
	ring := []string{t.id}
	for at := byID[t.parent]; at != nil && len(ring) <= len(byID); at = byID[at.parent] {
		if at == t {
			return ring
		}
		ring = append(ring, at.id)
	}
	return nil
}

// instantiations reads what an organizations rule instantiates.
func (b *ruleBuilder) instantiations() {
	list := b.n.get("instantiate")
	if list == nil {
		return
	}
	for i, n := range list.items {
		path := fmt.Sprintf("%s.instantiate[%d]", b.path, i)
		x := &instantiation{group: n.str("group"), at: n.get("group"), path: path + ".group"}
		x.where = b.compiled(n.get("where"), path+".where", wantBool, false)
		x.rule = &rule{entity: entities[departmentEntity], name: "template group " + x.group, from: b.r.from}
		x.rule.template = b.templateOf(n.get("template"), path+".template", x.rule.entity)
		b.r.instantiate = append(b.r.instantiate, x)
	}
}

// registerInstantiations gives the departments that organizations are given
// rules of their own, and refuses groups that nothing is known of. Groups of a
// legacy table are known when it has been read.
func (l *loader) registerInstantiations() {
	groups := l.m.writtenGroups()
	fromTable := slices.ContainsFunc(l.m.rules, func(r *rule) bool { return r.entity.id == departmentTemplateEntity })
	for _, r := range slices.Clone(l.m.rules) {
		for _, x := range r.instantiate {
			x.rule.index = len(l.m.rules)
			l.m.rules = append(l.m.rules, x.rule)
			if !fromTable && !slices.Contains(groups, x.group) {
				l.at(x.at, x.path, unknownGroupHint(x.group, groups), "there is no template group %q", x.group)
			}
		}
	}
}

func unknownGroupHint(group string, groups []string) string {
	if h := nearHint(group, groups); h != "" {
		return h
	}
	return "write the group under template_groups, or take it from a legacy table with department_templates"
}

func (m *Mapping) writtenGroups() (out []string) {
	for _, t := range m.written {
		out = append(out, t.group)
	}
	return slices.Compact(out)
}
