package pipelines

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/transform"
)

// Brief is an outcome whose text leaves out fields and rejects: for a run that
// changes nothing they are as they were.
type Brief struct{ *Outcome }

// Text writes the outcome in brief.
func (b Brief) Text(p *ui.Page) { b.text(p, false) }

// View is the outcome as it is worth printing.
func (o *Outcome) View() ui.View {
	if o.Planned != nil && o.Planned.Operations == 0 {
		return Brief{o}
	}
	return o
}

// Text writes the outcome for people: the equation first, because everything
// else only says why its figures are what they are.
func (o *Outcome) Text(p *ui.Page) { o.text(p, true) }

func (o *Outcome) text(p *ui.Page, full bool) {
	p.Line("run %s: %s (%s)", o.ID, o.way(), o.State)
	if r := o.Report(); r != nil {
		p.Blank()
		p.Line("every row of the source:  read = mapped + merged + excluded + rejected")
		p.Table(sourceTable(r))
	}
	if c := o.Counts(); c != nil {
		p.Blank()
		p.Line("every row of an entity:  %s = the sum of its classes%s", yielded(c), o.planned())
		p.Table(entityTable(c))
	}
	if full {
		o.textFields(p)
		o.textRemarks(p)
		o.textRejects(p)
	}
	o.textAliases(p)
	o.textFound(p)
	if o.Planned != nil && len(o.Planned.Complete) > 0 {
		p.Blank()
		p.Line("complete waves, whose users' profiles Keymate owns: %s", strings.Join(o.Planned.Complete, ", "))
	}
	o.textTakeovers(p)
	o.textFailures(p)
	textList(p, "no checkpoint brings back", o.Beyond)
	o.textGuards(p)
	o.textAccess(p)
	textList(p, "about the source", o.Extracted.warnings())
	o.textSettings(p)
	o.Estimate.text(p)
	o.textTook(p)
	o.textVerified(p)
	o.textProof(p)
	o.textReports(p)
	if o.Checkpoint != "" {
		p.Blank()
		p.Line("checkpoint %s holds what stood in the target before; `parallelrun restore %s` brings it back", o.Checkpoint, o.Checkpoint)
	}
	if c := o.Counts()[schemas.Users]; o.Moved && c != nil && c.Classes[load.Deferred] == c.Yielded {
		p.Blank()
		p.Line("nobody has moved yet, and this run was for those who have: name a wave with --wave, or say --everyone")
	}
	if o.State == Planned {
		p.Blank()
		p.Line("nothing was written to the target; `parallelrun load %s --apply` carries this plan out", o.ID)
	}
}

// way says from where to where, and for whom.
func (o *Outcome) way() string {
	from, who := o.Source, ""
	if r := o.Restore; r != nil {
		from = "checkpoint " + r.Checkpoint
	}
	switch {
	case len(o.Waves) > 0:
		who = ", wave " + strings.Join(o.Waves, ", ")
		if o.Sweep {
			who += " and those in no wave"
		}
	case o.Sweep:
		who = ", those in no wave"
	case o.Moved:
		who = ", those who have moved"
	}
	return from + " → " + o.Target + who
}

func (o *Outcome) planned() string {
	if o.Loaded == nil {
		return ", as planned"
	}
	return ""
}

func sourceTable(r *transform.Report) *ui.Table {
	t := ui.NewTable("table", "read", "mapped", "merged", "excluded", "rejected")
	for _, s := range r.Sources {
		t.Row(s.Table, ui.Count(s.Read), ui.Count(s.Mapped), ui.Count(s.Merged), ui.Count(s.Excluded), ui.Count(s.Rejected))
	}
	return t
}

// yielded names the left side of the equation: rows that are gone from the
// source have a class as well.
func yielded(c load.Counts) string {
	for _, e := range c {
		if e.Gone > 0 {
			return "yielded + gone"
		}
	}
	return "yielded"
}

func entityTable(c load.Counts) *ui.Table {
	left := strings.Split(yielded(c), " + ")
	header := append([]string{"entity"}, left...)
	for _, class := range load.Classes {
		header = append(header, string(class))
	}
	t := ui.NewTable(header...)
	for _, entity := range schemas.LoadOrder {
		e := c[entity]
		if e == nil || e.Yielded+e.Gone == 0 {
			continue
		}
		row := []any{entity, ui.Count(e.Yielded), ui.Count(e.Gone)}[:1+len(left)]
		for _, class := range load.Classes {
			row = append(row, ui.Count(e.Classes[class]))
		}
		t.Row(row...)
	}
	return t
}

func (o *Outcome) textFields(p *ui.Page) {
	fields := o.Fields()
	if len(fields) == 0 {
		return
	}
	p.Blank()
	p.Line("every field, in values")
	t := ui.NewTable("field", "carried", "changed by a rule", "encoded", "left out", "why")
	for _, f := range fields {
		t.Row(f.name(), ui.Count(f.Carried), ui.Count(f.Changed), ui.Count(f.Encoded), ui.Count(f.LeftOut), f.Why)
	}
	p.Table(t)
	if r := o.Report(); r != nil && len(r.LeftOut) > 0 {
		p.Blank()
		p.Line("left out before that: read by no rule, or leading nowhere")
		t := ui.NewTable("from", "field", "rows", "values", "why")
		for _, l := range r.LeftOut {
			t.Row(l.From, l.Field, ui.Count(l.Rows), ui.Count(l.Values), l.Why)
		}
		p.Table(t)
	}
}

func (o *Outcome) textRemarks(p *ui.Page) {
	r := o.Report()
	if r == nil || len(r.Remarks) == 0 {
		return
	}
	p.Blank()
	p.Line("remarks on rows that stand")
	for _, m := range r.Remarks {
		p.Line("  %s  %s.%s: %s", ui.Count(m.Rows), m.Entity, m.Field, m.Text)
	}
}

func (o *Outcome) textAliases(p *ui.Page) {
	r := o.Report()
	if r == nil || r.Aliases == nil || r.Aliases.Listed == 0 {
		return
	}
	a := r.Aliases
	p.Blank()
	p.Line("aliases of keys: %s of %s used", ui.Count(a.Used), ui.Count(a.Listed))
	for _, u := range a.Unused {
		p.Line("  %s: legacy has no %s row with the key %s", u.Place, u.Entity, u.Key)
	}
	if n := a.Listed - a.Used - int64(len(a.Unused)); n > 0 {
		p.Line("  and %s more", ui.Count(n))
	}
}

// examplesShown is how many redacted examples stand under a reason.
const examplesShown = 3

func (o *Outcome) textRejects(p *ui.Page) {
	r := o.Report()
	if r == nil || len(r.Rules) == 0 {
		return
	}
	p.Blank()
	p.Line("rejected and excluded, by rule")
	for _, rule := range r.Rules {
		p.Line("  %s  %s: %s %s", ui.Count(rule.Rows), rule.Entity, rule.Class, rule.Rule)
		for _, e := range rule.Examples[:min(examplesShown, len(rule.Examples))] {
			p.Line("      %s  %s", e.Key, e.Message)
		}
	}
}

// listTitles say what the plan's lists are, for people.
var listTitles = map[string]string{
	load.ListConflicts: "conflicts, left as they are",
	load.ListWithheld:  "withheld: access that the target took away and that is not brought back unless --allow names it",
	load.ListWidening:  "widening: access that this run gives",
	load.ListDrift:     "drift: changed in the target since the last run, brought back",
	load.ListExtra:     "in the target beside ours, left alone",
	load.ListDeferred:  "deferred: not part of this run",
	load.ListKept:      "kept: the target's own, or changed there since",
}

func (o *Outcome) textFound(p *ui.Page) {
	if o.Planned == nil {
		return
	}
	listed := []string{}
	for _, list := range load.Lists {
		found := o.Planned.Found[list]
		if len(found) == 0 {
			continue
		}
		p.Blank()
		p.Line("%s", listTitles[list])
		for _, what := range slices.Sorted(maps.Keys(found)) {
			p.Line("  %s  %s", ui.Count(found[what]), what)
		}
		listed = append(listed, list)
	}
	if len(listed) > 0 && o.Restore != nil {
		p.Line("(`parallelrun runs show %s --list %s` names the rows)", o.ID, strings.Join(listed, ","))
	}
}

func (o *Outcome) textSettings(p *ui.Page) {
	if o.Planned == nil {
		return
	}
	textList(p, "settings of the target that a load changes first", o.Planned.Prepares)
	textList(p, "about the target", o.Planned.Remarks)
}

// textList writes a title and its lines, nothing if there are none.
func textList(p *ui.Page, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	p.Blank()
	p.Line("%s", title)
	for _, text := range lines {
		p.Line("  %s", text)
	}
}

// stepOrder is the order in which steps are shown.
var stepOrder = []string{stepExtract, stepTransform, stepAssign, stepObserve, stepPlan, stepCheckpoint, stepLoad, stepFold, stepVerify, stepProof}

func (o *Outcome) textTook(p *ui.Page) {
	if len(o.Took) == 0 {
		return
	}
	var parts []string
	total := 0.0
	for _, s := range stepOrder {
		if sec, ok := o.Took[s]; ok {
			parts = append(parts, s+" "+ui.Elapsed(seconds(sec)))
			total += sec
		}
	}
	p.Blank()
	p.Line("time: %s (%s)", ui.Elapsed(seconds(total)), strings.Join(parts, ", "))
	if o.Loaded == nil {
		return
	}
	if sec := o.Took[stepLoad]; o.Loaded.Confirmed > 0 && sec > 0 {
		p.Line("rate: %s operations confirmed, %s", ui.Count(o.Loaded.Confirmed), ui.Rate(o.Loaded.Confirmed, seconds(sec)))
	} else {
		p.Line("nothing was written: the target is as it shall be")
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (o *Outcome) textVerified(p *ui.Page) {
	if o.Verified == nil || o.Verified.Rows == 0 {
		return
	}
	p.Blank()
	if o.Verified.Differences == 0 {
		p.Line("verified: %s rows read back from the target, no difference", ui.Count(o.Verified.Rows))
		return
	}
	p.Line("verified: %s rows read back from the target, %s differ:", ui.Count(o.Verified.Rows), ui.Count(o.Verified.Differences))
	p.Line("  parallelrun snapshots diff %s %s --rows", o.Verified.Effective.Short(), o.Verified.Observed.Short())
}

func (o *Outcome) textReports(p *ui.Page) {
	if len(o.Reports) == 0 {
		return
	}
	p.Blank()
	p.Line("reports:")
	for _, name := range o.Reports {
		p.Line("  %s", name)
	}
}

// FieldOutcome is what became of one field of an entity, in values.
type FieldOutcome struct {
	Entity, Field                      string
	Carried, Changed, Encoded, LeftOut int64
	Why                                string
}

func (f FieldOutcome) name() string {
	if f.Field == "" {
		return f.Entity + " (whole rows)"
	}
	return f.Entity + "." + f.Field
}

// Fields joins what transform and the target's projection did to each field: a
// value that both changed counts once, by what was done last.
func (o *Outcome) Fields() []FieldOutcome {
	if o.Planned == nil {
		return nil
	}
	byName := map[string]*FieldOutcome{}
	for entity, columns := range o.Planned.Fields {
		for column, c := range columns {
			byName[entity+"."+column] = &FieldOutcome{
				Entity: entity, Field: column, Carried: c.Carried, Changed: c.Changed, Encoded: c.Encoded, LeftOut: c.LeftOut, Why: c.Why,
			}
		}
	}
	if r := o.Report(); r != nil {
		for _, f := range r.Fields {
			if have := byName[f.Entity+"."+f.Field]; have != nil {
				have.moved(f.Changed, f.Encoded)
			}
		}
	}
	var out []FieldOutcome
	for _, entity := range schemas.LoadOrder {
		for _, name := range slices.Sorted(maps.Keys(byName)) {
			if f := byName[name]; f.Entity == entity {
				out = append(out, *f)
			}
		}
	}
	return out
}

// moved takes values that transform changed or encoded out of those that the
// projection carried as they came.
func (f *FieldOutcome) moved(changed, encoded int64) {
	changed = min(changed, f.Carried)
	f.Carried, f.Changed = f.Carried-changed, f.Changed+changed
	encoded = min(encoded, f.Carried)
	f.Carried, f.Encoded = f.Carried-encoded, f.Encoded+encoded
}

func (o *Outcome) textProof(p *ui.Page) {
	if o.Proof == nil {
		return
	}
	p.Blank()
	p.Line("login proof: legacy passwords at the target's token endpoint, the right ones and wrong ones")
	t := ui.NewTable("scheme", "tried", "logged in", "not fully set up", "refused", "proved", "wrong ones let in")
	for _, name := range o.Proof.Names() {
		s := o.Proof.Schemes[name]
		t.Row(name, ui.Count(s.Tried), ui.Count(s.OK), ui.Count(s.Pending), ui.Count(s.Refused), fmt.Sprintf("%.0f %%", 100*s.Rate()), ui.Count(s.WrongAccepted))
	}
	p.Table(t)
	p.Line("(not fully set up: the password is right; the target asks for more at the first login)")
}
