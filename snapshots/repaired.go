package snapshots

import (
	"context"
	"errors"
	"io"

	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// repairedPrefix is where a second copy lies of an object whose first one is
// damaged: under its key behind the prefix. Objects are created once, so the
// damaged one stays where it is on either back end, and no manifest, digest or
// log entry needs to change. Readers look there only after the first copy
// failed; its bytes are checked as those of the first.
const repairedPrefix = "repaired/"

func repairedKey(key string) string { return repairedPrefix + key }

// verified opens objects whose bytes are checked before anyone sees them.
func (s *Store) verified() parts.OpenFunc {
	first, second := s.verifiedAt(objectKey), s.verifiedAt(func(o parts.Object) string { return repairedKey(objectKey(o)) })
	return func(ctx context.Context, o parts.Object) (io.ReaderAt, io.Closer, error) {
		r, c, err := first(ctx, o)
		if err == nil || !IsCorrupt(err) {
			return r, c, err
		}
		r, c, again := second(ctx, o)
		switch {
		case again == nil:
			return r, c, nil
		case IsCorrupt(again):
			return nil, nil, err
		}
		return nil, nil, again
	}
}

func (s *Store) verifiedAt(key func(parts.Object) string) parts.OpenFunc {
	return parts.Verified(func(ctx context.Context, o parts.Object) (parts.Source, error) { return s.openSized(ctx, o, key(o)) })
}

// readRepaired reads what is to have a digest, from its key or else from its
// second copy. The error is that of the first; ErrNotFound if there is none.
func (s *Store) readRepaired(ctx context.Context, key string, want Digest) ([]byte, error) {
	data, err := readObject(ctx, s.b, key)
	if err == nil && digestOf(data) == want {
		return data, nil
	}
	if err != nil && !errors.Is(err, ErrNotFound) && !IsCorrupt(err) {
		return nil, err
	}
	second, again := readObject(ctx, s.b, repairedKey(key))
	switch {
	case again == nil && digestOf(second) == want:
		return second, nil
	case again != nil && !errors.Is(again, ErrNotFound) && !IsCorrupt(again):
		return nil, again
	}
	return data, err
}
