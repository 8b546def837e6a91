package parts

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"iter"
	"slices"
	"sync"

	"github.com/parallelrun/parallelrun/schemas"
)

// Range is a range of row ids: From <= id < To, a zero To means no end.
type Range struct{ From, To schemas.RowID }

// Ranges cuts the ids into ranges, in order, of about so many rows on the
// larger of two sides, so that they can be compared by several at once. No part
// of either lowest layer reaches over a cut: parts of different bounds align
// where the longer prefixes fit into the shorter one. Rows of parts that are the
// same on both sides count nothing.
func Ranges(a, b Table, rows int64) []Range {
	out := []Range{{}}
	sum := int64(0)
	for _, g := range regions(a, b) {
		if sum >= rows {
			out[len(out)-1].To = g.from
			out = append(out, Range{From: g.from})
			sum = 0
		}
		sum += max(g.rows[0], g.rows[1])
	}
	return out
}

// region is what overlapping parts of two sides cover together.
type region struct {
	from, to schemas.RowID
	more     bool // something may come after to
	rows     [2]int64
}

func regions(a, b Table) []region {
	same := equalParts(a, b)
	var all []region
	for side, t := range []Table{a, b} {
		if len(t.Layers) == 0 {
			continue
		}
		for _, p := range t.Layers[0].Parts {
			lo, hi, more, err := prefixRange(p.Prefix)
			if err != nil {
				continue // reading it tells
			}
			g := region{from: lo, to: hi, more: more}
			if _, equal := same[p.Prefix]; !equal {
				g.rows[side] = p.Rows
			}
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(x, y region) int {
		if c := x.from.Compare(y.from); c != 0 {
			return c
		}
		return cmp.Compare(y.rows[0]+y.rows[1], x.rows[0]+x.rows[1])
	})
	var out []region
	for _, g := range all {
		if n := len(out); n > 0 && (!out[n-1].more || g.from.Compare(out[n-1].to) < 0) {
			last := &out[n-1]
			if !g.more || last.more && g.to.Compare(last.to) > 0 {
				last.to, last.more = g.to, g.more
			}
			last.rows[0] += g.rows[0]
			last.rows[1] += g.rows[1]
			continue
		}
		out = append(out, g)
	}
	return out
}

// equalParts lists the prefixes, with their rows, whose parts have one index on
// both sides: rows are compared by digest, so that nothing in there differs.
// Where layers lie upon the parts, that says nothing.
func equalParts(a, b Table) map[string]int64 {
	same, in := map[string]int64{}, map[string]Object{}
	if len(a.Layers) != 1 || len(b.Layers) != 1 {
		return same
	}
	for _, p := range a.Layers[0].Parts {
		in[p.Prefix] = p.Index
	}
	for _, p := range b.Layers[0].Parts {
		if o, ok := in[p.Prefix]; ok && o == p.Index {
			same[p.Prefix] = p.Rows
		}
	}
	return same
}

// Compare calls f for every id within a range whose digests differ, in order:
// Old is the digest in a, New in b, zero where a side has no such row. It returns
// how many rows are the same. Only indexes are read, and of parts that are the
// same on both sides nothing; they are checked by the checksums of their blocks.
func Compare(ctx context.Context, a, b *Reader, in Range, f func(Change) error) (same int64, err error) {
	equal := equalParts(a.t, b.t)
	for _, p := range b.t.Layers[:min(1, len(b.t.Layers))] {
		for _, p := range p.Parts {
			if rows, ok := equal[p.Prefix]; ok && in.holds(p.Prefix) {
				same += rows
			}
		}
	}
	skip := func(p Part) bool { _, ok := equal[p.Prefix]; return ok }
	nextA, stopA := iter.Pull2(a.entryRuns(ctx, in, skip))
	defer stopA()
	nextB, stopB := iter.Pull2(b.entryRuns(ctx, in, skip))
	defer stopB()
	m := runMerge{a: runCursor{next: nextA}, b: runCursor{next: nextB}, f: f}
	err = m.run()
	return same + m.same, err
}

func (in Range) holds(prefix string) bool {
	lo, _, _, err := prefixRange(prefix)
	return err == nil && lo.Compare(in.From) >= 0 && (in.To.IsZero() || lo.Compare(in.To) < 0)
}

// runMerge walks two sequences of runs of entries.
type runMerge struct {
	a, b runCursor
	f    func(Change) error
	same int64
}

// runCursor is a sequence of runs with what is left of one at hand.
type runCursor struct {
	next func() ([]byte, error, bool)
	run  []byte
}

func (c *runCursor) fill() error {
	for len(c.run) == 0 {
		run, err, ok := c.next()
		if !ok || err != nil {
			return err
		}
		c.run = run
	}
	return nil
}

// equalEntries is how many entries are compared at once while nothing differs.
const equalEntries = 8

func (m *runMerge) run() error {
	for {
		if err := errors.Join(m.a.fill(), m.b.fill()); err != nil {
			return err
		}
		x, y := m.a.run, m.b.run
		switch {
		case len(x) == 0 && len(y) == 0:
			return nil
		case len(x) == 0, len(y) == 0:
			if err := m.rest(); err != nil {
				return err
			}
			continue
		}
		if err := m.both(); err != nil {
			return err
		}
	}
}

// rest tells of the run at hand where the other side has no more.
func (m *runMerge) rest() error {
	for x := m.a.run; len(x) > 0; x = x[indexEntry:] {
		if err := m.f(Change{ID: schemas.RowID(x[:16]), Old: schemas.Digest(x[16:32])}); err != nil {
			return err
		}
	}
	for y := m.b.run; len(y) > 0; y = y[indexEntry:] {
		if err := m.f(Change{ID: schemas.RowID(y[:16]), New: schemas.Digest(y[16:32])}); err != nil {
			return err
		}
	}
	m.a.run, m.b.run = nil, nil
	return nil
}

// both walks the runs at hand until one of them ends.
func (m *runMerge) both() error {
	x, y := m.a.run, m.b.run
	const chunk = equalEntries * indexEntry
	for len(x) > 0 && len(y) > 0 {
		if len(x) >= chunk && len(y) >= chunk && bytes.Equal(x[:chunk], y[:chunk]) {
			x, y, m.same = x[chunk:], y[chunk:], m.same+equalEntries
			continue
		}
		for n := 0; n < equalEntries && len(x) > 0 && len(y) > 0; n++ {
			c := Change{}
			order := compareIDs(x, y)
			if order == 0 && bytes.Equal(x[16:32], y[16:32]) {
				x, y, m.same = x[indexEntry:], y[indexEntry:], m.same+1
				continue
			}
			if order <= 0 {
				c.ID, c.Old = schemas.RowID(x[:16]), schemas.Digest(x[16:32])
				x = x[indexEntry:]
			}
			if order >= 0 {
				c.ID, c.New = schemas.RowID(y[:16]), schemas.Digest(y[16:32])
				y = y[indexEntry:]
			}
			if err := m.f(c); err != nil {
				return err
			}
		}
	}
	m.a.run, m.b.run = x, y
	return nil
}

func compareIDs(x, y []byte) int {
	if c := cmp.Compare(binary.BigEndian.Uint64(x), binary.BigEndian.Uint64(y)); c != 0 {
		return c
	}
	return cmp.Compare(binary.BigEndian.Uint64(x[8:]), binary.BigEndian.Uint64(y[8:]))
}

// IndexRange is Index within a range; indexes are checked by the checksums of
// their blocks.
func (r *Reader) IndexRange(ctx context.Context, in Range) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for run, err := range r.entryRuns(ctx, in, nil) {
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for ; len(run) > 0; run = run[indexEntry:] {
				if !yield(entryAt(run), nil) {
					return
				}
			}
		}
	}
}

// entryRuns yields index entries in order, many at once; a run is valid until
// the next one. skip, if set, leaves parts of a table without change layers out.
func (r *Reader) entryRuns(ctx context.Context, in Range, skip func(Part) bool) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		give := func(run []byte) error {
			if len(run) > 0 && !yield(run, nil) {
				return errStopped
			}
			return nil
		}
		err := r.checkLayers()
		switch {
		case err != nil:
		case r.t.Layered():
			err = r.mergedRuns(ctx, in, give)
		default:
			err = r.wholeRuns(ctx, in, skip, give)
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(nil, r.damage(err))
		}
	}
}

// mergedRuns collects what eachRow tells of layers.
func (r *Reader) mergedRuns(ctx context.Context, in Range, give func([]byte) error) error {
	run := make([]byte, 0, blockOf*indexEntry)
	err := r.eachRowIn(ctx, in, func(below *Entry, m *changeMerge) error {
		e := Entry{}
		switch {
		case m == nil:
			e = *below
		case isZero(m.top().change.New):
			return nil
		default:
			e = Entry{ID: m.id, Digest: m.top().change.New}
		}
		run = append(append(run, e.ID[:]...), e.Digest[:]...)
		if len(run) < cap(run) {
			return nil
		}
		err := give(run)
		run = run[:0]
		return err
	})
	if err != nil {
		return err
	}
	return give(run)
}

// runBlocks is how many blocks of an index are read at once: half a megabyte.
const runBlocks = 16

var runBuffers = sync.Pool{New: func() any { b := make([]byte, runBlocks*(blockOf*indexEntry+4)); return &b }}

// wholeRuns gives the indexes of a whole layer as they are stored.
func (r *Reader) wholeRuns(ctx context.Context, in Range, skip func(Part) bool, give func([]byte) error) error {
	pooled := runBuffers.Get().(*[]byte)
	defer runBuffers.Put(pooled)
	buf := *pooled
	for p, err := range r.within(in.From, in.To) {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err == nil && (skip == nil || !skip(p)) {
			err = r.partRuns(ctx, p, in, buf, give)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// partRuns gives the index of one part, a block at a time, read many at once: a
// read may be a round trip.
func (r *Reader) partRuns(ctx context.Context, p Part, in Range, buf []byte, give func([]byte) error) (err error) {
	src, closer, err := r.openIndex(ctx, p.Index)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	l, err := openList(p.Index, src, indexMagic, indexEntry)
	if err == nil && l.rows != p.Rows {
		err = corrupt(p.Index, "index has %d rows, its part %d", l.rows, p.Rows)
	}
	check := orderCheck{prefix: p.Prefix}
	const stored = blockOf*indexEntry + 4
	for n := int64(0); err == nil && n < l.blocks(); n += runBlocks {
		at := listHead + n*stored
		b := buf[:min(int64(len(buf)), p.Index.Bytes-at)]
		if _, err = src.ReadAt(b, at); err != nil && err != io.EOF {
			break
		}
		err = nil
		for i := n; err == nil && len(b) > 0; i++ {
			block := b[:min(stored, len(b))]
			b = b[len(block):]
			if block, err = checkedBlock(p.Index, i, block); err == nil {
				err = giveBlock(block, p.Index, in, &check, give)
			}
		}
	}
	return err
}

func checkedBlock(o Object, n int64, b []byte) ([]byte, error) {
	size := len(b) - 4
	if size <= 0 || binary.BigEndian.Uint32(b[size:]) != crc32.Checksum(b[:size], castagnoli) {
		return nil, corrupt(o, "block %d has a wrong checksum", n)
	}
	return b[:size], nil
}

// giveBlock checks that a block lies where it must and gives what is within the
// range.
func giveBlock(b []byte, o Object, in Range, check *orderCheck, give func([]byte) error) error {
	if err := check.next(schemas.RowID(b[:16]), o); err != nil {
		return err
	}
	for i := indexEntry; i < len(b); i += indexEntry {
		if compareIDs(b[i-indexEntry:], b[i:]) >= 0 {
			return corrupt(o, "row %s does not come after the one before it", schemas.RowID(b[i:i+16]))
		}
	}
	if last := len(b) - indexEntry; last > 0 {
		if err := check.next(schemas.RowID(b[last:last+16]), o); err != nil {
			return err
		}
	}
	for len(b) > 0 && bytes.Compare(b[:16], in.From[:]) < 0 {
		b = b[indexEntry:]
	}
	for !in.To.IsZero() && len(b) > 0 && bytes.Compare(b[len(b)-indexEntry:len(b)-16], in.To[:]) >= 0 {
		b = b[:len(b)-indexEntry]
	}
	return give(b)
}

// openIndex opens an index whose blocks are checked as they are read.
func (r *Reader) openIndex(ctx context.Context, o Object) (io.ReaderAt, io.Closer, error) {
	if r.raw == nil {
		return r.open(ctx, o)
	}
	src, err := r.raw(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	return src, src, nil
}
