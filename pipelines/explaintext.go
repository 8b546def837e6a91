package pipelines

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
)

// Text writes the explanation for people, a section for each step of the way.
func (e *Explanation) Text(p *ui.Page) {
	p.Line("%s %s in run %s: %s → %s", e.Table, e.Key, e.Run, e.Source, e.Target)
	for _, n := range e.Notes {
		p.Line("note: %s", n)
	}
	p.Blank()
	p.Line("1 source: legacy snapshot %s", e.Legacy.Short())
	for _, s := range e.Sources {
		s.text(p)
	}
	if len(e.Sources) == 0 {
		p.Line("  legacy has no row that leads here")
	}
	p.Blank()
	p.Line("2 mapping: desired snapshot %s", e.Desired.Short())
	for _, s := range e.Sources {
		for _, r := range s.Rules {
			r.text(p, len(e.Sources) > 1, s)
		}
	}
	for i := range e.Entities {
		e.entityText(p, &e.Entities[i])
	}
}

func (s *ExplainedSource) text(p *ui.Page) {
	p.Line("  %s %s", s.Table, s.Key)
	cellTable(p, "    ", s.Cells)
}

func cellTable(p *ui.Page, indent string, list []ExplainedCell) {
	t := ui.NewTable("", "")
	t.NoHeader, t.Indent = true, indent
	for _, c := range list {
		t.Row(c.Name, c.Value)
	}
	p.Table(t)
}

func (r *ExplainedRule) text(p *ui.Page, several bool, s ExplainedSource) {
	what := "takes the row"
	if !r.Takes {
		what = "does not take the row"
	}
	if several {
		what += " " + s.Key
	}
	p.Line("  %s: rule %q of %s %s", r.At, r.Rule, r.Entity, what)
	t := ui.NewTable("FIELD", "LINE", "EXPRESSION", "VALUE", "")
	t.Indent = "    "
	for _, step := range r.Steps {
		place := step.Place
		if step.Item != "" {
			place += " (" + step.Item + ")"
		}
		value := step.Value
		if step.Error != "" {
			value = "failed: " + step.Error
		}
		t.Row(place, lineOf(step.At), step.Expression, value, step.Mark)
	}
	if t.Len() > 0 {
		p.Table(t)
	}
	if len(r.Rest) > 0 {
		p.Line("    rest passes on: %s", strings.Join(r.Rest, ", "))
	}
}

// lineOf is the line of a place, whose file stands above it.
func lineOf(at string) string { return at[strings.LastIndexByte(at, ':')+1:] }

func (e *Explanation) entityText(p *ui.Page, x *ExplainedEntity) {
	p.Line("  → %s %s: %s", x.Entity, x.Key, classLine(x))
	for _, r := range x.Reasons {
		p.Line("    %s%s: %s", r.Rule, ofField(r.Field), r.Message)
	}
	if m := x.Merged; m != nil {
		p.Line("    merged: %s leads, filled from %s", m.Lead, strings.Join(m.Others, ", "))
		for _, field := range sortedNames(m.Filled) {
			p.Line("      %s from %s", field, m.Filled[field])
		}
	}
	for _, l := range x.References {
		p.Line("    %s.%s: %s by lookup %s → %s", l.Of, l.Field, l.Value, strings.Join(l.Lookups, ", "), l.Found)
	}
	for _, d := range x.Dependents {
		p.Line("    %s %s: %s", d.Table, d.Key, d.Class)
		for _, r := range d.Reasons {
			p.Line("      %s%s: %s", r.Rule, ofField(r.Field), r.Message)
		}
	}
	e.projectionText(p, x)
	p.Blank()
	p.Line("4 merge: base %s, desired %s, observed %s → effective %s", digestText(e.Base), e.Desired.Short(), e.Observed.Short(), e.Effective.Short())
	for i := range x.Rows {
		x.Rows[i].mergeText(p)
	}
	if len(x.Rows) == 0 {
		p.Line("  no side has the row: there is nothing to merge")
	}
	e.operationsText(p, x)
	p.Blank()
	x.targetText(p)
}

func digestText(d snapshots.Digest) string {
	if d == (snapshots.Digest{}) {
		return "(none yet)"
	}
	return d.Short()
}

func ofField(field string) string {
	if field == "" {
		return ""
	}
	return " (" + field + ")"
}

func classLine(x *ExplainedEntity) string {
	switch x.Class {
	case "stands":
		return "stands; passed: " + checkWords(x)
	case "absent":
		return "the desired snapshot has no such row"
	}
	return x.Class
}

func (e *Explanation) projectionText(p *ui.Page, x *ExplainedEntity) {
	p.Blank()
	p.Line("3 projection: what target %s makes of it", e.Target)
	said := map[string]bool{}
	for _, r := range x.Rows {
		for _, n := range r.Projection {
			line := fmt.Sprintf("  %s %s: %s", strings.TrimSuffix(r.Table+"."+n.Column, "."), n.What, n.Why)
			if !said[line] {
				p.Line("%s", line)
			}
			said[line] = true
		}
	}
	switch {
	case x.Class != "stands":
		p.Line("  nothing: the row does not stand")
	case len(said) == 0:
		p.Line("  every field is carried as it is")
	}
}

// mergeText shows the columns where the sides differ, and names the others.
func (r *ExplainedRow) mergeText(p *ui.Page) {
	p.Line("  %s %s: %s", r.Table, r.Key, r.Verdict)
	t := ui.NewTable("COLUMN", "BASE", "DESIRED", "OBSERVED", "EFFECTIVE", "DECIDED BY")
	t.Indent = "    "
	var same []string
	for _, c := range r.Columns {
		if c.Same && (c.Rule == "" || strings.HasPrefix(c.Rule, "unchanged") || c.Rule == alreadyThere) {
			same = append(same, c.Column)
			continue
		}
		rule := c.Rule
		if c.Allow != "" {
			rule += "; --allow " + c.Allow + " brings it back"
		}
		t.Row(c.Column, side(c.Base), side(c.Desired), side(c.Observed), side(c.Effective), rule)
	}
	if t.Len() > 0 {
		p.Table(t)
	}
	if len(same) > 0 {
		p.Line("    the same on every side that has it: %s", strings.Join(same, ", "))
	}
}

// alreadyThere is what package load says of a column that needs no word more.
const alreadyThere = "the target has it already"

func side(s string) string { return cmp.Or(s, "-") }

func (e *Explanation) operationsText(p *ui.Page, x *ExplainedEntity) {
	p.Blank()
	p.Line("5 operations: plan %s", e.Plan.Short())
	any := false
	for _, r := range x.Rows {
		if op := r.Operation; op != nil {
			any = true
			p.Line("  %s", op.line(r))
			if op.Message != "" {
				p.Line("    %s", op.Message)
			}
		}
		for _, f := range r.Findings {
			any = true
			p.Line("  %s: %s %s%s", f.List, r.Table, r.Key, f.more())
		}
	}
	if !any {
		p.Line("  none, and no findings")
	}
}

func (o *ExplainedOperation) line(r ExplainedRow) string {
	line := fmt.Sprintf("operation %d: %s %s %s", o.Seq, o.Kind, r.Table, r.Key)
	if len(o.Columns) > 0 {
		line += " (" + strings.Join(o.Columns, ", ") + ")"
	}
	if o.With > 0 {
		line += fmt.Sprintf(", in the request of operation %d", o.With)
	}
	if len(o.Parked) > 0 {
		line += ", by way of a temporary value in " + strings.Join(o.Parked, ", ")
	}
	if len(o.After) > 0 {
		line += ", after operation " + strings.Trim(fmt.Sprint(o.After), "[]")
	}
	line += fmt.Sprintf("; range %d; %s", o.Range, o.Outcome)
	if o.At != "" {
		line += " " + o.At
	}
	return line
}

func (f *ExplainedFinding) more() string {
	out := ""
	if len(f.Columns) > 0 {
		out += " (" + strings.Join(f.Columns, ", ") + ")"
	}
	if f.Reason != "" {
		out += ": " + f.Reason
	}
	if len(f.Kinds) > 0 {
		out += "; --allow " + strings.Join(f.Kinds, ",")
	}
	return out
}

func (x *ExplainedEntity) targetText(p *ui.Page) {
	switch {
	case x.TargetID == "":
		p.Line("6 target: no id is known")
	case x.Seen != nil && x.Seen.There:
		p.Line("6 target: id %s", x.TargetID)
	default:
		p.Line("6 target: id %s, once it is there", x.TargetID)
	}
	if x.Seen != nil {
		x.Seen.text(p, "observed snapshot "+x.Seen.Snapshot)
	}
	if x.Now != nil {
		x.Now.text(p, "now")
	}
}

func (s *ExplainedSight) text(p *ui.Page, when string) {
	switch {
	case s.There:
		p.Line("  %s: it is there", when)
	case s.Looked:
		p.Line("  %s: it is not there", when)
	default:
		p.Line("  %s: it was not looked at", when)
	}
	if s.InTheWay != "" {
		p.Line("    %s", s.InTheWay)
	}
	cellTable(p, "    ", s.Cells)
	for _, r := range s.Rows {
		p.Line("    %s", strings.TrimSpace(r.Table+" "+r.Key))
		cellTable(p, "      ", r.Cells)
	}
}
