package parts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// ErrNotRebuilt: what was made of a part's rows is not what the manifest names,
// or can't be made of them. Take the object from a copy of the store.
var ErrNotRebuilt = errors.New("it can't be made anew from the part's rows")

// RebuildIndex makes the index of one part of a layer anew from its rows. What
// it returns has the SHA-256 that the manifest says.
func (r *Reader) RebuildIndex(ctx context.Context, layer, part int) ([]byte, error) {
	p := r.t.Layers[layer].Parts[part]
	if p.Deleted > 0 {
		return nil, fmt.Errorf("%w: %d deletions stand nowhere else", ErrNotRebuilt, p.Deleted)
	}
	if layer == 0 {
		w, older := newIndexWriter(p.Rows), newListWriter(wholeMagic, indexEntry, p.Rows)
		for row, err := range r.PartRows(ctx, layer, part) {
			if err != nil {
				return nil, err
			}
			w.entry(Entry{ID: row.ID, Digest: row.Digest})
			older.add(row.ID[:], row.Digest[:])
		}
		if data, err := rebuilt(w.finish(), p.Index); err == nil {
			return data, nil
		}
		return rebuilt(older.finish(), p.Index)
	}
	below := &Reader{t: r.t, shape: r.shape, open: r.open}
	below.t.Layers = r.t.Layers[:layer]
	next, stop := iter.Pull2(below.Index(ctx))
	defer stop()
	old, err, ok := next()
	w := newListWriter(changeMagic, changeEntry, p.Rows)
	for row, rowErr := range r.PartRows(ctx, layer, part) {
		if rowErr != nil {
			return nil, rowErr
		}
		for ok && err == nil && old.ID.Compare(row.ID) < 0 {
			old, err, ok = next()
		}
		if err != nil {
			return nil, err
		}
		c := Change{ID: row.ID, New: row.Digest}
		if ok && old.ID == row.ID {
			c.Old = old.Digest
		}
		w.change(c)
	}
	return rebuilt(w.finish(), p.Index)
}

// RebuildLargeList makes the list of a part's large values anew from its rows.
// What it returns has the SHA-256 that the manifest says.
func (r *Reader) RebuildLargeList(ctx context.Context, layer, part int) ([]byte, error) {
	p := r.t.Layers[layer].Parts[part]
	large := map[[sha256.Size]byte]int64{}
	for row, err := range r.PartRows(ctx, layer, part) {
		if err != nil {
			return nil, err
		}
		for _, ref := range row.Large {
			large[ref.SHA256] = ref.Size
		}
	}
	return rebuilt(largeList(large), *p.Large)
}

// largeList is the list of large values: by SHA-256, each once.
func largeList(large map[[sha256.Size]byte]int64) []byte {
	w := newListWriter(largeMagic, largeEntry, int64(len(large)))
	for _, sum := range slices.SortedFunc(maps.Keys(large), func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) }) {
		w.add(sum[:], binary.BigEndian.AppendUint64(nil, uint64(large[sum])))
	}
	return w.finish()
}

func rebuilt(data []byte, want Object) ([]byte, error) {
	if sha256.Sum256(data) != want.SHA256 {
		return nil, fmt.Errorf("%w: it would not have the bytes that the manifest names", ErrNotRebuilt)
	}
	return data, nil
}
