package parts

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sort"
	"sync/atomic"

	"github.com/parallelrun/parallelrun/schemas"
)

// parentIndex is the merged index of a parent, flat: ids and digests that can
// be found by id, and a mark for each. It lies in memory when it is small
// enough, else in a nameless temporary file; of the rows, only the marks and a
// table of where ids of the same first bits begin are always in memory (one
// bit and some more per row). Safe for concurrent use once it is made.
type parentIndex struct {
	src    io.ReaderAt
	closer io.Closer
	mem    []byte // nil when it is in a file
	n      int64
	shift  int     // of the first 32 bits of an id, to its bucket
	starts []int64 // first position of each bucket, and the end
	marks  []uint32
	marked atomic.Int64
}

// bucketRows is about how many rows share a bucket: ids are hashes, so that
// nearly all buckets are a few kilobytes.
const bucketRows = 64

// newParentIndex reads the merged index of a table; it holds up to memory bytes
// of it.
func newParentIndex(ctx context.Context, r *Reader, memory int64, dir string) (_ *parentIndex, err error) {
	x := &parentIndex{n: r.t.Rows, shift: 32, closer: nopCloser{}}
	if x.n < 0 || x.n > 1<<40 {
		return nil, &Corruption{Table: r.t.Name, Detail: fmt.Sprintf("the manifest gives it %d rows", x.n), Advice: adviceRestore}
	}
	if x.n > bucketRows {
		x.shift = 32 - min(bits.Len64(uint64(x.n/bucketRows)), 24)
	}
	w := &flatWriter{}
	if x.n*indexEntry > memory {
		f, err := newNameless(dir, "parallelrun-parent-*")
		if err != nil {
			return nil, wrapTemp(dir, err)
		}
		w.file, x.closer = f, f
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, x.closer.Close())
		}
	}()
	if err := x.read(ctx, r, w); err != nil {
		return nil, err
	}
	if w.file == nil {
		x.mem, x.src = w.b, byteReaderAt(w.b)
	} else {
		x.src = w.file
		if err := w.flush(); err != nil {
			return nil, wrapTemp(dir, err)
		}
	}
	x.marks = make([]uint32, (x.n+31)/32)
	return x, nil
}

func (x *parentIndex) read(ctx context.Context, r *Reader, w *flatWriter) error {
	x.starts = make([]int64, 1, 2+(uint64(1)<<32-1)>>x.shift)
	n := int64(0)
	for e, err := range r.Index(ctx) {
		if err != nil {
			return err
		}
		for b := x.bucket(e.ID); len(x.starts) <= b; {
			x.starts = append(x.starts, n)
		}
		n++
		if err := w.add(e); err != nil {
			return wrapTemp("", err)
		}
	}
	if n != x.n {
		return &Corruption{Table: r.t.Name, Detail: fmt.Sprintf("its indexes have %d rows, the manifest says %d", n, x.n), Advice: adviceRestore}
	}
	for len(x.starts) < cap(x.starts) {
		x.starts = append(x.starts, n)
	}
	return nil
}

func (x *parentIndex) bucket(id schemas.RowID) int {
	return int(uint64(binary.BigEndian.Uint32(id[:4])) >> x.shift)
}

// memory is what the index holds.
func (x *parentIndex) memory() int64 {
	return int64(cap(x.mem)) + 8*int64(len(x.starts)) + 4*int64(len(x.marks))
}

// find returns the position and digest of a row. buf is working space.
func (x *parentIndex) find(id schemas.RowID, buf *[]byte) (at int64, d schemas.Digest, ok bool, err error) {
	b := x.bucket(id)
	lo, hi := x.starts[b], x.starts[b+1]
	for hi-lo > 8*bucketRows { // ids that are no hashes: halve what has to be read
		mid := (lo + hi) / 2
		e, err := x.entries(mid, mid+1, buf)
		if err != nil {
			return 0, d, false, err
		}
		if bytes.Compare(e[:16], id[:]) <= 0 {
			lo = mid
		} else {
			hi = mid
		}
	}
	e, err := x.entries(lo, hi, buf)
	if err != nil {
		return 0, d, false, err
	}
	n := int(hi - lo)
	i := sort.Search(n, func(i int) bool { return bytes.Compare(e[i*indexEntry:i*indexEntry+16], id[:]) >= 0 })
	if i == n || [16]byte(e[i*indexEntry:]) != id {
		return lo + int64(i), d, false, nil
	}
	return lo + int64(i), schemas.Digest(e[i*indexEntry+16 : (i+1)*indexEntry]), true, nil
}

// entries reads those from one position to before another.
func (x *parentIndex) entries(from, to int64, buf *[]byte) ([]byte, error) {
	if x.mem != nil {
		return x.mem[from*indexEntry : to*indexEntry], nil
	}
	size := int((to - from) * indexEntry)
	if cap(*buf) < size {
		*buf = make([]byte, size)
	}
	b := (*buf)[:size]
	if size == 0 {
		return b, nil
	}
	_, err := x.src.ReadAt(b, from*indexEntry)
	return b, err
}

// mark marks a position and says whether it was marked before.
func (x *parentIndex) mark(at int64) (before bool) {
	bit := uint32(1) << (at % 32)
	before = atomic.OrUint32(&x.marks[at/32], bit)&bit != 0
	if !before {
		x.marked.Add(1)
	}
	return before
}

func (x *parentIndex) isMarked(at int64) bool { return x.marks[at/32]>>(at%32)&1 != 0 }

// parentCursor walks a parentIndex in order.
type parentCursor struct {
	x     *parentIndex
	next  int64 // position to be read
	end   int64
	block []byte
	buf   []byte

	entry Entry
	at    int64
	ok    bool
}

// from begins at the first row that does not come before an id.
func (x *parentIndex) from(id schemas.RowID) (*parentCursor, error) {
	c := &parentCursor{x: x, end: x.n}
	if x.n == 0 {
		return c, nil
	}
	var err error
	if c.next, _, _, err = x.find(id, &c.buf); err != nil {
		return nil, err
	}
	err = c.advance()
	return c, err
}

func (c *parentCursor) advance() (err error) {
	if len(c.block) == 0 {
		if c.ok = c.next < c.end; !c.ok {
			return nil
		}
		if c.block, err = c.x.entries(c.next, min(c.next+blockOf, c.end), &c.buf); err != nil {
			return err
		}
	}
	c.entry, c.at, c.ok = entryAt(c.block), c.next, true
	c.block = c.block[indexEntry:]
	c.next++
	return nil
}

// flatWriter collects entries in memory or in a file.
type flatWriter struct {
	file *nameless
	b    []byte
}

func (w *flatWriter) add(e Entry) error {
	w.b = append(append(w.b, e.ID[:]...), e.Digest[:]...)
	if w.file != nil && len(w.b) >= 1<<20 {
		return w.flush()
	}
	return nil
}

func (w *flatWriter) flush() error {
	_, err := w.file.Write(w.b)
	w.b = w.b[:0]
	return err
}
