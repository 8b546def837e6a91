package load

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// equalCells compares two cells as the canonical encoding would: null and
// empty differ, values of sets are compared without order and repeats, secrets
// by their MAC.
func equalCells(c *schemas.Column, a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	switch x := a.(type) {
	case []string:
		y, ok := b.([]string)
		return ok && equalLists(c.Set, x, y)
	case map[string][]string:
		y, ok := b.(map[string][]string)
		return ok && maps.EqualFunc(x, y, func(v, w []string) bool { return equalLists(c.Set, v, w) })
	case schemas.Sealed:
		y, ok := b.(schemas.Sealed)
		return ok && x.MAC == y.MAC
	case []byte:
		y, ok := b.([]byte)
		return ok && bytes.Equal(x, y)
	case bool, int64, string:
		return a == b
	}
	return equalEncoded(c, a, b)
}

func equalLists(set bool, a, b []string) bool {
	if !set {
		return slices.Equal(a, b)
	}
	return slices.Equal(asSet(a), asSet(b))
}

// asSet returns the values sorted and without repeats.
func asSet(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// equalEncoded compares cells of the rarer types.
func equalEncoded(c *schemas.Column, a, b any) bool {
	t := schemas.Table{Columns: []schemas.Column{*c}}
	x, y := schemas.Row{Values: []any{a}}, schemas.Row{Values: []any{b}}
	return bytes.Equal(schemas.AppendCanonical(nil, &t, &x), schemas.AppendCanonical(nil, &t, &y))
}

// minus is the values of a that are in none of the others, as a set.
func minus(a []string, others ...[]string) []string {
	var out []string
	for _, v := range asSet(a) {
		if !slices.ContainsFunc(others, func(o []string) bool { return slices.Contains(o, v) }) {
			out = append(out, v)
		}
	}
	return out
}

// both is the values that a and b share, as a set.
func both(a, b []string) []string {
	var out []string
	for _, v := range asSet(a) {
		if slices.Contains(b, v) {
			out = append(out, v)
		}
	}
	return out
}

func plus(a, b []string) []string { return asSet(append(slices.Clone(a), b...)) }

// flatten turns a cell that grants access into a set of words, so that lists
// (roles) and maps (client to roles, identity provider to user) are merged
// alike. Entries of a map become "key\x00value"; whole keeps a key's values
// together, for maps whose entry is one grant.
func flatten(v any, whole bool) []string {
	switch x := v.(type) {
	case []string:
		return asSet(x)
	case map[string][]string:
		var out []string
		for k, list := range x {
			if whole {
				out = append(out, k+"\x00"+strings.Join(list, "\x00"))
				continue
			}
			for _, v := range list {
				out = append(out, k+"\x00"+v)
			}
		}
		return asSet(out)
	}
	return nil
}

// unflatten is the way back, to the shape of like.
func unflatten(set []string, like any) any {
	if _, isMap := like.(map[string][]string); !isMap {
		return append([]string{}, set...)
	}
	m := map[string][]string{}
	for _, s := range set {
		k, v, _ := strings.Cut(s, "\x00")
		m[k] = append(m[k], strings.Split(v, "\x00")...)
	}
	return m
}

func isTrue(v any) bool  { b, ok := v.(bool); return ok && b }
func isFalse(v any) bool { b, ok := v.(bool); return ok && !b }

func text(v any) string { s, _ := v.(string); return s }

// cell returns a row's value of the named column.
func cell(t *schemas.Table, r *schemas.Row, name string) any {
	if i := t.Column(name); i >= 0 && i < len(r.Values) {
		return r.Values[i]
	}
	return nil
}

func setCell(t *schemas.Table, r *schemas.Row, name string, v any) {
	if i := t.Column(name); i >= 0 && i < len(r.Values) {
		r.Values[i] = v
	}
}

func cloneRow(r schemas.Row) schemas.Row {
	r.Values = slices.Clone(r.Values)
	return r
}

// ref parses a cell that names another row.
func ref(v any) (schemas.RowID, bool) {
	s, ok := v.(string)
	if !ok || s == "" {
		return schemas.RowID{}, false
	}
	id, err := schemas.ParseRowID(s)
	return id, err == nil
}
