package snapshots_test

import (
	"errors"
	"math/rand/v2"
	"strings"
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
			rows := snapshots.DiffOptions{Rows: true}
			x = withoutOld(changes(t, b[i], b[j], rows))
			rows.OldDigests = true
			if y := changes(t, a[i], a[j], rows); !cmp.Equal(x, y) {
				t.Fatalf("new rows of %d and %d (-whole +layered):\n%s", i, j, cmp.Diff(x, y))
			}
		}
	}
	report, err := s.Verify(t.Context(), snapshots.VerifyOptions{Level: snapshots.VerifyRows})
	if err != nil || report.Err() != nil {
		t.Error(err, report.Err())
	}
}

// A compacted snapshot is the same snapshot in other parts: its digest, its
// place in the log and what others lie upon stay.
func TestCompact(t *testing.T) {
	s, _ := sealedStore(t, &backendtest.Memory{})
	h := history{s: s, versions: map[int]int{}}
	for i := range 300 {
		h.versions[i] = 0
	}
	a := h.write(t, nil)
	h.versions[3] = 9
	b := h.write(t, a)
	delete(h.versions, 4)
	c := h.write(t, b)
	if err := s.PutFile(t.Context(), "runs/r1/x", nil); err != nil {
		t.Fatal(err)
	}
	before := state(t, s)
	done, err := s.Compact(t.Context(), b, snapshots.WriterOptions{Bounds: smallParts})
	if err != nil || done.Entry == 0 || done.Manifest == b.Manifest() {
		t.Fatalf("%+v, %v", done, err)
	}
	after := state(t, s)
	if len(after.History) != len(before.History) || len(before.Snapshots) != len(after.Snapshots) {
		t.Error("it counts as another snapshot")
	}
	latest, _ := after.Latest("hr", "legacy")
	if latest.Digest != c.Digest() {
		t.Error("an older snapshot became the latest")
	}
	whole := mustSnapshot(t, s, b.Digest().String())
	if whole.Manifest() != done.Manifest || len(whole.Layered()) != 0 || whole.Info().N != b.Info().N {
		t.Errorf("%+v", whole.Info())
	}
	if before.Snapshots[b.Digest()].Manifest != b.Manifest() {
		t.Error("the state of before changed")
	}
	for _, x := range []*snapshots.Snapshot{a, b, c} {
		want, got := changes(t, b, x, snapshots.DiffOptions{}), changes(t, whole, x, snapshots.DiffOptions{})
		if !cmp.Equal(want, got) {
			t.Error(cmp.Diff(want, got))
		}
	}
	again, err := s.Compact(t.Context(), whole, snapshots.WriterOptions{})
	if err != nil || again.Entry != 0 || again.Manifest != whole.Manifest() {
		t.Errorf("compacted again: %+v, %v", again, err)
	}
	if _, err := s.Compact(t.Context(), b, snapshots.WriterOptions{}); !errors.Is(err, snapshots.ErrManifestMoved) {
		t.Errorf("of what was compacted meanwhile: %v", err)
	}
	report, err := s.Verify(t.Context(), snapshots.VerifyOptions{Level: snapshots.VerifyRows})
	if err != nil || report.Err() != nil {
		t.Error(err, report.Err())
	}
	// What is written upon it lies upon one layer.
	h.versions[5] = 1
	table, _ := h.write(t, whole).Stored("people")
	if len(table.Layers) != 2 {
		t.Errorf("%d layers", len(table.Layers))
	}
}

// A snapshot that is made anew does not lie upon what is lost.
func TestParentThatLacksAnObject(t *testing.T) {
	m := &backendtest.Memory{}
	s, _ := sealedStore(t, m)
	h := history{s: s, versions: map[int]int{}}
	for i := range 300 {
		h.versions[i] = 0
	}
	a := h.write(t, nil)
	table, _ := a.Stored("people")
	lost := table.Layers[0].Parts[1].Object.Name()
	m.Remove("objects/sha256/" + lost[:2] + "/" + lost[2:4] + "/" + lost)
	b := h.write(t, a)
	if b.Digest() != a.Digest() {
		t.Error("another snapshot")
	}
	report, err := s.Verify(t.Context(), snapshots.VerifyOptions{Level: snapshots.VerifyRows})
	if err != nil || report.Err() != nil {
		t.Error(err, report.Err())
	}
}

// The diff of neighbours is the layer itself: no index of what is below is
// read, and of the rows only parts that hold changed ones.
func TestDiffOfLayersReadsTheLayer(t *testing.T) {
	m := &backendtest.Memory{}
	s, id := sealedStore(t, m)
	h := history{s: s, versions: map[int]int{}}
	for i := range 300 {
		h.versions[i] = 0
	}
	a := h.write(t, nil)
	h.versions[3] = 9
	b := h.write(t, a)
	opened := map[string]bool{}
	counting := &backendtest.Fault{Backend: m, Plan: func(_ int, op, key string) (backendtest.Kind, bool) {
		if op == "open" && strings.HasPrefix(key, "objects/") {
			opened[key] = true
		}
		return 0, false
	}}
	s = unlocked(t, counting, id)
	x, y := mustSnapshot(t, s, a.Digest().String()), mustSnapshot(t, s, b.Digest().String())
	for _, both := range [][2]*snapshots.Snapshot{{x, y}, {y, x}} {
		clear(opened)
		if all := changes(t, both[0], both[1], snapshots.DiffOptions{IndexOnly: true}); len(all) != 1 || len(opened) != 1 {
			t.Errorf("%d changes, opened %v", len(all), opened)
		}
		clear(opened)
		if all := changes(t, both[0], both[1], snapshots.DiffOptions{}); len(all) != 1 || len(opened) != 4 {
			t.Errorf("%d changes, opened %v", len(all), opened)
		}
	}
	clear(opened)
	if all := changes(t, x, y, snapshots.DiffOptions{Rows: true, OldDigests: true}); len(all) != 1 || len(opened) != 2 {
		t.Errorf("%d changes with old digests, opened %v: the layer and its index are enough", len(all), opened)
	}
}
