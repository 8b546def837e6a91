package snapshots

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// Blob names bytes that lie in the store under their SHA-256, beside the parts
// of snapshots: files that something in the log refers to.
type Blob struct {
	SHA256 Digest `json:"sha256"`
	Size   int64  `json:"size"`
}

// blobAdvice is for bytes that can't be made anew.
const blobAdvice = "restore the object from a copy of the store"

func (b Blob) object() parts.Object { return parts.Object{SHA256: b.SHA256, Bytes: b.Size} }

// PutBlob stores bytes. It may be called again with the same bytes; nothing
// refers to them until a commit names the blob.
func (s *Store) PutBlob(ctx context.Context, data []byte) (Blob, error) {
	var count putCounts
	o, err := s.putObject(ctx, bytes.NewReader(data), &count)
	if err != nil {
		return Blob{}, err
	}
	b := Blob{SHA256: o.SHA256, Size: o.Bytes}
	if count.reused.Load() > 0 { // what lay there already may be damaged
		_, err = s.ReadBlob(ctx, b)
	}
	return b, err
}

// ReadBlob returns a blob's bytes, after comparing them with its SHA-256. One
// that is missing or damaged is a *CorruptError.
func (s *Store) ReadBlob(ctx context.Context, b Blob) ([]byte, error) {
	f, err := s.openBlob(ctx, b)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, b.Size)
	if n, err := f.ReadAt(data, 0); n < len(data) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read %s: %w", objectKey(b.object()), err)
	}
	if digestOf(data) != b.SHA256 {
		return nil, &CorruptError{Object: objectKey(b.object()), What: "its bytes do not match its name", Advice: blobAdvice}
	}
	return data, nil
}

// checkBlob makes sure that a blob is there; its bytes are not read.
func (s *Store) checkBlob(ctx context.Context, b Blob) error {
	if err := b.plausible(); err != nil {
		return err
	}
	return blobError(s.checkSize(ctx, b.object()))
}

// openBlob makes sure that a blob is there and as long as it must be.
func (s *Store) openBlob(ctx context.Context, b Blob) (Object, error) {
	if err := b.plausible(); err != nil {
		return nil, err
	}
	f, err := s.openSized(ctx, b.object())
	return f, blobError(err)
}

func (b Blob) plausible() error {
	if b.Size < 0 || b.Size > maxSmall {
		return &CorruptError{Object: objectKey(b.object()), What: fmt.Sprintf("said to have %d bytes, far more than such a file has", b.Size), Advice: blobAdvice}
	}
	return nil
}

func blobError(err error) error {
	if c, ok := errors.AsType[*CorruptError](err); ok {
		c.Advice = blobAdvice
	}
	return err
}
