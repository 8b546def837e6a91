package pipelines

import (
	"context"
	"time"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/transform"
)

// State says how far a run came.
type State string

// States of a run.
const (
	// Planned: nothing was written to the target; `load --apply` carries it out.
	Planned State = "planned"
	// Stopped: it began and did not come to its end; `resume` goes on.
	Stopped State = "stopped"
	// Finished: every step is done. Rows may have failed all the same.
	Finished State = "finished"
)

// Outcome is all that a run came to: what `run --json` prints and what
// runs/<id>/reports/outcome.json holds. Counts and redacted examples only.
type Outcome struct {
	Record
	State   State            `json:"state"`
	Took    Durations        `json:"seconds"`
	Legacy  snapshots.Digest `json:"legacy"`
	Desired snapshots.Digest `json:"desired"`
	Planned *Plan            `json:"plan,omitempty"`
	// Estimate is how long carrying out the plan takes; nil once that is done,
	// and for a plan without operations.
	Estimate *Estimate `json:"estimate,omitempty"`
	// Overrides are the guards that an operator passed, with reasons.
	Overrides []Override `json:"overrides,omitempty"`

	Extracted   *Extracted   `json:"extracted,omitempty"`
	Transformed *Transformed `json:"transformed,omitempty"`
	Assigned    *Assigned    `json:"assigned,omitempty"`
	// Beyond is what a restore can't bring back.
	Beyond []string `json:"beyond_restore,omitempty"`
	// Checkpoint is the one that was taken before the load, if any.
	Checkpoint string            `json:"checkpoint,omitempty"`
	Loaded     *Loaded           `json:"loaded,omitempty"`
	Verified   *Verified         `json:"verified,omitempty"`
	Proof      *load.LoginReport `json:"login_proof,omitempty"`
	Reports    []string          `json:"reports,omitempty"`
}

// Durations are seconds by step, of the steps that this attempt carried out.
type Durations map[string]float64

// timed measures a step where it runs: not at all if it was journaled before.
func (o *Outcome) timed(step string, run func(context.Context) (any, error)) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) {
		since := time.Now()
		defer func() { o.Took[step] = time.Since(since).Seconds() }()
		return run(ctx)
	}
}

// step carries out a step of the run unless it is journaled, and measures it.
func (o *Outcome) step(ctx context.Context, e Engine, name string, result any, run func(context.Context) (any, error)) error {
	return e.Do(ctx, Step{Name: name, Run: o.timed(name, run)}, result)
}

// Counts is the second line of the equation: as loaded, else as planned.
func (o *Outcome) Counts() load.Counts {
	switch {
	case o.Loaded != nil:
		return o.Loaded.Counts
	case o.Planned != nil:
		return o.Planned.Counts
	}
	return nil
}

// Report is what transform counted, nil before it ran.
func (o *Outcome) Report() *transform.Report {
	if o.Transformed == nil {
		return nil
	}
	return o.Transformed.Report
}

// Clean reports that nothing failed, nothing is unknown and nothing differs.
func (o *Outcome) Clean() bool {
	for _, c := range o.Counts() {
		if c.Classes[load.Failed]+c.Classes[load.InDoubt] > 0 {
			return false
		}
	}
	return (o.Verified == nil || o.Verified.Differences == 0) && (o.Proof == nil || len(o.Proof.Refused)+len(o.Proof.Opened) == 0)
}
