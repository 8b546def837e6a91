package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/parallelrun/parallelrun/snapshots"
)

const (
	// firstBytes are read with the object's size: most objects are no longer.
	firstBytes = 64 << 10
	// piece is how much of a large object one request reads, and atOnce how many
	// pieces of it are read at once.
	piece  = 8 << 20
	atOnce = 4
)

// Stat asks for an object's size.
func (b *Backend) Stat(ctx context.Context, key string) (int64, error) {
	if err := usable(ctx, key); err != nil {
		return 0, err
	}
	release, err := b.slot(ctx)
	if err != nil {
		return 0, fmt.Errorf("stat %s: %w", b.name(key), err)
	}
	defer release()
	limited, cancel := b.patient(ctx, 0)
	defer cancel()
	out, err := b.client.HeadObject(limited, &s3.HeadObjectInput{Bucket: aws.String(b.o.Bucket), Key: b.key(key),
		SSECustomerAlgorithm: b.put.customerAlgorithm, SSECustomerKey: b.put.customerKey, SSECustomerKeyMD5: b.put.keyMD})
	if err != nil {
		return 0, b.readError("stat", key, err, ctx.Err())
	}
	if out.ContentLength == nil {
		return 0, &Error{Op: "stat", Object: b.name(key), Message: "the server does not say how long the object is", Err: ErrRefused, hint: "`parallelrun store doctor` says more"}
	}
	return *out.ContentLength, nil
}

// Open reads an object's beginning and size. Reads run under ctx.
func (b *Backend) Open(ctx context.Context, key string) (snapshots.Object, error) {
	if err := usable(ctx, key); err != nil {
		return nil, err
	}
	o := &object{b: b, ctx: ctx, key: key}
	err := b.insisting(ctx, key, func(ctx context.Context) error { return o.first(ctx) })
	if err != nil {
		return nil, err
	}
	return o, nil
}

// object is open for reading: each read is a request of its own, for bytes of
// the very object that Open saw.
type object struct {
	b    *Backend
	ctx  context.Context
	key  string
	size int64
	etag *string
	head []byte // the first bytes
}

func (o *object) Size() int64 { return o.size }

// Close does nothing: no request outlives a read.
func (o *object) Close() error { return nil }

// first reads the first bytes.
func (o *object) first(ctx context.Context) error {
	ctx, cancel := o.b.patient(ctx, firstBytes)
	defer cancel()
	out, err := o.b.get(ctx, o.key, 0, firstBytes, nil)
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusRequestedRangeNotSatisfiable {
		// An empty object has no first byte.
		size, err := o.b.Stat(ctx, o.key)
		if err == nil && size != 0 {
			return e
		}
		return err
	}
	if err != nil {
		return err
	}
	defer out.Body.Close()
	o.etag = out.ETag
	if o.size, err = total(out); err != nil {
		return &Error{Op: "open", Object: o.b.name(o.key), Message: err.Error(), Err: ErrRefused, hint: "`parallelrun store doctor` says more"}
	}
	o.head = make([]byte, min(o.size, firstBytes))
	_, err = io.ReadFull(out.Body, o.head)
	return err
}

// total is the whole object's size, also where the server ignores ranges.
func total(out *s3.GetObjectOutput) (int64, error) {
	if out.ContentRange == nil {
		if out.ContentLength == nil {
			return 0, errors.New("the server does not say how long the object is")
		}
		return *out.ContentLength, nil
	}
	_, size, ok := strings.Cut(*out.ContentRange, "/")
	n, err := strconv.ParseInt(size, 10, 64)
	if !ok || err != nil || n < 0 {
		return 0, fmt.Errorf("the server says %q of a range", *out.ContentRange)
	}
	return n, nil
}

// get sends one request for n bytes.
func (b *Backend) get(ctx context.Context, key string, from, n int64, etag *string) (*s3.GetObjectOutput, error) {
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: aws.String(b.o.Bucket), Key: b.key(key), Range: aws.String(fmt.Sprintf("bytes=%d-%d", from, from+n-1)), IfMatch: etag,
		SSECustomerAlgorithm: b.put.customerAlgorithm, SSECustomerKey: b.put.customerKey, SSECustomerKeyMD5: b.put.keyMD,
	})
	e, ok := errors.AsType[*awshttp.ResponseError](err)
	if ok && etag != nil && e.HTTPStatusCode() == http.StatusPreconditionFailed {
		return nil, &snapshots.CorruptError{Object: key, What: "it changed while it was read", Advice: "somebody writes over objects of " + b.Location() + ": find out who, and restore it from a copy"}
	}
	if err != nil {
		return nil, b.readError("open", key, err, nil)
	}
	return out, nil
}

// insisting repeats a read whose bytes broke off. What the server answers is
// repeated by the SDK already.
func (b *Backend) insisting(ctx context.Context, key string, read func(context.Context) error) error {
	pause := 50 * time.Millisecond
	for tries := 1; ; tries++ {
		err := b.attempt(ctx, read)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("read %s: %w", b.name(key), ctx.Err())
		case judged(err):
			return err
		case tries == readTries || !snapshots.Sleep(ctx, pause):
			return &Error{Op: "read", Object: b.name(key), Message: "the bytes broke off: " + oneLine(innermost(err)), Err: ErrUnreachable, hint: "is the network up?"}
		}
		pause = min(2*pause, 2*time.Second)
	}
}

func (b *Backend) attempt(ctx context.Context, read func(context.Context) error) error {
	release, err := b.slot(ctx)
	if err != nil {
		return err
	}
	defer release()
	return read(ctx)
}

// judged: the error is an answer, and asking again will not change it.
func judged(err error) bool {
	if _, ok := errors.AsType[*Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*localError](err); ok {
		return true
	}
	_, ok := errors.AsType[*snapshots.CorruptError](err)
	return ok
}

// ReadAt reads straight into p, large reads in several requests at once.
func (o *object) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read %s at %d: negative offset", o.b.name(o.key), off)
	}
	if off >= o.size {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), o.size-off)]
	n := 0
	if off < int64(len(o.head)) {
		n = copy(want, o.head[off:])
	}
	if n < len(want) {
		if err := o.fetch(o.ctx, &window{p: want, off: off}, off+int64(n), int64(len(want)-n)); err != nil {
			return n, err
		}
	}
	if len(want) < len(p) {
		return len(want), io.EOF
	}
	return len(want), nil
}

// CopyTo writes the whole object to w, several pieces at once.
func (o *object) CopyTo(ctx context.Context, w io.WriterAt) error {
	if _, err := w.WriteAt(o.head, 0); err != nil {
		return err
	}
	return o.fetch(ctx, w, int64(len(o.head)), o.size-int64(len(o.head)))
}

// fetch reads n bytes from an offset and writes them to w at their places.
func (o *object) fetch(ctx context.Context, w io.WriterAt, from, n int64) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for end := from + n; from < end; from += piece {
		s := &stretch{o: o, w: w, at: from, left: min(piece, end-from)}
		g.Go(func() error { return o.b.insisting(ctx, o.key, s.read) })
	}
	return g.Wait()
}

// stretch is some bytes of an object on their way; when they break off, the
// next read goes on where the last one ended.
type stretch struct {
	o        *object
	w        io.WriterAt
	at, left int64
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}

func (s *stretch) read(ctx context.Context) error {
	ctx, cancel := s.o.b.patient(ctx, s.left)
	defer cancel()
	out, err := s.o.b.get(ctx, s.o.key, s.at, s.left, s.o.etag)
	if err != nil {
		return err
	}
	defer out.Body.Close()
	if size, err := total(out); err != nil || out.ContentRange == nil || size != s.o.size {
		return &Error{Op: "read", Object: s.o.b.name(s.o.key), Message: "the server does not send the range that was asked for", Err: ErrRefused, hint: "`parallelrun store doctor` says more"}
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for s.left > 0 {
		k, err := out.Body.Read((*buf)[:min(int64(len(*buf)), s.left)])
		if k > 0 {
			if _, err := s.w.WriteAt((*buf)[:k], s.at); err != nil {
				return &localError{err}
			}
			s.at, s.left = s.at+int64(k), s.left-int64(k)
		}
		if err != nil && s.left > 0 {
			return fmt.Errorf("after %d bytes: %w", s.at, err)
		}
	}
	return nil
}

// localError is about where bytes go to, not where they come from.
type localError struct{ error }

func (e *localError) Unwrap() error { return e.error }

// window writes to a slice whose first byte has an offset.
type window struct {
	p   []byte
	off int64
}

func (w *window) WriteAt(p []byte, off int64) (int, error) {
	return copy(w.p[off-w.off:], p), nil
}
