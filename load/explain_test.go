package load_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/loadtest"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// explained is what explaining every row of a plan comes to: operations and
// findings by row.
func explained(t *testing.T, s *states, p planned, o load.PlanOptions) (ops map[string]load.Operation, found map[string][]string) {
	t.Helper()
	ops, found = map[string]load.Operation{}, map[string][]string{}
	if o.Time.IsZero() {
		o.Time = p.Created
	}
	in := load.PlanInput{Run: "again", TargetName: "live", Base: s.base, Desired: s.desired, Observed: p.observed, Target: s.target,
		Profile: loadtest.Profile(), Files: p.files, Options: o}
	take := func(table string, id schemas.RowID) {
		rows, err := load.Explain(t.Context(), in, table, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			at := r.Table + " " + r.ID.String()
			if r.Operation != nil {
				op := *r.Operation
				op.Seq, op.With = 0, 0
				ops[at] = op
			}
			for _, f := range r.Findings {
				found[at] = append(found[at], fmt.Sprint(f.List, f.Columns, f.Kinds, f.Reason))
			}
			slices.Sort(found[at])
			withheld := slices.ContainsFunc(r.Findings, func(f load.FoundIn) bool {
				return f.List == load.ListWithheld && r.Table != schemas.Credentials && len(f.Columns) > 0
			})
			if said := slices.ContainsFunc(r.Columns, func(c load.ColumnTrace) bool { return c.Allow != "" }); said != withheld {
				t.Errorf("%s %s: withheld %v, columns say %v", r.Table, r.Key, withheld, said)
			}
			if r.Operation == nil || r.Operation.Kind != load.Update || r.Operation.Gone || r.Table == schemas.Credentials {
				continue
			}
			for _, c := range r.Columns {
				if slices.Contains(r.Operation.Columns, c.Column.Name) && (c.Rule == "" || c.Rule == "unchanged") {
					t.Errorf("%s %s: column %s is written, decided by %q", r.Table, r.Key, c.Column.Name, c.Rule)
				}
			}
		}
	}
	for _, table := range []string{schemas.Organizations, schemas.Departments, schemas.Groups, schemas.Users} {
		ids := map[schemas.RowID]bool{}
		for _, sn := range []*loadtest.State{s.base, s.desired, p.observed} {
			for row, err := range sn.Scan(t.Context(), table, parts.ScanOptions{}) {
				if err != nil {
					t.Fatal(err)
				}
				ids[row.ID] = true
			}
		}
		for id := range ids {
			take(table, id)
		}
	}
	return ops, found
}

// agree compares what explaining comes to with the plan.
func agree(t *testing.T, s *states, o load.PlanOptions) {
	t.Helper()
	p := s.plan(t, "run", o)
	ops, found := explained(t, s, p, o)
	wantOps, wantFound := map[string]load.Operation{}, map[string][]string{}
	for op, err := range p.AllOperations(t.Context(), p.files) {
		if err != nil {
			t.Fatal(err)
		}
		stored, err := load.StoredOperations(t.Context(), p.Manifest, p.files, op.Table, op.ID)
		if d := schemas.Entities()[op.Table].DependsOn; d == "" {
			if err != nil || !slices.ContainsFunc(stored, func(x load.StoredOperation) bool { return x.Seq == op.Seq }) {
				t.Errorf("operation %d, %s %s, is not found in the stored plan: %v", op.Seq, op.Table, op.Key, err)
			}
		}
		if op.Kind == load.Delete && op.Table != schemas.Credentials {
			continue // hangs on who is still in it
		}
		op.Seq, op.With = 0, 0
		wantOps[op.Table+" "+op.ID.String()] = op
	}
	for _, list := range load.Lists {
		for f, err := range p.Findings(t.Context(), p.files, list) {
			if err != nil {
				t.Fatal(err)
			}
			if f.Reason != "no longer in legacy, but not empty in the target" {
				at := f.Table + " " + f.ID.String()
				wantFound[at] = append(wantFound[at], fmt.Sprint(list, f.Columns, f.Kinds, f.Reason))
			}
		}
	}
	for at := range wantFound {
		slices.Sort(wantFound[at])
	}
	for at, l := range found {
		if len(l) == 0 {
			delete(found, at)
		}
	}
	if d := cmp.Diff(wantOps, ops); d != "" {
		t.Errorf("operations (-plan +explained):\n%s", d)
	}
	if d := cmp.Diff(wantFound, found); d != "" {
		t.Errorf("findings (-plan +explained):\n%s", d)
	}
}

// Explaining every row alone comes to the plan of all, whatever the sides hold:
// else it would explain another plan than the one that is carried out.
func TestExplainAgreesWithPlan(t *testing.T) {
	agree(t, village(40), noBrake)
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			o := noBrake
			if rnd.IntN(3) == 0 {
				o.Allow = []string{load.AllowEnable, load.AllowLinks}
			}
			agree(t, gamble(rnd), o)
		})
	}
}
