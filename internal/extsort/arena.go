package extsort

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"sort"
)

const (
	entrySize  = 16 // bytes of an entry
	recordHead = 8  // lengths of key and value before a record's bytes
)

// arena collects records in chunks that are reused after each spill, so that
// what it holds is exactly what it allocated.
type arena struct {
	limit   int64
	chunk   int // size of a chunk
	chunks  [][]byte
	cur     int   // chunk being filled
	used    int64 // bytes allocated: chunks and entries
	entries []entry
}

// entry points at a record. pos grows in the order of adding, so comparing it
// last makes the sort stable.
type entry struct {
	prefix uint64 // first bytes of the key
	pos    uint64 // chunk number << 32 | offset
}

func newArena(limit int64) arena {
	return arena{limit: limit, chunk: int(min(max(limit/16, 4<<10), 1<<20))}
}

// full reports whether a record of n bytes needs a spill first. It never is
// when empty: a record larger than the limit goes in alone.
func (a *arena) full(n int) bool {
	if len(a.entries) == 0 {
		return false
	}
	need := int64(0)
	if len(a.entries) == cap(a.entries) {
		need += int64(growth(cap(a.entries))) * entrySize // old and new stand side by side while copying
	}
	if !a.fits(n + recordHead) {
		need += int64(max(a.chunk, n+recordHead))
	}
	return need > 0 && a.used+need > a.limit
}

func growth(n int) int { return max(256, 2*n) }

// fits reports whether n bytes go into a chunk that is there already.
func (a *arena) fits(n int) bool {
	if a.cur < len(a.chunks) && cap(a.chunks[a.cur])-len(a.chunks[a.cur]) >= n {
		return true
	}
	return a.cur+1 < len(a.chunks) && n <= a.chunk
}

func (a *arena) add(key, value []byte) {
	n := recordHead + len(key) + len(value)
	a.room(n)
	c := a.chunks[a.cur]
	pos := uint64(a.cur)<<32 | uint64(len(c))
	c = binary.BigEndian.AppendUint32(c, uint32(len(key)))
	c = binary.BigEndian.AppendUint32(c, uint32(len(value)))
	c = append(c, key...)
	a.chunks[a.cur] = append(c, value...)
	if len(a.entries) == cap(a.entries) {
		grown := make([]entry, len(a.entries), growth(cap(a.entries)))
		copy(grown, a.entries)
		a.used += int64(cap(grown)-cap(a.entries)) * entrySize
		a.entries = grown
	}
	a.entries = append(a.entries, entry{prefix: prefixOf(key), pos: pos})
}

// room makes a.cur a chunk with n bytes free.
func (a *arena) room(n int) {
	for ; a.cur < len(a.chunks); a.cur++ {
		if cap(a.chunks[a.cur])-len(a.chunks[a.cur]) >= n {
			return
		}
	}
	c := make([]byte, 0, max(a.chunk, n))
	a.chunks = append(a.chunks, c)
	a.used += int64(cap(c))
}

// reset forgets the records but keeps the chunks, save oversized ones.
func (a *arena) reset() {
	kept := a.chunks[:0]
	for _, c := range a.chunks {
		if cap(c) > a.chunk {
			a.used -= int64(cap(c))
			continue
		}
		kept = append(kept, c[:0])
	}
	clear(a.chunks[len(kept):])
	a.chunks, a.cur, a.entries = kept, 0, a.entries[:0]
}

func (a *arena) record(e entry) Record {
	b := a.chunks[e.pos>>32][uint32(e.pos):]
	k, v := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	b = b[recordHead:]
	return Record{Key: b[:k:k], Value: b[k : k+v : k+v]}
}

func (a *arena) sort() { a.sortSome(a.entries) }

// sortSome sorts some of the entries, where they lie; others may be sorted at
// the same time.
func (a *arena) sortSome(entries []entry) {
	slices.SortFunc(entries, func(x, y entry) int {
		if x.prefix != y.prefix {
			return cmp.Compare(x.prefix, y.prefix)
		}
		if c := bytes.Compare(a.record(x).Key, a.record(y).Key); c != 0 {
			return c
		}
		return cmp.Compare(x.pos, y.pos)
	})
}

// each calls f with the sorted records from <= key < to until f says stop.
func (a *arena) each(from, to []byte, f func(Record) bool) {
	start := 0
	if from != nil {
		start = sort.Search(len(a.entries), func(i int) bool { return bytes.Compare(a.record(a.entries[i]).Key, from) >= 0 })
	}
	for _, e := range a.entries[start:] {
		r := a.record(e)
		if to != nil && bytes.Compare(r.Key, to) >= 0 {
			return
		}
		if !f(r) {
			return
		}
	}
}

// prefixOf is the first eight bytes of a key as a number that orders as they
// do; equal prefixes need a look at the whole keys.
func prefixOf(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}
