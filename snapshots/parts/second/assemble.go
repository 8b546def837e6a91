package second

import (
	"errors"
	"fmt"

	"github.com/parallelrun/parallelrun/schemas"
)

// leaf is one Parquet column of a row group: a value for each slot, with its
// levels. Slots of one row begin where rep is zero.
type leaf struct {
	values   []any
	rep, def []int32
	starts   []int // of rows among the slots, and their end
}

var errLevels = errors.New("levels and values do not fit")

// split finds the slots of each row.
func (l *leaf) split(rows int) error {
	if len(l.values) != len(l.rep) || len(l.values) != len(l.def) {
		return errLevels
	}
	l.starts = l.starts[:0]
	for i, rep := range l.rep {
		if rep == 0 {
			l.starts = append(l.starts, i)
		}
	}
	if len(l.starts) != rows {
		return fmt.Errorf("column has %d rows, want %d", len(l.starts), rows)
	}
	l.starts = append(l.starts, len(l.rep))
	return nil
}

// row is the slots of one row.
func (l *leaf) row(i int) leaf {
	from, to := l.starts[i], l.starts[i+1]
	return leaf{values: l.values[from:to], rep: l.rep[from:to], def: l.def[from:to]}
}

// leavesOf is how many Parquet columns a column has.
func leavesOf(t schemas.Type) int {
	switch t {
	case schemas.Secret, schemas.Secrets, schemas.StringsMap, schemas.BinariesMap:
		return 2
	case schemas.SecretsMap:
		return 3
	}
	return 1
}

// cell puts a row's cell together out of the slots of its leaves, as
// docs/format-parts.md describes them.
func cell(t schemas.Type, leaves []leaf) (any, error) {
	switch t {
	case schemas.Strings:
		return list(leaves, 1, asString)
	case schemas.Binaries:
		return list(leaves, 1, asBytes)
	case schemas.Secrets:
		return list(leaves, 1, asSealed)
	case schemas.StringsMap:
		return mapOf(leaves, asString)
	case schemas.BinariesMap:
		return mapOf(leaves, asBytes)
	case schemas.SecretsMap:
		return mapOf(leaves, asSealed)
	}
	if len(leaves[0].values) != 1 {
		return nil, errLevels
	}
	if leaves[0].def[0] == 0 {
		return nil, nil
	}
	switch t {
	case schemas.Bool:
		return as[bool](leaves[0].values[0])
	case schemas.Int, schemas.Timestamp:
		return as[int64](leaves[0].values[0])
	case schemas.String:
		return asString(leaves, 0)
	case schemas.Binary:
		return asBytes(leaves, 0)
	case schemas.Secret:
		return asSealed(leaves, 0)
	}
	return nil, fmt.Errorf("column type %d", t)
}

func as[T any](v any) (T, error) {
	x, ok := v.(T)
	if !ok {
		return x, fmt.Errorf("value is a %T", v)
	}
	return x, nil
}

// asString is slot i of a column of strings; a null, where a large value was
// taken out, is empty as in the first reader.
func asString(leaves []leaf, i int) (string, error) {
	if leaves[0].values[i] == nil {
		return "", nil
	}
	return as[string](leaves[0].values[i])
}

func asBytes(leaves []leaf, i int) ([]byte, error) {
	s, err := asString(leaves, i)
	return []byte(s), err
}

func asSealed(leaves []leaf, i int) (x schemas.Sealed, err error) {
	if len(leaves) != 2 || i >= len(leaves[1].values) {
		return x, errLevels
	}
	mac, err := as[string](leaves[0].values[i])
	if err != nil {
		return x, err
	}
	box, err := as[string](leaves[1].values[i])
	if err != nil || len(mac) != len(x.MAC) {
		return x, errors.Join(err, errLevels)
	}
	copy(x.MAC[:], mac)
	x.Box = []byte(box)
	return x, nil
}

// list is a list whose definition level says null below base, empty at base,
// and an element above it. A null list of a map is empty.
func list[E any](leaves []leaf, base int32, element func([]leaf, int) (E, error)) (any, error) {
	if len(leaves[0].def) == 1 && leaves[0].def[0] < base {
		return nil, nil
	}
	return elements(leaves, base, element)
}

func elements[E any](leaves []leaf, base int32, element func([]leaf, int) (E, error)) ([]E, error) {
	out := []E{}
	for i, def := range leaves[0].def {
		if def <= base {
			if len(leaves[0].def) != 1 {
				return nil, errLevels
			}
			return out, nil
		}
		x, err := element(leaves, i)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// mapOf is a map to lists: its first leaf has the keys, the others the lists'
// elements, each list from one with a repetition level below 2 on.
func mapOf[E any](leaves []leaf, element func([]leaf, int) (E, error)) (any, error) {
	keys, items := leaves[0], leaves[1:]
	if len(keys.def) == 1 && keys.def[0] == 0 {
		return nil, nil
	}
	out := map[string][]E{}
	if len(keys.def) == 1 && keys.def[0] == 1 {
		return out, nil
	}
	at := 0
	for i := range keys.def {
		key, err := as[string](keys.values[i])
		if err != nil {
			return nil, err
		}
		end := at + 1
		for end < len(items[0].rep) && items[0].rep[end] == 2 {
			end++
		}
		one := make([]leaf, len(items))
		for j, l := range items {
			if end > len(l.values) {
				return nil, errLevels
			}
			one[j] = leaf{values: l.values[at:end], rep: l.rep[at:end], def: l.def[at:end]}
		}
		if out[key], err = elements(one, 3, element); err != nil {
			return nil, err
		}
		at = end
	}
	if at != len(items[0].values) {
		return nil, errLevels
	}
	return out, nil
}

// refs are the large values of a row.
func refs(leaves []leaf) (any, error) {
	if len(leaves[0].def) == 1 && leaves[0].def[0] == 0 {
		return []schemas.LargeRef(nil), nil
	}
	return elements(leaves, 1, func(leaves []leaf, i int) (ref schemas.LargeRef, err error) {
		sum, err1 := as[string](leaves[1].values[i])
		size, err2 := as[int64](leaves[2].values[i])
		path, err3 := as[string](leaves[0].values[i])
		if err := errors.Join(err1, err2, err3); err != nil || len(sum) != len(ref.SHA256) {
			return ref, errors.Join(err, errLevels)
		}
		ref.Path, ref.Size = path, size
		copy(ref.SHA256[:], sum)
		return ref, nil
	})
}
