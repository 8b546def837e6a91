package diffprint

import (
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

type rowJSON struct {
	Type   string      `json:"type"` // "row"
	Table  string      `json:"table"`
	ID     string      `json:"id"`
	Key    string      `json:"key,omitempty"`
	Kind   string      `json:"kind"`
	Fields []fieldJSON `json:"fields,omitempty"`
}

type fieldJSON struct {
	Column string `json:"column"`
	Secret string `json:"secret,omitempty"` // "changed" or, in inserts and deletes, "present"; then no values
	Old    any    `json:"old,omitempty"`
	New    any    `json:"new,omitempty"`
	// Places are where two JSON documents differ.
	Places []pathChange `json:"places,omitempty"`
}

type statJSON struct {
	Type        string            `json:"type"` // "stat"
	Table       string            `json:"table"`
	Inserted    int64             `json:"inserted"`
	Updated     int64             `json:"updated"`
	Deleted     int64             `json:"deleted"`
	Unchanged   int64             `json:"unchanged"`
	Left        int64             `json:"left_out,omitempty"`
	OnlyIn      string            `json:"only_in,omitempty"`
	Columns     map[string]int64  `json:"columns,omitempty"`
	NotCompared map[string]string `json:"not_compared,omitempty"`
	Schema      []schemaJSON      `json:"schema,omitempty"`
}

// schemaJSON is a column that is another one in b.
type schemaJSON struct {
	Column string `json:"column"`
	Kind   string `json:"kind"` // added, removed or type
	Old    string `json:"old,omitempty"`
	New    string `json:"new,omitempty"`
}

func schemaOf(n snapshots.NotCompared) schemaJSON {
	kind := "type"
	switch {
	case n.Old == 0:
		kind = "added"
	case n.New == 0:
		kind = "removed"
	}
	return schemaJSON{Column: n.Column, Kind: kind, Old: n.Old.String(), New: n.New.String()}
}

// RowJSON writes a change as one line of JSON.
func RowJSON(w io.Writer, c snapshots.RowChange) error {
	j := rowJSON{Type: "row", Table: c.Table, ID: c.ID.String(), Key: c.Key, Kind: string(c.Kind)}
	for _, f := range c.Fields {
		j.Fields = append(j.Fields, fieldOf(c.Kind, f))
	}
	return line(w, j)
}

// null keeps a null apart from a side that has no value at all.
var null = json.RawMessage("null")

func fieldOf(kind snapshots.ChangeKind, f snapshots.FieldChange) fieldJSON {
	out := fieldJSON{Column: f.Column}
	if f.Type.IsSecret() {
		out.Secret = "present"
		if kind == snapshots.Update {
			out.Secret = "changed"
		}
		return out
	}
	if kind != snapshots.Insert {
		out.Old = valueJSON(f.Type, f.Old)
	}
	if kind != snapshots.Delete {
		out.New = valueJSON(f.Type, f.New)
	}
	out.Places = jsonChanges(f.Type, f.Old, f.New)
	return out
}

func valueJSON(t schemas.Type, v any) any {
	switch v := v.(type) {
	case nil:
		return null
	case int64:
		if t == schemas.Timestamp {
			return timeText(v)
		}
	case []byte:
		return bytesJSON(v)
	case snapshots.LargeValue:
		return map[string]int64{"bytes": v.Size}
	case []string:
		return listJSON(t, v)
	case [][]byte:
		return listJSON(t, v)
	case []any:
		return listJSON(t, v)
	case map[string][]string:
		return mapJSON(t, v)
	case map[string][][]byte:
		return mapJSON(t, v)
	case map[string][]any:
		return mapJSON(t, v)
	}
	return v
}

func listJSON[E any](t schemas.Type, list []E) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = valueJSON(t, v)
	}
	return out
}

func mapJSON[E any](t schemas.Type, m map[string][]E) map[string]any {
	out := make(map[string]any, len(m))
	for k, list := range m {
		out[k] = listJSON(t, list)
	}
	return out
}

// bytesJSON is a string if the bytes are text, else an object.
func bytesJSON(b []byte) any {
	if utf8.Valid(b) {
		return string(b)
	}
	return map[string][]byte{"base64": b}
}

// StatJSON writes one line of JSON per table.
func StatJSON(w io.Writer, st snapshots.Stat) error {
	for _, t := range st.Tables {
		j := statJSON{Type: "stat", Table: t.Table, Inserted: t.Inserted, Updated: t.Updated, Deleted: t.Deleted, Unchanged: t.Unchanged, Left: t.Left, OnlyIn: t.OnlyIn}
		for _, c := range t.Columns {
			if j.Columns == nil {
				j.Columns = map[string]int64{}
			}
			j.Columns[c.Column] = c.Changed
		}
		j.NotCompared = whyNot(t.NotCompared)
		for _, n := range t.NotCompared {
			j.Schema = append(j.Schema, schemaOf(n))
		}
		if err := line(w, j); err != nil {
			return err
		}
	}
	return nil
}

func line(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode diff: %w", err)
	}
	_, err = w.Write(append(data, '\n'))
	return err
}
