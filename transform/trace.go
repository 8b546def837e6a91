package transform

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// Explainer shows how single legacy rows are evaluated, by the code that a run
// evaluates them with. It is for one goroutine. What needs the whole population
// (references, uniqueness, hierarchy) is not looked at: the desired snapshot
// has its outcome.
type Explainer struct {
	ev      *evaluator
	sources map[string]*sourceTable
	spare   *tally
}

// NewExplainer explains rows of the given legacy tables. The profile is that of
// the target of the run, the aliases are the run's own.
func NewExplainer(m *Mapping, tables []schemas.Table, namespace string, profile schemas.TargetProfile, aliases *Aliases) *Explainer {
	x := &Explainer{ev: &evaluator{m: m, namespace: namespace, lowerCase: profile.LowerCase, aliases: newAliasUse(aliases)}, sources: map[string]*sourceTable{}, spare: newTally(len(tables))}
	for i, t := range tables {
		src := &sourceTable{index: i, table: t, rules: m.byTable[t.Name]}
		for _, l := range m.lookups {
			if l.table == t.Name {
				src.lookups = append(src.lookups, l)
			}
		}
		x.sources[t.Name] = src
	}
	return x
}

// SourceTable is a legacy table that rows of an entity come from.
type SourceTable struct {
	Table string
	// Computed: a rule computes the key, so that a row is found only by looking
	// at all of them.
	Computed bool
	// Merges: rows of one person are joined.
	Merges bool
}

// SourceTables lists where the rows of an entity come from, in the mapping's order.
func (x *Explainer) SourceTables(entity string) []SourceTable {
	var out []SourceTable
	for _, r := range x.ev.m.rules {
		if r.entity.name != entity {
			continue
		}
		i := slices.IndexFunc(out, func(o SourceTable) bool { return o.Table == r.from.Name })
		if i < 0 {
			i = len(out)
			out = append(out, SourceTable{Table: r.from.Name})
		}
		out[i].Computed = out[i].Computed || r.key != nil
		out[i].Merges = out[i].Merges || r.merge != nil
	}
	return out
}

// Trace is how one legacy row was evaluated.
type Trace struct {
	Table string
	Row   schemas.Row
	// Rules are those of the row's table, in order, also those that do not take
	// the row.
	Rules []RuleTrace
}

// Candidates are the rows that came of it, over all rules.
func (t *Trace) Candidates() []*Candidate {
	var out []*Candidate
	for i := range t.Rules {
		out = append(out, t.Rules[i].Candidates...)
	}
	return out
}

// RuleTrace is what one rule made of the row.
type RuleTrace struct {
	Name, Entity string
	File         string
	Line         int
	Nested       bool // under a users rule
	Takes        bool
	Steps        []Step
	Candidates   []*Candidate
}

// Step is one expression evaluated on the row.
type Step struct {
	Place  string // within the rule, as columns.email
	Line   int
	Source string // as written; empty for a constant
	Item   string // of `each`; may be empty
	// Value is string, bool, int64 (also times, in microseconds), []string,
	// map[string][]string, or nil for no value. Sealed stands for secrets.
	Value  any
	Sealed int // how many secrets the value is
	Err    string
}

// Reference is a legacy value that names another row, before it is looked up.
type Reference struct {
	Field   string
	Values  []string // normalised as the lookups compare
	Lookups []string
}

// Candidate is a row that a rule made of the source row.
type Candidate struct {
	Entity, Rule string
	ID           schemas.RowID
	// OtherID is the row id of a rejected row whose own id another row has.
	OtherID schemas.RowID
	Key     string
	// LegacyKey is the key that legacy has; an alias leads from it to Key where
	// they differ.
	LegacyKey string
	Excluded  string // the rule that leaves it out; empty: none
	// Failures are those of evaluation; checks and joins may add to them.
	Failures   []Reason
	Template   string // property template that it is held against
	References []Reference
	MergeKey   string
	Prefer     bool     // a rule says which row of a person leads
	Rest       []string // attributes passed on because no rule reads them
	Marks      map[string]string
	Dependents []*Candidate // memberships and credentials

	c *candidate
}

// Reason is why a row is rejected.
type Reason struct{ Rule, Field, Message string }

// Row evaluates a row of a legacy table.
func (x *Explainer) Row(table string, row schemas.Row) *Trace {
	src := x.sources[table]
	out := &Trace{Table: table, Row: row}
	if src == nil {
		return out
	}
	tr := &tracer{}
	ev := *x.ev
	ev.trace = tr
	made, taken := ev.row(src, row)
	for _, r := range src.rules {
		out.Rules = append(out.Rules, x.ruleTrace(tr, r, slices.Contains(taken, r), made))
		for _, d := range slices.Concat(r.memberships, r.credentials) {
			if steps := tr.of(d); len(steps) > 0 {
				rt := x.ruleTrace(tr, d, true, nil)
				rt.Takes = !steps.refused()
				out.Rules = append(out.Rules, rt)
			}
		}
	}
	return out
}

// Candidates evaluates a row without a trace, for those who look for one row
// among many.
func (x *Explainer) Candidates(table string, row schemas.Row) []*Candidate {
	src := x.sources[table]
	if src == nil {
		return nil
	}
	made, _ := x.ev.row(src, row)
	return x.shown(made)
}

func (x *Explainer) ruleTrace(tr *tracer, r *rule, takes bool, made []*candidate) RuleTrace {
	mine := slices.DeleteFunc(slices.Clone(made), func(c *candidate) bool { return c.rule != r })
	return RuleTrace{Name: r.name, Entity: r.entity.name, File: filepath.Base(x.ev.m.file), Line: r.line, Nested: r.nested, Takes: takes,
		Steps: tr.of(r), Candidates: x.shown(mine)}
}

func (x *Explainer) shown(made []*candidate) []*Candidate {
	out := make([]*Candidate, 0, len(made))
	for _, c := range made {
		s := &Candidate{Entity: c.rule.entity.name, Rule: c.rule.name, ID: c.id, Key: c.key, LegacyKey: c.legacyKey, Excluded: c.excluded, MergeKey: c.mergeKey,
			Prefer: c.rule.merge != nil && c.rule.merge.prefer != nil, References: c.referred(), Rest: c.passedOn(), Marks: c.markNames(), c: c}
		s.OtherID = schemas.NewRowID(x.ev.namespace, schemas.RejectedTable(s.Entity), c.key+"\x00"+c.origin.String()+"\x00"+c.rule.name)
		if c.aliased() {
			s.OtherID = schemas.NewRowID(x.ev.namespace, s.Entity, c.legacyKey)
		}
		for _, f := range c.failures {
			s.Failures = append(s.Failures, Reason{f.rule, f.field, f.message})
		}
		if t := c.rule.template; t != nil {
			s.Template = t.name
		}
		s.Dependents = x.shown(slices.Concat(c.memberships, c.credentials))
		out = append(out, s)
	}
	return out
}

// referred are the references of a candidate.
func (c *candidate) referred() []Reference {
	var out []Reference
	add := func(field string, ref *reference, values ...string) {
		values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
		if ref == nil || len(values) == 0 {
			return
		}
		r := Reference{Field: field, Values: values}
		for _, l := range ref.lookups {
			r.Lookups = append(r.Lookups, l.name)
		}
		out = append(out, r)
	}
	add("parent", c.rule.parent, c.parent)
	add("organization", c.rule.organization, c.organization)
	add("department", c.rule.department, c.department)
	add("user", c.rule.user, c.user)
	var groups []string
	for _, g := range c.groups {
		groups = append(groups, g.value)
	}
	add("groups", c.rule.groups, groups...)
	add("members", c.rule.members, slices.Clone(c.members)...)
	return out
}

// passedOn are the attributes that no expression of the rule gives by name.
func (c *candidate) passedOn() []string {
	if c.rule.rest == nil {
		return nil
	}
	var out []string
	for name := range c.attributeMap() {
		if !slices.ContainsFunc(c.rule.attributes, func(a attributeExpr) bool { return a.name == name }) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

var markWords = map[mark]string{markCarried: "carried", markChanged: "changed by the rule", markEncoded: "encoded"}

// markNames says of each field what became of the source's value.
func (c *candidate) markNames() map[string]string {
	out := map[string]string{}
	for i, m := range c.marks {
		if m != markNone {
			out["columns."+c.rule.entity.table.Columns[i].Name] = markWords[m]
		}
	}
	for name, m := range c.attributes {
		if m != markNone {
			out["attributes."+name] = markWords[m]
		}
	}
	return out
}

// Merge is how several source rows become one user.
type Merge struct {
	Lead *Candidate
	// Others fill what the lead lacks, in this order.
	Others []*Candidate
	// Filled says which field came from which of the others.
	Filled map[string]*Candidate
}

// Merge joins candidates of one merge key as a run does. It uses them up.
func (x *Explainer) Merge(group []*Candidate) *Merge {
	of := map[*candidate]*Candidate{}
	list := make([]*candidate, len(group))
	for i, g := range group {
		list[i], of[g.c] = g.c, g
	}
	lacks := map[*candidate][]string{}
	for _, c := range list {
		lacks[c] = c.fields()
	}
	lead := mergeGroup(list, x.spare) // sorts the list
	out := &Merge{Lead: of[lead], Filled: map[string]*Candidate{}}
	for _, field := range lead.fields() {
		if slices.Contains(lacks[lead], field) {
			continue
		}
		i := slices.IndexFunc(list, func(c *candidate) bool { return slices.Contains(lacks[c], field) })
		if i > 0 {
			out.Filled[field] = of[list[i]]
		}
	}
	for _, c := range list[1:] {
		out.Others = append(out.Others, of[c])
	}
	return out
}

// fields are the names of the fields that have a value.
func (c *candidate) fields() []string {
	var out []string
	for i, v := range c.values {
		if v != nil && i != c.rule.entity.attributes {
			out = append(out, c.rule.entity.table.Columns[i].Name)
		}
	}
	for name := range c.attributeMap() {
		out = append(out, attributeField(c.rule.entity, name))
	}
	return out
}

// tracer takes down what expressions come to.
type tracer struct{ steps []tracedStep }

type tracedStep struct {
	path string
	Step
}

func (t *tracer) evaluated(e *expr, v *rowView, x any, err error) {
	s := tracedStep{path: e.path, Step: Step{Line: e.line, Source: e.source, Item: v.item}}
	switch x := x.(type) {
	case []*secret:
		s.Sealed = len(x)
	default:
		s.Value = x
	}
	if err != nil {
		s.Value, s.Err = nil, err.Error()
	}
	t.steps = append(t.steps, s)
}

type steps []Step

// of are the steps of a rule's own expressions, and of lookups in the order of
// evaluation.
func (t *tracer) of(r *rule) steps {
	var out steps
	for _, s := range t.steps {
		place, ok := strings.CutPrefix(s.path, r.path+".")
		if !ok || strings.HasPrefix(place, "memberships[") || strings.HasPrefix(place, "credentials[") {
			continue
		}
		s.Place = place
		out = append(out, s.Step)
	}
	return out
}

// refused says that the rule's condition was false.
func (l steps) refused() bool {
	return slices.ContainsFunc(l, func(s Step) bool { return s.Place == "where" && s.Value == false })
}

// Answers says whether lookups know a legacy row under a reference's value.
func (x *Explainer) Answers(table string, row schemas.Row, ref Reference) bool {
	src := x.sources[table]
	if src == nil {
		return false
	}
	v := &rowView{table: &src.table, row: row}
	for _, l := range src.lookups {
		if !slices.Contains(ref.Lookups, l.name) {
			continue
		}
		y, err := l.by.eval(v)
		if err != nil {
			continue
		}
		for _, s := range attributeValues(y) {
			if slices.Contains(ref.Values, l.match.normalize(s)) {
				return true
			}
		}
	}
	return false
}
