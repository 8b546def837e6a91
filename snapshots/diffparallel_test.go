package snapshots_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// edited is a change of many rows: some gone, some new, some otherwise.
func edited(seed uint64) func(i int, r *schemas.Row) bool {
	rng := rand.New(rand.NewPCG(seed, 1))
	return func(i int, r *schemas.Row) bool {
		switch rng.IntN(20) {
		case 0:
			return false
		case 1:
			r.Values[2] = int64(-i)
		case 2:
			r.Values[0], r.Values[4] = "renamed", []string{"x@a.example"}
		}
		return true
	}
}

// Whatever the workers, the memory, the ranges and the parts are, a diff says
// the same in the same order.
func TestDiffIsTheSameWithAnyWorkers(t *testing.T) {
	s, _ := sealedStore(t, &backendtest.Memory{})
	bounds := []parts.Bounds{{}, smallParts, {Rows: 7}, {Rows: 300}}
	var a, b []*snapshots.Snapshot
	open := func(d snapshots.Draft) *snapshots.Snapshot {
		sn, err := s.OpenManifest(t.Context(), d.Manifest)
		if err != nil {
			t.Fatal(err)
		}
		return sn
	}
	for _, bound := range bounds {
		o := snapshots.WriterOptions{Bounds: bound}
		a = append(a, open(writeDraft(t, s, o, 900, nil)))
		b = append(b, open(writeDraft(t, s, o, 920, edited(5))))
	}
	// The same once more, as layers upon each other.
	first := writeDraft(t, s, snapshots.WriterOptions{Bounds: smallParts}, 900, nil)
	mustCommit(t, s, first)
	below := mustSnapshot(t, s, first.Digest.String())
	a = append(a, below)
	b = append(b, open(writeDraft(t, s, snapshots.WriterOptions{Bounds: smallParts, Parent: below}, 920, edited(5))))
	if table, _ := b[len(b)-1].Stored("people"); len(table.Layers) < 2 {
		t.Fatalf("%d layers", len(table.Layers))
	}

	for _, indexOnly := range []bool{false, true} {
		var want snapshots.Stat
		all := changes(t, a[0], b[0], snapshots.DiffOptions{IndexOnly: indexOnly, Stat: &want})
		if len(all) < 100 {
			t.Fatalf("only %d changes", len(all))
		}
		for i := range a {
			for j := range b {
				var got snapshots.Stat
				o := []snapshots.DiffOptions{{Workers: 2}, {Workers: 5, Memory: 1 << 30}, {Workers: 3, Memory: 1}}[(i+j)%3]
				o.Stat, o.IndexOnly = &got, indexOnly
				o.Counts = indexOnly && (i+j)%2 == 1
				rows := []int64{1, 30, 1000}[(2*i+j)%3]
				snapshots.SetRangeRows(&o, rows)
				found := changes(t, a[i], b[j], o)
				if o.Counts {
					if len(found) > 0 {
						t.Fatalf("%d changes where only counts are asked for", len(found))
					}
					found = all
				}
				if !cmp.Equal(all, found) || !cmp.Equal(want, got) {
					t.Fatalf("bounds %d and %d, workers %d, ranges of %d rows: %s%s", i, j, o.Workers, rows, cmp.Diff(all, found), cmp.Diff(want, got))
				}
			}
		}
	}
}

// A reader that has seen enough, and one that is cancelled, leave nothing behind.
func TestDiffEndsEarly(t *testing.T) {
	s, _ := sealedStore(t, &backendtest.Memory{})
	da := writeDraft(t, s, snapshots.WriterOptions{Bounds: smallParts}, 500, nil)
	db := writeDraft(t, s, snapshots.WriterOptions{Bounds: smallParts}, 500, edited(6))
	mustCommit(t, s, da)
	mustCommit(t, s, db)
	a, b := mustSnapshot(t, s, da.Digest.String()), mustSnapshot(t, s, db.Digest.String())
	o := snapshots.DiffOptions{Workers: 4, Memory: 1 << 30}
	snapshots.SetRangeRows(&o, 1)
	for stop := 1; stop < 20; stop++ {
		n := 0
		for _, err := range snapshots.Diff(t.Context(), a, b, o) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == stop {
				break
			}
		}
	}
}

// Parts of a whole snapshot that are the same on both sides are not read, and of
// the others the index alone as long as only counts are asked for.
func TestDiffSkipsEqualParts(t *testing.T) {
	m := &backendtest.Memory{}
	s := openOn(t, initOn(t, m))
	da := writeDraft(t, s, snapshots.WriterOptions{Bounds: smallParts}, 600, nil)
	db := writeDraft(t, s, snapshots.WriterOptions{Bounds: smallParts}, 600, func(i int, r *schemas.Row) bool {
		if i == 300 {
			r.Values[2] = int64(-1)
		}
		return true
	})
	opened := map[string]int{}
	counting := &backendtest.Fault{Backend: m, Plan: func(_ int, op, key string) (backendtest.Kind, bool) {
		if op == "open" && strings.HasPrefix(key, "objects/") {
			opened[key]++
		}
		return 0, false
	}}
	s = openOn(t, counting)
	open := func(d snapshots.Draft) *snapshots.Snapshot {
		sn, err := s.OpenManifest(t.Context(), d.Manifest)
		if err != nil {
			t.Fatal(err)
		}
		return sn
	}
	a, b := open(da), open(db)
	st, err := snapshots.DiffStat(t.Context(), a, b, snapshots.DiffOptions{IndexOnly: true})
	if err != nil || st.Changed() != 1 || st.Tables[0].Unchanged != 599 {
		t.Fatalf("%+v, %v", st, err)
	}
	if len(opened) != 2 {
		t.Errorf("opened %v to count one changed row", opened)
	}
	clear(opened)
	if st, err := snapshots.DiffStat(t.Context(), a, a, snapshots.DiffOptions{}); err != nil || st.Changed() != 0 || len(opened) != 0 {
		t.Errorf("opened %v for equal snapshots, %v", opened, err)
	}
}

// A damaged index is found by its blocks' checksums.
func TestDiffFindsADamagedIndex(t *testing.T) {
	m := &backendtest.Memory{}
	s := openOn(t, initOn(t, m))
	da := writeDraft(t, s, snapshots.WriterOptions{}, 600, nil)
	db := writeDraft(t, s, snapshots.WriterOptions{}, 600, edited(7))
	damaged := db.Tables[0].Layers[0].Parts[0].Index.Name()
	key := "objects/sha256/" + damaged[:2] + "/" + damaged[2:4] + "/" + damaged
	data := bytes.Clone(m.Bytes(key))
	data[5000] ^= 1
	m.Replace(key, data)
	open := func(d snapshots.Draft) *snapshots.Snapshot {
		sn, err := s.OpenManifest(t.Context(), d.Manifest)
		if err != nil {
			t.Fatal(err)
		}
		return sn
	}
	for _, workers := range []int{1, 4} {
		_, err := snapshots.DiffStat(t.Context(), open(da), open(db), snapshots.DiffOptions{Counts: true, Workers: workers})
		if !snapshots.IsCorrupt(err) {
			t.Errorf("%d workers: %v", workers, err)
		}
	}
}
