package parts

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

// spoolMemory is what a spool keeps in memory before it goes to disk.
const spoolMemory = 2 << 20

// spool collects the bytes of a part, in a nameless temporary file when they
// are many, and hashes them on the way.
type spool struct {
	dir  string
	h    hash.Hash
	n    int64
	mem  []byte
	file *nameless
}

// nameless is a temporary file that nobody else can open: it has lost its name,
// or, where a file in use can't be removed, loses it when it is closed.
type nameless struct {
	*os.File
	name string
}

func newNameless(dir, pattern string) (*nameless, error) {
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	n := &nameless{File: f}
	if os.Remove(f.Name()) != nil {
		n.name = f.Name()
	}
	return n, nil
}

func (n *nameless) Close() error {
	err := n.File.Close()
	if n.name != "" {
		err = errors.Join(err, os.Remove(n.name))
	}
	return err
}

// wrapTemp says what to do about a temporary file that can't be written.
func wrapTemp(dir string, err error) error {
	if err == nil {
		return nil
	}
	if dir == "" {
		dir = os.TempDir()
	}
	return fmt.Errorf("temporary file of a part in %s: %w: free space there or name another folder for temporary files", dir, err)
}

func newSpool(dir string) *spool { return &spool{dir: dir, h: sha256.New()} }

func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && len(s.mem)+len(p) > spoolMemory {
		if err := s.toDisk(); err != nil {
			return 0, err
		}
	}
	s.h.Write(p)
	s.n += int64(len(p))
	if s.file == nil {
		s.mem = append(s.mem, p...)
		return len(p), nil
	}
	n, err := s.file.Write(p)
	return n, s.wrap(err)
}

func (s *spool) wrap(err error) error { return wrapTemp(s.dir, err) }

func (s *spool) toDisk() (err error) {
	if s.file, err = newNameless(s.dir, "parallelrun-part-*"); err != nil {
		s.file = nil
		return s.wrap(err)
	}
	_, err = s.file.Write(s.mem)
	s.mem = nil
	return s.wrap(err)
}

// object is what was written.
func (s *spool) object() Object {
	o := Object{Bytes: s.n}
	s.h.Sum(o.SHA256[:0])
	return o
}

// body reads what was written from the start.
func (s *spool) body() io.ReadSeeker {
	if s.file == nil {
		return io.NewSectionReader(byteReaderAt(s.mem), 0, s.n)
	}
	return io.NewSectionReader(s.file, 0, s.n)
}

func (s *spool) Close() error {
	s.mem = nil
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// byteReaderAt reads from memory.
type byteReaderAt []byte

func (b byteReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

type nopCloser struct{}

func (nopCloser) Close() error { return nil }
