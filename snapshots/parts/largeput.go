package parts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

const (
	// largeMemory bounds the large values on their way to the store, largeAtOnce
	// how many they are: one at a time, a table of photos would wait for a
	// distant store most of the time.
	largeMemory = 32 << 20
	largeAtOnce = 16
)

// largePuts stores large values while the rows that they come from are being
// read. They are in the store when wait returns nil.
type largePuts struct {
	store  PutFunc
	memory int64
	room   *semaphore.Weighted
	g      errgroup.Group

	ctx context.Context // ends with stop or the first failure
	end context.CancelCauseFunc
}

func newLargePuts(store PutFunc, memory int64) *largePuts {
	l := &largePuts{store: store, memory: memory, room: semaphore.NewWeighted(max(memory, 1))}
	l.ctx, l.end = context.WithCancelCause(context.Background())
	l.g.SetLimit(largeAtOnce)
	return l
}

// put takes a value to be stored; it may be changed when put returns.
func (l *largePuts) put(ctx context.Context) func([]byte) ([sha256.Size]byte, error) {
	return func(v []byte) ([sha256.Size]byte, error) {
		sum := sha256.Sum256(v)
		size := int64(len(v))
		if size > l.memory { // larger than all that may be on the way
			return sum, l.putNow(ctx, v, sum)
		}
		if err := l.failure(); err != nil {
			return sum, err
		}
		if err := l.room.Acquire(ctx, size); err != nil {
			return sum, context.Cause(ctx)
		}
		v = bytes.Clone(v)
		l.g.Go(func() error {
			defer l.room.Release(size)
			// Not under the caller's context, which may end with its batch.
			err := l.putNow(l.ctx, v, sum)
			if err != nil {
				l.end(err)
			}
			return err
		})
		return sum, nil
	}
}

func (l *largePuts) putNow(ctx context.Context, v []byte, sum [sha256.Size]byte) error {
	o, err := l.store(ctx, bytes.NewReader(v))
	if err == nil && o != (Object{SHA256: sum, Bytes: int64(len(v))}) {
		err = fmt.Errorf("large value of %d bytes: the store took it for another", len(v))
	}
	return err
}

// failure is the first error so far.
func (l *largePuts) failure() error { return context.Cause(l.ctx) }

// wait returns when all values are stored, or with the first error.
func (l *largePuts) wait() error {
	_ = l.g.Wait() // the first error is kept
	return l.failure()
}

// stop ends what is still on its way.
func (l *largePuts) stop() {
	l.end(context.Canceled)
	_ = l.g.Wait()
}
