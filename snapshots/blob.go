package snapshots

import (
	"bytes"
	"context"
	"errors"
	"fmt"

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
	if err := b.plausible(); err != nil {
		return nil, err
	}
	data, err := s.readRepaired(ctx, contentOf(b.object()))
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, blobError(sized(b.object(), 0, err))
	case err != nil:
		return nil, err
	case int64(len(data)) != b.Size:
		return nil, blobError(sized(b.object(), int64(len(data)), nil))
	case digestOf(data) != b.SHA256:
		return nil, &CorruptError{Object: objectKey(b.object()), What: "its bytes do not match its name", Advice: blobAdvice}
	}
	return data, nil
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
