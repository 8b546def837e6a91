package parts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/parallelrun/parallelrun/internal/arrowmem"
)

// verifiedInMemory is the size up to which an object is held while in use, so
// that the bytes that were checked are the bytes that are decoded. Larger ones
// are read twice.
const verifiedInMemory = 4 << 20

// Source is an object as a back end opens it, its bytes not checked.
type Source interface {
	io.ReaderAt
	io.Closer
}

// Distant is a Source whose every read costs a round trip, as in a bucket. It
// can write itself out whole, several pieces at once, in little memory.
type Distant interface {
	Source
	CopyTo(ctx context.Context, w io.WriterAt) error
}

// SourceFunc opens objects unchecked.
type SourceFunc func(ctx context.Context, o Object) (Source, error)

// Verified makes an OpenFunc out of a function that opens objects unchecked:
// it reads an object whole, in bounded memory, and compares size and SHA-256
// before anyone else sees a byte. A mismatch is a *Corruption; an error of open
// is returned as it is. A large Distant one is fetched once, into a nameless
// temporary file, and read from there.
func Verified(open SourceFunc) OpenFunc {
	return func(ctx context.Context, o Object) (io.ReaderAt, io.Closer, error) {
		return openVerified(ctx, open, o, true)
	}
}

// Check compares an object's size and SHA-256 as Verified does, for those who
// do not want its bytes.
func Check(ctx context.Context, open SourceFunc, o Object) error {
	_, c, err := openVerified(ctx, open, o, false)
	if err != nil {
		return err
	}
	return c.Close()
}

func openVerified(ctx context.Context, open SourceFunc, o Object, keep bool) (io.ReaderAt, io.Closer, error) {
	src, err := open(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	if d, ok := src.(Distant); ok && o.Bytes > verifiedInMemory {
		if src, err = fetch(ctx, d); err != nil {
			return nil, nil, fmt.Errorf("fetch object %s: %w", o.Name(), err)
		}
	}
	r, err := verify(ctx, o, src, keep)
	if err != nil {
		return nil, nil, errors.Join(err, src.Close())
	}
	if r == nil {
		return src, src, nil
	}
	return r, nopCloser{}, src.Close()
}

// hashedAtOnce is how much of a large object is read at a time: what stays in
// a core's cache until it is hashed.
const hashedAtOnce = 256 << 10

// verify compares bytes with what they should be, and returns them if they are
// few and wanted.
func verify(ctx context.Context, o Object, src io.ReaderAt, keep bool) (io.ReaderAt, error) {
	if o.Bytes < 0 {
		return nil, corrupt(o, "the manifest gives it %d bytes", o.Bytes)
	}
	h := sha256.New()
	var buf []byte
	switch size := int(min(o.Bytes, verifiedInMemory)) + 1; { // one more, to see an object that is too long
	case o.Bytes > verifiedInMemory:
		keep = false
		buf = arrowmem.Pooled.Allocate(hashedAtOnce)
	case !keep:
		buf = arrowmem.Pooled.Allocate(size)
	default:
		buf = make([]byte, size)
	}
	if !keep {
		defer arrowmem.Pooled.Free(buf)
	}
	n, err := int64(0), error(nil)
	for n <= o.Bytes && err == nil {
		if err = context.Cause(ctx); err != nil {
			return nil, err
		}
		var k int
		k, err = src.ReadAt(buf[:min(int64(len(buf)), o.Bytes+1-n)], n)
		h.Write(buf[:k])
		n += int64(k)
	}
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read object %s: %w", o.Name(), err)
	}
	switch {
	case n > o.Bytes:
		return nil, corrupt(o, "it is longer than its %d bytes", o.Bytes)
	case n < o.Bytes:
		return nil, corrupt(o, "%d of %d bytes are there", n, o.Bytes)
	case !bytes.Equal(h.Sum(nil), o.SHA256[:]):
		return nil, corrupt(o, "its bytes do not have its SHA-256")
	}
	if !keep {
		return nil, nil
	}
	return byteReaderAt(buf[:o.Bytes]), nil
}

// fetch copies a source to a temporary file, and closes it.
func fetch(ctx context.Context, d Distant) (Source, error) {
	f, err := newNameless("", "parallelrun-fetched-*")
	if err != nil {
		return nil, errors.Join(wrapTemp("", err), d.Close())
	}
	if err := d.CopyTo(ctx, f); err != nil {
		return nil, errors.Join(err, f.Close(), d.Close())
	}
	return f, d.Close()
}
