package diffprint

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/snapshots"
)

// threeWayText writes a row: who changed it and how, then the fields with who
// changed each.
func threeWayText(w io.Writer, c snapshots.ThreeWayChange) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s %s %s", c.Side, c.Table, c.ID)
	if c.Key != "" {
		fmt.Fprintf(&b, " %s", strconv.Quote(c.Key))
	}
	fmt.Fprintf(&b, " (%s)\n", did(c))
	width := 0
	for _, f := range c.Fields {
		width = max(width, utf8.RuneCountInString(f.Column))
	}
	for _, f := range c.Fields {
		if at := threePlaces(f); len(at) > 0 {
			fmt.Fprintf(&b, "    %-8s %-*s  JSON, differs from base at:\n", f.Side, width, f.Column)
			for _, p := range at {
				places(&b, p.who, []pathChange{p.pathChange})
			}
			continue
		}
		base, a, v := threeValues(c, f, longText)
		fmt.Fprintf(&b, "    %-8s %-*s  %s -> %s\n", f.Side, width, f.Column, base, outcome(f.Side, a, v))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// sidePlace is a place of a JSON document, and who changed it.
type sidePlace struct {
	who string
	pathChange
}

// threePlaces are the places of a JSON document that either side changed.
func threePlaces(f snapshots.ThreeWayField) (out []sidePlace) {
	if f.Side != snapshots.OnlyB {
		for _, p := range jsonChanges(f.Type, f.Base, f.A) {
			out = append(out, sidePlace{"a: ", p})
		}
	}
	if f.Side == snapshots.OnlyB || f.Side == snapshots.Conflict {
		for _, p := range jsonChanges(f.Type, f.Base, f.B) {
			out = append(out, sidePlace{"b: ", p})
		}
	}
	return out
}

func did(c snapshots.ThreeWayChange) string {
	return fmt.Sprintf("a: %s, b: %s", cmp.Or(string(c.A), "unchanged"), cmp.Or(string(c.B), "unchanged"))
}

func outcome(s snapshots.Side, a, b string) string {
	switch s {
	case snapshots.OnlyB:
		return b
	case snapshots.Conflict:
		return "a: " + a + ", b: " + b
	}
	return a
}

// threeValues are a field's values as texts. Of secrets it is said only whether
// there is one and who changed it, which the field's side tells.
func threeValues(c snapshots.ThreeWayChange, f snapshots.ThreeWayField, limit int) (base, a, b string) {
	base = valueText(f.Type, f.Base, limit)
	one := func(kind snapshots.ChangeKind, v any, changed bool) string {
		switch {
		case kind == snapshots.Delete:
			return "(deleted)"
		case f.Type.IsSecret() && v != nil && changed && f.Base != nil:
			return "(secret) changed"
		}
		return valueText(f.Type, v, limit)
	}
	inA := f.Side != snapshots.OnlyB
	inB := f.Side != snapshots.OnlyA
	return base, one(c.A, f.A, inA), one(c.B, f.B, inB)
}

// threeWayStatText writes the counts of rows and of columns.
func threeWayStatText(w io.Writer, st snapshots.ThreeWayStat) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "only a\tonly b\tsame\tboth\tconflict\tunchanged\t  table")
	for _, t := range st.Tables {
		fmt.Fprintf(tw, "%s%d\t  %s%s\n", sideCounts(t.Rows), t.Unchanged, t.Table, leftNote(t.Left))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	tw = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := "\nonly a\tonly b\tsame\tconflict\t  column\n"
	for _, t := range st.Tables {
		for _, c := range t.Columns {
			fmt.Fprintf(tw, "%s%d\t%d\t%d\t%d\t  %s.%s\n", head, c.Fields[snapshots.OnlyA], c.Fields[snapshots.OnlyB], c.Fields[snapshots.Same], c.Fields[snapshots.Conflict], t.Table, c.Column)
			head = ""
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	head = "\nnot compared\n"
	for _, t := range st.Tables {
		for _, n := range t.NotCompared {
			if _, err := fmt.Fprintf(w, "%s  %s.%s: %s\n", head, t.Table, n.Column, n.Why); err != nil {
				return err
			}
			head = ""
		}
	}
	return nil
}

func sideCounts(rows map[snapshots.Side]int64) string {
	var b strings.Builder
	for _, s := range snapshots.Sides {
		fmt.Fprintf(&b, "%d\t", rows[s])
	}
	return b.String()
}

type threeWayRowJSON struct {
	Type   string              `json:"type"` // "row"
	Table  string              `json:"table"`
	ID     string              `json:"id"`
	Key    string              `json:"key,omitempty"`
	Side   string              `json:"side"`
	A      string              `json:"a,omitempty"`
	B      string              `json:"b,omitempty"`
	Fields []threeWayFieldJSON `json:"fields,omitempty"`
}

type threeWayFieldJSON struct {
	Column string `json:"column"`
	Side   string `json:"side"`
	Secret string `json:"secret,omitempty"` // "changed"; then no values
	Base   any    `json:"base,omitempty"`
	A      any    `json:"a,omitempty"`
	B      any    `json:"b,omitempty"`
}

func threeWayJSON(w io.Writer, c snapshots.ThreeWayChange) error {
	j := threeWayRowJSON{Type: "row", Table: c.Table, ID: c.ID.String(), Key: c.Key, Side: string(c.Side), A: string(c.A), B: string(c.B)}
	for _, f := range c.Fields {
		out := threeWayFieldJSON{Column: f.Column, Side: string(f.Side)}
		if f.Type.IsSecret() {
			out.Secret = "changed"
			j.Fields = append(j.Fields, out)
			continue
		}
		out.Base = valueJSON(f.Type, f.Base)
		if c.A != snapshots.Delete {
			out.A = valueJSON(f.Type, f.A)
		}
		if c.B != snapshots.Delete {
			out.B = valueJSON(f.Type, f.B)
		}
		j.Fields = append(j.Fields, out)
	}
	return line(w, j)
}

type threeWayStatLine struct {
	Type        string                     `json:"type"` // "stat"
	Table       string                     `json:"table"`
	OnlyA       int64                      `json:"only_a"`
	OnlyB       int64                      `json:"only_b"`
	Same        int64                      `json:"same"`
	Both        int64                      `json:"both"`
	Conflicts   int64                      `json:"conflicts"`
	Unchanged   int64                      `json:"unchanged"`
	Left        int64                      `json:"left_out,omitempty"`
	Columns     map[string]threeWayColumns `json:"columns,omitempty"`
	NotCompared map[string]string          `json:"not_compared,omitempty"`
}

type threeWayColumns struct {
	OnlyA     int64 `json:"only_a"`
	OnlyB     int64 `json:"only_b"`
	Same      int64 `json:"same"`
	Conflicts int64 `json:"conflicts"`
}

func threeWayStatJSON(w io.Writer, st snapshots.ThreeWayStat) error {
	for _, t := range st.Tables {
		j := threeWayStatLine{Type: "stat", Table: t.Table, OnlyA: t.Rows[snapshots.OnlyA], OnlyB: t.Rows[snapshots.OnlyB], Same: t.Rows[snapshots.Same],
			Both: t.Rows[snapshots.Both], Conflicts: t.Rows[snapshots.Conflict], Unchanged: t.Unchanged, Left: t.Left}
		for _, c := range t.Columns {
			if j.Columns == nil {
				j.Columns = map[string]threeWayColumns{}
			}
			j.Columns[c.Column] = threeWayColumns{c.Fields[snapshots.OnlyA], c.Fields[snapshots.OnlyB], c.Fields[snapshots.Same], c.Fields[snapshots.Conflict]}
		}
		j.NotCompared = whyNot(t.NotCompared)
		if err := line(w, j); err != nil {
			return err
		}
	}
	return nil
}

func whyNot(left []snapshots.NotCompared) map[string]string {
	if len(left) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, n := range left {
		out[n.Column] = n.Why
	}
	return out
}

func leftNote(left int64) string {
	if left == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d more left out by --where)", left)
}
