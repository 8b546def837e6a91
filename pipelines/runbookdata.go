package pipelines

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/pipelines/runbook"
	"github.com/parallelrun/parallelrun/snapshots"
)

// runbookRuns and runbookCheckpoints are how many of them a runbook names.
const (
	runbookRuns        = 5
	runbookCheckpoints = 10
)

// RunbookData gathers what the runbook of a configured migration says: from the
// configuration and, if there is one, the store. It asks no target.
func RunbookData(ctx context.Context, c *config.Config, migration string, s *snapshots.Store, now time.Time) (runbook.Data, error) {
	name, m, err := c.Migration(migration)
	if err != nil {
		return runbook.Data{}, err
	}
	d := runbook.Data{Written: now, Config: c.Path, Store: c.Store, Migration: name, MigrationFlag: len(c.Migrations) > 1,
		Source: m.Source, Target: m.Target, TargetAt: targetAt(c.Targets[m.Target]), AllowWords: load.AllowWords}
	for _, code := range ui.Codes {
		d.Codes = append(d.Codes, runbook.Code{Code: int(code.Code), Meaning: code.Meaning})
	}
	r := &Runner{Name: name, Config: m, SourceName: m.Source, TargetName: m.Target, Store: s}
	d.Refs = []runbook.Ref{
		{Name: ref(r.sourceSet(), StageLegacy), What: "what the source held at the last extract"},
		{Name: ref(r.migrationSet(), StageDesired), What: "what shall stand in the target"},
		{Name: BaseRef(m.Target), What: "what was last confirmed in the target"},
	}
	if s == nil {
		return d, nil
	}
	if err := storeOf(ctx, &d, s); err != nil {
		return d, err
	}
	d.Waves, err = r.runbookWaves(ctx)
	return d, err
}

// runbookWaves are the configured waves in order, then others that have users.
// Their rules are not asked: a runbook is for bad days.
func (r *Runner) runbookWaves(ctx context.Context) (out []runbook.Wave, err error) {
	assignment, err := r.Assignment(ctx)
	if err != nil {
		return nil, err
	}
	desired, err := r.named(ctx, ref(r.migrationSet(), StageDesired))
	if err != nil {
		return nil, err
	}
	counts := map[string]*WaveCount{}
	if assignment != nil {
		if counts, err = r.inTarget(ctx, assignment, desired); err != nil {
			return nil, err
		}
	}
	st, err := r.Store.State(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, w := range r.Config.Waves {
		names = append(names, w.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		c := counts[name]
		if c == nil {
			c = &WaveCount{}
		}
		c.setState(st.Waves[r.waveKey(name)])
		out = append(out, runbook.Wave{Name: name, State: string(c.State), Assigned: c.Total, InTarget: c.InTarget, Loaded: c.InTarget > 0, Complete: c.State == WaveComplete})
	}
	return out, nil
}

// storeOf adds the state of the store.
func storeOf(ctx context.Context, d *runbook.Data, s *snapshots.Store) error {
	st, err := s.State(ctx)
	if err != nil {
		return err
	}
	for i := range d.Refs {
		if have, ok := st.Refs[d.Refs[i].Name]; ok {
			d.Refs[i].Digest = have.Digest.Short()
		}
	}
	if l, ok := st.Leases[d.Target]; ok && !l.Released {
		d.Holder = fmt.Sprintf("by run %s, process %d on %s, since %s", l.Holder.Run, l.Holder.PID, l.Holder.Host, l.Since.UTC().Format(time.RFC3339))
	}
	for _, cp := range st.CheckpointsByTime() {
		if cp.Target == d.Target {
			d.Checkpoints = append(d.Checkpoints, runbook.Checkpoint{Name: cp.Name, Taken: cp.Time.UTC().Format("2006-01-02 15:04:05"), Reason: cp.Reason})
		}
	}
	d.Checkpoints = d.Checkpoints[max(0, len(d.Checkpoints)-runbookCheckpoints):]
	runs, err := Summaries(ctx, s)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if r.Migration == d.Migration && r.Target == d.Target {
			d.Runs = append(d.Runs, runbook.Run{ID: r.ID, State: string(r.State), LastStep: r.LastStep, Started: r.Created.UTC().Format("2006-01-02 15:04:05")})
		}
	}
	d.Runs = d.Runs[max(0, len(d.Runs)-runbookRuns):]
	return nil
}

// targetAt says where a target is.
func targetAt(t config.Target) string {
	if t.Sandbox != nil {
		return fmt.Sprintf("realm `%s` of the sandbox in this program (state in `%s`)", t.Realm, filepath.Clean(t.Sandbox.State))
	}
	return fmt.Sprintf("realm `%s` at %s", t.Realm, t.URL)
}
