package snapshots_test

import (
	"testing"

	"github.com/parallelrun/parallelrun/snapshots"
)

// What the report says that dropping a snapshot frees is what it frees.
func TestStorageSaysWhatDroppingFrees(t *testing.T) {
	y := newYard(t)
	s := y.open()
	sets := [][]string{{"a", "b", "c", "d", "x*"}, {"a", "b", "c", "e", "x*"}, {"a", "f", "g", "y*"}}
	for _, names := range sets {
		y.commit(s, y.draft(s, names...))
	}
	y.draft(s, "draft")
	stored := func() (n int64) {
		for _, key := range y.contents() {
			n += int64(len(y.m.Bytes(key)))
		}
		return n
	}
	for range sets {
		r, err := s.Storage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		first, logical := r.Snapshots[0], int64(0)
		for _, one := range r.Snapshots {
			logical += one.Logical
			if one.Logical != one.Unique+one.Shared || one.Unique == 0 || one.Tables[0].Logical >= one.Logical || one.Tables[0].Rows == 0 {
				t.Errorf("%+v", one)
			}
		}
		if logical != r.Logical || r.Stored.Bytes+r.Rest.Bytes != stored() || r.Logical < r.Stored.Bytes {
			t.Errorf("logical %d and %d, stored %d, rest %d, there %d", r.Logical, logical, r.Stored.Bytes, r.Rest.Bytes, stored())
		}
		if len(r.Snapshots) == 3 && (first.Shared == 0 || r.Snapshots[2].Shared != 0) {
			t.Errorf("shared: %+v", r.Snapshots)
		}
		y.drop(s, first.Digest)
		before := r.Rest.Bytes
		if r, err = s.Storage(t.Context()); err != nil || r.Rest.Bytes != before+first.Unique {
			t.Errorf("dropping frees %d, said %d (%v)", r.Rest.Bytes-before, first.Unique, err)
		}
	}
	y.now = y.now.Add(3 * grace)
	y.gc()
	y.now = y.now.Add(3 * grace)
	y.gc()
	if r, err := s.Storage(t.Context()); err != nil || r.Rest != (snapshots.Tally{}) || r.Logical != 0 {
		t.Errorf("in the end: %+v, %v", r, err)
	}
}
