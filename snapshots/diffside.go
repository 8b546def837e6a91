package snapshots

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// SecretValue stands for a secret in a diff.
type SecretValue struct{}

// String is all that is ever said of a secret.
func (SecretValue) String() string { return "(secret)" }

// LargeValue stands for a value that is too large to show.
type LargeValue struct{ Size int64 }

// side is one of the two tables of a diff.
type side struct {
	r      *parts.Reader
	common schemas.Table // the columns to compare, in one order on both sides
	at     []int         // where each stands in this side's rows
	names  []string      // what this side calls them
	whole  bool          // all columns are read
	enc    *schemas.Encoder
	buf    []byte
}

func newSide(r *parts.Reader, columns []schemas.Column, whole bool) *side {
	t := r.Table()
	s := &side{r: r, common: schemas.Table{Name: t.Name, Columns: columns}, whole: whole}
	for _, c := range columns {
		i := slices.IndexFunc(t.Columns, func(x schemas.Column) bool { return x.ID == c.ID })
		s.at = append(s.at, i)
		s.names = append(s.names, t.Columns[i].Name)
	}
	s.enc = schemas.NewEncoder(&s.common)
	return s
}

// fork is a side for another goroutine.
func (s *side) fork() *side {
	f := *s
	f.enc, f.buf = schemas.NewEncoder(&f.common), nil
	return &f
}

func (s *side) table() parts.Table { return s.r.Table() }

// scan reads the compared columns and leaves large values where they are.
func (s *side) scan() parts.ScanOptions {
	if s.whole {
		return parts.ScanOptions{KeepLarge: true}
	}
	names := s.names
	if names == nil {
		names = []string{} // none, which is not all
	}
	return parts.ScanOptions{Columns: names, KeepLarge: true}
}

// project brings a row into the common columns, with its large values under
// the common names.
func (s *side) project(row schemas.Row) schemas.Row {
	p := schemas.Row{ID: row.ID, Key: row.Key, Values: make([]any, len(s.at))}
	for i, at := range s.at {
		p.Values[i] = row.Values[at]
	}
	for _, ref := range row.Large {
		name, rest := splitPath(ref.Path)
		if i := slices.Index(s.names, name); i >= 0 {
			ref.Path = s.common.Columns[i].Name + rest
			p.Large = append(p.Large, ref)
		}
	}
	return p
}

// splitPath cuts the column off a large value's path. Column names hold no
// brackets.
func splitPath(path string) (column, rest string) {
	if i := strings.IndexByte(path, '['); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// sameRow compares two projected rows as the canonical encoding does.
func sameRow(a *side, x schemas.Row, b *side, y schemas.Row) (same bool, err error) {
	if a.buf, err = a.enc.AppendRow(a.buf[:0], &x); err != nil {
		return false, err
	}
	b.buf, err = b.enc.AppendRow(b.buf[:0], &y)
	return bytes.Equal(a.buf, b.buf), err
}

// sameCell compares column i of two projected rows as the canonical encoding
// does: sets without order, secrets by their MACs, large values by their hash.
func sameCell(c schemas.Column, i int, x, y schemas.Row) (bool, error) {
	bx, err := cellBytes(c, i, x)
	if err != nil {
		return false, err
	}
	by, err := cellBytes(c, i, y)
	return bytes.Equal(bx, by), err
}

// cellBytes is the canonical encoding of column i of a projected row alone.
func cellBytes(c schemas.Column, i int, r schemas.Row) ([]byte, error) {
	t := schemas.Table{Columns: []schemas.Column{c}}
	one := schemas.Row{Values: r.Values[i : i+1], Large: largeOf(c.Name, r.Large)}
	return schemas.NewEncoder(&t).AppendRow(nil, &one)
}

func largeOf(column string, refs []schemas.LargeRef) []schemas.LargeRef {
	var own []schemas.LargeRef
	for _, r := range refs {
		if name, _ := splitPath(r.Path); name == column {
			own = append(own, r)
		}
	}
	return own
}

// show is a value as a diff may tell it.
func show(c schemas.Column, v any, refs []schemas.LargeRef) any {
	own := largeOf(c.Name, refs)
	switch {
	case c.Type.IsSecret():
		if v == nil {
			return nil
		}
		return SecretValue{}
	case len(own) == 0:
		return v
	}
	if own[0].Path == c.Name {
		return LargeValue{own[0].Size}
	}
	sizes := map[string]int64{}
	for _, r := range own {
		sizes[strings.TrimPrefix(r.Path, c.Name)] = r.Size
	}
	return showLarge(v, sizes)
}

// showLarge puts the sizes of large elements in their places.
func showLarge(v any, sizes map[string]int64) any {
	switch v := v.(type) {
	case []string:
		return showList(v, "", sizes)
	case [][]byte:
		return showList(v, "", sizes)
	case map[string][]string:
		return showMap(v, sizes)
	case map[string][][]byte:
		return showMap(v, sizes)
	}
	return v
}

func showMap[E any](m map[string][]E, sizes map[string]int64) map[string][]any {
	out := map[string][]any{}
	for k, list := range m {
		out[k] = showList(list, schemas.LargePath("", &k, -1), sizes)
	}
	return out
}

func showList[E any](list []E, path string, sizes map[string]int64) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
		if n, ok := sizes[path+"["+strconv.Itoa(i)+"]"]; ok {
			out[i] = LargeValue{n}
		}
	}
	return out
}
