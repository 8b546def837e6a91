package load

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// BrakeOptions limit mass change, by what is done to the rows.
type BrakeOptions struct {
	Disables BrakeLimit
	Removals BrakeLimit // deletes and unlinks
}

// BrakeLimit limits one kind of change. The zero value takes the defaults; a
// negative field means none.
type BrakeLimit struct {
	// Count is how many rows of an entity may change so in one run. Zero: no
	// such limit.
	Count int64
	// Percent is the same as a share of the entity's rows in base. Zero: 10.
	Percent float64
	// Least is the number of rows up to which Percent does not apply. Zero: 5.
	Least int64
}

func (l BrakeLimit) withDefaults() BrakeLimit {
	l.Percent = cmp.Or(l.Percent, 10)
	l.Least = cmp.Or(l.Least, 5)
	return l
}

// passed names the limit that count passes, empty for none.
func (l BrakeLimit) passed(count, of int64) string {
	switch {
	case l.Count > 0 && count > l.Count:
		return fmt.Sprintf("%d rows", l.Count)
	case l.Percent > 0 && count > l.Least && float64(count)*100 > l.Percent*float64(of):
		return fmt.Sprintf("%g %%", l.Percent)
	}
	return ""
}

// Brake is one limit that a plan passes.
type Brake struct {
	Table  string  `json:"table"`
	What   string  `json:"what"` // disabled, removed or shrunken
	Count  int64   `json:"count"`
	Of     int64   `json:"of"` // rows in base
	Limit  string  `json:"limit"`
	Causes []Cause `json:"causes,omitempty"` // the most frequent first
}

// Cause is why rows are disabled or removed.
type Cause struct {
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
}

// BrakeError stops a run before its first write. Have someone look at the
// causes; then allow mass-change, or mend the source.
type BrakeError struct {
	Run    string
	Brakes []Brake
}

func (e *BrakeError) Error() string {
	var parts []string
	for _, b := range e.Brakes {
		s := fmt.Sprintf("%s: %d of %d %s, limit %s", b.Table, b.Count, b.Of, b.What, b.Limit)
		for _, c := range b.Causes {
			s += fmt.Sprintf("; %s: %d", c.Reason, c.Count)
		}
		parts = append(parts, s)
	}
	return fmt.Sprintf("plan of run %s changes too much at once, nothing was written: %s (check the source; if it is right, allow %s)",
		e.Run, strings.Join(parts, " | "), AllowMass)
}

// BrakeErr returns a *BrakeError when the plan passes a limit and mass change
// was not allowed when it was made.
func (m *Manifest) BrakeErr() error {
	if len(m.Brakes) == 0 || slices.Contains(m.Allow, AllowMass) {
		return nil
	}
	return &BrakeError{Run: m.Run, Brakes: m.Brakes}
}

// brakes counts mass change while a plan is made.
type brakes struct {
	o      BrakeOptions
	counts map[brakeKey]map[string]int64 // by reason
}

type brakeKey struct{ table, what string }

// What a brake counts.
const (
	disabledRows = "disabled"
	removedRows  = "removed"
)

func newBrakes(o BrakeOptions) *brakes {
	o.Disables, o.Removals = o.Disables.withDefaults(), o.Removals.withDefaults()
	return &brakes{o: o, counts: map[brakeKey]map[string]int64{}}
}

// add counts an operation that narrows.
func (b *brakes) add(op *Operation) {
	k := brakeKey{table: op.Table}
	switch {
	case op.Kind == Delete || op.Kind == Unlink:
		k.what = removedRows
	case op.Disables:
		k.what = disabledRows
	default:
		return
	}
	reason := "disabled in legacy"
	if op.Gone {
		reason = "no longer in legacy"
	}
	if b.counts[k] == nil {
		b.counts[k] = map[string]int64{}
	}
	b.counts[k][reason]++
}

// passed returns the limits that are passed. inBase says how many rows an
// entity had.
func (b *brakes) passed(inBase func(table string) int64, counts Counts) []Brake {
	var out []Brake
	for k, reasons := range b.counts {
		br := Brake{Table: k.table, What: k.what, Of: inBase(k.table), Causes: causes(reasons)}
		for _, n := range reasons {
			br.Count += n
		}
		limit := b.o.Disables
		if k.what == removedRows {
			limit = b.o.Removals
		}
		if br.Limit = limit.passed(br.Count, br.Of); br.Limit != "" {
			out = append(out, br)
		}
	}
	if br, ok := emptied(inBase(schemas.Users), counts.of(schemas.Users)); ok {
		out = append(out, br)
	}
	slices.SortFunc(out, func(x, y Brake) int { return cmp.Or(cmp.Compare(x.Table, y.Table), cmp.Compare(x.What, y.What)) })
	return out
}

// emptied sees a source that yields no user at all any more.
func emptied(inBase int64, users *EntityCounts) (Brake, bool) {
	br := Brake{Table: schemas.Users, What: "missing from legacy", Count: inBase, Of: inBase, Limit: "an empty source"}
	return br, inBase > 0 && users.Yielded+users.Kept == 0
}

// causes returns the three most frequent reasons.
func causes(reasons map[string]int64) []Cause {
	var out []Cause
	for _, r := range slices.Sorted(maps.Keys(reasons)) {
		out = append(out, Cause{Reason: r, Count: reasons[r]})
	}
	slices.SortStableFunc(out, func(a, b Cause) int { return cmp.Compare(b.Count, a.Count) })
	return out[:min(3, len(out))]
}
