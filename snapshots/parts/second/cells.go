package second

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// cellHash is a hash of a cell, of a Go type that schemas.Row holds: equal for
// equal cells in both processes. Large values count as where they lie.
func cellHash(v any) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(appendCell(nil, v))
	return h.Sum64()
}

// appendCell writes a cell so that different ones differ: a tag for its type,
// then values after their lengths.
func appendCell(b []byte, v any) []byte {
	switch x := v.(type) {
	case nil:
		return append(b, 'n')
	case bool:
		if x {
			return append(b, 'b', 1)
		}
		return append(b, 'b', 0)
	case int64:
		return binary.BigEndian.AppendUint64(append(b, 'i'), uint64(x))
	case string:
		return appendBytes(append(b, 's'), x)
	case []byte:
		return appendBytes(append(b, 'x'), x)
	case schemas.Sealed:
		return appendBytes(append(append(b, 'k'), x.MAC[:]...), x.Box)
	case []string:
		return appendList(b, x)
	case [][]byte:
		return appendList(b, x)
	case []schemas.Sealed:
		return appendList(b, x)
	case map[string][]string:
		return appendMap(b, x)
	case map[string][][]byte:
		return appendMap(b, x)
	case map[string][]schemas.Sealed:
		return appendMap(b, x)
	case []schemas.LargeRef:
		b = append(b, 'r')
		for _, ref := range x {
			b = appendBytes(b, ref.Path)
			b = append(b, ref.SHA256[:]...)
			b = binary.BigEndian.AppendUint64(b, uint64(ref.Size))
		}
		return b
	}
	panic(fmt.Sprintf("second reader: cell of Go type %T", v))
}

func appendBytes[S string | []byte](b []byte, s S) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}

func appendList[E any](b []byte, list []E) []byte {
	b = binary.BigEndian.AppendUint64(append(b, 'l'), uint64(len(list)))
	for _, x := range list {
		b = appendCell(b, x)
	}
	return b
}

func appendMap[E any](b []byte, m map[string][]E) []byte {
	b = binary.BigEndian.AppendUint64(append(b, 'm'), uint64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b = appendList(appendBytes(b, k), m[k])
	}
	return b
}
