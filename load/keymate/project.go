package keymate

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// notes collects what projection did to the fields of one row.
type notes struct {
	table string
	list  []load.Note
}

func (n *notes) add(what load.NoteKind, column, why string) {
	n.list = append(n.list, load.Note{Table: n.table, Column: column, What: what, Why: why})
}

// Project says what the realm will hold of a row that does not depend on
// users. A row of a table that the target has no place for comes back with
// nulls only.
func (t *Target) Project(table string, row schemas.Row) (schemas.Row, []load.Note) {
	n := &notes{table: table}
	var out schemas.Row
	switch table {
	case schemas.Organizations:
		out = projectOrganization(row, n)
	case schemas.Departments:
		out = projectDepartment(row, n)
	case schemas.Groups:
		out = projectGroup(row, n)
	case schemas.DepartmentTemplates, schemas.PropertyTemplates:
		out = blankRow(table, row.ID, row.Key)
		n.add(load.LeftOut, "", "Keycloak has no place for templates")
	default:
		panic("keymate: Project of table " + table + ", which depends on users")
	}
	return out, n.list
}

func projectOrganization(row schemas.Row, n *notes) schemas.Row {
	const tb = schemas.Organizations
	out := blankRow(tb, row.ID, row.Key)
	put(tb, out, "alias", text(tb, row, "alias"))
	put(tb, out, "name", text(tb, row, "name"))
	put(tb, out, "description", bounded(text(tb, row, "description"), maxDescription, "description", n))
	var domains []string
	for _, d := range texts(tb, row, "domains") {
		domains = append(domains, schemas.LowerLogin(d))
	}
	put(tb, out, "domains", domains)
	put(tb, out, "enabled", flag(tb, row, "enabled"))
	put(tb, out, "realm_roles", encodedList(texts(tb, row, "realm_roles"), "realm_roles",
		"kept as a list in an attribute; an organization of Keycloak gives its members no roles", n))
	put(tb, out, "properties", groupAttributes(textMap(tb, row, "properties"), "properties", n))
	put(tb, out, "property_template", encodedText(text(tb, row, "property_template"), "property_template", n))
	return out
}

func projectDepartment(row schemas.Row, n *notes) schemas.Row {
	const tb = schemas.Departments
	out := blankRow(tb, row.ID, row.Key)
	for _, c := range []string{"organization", "parent", "name", "path"} {
		put(tb, out, c, text(tb, row, c))
	}
	put(tb, out, "external_ids", externalIDs(textMap(tb, row, "external_ids"), n))
	put(tb, out, "realm_roles", texts(tb, row, "realm_roles"))
	put(tb, out, "client_roles", asSets(textMap(tb, row, "client_roles")))
	put(tb, out, "attributes", groupAttributes(textMap(tb, row, "attributes"), "attributes", n))
	put(tb, out, "template", encodedText(text(tb, row, "template"), "template", n))
	return out
}

func projectGroup(row schemas.Row, n *notes) schemas.Row {
	const tb = schemas.Groups
	out := blankRow(tb, row.ID, row.Key)
	for _, c := range []string{"parent", "name", "path"} {
		put(tb, out, c, text(tb, row, c))
	}
	put(tb, out, "attributes", groupAttributes(textMap(tb, row, "attributes"), "attributes", n))
	return out
}

// bounded leaves a text out that the target's column can't hold.
func bounded(s string, limit int, column string, n *notes) string {
	switch {
	case hasNUL(s):
		n.add(load.LeftOut, column, "holds a NUL character, which the target's database refuses")
		return ""
	case utf8.RuneCountInString(s) > limit:
		n.add(load.LeftOut, column, fmt.Sprintf("longer than the %d characters that the target holds", limit))
		return ""
	}
	return s
}

func encodedText(s, column string, n *notes) string {
	if s = bounded(s, maxColumn, column, n); s != "" {
		n.add(load.Kept, column, "kept in an attribute")
	}
	return s
}

func encodedList(list []string, column, why string, n *notes) []string {
	list = boundedSet(list, maxColumn, column, n)
	if len(list) > 0 {
		n.add(load.Kept, column, why)
	}
	return list
}

// boundedSet leaves out the values of a set that the target can't hold.
func boundedSet(list []string, limit int, column string, n *notes) []string {
	return slices.DeleteFunc(asSet(list), func(s string) bool { return bounded(s, limit, column, n) == "" })
}

// groupAttributes are those that a group or an organization can hold.
func groupAttributes(m map[string][]string, column string, n *notes) map[string][]string {
	out := map[string][]string{}
	for _, name := range sortedKeys(m) {
		label := fmt.Sprintf("%s[%q]", column, name)
		if !attributeName(name, label, n) {
			continue
		}
		if list := boundedSet(m[name], maxColumn, label, n); len(list) > 0 {
			out[name] = list
		}
	}
	return out
}

// attributeName says whether an attribute may have that name.
func attributeName(name, label string, n *notes) bool {
	switch {
	case name == "" || hasNUL(name) || utf8.RuneCountInString(name) > maxColumn:
		n.add(load.LeftOut, label, "no name that the target can hold")
	case reserved(name):
		n.add(load.LeftOut, label, "the name is used by the migration itself: map it to another")
	default:
		return true
	}
	return false
}

// reserved names are ours.
func reserved(name string) bool {
	return name == anchorAttribute || strings.HasPrefix(name, encodedPrefix)
}

func externalIDs(m map[string][]string, n *notes) map[string][]string {
	out := map[string][]string{}
	for _, system := range sortedKeys(m) {
		label := fmt.Sprintf("external_ids[%q]", system)
		if system == "" || utf8.RuneCountInString(externalIDPrefix+system) > maxColumn || hasNUL(system) {
			n.add(load.LeftOut, label, "no name that the target can hold")
			continue
		}
		if list := boundedSet(m[system], maxColumn, label, n); len(list) > 0 {
			out[system] = list
			n.add(load.Kept, label, "kept in an attribute")
		}
	}
	return out
}

func sortedKeys(m map[string][]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
