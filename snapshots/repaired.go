package snapshots

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// repairedPrefix is where a second copy lies of an object whose first one is
// damaged: under its key behind the prefix. Objects are created once, so the
// damaged one stays where it is on either back end, and no manifest, digest or
// log entry needs to change. Readers look there only after the first copy
// failed; its bytes are checked as those of the first.
const repairedPrefix = "repaired/"

func repairedKey(key string) string { return repairedPrefix + key }

// placeOf is the key that an object lies under.
func (s *Store) placeOf(o parts.Object) string { return objectKey(o) }

// manifestPlace is the key that a manifest lies under.
func (s *Store) manifestPlace(d Digest) string { return manifestKey(d) }

// verified opens objects whose bytes are checked before anyone sees them.
func (s *Store) verified() parts.OpenFunc {
	first, second := s.firstCopy(), s.secondCopy()
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

func (s *Store) firstCopy() parts.OpenFunc {
	return parts.Verified(func(ctx context.Context, o parts.Object) (parts.Source, error) { return s.openSized(ctx, o) })
}

func (s *Store) secondCopy() parts.OpenFunc {
	return s.copyAt(func(o parts.Object) string { return repairedKey(objectKey(o)) })
}

// copyAt opens copies of objects under other keys.
func (s *Store) copyAt(key func(parts.Object) string) parts.OpenFunc {
	return parts.Verified(func(ctx context.Context, o parts.Object) (parts.Source, error) { return s.openCopy(ctx, o, key(o)) })
}

func (s *Store) openCopy(ctx context.Context, o parts.Object, key string) (parts.Source, error) {
	f, err := s.b.Open(ctx, key)
	if err != nil {
		return nil, sized(o, 0, err)
	}
	if err := sized(o, f.Size(), nil); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// anyRepaired lists, once in a store's life in this process, what has a second
// copy: nearly always nothing. Who reads without comparing the SHA-256 can't
// find out by reading.
func (s *Store) anyRepaired(ctx context.Context) (map[string]bool, error) {
	s.repaired.Lock()
	defer s.repaired.Unlock()
	if s.repaired.keys != nil {
		return s.repaired.keys, nil
	}
	keys := map[string]bool{}
	for key, err := range s.b.List(ctx, repairedPrefix, "") {
		if err != nil {
			return nil, fmt.Errorf("look for second copies: %w", err)
		}
		keys[strings.TrimPrefix(key, repairedPrefix)] = true
	}
	s.repaired.keys = keys
	return keys, nil
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
