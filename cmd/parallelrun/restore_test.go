package main

import (
	"encoding/json"
	"testing"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/pipelines"
)

// restored is what a restore's plan found.
func (d *driftSite) restored(args ...string) pipelines.Outcome {
	d.t.Helper()
	var out pipelines.Outcome
	if err := json.Unmarshal([]byte(d.must(append([]string{"restore", "--json"}, args...)...).stdout), &out); err != nil {
		d.t.Fatal(err)
	}
	return out
}

func found(out pipelines.Outcome, list string) (n int64) {
	for _, k := range out.Planned.Found[list] {
		n += k
	}
	return n
}

// A target that was damaged by hand comes back to a named checkpoint: what
// others changed only when told to, access only when it is asked for. What was
// kept and withheld is exactly what still differs.
func TestRestoreRepairsDamage(t *testing.T) {
	t.Parallel()
	d := newDriftSite(t, 200)
	d.must("checkpoint", "create", "good")
	d.meddle(20, 3)
	if got := d.drift(1); got.Differences != 23 {
		t.Fatalf("%d rows were damaged, want 23", got.Differences)
	}

	plan := d.restored("good")
	if plan.Planned.Operations != 0 || found(plan, load.ListKept) != 20 || found(plan, load.ListWithheld) != 3 {
		t.Errorf("plan: %d operations, %d kept, %d withheld; want 0, 20, 3", plan.Planned.Operations, found(plan, load.ListKept), found(plan, load.ListWithheld))
	}
	if got := d.drift(1); got.Differences != 23 {
		t.Errorf("the plan alone changed the target: %d rows differ", got.Differences)
	}

	again := d.restored("good", "--overwrite", "--apply")
	if again.Planned.Operations != 20 || found(again, load.ListWithheld) != 3 || again.Verified.Differences != 0 {
		t.Errorf("overwrite: %d operations, %d withheld, %d differ; want 20, 3, 0", again.Planned.Operations, found(again, load.ListWithheld), again.Verified.Differences)
	}
	if got := d.drift(1); got.Differences != 3 {
		t.Errorf("%d rows differ, want the 3 that were withheld", got.Differences)
	}

	links := d.restored("good", "--allow", "links", "--apply")
	if links.Planned.Operations != 3 || found(links, load.ListWidening) != 3 || links.Verified.Differences != 0 {
		t.Errorf("links: %d operations, %d widening, %d differ; want 3, 3, 0", links.Planned.Operations, found(links, load.ListWidening), links.Verified.Differences)
	}
	d.drift(0)
	if out := d.restored("good"); out.Planned.Operations != 0 || found(out, load.ListKept)+found(out, load.ListWithheld) != 0 {
		t.Errorf("still something to restore: %+v", out.Planned.Found)
	}
}
