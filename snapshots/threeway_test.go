package snapshots_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
)

// cells is a row of the model: a number, and a secret's text, by column.
type cells [3]int

var cellColumns = []string{"logins", "since", "password"}

// model is what a snapshot of the three-way test holds.
type model map[int]cells

// drawn is a model that differs from another in some rows; few values, so that
// both sides often come to the same.
func drawn(rng *rand.Rand, from model) model {
	m := model{}
	for i := range 60 {
		row, there := from[i]
		switch rng.IntN(6) {
		case 0:
			there = !there
			if there {
				row = cells{rng.IntN(2), rng.IntN(2), rng.IntN(2)}
			}
		case 1, 2:
			row[rng.IntN(3)] = rng.IntN(3)
		}
		if there {
			m[i] = row
		}
	}
	return m
}

func (m model) write(t *testing.T, s *snapshots.Store, parent *snapshots.Snapshot) *snapshots.Snapshot {
	t.Helper()
	o := snapshots.WriterOptions{Bounds: smallParts, Parent: parent}
	d := writeDraft(t, s, o, 60, func(i int, r *schemas.Row) bool {
		row, ok := m[i]
		if !ok {
			return false
		}
		sealed, err := s.Keyring().Seal("people", r.ID, "password", []byte(fmt.Sprint("secret ", row[2])))
		if err != nil {
			t.Fatal(err)
		}
		r.Values[2], r.Values[3], r.Values[7] = int64(row[0]), int64(row[1]), sealed
		return true
	})
	sn, err := s.OpenManifest(t.Context(), d.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	return sn
}

// side says who changed what, from the values alone: -1 stands for none.
func side(base, a, b int) snapshots.Side {
	switch {
	case a == base && b == base:
		return ""
	case b == base:
		return snapshots.OnlyA
	case a == base:
		return snapshots.OnlyB
	case a == b:
		return snapshots.Same
	}
	return snapshots.Conflict
}

// expect is what a three-way diff of a row must say: its side, and the fields of
// rows that stand on both sides.
func expect(base, a, b model, i int) (snapshots.Side, map[string]snapshots.Side) {
	x, inBase := base[i]
	y, inA := a[i]
	z, inB := b[i]
	fields := map[string]snapshots.Side{}
	switch {
	case inBase && !inA && !inB:
		return snapshots.Same, nil
	case inBase && !inA && z == x:
		return snapshots.OnlyA, nil
	case inBase && !inB && y == x:
		return snapshots.OnlyB, nil
	case inBase && (!inA || !inB):
		return snapshots.Conflict, nil
	case !inBase && !inA && !inB:
		return "", nil
	case !inBase && !inB:
		return snapshots.OnlyA, nil
	case !inBase && !inA:
		return snapshots.OnlyB, nil
	}
	if !inBase {
		x = cells{-1, -1, -1}
	}
	for c := range cellColumns {
		if s := side(x[c], y[c], z[c]); s != "" {
			fields[cellColumns[c]] = s
		}
	}
	if len(fields) == 0 {
		return "", nil
	}
	var all []snapshots.Side
	for _, s := range fields {
		all = append(all, s)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	switch {
	case slices.Contains(all, snapshots.Conflict):
		return snapshots.Conflict, fields
	case len(all) == 1 && (inBase || all[0] == snapshots.Same):
		return all[0], fields
	}
	return snapshots.Both, fields
}

// Random bases and sides: a three-way diff says of every row and field what the
// values say, layers or not, whatever the workers.
func TestThreeWay(t *testing.T) {
	s, _ := sealedStore(t, &backendtest.Memory{})
	seen := map[snapshots.Side]int{}
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 9))
		base := drawn(rng, drawn(rng, model{}))
		a, b := drawn(rng, base), drawn(rng, base)
		below := base.write(t, s, nil)
		var parent *snapshots.Snapshot
		if seed%2 == 0 {
			parent = below
		}
		o := snapshots.DiffOptions{Workers: 1 + int(seed%3), Memory: 1 << 30, Tables: []string{"people"}}
		snapshots.SetRangeRows(&o, 10)
		var st snapshots.ThreeWayStat
		got := map[string]snapshots.Side{}
		counts := map[snapshots.Side]int64{}
		for c, err := range snapshots.ThreeWay(t.Context(), below, a.write(t, s, parent), b.write(t, s, nil), o, nil, &st) {
			if err != nil {
				t.Fatal(err)
			}
			seen[c.Side]++
			counts[c.Side]++
			got[c.Key] = c.Side
			var i int
			if _, err := fmt.Sscanf(c.Key, "p%d", &i); err != nil {
				t.Fatal(err)
			}
			_, fields := expect(base, a, b, i)
			if fields == nil {
				continue
			}
			told := map[string]snapshots.Side{}
			for _, f := range c.Fields {
				if slices.Contains(cellColumns, f.Column) {
					told[f.Column] = f.Side
				}
			}
			if !cmp.Equal(fields, told) {
				t.Fatalf("seed %d, row %s (-want +got): %s", seed, c.Key, cmp.Diff(fields, told))
			}
		}
		want := map[string]snapshots.Side{}
		unchanged := int64(0)
		for i := range 60 {
			switch s, _ := expect(base, a, b, i); {
			case s != "":
				want[fmt.Sprintf("p%05d", i)] = s
			default:
				if _, ok := base[i]; ok {
					unchanged++
				}
			}
		}
		if !cmp.Equal(want, got) {
			t.Fatalf("seed %d (-want +got): %s", seed, cmp.Diff(want, got))
		}
		if table := st.Tables[0]; !cmp.Equal(table.Rows, counts) || table.Unchanged != unchanged {
			t.Errorf("seed %d: counted %+v, want %v and %d unchanged", seed, table, counts, unchanged)
		}
	}
	for _, side := range snapshots.Sides {
		if seen[side] == 0 {
			t.Errorf("no row of side %s was drawn", side)
		}
	}
}
