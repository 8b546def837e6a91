package snapshots_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
)

// history is a random sequence of snapshots of a store that are written upon
// each other, each also written whole.
type history struct {
	s        *snapshots.Store
	versions map[int]int // of the people that there are
}

func (h *history) step(rng *rand.Rand) {
	for range rng.IntN(12) {
		i := rng.IntN(500)
		if _, ok := h.versions[i]; ok && rng.IntN(3) == 0 {
			delete(h.versions, i)
		} else {
			h.versions[i] = rng.IntN(4)
		}
	}
}

func (h *history) write(t *testing.T, parent *snapshots.Snapshot) *snapshots.Snapshot {
	t.Helper()
	o := snapshots.WriterOptions{Bounds: smallParts, Parent: parent}
	d := writeDraft(t, h.s, o, 500, func(i int, r *schemas.Row) bool {
		v, ok := h.versions[i]
		r.Values[2] = int64(v)
		return ok
	})
	mustCommit(t, h.s, d)
	return mustSnapshot(t, h.s, d.Digest.String())
}

// Diffs of layered snapshots, neighbours or not, forth and back, are those of
// the same snapshots written whole.
func TestDiffOfLayers(t *testing.T) {
	s, _ := sealedStore(t, &backendtest.Memory{})
	h := history{s: s, versions: map[int]int{}}
	for i := range 300 {
		h.versions[i] = 0
	}
	rng := rand.New(rand.NewPCG(4, 4))
	var a, b []*snapshots.Snapshot
	depths := map[int]bool{}
	for range 7 {
		var parent *snapshots.Snapshot
		if len(a) > 0 { // siblings too
			parent = a[max(0, len(a)-1-rng.IntN(3))]
		}
		a = append(a, h.write(t, parent))
		b = append(b, h.write(t, nil))
		table, _ := a[len(a)-1].Stored("people")
		depths[len(table.Layers)] = true
		if x, y := a[len(a)-1].Digest(), b[len(b)-1].Digest(); x != y {
			t.Fatalf("digests %s and %s", x, y)
		}
		h.step(rng)
	}
	if len(depths) < 4 {
		t.Fatalf("only %v layers", depths)
	}
	for i := range a {
		for j := range a {
			var want, got snapshots.Stat
			x, y := changes(t, b[i], b[j], snapshots.DiffOptions{Stat: &want}), changes(t, a[i], a[j], snapshots.DiffOptions{Stat: &got})
			if !cmp.Equal(x, y) || !cmp.Equal(want, got) {
				t.Fatalf("diff of %d and %d (-whole +layered):\n%s\n%s", i, j, cmp.Diff(x, y), cmp.Diff(want, got))
			}
		}
	}
	report, err := s.Verify(t.Context(), snapshots.VerifyOptions{Level: snapshots.VerifyRows})
	if err != nil || report.Err() != nil {
		t.Error(err, report.Err())
	}
}
