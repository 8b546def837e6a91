package records

import (
	"fmt"
	"maps"
	"slices"

	"github.com/parallelrun/parallelrun/extract"
)

// counts counts rows of one table.
type counts struct {
	extract.TableStats
	keyless int64 // unread rows whose key is not known either
	ignored map[string]int64
	fields  map[string]int64 // of formats whose records name their fields
	// places says where each oddity was first met.
	places map[string]string
}

func newCounts() *counts {
	return &counts{ignored: map[string]int64{}, fields: map[string]int64{}, places: map[string]string{},
		TableStats: extract.TableStats{Sealed: map[string]int64{}, SealedByPattern: map[string]int64{}, Misfits: map[string]int64{}}}
}

// first remembers the first place of an oddity.
func (c *counts) first(oddity, place string) {
	if _, ok := c.places[oddity]; !ok {
		c.places[oddity] = place
	}
}

// add takes the counts of what comes behind.
func (c *counts) add(o *counts) {
	c.Rows += o.Rows
	c.Unread += o.Unread
	c.keyless += o.keyless
	for _, m := range []struct{ to, from map[string]int64 }{
		{c.Sealed, o.Sealed}, {c.SealedByPattern, o.SealedByPattern}, {c.Misfits, o.Misfits}, {c.ignored, o.ignored}, {c.fields, o.fields},
	} {
		for k, n := range m.from {
			m.to[k] += n
		}
	}
	for k, p := range o.places {
		c.first(k, p)
	}
}

// keyWarnings speak of the configuration alone.
func (s *Source) keyWarnings() []string {
	var w []string
	for _, t := range s.tables {
		if t.spec.KeyMutable {
			w = append(w, fmt.Sprintf("table %s: key %s can change or come back as somebody else: prefer an immutable one such as a number of the source's own", t.spec.Table.Name, t.spec.Key))
		}
	}
	return w
}

func (r *run) stats() extract.Stats {
	s := extract.Stats{Files: r.files, Bytes: r.bytes, Tables: map[string]extract.TableStats{}}
	for _, t := range r.s.tables {
		c := r.counts[t].TableStats
		s.Entries += c.Rows
		s.Tables[t.spec.Table.Name] = c
	}
	return s
}

// warnings are the sentences for the operator, in a fixed order.
func (r *run) warnings() []string {
	w := slices.Clone(r.ends)
	for _, t := range r.s.tables {
		name, c, sh := t.spec.Table.Name, r.counts[t], r.shapes[t]
		say := func(format string, args ...any) { w = append(w, "table "+name+": "+fmt.Sprintf(format, args...)) }
		for _, d := range sh.drift {
			say("%s", d)
		}
		if c.Unread > 0 {
			say("%d rows could not be read and are rejected, the first at %s", c.Unread, c.places["unread"])
		}
		for _, col := range t.declared {
			if n := c.places["lacks "+col.field]; n != "" {
				say("%s has no %s: rows of it are rejected by rules that read that column", n, col.field)
			}
		}
		for _, f := range slices.Sorted(maps.Keys(c.Misfits)) {
			say("%s does not fit its column in %d rows, the first at %s: see columns %s and other", f, c.Misfits[f], c.places["misfit "+f], ProblemsColumn)
		}
		for _, f := range slices.Sorted(maps.Keys(c.SealedByPattern)) {
			say("%s looks like a secret in %d rows, the first at %s: sealed in column other_sealed", f, c.SealedByPattern[f], c.places["secret "+f])
		}
		for _, f := range slices.Sorted(maps.Keys(c.ignored)) {
			say("%s is dropped, as the configuration says: %d values", f, c.ignored[f])
		}
	}
	return w
}
