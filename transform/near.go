package transform

import (
	"slices"
	"strings"
)

// nearHint suggests the names that look most like a wrong one.
func nearHint(wrong string, names []string) string {
	type scored struct {
		name string
		d    int
	}
	var near []scored
	for _, n := range names {
		d := distance(strings.ToLower(wrong), strings.ToLower(n))
		if d <= max(1, min(len(wrong), len(n))/3) {
			near = append(near, scored{n, d})
		}
	}
	slices.SortFunc(near, func(a, b scored) int {
		if a.d != b.d {
			return a.d - b.d
		}
		return strings.Compare(a.name, b.name)
	})
	if len(near) == 0 {
		if len(names) == 0 || len(names) > 40 {
			return ""
		}
		sorted := slices.Sorted(slices.Values(names))
		return "known here: " + strings.Join(sorted, ", ")
	}
	var out []string
	for _, s := range near[:min(3, len(near))] {
		out = append(out, "`"+s.name+"`")
	}
	return "did you mean " + strings.Join(out, " or ") + "?"
}

// distance is the number of edits between two names: one character put in,
// taken out or replaced, or two neighbours swapped.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+btoi(a[i] != b[j]))
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
