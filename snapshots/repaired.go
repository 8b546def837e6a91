package snapshots

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// repairedPrefix is where a second copy lies of an object whose first one is
// damaged: under its first name behind the prefix. Objects are created once, so the
// damaged one stays where it is on either back end, and no manifest, digest or
// log entry needs to change. Readers look there only after the first copy
// failed; its bytes are checked as those of the first.
const repairedPrefix = "repaired/"

func repairedKey(key string) string { return repairedPrefix + key }

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

func (s *Store) firstCopy() parts.OpenFunc { return parts.Verified(s.openFirst) }

func (s *Store) secondCopy() parts.OpenFunc { return parts.Verified(s.openSecond) }

func (s *Store) openFirst(ctx context.Context, o parts.Object) (parts.Source, error) {
	return s.openSized(ctx, o)
}

func (s *Store) openSecond(ctx context.Context, o parts.Object) (parts.Source, error) {
	return s.openCopy(ctx, o, repairedKey(objectKey(o)))
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

// lookAgain is how long a list of second copies is good for: what was repaired
// after a store was opened is seen then.
const lookAgain = time.Minute

// anyRepaired lists, now and then, what has a second copy: nearly always nothing.
// Who reads without comparing the SHA-256 can't find out by reading.
func (s *Store) anyRepaired(ctx context.Context) (map[string]bool, error) {
	s.repaired.Lock()
	defer s.repaired.Unlock()
	at := s.o.Now()
	if s.repaired.keys != nil && at.Sub(s.repaired.at) < lookAgain {
		return s.repaired.keys, nil
	}
	keys := map[string]bool{}
	for key, err := range s.b.List(ctx, repairedPrefix, "") {
		if err != nil {
			return nil, fmt.Errorf("look for second copies: %w", err)
		}
		keys[strings.TrimPrefix(key, repairedPrefix)] = true
	}
	s.repaired.keys, s.repaired.at = keys, at
	return keys, nil
}

// readRepaired reads content from where it lies or else from its second copy.
// The error is that of the first; ErrNotFound if there is none. What was read
// may still be damaged: compare its digest.
func (s *Store) readRepaired(ctx context.Context, c content) ([]byte, error) {
	read := func(ctx context.Context, key string) ([]byte, error) { return readObject(ctx, s.b, key) }
	data, err := find(ctx, s, c, read)
	if err == nil && digestOf(data) == c.sum {
		return data, nil
	}
	if err != nil && !errors.Is(err, ErrNotFound) && !IsCorrupt(err) {
		return nil, err
	}
	second, again := read(ctx, repairedKey(c.key(0)))
	switch {
	case again == nil && digestOf(second) == c.sum:
		return second, nil
	case again != nil && !errors.Is(again, ErrNotFound) && !IsCorrupt(again):
		return nil, again
	}
	return data, err
}
