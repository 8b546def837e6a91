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
		fmt.Fprintf(&b, "    %-*s  %s\n", width, f.Column, fieldText(c.Kind, f))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func fieldText(kind snapshots.ChangeKind, f snapshots.FieldChange) string {
	switch {
	case f.Type.IsSecret() && kind == snapshots.Update:
		return "(secret) changed"
	case kind == snapshots.Insert:
		return valueText(f.Type, f.New)
	case kind == snapshots.Delete:
		return valueText(f.Type, f.Old)
	}
	return valueText(f.Type, f.Old) + " -> " + valueText(f.Type, f.New)
}

// valueText is a value in one line.
func valueText(t schemas.Type, v any) string {
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
		return quote(v)
	case []byte:
		return bytesText(v)
	case snapshots.SecretValue:
		return v.String()
	case snapshots.LargeValue:
		return fmt.Sprintf("(%d bytes)", v.Size)
	}
	r := reflect.ValueOf(v)
	if r.Kind() == reflect.Map {
		return mapText(t, r)
	}
	return listText(t, r)
}

func listText(t schemas.Type, list reflect.Value) string {
	var all []string
	for i := range list.Len() {
		all = append(all, valueText(t, list.Index(i).Interface()))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func mapText(t schemas.Type, m reflect.Value) string {
	lists := map[string]reflect.Value{}
	for it := m.MapRange(); it.Next(); {
		lists[it.Key().String()] = it.Value()
	}
	var all []string
	for _, k := range slices.Sorted(maps.Keys(lists)) {
		all = append(all, quote(k)+": "+listText(t, lists[k]))
	}
	return "{" + strings.Join(all, ", ") + "}"
}

func timeText(micros int64) string {
	return time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.999999Z")
}

// longText is how many characters of a value are shown.
const longText = 120

// quote keeps a value in one line and control characters off the terminal.
func quote(s string) string {
	if utf8.RuneCountInString(s) <= longText {
		return strconv.Quote(s)
	}
	cut := string([]rune(s)[:longText])
	return fmt.Sprintf("%s... (%d bytes)", strconv.Quote(cut), len(s))
}

func bytesText(b []byte) string {
	if utf8.Valid(b) {
		return quote(string(b))
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
	head := "\nnot compared\n"
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
