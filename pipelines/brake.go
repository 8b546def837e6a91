package pipelines

import (
	"context"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// guard holds a plan against everything that may stop it before its first
// write, save the shrunken source, which stops a run that writes right after
// transform. Once the load is over there is nothing left to stop.
func (r *Runner) guard(ctx context.Context, rec Record, out *Outcome) error {
	if done, err := r.engine(rec.ID).Done(ctx, stepLoad, nil); done || err != nil {
		return err
	}
	brake := overrides(out.Overrides).has(GuardBrake)
	if out.Transformed != nil {
		if err := r.checkRejects(out.Transformed.Report, r.reportPath(rec.ID, rejectsFile)); err != nil {
			return err
		}
	}
	if err := r.checkSync(ctx, rec.ID, out); err != nil {
		return err
	}
	if err := out.Planned.LookedUp.err(rec.ID, brake); err != nil {
		return err
	}
	if len(out.Planned.Brakes) > 0 && !brake {
		return &load.BrakeError{Run: rec.ID, Brakes: out.Planned.Brakes}
	}
	return nil
}

// brake is the configuration's brake as the planner takes it.
func (r *Runner) brake() load.BrakeOptions {
	o := load.BrakeOptions{Limits: brakeLimits(r.Config.Brake.Limits()), Entities: map[string]map[load.BrakeKind]load.BrakeLimit{}, Sources: map[string][]string{}}
	for entity, kinds := range r.Config.Brake.EntityLimits() {
		o.Entities[entity] = brakeLimits(kinds)
	}
	for _, entity := range schemas.LoadOrder {
		for _, from := range r.Mapping.Origins(entity) {
			where := "table " + from.Table
			if from.Rule != "" {
				where += " by rule " + from.Rule
			}
			o.Sources[entity] = append(o.Sources[entity], where)
		}
	}
	return o
}

func brakeLimits(limits map[string]config.Limit) map[load.BrakeKind]load.BrakeLimit {
	out := map[load.BrakeKind]load.BrakeLimit{}
	for kind, l := range limits {
		out[load.BrakeKind(kind)] = load.BrakeLimit{Rows: l.Rows, Ratio: l.Ratio}
	}
	return out
}

// textGuards says what stops this plan, or did not because it was overridden.
func (o *Outcome) textGuards(p *ui.Page) {
	var lines []string
	if o.Transformed != nil {
		for _, s := range o.Transformed.Shrunk {
			lines = append(lines, s.String())
		}
	}
	if o.Planned != nil {
		for i := range o.Planned.Brakes {
			lines = append(lines, o.Planned.Brakes[i].Lines()...)
		}
		lines = append(lines, o.Planned.LookedUp.problems()...)
	}
	title := "this run changes too much at once: it stops before its first write, unless --override-brake gives a reason"
	if overrides(o.Overrides).has(GuardBrake) {
		title = "this run changes much at once, and the brake was overridden"
	}
	textList(p, title, lines)
	if o.Planned != nil {
		textList(p, "people who are gone from the source", o.Planned.LookedUp.lines())
	}
	o.textOverrides(p)
}
