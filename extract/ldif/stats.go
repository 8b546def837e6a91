package ldif

import (
	"fmt"
	"maps"
	"slices"

	"github.com/parallelrun/parallelrun/extract"
)

// tableCounts counts one table of a Read.
type tableCounts struct {
	extract.TableStats
	// places says where each oddity was first met.
	places map[string]string
	strays int64
}

func newTableCounts() *tableCounts {
	return &tableCounts{places: map[string]string{}}
}

func (c *tableCounts) add(m *map[string]int64, attr string) {
	if *m == nil {
		*m = map[string]int64{}
	}
	(*m)[attr]++
}

// first remembers the first place of an oddity.
func (c *tableCounts) first(oddity string, p place) {
	if _, ok := c.places[oddity]; !ok {
		c.places[oddity] = fmt.Sprintf("%s:%d", p.file, p.entry.Line)
	}
}

// stray counts an entry that went to the catch-all table for want of a key.
func (c *tableCounts) stray(p place) {
	c.strays++
	c.first("", p)
}

// warnings are the sentences for the operator, in a fixed order.
func (r *run) warnings() []string {
	w := slices.Clone(r.openEnds)
	for i, c := range r.counts {
		t := r.s.tables[i]
		name := t.spec.Table.Name
		if c.Rows == 0 && name != CatchAll {
			w = append(w, fmt.Sprintf("table %s: no entry matches its condition: check it before anything is planned", name))
		}
		if c.strays > 0 {
			w = append(w, fmt.Sprintf("table %s: %d entries without %s went to table %s, the first at %s", name, c.strays, t.spec.Key, CatchAll, c.places[""]))
		}
		for _, attr := range slices.Sorted(maps.Keys(c.Misfits)) {
			w = append(w, fmt.Sprintf("table %s: %s does not fit its column in %d rows, the first at %s: see columns %s and other", name, attr, c.Misfits[attr], c.places[attr], ProblemsColumn))
		}
		for _, attr := range slices.Sorted(maps.Keys(c.SealedByPattern)) {
			w = append(w, fmt.Sprintf("table %s: %s looks like a secret in %d rows, the first at %s: sealed in column other_sealed", name, attr, c.SealedByPattern[attr], c.places["secret "+attr]))
		}
	}
	return w
}
