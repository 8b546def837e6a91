package parts

import (
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/parallelrun/parallelrun/schemas"
)

// An index is a header, then blocks of entries, each followed by its CRC-32C:
//
//	header  "PRindex1", u32 entry size (32), u32 entries per block (1024),
//	        u64 rows, u32 CRC-32C of these 24 bytes
//	block   up to 1024 entries of row id (16) and row digest (16), u32 CRC-32C
//
// The list of a part's large objects has the same shape with magic "PRlarge1"
// and entries of SHA-256 (32) and u64 size, sorted by the hash.
const (
	indexMagic = "PRindex1"
	largeMagic = "PRlarge1"

	listHead   = 28
	indexEntry = 32
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

// each calls f with the entries so far; not after finish.
func (w *listWriter) each(f func(entry []byte)) {
	for b := w.b[listHead:]; len(b) > 0; {
		block := b[:min(len(b), blockOf*w.size)]
		b = b[min(len(b), blockOf*w.size+4):]
		for ; len(block) > 0; block = block[w.size:] {
			f(block[:w.size])
		}
	}
}

func (w *listWriter) finish() []byte {
	if len(w.b) > w.block {
		w.endBlock()
	}
	return w.b
}

// list is an open index or list of large objects.
type list struct {
	o    Object
	r    io.ReaderAt
	size int
	rows int64
	buf  []byte
}

// openList checks the header against what is expected.
func openList(o Object, r io.ReaderAt, magic string, size int) (*list, error) {
	var head [listHead]byte
	if o.Bytes < listHead {
		return nil, corrupt(o, "%d bytes are too few for a list", o.Bytes)
	}
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, err
	}
	if string(head[:8]) != magic || binary.BigEndian.Uint32(head[8:]) != uint32(size) || binary.BigEndian.Uint32(head[12:]) != blockOf ||
		binary.BigEndian.Uint32(head[24:]) != crc32.Checksum(head[:24], castagnoli) {
		return nil, corrupt(o, "no header of the kind %s", magic)
	}
	l := &list{o: o, r: r, size: size, rows: int64(binary.BigEndian.Uint64(head[16:]))}
	if l.rows < 0 || l.rows > o.Bytes || o.Bytes != listBytes(size, l.rows) {
		return nil, corrupt(o, "%d bytes do not hold %d entries", o.Bytes, l.rows)
	}
	return l, nil
}

// block reads and checks block n; it is valid until the next one is read.
func (l *list) readBlock(n int64) ([]byte, error) {
	rows := min(blockOf, l.rows-n*blockOf)
	size := int(rows) * l.size
	if cap(l.buf) < size+4 {
		l.buf = make([]byte, blockOf*l.size+4)
	}
	b := l.buf[:size+4]
	if _, err := l.r.ReadAt(b, listHead+n*int64(blockOf*l.size+4)); err != nil {
		return nil, err
	}
	if binary.BigEndian.Uint32(b[size:]) != crc32.Checksum(b[:size], castagnoli) {
		return nil, corrupt(l.o, "block %d has a wrong checksum", n)
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
