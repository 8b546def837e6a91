package transform

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/transform/template"
)

// LoadOptions are what a mapping is checked against.
type LoadOptions struct {
	// Tables are the legacy tables with their columns.
	Tables []schemas.Table
	// ReadFile reads the mapping and its templates; nil is os.ReadFile.
	ReadFile func(path string) ([]byte, error)
}

// defaults of the mapping's policies.
const (
	defaultIterations = 27500
	defaultNested     = "legacyMemberOf"
)

var mappingSchema = sync.OnceValue(func() *template.Template {
	t, err := template.Compile(schemas.MappingSchema)
	if err != nil {
		panic("transform: the mapping's own JSON Schema: " + err.Error()) // embedded: a test compiles it
	}
	return t
})

// LoadMapping reads a mapping, validates it, compiles its expressions and
// type-checks them against the legacy tables. Problems come as a *MappingError
// that lists all of them.
func LoadMapping(path string, o LoadOptions) (*Mapping, error) {
	read := o.ReadFile
	if read == nil {
		read = os.ReadFile
	}
	data, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("mapping: %w", err)
	}
	root, err := parseYAML(path, data)
	if err != nil {
		return nil, err
	}
	ps := &problems{file: path}
	if checkShape(ps, root); len(ps.list) > 0 {
		return nil, ps.err()
	}
	l := &loader{problems: ps, read: read, dir: filepath.Dir(path), compilers: map[string]*compiler{}, tables: o.Tables,
		m: &Mapping{file: path, files: map[string][]byte{filepath.Base(path): data}, byTable: map[string][]*rule{}}}
	if err := l.load(root); err != nil {
		return nil, err
	}
	return l.m, ps.err()
}

// checkShape validates the document against the mapping's JSON Schema.
func checkShape(ps *problems, root *node) {
	for _, v := range mappingSchema().Check(root.plain()) {
		n, path := root.pointed(v.Pointer)
		hint := ""
		switch v.Keyword {
		case "additionalProperties":
			for i, k := range n.keys {
				if k.text == v.Property || strings.Contains(v.Message, fmt.Sprintf("%q", k.text)) {
					n = &node{line: n.keys[i].line, column: n.keys[i].column, text: k.text}
					break
				}
			}
			hint = nearHint(n.text, mappingSchema().Keywords(strings.TrimSuffix(v.At, "/additionalProperties")+"/properties"))
		case "required":
			hint = "every rule needs it"
		}
		ps.at(n, path, hint, "%s", v.Message)
	}
}

type loader struct {
	*problems
	read      func(string) ([]byte, error)
	dir       string
	tables    []schemas.Table
	compilers map[string]*compiler
	m         *Mapping
}

func (l *loader) load(root *node) error {
	l.policies(root)
	l.loadTemplates(root.get("templates"))
	l.m.writtenRule = writtenRule()
	l.loadTemplateGroups(root.get("template_groups"))
	if err := l.loadLookups(root.get("lookups")); err != nil {
		return err
	}
	for _, e := range entities {
		list := root.get(e.name)
		if list == nil {
			continue
		}
		for i, n := range list.items {
			r, err := l.rule(n, fmt.Sprintf("%s[%d]", e.name, i), e, nil)
			if err != nil {
				return err
			}
			if r == nil {
				continue
			}
			r.index = len(l.m.rules)
			l.m.rules = append(l.m.rules, r)
			l.m.byTable[r.from.Name] = append(l.m.byTable[r.from.Name], r)
		}
	}
	if len(l.m.rules) == 0 && len(l.list) == 0 {
		l.at(root, "", "write at least one rule under users", "the mapping has no rule")
	}
	l.registerInstantiations()
	l.contradictions()
	return nil
}

func (l *loader) policies(root *node) {
	l.m.passwords = passwordPolicy{hashClear: true, iterations: defaultIterations}
	p := root.get("passwords")
	if p.str("clear") == "reject" {
		l.m.passwords.hashClear = false
	}
	if n := p.get("iterations"); n != nil {
		l.m.passwords.iterations = int(n.value.(int64)) // the schema holds it to a range
	}
	l.m.nested = defaultNested
	if n := root.get("nested_groups").get("attribute"); n != nil {
		l.m.nested = n.text
	}
}

func (l *loader) loadTemplates(n *node) {
	if n == nil {
		return
	}
	for i, k := range n.keys {
		v := n.items[i]
		t := &propertyTemplate{name: k.text, file: v.str("file"), appliesTo: v.str("applies_to")}
		path := filepath.Join(l.dir, filepath.FromSlash(t.file))
		data, err := l.read(path)
		if err != nil {
			l.at(v.get("file"), "templates."+k.text, "the path is relative to the mapping", "template can't be read: %v", errors.Unwrap(err))
			continue
		}
		t.data = data
		l.m.files[t.file] = data
		if t.schema, err = template.Compile(data); err != nil {
			l.list = append(l.list, templateProblem(path, data, k.text, err))
			continue
		}
		l.m.templates = append(l.m.templates, t)
	}
}

// templateProblem places a template's error in its own file.
func templateProblem(path string, data []byte, name string, err error) Problem {
	p := Problem{File: path, Line: 1, Column: 1, Path: "templates." + name, Message: err.Error(), Offset: -1,
		Hint: "a property template is a JSON Schema, draft 2020-12"}
	var te *template.Error
	if !errors.As(err, &te) {
		return p
	}
	if te.Offset >= 0 {
		before := string(data[:max(0, min(te.Offset-1, len(data)))])
		p.Line = 1 + strings.Count(before, "\n")
		p.Column = 1 + len(before) - (strings.LastIndexByte(before, '\n') + 1)
		return p
	}
	if root, err := parseYAML(path, data); err == nil { // JSON is YAML
		n, _ := root.pointed(te.Pointer)
		p.Line, p.Column = n.line, n.column
	}
	return p
}

func (l *loader) table(n *node, path string) *schemas.Table {
	names := make([]string, len(l.tables))
	for i := range l.tables {
		if l.tables[i].Name == n.text {
			return &l.tables[i]
		}
		names[i] = l.tables[i].Name
	}
	l.at(n, path, nearHint(n.text, names), "there is no legacy table %q", n.text)
	return nil
}

func (l *loader) compiler(t *schemas.Table) (*compiler, error) {
	if c := l.compilers[t.Name]; c != nil {
		return c, nil
	}
	c, err := newCompiler(t, l.problems)
	if err != nil {
		return nil, err
	}
	l.compilers[t.Name] = c
	return c, nil
}

func (l *loader) loadLookups(n *node) error {
	if n == nil {
		return nil
	}
	for i, k := range n.keys {
		v, path := n.items[i], "lookups."+k.text
		t := l.table(v.get("table"), path+".table")
		if t == nil {
			continue
		}
		c, err := l.compiler(t)
		if err != nil {
			return err
		}
		by := c.compile(v.get("by"), path+".by", wantTexts, false)
		l.m.lookups = append(l.m.lookups, &lookup{index: len(l.m.lookups), name: k.text, table: t.Name, by: by, match: matchings[v.str("match")]})
	}
	return nil
}

func (l *loader) rule(n *node, path string, e *entity, parent *rule) (*rule, error) {
	r := &rule{entity: e, name: n.str("rule"), path: path, line: n.line}
	if parent != nil {
		r.from, r.nested = parent.from, true
	} else if r.from = l.table(n.get("from"), path+".from"); r.from == nil {
		return nil, nil
	}
	c, err := l.compiler(r.from)
	if err != nil {
		return nil, err
	}
	b := &ruleBuilder{loader: l, c: c, r: r, n: n, path: path}
	b.build()
	for _, kind := range []struct {
		key  string
		e    *entity
		into *[]*rule
	}{{"memberships", entities[membershipEntity], &r.memberships}, {"credentials", entities[credentialEntity], &r.credentials}} {
		list := n.get(kind.key)
		if list == nil {
			continue
		}
		for i, d := range list.items {
			dr, err := l.rule(d, fmt.Sprintf("%s.%s[%d]", path, kind.key, i), kind.e, r)
			if err != nil {
				return nil, err
			}
			dr.index = len(l.m.dependent)
			l.m.dependent = append(l.m.dependent, dr)
			*kind.into = append(*kind.into, dr)
			r.reads.add(dr.reads)
		}
	}
	return r, nil
}

// ruleBuilder fills one rule from its node.
type ruleBuilder struct {
	*loader
	c    *compiler
	r    *rule
	n    *node
	path string
}

func (b *ruleBuilder) build() {
	r, n := b.r, b.n
	r.where = b.expr("where", wantBool, false)
	r.key = b.expr("key", wantText, false)
	r.each = b.expr("each", wantTexts, false)
	item := r.each != nil
	if ex := n.get("exclude"); ex != nil {
		for i, x := range ex.items {
			p := fmt.Sprintf("%s.exclude[%d].when", b.path, i)
			r.exclude = append(r.exclude, excludeRule{x.str("rule"), b.compiled(x.get("when"), p, wantBool, item)})
		}
	}
	b.columns(item)
	b.attributes(item)
	b.rest()
	r.template = b.templateOf(n.get("template"), b.path+".template", r.entity)
	b.instantiations()
	r.organization = b.reference("organization", "value", wantText, item)
	r.department = b.reference("department", "value", wantText, item)
	r.parent = b.reference("parent", "value", wantText, item)
	r.user = b.reference("user", "value", wantText, item)
	r.groups = b.reference("groups", "values", wantTexts, item)
	r.members = b.reference("members", "values", wantTexts, item)
	r.password = b.expr("password", wantSecrets, item)
	if m := n.get("merge"); m != nil {
		r.merge = &mergeRule{by: b.compiled(m.get("by"), b.path+".merge.by", wantText, false),
			prefer: b.compiled(m.get("prefer"), b.path+".merge.prefer", wantOrder, false)}
	}
}

func (b *ruleBuilder) expr(key string, w want, item bool) *expr {
	return b.compiled(b.n.get(key), b.path+"."+key, w, item)
}

func (b *ruleBuilder) compiled(n *node, path string, w want, item bool) *expr {
	e := b.c.compile(n, path, w, item)
	if e != nil {
		b.r.reads.add(e.reads)
	}
	return e
}

func (b *ruleBuilder) columns(item bool) {
	cols := b.n.get("columns")
	if cols == nil {
		return
	}
	for i, k := range cols.keys {
		at := b.r.entity.table.Column(k.text)
		w := wantOf(b.r.entity.table.Columns[at].Type)
		if e := b.compiled(cols.items[i], b.path+".columns."+k.text, w, item); e != nil {
			b.r.columns = append(b.r.columns, columnExpr{at, k.text, e})
		}
	}
	slices.SortFunc(b.r.columns, func(a, b columnExpr) int { return a.column - b.column })
}

func wantOf(t schemas.Type) want {
	switch t {
	case schemas.Bool:
		return wantBool
	case schemas.Int:
		return wantInt
	case schemas.Timestamp:
		return wantTime
	case schemas.Strings:
		return wantTexts
	case schemas.StringsMap:
		return wantTextsMap
	}
	return wantText
}

func (b *ruleBuilder) attributes(item bool) {
	attrs := b.n.get("attributes")
	if attrs == nil {
		return
	}
	for i, k := range attrs.keys {
		if e := b.compiled(attrs.items[i], b.path+".attributes."+k.text, wantAttribute, item); e != nil {
			b.r.attributes = append(b.r.attributes, attributeExpr{k.text, e})
		}
	}
	slices.SortFunc(b.r.attributes, func(a, b attributeExpr) int { return strings.Compare(a.name, b.name) })
}

func (b *ruleBuilder) rest() {
	n := b.n.get("rest")
	if n == nil || n.value == false {
		return
	}
	b.r.rest = &restRule{prefix: n.str("prefix"), only: nameSet(n.get("only")), except: nameSet(n.get("except"))}
}

func nameSet(n *node) map[string]bool {
	if n == nil {
		return nil
	}
	set := map[string]bool{}
	for _, x := range n.items {
		set[x.text] = true
	}
	return set
}

const userTemplate = "user"

var appliesTo = map[string]string{schemas.Organizations: "organization", schemas.Departments: "department", schemas.Users: userTemplate}

// templateOf finds the property template that a place of the mapping names, nil
// for none.
func (b *ruleBuilder) templateOf(n *node, path string, e *entity) *propertyTemplate {
	if n == nil {
		return nil
	}
	var names []string
	for _, t := range b.m.templates {
		if t.appliesTo != appliesTo[e.name] {
			continue
		}
		if t.name == n.text {
			return t
		}
		names = append(names, t.name)
	}
	if !b.brokenTemplate(n.text) {
		b.at(n, path, nearHint(n.text, names), "there is no template %q that applies to a %s", n.text, appliesTo[e.name])
	}
	return nil
}

// brokenTemplate reports whether the template is declared but has a problem of
// its own, which was noted already.
func (b *ruleBuilder) brokenTemplate(name string) bool {
	for _, p := range b.list {
		if p.Path == "templates."+name {
			return true
		}
	}
	return false
}

func (b *ruleBuilder) reference(key, value string, w want, item bool) *reference {
	n := b.n.get(key)
	if n == nil {
		return nil
	}
	path := b.path + "." + key
	if n.get("path") != nil {
		return b.pathReference(n, path, item)
	}
	for _, part := range []string{"lookup", value} {
		if n.get(part) == nil {
			b.at(n, path, "give it a lookup and a value, or a path", "property %q is missing", part)
			return nil
		}
	}
	ref := &reference{value: b.compiled(n.get(value), path+"."+value, w, item)}
	names := []*node{n.get("lookup")}
	if names[0].kind == listNode {
		names = names[0].items
	}
	for _, name := range names {
		lk := b.lookup(name.text)
		if lk == nil {
			b.at(name, path+".lookup", nearHint(name.text, b.lookupNames()), "there is no lookup %q", name.text)
			return nil
		}
		ref.lookups = append(ref.lookups, lk)
		if lk.match != ref.match() {
			b.at(name, path+".lookup", "give the lookups one `match`", "lookups of one reference compare values in different ways")
		}
	}
	return ref
}

// pathReference finds a department by the names from the root of its
// organization.
func (b *ruleBuilder) pathReference(n *node, path string, item bool) *reference {
	for _, other := range []string{"lookup", "value"} {
		if x := n.get(other); x != nil {
			b.at(x, path+"."+other, "leave one of the two out", "a department is found by a lookup or by its path, not by both")
			return nil
		}
	}
	if b.n.get("organization") == nil {
		b.at(n, path, "write `organization` beside it", "a path says which department only together with the organization")
		return nil
	}
	return &reference{path: true, value: b.compiled(n.get("path"), path+".path", wantText, item)}
}

func (l *loader) lookup(name string) *lookup {
	for _, lk := range l.m.lookups {
		if lk.name == name {
			return lk
		}
	}
	return nil
}

func (l *loader) lookupNames() []string {
	var names []string
	for _, lk := range l.m.lookups {
		names = append(names, lk.name)
	}
	return names
}
