package pipelines

import (
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

	Extracted   *Extracted        `json:"extracted,omitempty"`
	Transformed *Transformed      `json:"transformed,omitempty"`
	Loaded      *Loaded           `json:"loaded,omitempty"`
	Verified    *Verified         `json:"verified,omitempty"`
	Proof       *load.LoginReport `json:"login_proof,omitempty"`
	Reports     []string          `json:"reports,omitempty"`
}

// Durations are seconds by step.
type Durations map[string]float64

func (d Durations) set(step string, since time.Time) { d[step] = time.Since(since).Seconds() }

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
