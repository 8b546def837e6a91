package transform

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/schemas"
)

// evaluator turns legacy rows into candidates. It is pure and safe for
// concurrent use.
type evaluator struct {
	m         *Mapping
	namespace string
	lowerCase bool
	aliases   *aliasUse // nil: none
	trace     *tracer   // nil but for an Explainer
}

// sourceTable is one legacy table of a run.
type sourceTable struct {
	index   int
	table   schemas.Table
	rules   []*rule
	lookups []*lookup
}

// ProblemsColumn is a column that sources may give a table: the attributes, per
// row, whose values did not fit their column and stand in the other column
// instead. Their cells are null without being absent.
const ProblemsColumn = "problems"

// unreadable are the attributes that a rule reads and the source could not.
func (src *sourceTable) unreadable(r *rule, row schemas.Row) []string {
	i := src.table.Column(ProblemsColumn)
	if i < 0 {
		return nil
	}
	names, _ := row.Values[i].([]string)
	var out []string
	for _, name := range names {
		if r.reads.has(name, "") {
			out = append(out, name)
		}
	}
	return out
}

// unread is why the source could not read a row, empty where it could.
func (src *sourceTable) unread(row schemas.Row) string {
	i := src.table.Column(schemas.UnreadColumn)
	if i < 0 {
		return ""
	}
	why, _ := row.Values[i].(string)
	return why
}

// unreadRow yields a failed candidate for each rule that may have taken the row:
// nothing in it can be believed, so no expression looks at it.
func (ev *evaluator) unreadRow(src *sourceTable, row schemas.Row, why string) (out []*candidate, taken []*rule) {
	for _, r := range src.rules {
		n := len(r.entity.table.Columns)
		c := &candidate{rule: r, source: src.index, origin: row.ID, values: make([]any, n), marks: make([]mark, n), primary: len(out) == 0}
		c.legacyKey, c.key = row.Key, ev.aliases.rowKey(r.entity.name, row.Key)
		c.id = schemas.NewRowID(ev.namespace, r.entity.name, c.key)
		c.fail(RuleUnreadRow, "", why)
		out = append(out, c)
	}
	return out, src.rules
}

// row yields the candidates of one legacy row. None means that no rule takes
// it; taken lists the rules that do.
func (ev *evaluator) row(src *sourceTable, row schemas.Row) (out []*candidate, taken []*rule) {
	if why := src.unread(row); why != "" {
		return ev.unreadRow(src, row, why)
	}
	v := &rowView{table: &src.table, row: row, trace: ev.trace}
	for _, r := range src.rules {
		takes, err := boolOf(r.where, v, true)
		if err == nil && !takes {
			continue
		}
		taken = append(taken, r)
		unreadable := src.unreadable(r, row)
		for _, c := range ev.rule(src, r, v) {
			for _, name := range unreadable {
				c.fail(RuleUnreadable, name, "the source's value does not fit the type that the configuration declares for it, and the rule reads it: correct the value or the type")
			}
			if err != nil {
				c.failed("where", err)
			}
			c.primary = len(out) == 0
			out = append(out, c)
		}
	}
	return out, taken
}

func boolOf(e *expr, v *rowView, otherwise bool) (bool, error) {
	if e == nil {
		return otherwise, nil
	}
	x, err := e.eval(v)
	b, _ := x.(bool)
	return b, err
}

// failed notes an expression's error.
func (c *candidate) failed(field string, err error) {
	var ve *valueError
	if errors.As(err, &ve) {
		c.fail(ve.rule, field, ve.message)
		return
	}
	c.fail(RuleExpression, field, "the expression failed on this row")
}

// rule yields the candidates of one rule: one, or one for each item.
func (ev *evaluator) rule(src *sourceTable, r *rule, v *rowView) []*candidate {
	if r.each == nil {
		return []*candidate{ev.candidate(src, r, v)}
	}
	x, err := r.each.eval(v)
	if err != nil {
		c := ev.candidate(src, r, v)
		c.failed("each", err)
		return []*candidate{c}
	}
	items, _ := x.([]string)
	var out []*candidate
	for _, item := range items {
		out = append(out, ev.candidate(src, r, &rowView{table: v.table, row: v.row, item: item, active: true, trace: v.trace}))
	}
	return out
}

func (ev *evaluator) candidate(src *sourceTable, r *rule, v *rowView) *candidate {
	n := len(r.entity.table.Columns)
	c := &candidate{rule: r, source: src.index, origin: v.row.ID, values: make([]any, n), marks: make([]mark, n)}
	ev.identify(c, v)
	for _, x := range r.exclude {
		yes, err := boolOf(x.when, v, false)
		if err != nil {
			c.failed("exclude "+x.name, err)
		} else if yes {
			c.excluded = x.name
			break
		}
	}
	ev.columns(c, v)
	ev.attributes(c, v)
	ev.references(c, v)
	ev.instantiations(c, v)
	for _, d := range r.memberships {
		c.memberships = append(c.memberships, ev.nested(src, d, v)...)
	}
	for _, d := range r.credentials {
		for _, x := range ev.nested(src, d, v) {
			if len(x.secrets) > 0 || len(x.failures) > 0 {
				c.credentials = append(c.credentials, x)
			}
		}
	}
	ev.lookupValues(src, c, v)
	ev.merge(c, v)
	return c
}

// nested yields the candidates of a rule that stands under a users rule.
func (ev *evaluator) nested(src *sourceTable, r *rule, v *rowView) []*candidate {
	takes, err := boolOf(r.where, v, true)
	if err == nil && !takes {
		return nil
	}
	out := ev.rule(src, r, v)
	if err != nil {
		for _, c := range out {
			c.failed("where", err)
		}
	}
	return out
}

// identify sets the key, which may be an alias of the row's, and the row id
// where it does not hang on a user.
func (ev *evaluator) identify(c *candidate, v *rowView) {
	c.key = v.row.Key
	if c.rule.key != nil {
		x, err := c.rule.key.eval(v)
		s, _ := x.(string)
		switch {
		case err != nil:
			c.failed("key", err)
		case s == "":
			c.fail(RuleRequired, "key", "the key is empty: a row needs a key that never changes")
		default:
			c.key = s
		}
	}
	c.legacyKey, c.key = c.key, ev.aliases.rowKey(c.rule.entity.name, c.key)
	c.id = schemas.NewRowID(ev.namespace, c.rule.entity.name, c.key)
}

func (ev *evaluator) columns(c *candidate, v *rowView) {
	for _, col := range c.rule.columns {
		x, err := col.expr.eval(v)
		if err != nil {
			c.failed(col.name, err)
			continue
		}
		c.values[col.column] = x
		c.marks[col.column] = col.expr.mark(v, x)
	}
	switch c.rule.entity.id {
	case userEntity:
		if i := c.rule.entity.table.Column("enabled"); c.values[i] == nil {
			c.values[i] = false // never the wider of the two
		}
		if ev.lowerCase {
			c.lower("username")
			c.lower("email")
		}
	case organizationEntity:
		if i := c.rule.entity.table.Column("enabled"); c.values[i] == nil && !c.rule.gives("enabled") {
			c.values[i] = true
		}
		if t := c.rule.template; t != nil {
			i := c.rule.entity.table.Column("property_template")
			c.values[i], c.marks[i] = t.name, markChanged
		}
	}
}

// gives reports whether the rule has an expression for a column.
func (r *rule) gives(column string) bool {
	return slices.ContainsFunc(r.columns, func(c columnExpr) bool { return c.name == column })
}

func (c *candidate) lower(column string) {
	i := c.rule.entity.table.Column(column)
	s, _ := c.values[i].(string)
	if l := schemas.LowerLogin(s); l != s {
		c.values[i], c.marks[i] = l, markChanged
	}
}

func (ev *evaluator) attributes(c *candidate, v *rowView) {
	at := c.rule.entity.attributes
	if at < 0 || len(c.rule.attributes) == 0 && c.rule.rest == nil {
		return
	}
	attrs := map[string][]string{}
	c.attributes = map[string]mark{}
	for _, a := range c.rule.attributes {
		x, err := a.expr.eval(v)
		if err != nil {
			c.failed(attributeField(c.rule.entity, a.name), err)
			continue
		}
		if l := attributeValues(x); len(l) > 0 {
			attrs[a.name], c.attributes[a.name] = l, a.expr.mark(v, l)
		}
	}
	if c.rule.rest != nil {
		ev.rest(c, v, attrs)
	}
	if len(attrs) > 0 {
		c.values[at] = attrs
	}
}

// attributeField is how messages name an attribute.
func attributeField(e *entity, name string) string {
	return e.table.Columns[e.attributes].Name + "." + name
}

func attributeValues(x any) []string {
	switch x := x.(type) {
	case string:
		return []string{x}
	case []string:
		return x
	}
	return nil
}

// rest passes on what no expression of the rule reads.
func (ev *evaluator) rest(c *candidate, v *rowView, attrs map[string][]string) {
	r := c.rule
	put := func(name string, values []string, m mark) {
		if !r.rest.takes(name) || len(values) == 0 {
			return
		}
		name = r.rest.prefix + name
		if _, taken := attrs[name]; taken {
			c.fail(RuleAttributeName, attributeField(r.entity, name), "two source attributes would get this name: give `rest` a prefix, or leave one out")
			return
		}
		attrs[name], c.attributes[name] = values, m
	}
	for i, col := range v.table.Columns {
		cell := v.row.Values[i]
		if cell == nil || col.Type.IsSecret() || col.Name == ProblemsColumn || col.Name == schemas.UnreadColumn {
			continue
		}
		switch x := cell.(type) {
		case map[string][][]byte:
			for k, l := range x {
				if !r.reads.has(col.Name, k) {
					values, m := binaryTexts(l)
					put(k, values, m)
				}
			}
		case map[string][]string:
			for k, l := range x {
				if !r.reads.has(col.Name, k) {
					put(col.Name+"."+k, l, markCarried)
				}
			}
		default:
			if !r.reads.has(col.Name, "") {
				values, m := cellTexts(col.Type, cell)
				put(col.Name, values, m)
			}
		}
	}
}

func cellTexts(t schemas.Type, cell any) ([]string, mark) {
	switch x := cell.(type) {
	case string:
		if x == "" {
			return nil, markNone
		}
		return []string{x}, markCarried
	case []string:
		return slices.DeleteFunc(slices.Clone(x), func(s string) bool { return s == "" }), markCarried
	case bool:
		return []string{strconv.FormatBool(x)}, markCarried
	case int64:
		if t == schemas.Timestamp {
			return []string{time.UnixMicro(x).UTC().Format(time.RFC3339Nano)}, markCarried
		}
		return []string{strconv.FormatInt(x, 10)}, markCarried
	case []byte:
		return []string{base64.StdEncoding.EncodeToString(x)}, markEncoded
	case [][]byte:
		out := make([]string, len(x))
		for i, b := range x {
			out[i] = base64.StdEncoding.EncodeToString(b)
		}
		return out, markEncoded
	}
	return nil, markNone
}

// binaryTexts takes undeclared values as text when all of them are, else as
// base64.
func binaryTexts(l [][]byte) ([]string, mark) {
	for _, b := range l {
		if !utf8.Valid(b) {
			return cellTexts(schemas.Binaries, l)
		}
	}
	out := make([]string, 0, len(l))
	for _, b := range l {
		if len(b) > 0 {
			out = append(out, string(b))
		}
	}
	return out, markCarried
}

func (ev *evaluator) references(c *candidate, v *rowView) {
	for _, x := range []struct {
		ref  *reference
		name string
		into *string
	}{{c.rule.parent, "parent", &c.parent}, {c.rule.organization, "organization", &c.organization},
		{c.rule.department, "department", &c.department}, {c.rule.user, "user", &c.user}} {
		if x.ref == nil {
			continue
		}
		y, err := x.ref.value.eval(v)
		if err != nil {
			c.failed(x.name, err)
		} else if s, ok := y.(string); ok {
			*x.into = x.ref.normalize(s)
		}
	}
	if r := c.rule.groups; r != nil {
		y, err := r.value.eval(v)
		if err != nil {
			c.failed("groups", err)
		}
		for _, s := range attributeValues(y) {
			c.groups = append(c.groups, groupValue{c.rule.index, r.match().normalize(s)})
		}
	}
	if c.rule.members != nil {
		c.members = memberValues(c, v)
	}
	if c.rule.password != nil {
		y, err := c.rule.password.eval(v)
		if err != nil {
			c.failed("password", err)
		}
		c.secrets, _ = y.([]*secret)
	}
}

// instantiations notes which template groups an organization is given.
func (ev *evaluator) instantiations(c *candidate, v *rowView) {
	if c.excluded != "" {
		return
	}
	for _, x := range c.rule.instantiate {
		yes, err := boolOf(x.where, v, true)
		if err != nil {
			c.failed("instantiate "+x.group, err)
		} else if yes {
			c.instantiates = append(c.instantiates, x)
		}
	}
}

// memberValues are the normalised values of a group's members.
func memberValues(c *candidate, v *rowView) []string {
	y, err := c.rule.members.value.eval(v)
	if err != nil {
		c.failed("members", err)
	}
	values := attributeValues(y)
	out := make([]string, len(values))
	for i, s := range values {
		out[i] = c.rule.members.match().normalize(s)
	}
	return out
}

// lookupValues notes under which values lookups know the row.
func (ev *evaluator) lookupValues(src *sourceTable, c *candidate, v *rowView) {
	if c.rule.nested || c.rule.entity.id == membershipEntity || c.rule.entity.id == credentialEntity {
		return
	}
	for _, l := range src.lookups {
		x, err := l.by.eval(v)
		if err != nil {
			c.failed("lookup "+l.name, err)
			continue
		}
		for _, s := range attributeValues(x) {
			c.lookups = append(c.lookups, lookupValue{l.index, l.match.normalize(s)})
		}
	}
}

func (ev *evaluator) merge(c *candidate, v *rowView) {
	if c.rule.merge == nil || c.excluded != "" {
		return
	}
	x, err := c.rule.merge.by.eval(v)
	if err != nil {
		c.failed("merge.by", err)
		return
	}
	c.mergeKey, _ = x.(string)
	if c.rule.merge.prefer == nil {
		return
	}
	if x, err = c.rule.merge.prefer.eval(v); err != nil {
		c.failed("merge.prefer", err)
		return
	}
	c.prefer = orderKey(x)
}

// orderKey is a text that sorts like the value.
func orderKey(x any) string {
	switch x := x.(type) {
	case string:
		return "s" + x
	case bool:
		return "b" + strconv.FormatBool(x)
	case int64:
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], uint64(x)^1<<63)
		return "n" + string(b[:])
	}
	return ""
}

// mark tells whether a value was carried as the source holds it or changed by
// the rule: it was carried if each part of it stands in a cell that the
// expression reads.
func (e *expr) mark(v *rowView, result any) mark {
	switch x := result.(type) {
	case nil:
		return markNone
	case []string:
		if len(x) == 0 {
			return markNone
		}
	case map[string][]string:
		if len(x) == 0 {
			return markNone
		}
	}
	if e.fixed {
		return markChanged
	}
	switch x := result.(type) {
	case string:
		return e.markTexts(v, []string{x})
	case []string:
		return e.markTexts(v, x)
	case map[string][]string:
		for _, l := range x {
			if m := e.markTexts(v, l); m != markCarried {
				return m
			}
		}
		return markCarried
	}
	for _, ref := range e.cells {
		if v.row.Values[ref.column] == result {
			return markCarried
		}
	}
	return markChanged
}

func (e *expr) markTexts(v *rowView, texts []string) mark {
	for _, s := range texts {
		if m := e.markText(v, s); m != markCarried {
			return m
		}
	}
	return markCarried
}

func (e *expr) markText(v *rowView, s string) mark {
	binary := false
	for _, ref := range e.cells {
		cell := v.row.Values[ref.column]
		if m, ok := cell.(map[string][][]byte); ok {
			if slices.ContainsFunc(m[ref.key], func(b []byte) bool { return string(b) == s }) {
				return markCarried
			}
			binary = true
			continue
		}
		if _, ok := cell.([]byte); ok {
			binary = true
			continue
		}
		if _, ok := cell.([][]byte); ok {
			binary = true
			continue
		}
		if l, _ := cellTexts(v.table.Columns[ref.column].Type, cell); slices.Contains(l, s) {
			return markCarried
		}
	}
	if binary {
		return markEncoded
	}
	return markChanged
}
