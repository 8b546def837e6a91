package transform

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/parallelrun/parallelrun/schemas"
)

// tally is a share of the counts. Every worker has one of its own.
type tally struct {
	sources    []SourceCount
	candidates [entityCount]int64
	merged     [entityCount]int64
	fields     map[fieldKey]*[4]int64
	leftOut    map[LeftOut]*[2]int64 // rows, values; by a LeftOut without counts
	rules      map[ruleKey]*ruleTally
	remarked   map[Remark]int64 // by a Remark without count
}

type fieldKey struct {
	entity uint8
	field  string
}

type ruleKey struct {
	entity      uint8
	class, rule string
}

// ruleTally keeps the examples with the smallest row ids, so that they do not
// depend on the order of work.
type ruleTally struct {
	rows     int64
	examples []rankedExample
}

type rankedExample struct {
	id schemas.RowID
	Example
}

const maxExamples = 3

func newTally(sources int) *tally {
	return &tally{sources: make([]SourceCount, sources), fields: map[fieldKey]*[4]int64{},
		leftOut: map[LeftOut]*[2]int64{}, rules: map[ruleKey]*ruleTally{}, remarked: map[Remark]int64{}}
}

// fate is what became of a source row or candidate.
type fate uint8

const (
	fateMapped fate = iota
	fateMerged
	fateExcluded
	fateRejected
)

// source counts a legacy row's class; rule names the rule that excluded it.
func (t *tally) source(index int, f fate, rule string) {
	s := &t.sources[index]
	switch f {
	case fateMapped:
		s.Mapped++
	case fateMerged:
		s.Merged++
	case fateRejected:
		s.Rejected++
	case fateExcluded:
		s.Excluded++
		if s.ExcludedBy == nil {
			s.ExcludedBy = map[string]int64{}
		}
		s.ExcludedBy[rule]++
	}
}

// settled counts the class of the legacy row behind a candidate.
func (t *tally) settled(c *candidate, f fate) {
	if f == fateMerged {
		t.merged[c.rule.entity.id]++
	}
	if c.primary {
		t.source(c.source, f, c.excluded)
	}
}

func (t *tally) field(entity uint8, field string, m mark) {
	if m == markNone {
		return
	}
	k := fieldKey{entity, field}
	n := t.fields[k]
	if n == nil {
		n = new([4]int64)
		t.fields[k] = n
	}
	n[m]++
}

// yielded counts the fields of a row that stands.
func (t *tally) yielded(c *candidate) {
	e := c.rule.entity
	for i, m := range c.marks {
		if c.values[i] != nil && i != e.attributes {
			t.field(e.id, e.table.Columns[i].Name, m)
		}
	}
	for name, m := range c.attributes {
		t.field(e.id, attributeField(e, name), m)
	}
}

// remarks notes what a user lacks that the target asks for at the first login.
func (t *tally) remarks(c *candidate) {
	for _, field := range []string{"email", "first_name", "last_name"} {
		if c.text(field) == "" {
			t.remarked[Remark{Entity: schemas.Users, Field: field,
				Text: "is empty: at the first login the target says that the account is not fully set up, and asks for it"}]++
		}
	}
}

func (t *tally) left(from, field, why string, values int) {
	k := LeftOut{From: from, Field: field, Why: why}
	n := t.leftOut[k]
	if n == nil {
		n = new([2]int64)
		t.leftOut[k] = n
	}
	n[0]++
	n[1] += int64(values)
}

// failed counts a rejected or excluded row under its rules.
func (t *tally) failed(entity uint8, class string, id schemas.RowID, key string, failures []failure) {
	seen := map[string]bool{}
	for _, f := range failures {
		if seen[f.rule] {
			continue
		}
		seen[f.rule] = true
		r := t.rules[ruleKey{entity, class, f.rule}]
		if r == nil {
			r = &ruleTally{}
			t.rules[ruleKey{entity, class, f.rule}] = r
		}
		r.rows++
		r.example(rankedExample{id, Example{key, f.field, f.message}})
	}
}

func (r *ruleTally) example(x rankedExample) {
	i, _ := slices.BinarySearchFunc(r.examples, x, func(a, b rankedExample) int { return a.id.Compare(b.id) })
	if i < maxExamples {
		r.examples = slices.Insert(r.examples, i, x)
		r.examples = r.examples[:min(len(r.examples), maxExamples)]
	}
}

// totals adds up the shares.
type totals struct {
	mu sync.Mutex
	tally
}

func (t *totals) add(o *tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, s := range o.sources {
		d := &t.sources[i]
		d.Read += s.Read
		d.Mapped += s.Mapped
		d.Merged += s.Merged
		d.Excluded += s.Excluded
		d.Rejected += s.Rejected
		for rule, n := range s.ExcludedBy {
			if d.ExcludedBy == nil {
				d.ExcludedBy = map[string]int64{}
			}
			d.ExcludedBy[rule] += n
		}
	}
	for i := range t.candidates {
		t.candidates[i] += o.candidates[i]
		t.merged[i] += o.merged[i]
	}
	for k, n := range o.fields {
		if d := t.fields[k]; d == nil {
			t.fields[k] = n
		} else {
			for i := range d {
				d[i] += n[i]
			}
		}
	}
	t.addNamed(o)
}

func (t *totals) addNamed(o *tally) {
	for k, n := range o.remarked {
		t.remarked[k] += n
	}
	for k, n := range o.leftOut {
		if d := t.leftOut[k]; d == nil {
			t.leftOut[k] = n
		} else {
			d[0] += n[0]
			d[1] += n[1]
		}
	}
	for k, r := range o.rules {
		d := t.rules[k]
		if d == nil {
			t.rules[k] = r
			continue
		}
		d.rows += r.rows
		for _, x := range r.examples {
			d.example(x)
		}
	}
}

// report lays the totals out, sorted.
func (t *totals) report(w *countingWriter) *Report {
	r := &Report{Sources: t.sources}
	for _, e := range entities {
		if e.id == departmentTemplateEntity && t.candidates[e.id] == 0 {
			continue // most migrations have none
		}
		n := w.counts(e.name)
		r.Entities = append(r.Entities, EntityCount{Entity: e.name, Candidates: t.candidates[e.id], Merged: t.merged[e.id],
			Yielded: n[countYielded], Excluded: n[countExcluded], Rejected: n[countRejected]})
	}
	for k, n := range t.fields {
		r.Fields = append(r.Fields, FieldCount{entities[k.entity].name, k.field, n[markCarried], n[markChanged], n[markEncoded]})
	}
	slices.SortFunc(r.Fields, func(a, b FieldCount) int {
		return cmp.Or(cmp.Compare(entityOrder(a.Entity), entityOrder(b.Entity)), strings.Compare(a.Field, b.Field))
	})
	for k, n := range t.leftOut {
		k.Rows, k.Values = n[0], n[1]
		r.LeftOut = append(r.LeftOut, k)
	}
	slices.SortFunc(r.LeftOut, func(a, b LeftOut) int {
		return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(a.Field, b.Field), strings.Compare(a.Why, b.Why))
	})
	for k, n := range t.remarked {
		k.Rows = n
		r.Remarks = append(r.Remarks, k)
	}
	slices.SortFunc(r.Remarks, func(a, b Remark) int { return strings.Compare(a.Field, b.Field) })
	for k, n := range t.rules {
		c := RuleCount{Entity: entities[k.entity].name, Class: k.class, Rule: k.rule, Rows: n.rows}
		for _, x := range n.examples {
			c.Examples = append(c.Examples, x.Example)
		}
		r.Rules = append(r.Rules, c)
	}
	slices.SortFunc(r.Rules, func(a, b RuleCount) int {
		return cmp.Or(cmp.Compare(entityOrder(a.Entity), entityOrder(b.Entity)), strings.Compare(a.Class, b.Class), strings.Compare(a.Rule, b.Rule))
	})
	return r
}

func entityOrder(name string) int {
	if e := entityByName(name); e != nil {
		return int(e.id)
	}
	return int(entityCount)
}
