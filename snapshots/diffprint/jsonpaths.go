package diffprint

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// pathChange is one place of a JSON document that differs: what a property
// template's schema is. Old or New is empty where the place is not there.
type pathChange struct {
	Path string          `json:"path"` // JSON pointer
	Old  json.RawMessage `json:"old,omitempty"`
	New  json.RawMessage `json:"new,omitempty"`
}

// jsonChanges are the places that differ if a field is text that holds a JSON
// object on both sides, else nil.
func jsonChanges(t schemas.Type, from, to any) []pathChange {
	old, ok := from.(string)
	now, ok2 := to.(string)
	if t != schemas.String || !ok || !ok2 {
		return nil
	}
	x, y := jsonObject(old), jsonObject(now)
	if x == nil || y == nil {
		return nil
	}
	return comparePaths(nil, "", x, y)
}

// jsonObject is the object that a text holds, nil for any other text.
func jsonObject(s string) map[string]any {
	if !strings.HasPrefix(strings.TrimSpace(s), "{") {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v map[string]any
	if d.Decode(&v) != nil || d.More() {
		return nil
	}
	return v
}

func comparePaths(out []pathChange, path string, x, y any) []pathChange {
	switch x := x.(type) {
	case map[string]any:
		if y, ok := y.(map[string]any); ok {
			for _, k := range keysOf(x, y) {
				out = compareAt(out, path+"/"+pointerEscape.Replace(k), x[k], y[k], has(x, k), has(y, k))
			}
			return out
		}
	case []any:
		if y, ok := y.([]any); ok {
			for i := range max(len(x), len(y)) {
				var a, b any
				if i < len(x) {
					a = x[i]
				}
				if i < len(y) {
					b = y[i]
				}
				out = compareAt(out, path+"/"+strconv.Itoa(i), a, b, i < len(x), i < len(y))
			}
			return out
		}
	}
	return compareAt(out, path, x, y, true, true)
}

// compareAt tells of one place, or of what differs below it.
func compareAt(out []pathChange, path string, x, y any, inX, inY bool) []pathChange {
	if inX && inY {
		if bytes.Equal(compact(x), compact(y)) {
			return out
		}
		if sameContainer(x, y) {
			return comparePaths(out, path, x, y)
		}
	}
	c := pathChange{Path: path}
	if inX {
		c.Old = compact(x)
	}
	if inY {
		c.New = compact(y)
	}
	return append(out, c)
}

func sameContainer(x, y any) bool {
	switch x.(type) {
	case map[string]any:
		_, ok := y.(map[string]any)
		return ok
	case []any:
		_, ok := y.([]any)
		return ok
	}
	return false
}

var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")

func keysOf(x, y map[string]any) []string {
	all := maps.Clone(x)
	maps.Copy(all, y)
	return slices.Sorted(maps.Keys(all))
}

func has(m map[string]any, k string) bool { _, ok := m[k]; return ok }

func compact(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return nil // it came out of a decoder
	}
	return b
}
