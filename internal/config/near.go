package config

import (
	"fmt"
	"slices"
	"strings"
)

// knownHint says which of the known names was probably meant, else all of them.
func knownHint(name string, known []string) string {
	if len(known) == 0 {
		return "there is none yet"
	}
	if n := nearest(name, known); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	sorted := slices.Sorted(slices.Values(known))
	const most = 12
	if len(sorted) > most {
		return fmt.Sprintf("known: %s, and %d more", strings.Join(sorted[:most], ", "), len(sorted)-most)
	}
	return "known: " + strings.Join(sorted, ", ")
}

// nearest returns the known name closest to name, empty if none is close.
func nearest(name string, known []string) string {
	best, bestDist := "", max(2, len([]rune(name))/3+1)
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < bestDist {
			best, bestDist = k, d
		}
	}
	return best
}

// distance is the Levenshtein distance: how many characters to add, drop or
// change.
func distance(a, b string) int {
	from, to := []rune(a), []rune(b)
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range from {
		diagonal := row[0]
		row[0] = i + 1
		for j, y := range to {
			cost := 1
			if x == y {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(to)]
}
