package parts

import (
	"cmp"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// Range is a range of row ids: From <= id < To, a zero To means no end.
type Range struct{ From, To schemas.RowID }

// Ranges cuts the ids into ranges, in order, of about so many rows on the
// larger of two sides, so that they can be compared by several at once. No part
// of either lowest layer reaches over a cut: parts of different bounds align
// where the longer prefixes fit into the shorter one. Rows of parts that are the
// same on both sides count nothing.
func Ranges(a, b Table, rows int64) []Range {
	out := []Range{{}}
	sum := int64(0)
	for _, g := range regions(a, b) {
		if sum >= rows {
			out[len(out)-1].To = g.from
			out = append(out, Range{From: g.from})
			sum = 0
		}
		sum += max(g.rows[0], g.rows[1])
	}
	return out
}

// region is what overlapping parts of two sides cover together.
type region struct {
	from, to schemas.RowID
	more     bool // something may come after to
	rows     [2]int64
}

func regions(a, b Table) []region {
	same := equalParts(a, b)
	var all []region
	for side, t := range []Table{a, b} {
		if len(t.Layers) == 0 {
			continue
		}
		for _, p := range t.Layers[0].Parts {
			lo, hi, more, err := prefixRange(p.Prefix)
			if err != nil {
				continue // reading it tells
			}
			g := region{from: lo, to: hi, more: more}
			if _, equal := same[p.Prefix]; !equal {
				g.rows[side] = p.Rows
			}
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(x, y region) int {
		if c := x.from.Compare(y.from); c != 0 {
			return c
		}
		return cmp.Compare(y.rows[0]+y.rows[1], x.rows[0]+x.rows[1])
	})
	var out []region
	for _, g := range all {
		if n := len(out); n > 0 && (!out[n-1].more || g.from.Compare(out[n-1].to) < 0) {
			last := &out[n-1]
			if !g.more || last.more && g.to.Compare(last.to) > 0 {
				last.to, last.more = g.to, g.more
			}
			last.rows[0] += g.rows[0]
			last.rows[1] += g.rows[1]
			continue
		}
		out = append(out, g)
	}
	return out
}

// equalParts lists the prefixes, with their rows, whose parts have one index on
// both sides: rows are compared by digest, so that nothing in there differs.
// Where layers lie upon the parts, that says nothing.
func equalParts(a, b Table) map[string]int64 {
	same, in := map[string]int64{}, map[string]Object{}
	if len(a.Layers) != 1 || len(b.Layers) != 1 {
		return same
	}
	for _, p := range a.Layers[0].Parts {
		in[p.Prefix] = p.Index
	}
	for _, p := range b.Layers[0].Parts {
		if o, ok := in[p.Prefix]; ok && o == p.Index {
			same[p.Prefix] = p.Rows
		}
	}
	return same
}

func (in Range) holds(prefix string) bool {
	lo, _, _, err := prefixRange(prefix)
	return err == nil && lo.Compare(in.From) >= 0 && (in.To.IsZero() || lo.Compare(in.To) < 0)
}
