package snapshots

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"golang.org/x/sync/errgroup"
)

// readAhead is how many log entries are read at once: over a network the first
// look at a long log would else take as many round trips as it has entries.
const readAhead = 16

// catchUp folds the entries behind the known head, found by listing after it.
// Only whole runs of entries count: their numbers follow upon each other and
// each names the digest of the one before. A long log is read from its packs
// first.
func (s *Store) catchUp(ctx context.Context) error {
	next := s.state
	for {
		numbers, err := s.entriesBehind(ctx, next.N, s.o.PackEvery)
		if err != nil {
			return err
		}
		long := uint64(len(numbers)) == s.o.PackEvery
		if long && next.N == 0 {
			if next = s.followPacks(ctx, next); next.N > 0 {
				continue
			}
		}
		if len(numbers) > 0 {
			if next, err = s.followEntries(ctx, next, numbers); err != nil {
				return err
			}
		}
		if !long {
			break
		}
	}
	if next.N > s.state.N {
		s.state = next
		known := next.marks.shared()
		s.marks.Store(&known)
	}
	return nil
}

// followEntries folds these entries upon a state.
func (s *Store) followEntries(ctx context.Context, st State, numbers []uint64) (State, error) {
	next := st.clone()
	for len(numbers) > 0 {
		chunk := numbers[:min(readAhead, len(numbers))]
		numbers = numbers[len(chunk):]
		bodies, err := s.readEntries(ctx, chunk)
		if err != nil {
			return st, err
		}
		for i, data := range bodies {
			if err := next.follow(chunk[i], data); err != nil {
				return st, err
			}
		}
	}
	return next, nil
}

// entriesBehind lists the numbers of at most so many entries behind entry n.
func (s *Store) entriesBehind(ctx context.Context, n, most uint64) (numbers []uint64, err error) {
	after := logPrefix
	if n > 0 {
		after = logKey(n)
	}
	for key, err := range s.b.List(ctx, logPrefix, after) {
		if err != nil {
			return nil, err
		}
		n, err := logNumber(key)
		if err != nil {
			return nil, err
		}
		if numbers = append(numbers, n); uint64(len(numbers)) == most {
			break
		}
	}
	return numbers, nil
}

func (s *Store) readEntries(ctx context.Context, numbers []uint64) ([][]byte, error) {
	bodies := make([][]byte, len(numbers))
	g, ctx := errgroup.WithContext(ctx)
	for i, n := range numbers {
		g.Go(func() (err error) {
			bodies[i], err = readObject(ctx, s.b, logKey(n))
			return err
		})
	}
	return bodies, g.Wait()
}

// follow folds the entry with number n, after checking that it is the next.
func (st *State) follow(n uint64, data []byte) error {
	e, err := checkEntry(st.N+1, st.Head, n, data)
	if err != nil {
		return err
	}
	st.fold(e, digestOf(data))
	return nil
}

const logAdvice = "the history was changed or lost: restore the log from a backup; never write to this store before"

func checkEntry(want uint64, prev Digest, n uint64, data []byte) (*Entry, error) {
	if n != want {
		return nil, &CorruptError{Object: logKey(want), What: fmt.Sprintf("entry is missing, %s is there", logKey(n)), Advice: logAdvice}
	}
	e, err := decodeEntry(data)
	if err != nil {
		return nil, &CorruptError{Object: logKey(n), What: "not a log entry", Advice: logAdvice, Err: err}
	}
	if e.N != n {
		return nil, &CorruptError{Object: logKey(n), What: fmt.Sprintf("holds entry %d", e.N), Advice: logAdvice}
	}
	if e.Prev != prev {
		return nil, &CorruptError{Object: logKey(n), What: "does not follow upon the entry before it", Advice: logAdvice}
	}
	return e, nil
}

// Log yields the entries of the log, oldest first, checking their chain.
func (s *Store) Log(ctx context.Context) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		_, prev, err := readFormat(ctx, s.b)
		if err != nil {
			yield(nil, err)
			return
		}
		for want := uint64(1); ; want++ {
			data, err := readObject(ctx, s.b, logKey(want))
			if errors.Is(err, ErrNotFound) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			e, err := checkEntry(want, prev, want, data)
			if !yield(e, err) || err != nil {
				return
			}
			prev = digestOf(data)
		}
	}
}
