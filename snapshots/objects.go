package snapshots

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/parallelrun/parallelrun/snapshots/parts"
)

const objectsPrefix = "objects/sha256/"

// objectKey is an object's first name, by which messages speak of it. Where it
// lies, Store.where says.
func objectKey(o parts.Object) string { return contentOf(o).key(0) }

func contentOf(o parts.Object) content { return content{sum: o.SHA256} }

// PutStats count what putting objects did.
type PutStats struct {
	Objects, Bytes             int64 // written
	ReusedObjects, ReusedBytes int64 // there already
}

type putCounts struct{ objects, bytes, reused, reusedBytes atomic.Int64 }

func (c *putCounts) stats() PutStats {
	return PutStats{Objects: c.objects.Load(), Bytes: c.bytes.Load(), ReusedObjects: c.reused.Load(), ReusedBytes: c.reusedBytes.Load()}
}

// putTries is how often a write of unknown outcome is repeated: the bytes are
// always the same, so repeating does no harm.
const (
	putTries = 9
	putPause = 10 * time.Millisecond // doubled each time: five seconds in all
)

// putObject stores bytes under their SHA-256. What is there already is not
// written again.
func (s *Store) putObject(ctx context.Context, body io.ReadSeeker, count *putCounts) (parts.Object, error) {
	o, err := identify(body)
	if err != nil {
		return o, fmt.Errorf("put object: %w", err)
	}
	there, err := createInsisting(ctx, s.b, s.where(contentOf(o)), body)
	switch {
	case err == nil:
		count.objects.Add(1)
		count.bytes.Add(o.Bytes)
		return o, nil
	case errors.Is(err, ErrExists):
		count.reused.Add(1)
		count.reusedBytes.Add(o.Bytes)
		return o, sized(o, there, nil)
	default:
		return o, fmt.Errorf("put object: %w", err)
	}
}

// createInsisting creates an object and repeats that while the outcome is
// unknown. That it exists is believed only once it is seen, with so many bytes:
// a server that refuses out of confusion must not make us refer to nothing. Not
// for the log: there, what lies under the key is asked first.
func createInsisting(ctx context.Context, b Backend, key string, body io.ReadSeeker) (there int64, err error) {
	pause := putPause
	for tries := 1; ; tries++ {
		err := b.Create(ctx, key, body)
		again := errors.Is(err, ErrUnknownOutcome) && !errors.Is(err, ErrBroken)
		if errors.Is(err, ErrExists) {
			size, statErr := b.Stat(ctx, key)
			if statErr == nil {
				return size, err
			}
			if again = errors.Is(statErr, ErrNotFound); !again {
				return 0, statErr
			}
			err = fmt.Errorf("refused as there already, and not there: %w", statErr)
		}
		if err == nil || !again || tries == putTries || !Sleep(ctx, pause) {
			return 0, err
		}
		pause *= 2
	}
}

// identify reads a body through and leaves it at its start.
func identify(body io.ReadSeeker) (parts.Object, error) {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return parts.Object{}, err
	}
	h := sha256.New()
	n, err := io.Copy(h, body)
	if err != nil {
		return parts.Object{}, err
	}
	_, err = body.Seek(0, io.SeekStart)
	return parts.Object{SHA256: [32]byte(h.Sum(nil)), Bytes: n}, err
}

const objectAdvice = "restore the object from a copy of the store, or make the snapshot anew from its source"

// checkSize makes sure that an object that is there is as long as its name
// says; verify reads its bytes too.
func (s *Store) checkSize(ctx context.Context, o parts.Object) error {
	n, err := find(ctx, s, contentOf(o), s.b.Stat)
	return sized(o, n, err)
}

func (s *Store) openSized(ctx context.Context, o parts.Object) (Object, error) {
	f, err := find(ctx, s, contentOf(o), s.b.Open)
	if err != nil {
		return nil, sized(o, 0, err)
	}
	if err := sized(o, f.Size(), nil); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// sized compares what a back end said of an object with what it must be.
func sized(o parts.Object, size int64, err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return &CorruptError{Object: objectKey(o), What: "it is missing", Advice: objectAdvice, Err: err}
	case err != nil:
		return err
	case size != o.Bytes:
		return &CorruptError{Object: objectKey(o), What: fmt.Sprintf("%d bytes long, want %d", size, o.Bytes), Advice: objectAdvice}
	}
	return nil
}

// openRaw opens objects of which only the size is checked: the second copy where
// there is one, for the first is damaged then.
func (s *Store) openRaw(ctx context.Context, o parts.Object) (parts.Source, error) {
	if repaired, err := s.anyRepaired(ctx); err != nil {
		return nil, err
	} else if repaired[objectKey(o)] {
		return s.openCopy(ctx, o, repairedKey(objectKey(o)))
	}
	return s.openSized(ctx, o)
}
