package snapshots

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sync/errgroup"
)

// packsPrefix is where copies of runs of log entries lie, many in one file: a
// log of years is then read in a few requests. The entries stay what counts; a
// pack that is missing, damaged or of another history costs time and no more.
const packsPrefix = "logpacks/"

const (
	// packEntries is how many entries a pack holds, unless packBytes are reached
	// before. Readers take packs of any size.
	packEntries = 256
	packBytes   = 4 << 20
	// packsAhead is how many packs are read at once.
	packsAhead = 4
)

// packKey names the pack whose last entry is n; its first is the one behind the
// pack before it.
func packKey(n uint64) string { return fmt.Sprintf("%s%020d.json.gz", packsPrefix, n) }

func packNumber(key string) (uint64, error) {
	name, ok := strings.CutSuffix(strings.TrimPrefix(key, packsPrefix), ".json.gz")
	if !ok {
		return 0, fmt.Errorf("%s: not the name of a pack of log entries", key)
	}
	return logNumber(logPrefix + name + ".json")
}

// encodePack packs entries as they are stored, one behind the other.
func encodePack(entries [][]byte) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	for _, e := range entries {
		if _, err := z.Write(e); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return out.Bytes(), err
}

// decodePack returns the bytes of each entry: a JSON value and a line's end.
func decodePack(data []byte) (entries [][]byte, err error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	all, err := io.ReadAll(io.LimitReader(z, maxSmall))
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(all))
	for start := int64(0); ; {
		var raw json.RawMessage
		switch err := d.Decode(&raw); {
		case errors.Is(err, io.EOF):
			return entries, nil
		case err != nil:
			return nil, err
		}
		end := d.InputOffset() + 1
		if end > int64(len(all)) {
			return nil, io.ErrUnexpectedEOF
		}
		entries, start = append(entries, all[start:end]), end
	}
}

// packNumbers lists the packs behind entry n.
func (s *Store) packNumbers(ctx context.Context, n uint64) (numbers []uint64, err error) {
	after := packsPrefix
	if n > 0 {
		after = packKey(n)
	}
	for key, err := range s.b.List(ctx, packsPrefix, after) {
		if err != nil {
			return nil, err
		}
		last, err := packNumber(key)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, last)
	}
	return numbers, nil
}

// followPacks folds what packs hold of the entries behind st, as far as they
// hang together. The chain proves all entries but the last; that one is held
// against its own file. If it is another st stays as it was, and the entries
// themselves are to be read.
func (s *Store) followPacks(ctx context.Context, st State) State {
	numbers, err := s.packNumbers(ctx, st.N)
	if err != nil {
		return st
	}
	next := st.clone()
	var last []byte
	for whole := true; whole && len(numbers) > 0; {
		chunk := numbers[:min(packsAhead, len(numbers))]
		numbers = numbers[len(chunk):]
		for _, pack := range s.readPacks(ctx, chunk) {
			for _, data := range behind(pack, next.N) {
				if err := next.follow(next.N+1, data); err != nil {
					whole = false
					break
				}
				last = data
			}
			if whole = whole && len(pack) > 0; !whole {
				break
			}
		}
	}
	if last == nil {
		return st
	}
	if there, err := readObject(ctx, s.b, logKey(next.N)); err != nil || !bytes.Equal(there, last) {
		return st
	}
	return next
}

// behind leaves out the entries of a pack up to entry n, which another has too.
func behind(pack [][]byte, n uint64) [][]byte {
	if len(pack) == 0 {
		return nil
	}
	first, err := decodeEntry(pack[0])
	if err != nil || first.N > n {
		return pack
	}
	return pack[min(n+1-first.N, uint64(len(pack))):]
}

// readPacks unpacks these packs; one that can't be read has no entries.
func (s *Store) readPacks(ctx context.Context, numbers []uint64) [][][]byte {
	packs := make([][][]byte, len(numbers))
	var g errgroup.Group
	for i, n := range numbers {
		g.Go(func() error {
			data, err := readObject(ctx, s.b, packKey(n))
			if err == nil {
				packs[i], err = decodePack(data)
			}
			return err
		})
	}
	_ = g.Wait() // what is missing is read entry by entry
	return packs
}

// packed returns the bytes of entry n as a pack has them, nil if none has.
func (s *Store) packed(ctx context.Context, n uint64) []byte {
	numbers, err := s.packNumbers(ctx, n-1)
	if err != nil || len(numbers) == 0 {
		return nil
	}
	for _, data := range s.readPacks(ctx, numbers[:1])[0] {
		if e, err := decodeEntry(data); err == nil && e.N == n {
			return data
		}
	}
	return nil
}

// pack packs the entries up to n that no pack has yet, every so many commits.
// What can't be packed now is packed later, or never: nothing depends on it.
func (s *Store) pack(ctx context.Context, n uint64) {
	if n%s.o.PackEvery != 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Patience)
	defer cancel()
	numbers, err := s.packNumbers(ctx, 0)
	if err != nil {
		return
	}
	var first uint64 = 1
	if len(numbers) > 0 {
		first = numbers[len(numbers)-1] + 1
	}
	for first <= n {
		if first, err = s.packFrom(ctx, first, n); err != nil {
			return
		}
	}
}

// packFrom writes one pack and returns the entry that the next begins with.
func (s *Store) packFrom(ctx context.Context, first, n uint64) (uint64, error) {
	var entries [][]byte
	size := 0
	next := first
	for next <= n && next-first < s.o.PackEvery && size < packBytes {
		var numbers []uint64
		for i := next; i <= n && i < next+readAhead && i-first < s.o.PackEvery; i++ {
			numbers = append(numbers, i)
		}
		bodies, err := s.readEntries(ctx, numbers)
		if err != nil {
			return 0, err
		}
		for _, b := range bodies {
			size += len(b)
		}
		entries, next = append(entries, bodies...), next+uint64(len(bodies))
	}
	data, err := encodePack(entries)
	if err != nil {
		return 0, err
	}
	// Not even "it is there" is taken for true: the next commit looks anew, so
	// that no pack stands behind a gap.
	return next, s.b.Create(ctx, packKey(next-1), bytes.NewReader(data))
}
