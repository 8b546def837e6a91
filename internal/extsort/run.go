package extsort

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"

	"golang.org/x/sync/errgroup"
)

// file is what a run needs of a temporary file. Close also removes it.
type file interface {
	io.Writer
	io.ReaderAt
	io.Closer
}

// run is a sorted stretch of records in a file of sealed blocks: every block
// holds blockSize bytes of plain text but the last, so the block of any
// position is known, and records may span blocks.
type run struct {
	f     file
	id    uint32
	level int
	block int   // plain bytes per block
	size  int64 // plain bytes
	index []mark
}

// mark is the first record that starts in a block.
type mark struct {
	key []byte
	pos int64
}

func (s *Sorter) blockSize() int { return int(min(max(s.memory/256, 4<<10), 64<<10)) }

// fanIn is how many runs one merge reads within a quarter of the memory.
func (s *Sorter) fanIn() int { return int(min(max(s.memory/4/int64(s.blockSize()), 2), 128)) }

// leastRun is how many records are worth a run of their own.
const leastRun = 4096

// spill sorts what was collected into new runs, one for each worker, that are
// made side by side. Full levels are merged first, so that open files stay few
// however much is added.
func (s *Sorter) spill() error {
	n := len(s.buf.entries)
	if n == 0 {
		return nil
	}
	if err := s.mergeFullLevel(); err != nil {
		return err
	}
	var writers []*runWriter
	var g errgroup.Group
	var failed error
	for todo := s.buf.entries; len(todo) > 0; {
		left := max(min(s.workers, n/leastRun)-len(writers), 1)
		some := todo[:len(todo)/left] // each after those that were added before
		todo = todo[len(some):]
		w, err := s.newRun(0)
		if err != nil {
			failed = err
			break
		}
		writers = append(writers, w)
		g.Go(func() error { return w.finish(w.addSorted(&s.buf, some)) })
	}
	if err := errors.Join(failed, g.Wait()); err != nil {
		for _, w := range writers {
			err = errors.Join(err, w.run.f.Close())
		}
		return err
	}
	s.buf.reset()
	for _, w := range writers {
		s.runs = append(s.runs, w.run)
		s.spilled += w.written
	}
	return nil
}

// addSorted adds some of the records that were collected.
func (w *runWriter) addSorted(a *arena, some []entry) error {
	a.sortSome(some)
	for _, e := range some {
		if err := w.add(a.record(e)); err != nil {
			return err
		}
	}
	return nil
}

// runWriter writes one run.
type runWriter struct {
	s    *Sorter
	run  *run
	buf  []byte // plain bytes of the block under way, with room for the tag
	head [recordHead]byte
	n    uint64 // blocks written

	written int64 // bytes of the file
}

func (s *Sorter) newRun(level int) (*runWriter, error) {
	f, err := s.create(s.dir)
	if err != nil {
		return nil, &SpillError{Dir: s.dir, Op: "create", Err: err}
	}
	r := &run{f: f, id: s.nextRun, level: level, block: s.blockSize()}
	s.nextRun++
	return &runWriter{s: s, run: r, buf: make([]byte, 0, r.block+s.aead.Overhead())}, nil
}

func (w *runWriter) add(rec Record) error {
	if n := len(w.run.index); n == 0 || w.run.index[n-1].pos/int64(w.run.block) != w.run.size/int64(w.run.block) {
		w.run.index = append(w.run.index, mark{key: bytes.Clone(rec.Key), pos: w.run.size})
	}
	binary.BigEndian.PutUint32(w.head[:], uint32(len(rec.Key)))
	binary.BigEndian.PutUint32(w.head[4:], uint32(len(rec.Value)))
	for _, b := range [...][]byte{w.head[:], rec.Key, rec.Value} {
		if err := w.write(b); err != nil {
			return err
		}
	}
	return nil
}

func (w *runWriter) write(b []byte) error {
	w.run.size += int64(len(b))
	for len(b) > 0 {
		n := min(len(b), w.run.block-len(w.buf))
		w.buf = append(w.buf, b[:n]...)
		b = b[n:]
		if len(w.buf) == w.run.block {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *runWriter) flush() error {
	nonce := nonce(w.run.id, w.n)
	sealed := w.s.aead.Seal(w.buf[:0], nonce[:], w.buf, nil)
	n, err := w.run.f.Write(sealed)
	w.written += int64(n)
	if err != nil {
		return &SpillError{Dir: w.s.dir, Op: "write", Err: err}
	}
	w.n++
	w.buf = w.buf[:0]
	return nil
}

// finish writes the last block, if there was no error.
func (w *runWriter) finish(err error) error {
	if err == nil && len(w.buf) > 0 {
		err = w.flush()
	}
	return err
}

func nonce(run uint32, block uint64) (n [12]byte) {
	binary.BigEndian.PutUint32(n[:], run)
	binary.BigEndian.PutUint64(n[4:], block)
	return n
}

// runReader reads a run's records in order. The key of the record it stands
// on is at hand; the value is read only when asked for, so a merge holds one
// value, not one per run.
type runReader struct {
	s   *Sorter
	run *run
	ord int // place among the runs of a merge

	buf   []byte // plain bytes of the loaded block, with room for the tag
	block int64  // number of the loaded block, -1 for none

	next   int64 // where the following record starts
	key    []byte
	prefix uint64
	value  int64 // where the value starts
	vlen   int

	keyBuf, valBuf []byte // for what spans blocks
}

func (s *Sorter) newRunReader(r *run, ord int) *runReader {
	return &runReader{s: s, run: r, ord: ord, block: -1, buf: make([]byte, 0, r.block+s.aead.Overhead())}
}

// seek stands the reader before the first record that may have key >= from.
func (r *runReader) seek(from []byte) {
	i := sort.Search(len(r.run.index), func(i int) bool { return bytes.Compare(r.run.index[i].key, from) >= 0 })
	if i > 0 {
		r.next = r.run.index[i-1].pos
	}
}

// advance moves to the next record; false at the end.
func (r *runReader) advance() (bool, error) {
	if r.next >= r.run.size {
		return false, nil
	}
	head, err := r.bytes(r.next, recordHead, &r.keyBuf)
	if err != nil {
		return false, err
	}
	klen, vlen := int(binary.BigEndian.Uint32(head)), int(binary.BigEndian.Uint32(head[4:]))
	if r.key, err = r.bytes(r.next+recordHead, klen, &r.keyBuf); err != nil {
		return false, err
	}
	r.prefix = prefixOf(r.key)
	r.value, r.vlen = r.next+recordHead+int64(klen), vlen
	r.next = r.value + int64(vlen)
	return true, nil
}

// record is the record the reader stands on. Reading the value may replace
// the block that holds the key, so the key is saved first.
func (r *runReader) record() (Record, error) {
	if r.vlen > 0 && (r.value+int64(r.vlen)-1)/int64(r.run.block) != r.block {
		r.keyBuf = append(r.keyBuf[:0], r.key...)
		r.key = r.keyBuf
	}
	v, err := r.bytes(r.value, r.vlen, &r.valBuf)
	return Record{Key: r.key, Value: v}, err
}

// bytes returns n plain bytes at pos: a slice of the loaded block when they lie
// in one, else a copy in spare.
func (r *runReader) bytes(pos int64, n int, spare *[]byte) ([]byte, error) {
	size := int64(r.run.block)
	if n == 0 {
		return nil, nil
	}
	if pos/size == (pos+int64(n)-1)/size {
		if err := r.load(pos / size); err != nil {
			return nil, err
		}
		off := pos % size
		return r.buf[off : off+int64(n)], nil
	}
	out := (*spare)[:0]
	for n > 0 {
		if err := r.load(pos / size); err != nil {
			return nil, err
		}
		off := pos % size
		take := min(int64(n), int64(len(r.buf))-off)
		if take <= 0 {
			return nil, r.damaged(io.ErrUnexpectedEOF)
		}
		out = append(out, r.buf[off:off+take]...)
		pos, n = pos+take, n-int(take)
	}
	*spare = out
	return out, nil
}

func (r *runReader) load(block int64) error {
	if block == r.block {
		return nil
	}
	size := int64(r.run.block)
	start := block * size
	plain := min(size, r.run.size-start)
	over := int64(r.s.aead.Overhead())
	if plain <= 0 {
		return r.damaged(io.ErrUnexpectedEOF)
	}
	r.block = -1
	sealed := r.buf[:plain+over]
	if _, err := r.run.f.ReadAt(sealed, block*(size+over)); err != nil {
		return r.damaged(err)
	}
	nonce := nonce(r.run.id, uint64(block))
	buf, err := r.s.aead.Open(sealed[:0], nonce[:], sealed, nil)
	if err != nil {
		return r.damaged(fmt.Errorf("block %d of run %d was altered on disk", block, r.run.id))
	}
	r.buf, r.block = buf, block
	return nil
}

func (r *runReader) damaged(err error) error {
	return &SpillError{Dir: r.s.dir, Op: "read", Err: err}
}

// tempFile is a temporary file without a name where the system allows it.
type tempFile struct {
	*os.File
	named bool
}

func createTemp(dir string) (file, error) {
	f, err := os.CreateTemp(dir, "parallelrun-sort-*")
	if err != nil {
		return nil, err
	}
	return &tempFile{File: f, named: os.Remove(f.Name()) != nil}, nil
}

// Close frees the file's space.
func (t *tempFile) Close() error {
	err := t.File.Close()
	if t.named {
		err = errors.Join(err, os.Remove(t.Name()))
	}
	return err
}
