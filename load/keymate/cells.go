package keymate

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
)

// tables are the entity tables, read only.
var tables = schemas.Entities()

// cell is a row's value in the named column; nil for null.
func cell(table string, r schemas.Row, column string) any {
	t := tables[table]
	i := t.Column(column)
	if i < 0 || i >= len(r.Values) {
		return nil
	}
	return r.Values[i]
}

func text(table string, r schemas.Row, column string) string {
	s, _ := cell(table, r, column).(string)
	return s
}

func flag(table string, r schemas.Row, column string) bool {
	b, _ := cell(table, r, column).(bool)
	return b
}

func texts(table string, r schemas.Row, column string) []string {
	s, _ := cell(table, r, column).([]string)
	return s
}

func textMap(table string, r schemas.Row, column string) map[string][]string {
	m, _ := cell(table, r, column).(map[string][]string)
	return m
}

func moment(table string, r schemas.Row, column string) (microseconds int64, ok bool) {
	microseconds, ok = cell(table, r, column).(int64)
	return microseconds, ok
}

// blankRow is a row of nulls.
func blankRow(table string, id schemas.RowID, key string) schemas.Row {
	return schemas.Row{ID: id, Key: key, Values: make([]any, len(tables[table].Columns))}
}

// put sets a cell; empty strings, lists and maps become null, since Keycloak
// does not tell them apart.
func put(table string, r schemas.Row, column string, v any) {
	t := tables[table]
	switch x := v.(type) {
	case string:
		if x == "" {
			v = nil
		}
	case []string:
		if x = asSet(x); len(x) == 0 {
			v = nil
		} else {
			v = x
		}
	case map[string][]string:
		if len(x) == 0 {
			v = nil
		}
	}
	r.Values[t.Column(column)] = v
}

// asSet sorts, and drops duplicates and empty strings.
func asSet(list []string) []string {
	list = slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" })
	slices.Sort(list)
	return slices.Compact(list)
}

// asSets does the same with every list of a map and drops empty ones.
func asSets(m map[string][]string) map[string][]string {
	out := make(map[string][]string, len(m))
	for k, list := range m {
		if list = asSet(list); len(list) > 0 {
			out[k] = list
		}
	}
	return out
}

func cloneMap(m map[string][]string) map[string][]string {
	out := maps.Clone(m)
	if out == nil {
		out = map[string][]string{}
	}
	return out
}

// units counts UTF-16 units, in which the server's validators measure.
func units(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xFFFF {
			n++
		}
	}
	return n
}

func hasNUL(s string) bool { return strings.IndexByte(s, 0) >= 0 }

// Times: the server keeps milliseconds, rows microseconds.
func toMillis(micros int64) int64 { return floorDiv(micros, 1000) }
func toMicros(millis int64) int64 { return millis * 1000 }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func formatTime(micros int64) string {
	return time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.999999Z07:00")
}

func parseTime(s string) (micros int64, ok bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	return t.UnixMicro(), err == nil
}
