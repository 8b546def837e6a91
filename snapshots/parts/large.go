package parts

import (
	"context"
	"strconv"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// place is where in a row a large value belongs.
type place struct {
	column int
	key    string
	keyed  bool
	index  int // -1 for a cell
}

// place reads the path of a large value. Column names have no brackets
// (checkShape), so the first one ends the name.
func (r *Reader) place(path string) (place, bool) {
	name, rest := path, ""
	if i := strings.IndexByte(path, '['); i >= 0 {
		name, rest = path[:i], path[i:]
	}
	p := place{column: r.shape.Column(name), index: -1}
	if p.column < 0 || rest == "" {
		return p, p.column >= 0
	}
	if strings.HasPrefix(rest, `["`) {
		if p.key, rest, p.keyed = unquote(rest[2:]); !p.keyed {
			return p, false
		}
	}
	if len(rest) < 3 || rest[0] != '[' || rest[len(rest)-1] != ']' {
		return p, false
	}
	n, err := strconv.Atoi(rest[1 : len(rest)-1])
	p.index = n
	return p, err == nil && n >= 0
}

// unquote reads a key up to its closing quote and bracket.
func unquote(s string) (key, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
			b.WriteByte(s[i])
		case '"':
			if i+1 == len(s) || s[i+1] != ']' {
				return "", "", false
			}
			return b.String(), s[i+2:], true
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}

// resolve puts the large values of a row in their places.
func (r *Reader) resolve(ctx context.Context, row *schemas.Row, part Object) error {
	for _, ref := range row.Large {
		v, err := r.readObject(ctx, Object{SHA256: ref.SHA256, Bytes: ref.Size})
		if err != nil {
			return err
		}
		p, ok := r.place(ref.Path)
		if !ok || !r.put(row, p, v) {
			return corrupt(part, "row %s has no place for the large value %s", row.ID, ref.Path)
		}
	}
	row.Large = nil
	return nil
}

// put sets a cell or element; false when the row has no such place.
func (r *Reader) put(row *schemas.Row, p place, v []byte) bool {
	if p.index < 0 {
		return r.putCell(row, p.column, v)
	}
	switch cell := row.Values[p.column].(type) {
	case []string:
		return !p.keyed && putAt(cell, p.index, string(v))
	case [][]byte:
		return !p.keyed && putAt(cell, p.index, v)
	case map[string][]string:
		return p.keyed && putAt(cell[p.key], p.index, string(v))
	case map[string][][]byte:
		return p.keyed && putAt(cell[p.key], p.index, v)
	}
	return false
}

func (r *Reader) putCell(row *schemas.Row, column int, v []byte) bool {
	if row.Values[column] != nil {
		return false
	}
	switch r.t.Columns[column].Type {
	case schemas.String:
		row.Values[column] = string(v)
	case schemas.Binary:
		row.Values[column] = v
	default:
		return false
	}
	return true
}

func putAt[E string | []byte](list []E, i int, v E) bool {
	if i >= len(list) || len(list[i]) > 0 {
		return false
	}
	list[i] = v
	return true
}
