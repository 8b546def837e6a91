package diffprint

import (
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// Row writes a change: a line for the row and one per field.
func Row(w io.Writer, c snapshots.RowChange) error {
	var b strings.Builder
	sign := map[snapshots.ChangeKind]string{snapshots.Insert: "+", snapshots.Update: "~", snapshots.Delete: "-"}[c.Kind]
	fmt.Fprintf(&b, "%s %s %s", sign, c.Table, c.ID)
	if c.Key != "" {
		fmt.Fprintf(&b, " %s", strconv.Quote(c.Key))
	}
	b.WriteByte('\n')
	width := 0
	for _, f := range c.Fields {
		width = max(width, utf8.RuneCountInString(f.Column))
	}
	for _, f := range c.Fields {
		if at := jsonChanges(f.Type, f.Old, f.New); len(at) > 0 {
			fmt.Fprintf(&b, "    %-*s  JSON, differs at:\n", width, f.Column)
			places(&b, "", at)
			continue
		}
		fmt.Fprintf(&b, "    %-*s  %s\n", width, f.Column, fieldText(c.Kind, f, longText))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// visible keeps a text in one line, and what can't be seen off the terminal.
func visible(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRune(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

func placeText(p pathChange) string {
	return placeValue(p.Old, longText) + " -> " + placeValue(p.New, longText)
}

// placeValue is what stands at a place of a JSON document, nil for nothing.
func placeValue(v []byte, limit int) string {
	if v == nil {
		return "(absent)"
	}
	return visible(cutText(string(v), limit))
}

func cutText(s string, limit int) string {
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + fmt.Sprintf("... (%d bytes)", len(s))
	}
	return s
}

// places are the lines for the places of a JSON document that differ.
func places(b *strings.Builder, who string, all []pathChange) {
	for _, p := range all {
		fmt.Fprintf(b, "        %s%s  %s\n", who, visible(p.Path), placeText(p))
	}
}

func fieldText(kind snapshots.ChangeKind, f snapshots.FieldChange, limit int) string {
	switch {
	case f.Type.IsSecret() && kind == snapshots.Update:
		return "(secret) changed"
	case kind == snapshots.Insert:
		return valueText(f.Type, f.New, limit)
	case kind == snapshots.Delete:
		return valueText(f.Type, f.Old, limit)
	}
	return valueText(f.Type, f.Old, limit) + " -> " + valueText(f.Type, f.New, limit)
}

// valueText is a value in one line, of each text in it so many characters.
func valueText(t schemas.Type, v any, limit int) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case int64:
		if t == schemas.Timestamp {
			return timeText(v)
		}
		return strconv.FormatInt(v, 10)
	case string:
		return quote(v, limit)
	case []byte:
		return bytesText(v, limit)
	case snapshots.SecretValue:
		return v.String()
	case snapshots.LargeValue:
		return fmt.Sprintf("(%d bytes)", v.Size)
	}
	r := reflect.ValueOf(v)
	if r.Kind() == reflect.Map {
		return mapText(t, r, limit)
	}
	return listText(t, r, limit)
}

func listText(t schemas.Type, list reflect.Value, limit int) string {
	var all []string
	for i := range list.Len() {
		all = append(all, valueText(t, list.Index(i).Interface(), limit))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func mapText(t schemas.Type, m reflect.Value, limit int) string {
	lists := map[string]reflect.Value{}
	for it := m.MapRange(); it.Next(); {
		lists[it.Key().String()] = it.Value()
	}
	var all []string
	for _, k := range slices.Sorted(maps.Keys(lists)) {
		all = append(all, quote(k, limit)+": "+listText(t, lists[k], limit))
	}
	return "{" + strings.Join(all, ", ") + "}"
}

func timeText(micros int64) string {
	return time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.999999Z")
}

// longText is how many characters of a value are shown.
const longText = 120

// quote keeps a value in one line and control characters off the terminal.
func quote(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return strconv.Quote(s)
	}
	cut := string([]rune(s)[:limit])
	return fmt.Sprintf("%s... (%d bytes)", strconv.Quote(cut), len(s))
}

func bytesText(b []byte, limit int) string {
	if utf8.Valid(b) {
		return quote(string(b), limit)
	}
	return fmt.Sprintf("(%d bytes, not text)", len(b))
}

// Stat writes a table of counts, the columns that changed, and what was not
// compared.
func Stat(w io.Writer, st snapshots.Stat) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "inserted\tupdated\tdeleted\tunchanged\t  table")
	for _, t := range st.Tables {
		note := ""
		if t.OnlyIn != "" {
			note = " (only in " + t.OnlyIn + ")"
		}
		note += leftNote(t.Left)
		fmt.Fprintf(tw, "%d\t%d\t%d\t%d\t  %s%s\n", t.Inserted, t.Updated, t.Deleted, t.Unchanged, t.Table, note)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if err := columnStats(w, st); err != nil {
		return err
	}
	return notCompared(w, st)
}

func columnStats(w io.Writer, st snapshots.Stat) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := false
	for _, t := range st.Tables {
		for _, c := range t.Columns {
			if !head {
				fmt.Fprintln(tw, "\nchanged\t  column")
			}
			head = true
			fmt.Fprintf(tw, "%d\t  %s.%s\n", c.Changed, t.Table, c.Column)
		}
	}
	return tw.Flush()
}

func notCompared(w io.Writer, st snapshots.Stat) error {
	head := "\nother columns (not compared)\n"
	for _, t := range st.Tables {
		for _, n := range t.NotCompared {
			if _, err := fmt.Fprintf(w, "%s  %s\n", head, schemaText(t.Table, n)); err != nil {
				return err
			}
			head = ""
		}
	}
	return nil
}

// schemaText says how a table's column is another one in b.
func schemaText(table string, n snapshots.NotCompared) string {
	switch {
	case n.Old == 0:
		return fmt.Sprintf("+ %s.%s  %s", table, n.Column, n.New)
	case n.New == 0:
		return fmt.Sprintf("- %s.%s  %s", table, n.Column, n.Old)
	}
	return fmt.Sprintf("~ %s.%s  %s -> %s", table, n.Column, n.Old, n.New)
}
