package parts

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"iter"
	"sync"

	"github.com/parallelrun/parallelrun/schemas"
)

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
