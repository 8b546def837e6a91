package pipelines

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// Estimate is how long carrying out a plan takes, at the pace that was measured
// last.
type Estimate struct {
	// Seconds are of all parts; zero if nothing was measured yet.
	Seconds float64        `json:"seconds"`
	Parts   []EstimatePart `json:"parts,omitempty"`
	// Elsewhere: nothing was measured on this target yet, so that another's pace
	// has to do.
	Elsewhere bool `json:"elsewhere,omitempty"`
}

// EstimatePart is what operations of one kind take. The last part, without a
// table, is folding and reading back, over all operations.
type EstimatePart struct {
	Table      string    `json:"table,omitempty"`
	Kind       load.Kind `json:"kind,omitempty"`
	Operations int64     `json:"operations"`
	Seconds    float64   `json:"seconds"`
	By         Measured  `json:"measured"`
}

// Measured is where a pace comes from. Its kind is another than that of the
// part where none of those was measured yet: then the slowest one counts.
type Measured struct {
	Run    string `json:"run"`
	Target string `json:"target"`
	load.Pace
	// Flying is how many requests were in flight on average.
	Flying float64 `json:"in_flight,omitempty"`
}

const (
	// measuredEnough operations tell a pace; of fewer, a run with more of them
	// is asked, and the most that were found tell it.
	measuredEnough = 100
	// measuredRuns is how many runs back a pace is looked for.
	measuredRuns = 100
	// kindAfter stands for what follows on the load: folding and reading back.
	kindAfter load.Kind = "fold and verify"
)

// estimate reckons what a plan takes by the last runs of its target; for a
// restore into a target where nothing ran yet, by those of the checkpoint's.
func (r *Runner) estimate(ctx context.Context, rec Record, plan *Plan) (*Estimate, error) {
	if plan.Operations == 0 {
		return nil, nil
	}
	if len(plan.Work) == 0 { // made by an older program
		return &Estimate{}, nil
	}
	targets := []string{r.TargetName}
	if rec.Restore != nil {
		cp, err := ReadCheckpoint(ctx, r.Store, rec.Restore.Checkpoint)
		if err == nil && cp.Target != r.TargetName { // it may have been dropped since
			targets = append(targets, cp.Target)
		}
	}
	for _, target := range targets {
		paces, err := r.measured(ctx, target, plan)
		if err != nil {
			return nil, err
		}
		if len(paces) > 0 {
			e := reckon(plan, paces)
			e.Elsewhere = target != r.TargetName
			return e, nil
		}
	}
	return &Estimate{}, nil
}

// paceOf names a kind of operations.
type paceOf struct {
	table string
	kind  load.Kind
}

// measured collects the newest paces of a target's runs.
func (r *Runner) measured(ctx context.Context, target string, plan *Plan) (map[paceOf]Measured, error) {
	st, err := r.Store.State(ctx)
	if err != nil {
		return nil, err
	}
	found, looked := map[paceOf]Measured{}, 0
	for _, info := range slices.Backward(st.History) {
		if info.Dataset != "target/"+target || info.Stage != StageBase || info.Run == "" {
			continue
		}
		if looked++; looked > measuredRuns || knownAll(plan, found) {
			break
		}
		of, err := pacesOf(ctx, r.Store, info.Run, target)
		if err != nil {
			return nil, err
		}
		for _, m := range of {
			k := paceOf{m.Table, m.Kind}
			if have := found[k]; have.Operations < measuredEnough && have.Operations < m.Operations {
				found[k] = m
			}
		}
	}
	return found, nil
}

// knownAll says that a plan's kinds were all measured well.
func knownAll(plan *Plan, found map[paceOf]Measured) bool {
	for table, kinds := range plan.Work {
		for kind := range kinds {
			if found[paceOf{table, kind}].Operations < measuredEnough {
				return false
			}
		}
	}
	return found[paceOf{kind: kindAfter}].Operations >= measuredEnough
}

// pacesOf reads what a run measured from its journal.
func pacesOf(ctx context.Context, s *snapshots.Store, run, target string) ([]Measured, error) {
	e := &Local{Files: s, RunID: run}
	plan, loaded := &Plan{}, &Loaded{}
	if done, err := e.Done(ctx, stepLoad, loaded); !done || err != nil || len(loaded.Pace) == 0 {
		return nil, err
	}
	if _, err := e.Done(ctx, stepPlan, plan); err != nil {
		return nil, err
	}
	after := load.Pace{Kind: kindAfter, Operations: plan.Operations}
	for _, step := range []string{stepFold, stepVerify} {
		took, err := e.Took(ctx, step)
		if err != nil {
			return nil, err
		}
		if after.Seconds += took.Seconds(); took == 0 {
			after.Operations = 0 // it did not come that far
		}
	}
	var out []Measured
	for _, p := range append(loaded.Pace, after) {
		if p.Operations > 0 && p.Seconds > 0 {
			out = append(out, Measured{Run: run, Target: target, Pace: p, Flying: loaded.Flying})
		}
	}
	return out, nil
}

// reckon multiplies.
func reckon(plan *Plan, paces map[paceOf]Measured) *Estimate {
	e := &Estimate{}
	slow := slowest(paces)
	add := func(table string, kind load.Kind, n int64) {
		by, ok := paces[paceOf{table, kind}]
		if !ok && kind == kindAfter {
			return
		}
		if !ok {
			by = slow
		}
		part := EstimatePart{Table: table, Kind: kind, Operations: n, Seconds: float64(n) * perOperation(by.Pace), By: by}
		e.Parts = append(e.Parts, part)
		e.Seconds += part.Seconds
	}
	for _, table := range schemas.LoadOrder {
		for _, kind := range slices.Sorted(maps.Keys(plan.Work[table])) {
			add(table, kind, plan.Work[table][kind])
		}
	}
	add("", kindAfter, plan.Operations)
	return e
}

func perOperation(p load.Pace) float64 { return p.Seconds / float64(p.Operations) }

// slowest is the slowest kind of operations on users and what belongs to them:
// what was never measured is reckoned to be as slow. Organizations and the like
// go one by one and tell nothing of many.
func slowest(paces map[paceOf]Measured) (slow Measured) {
	all := slices.SortedFunc(maps.Values(paces), func(a, b Measured) int {
		return cmp.Or(cmp.Compare(perOperation(b.Pace), perOperation(a.Pace)), cmp.Compare(a.Table, b.Table), cmp.Compare(a.Kind, b.Kind))
	})
	ofUsers := slices.DeleteFunc(slices.Clone(all), func(m Measured) bool {
		return !slices.Contains([]string{schemas.Users, schemas.Credentials, schemas.Memberships}, m.Table)
	})
	for _, list := range [][]Measured{ofUsers, all} {
		if len(list) > 0 {
			return list[0]
		}
	}
	return slow
}

// text writes the estimate for people.
func (e *Estimate) text(p *ui.Page) {
	switch {
	case e == nil:
		return
	case len(e.Parts) == 0:
		p.Blank()
		p.Line("how long it will take: not known, nothing was measured yet on this target")
		return
	}
	p.Blank()
	p.Line("how long it will take: about %s, at the pace %s", ui.About(seconds(e.Seconds)), e.origin())
	t := ui.NewTable("what", "operations", "pace", "time", "measured")
	for _, part := range e.Parts {
		t.Row(part.what(), ui.Count(part.Operations), ui.Rate(part.By.Operations, seconds(part.By.Seconds)), ui.Elapsed(seconds(part.Seconds)), part.measured())
	}
	p.Table(t)
}

// origin names the runs that the paces are of, the newest first.
func (e *Estimate) origin() string {
	var runs []string
	for _, part := range e.Parts {
		if by := part.By; !slices.Contains(runs, by.Run) {
			runs = append(runs, by.Run)
		}
	}
	slices.Sort(runs)
	slices.Reverse(runs)
	text := "of run " + runs[0]
	if len(runs) > 1 {
		text = "of runs " + strings.Join(runs, ", ")
	}
	text += " on target " + e.Parts[0].By.Target
	if e.Elsewhere {
		text += " (this one may be faster or slower: nothing was measured on it yet)"
	}
	return text
}

func (p *EstimatePart) what() string {
	if p.Table == "" {
		return string(p.Kind)
	}
	return p.Table + " " + string(p.Kind)
}

// measured says over how many operations, and of what if that is another kind.
func (p *EstimatePart) measured() string {
	text := "over " + ui.Count(p.By.Operations)
	if p.By.Table != p.Table || p.By.Kind != p.Kind {
		text = "never: reckoned as " + p.By.Table + " " + string(p.By.Kind)
	}
	return text
}
