package parts

import (
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/parallelrun/parallelrun/schemas"
)

// A list is a header, then blocks of entries, each followed by its CRC-32C:
//
//	header  magic (8), u32 entry size, u32 entries per block (1024), u64
//	        entries, u32 CRC-32C of these 24 bytes
//	block   up to 1024 entries, u32 CRC-32C
//
// An index is a list of heads, the first 8 bytes of a row id and of a row digest
// (magic "PRindex2"), and behind its last block come blocks of the tails, their
// last 8 bytes, in the same order. So who only counts what differs reads half of
// it. Older stores have indexes of whole entries, row id and row digest, magic
// "PRindex1". The list of a part's large objects has magic "PRlarge1" and
// entries of SHA-256 (32) and u64 size, sorted by the hash.
const (
	indexMagic = "PRindex2"
	wholeMagic = "PRindex1"
	largeMagic = "PRlarge1"

	listHead   = 28
	indexEntry = 32
	halfEntry  = indexEntry / 2
	largeEntry = 40
	blockOf    = 1024
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// listWriter makes an index or a list of large objects in memory.
type listWriter struct {
	b     []byte
	size  int // of an entry
	block int // where the block under way starts
}

func newListWriter(magic string, size int, rows int64) *listWriter {
	w := &listWriter{size: size, block: listHead}
	w.b = make([]byte, 0, listBytes(size, rows))
	w.b = append(w.b, magic...)
	w.b = binary.BigEndian.AppendUint32(w.b, uint32(size))
	w.b = binary.BigEndian.AppendUint32(w.b, blockOf)
	w.b = binary.BigEndian.AppendUint64(w.b, uint64(rows))
	w.b = binary.BigEndian.AppendUint32(w.b, crc32.Checksum(w.b, castagnoli))
	return w
}

// listBytes is the length of a list.
func listBytes(size int, rows int64) int64 {
	return listHead + rows*int64(size) + (rows+blockOf-1)/blockOf*4
}

func (w *listWriter) add(parts ...[]byte) {
	for _, p := range parts {
		w.b = append(w.b, p...)
	}
	if len(w.b)-w.block == blockOf*w.size {
		w.endBlock()
	}
}

func (w *listWriter) endBlock() {
	w.b = binary.BigEndian.AppendUint32(w.b, crc32.Checksum(w.b[w.block:], castagnoli))
	w.block = len(w.b)
}

func (w *listWriter) finish() []byte {
	if len(w.b) > w.block {
		w.endBlock()
	}
	return w.b
}

// indexWriter makes an index in memory.
type indexWriter struct{ heads, tails *listWriter }

func newIndexWriter(rows int64) *indexWriter {
	w := &indexWriter{heads: newListWriter(indexMagic, halfEntry, rows), tails: &listWriter{size: halfEntry}}
	w.tails.b = make([]byte, 0, listBytes(halfEntry, rows)-listHead)
	return w
}

func (w *indexWriter) entry(e Entry) {
	w.heads.add(e.ID[:8], e.Digest[:8])
	w.tails.add(e.ID[8:], e.Digest[8:])
}

// each calls f with the entries so far; not after finish.
func (w *indexWriter) each(f func(Entry)) {
	heads, tails := w.heads.b[listHead:], w.tails.b
	for len(heads) > 0 {
		n := min(len(heads), blockOf*halfEntry)
		for i := 0; i < n; i += halfEntry {
			var e Entry
			copy(e.ID[:8], heads[i:])
			copy(e.ID[8:], tails[i:])
			copy(e.Digest[:8], heads[i+8:])
			copy(e.Digest[8:], tails[i+8:])
			f(e)
		}
		past := min(len(heads), n+4)
		heads, tails = heads[past:], tails[past:]
	}
}

func (w *indexWriter) finish() []byte { return append(w.heads.finish(), w.tails.finish()...) }

// list is an open index or list of large objects.
type list struct {
	o     Object
	r     io.ReaderAt
	size  int // of an entry, as readBlock gives it
	rows  int64
	split bool // into heads and tails
	buf   []byte
	half  []byte
}

// openList checks the header against what is expected.
func openList(o Object, r io.ReaderAt, magic string, size int) (*list, error) {
	l, found, err := openHeader(o, r)
	if err != nil {
		return nil, err
	}
	if found != magic || l.size != size {
		return nil, corrupt(o, "no header of the kind %s", magic)
	}
	if !l.fits(listBytes(size, l.rows)) {
		return nil, corrupt(o, "%d bytes do not hold %d entries", o.Bytes, l.rows)
	}
	return l, nil
}

// openIndexList opens the index of a part of a whole layer, of either kind.
func openIndexList(o Object, r io.ReaderAt) (*list, error) {
	l, found, err := openHeader(o, r)
	if err != nil {
		return nil, err
	}
	if found == wholeMagic {
		return openList(o, r, wholeMagic, indexEntry)
	}
	if found != indexMagic || l.size != halfEntry {
		return nil, corrupt(o, "no header of the kind %s", indexMagic)
	}
	l.size, l.split = indexEntry, true
	if !l.fits(2*listBytes(halfEntry, l.rows) - listHead) {
		return nil, corrupt(o, "%d bytes do not hold %d entries", o.Bytes, l.rows)
	}
	return l, nil
}

func (l *list) fits(size int64) bool { return l.rows >= 0 && l.rows <= l.o.Bytes && size == l.o.Bytes }

// openHeader reads a header, whatever list it begins.
func openHeader(o Object, r io.ReaderAt) (*list, string, error) {
	var head [listHead]byte
	if o.Bytes < listHead {
		return nil, "", corrupt(o, "%d bytes are too few for a list", o.Bytes)
	}
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, "", err
	}
	if binary.BigEndian.Uint32(head[12:]) != blockOf || binary.BigEndian.Uint32(head[24:]) != crc32.Checksum(head[:24], castagnoli) {
		return nil, "", corrupt(o, "no header of a list")
	}
	l := &list{o: o, r: r, size: int(binary.BigEndian.Uint32(head[8:])), rows: int64(binary.BigEndian.Uint64(head[16:]))}
	return l, string(head[:8]), nil
}

// readBlock reads and checks block n; it is valid until the next one is read.
func (l *list) readBlock(n int64) ([]byte, error) {
	rows := int(min(blockOf, l.rows-n*blockOf))
	if cap(l.buf) < rows*l.size+4 {
		l.buf = make([]byte, blockOf*l.size+4)
	}
	if !l.split {
		b := l.buf[:rows*l.size+4]
		if _, err := l.r.ReadAt(b, l.at(n)); err != nil {
			return nil, err
		}
		return checkedBlock(l.o, n, b)
	}
	if l.half == nil {
		l.half = make([]byte, 2*(blockOf*halfEntry+4))
	}
	size := rows*halfEntry + 4
	heads, tails := l.half[:size], l.half[size:2*size]
	if _, err := l.r.ReadAt(heads, l.at(n)); err != nil {
		return nil, err
	}
	if _, err := l.r.ReadAt(tails, l.tailsAt(n)); err != nil {
		return nil, err
	}
	return l.join(l.buf, n, heads, tails)
}

// at is where block n begins, of a split list its heads; tailsAt where its tails
// do.
func (l *list) at(n int64) int64 {
	size := l.size
	if l.split {
		size = halfEntry
	}
	return listHead + n*int64(blockOf*size+4)
}

func (l *list) tailsAt(n int64) int64 {
	return listBytes(halfEntry, l.rows) + n*(blockOf*halfEntry+4)
}

// join puts the entries of block n together in dst out of stored heads and
// tails.
func (l *list) join(dst []byte, n int64, heads, tails []byte) ([]byte, error) {
	heads, err := checkedBlock(l.o, n, heads)
	if err != nil {
		return nil, err
	}
	if tails, err = checkedBlock(l.o, n, tails); err != nil {
		return nil, err
	}
	dst = dst[:2*len(heads)]
	word := binary.NativeEndian
	for d := dst; len(heads) >= halfEntry && len(tails) >= halfEntry && len(d) >= indexEntry; heads, tails, d = heads[halfEntry:], tails[halfEntry:], d[indexEntry:] {
		word.PutUint64(d, word.Uint64(heads))
		word.PutUint64(d[8:], word.Uint64(tails))
		word.PutUint64(d[16:], word.Uint64(heads[8:]))
		word.PutUint64(d[24:], word.Uint64(tails[8:]))
	}
	return dst, nil
}

// checkedBlock is a stored block without its checksum.
func checkedBlock(o Object, n int64, b []byte) ([]byte, error) {
	size := len(b) - 4
	if size <= 0 || binary.BigEndian.Uint32(b[size:]) != crc32.Checksum(b[:size], castagnoli) {
		return nil, corrupt(o, "block %d has a wrong checksum", n)
	}
	return b[:size], nil
}

func (l *list) blocks() int64 { return (l.rows + blockOf - 1) / blockOf }

// each calls f with every entry from position start on until it says stop.
func (l *list) each(start int64, f func(entry []byte) bool) error {
	for n := start / blockOf; n < l.blocks(); n++ {
		b, err := l.readBlock(n)
		if err != nil {
			return err
		}
		if n == start/blockOf {
			b = b[int(start%blockOf)*l.size:]
		}
		for ; len(b) > 0; b = b[l.size:] {
			if !f(b[:l.size]) {
				return nil
			}
		}
	}
	return nil
}

func entryAt(b []byte) Entry {
	return Entry{ID: schemas.RowID(b[:16]), Digest: schemas.Digest(b[16:32])}
}

func largeEntryAt(b []byte) Object {
	return Object{SHA256: [32]byte(b[:32]), Bytes: int64(binary.BigEndian.Uint64(b[32:]))}
}
