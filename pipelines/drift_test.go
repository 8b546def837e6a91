package pipelines

import (
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
)

// The parts of a drift cover all ids, each once.
func TestPrefixBounds(t *testing.T) {
	for digits := range 5 {
		var last schemas.RowID
		n := uint64(1) << (4 * digits)
		for i := range n {
			from, to := prefixBounds(i, digits)
			if from != last {
				t.Fatalf("%d digits, part %d begins at %s, the one before ended at %s", digits, i, from, last)
			}
			if i < n-1 && to.Compare(from) <= 0 {
				t.Fatalf("%d digits, part %d: from %s to %s", digits, i, from, to)
			}
			last = to
		}
		if !last.IsZero() {
			t.Errorf("%d digits: the last part ends at %s, want no end", digits, last)
		}
	}
}
