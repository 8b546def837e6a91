package parts

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"sync"

	"github.com/parallelrun/parallelrun/schemas"
)

// IndexRange is Index within a range; indexes are checked by the checksums of
// their blocks.
func (r *Reader) IndexRange(ctx context.Context, in Range) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for run, err := range r.entryRuns(ctx, in, runOptions{}) {
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

// runOptions of entryRuns. skip, if set, leaves parts of a table without change
// layers out; heads asks for the heads of entries alone.
type runOptions struct {
	skip  func(Part) bool
	heads bool
}

// errTied: two rows have the same head. Whole entries tell them apart.
var errTied = errors.New("two rows begin alike")

// entryRuns yields index entries in order, many at once; a run is valid until
// the next one.
func (r *Reader) entryRuns(ctx context.Context, in Range, o runOptions) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		give := func(run []byte) error {
			if len(run) > 0 && !yield(run, nil) {
				return errStopped
			}
			return nil
		}
		h := headRuns{give: give}
		err := r.checkLayers()
		switch {
		case err != nil:
		case r.t.Layered() && o.heads:
			err = r.mergedRuns(ctx, in, h.cut)
		case r.t.Layered():
			err = r.mergedRuns(ctx, in, give)
		default:
			err = r.wholeRuns(ctx, in, o, give, &h)
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(nil, r.damage(err))
		}
	}
}

// headRuns gives runs of heads, of which no two may be of the same id.
type headRuns struct {
	give func([]byte) error
	last []byte // id of the last
	buf  []byte
}

func (h *headRuns) heads(run []byte) error {
	if len(run) == 0 {
		return nil
	}
	if h.last != nil && bytes.Equal(h.last, run[:8]) {
		return errTied
	}
	for i := halfEntry; i < len(run); i += halfEntry {
		if binary.BigEndian.Uint64(run[i-halfEntry:]) == binary.BigEndian.Uint64(run[i:]) {
			return errTied
		}
	}
	h.last = append(h.last[:0], run[len(run)-halfEntry:len(run)-8]...)
	return h.give(run)
}

// cut takes the heads of whole entries.
func (h *headRuns) cut(run []byte) error {
	h.buf = h.buf[:0]
	for ; len(run) >= indexEntry; run = run[indexEntry:] {
		h.buf = append(append(h.buf, run[:8]...), run[16:24]...)
	}
	return h.heads(h.buf)
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
func (r *Reader) wholeRuns(ctx context.Context, in Range, o runOptions, give func([]byte) error, h *headRuns) error {
	pooled := runBuffers.Get().(*[]byte)
	defer runBuffers.Put(pooled)
	for p, err := range r.within(in.From, in.To) {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err == nil && (o.skip == nil || !o.skip(p)) {
			err = r.partRuns(ctx, p, partRuns{in: in, buf: *pooled, give: give, heads: h, halves: o.heads})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// partRuns is how the index of a part is given, a block at a time, read many at
// once: a read may be a round trip.
type partRuns struct {
	in     Range
	buf    []byte
	give   func([]byte) error
	heads  *headRuns
	halves bool // heads are asked for
	o      Object
	check  orderCheck
}

func (r *Reader) partRuns(ctx context.Context, p Part, w partRuns) (err error) {
	if w.halves && len(p.Prefix) > 2*8 {
		return errTied // all of them begin alike
	}
	src, closer, err := r.openIndex(ctx, p.Index)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	l, err := openIndexList(p.Index, src)
	if err == nil && l.rows != p.Rows {
		err = corrupt(p.Index, "index has %d rows, its part %d", l.rows, p.Rows)
	}
	if err != nil {
		return err
	}
	w.o, w.check = p.Index, orderCheck{prefix: p.Prefix, heads: w.halves && l.split}
	switch {
	case !l.split && w.halves:
		return w.blocks(l, indexEntry, func(b []byte) error { return w.block(b, indexEntry, w.heads.cut) })
	case !l.split:
		return w.blocks(l, indexEntry, func(b []byte) error { return w.block(b, indexEntry, w.give) })
	case w.halves:
		return w.blocks(l, halfEntry, func(b []byte) error { return w.block(b, halfEntry, w.heads.heads) })
	}
	return w.joined(l)
}

// blocks calls f with the blocks of a list as they are stored.
func (w *partRuns) blocks(l *list, size int, f func(entries []byte) error) error {
	stored := int64(blockOf*size + 4)
	for n, each := int64(0), int64(len(w.buf))/stored; n < l.blocks(); n += each {
		b, err := l.stored(w.buf, l.at(n), n, each, size)
		for i := n; err == nil && len(b) > 0; i++ {
			block := b[:min(stored, int64(len(b)))]
			b = b[len(block):]
			if block, err = checkedBlock(w.o, i, block); err == nil {
				err = f(block)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// joined gives whole entries of a split list.
func (w *partRuns) joined(l *list) error {
	const stored = blockOf*halfEntry + 4
	half := len(w.buf) / 2
	entries := make([]byte, blockOf*indexEntry)
	for n, each := int64(0), int64(half/stored); n < l.blocks(); n += each {
		heads, err := l.stored(w.buf[:half], l.at(n), n, each, halfEntry)
		if err != nil {
			return err
		}
		tails, err := l.stored(w.buf[half:], l.tailsAt(n), n, each, halfEntry)
		if err != nil {
			return err
		}
		for i := n; len(heads) > 0; i++ {
			size := min(stored, len(heads))
			block, err := l.join(entries, i, heads[:size], tails[:size])
			if err == nil {
				err = w.block(block, indexEntry, w.give)
			}
			if err != nil {
				return err
			}
			heads, tails = heads[size:], tails[size:]
		}
	}
	return nil
}

// stored reads blocks from n on that lie at a place, as many of them as there
// are.
func (l *list) stored(buf []byte, at, n, blocks int64, size int) ([]byte, error) {
	rows := min(blocks*blockOf, l.rows-n*blockOf)
	b := buf[:rows*int64(size)+(rows+blockOf-1)/blockOf*4]
	if _, err := l.r.ReadAt(b, at); err != nil && err != io.EOF {
		return nil, err
	}
	return b, nil
}

// block checks that a block lies where it must and gives what is within the
// range.
func (w *partRuns) block(b []byte, size int, give func([]byte) error) error {
	id := size / 2
	if err := w.check.next(idFrom(b[:id]), w.o); err != nil {
		return err
	}
	for i := size; i < len(b); i += size {
		if order := compareIDs(b[i-size:], b[i:], id); order > 0 || order == 0 && !w.check.heads {
			return corrupt(w.o, "row %s does not come after the one before it", idFrom(b[i:i+id]))
		}
	}
	if last := len(b) - size; last > 0 {
		if err := w.check.next(idFrom(b[last:last+id]), w.o); err != nil {
			return err
		}
	}
	for len(b) > 0 && bytes.Compare(b[:id], w.in.From[:id]) < 0 {
		b = b[size:]
	}
	for !w.in.To.IsZero() && len(b) > 0 && bytes.Compare(b[len(b)-size:len(b)-id], w.in.To[:id]) >= 0 {
		b = b[:len(b)-size]
	}
	return give(b)
}

// idFrom is an id of which the beginning is known.
func idFrom(b []byte) (id schemas.RowID) {
	copy(id[:], b)
	return id
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
